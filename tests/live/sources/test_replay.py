"""Recordings replayed: the samples of the file, its marks and its interruptions, at the pace that was asked for."""

import time
from itertools import pairwise

import edfio
import mne
import numpy as np
import pytest

from neurolm.core.errors import ConfigError, RecordingError
from neurolm.live.source import Chunk, Notice
from neurolm.live.sources.open_source import open_source
from neurolm.recording.options import ReadingOptions
from neurolm.recording.recording import Recording


def gathered(source):
    """Samples, times and markers of all chunks of a source, and its notices."""
    arrived = list(source)
    chunks = [one for one in arrived if isinstance(one, Chunk)]
    samples = np.concatenate([chunk.samples for chunk in chunks], axis=1)
    times = np.concatenate([chunk.times for chunk in chunks])
    return samples, times, [m for c in chunks for m in c.markers], [n for n in arrived if isinstance(n, Notice)]


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """Fifty seconds of three electrodes at 250 Hz, with two annotations."""
    path = tmp_path_factory.mktemp("replay") / "night.edf"
    rng = np.random.default_rng(0)
    signals = [
        edfio.EdfSignal(rng.normal(0, 20, 12500), 250, label=f"EEG {name}-REF", physical_dimension="uV",
                        physical_range=(-200, 200)) for name in ("Fp1", "C3", "O1")
    ]  # fmt: skip
    notes = (edfio.EdfAnnotation(3.5, None, "lights off"), edfio.EdfAnnotation(41, 2, "spindle"))
    edfio.Edf(signals, annotations=notes).write(path)
    return path


def test_the_samples_are_those_of_the_file_in_order(night):
    source = open_source(f"file:{night}?speed=max")
    samples, times, markers, notices = gathered(source)
    assert source.layout.channels == ("FP1", "C3", "O1") and source.layout.rate == 250
    edf = edfio.read_edf(night)
    np.testing.assert_allclose(samples, [signal.data for signal in edf.signals], atol=1e-9)
    np.testing.assert_allclose(times, np.arange(12500) / 250, atol=1e-9)
    assert markers == [(3.5, "lights off"), (41.0, "spindle")]
    assert [notice.kind for notice in notices] == ["ended"]
    assert np.array_equal(gathered(source)[0], samples)  # again, from the beginning


def test_a_block_of_the_file_is_read_at_a_time(night, monkeypatch):
    source = open_source(f"file:{night}?speed=max")
    spans = []
    read = Recording.read_samples
    monkeypatch.setattr(
        Recording, "read_samples",
        lambda self, first, last: (spans.append((first, last)), read(self, first, last))[1],
    )  # fmt: skip
    assert sum(one.samples.shape[1] for one in source if isinstance(one, Chunk)) == 12500
    assert spans == [(0, 5000), (5000, 10000), (10000, 12500)]


def test_it_takes_the_time_that_was_asked_for(night):
    began = time.monotonic()
    received = [one.received for one in open_source(f"file:{night}?speed=50") if isinstance(one, Chunk)]
    assert 0.9 < time.monotonic() - began < 3  # fifty seconds, and a loaded machine
    assert all(one <= other for one, other in pairwise(received))
    source = open_source(f"file:{night}")
    chunk = next(iter(source))
    assert chunk.samples.shape == (3, 25)  # a tenth of a second in real time


def test_closing_ends_a_replay(night):
    source = open_source(f"file:{night}?speed=2")
    arrived = []
    for one in source:
        arrived.append(one)
        source.close()
    assert len(arrived) == 1
    source.close()


def test_interruptions_and_what_is_called_bad_are_missing(tmp_path):
    numbers = np.random.default_rng(0).normal(0, 2e-5, (2, 6000))
    raw = mne.io.RawArray(numbers, mne.create_info(["C3", "C4"], 200, "eeg"), verbose="error")
    raw.set_annotations(mne.Annotations([5, 12, 20], [2, 1, 0], ["BAD_ACQ_SKIP", "BAD movement", "tone"]))
    raw.save(tmp_path / "x_raw.fif", verbose="error")
    samples, times, markers, notices = gathered(open_source(f"file:{tmp_path / 'x_raw.fif'}?speed=max"))
    assert [(one.kind, one.time, one.text) for one in notices[:-1]] == [
        ("gap", 5.0, "2 s are missing (400 samples)"), ("gap", 12.0, "1 s are missing (200 samples)"),
    ]  # fmt: skip
    kept = np.r_[0:1000, 1400:2400, 2600:6000]
    np.testing.assert_allclose(times, kept / 200)
    np.testing.assert_allclose(samples, numbers[:, kept] * 1e6, rtol=1e-5)
    # MNE's reader adds an annotation of its own where the file skips.
    assert sorted(set(markers)) == [(5.0, "BAD_ACQ_SKIP"), (12.0, "BAD movement"), (20.0, "tone")]
    keep = ReadingOptions(bad_segments="keep")
    times = gathered(open_source(f"file:{tmp_path / 'x_raw.fif'}?speed=max", reading=keep))[1]
    np.testing.assert_allclose(times, np.r_[0:1000, 1400:6000] / 200)


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("lls:x", ConfigError, r"no kind of source is called 'lls': did you mean lsl.*file:PATH\[\?speed=8\]"),
        ("{night}", ConfigError, r"for a recording write file:.*night\.edf"),
        ("file:{night}.gone", RecordingError, "no such file"),
        ("file:{night}?spede=2", ConfigError, "there is no setting 'spede': did you mean speed"),
        ("file:{night}?speed=-1", ConfigError, "speed=-1: give how many times faster"),
    ],
)
def test_what_cannot_be_opened_says_why(night, name, error, said):
    with pytest.raises(error, match=said):
        open_source(name.format(night=night))


def test_a_question_mark_may_be_part_of_a_files_name(write_edf, tmp_path):
    write_edf(tmp_path / "eyes?.edf", seed=0)
    assert open_source(f"file:{tmp_path / 'eyes?.edf'}").layout.name == "eyes?.edf"
