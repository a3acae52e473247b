"""Windows that share a label are pooled as a recording is when it is asked about."""

import numpy as np
import pytest

from neurolm.ask.calibration import TaskCalibration
from neurolm.batches.windows import Window
from neurolm.evaluation.pooling import pooled, units
from neurolm.evaluation.results import Predictions


def window(recording: int, span: tuple[int, int], start: int) -> Window:
    return Window(recording=recording, start=start, seconds=1, subject=f"S{recording}", label=None, span=span)


WINDOWS = [window(recording, (0, 1000), start) for recording in (0, 1) for start in (0, 200, 400)]


def predictions(labels: list[int], windows: list[Window]) -> Predictions:
    return Predictions(
        labels=tuple(labels), probabilities=(), subjects=tuple(w.subject for w in windows),
        recordings=tuple(f"R{w.recording}" for w in windows), starts=tuple(w.start / 200 for w in windows),
    )  # fmt: skip


def test_what_shares_a_label_is_a_recording_or_a_stretch():
    assert units(WINDOWS, [0, 0, 0, 1, 1, 1]) == ("recording", [(0,)] * 3 + [(1,)] * 3)
    two = [*WINDOWS, window(1, (1000, 2000), 1000)]
    unit, keys = units(two, [0, 0, 0, 1, 1, 1, 0])
    assert unit == "stretch" and len(set(keys)) == 3


@pytest.mark.parametrize("correlation", [1.0, 0.3])
def test_pooled_answers_are_scored_as_they_are_given(correlation):
    """The windows' order does not matter, the calibration's ρ does."""
    found = np.random.default_rng(0).standard_normal((6, 3)) * 3
    labels, order = [0, 0, 0, 2, 2, 2], [3, 0, 4, 1, 2, 5]
    fitted = TaskCalibration(task="t", temperature=1.4, correlation=correlation)
    shares = np.stack([fitted.pool(found[:3]), fitted.pool(found[3:])])
    windows = [WINDOWS[i] for i in order]
    asked = predictions([labels[i] for i in order], windows)
    answers = pooled(windows, asked, fitted.probabilities(found)[order], correlation=correlation)
    scores = answers.scores
    assert scores.n == 2
    np.testing.assert_allclose(answers.predictions.probabilities, shares[::-1])  # in the order of their first windows
    assert answers.predictions.labels == (2, 0) and answers.predictions.recordings == ("R1", "R0")
    assert scores.brier == pytest.approx(((shares - np.eye(3)[[0, 2]]) ** 2).sum(axis=1).mean())


def test_no_window_rules_an_answer_out_for_all():
    """The first window leaves nothing for the second option; the others leave almost nothing for the first."""
    first = [[1.0, 0.0], [1e-9, 1 - 1e-9], [1e-9, 1 - 1e-9]]
    asked = predictions([1, 1, 1, 0, 0, 0], WINDOWS)
    scores = pooled(WINDOWS, asked, np.array(first + [[0.9, 0.1]] * 3)).scores
    assert scores.balanced_accuracy == 1.0
