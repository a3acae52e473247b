"""Recordings of any length: answers and features are those of the whole, in memory that does not grow with it."""

import tracemalloc
from dataclasses import replace

import mne
import numpy as np
import pytest
from edfio import Edf, EdfSignal

import neurolm
from neurolm.ask.recording import Windows, read_recording
from neurolm.batches.loader import sample_from
from neurolm.core.montage import ELECTRODES
from neurolm.core.physics import RATE
from neurolm.recording import preprocess as filtering
from neurolm.recording.options import ReadingOptions
from neurolm.recording.preprocess import preprocess, preprocess_blocks
from neurolm.recording.recording import open_recording

NAMES = ("FP1", "C3", "CZ", "C4", "PZ", "O1", "O2")
KNOWN = ("C4", "C3", "O2")


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch):
    """Blocks of a minute, and windows in many lists."""
    monkeypatch.setattr(filtering, "LONGEST_BLOCK", filtering.SHORTEST_BLOCK)
    monkeypatch.setattr("neurolm.ask.recording.AT_ONCE", 100_000)


@pytest.fixture(scope="module")
def model(micro_run):
    model = neurolm.load(micro_run.folder)
    model.card = replace(model.card, electrodes=KNOWN)
    return model


def noise(seconds: float, rate: float, names=NAMES) -> np.ndarray:
    """µV, (channels, samples), with slow waves, hum and a rhythm that comes and goes."""
    rng = np.random.default_rng(7)
    time = np.arange(round(seconds * rate)) / rate
    white = 15 * rng.standard_normal((len(names), len(time)))
    rhythm = 30 * np.sin(2 * np.pi * 10 * time) * (np.sin(2 * np.pi * time / 47) > 0)
    return white + rhythm + 20 * np.sin(2 * np.pi * 0.3 * time) + 8 * np.sin(2 * np.pi * 50 * time)


def raw_of(data: np.ndarray, rate: float, names=NAMES, *, missing=(), bad=()) -> mne.io.RawArray:
    info = mne.create_info([name.capitalize() for name in names], rate, "eeg")
    raw = mne.io.RawArray(data * 1e-6, info, verbose="error")
    for first, last in missing:
        raw._data[3, round(first * rate) : round(last * rate)] = np.nan
    raw.set_annotations(mne.Annotations([first for first, _ in bad], [last - first for first, last in bad], "BAD"))
    return raw


def edf_of(path, data: np.ndarray, rate: float, names=NAMES):
    Edf(
        [
            EdfSignal(one, rate, label=name, physical_dimension="uV", physical_range=(-300, 300))
            for one, name in zip(np.clip(data, -300, 300), names, strict=True)
        ],
        data_record_duration=1,
    ).write(path)
    return path


def sources(tmp_path):
    """Recordings of different rates and formats, with interruptions and without."""
    gaps = {"missing": [(71.3, 71.4), (130.0, 133.2), (133.9, 134.0), (210.0, 210.5)], "bad": [(30, 31), (180, 184.7)]}
    return {
        "edf": edf_of(tmp_path / "a.edf", noise(203, 256), 256),
        "as it is": raw_of(noise(150, 200), 200),
        "gaps": raw_of(noise(300, 250), 250, **gaps),
        "slow, and short parts": raw_of(noise(100, 128), 128, missing=[(13.0, 13.1), (20.0, 50.0)]),
    }


@pytest.mark.parametrize("which", ["edf", "as it is", "gaps", "slow, and short parts"])
def test_windows_are_those_of_the_recording_filtered_as_a_whole(model, tmp_path, which):
    """With all its electrodes, of which the model knows three: not a bit is different."""
    source = sources(tmp_path)[which]
    found = read_recording(source, model.card, reading=ReadingOptions(), unseen="drop")
    whole = preprocess(open_recording(source))
    said = {note for note in whole.notes if "band limited" not in note}  # which is said otherwise to a model
    assert found.stretches == whole.stretches and said <= set(found.notes)
    signal = whole.signal[:, [NAMES.index(name) for name in found.electrodes]]
    for seconds, stride in ((4, 2.0), (9, 11.3)):
        windows = Windows.of(found, seconds=seconds, stride=stride)
        samples = list(found.samples(windows.starts, windows.seconds))
        assert len(samples) == len(windows.starts) >= 5
        for start, sample in zip(windows.starts, samples, strict=True):
            first, last = found.span(start, seconds)
            np.testing.assert_array_equal(sample.patches, sample_from(signal[first:last], found.channels).patches)


@pytest.mark.parametrize("which", ["edf", "gaps"])
def test_answers_are_those_of_one_block(model, tmp_path, which, monkeypatch):
    """All questions, explanations and features: a longer block changes single precision's last digits only."""
    source = sources(tmp_path)[which]
    long = model.ask_all(source), model.explain(source, model.questions[1]), model.embed(source, seconds=3, stride=2.5)
    monkeypatch.setattr(filtering, "LONGEST_BLOCK", 600.0)
    monkeypatch.setattr("neurolm.ask.recording.AT_ONCE", 1 << 30)
    whole = model.ask_all(source), model.explain(source, model.questions[1]), model.embed(source, seconds=3, stride=2.5)
    for one, other in zip(long[0], whole[0], strict=True):
        assert one.notes == other.notes and len(one.timeline) == len(other.timeline) > 10
        assert [window.start for window in one.timeline] == [window.start for window in other.timeline]
        np.testing.assert_allclose(
            [w.probabilities for w in one.timeline], [w.probabilities for w in other.timeline], atol=2e-4
        )
    assert long[1].log_odds == pytest.approx(whole[1].log_odds, abs=1e-3)
    assert long[2].starts.tolist() == whole[2].starts.tolist()
    np.testing.assert_allclose(long[2].features, whole[2].features, atol=1e-3)


def test_only_blocks_with_wanted_windows_are_filtered(model, tmp_path):
    """Each is the same block that it is among all, on either side of interruptions."""
    recording = open_recording(sources(tmp_path)["gaps"])
    found = preprocess_blocks(recording)
    every = dict(found.holding([(0, found.samples)]))
    assert len(every) > 6 and sum(map(len, every.values())) == found.samples
    for spans in ([(0, 1)], [(20_000, 20_001), (50_000, 50_400)], [(found.samples - 1, found.samples)], []):
        some = dict(found.holding(spans))
        held = {at for at, b in every.items() if any(at < last and first < at + len(b) for first, last in spans)}
        assert held <= some.keys() < every.keys()
        assert len(some) <= len(held) + 2  # one block of the filter may be several, which bad parts divide
        for at, block in some.items():
            np.testing.assert_array_equal(block, every[at])


def test_electrodes_made_from_others_are_the_same_without_the_rest(tmp_path):
    """Differences need two channels each, splines all of them."""
    names = ("FP1", "F7", "T3", "T5", "O1", "F3", "C3", "P3", "FP2", "F8", "T4", "T6", "O2", "F4", "C4", "P4")
    source = edf_of(tmp_path / "a.edf", noise(130, 256, names), 256, names)
    wanted = ReadingOptions(unknown="interpolate", channels=["FP1", "FZ", "PZ", "T4"])
    for recording in (open_recording(source, montage="tcp"), open_recording(source, reading=wanted)):
        whole = preprocess(recording)
        chosen = [3, 0, 2]
        found = preprocess_blocks(recording, electrodes=chosen)
        assert (found.stretches, found.notes, found.channels) == (whole.stretches, whole.notes, 3)
        np.testing.assert_allclose(np.concatenate(list(found.blocks)), whole.signal[:, chosen], atol=1e-4)
    bipolar = open_recording(source, montage="tcp")
    few = bipolar.only([3, 0])
    assert few.channels == (bipolar.channels[3], bipolar.channels[0]) and len(few._microvolts) <= 4
    np.testing.assert_array_equal(few.read(5, 9), bipolar.read(5, 9)[[3, 0]])


def test_features_are_written_part_by_part(model, tmp_path):
    source = sources(tmp_path)["gaps"]
    parts = model.embed_parts(source, seconds=5, stride=2)
    whole = model.embed(source, seconds=5, stride=2)
    each = list(parts)
    assert len(each) > 10 and parts.shape == whole.features.shape
    np.testing.assert_array_equal(np.concatenate([part.features for part in each]), whole.features)
    parts.save(tmp_path / "parts.npz")
    whole.save(tmp_path / "whole.npz")
    with np.load(tmp_path / "parts.npz") as one, np.load(tmp_path / "whole.npz") as other:
        assert set(one) == set(other) == {"features", "codes", "starts", "electrodes"}
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
            assert one[name].dtype == other[name].dtype
        np.testing.assert_array_equal(one["features"], whole.features)
        assert one["electrodes"].tolist() == list(whole.electrodes)
    assert sorted(file.name for file in tmp_path.glob("*.npz")) == ["parts.npz", "whole.npz"]


def test_memory_does_not_grow_with_the_recording(model, tmp_path, monkeypatch):
    """Four times the length takes the same, but for what is kept of a window; the recording itself would be 8 MB."""
    names = ELECTRODES[:8]
    monkeypatch.setattr(model, "card", replace(model.card, electrodes=tuple(names)))
    runs = {
        "ask": lambda path: model.ask(path, "Is it?", options=["yes", "no"]),
        "embed": lambda path: model.embed_parts(path, seconds=4).save(tmp_path / "features.npz"),
    }
    peaks = {}
    for minutes in (5, 20):
        path = edf_of(tmp_path / f"{minutes}.edf", noise(60 * minutes, 200, names), 200, names)
        for what, run in runs.items():
            if minutes == 5:
                run(path)  # what is made once is no recording's
            tracemalloc.start()
            run(path)
            peaks[what, minutes] = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    assert 20 * 60 * RATE * len(names) * 4 > 7.5e6
    for what in runs:
        assert peaks[what, 20] < peaks[what, 5] + 1e6, peaks
