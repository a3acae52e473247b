"""EEG that is made up: the same for the same settings, with alpha where the markers say that the eyes are closed."""

import numpy as np
import pytest
import scipy.signal

from neurolm.core.errors import ConfigError, RecordingError
from neurolm.live.source import Chunk
from neurolm.live.sources.open_source import open_source


def made(settings):
    """Samples, times and markers of a synthetic source."""
    chunks = [one for one in open_source(f"synthetic:?{settings}&speed=max") if isinstance(one, Chunk)]
    times = np.concatenate([chunk.times for chunk in chunks])
    return np.concatenate([chunk.samples for chunk in chunks], axis=1), times, [m for c in chunks for m in c.markers]


def test_alpha_comes_and_goes_when_the_markers_say():
    samples, times, markers = made("every=10&seconds=60&channels=O1,O2&seed=2")
    assert markers == [(10.0 * i, ("eyes closed", "eyes open")[i % 2]) for i in range(6)]
    np.testing.assert_allclose(times, np.arange(15000) / 250)
    power = []
    for at, _ in markers:
        inside = samples[:, (times >= at + 2) & (times < at + 9)]
        frequencies, spectrum = scipy.signal.welch(inside, 250, nperseg=500)
        alpha = spectrum[:, (frequencies >= 7) & (frequencies <= 13)].sum()
        power.append(alpha / spectrum[:, (frequencies >= 2) & (frequencies <= 30)].sum())
    assert min(power[::2]) > 1.5 * max(power[1::2])


def test_the_same_settings_make_the_same_eeg_in_chunks_of_any_size():
    whole = made("every=4&seconds=9.5&channels=C3,O1")[0]
    assert whole.shape == (2, 2375)
    chunks = list(open_source("synthetic:?every=4&seconds=9.5&channels=C3,O1&speed=8"))
    assert np.array_equal(np.concatenate([one.samples for one in chunks[:-1]], axis=1), whole)
    assert {chunk.samples.shape[1] for chunk in chunks[:-1]} == {200, 175}
    assert not np.allclose(made("every=4&seconds=9.5&channels=C3,O1&seed=1")[0], whole)
    assert not np.allclose(made("every=4&seconds=9.5&channels=C3,O1&person=3")[0], whole)


def test_scenes_follow_one_another_without_a_step():
    samples, _, _ = made("every=5&seconds=50&channels=C3,C4")
    steps = np.abs(np.diff(samples, axis=1)).max(axis=0)
    at = 1250 * np.arange(1, 10)
    assert steps[at - 1].max() < steps.max()
    assert np.median(steps[at - 1]) < 2 * np.median(steps)


@pytest.mark.parametrize(("task", "first"), [("workload", "No"), ("sleep", "Wake"), ("events", "background")])
def test_the_states_of_the_simulated_corpus_come_in_turn(task, first):
    source = open_source(f"synthetic:?task={task}&every=4&seconds=2&speed=max")
    assert next(iter(source)).markers == ((0.0, first),)
    assert len(source.layout.channels) == (4 if task == "sleep" else 19)


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("synthetic:?task=sleeep", ConfigError, "task=sleeep: there is none of this name: did you mean sleep"),
        ("synthetic:?every=0.5", ConfigError, "give whole seconds that each state lasts, 4 to 3,600"),
        ("synthetic:?every=999999999999", ConfigError, "give whole seconds that each state lasts, 4 to 3,600"),
        ("synthetic:?rate=999999999", ConfigError, "give whole samples per second, 160 to 20,000"),
        ("synthetic:?rate=20000&every=101", ConfigError, "2,020,000 samples of each state, and 2,000,000 are the most"),
        ("synthetic:?seconds=1e308", ConfigError, "give seconds, 1 to 1,000,000,000"),
        ("synthetic:?seed=" + "9" * 40, ConfigError, "give a whole number, 0 to "),
        ("synthetic:?speed=1e-300", ConfigError, "0.001 or more"),
        ("synthetic:eyes", ConfigError, "nothing but settings may follow"),
        ("synthetic:?channels=C3,XX9", RecordingError, "there is no XX9"),
    ],
)
def test_what_cannot_be_made_says_why(name, error, said):
    with pytest.raises(error, match=said):
        open_source(name)
