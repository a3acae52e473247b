"""Dense caps whose channels are only counted, and BIDS files that say where electrodes are and what channels are."""

import json
from pathlib import Path

import edfio
import mne
import numpy as np
import pytest

from neurolm.core.errors import RecordingError
from neurolm.recording import sidecar
from neurolm.recording.electrodes import caps
from neurolm.recording.options import ReadingOptions
from neurolm.recording.recording import open_recording

RATE = 250
SIZES = {32: "GSN-HydroCel-32", 64: "GSN-HydroCel-64_1.0", 128: "GSN-HydroCel-128", 256: "GSN-HydroCel-256"}
BANKS = {"AB": "biosemi64", "A": "biosemi32", "ABCD": "biosemi128", "ABCDE": "biosemi160", "ABCDEFGH": "biosemi256"}


def mne_raw(names: list[str]) -> mne.io.RawArray:
    data = np.random.default_rng(0).normal(0, 2e-5, (len(names), 2 * RATE))
    return mne.io.RawArray(data, mne.create_info(names, RATE, "eeg"), verbose="error")


@pytest.mark.parametrize(("size", "cap"), SIZES.items())
def test_geodesic_nets_are_recognised(size: int, cap: str) -> None:
    names = [f"E{i + 1}" for i in range(size)]
    assert caps.recognise(names) == cap
    assert caps.recognise([name for i, name in enumerate(names) if i % 9]) == cap  # bad ones deleted
    with_vertex = cap if size == 32 else f"GSN-HydroCel-{size + 1}" + ("_1.0" if size == 64 else "")
    assert caps.recognise([*names, f"E{size + 1}"]) == caps.recognise([*names, "VREF"]) == with_vertex
    assert caps.recognise(names[: size // 3]) not in (cap, with_vertex)


@pytest.mark.parametrize(("banks", "cap"), BANKS.items())
def test_caps_of_biosemi_are_recognised(banks: str, cap: str) -> None:
    names = [f"{bank}{i + 1}" for bank in banks for i in range(32)]
    assert caps.recognise(names) == cap
    assert caps.recognise(names[:-1]) is None  # a grid may be called so too


def test_electrodes_of_psg_are_no_net() -> None:
    assert caps.recognise(["E1", "E2", "Fpz", "Cz"]) is None
    assert caps.recognise([]) is None


@pytest.mark.parametrize(
    ("size", "known"),
    [  # Luu & Ferree 2005, 10-20 equivalents on HydroCel nets, where MNE's coordinates agree with them
        (64, {"E12": "F3", "E60": "F4", "E20": "C3", "E50": "C4", "E35": "O1", "E39": "O2"}),
        (128, {"E24": "F3", "E36": "C3", "E104": "C4", "E58": "P7", "E96": "P8", "E70": "O1", "E83": "O2"}),
        (256, {"E36": "F3", "E59": "C3", "E183": "C4", "E101": "PZ"}),
    ],
)
def test_nets_without_positions_take_those_of_their_cap(size: int, known: dict[str, str]) -> None:
    raw = mne_raw([f"E{i + 1}" for i in range(size)])
    with pytest.raises(RecordingError, match=rf"cap='GSN-HydroCel-{size}"):
        open_recording(raw)
    recording = open_recording(raw, reading=ReadingOptions(unknown="nearest"))
    rows = {row.channel: row for row in recording.coverage}
    for contact, electrode in known.items():
        assert (rows[contact].electrode, rows[contact].how) == (electrode, "position")
        assert 0 <= float(rows[contact].detail.removesuffix(" mm")) <= 25
    assert "cap= says another" in " ".join(recording.notes)


@pytest.mark.parametrize("prefix", ["", "EEG "])
def test_caps_of_biosemi_with_named_electrodes(prefix: str) -> None:
    names = [f"{prefix}{bank}{i + 1}" for bank in "AB" for i in range(32)]
    recording = open_recording(mne_raw(names), reading=ReadingOptions(cap="biosemi64"))
    # https://www.biosemi.com/headcap.htm: A1 Fp1, A2 AF7, A15 T7, A32 CPz, B1 Fpz, B16 Cz, B32 O2
    rows = {row.channel: (row.electrode, row.how) for row in recording.coverage}
    expected = {"A1": "FP1", "A2": "AF7", "A15": "T7", "A32": "CPZ", "B1": "FPZ", "B16": "CZ", "B32": "O2"}
    for contact, electrode in expected.items():
        assert rows[f"{prefix}{contact}"] == (electrode, "cap")
    assert len(recording.channels) == 64


def test_a_cap_by_name() -> None:
    raw = mne_raw([str(i + 1) for i in range(61)])
    recording = open_recording(raw, reading=ReadingOptions(cap="easycap-M10", unknown="nearest"))
    assert len(recording.channels) > 50
    with pytest.raises(RecordingError, match=r"cap='M10': no such cap; MNE has .*easycap-M10"):
        open_recording(raw, reading=ReadingOptions(cap="M10"))
    with pytest.raises(RecordingError, match=r"none of the file's channels is in it: Q1"):
        open_recording(mne_raw(["Q1", "Q2"]), reading=ReadingOptions(cap="biosemi64"))


# --- BIDS ------------------------------------------------------------------------------------------------------------


def bids(folder: Path, *, unit: str = "uV") -> Path:
    names = ("Fp1", "Cz", "O2", "X1", "T7")
    data = np.random.default_rng(0).normal(0, 20, (5, 2 * RATE))
    path = folder / "sub-01" / "eeg" / "sub-01_task-rest_eeg.edf"
    path.parent.mkdir(parents=True)
    (folder / "dataset_description.json").write_text("{}")
    signals = [
        edfio.EdfSignal(row, RATE, label=name, physical_dimension=unit, physical_range=(-200, 200))
        for name, row in zip(names, data, strict=True)
    ]
    edfio.Edf(signals).write(path)
    table = ["name\ttype\tunits\tstatus", "Fp1\tEEG\tmV\tgood", "Cz\tEEG\tmV\tbad", "O2\tEOG\tmV\tgood"]
    table += ["X1\tEEG\tmV\tgood", "T7\tEEG\tmV\tgood"]
    path.with_name("sub-01_task-rest_channels.tsv").write_text("\n".join(table) + "\n", encoding="utf-8-sig")
    return path


def places(folder: Path, rows: list[str], *, unit: str = "mm") -> None:
    (folder / "sub-01_space-CapTrak_electrodes.tsv").write_text("\n".join(["name\tx\ty\tz", *rows]) + "\n")
    (folder / "sub-01_space-CapTrak_coordsystem.json").write_text(json.dumps({"EEGCoordinateUnits": unit}))


def test_types_units_and_bad_channels_from_beside_the_recording(tmp_path: Path) -> None:
    path = bids(tmp_path, unit="")
    recording = open_recording(path, reading=ReadingOptions(unknown="drop"), check=False)
    assert recording.channels == ("FP1", "CZ", "T7")
    assert recording.unit == "mV"
    notes = " ".join(recording.notes)
    assert "used beside it: sub-01_task-rest_channels.tsv" in notes
    assert "left out, eog: O2" in notes
    assert "marked as bad in the file, but kept: Cz" in notes


def test_the_files_own_unit_goes_before_a_table(tmp_path: Path) -> None:
    recording = open_recording(bids(tmp_path), reading=ReadingOptions(unknown="drop"))
    assert recording.unit == "uV"
    assert "Fp1: channels.tsv says mV, the file uV, which is believed" in recording.notes


def test_positions_from_beside_the_recording(tmp_path: Path, shared: Path) -> None:
    path = bids(tmp_path)
    from neurolm.core.montage import template_positions

    x, y, z = (1000 * value for value in template_positions()["PZ"])
    places(path.parent, [f"X1\t{x}\t{y}\t{z}", "Fp1\tn/a\tn/a\tn/a"])
    recording = open_recording(path, reading=ReadingOptions(unknown="nearest"))
    assert recording.channels == ("FP1", "CZ", "T7", "PZ")
    assert "X1 → PZ (0 mm)" in " ".join(recording.notes)
    real = shared / "eeg" / "formats" / "bids" / "tiny_bids" / "sub-01" / "ses-eeg" / "eeg"
    said = sidecar.read_sidecar(real / "sub-01_ses-eeg_task-rest_eeg.vhdr")
    assert [file.name for file in said.files] == [
        "sub-01_ses-eeg_task-rest_channels.tsv",
        "sub-01_ses-eeg_electrodes.tsv",
    ]
    assert said.positions["Fp1"] == (-0.03741270038437644, 0.11102138145885607, 0.04987088609474466)


def test_side_files_are_inherited_from_above(tmp_path: Path) -> None:
    path = bids(tmp_path)
    table = path.with_name("sub-01_task-rest_channels.tsv")
    table.rename(tmp_path / "task-rest_channels.tsv")
    (tmp_path / "task-other_channels.tsv").write_text("name\ttype\tunits\nX\tEEG\tuV\n")
    assert sidecar.read_sidecar(path).files == (tmp_path / "task-rest_channels.tsv",)
    other = path.rename(path.with_name("recording.edf"))
    assert sidecar.read_sidecar(other).files == ()


def test_side_files_that_are_wrong_are_refused(tmp_path: Path) -> None:
    path = bids(tmp_path)
    table = path.with_name("sub-01_task-rest_channels.tsv")
    table.write_text("name\ttype\tunits\nA\tEEG\tuV\n")
    with pytest.raises(RecordingError, match=r"channels\.tsv: none of its channels is in sub-01_task-rest_eeg\.edf"):
        open_recording(path)
    table.write_text("name\ttype\nFp1\tEEG\n")
    with pytest.raises(RecordingError, match=r"channels\.tsv: a row lacks one of the columns name, type, units"):
        open_recording(path)
    table.write_bytes(b"name\ttype\tunits\nFp1\tEEG\t\xb5V\n")
    assert sidecar.read_sidecar(path).channels["Fp1"]["units"] == "\xb5V"  # Latin-1 is no fault
    table.write_text("name\ttype\tunits\n" + "x" * 200_000)  # longer than a field of a table can be
    with pytest.raises(RecordingError, match=r"channels\.tsv: cannot be read as a table"):
        open_recording(path)
    table.unlink()
    places(path.parent, ["X1\t1\t2\t3"])
    (path.parent / "sub-01_space-CapTrak_coordsystem.json").write_text("[")
    with pytest.raises(RecordingError, match=r"coordsystem\.json: not a JSON object"):
        open_recording(path)
