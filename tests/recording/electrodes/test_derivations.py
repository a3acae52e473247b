"""Derived and interpolated electrodes: the arithmetic, against MNE, and what is refused."""

from pathlib import Path

import edfio
import mne
import numpy as np
import pytest

from neurolm.core.errors import ConfigError, RecordingError
from neurolm.core.montage import ELECTRODES, channel_id, template_positions
from neurolm.recording.electrodes import derivations as mixing
from neurolm.recording.options import ReadingOptions
from neurolm.recording.recording import open_recording

RATE = 250
TEN_TWENTY = ("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T3", "C3", "Cz", "C4", "T4", "T5", "P3", "Pz", "P4", "T6",
              "O1", "O2")  # fmt: skip
BIPOLAR = ("FP1-F7", "F7-T7", "T7-P7", "P7-O1", "FP2-F8", "F8-T8", "T8-P8", "P8-O2", "FP1-F3", "F3-C3", "C3-P3",
           "P3-O1", "FP2-F4", "F4-C4", "C4-P4", "P4-O2")  # fmt: skip


def scalp(names: tuple[str, ...], seconds: float = 4.0) -> np.ndarray:
    """µV of a few smooth fields over the head, so that neighbours are alike."""
    rng = np.random.default_rng(1)
    places = np.array([template_positions()[name.upper()] for name in names])
    directions = rng.normal(size=(5, 3))
    return 300 * (places @ directions.T) @ rng.normal(size=(5, round(seconds * RATE)))


def mne_raw(names: tuple[str, ...], data: np.ndarray) -> mne.io.RawArray:
    return mne.io.RawArray(data * 1e-6, mne.create_info(list(names), RATE, "eeg"), verbose="error")


def tuh(path: Path, *, reference: str = "REF", without: tuple[str, ...] = ()) -> np.ndarray:
    data = scalp(TEN_TWENTY)
    named = dict(zip(TEN_TWENTY, data, strict=True))
    signals = [
        edfio.EdfSignal(named[name], RATE, label=f"EEG {name.upper()}-{reference}", physical_dimension="uV",
                        physical_range=(-2000, 2000))
        for name in TEN_TWENTY
        if name not in without
    ]  # fmt: skip
    edfio.Edf(signals).write(path)
    return data


def test_the_bipolar_montage_of_tuh_from_referential_channels(tmp_path: Path) -> None:
    path = tmp_path / "a.edf"
    data = dict(zip([name.upper() for name in TEN_TWENTY], tuh(path), strict=True))
    recording = open_recording(path, montage="tcp")
    assert recording.channels == BIPOLAR
    old = {"T7": "T3", "T8": "T4", "P7": "T5", "P8": "T6"}
    for name, signal in zip(recording.channels, recording.read(), strict=True):
        plus, minus = (old.get(end, end) for end in name.split("-"))
        np.testing.assert_allclose(signal, data[plus] - data[minus], atol=0.07)
        assert channel_id(name) > 0
    np.testing.assert_allclose(recording.read(1, 2), recording.read()[:, 250:500])
    assert "without a name in the official list: A1-T3, T3-C3, C3-CZ, CZ-C4, C4-T4, T4-A2" in recording.notes[0]
    rows = {row.electrode or row.channel: row for row in recording.coverage}
    assert (rows["F7-T7"].how, rows["F7-T7"].detail) == ("derived", "F7 minus T3")
    assert rows["FP1"].how == "source"
    assert [row.how for row in recording.coverage].count("derived") == 16


def test_bipolar_channels_of_a_file_resolve_by_either_name(tmp_path: Path) -> None:
    data = scalp(("Fp1", "F7", "T3"))
    raw = mne_raw(("FP1-F7", "EEG F7-T3", "T3-T5"), data)
    recording = open_recording(raw)
    assert recording.channels == ("FP1-F7", "F7-T7", "T7-P7")
    kept = open_recording(raw, montage="tcp", reading=ReadingOptions(unknown="drop"))
    assert kept.channels == ("FP1-F7", "F7-T7", "T7-P7")
    np.testing.assert_allclose(kept.read(), data)


def test_what_a_montage_lacks(tmp_path: Path) -> None:
    path = tmp_path / "a.edf"
    tuh(path, without=("T5",))
    with pytest.raises(RecordingError, match=r"montage='tcp' needs P7 for T7-P7, P7-O1.*unknown='drop'"):
        open_recording(path, montage="tcp")
    recording = open_recording(path, montage="tcp", reading=ReadingOptions(unknown="drop"))
    assert recording.channels == tuple(name for name in BIPOLAR if name not in ("T7-P7", "P7-O1"))
    assert "left out, electrodes missing: T7-P7 (P7), P7-O1 (P7)" in recording.notes
    filled = open_recording(path, montage="tcp", reading=ReadingOptions(unknown="interpolate"))
    assert filled.channels == BIPOLAR
    some = open_recording(path, montage="tcp", reading=ReadingOptions(channels=["P4-O2", "FP1-F7"]))
    assert some.channels == ("FP1-F7", "P4-O2")
    with pytest.raises(RecordingError, match=r"montage='tcp' has no Cz; it has FP1-F7"):
        open_recording(path, montage="tcp", reading=ReadingOptions(channels=["Cz"]))
    with pytest.raises(ConfigError, match="montage='ear': choose one of tcp"):
        open_recording(path, montage="ear")


def test_different_references_are_not_mixed() -> None:
    names = ("F4-M1", "C4-M1", "C3-M2", "F3-M2", "FP2-M1", "F8-M1")
    data = scalp(("F4", "C4", "C3", "F3", "Fp2", "F8"))
    recording = open_recording(mne_raw(names, data), montage="tcp", reading=ReadingOptions(unknown="drop"))
    assert recording.channels == ("FP2-F8", "F3-C3", "FP2-F4", "F4-C4")
    np.testing.assert_allclose(recording.read()[1], data[3] - data[2])
    names = ("F4-M1", "C4-M2", *names[2:])
    with pytest.raises(RecordingError, match=r"'tcp' \(F4-C4\).*different references \(M1: F4-M1; M2: C4-M2\)"):
        open_recording(mne_raw(names, data), montage="tcp", reading=ReadingOptions(unknown="drop"))
    with pytest.raises(RecordingError, match=r"interpolating would mix channels with different references"):
        open_recording(mne_raw(names, data), reading=ReadingOptions(channels=["Cz"], unknown="interpolate"))


def test_splines_are_those_of_mne() -> None:
    raw = mne_raw(TEN_TWENTY, scalp(TEN_TWENTY))
    raw.rename_channels({"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"})
    template = {e: template_positions()[e] for e in (name.upper() for name in raw.ch_names)}
    raw.rename_channels(str.upper)
    raw.set_montage(mne.channels.make_dig_montage(template, coord_frame="head"))
    broken = raw.copy()
    broken._data[8] = 0.0
    broken.info["bads"] = ["C3"]
    recording = open_recording(broken, reading=ReadingOptions(unknown="interpolate"))
    from neurolm.recording.electrodes.positions import sphere

    places = [place for e, place in template_positions().items() if e not in ("A1", "A2", "M1", "M2")]
    middle, _ = sphere(np.array(places))
    theirs = broken.copy().interpolate_bads(origin=tuple(middle), verbose="error")
    np.testing.assert_allclose(recording.read(), theirs.get_data() * 1e6, rtol=1e-6, atol=1e-6)
    true = raw.get_data(["C3"])[0] * 1e6
    assert np.corrcoef(recording.read()[8], true)[0, 1] > 0.95
    assert "interpolated by spherical splines: C3 (" in " ".join(recording.notes)
    weights, detail = mixing.splines(["C3"], dict(enumerate(np.array(list(template.values())).tolist())))["C3"]
    assert sum(weights.values()) == pytest.approx(1)
    assert "the nearest 0 mm away" in detail


def test_flat_channels_are_interpolated_when_asked() -> None:
    data = scalp(TEN_TWENTY)
    data[4] = 3.0
    recording = open_recording(mne_raw(TEN_TWENTY, data), reading=ReadingOptions(unknown="interpolate"))
    assert recording.channels == tuple(name.upper() for name in TEN_TWENTY)
    assert "interpolated by spherical splines: FZ (flat; from 18 channels, the nearest" in " ".join(recording.notes)
    kept = [i for i in range(19) if i != 4]
    np.testing.assert_allclose(recording.read()[kept], data[kept])
    assert recording.read()[4].std() > 5


def test_wanted_electrodes_that_are_missing() -> None:
    data = scalp(TEN_TWENTY)
    raw = mne_raw(TEN_TWENTY, data)
    with pytest.raises(RecordingError, match=r"there is no POz, C1; found: .*unknown='nearest' takes a neighbour"):
        open_recording(raw, reading=ReadingOptions(channels=["POz", "C1", "Cz"]))
    near = open_recording(raw, reading=ReadingOptions(channels=["POz", "C1", "Cz"], unknown="nearest"))
    assert near.channels == ("POZ", "C1", "CZ")
    np.testing.assert_allclose(near.read(), data[[14, 8, 9]])
    assert "Pz → POZ (38 mm)" in " ".join(near.notes)
    filled = open_recording(raw, reading=ReadingOptions(channels=["POz", "C1", "Cz"], unknown="interpolate"))
    np.testing.assert_allclose(filled.read()[2], data[9])
    truth = scalp(("POz", "C1"))
    assert all(np.corrcoef(filled.read()[i], truth[i])[0, 1] > 0.95 for i in range(2))
    old = open_recording(raw, reading=ReadingOptions(channels=["T7", "Cz"], unknown="nearest"))  # one place, two names
    np.testing.assert_allclose(old.read(), data[[7, 9]])
    with pytest.raises(RecordingError, match=r"too few channels near enough"):
        open_recording(
            mne_raw(TEN_TWENTY[:3], data[:3]), reading=ReadingOptions(channels=["Fp1", "O2"], unknown="interpolate")
        )


def test_dense_nets_give_official_electrodes_by_splines() -> None:
    net = mne.channels.make_standard_montage("GSN-HydroCel-64_1.0")
    places = np.array(list(net.get_positions()["ch_pos"].values()))
    rng = np.random.default_rng(2)
    raw = mne_raw(tuple(net.ch_names), 200 * (places @ rng.normal(size=(3, 3))) @ rng.normal(size=(3, 1000)))
    near = open_recording(raw, reading=ReadingOptions(unknown="nearest"))
    recording = open_recording(raw, reading=ReadingOptions(unknown="interpolate"))
    assert recording.channels == near.channels
    assert set(recording.channels) <= set(ELECTRODES)
    assert all(row.how in ("source", "left out", "interpolated") for row in recording.coverage)
    ours, theirs = recording.read(), near.read()
    alike = [np.corrcoef(a, b)[0, 1] for a, b in zip(ours, theirs, strict=True)]
    assert np.median(alike) > 0.9
