"""A question finds its task and its limits, and its windows lie where they are looked for."""

import re
from collections.abc import Iterator

import numpy as np
import pytest

from neurolm.ask.calibration import Calibration, TaskCalibration
from neurolm.ask.novelty import FEATURES, Ranges, TrainingRange
from neurolm.ask.question import NOT_CALIBRATED, NOT_TUNED, find_question
from neurolm.ask.recording import ModelInput, Windows, read_windows
from neurolm.batches.loader import sample_from
from neurolm.core.errors import QuestionError, RecordingError
from neurolm.core.physics import RATE
from neurolm.core.stretches import Spans, Stretch, Stretches, whole
from neurolm.tasks.card import load_task

TASKS = (load_task("workload"), load_task("sleep"))


def known(task: str, low: float, high: float) -> TrainingRange:
    n = len(FEATURES)
    return TrainingRange(
        task=task, low=(low,) * n, high=(high,) * n, spread=(1.0,) * n, margin=0.5, windows=9, subjects=3
    )  # fmt: skip


RANGES = Ranges(tasks=(known("workload", 0.0, 1.0), known("sleep", 5.0, 6.0)))


def ask(question: str, options=None, *, calibration=None):
    return find_question(question, options, TASKS, calibration=calibration, ranges=RANGES)


def test_a_question_is_held_against_its_own_task_or_against_all():
    """Windows like those of sleep are unlike those of workload; a question of no task may be like either."""
    windows = np.full((4, len(FEATURES)), 5.5)
    workload = ask(TASKS[0].question)
    assert workload.trained and workload.novelty(windows).outside == 1.0
    own = ask("Is the moon full?", ["yes", "no"])
    assert not own.trained and own.novelty(windows).outside == 0.0
    assert own.novelty(windows + 2).outside == 1.0
    plain = find_question("Is the moon full?", ["yes", "no"], TASKS, calibration=None, ranges=None)
    assert plain.novelty(windows) is None


def test_what_limits_an_answer_comes_with_the_worst_first():
    windows = np.full((4, len(FEATURES)), 9.0)
    fitted = Calibration(tasks=(TaskCalibration(task="workload", temperature=1.3),))
    own, plain = ask("Is the moon full?", ["yes", "no"], calibration=fitted), ask(TASKS[0].question)
    calibrated = ask(TASKS[0].question, calibration=fitted)
    assert (own.fitted, calibrated.calibration.temperature, plain.calibration.temperature) == (None, 1.3, 1.0)
    unlike = own.novelty(windows)
    assert own.caveats(unlike) == (NOT_TUNED, unlike.warning)
    assert plain.caveats(unlike) == (NOT_CALIBRATED, unlike.warning)
    assert calibrated.caveats(unlike) == (unlike.warning,) and calibrated.caveats(None) == ()


def read(signal: np.ndarray, stretches: Stretches, *notes: str, block: int = 10**9) -> ModelInput:
    """A recording that comes in blocks of so many samples."""

    def holding(spans: Spans) -> Iterator[tuple[int, np.ndarray]]:
        return ((first, signal[first : first + block]) for first in range(0, len(signal), block))

    return ModelInput(
        name="a.edf", stretches=stretches, channels=np.array([1, 2]), electrodes=("C3", "C4"), notes=notes,
        holding=holding,
    )  # fmt: skip


def windows_of(seconds: float) -> Windows:
    signal = np.zeros((round(seconds * RATE), 2), np.float32)
    recording = read(signal, whole(len(signal)), "first")
    return Windows.of(recording, seconds=TASKS[0].seconds, stride=TASKS[0].stride)


def test_windows_between_two_moments_are_whole_and_spread_over_all():
    windows = windows_of(21.5)  # 4 s every 2 s
    assert windows.spans == [(s, s + 4) for s in range(0, 17, 2)]
    assert windows.between(0, None, most=100) == list(windows.starts)
    assert windows.between(3, 12.5, most=100) == [s * RATE for s in (4, 6, 8)]
    assert windows.between(0, None, most=3) == [s * RATE for s in (0, 8, 16)]
    assert windows.between(3, 12.5, most=1) == [4 * RATE]
    with pytest.raises(
        QuestionError, match=r"start=3, stop=6: no window of 4 s lies between these seconds .* of 21\.5 s"
    ):
        windows.between(3, 6, most=5)


def test_a_short_recording_is_one_window_with_a_note():
    short = windows_of(2.7)
    assert (short.spans, short.seconds) == ([(0.0, 2.0)], 2)
    assert short.notes == ("first", "the recording is shorter than the 4 s window the model was trained on")
    (sample,) = short.recording.samples(short.starts, short.seconds)
    assert sample.seconds == 2 and sample.channels == 2
    with pytest.raises(RecordingError, match=r"a\.edf: 0\.50 s long"):
        windows_of(0.5)


def test_windows_lie_inside_stretches():
    signal = np.arange(2 * 3000, dtype=np.float32).reshape(-1, 2)
    parts = (Stretch(0, 2000, 0), Stretch(4001, 900, 2000), Stretch(9000, 100, 2900))
    recording = read(signal, parts)
    windows = Windows.of(recording, seconds=4, stride=2)
    assert windows.starts == (0, 400, 800, 1200, 4001)
    assert windows.notes == ("parts shorter than the 4 s window left out: 0.5 s",)
    (sample,) = recording.samples([4001], 4)
    np.testing.assert_array_equal(sample.patches, sample_from(signal[2000:2800], recording.channels).patches)
    assert windows.between(6.1, None, most=9) == [4001]
    with pytest.raises(QuestionError, match=r"start=9 s with seconds=4 is not all there: .* has 0 to 10 s"):
        recording.sample(1800, 4)
    longer = Windows.of(recording, seconds=20, stride=20)
    assert (longer.seconds, longer.starts) == (10, (0,))


@pytest.mark.parametrize("block", [1, 7, 700, 801, 2900])
def test_windows_over_several_blocks_are_those_of_the_whole(block, monkeypatch):
    """Two cuts from one reading, each in the order of time, in lists that blocks do not end."""
    signal = np.random.default_rng(1).standard_normal((3600, 2)).astype(np.float32)
    recording = read(signal, (Stretch(0, 2000, 0), Stretch(4001, 1600, 2000)), block=block)
    cuts = [Windows.of(recording, seconds=s, stride=t) for s, t in ((4, 0.5), (1, 3.0))]
    monkeypatch.setattr("neurolm.ask.recording.AT_ONCE", 5 * 4 * 2 * RATE * 4)
    found = [[], []]
    sizes = []
    for cut, samples in read_windows(cuts):
        found[cut] += samples
        sizes.append((cut, len(samples)))
    assert sizes == [(0, 5), (0, 5), (0, 5), (0, 5), (0, 2), (1, 7)]
    for windows, samples in zip(cuts, found, strict=True):
        assert len(samples) == len(windows.starts)
        for start, sample in zip(windows.starts, samples, strict=True):
            at = start if start < 2000 else start - 2001
            wanted = sample_from(signal[at : at + windows.seconds * RATE], recording.channels)
            np.testing.assert_array_equal(sample.patches, wanted.patches)


@pytest.mark.parametrize(
    ("asked", "task"),
    [("Is this EEG segment of hihg work load?", 0), ("sleep", 1), ("Which sleep stage does this EEG belong to.", 1)],
)
def test_the_nearest_question_is_named_where_none_is_known(asked, task):
    with pytest.raises(QuestionError, match=f"the nearest that it knows is {re.escape(repr(TASKS[task].question))}"):
        ask(asked)


def test_a_question_that_is_near_none_has_no_nearest():
    with pytest.raises(QuestionError, match=r"not tuned on the question 'xyzzy'\. It knows: "):
        ask("xyzzy")
