"""Samples of EDF and BDF files, beside what MNE reads."""

from collections.abc import Sequence
from pathlib import Path

import edfio
import mne
import numpy as np
import pytest

from neurolm.core.errors import RecordingError
from neurolm.recording.formats import edf_signal
from neurolm.recording.formats.edf import read_header
from neurolm.recording.formats.edf_signal import Samples, open_samples
from neurolm.recording.recording import open_recording


def written(path: Path, rates: dict[str, int], *, seconds: int = 7, annotations=(), bdf: bool = False) -> Path:
    """A file of noise; labels may repeat with blanks at their end."""
    generator = np.random.default_rng(0)
    signal, file = (edfio.BdfSignal, edfio.Bdf) if bdf else (edfio.EdfSignal, edfio.Edf)
    parts = [
        signal(
            generator.normal(0, 20, seconds * rate),
            rate,
            label=label.strip(),
            physical_dimension="uV",
            physical_range=(-150.0 - number, 200.0),
        )
        for number, (label, rate) in enumerate(rates.items())
    ]
    file(parts, annotations=annotations).write(path)
    return path


def opened(path: Path, picks: Sequence[int]) -> Samples:
    return open_samples(path, read_header(path), picks)


def by_mne(path: Path, labels: list[str] | None = None) -> mne.io.BaseRaw:
    reader = mne.io.read_raw_bdf if path.suffix == ".bdf" else mne.io.read_raw_edf
    return reader(path, include=labels, stim_channel=None, preload=True, verbose="error")


@pytest.mark.parametrize(
    "name", ["formats/edf/test.edf", "formats/edf/duplicate_channel_labels.edf", "formats/bdf/test.bdf"]
)
def test_every_sample_is_that_of_mne(shared: Path, name: str) -> None:
    path = shared / "eeg" / name
    raw = by_mne(path)
    volts = raw._raw_extras[0]["units"]
    samples = opened(path, range(min(12, len(raw.ch_names))))
    assert (samples.rate, samples.samples) == (raw.info["sfreq"], raw.n_times)
    for first, last in [(0, samples.samples), (3, 4), (5, 5), (samples.samples // 3, samples.samples - 1)]:
        expected = raw.get_data(picks=range(len(samples.gain)), start=first, stop=last)
        got = samples.read(first, last) * volts[: len(samples.gain), None]
        if name.endswith("bdf"):  # MNE masks the status channel
            got, expected = got[:-1], expected[:-1]
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("bdf", [False, True])
def test_files_in_small_pieces(tmp_path: Path, bdf: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / ("a.bdf" if bdf else "a.edf"), {"Cz": 200, "O1": 200, "Fz": 100}, bdf=bdf)
    samples = opened(path, [1, 0])
    whole = samples.digital(0, samples.samples)
    assert whole.dtype == (np.int32 if bdf else np.int16)
    monkeypatch.setattr(edf_signal, "_PIECE", 1500)
    for first, last in [(0, 1400), (199, 201), (350, 1399)]:
        np.testing.assert_array_equal(samples.digital(first, last), whole[:, first:last])
    np.testing.assert_array_equal(samples.read(0, 1400)[1] * 1e-6, by_mne(path, ["Cz"]).get_data()[0])


def test_signals_of_another_rate_are_read_at_their_own(tmp_path: Path, shared: Path) -> None:
    path = written(tmp_path / "mixed.edf", {"Cz": 250, "SpO2": 1, "Pz": 250, "Resp": 25})
    slow = opened(path, [3])
    assert (slow.rate, slow.samples) == (25, 175)
    np.testing.assert_array_equal(slow.read(0, 175) * 1e-6, by_mne(path, ["Resp"]).get_data())
    uneven = shared / "eeg" / "formats" / "edf" / "test_uneven_samp.edf"
    name = by_mne(uneven).ch_names[0]
    first = opened(uneven, [0])
    raw = by_mne(uneven, [name])
    np.testing.assert_allclose(
        first.read(0, first.samples) * raw._raw_extras[0]["units"][0], raw.get_data(), rtol=1e-12
    )


def test_labels_that_are_there_twice(tmp_path: Path) -> None:
    path = written(tmp_path / "twice.edf", {"T3": 100, "Cz": 100, "T3 ": 100})
    samples = opened(path, [2, 1])
    raw = by_mne(path)
    np.testing.assert_array_equal(samples.read(0, 700) * 1e-6, raw.get_data(picks=[2, 1]))


def test_a_file_that_became_shorter_is_an_error_with_its_name(tmp_path: Path) -> None:
    path = written(tmp_path / "a.edf", {"Cz": 100})
    recording = open_recording(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(RecordingError, match=r"a\.edf ends 100 bytes before"):
        recording.read()


def test_a_number_that_is_none_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path / "a.edf", {"Cz": 100})
    content = bytearray(path.read_bytes())
    minimum = 256 + 104 * int(content[252:256])  # of the first signal
    content[minimum : minimum + 8] = b"low     "
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=r"physical minimum of a signal reads b'low"):
        opened(path, [0])
    content[minimum : minimum + 8] = b"-150,5  "
    path.write_bytes(content)
    assert opened(path, [0]) is not None
