"""Inspecting recordings: the same verdict as opening and preparing them, every problem at once, nothing else hidden."""

from pathlib import Path

import edfio
import mne
import numpy as np
import pytest

from neurolm.batches.windows import unlabelled_windows
from neurolm.core.errors import RecordingError
from neurolm.recording.excerpt import excerpt
from neurolm.recording.inspect import inspect
from neurolm.recording.options import ReadingOptions
from neurolm.recording.preprocess import preprocess_blocks
from neurolm.recording.recording import find_recordings, open_recording
from neurolm.store.store import Store

RATE = 200


def write(path: Path, signals: dict[str, np.ndarray], *, rate: int | dict[str, int] = RATE, unit="uV", marks=()):
    """Write an EDF file; the range of each signal is its own."""
    edfio.Edf(
        [
            edfio.EdfSignal(
                values, rate[name] if isinstance(rate, dict) else rate, label=name, physical_dimension=unit,
                physical_range=(-top, top),
            )
            for name, values in signals.items()
            for top in [float(f"{1.1 * max(np.abs(values).max(), 1e-3):.3g}")]
        ],
        annotations=[edfio.EdfAnnotation(*mark) for mark in marks],
    ).write(path)  # fmt: skip
    return path


def noise(seed: int, seconds: float = 8, rate: int = RATE, sd: float = 20.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, sd, round(seconds * rate))


def verdict(path: Path, **how) -> str | None:
    """What opening and preparing says, None where nothing is wrong."""
    try:
        preprocess_blocks(open_recording(path, reading=ReadingOptions(**how)))
    except RecordingError as error:
        return str(error).removeprefix(f"{path}: ")
    return None


def test_the_verdict_is_that_of_opening_and_preparing(shared):
    for folder in ("formats", "eegmmidb"):
        for path in find_recordings(shared / "eeg" / folder):
            said, found = verdict(path), inspect(path)
            assert found.usable == (said is None), path
            assert said is None or said == found.problems[0], path
            assert (found.planned is None) == (not found.usable), path


def test_what_is_refused_for_one_reason_is_looked_at_for_others(tmp_path):
    names = {"Fp1": noise(0, rate=90), "Cz": noise(1, rate=90), "Q7": noise(2, rate=90), "O1": np.zeros(8 * 90)}
    path = write(tmp_path / "a.edf", names, rate=90, unit="V")
    path.write_bytes(path.read_bytes()[: -90 * 4 * 2])  # the last second
    found = inspect(path)
    truncated, unknown, unit, flat, slow = found.problems
    assert "7 of 8 data records are there" in truncated
    assert "1 of 4 EEG channels are no known electrodes: Q7" in unknown
    assert "unit='uV'" in unit
    assert "flat channels: O1" in flat
    assert "90 samples per second" in slow
    assert inspect(path, reading=ReadingOptions(truncated="accept")).problems == (unknown, unit, flat, slow)
    assert found.seconds == 7.0 and found.electrodes == ("FP1", "CZ", "O1")
    assert all(str(path) not in problem for problem in found.problems)
    path = write(tmp_path / "b.edf", {n: v * 1e-6 for n, v in names.items() if n != "O1"}, rate=90, unit="V")
    assert len(inspect(path, reading=ReadingOptions(unknown="drop")).problems) == 1  # still too slow


def test_unknown_electrodes_do_not_hide_different_rates(tmp_path):
    signals = {"Fp1": noise(0), "Fp2": noise(1), "Cz": noise(2, rate=100), "Q7": noise(3)}
    path = write(tmp_path / "a.edf", signals, rate={"Fp1": RATE, "Fp2": RATE, "Cz": 100, "Q7": RATE})
    unknown, rates = inspect(path).problems
    assert "Q7" in unknown and "CZ (100 Hz)" in rates


def test_values_that_are_no_numbers_are_named_and_nothing_is_made_of_them(tmp_path):
    import mne

    data = np.stack([noise(0), noise(1)]) * 1e-6
    data[1, 700:720] = np.nan
    path = tmp_path / "a_raw.fif"
    mne.io.RawArray(data, mne.create_info(["Cz", "O1"], RATE, "eeg"), verbose="error").save(path, verbose="error")
    found = inspect(path)
    assert found.usable and "left out with all electrodes: O1 between" in " ".join(found.notes)
    assert found.planned.seconds == pytest.approx(found.seconds - 20 / RATE, abs=0.02)
    picture = excerpt(found.recording)
    assert np.isnan(picture.traces[1, 700:720]).all() and np.isfinite(picture.traces[0]).all()
    assert np.isfinite(picture.spectra).all()


def test_channels_and_length_come_from_the_header_where_nothing_can_be_read(shared):
    found = inspect(shared / "eeg/formats/broken/newline_corrupted.edf")
    assert len(found.coverage) == 64 and found.coverage[0].electrode == "FC5"
    assert found.seconds == 125.0 and found.rate is None
    assert any("of the header" in note for note in found.notes)
    nothing = inspect(shared / "eeg/formats/broken/noise.edf")
    assert nothing.size == 4096 and nothing.coverage == () and nothing.seconds is None
    missing = inspect("nowhere.edf")
    assert missing.problems == ("no such file; check the path",) and missing.size is None


def test_channels_that_are_no_electrodes_are_shown_by_their_own_names(shared):
    found = inspect(shared / "eeg/formats/xdf/clock_resets.xdf")
    assert found.electrodes == tuple(f"ch{i}" for i in range(1, 9))
    assert all(row.electrode is None and row.detail == "unknown electrode" for row in found.coverage)
    unknown, unit, slow = found.problems  # the amplitude is looked at all the same
    assert "ch1=" not in unknown and "unit='mV'" in unit and slow.startswith("93 samples per second")
    named = inspect(
        found.file,
        reading=ReadingOptions(channels={f"ch{i}": name for i, name in enumerate(("Cz", "Pz"), 1)}, unit="auto"),
    )
    assert named.problems == (slow,) and named.unit == "mV" and named.electrodes == ("CZ", "PZ")


def test_annotations_are_counted_inside_and_outside(tmp_path):
    marks = [(1.0, 0.0, "blink"), (2.0, 1.0, "blink"), (3.0, 0.0, "cough"), (30.0, 0.0, "later"), (40.0, 0.0, "later")]
    found = inspect(write(tmp_path / "a.edf", {"Cz": noise(0)}, marks=marks))
    assert dict(found.annotations) == {"blink": 2, "cough": 1}
    assert found.outside == 2


@pytest.mark.parametrize(("names", "seconds"), [(("Fp1", "Cz", "O2"), 70), (("Cz",), 131), (("Cz", "O1"), 3)])
def test_the_plan_is_what_a_store_gets(tmp_path, write_store, names, seconds):
    path = write(tmp_path / "a.edf", {name: noise(i, seconds) for i, name in enumerate(names)})
    planned = inspect(path).planned
    signal = np.concatenate(list(preprocess_blocks(open_recording(path)).blocks))
    store = Store(write_store(tmp_path / "store", {"a": ("s", [n.upper() for n in names], (), signal)}))
    windows = unlabelled_windows(store, max_patches=1024, max_seconds=64)
    assert planned.seconds == store.rows[0].seconds
    assert planned.bytes == store.rows[0].samples * len(names) * 2
    assert planned.patches == seconds * len(names)
    assert planned.windows == len(windows)
    assert not windows or planned.window_seconds >= max(window.seconds for window in windows)


def test_the_excerpt_is_the_most_typical_part_and_its_spectra_are_right(tmp_path):
    time = np.arange(180 * RATE) / RATE
    starts = (0, 34, 68, 102, 136, 170)  # of the six blocks that are looked at
    size = np.interp(time, np.ravel([(t, t + 10) for t in starts]), np.repeat((3, 0.4, 1.5, 1, 5, 0.2), 2))
    signals = {
        name: size * 20 * np.sqrt(2) * np.sin(2 * np.pi * (10 + number) * time) + noise(number, 180, sd=1.0)
        for number, name in enumerate(("Fp1", "Cz", "O2"))
    }
    recording = open_recording(write(tmp_path / "a.edf", signals))
    found = excerpt(recording)
    assert found.channels == ("FP1", "CZ", "O2") and found.traces.shape == (3, 10 * RATE)
    assert found.start in (68.0, 102.0)  # the two in the middle of three, 0.4, 1.5, 1, 5 and 0.2
    np.testing.assert_allclose(found.traces.mean(axis=1), 0, atol=1e-6)
    peaks = found.frequencies[found.spectra.argmax(axis=1)]
    np.testing.assert_allclose(peaks, (10, 11, 12))
    step = found.frequencies[1]
    power = np.mean([recording.read(start, start + 10).var(axis=1) for start in starts], axis=0)
    np.testing.assert_allclose(found.spectra.sum(axis=1) * step, power, rtol=0.02)  # Parseval


def without_numbers(names: str, missing: slice) -> mne.io.RawArray:
    data = np.array([noise(i, 40) for i in range(len(names.split()))]) * 1e-6
    data[:, missing] = np.nan
    return mne.io.RawArray(data, mne.create_info(names.split(), RATE, "eeg"), verbose="error")


def test_where_no_channel_holds_numbers_that_is_said_once_and_no_other_is_advised(tmp_path):
    path = tmp_path / "a_raw.fif"
    without_numbers("Fp1 C3 O1", slice(None)).save(path, verbose="error")
    (problem,) = inspect(path).problems
    assert problem.startswith("NaN or infinite values among 8,000 samples of FP1 (8,000), C3 (8,000), O1 (8,000)")
    assert problem.endswith("repair them or cut them out")


@pytest.mark.parametrize(("good", "advised"), [(0, False), (1, True)])
def test_other_channels_are_advised_where_one_has_enough_without_missing_samples(good, advised):
    raw = without_numbers("Cz Pz", slice(None, None, 150))  # never a second without
    raw._data[:good] = noise(5, 40) * 1e-6
    with pytest.raises(RecordingError, match="no 1 s without are left") as refused:
        preprocess_blocks(open_recording(raw), mains=50.0)
    if advised:
        assert preprocess_blocks(open_recording(raw, reading=ReadingOptions(channels=["Cz"])), mains=50.0).stretches
    assert ("name the channels to read without them" in str(refused.value)) == advised
