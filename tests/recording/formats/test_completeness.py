"""Truncated and mislabelled files, whatever the format; readers that crash; a wrong file costs a message."""

import struct
from pathlib import Path

import numpy as np
import pytest

from neurolm.core.errors import ConfigError, RecordingError
from neurolm.recording import isolation as isolated
from neurolm.recording.isolation import open_isolated
from neurolm.recording.options import ReadingOptions
from neurolm.recording.readers import open_here
from neurolm.recording.recording import open_recording

RATE = 250
NOISE = np.random.default_rng(0).normal(0, 20, (4, 1000))


def cut(path: Path, size: int) -> Path:
    path.write_bytes(path.read_bytes()[:size])
    return path


def test_a_truncated_edf_file_is_taken_when_asked(shared: Path) -> None:
    whole = open_recording(shared / "eeg" / "eegmat" / "Subject00_1.edf")
    path = shared / "eeg" / "formats" / "broken" / "truncated.edf"
    with pytest.raises(RecordingError, match="truncated='accept' takes those"):
        open_recording(path)
    part = open_recording(path, reading=ReadingOptions(truncated="accept"))
    assert "truncated: 23 of 182 data records are there and were taken" in part.notes
    assert part.seconds == 23
    assert (part.channels, part.rate) == (whole.channels, whole.rate)
    np.testing.assert_allclose(
        part.read(), open_recording(path, reading=ReadingOptions(truncated="accept"), check=False).read()
    )
    with pytest.raises(ConfigError, match="truncated='maybe': choose one of refuse, accept"):
        open_recording(path, reading=ReadingOptions(truncated="maybe"))


def nicolet(path: Path) -> Path:
    head = {"start_ts": "2020-01-02 10:11:12.000", "num_samples": 1000, "sample_freq": RATE, "conversion_factor": 0.1}
    head |= {"num_channels": 4, "elec_names": "[Fp1,Cz,O2,P4]"}
    path.with_suffix(".head").write_text("".join(f"{name}={value}\n" for name, value in head.items()))
    path.write_bytes(np.round(NOISE / 0.1).T.astype("<i2").tobytes())
    return path


def test_a_truncated_data_file_is_refused_or_taken(tmp_path: Path) -> None:
    path = cut(nicolet(tmp_path / "a.data"), 4 * 2 * 600 + 3)
    with pytest.raises(RecordingError, match=r"a\.data: truncated: 4,803 bytes hold 600 of 1,000 samples.*'accept'"):
        open_recording(path)
    recording = open_recording(path, reading=ReadingOptions(truncated="accept"))
    assert recording.samples == 600
    assert "truncated: 600 of 1,000 samples are there and were taken" in recording.notes
    np.testing.assert_allclose(recording.read(), NOISE[:, :600], atol=0.051)
    with pytest.raises(ValueError, match="not inside"):
        recording.read(0, 3)


def test_a_truncated_eeglab_file(tmp_path: Path, shared: Path) -> None:
    folder = shared / "eeg" / "formats" / "eeglab"
    for name in ("eeglab_data.set", "eeglab_data.fdt"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    cut(tmp_path / "eeglab_data.fdt", 4 * 32 * 1000)
    with pytest.raises(RecordingError, match=r"\.fdt: truncated: 128,000 bytes hold 1,000 of 30,504 samples"):
        open_recording(tmp_path / "eeglab_data.set")
    recording = open_recording(tmp_path / "eeglab_data.set", reading=ReadingOptions(truncated="accept"))
    whole = open_recording(folder / "eeglab_data.set")
    np.testing.assert_array_equal(recording.read(), whole.read()[:, :1000])
    assert "annotations outside the recording's 7.8125 s left out" in " ".join(recording.notes)


def test_a_truncated_gdf_file(tmp_path: Path, shared: Path) -> None:
    data = (shared / "eeg" / "formats" / "gdf" / "ssvep_subject03.gdf").read_bytes()
    path = tmp_path / "a.gdf"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(RecordingError, match=r"a\.gdf: truncated: .* of 63,\d+ samples"):
        open_recording(path, reading=ReadingOptions(unit="mV"))
    path.write_bytes(b"GDF 2.20" + bytes(300))
    with pytest.raises(RecordingError, match=r"a\.gdf: damaged header: 0 channels"):
        open_recording(path)
    path.write_bytes(data[:256] + data[256:].replace(struct.pack("<I", 16), struct.pack("<I", 99)))
    with pytest.raises(RecordingError, match=r"a\.gdf: "):
        open_recording(path)


@pytest.mark.parametrize(
    ("name", "kept", "options", "found"),
    [
        ("fif/ssvep_subject03_raw.fif", 0.5, {"unit": "mV"}, "hold 30,720 samples"),
        ("xdf/clock_resets.xdf", 0.5, {"channels": {"ch1": "Cz"}, "unit": "mV"}, "pyxdf found likely .* corruption"),
        ("egi/test_egi.raw", 0.5, {}, "the header promises 80,756"),
    ],
)  # fmt: skip
def test_other_truncated_files(tmp_path: Path, shared: Path, name: str, kept: float, options: dict, found: str) -> None:
    """MNE reads the first without a word, until a read fails; pyxdf with a warning."""
    source = shared / "eeg" / "formats" / name
    path = tmp_path / source.name
    path.write_bytes(source.read_bytes()[: round(kept * source.stat().st_size)])
    with pytest.raises(RecordingError, match=found):
        open_recording(path, reading=ReadingOptions(**options))
    if name.startswith("egi"):
        return
    recording = open_recording(path, reading=ReadingOptions(truncated="accept", **options))
    whole = open_recording(source, reading=ReadingOptions(**options))
    there, all_there = (sum(stretch.samples for stretch in found.stretches) for found in (recording, whole))
    assert 0.4 < there / all_there < 0.6
    signal, other = recording.read(), whole.read()
    there = [found[:, np.isfinite(found).all(axis=0)] for found in (signal, other)]
    np.testing.assert_array_equal(there[0], there[1][:, : there[0].shape[1]])


def test_a_truncated_brainvision_file(tmp_path: Path, shared: Path) -> None:
    folder = shared / "eeg" / "formats" / "brainvision"
    for name in ("test.vhdr", "test.eeg", "test.vmrk"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    cut(tmp_path / "test.eeg", 2 * 32 * 5000 + 7)
    with pytest.raises(RecordingError, match=r"test\.eeg: truncated: 320,007 bytes hold 5,000 samples"):
        open_recording(tmp_path / "test.vhdr")
    assert open_recording(tmp_path / "test.vhdr", reading=ReadingOptions(truncated="accept")).samples == 5000


def test_what_a_reader_cannot_read_later_is_an_error_of_the_recording(tmp_path: Path) -> None:
    recording = open_recording(nicolet(tmp_path / "a.data"))
    cut(tmp_path / "a.data", 100)
    with pytest.raises(RecordingError, match=r"a\.data: samples 0 to 1,000 cannot be read: the file is damaged"):
        recording.read()
    (tmp_path / "a.data").unlink()
    with pytest.raises(RecordingError, match=r"a\.data: cannot be read any more"):
        recording.read()


def test_headers_that_promise_too_much_ask_for_no_memory(tmp_path: Path) -> None:
    """MNE would make an array of two thousand million samples by thousands of events."""
    path = tmp_path / "a.raw"
    path.write_bytes(struct.pack(">i6hi5hih", 4, *[1] * 6, 0, RATE, 32000, 1, 0, 0, 2_000_000_000, 30_000))
    with pytest.raises(RecordingError, match=r"a\.raw: truncated: 36 bytes, the header promises"):
        open_recording(path)
    for version, said in ((3, "a segmented EGI file"), (9, "not an EGI simple binary file: its version reads 9")):
        path.write_bytes(struct.pack(">i", version) + path.read_bytes()[4:])
        with pytest.raises(RecordingError, match=said):
            open_recording(path)
    path.write_bytes(struct.pack(">i6hi5hih", 4, *[1] * 6, 0, RATE, 0, 1, 0, 0, 1000, 0))
    with pytest.raises(RecordingError, match=r"damaged header: 0 channels"):
        open_recording(path)


def test_a_data_file_without_its_header_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.eeg").write_bytes(NOISE.astype("<i2").tobytes())
    with pytest.raises(RecordingError, match=r"not a Nihon Kohden file.*put its header \(a\.vhdr\) beside it"):
        open_recording(tmp_path / "a.eeg")
    (tmp_path / "a.nxe").write_bytes(bytes(64 * 2 * 10 + 1))
    with pytest.raises(RecordingError, match=r"a\.nxe: truncated: 1,281 bytes hold 10 samples and the file breaks off"):
        open_recording(tmp_path / "a.nxe")


def test_a_reader_that_crashes_costs_a_message(tmp_path: Path) -> None:
    """ANT's library reads its own file without recording information until it dies of it (antio 0.7.1)."""
    from antio.libeep import pyeep

    path = tmp_path / "a.cnt"
    channels = pyeep.create_channel_info()
    pyeep.add_channel(channels, "Cz", "REF", "uV")
    handle = pyeep.write_cnt(str(path), RATE, channels, 0)
    pyeep.add_samples(handle, NOISE[0].astype(np.float32).tolist(), 1)
    pyeep.close(handle)
    with pytest.raises(RecordingError, match=r"a\.cnt: its reader \(read_raw_ant\) crashed \(exit status -\d+\)"):
        open_recording(path)


def test_a_reader_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "PATIENCE", 0.05)  # less than it takes to start
    with pytest.raises(RecordingError, match=r"did not answer within 0\.05 s"):
        open_isolated(open_here, nicolet(tmp_path / "a.data"), "read_raw_nicolet", {"ch_type": "eeg"})


def test_an_isolated_reader_gives_what_it_gives_here(tmp_path: Path) -> None:
    path = nicolet(tmp_path / "a.data")
    here = open_recording(path)
    source = open_isolated(open_here, path, "read_raw_nicolet", {"ch_type": "eeg"})
    assert [channel.name for channel in source.channels] == ["Fp1", "Cz", "O2", "P4"]
    signal = source.load([2, 0])
    assert (signal.rate, signal.samples) == (here.rate, here.samples)
    np.testing.assert_allclose(signal.read(100, 200) * 1e6, here.read()[[2, 0], 100:200])
    path.unlink()
    with pytest.raises(RecordingError, match="cannot be read any more"):
        signal.read(0, 10)
    with pytest.raises(RecordingError, match=r"MNE \(read_raw_nicolet\) cannot read it"):
        open_isolated(open_here, tmp_path / "none.data", "read_raw_nicolet", {"ch_type": "eeg"})
