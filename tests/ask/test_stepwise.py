"""Answers step by step: the same as in one go, early, in order, and nothing more once nobody listens."""

from dataclasses import replace

import numpy as np
import pytest
from edfio import Edf, EdfSignal

import neurolm
from neurolm.ask import prompt
from neurolm.ask.answer import Answer, Progress
from neurolm.ask.answering import Inquiry, Said, _heard
from neurolm.ask.calibration import Calibration, TaskCalibration
from neurolm.ask.novelty import Ranges, describe, measure_range
from neurolm.ask.recording import read_recording
from neurolm.ask.risk import operating_points
from neurolm.core.errors import QuestionError, RecordingError
from neurolm.recording import preprocess
from neurolm.recording.options import BELIEVED

QUESTION = "Is this EEG segment of high workload?"


@pytest.fixture(scope="module")
def long(tmp_path_factory, rhythm):
    """Three minutes whose rhythm and amplitude change."""
    signal = np.concatenate([rhythm("Yes", 100, 2, (1,)), rhythm("No", 80, 2, (2,))])
    signal *= np.linspace(0.3, 4, len(signal))[:, None]
    path = tmp_path_factory.mktemp("edf") / "long.edf"
    channels = zip(signal.T, ("C3", "O1"), strict=True)
    Edf([EdfSignal(one, 200, label=name, physical_dimension="uV") for one, name in channels]).write(path)
    return path


@pytest.fixture(scope="module")
def model(evidence_run, long):
    """With thresholds, and trained on what is like the first half of the recording."""
    model = neurolm.load(evidence_run)
    points = operating_points(
        np.array([[0.9, 0.1]] * 99 + [[0.6, 0.4]] * 297), np.repeat([0, 1], [99, 297]), np.arange(396)
    )
    task = TaskCalibration(task="workload", correlation=0.5, windows=396, stretches=396, subjects=396,
                           per_window=points, pooled=points)  # fmt: skip
    model.calibration = Calibration(tasks=(task,))
    recording = read_recording(long, model.card, reading=BELIEVED, unseen="nearest")
    half = list(recording.samples(range(0, 90 * 200, 800), 4))
    model.ranges = Ranges(tasks=(measure_range("workload", describe(half), ["somebody"] * len(half)),))
    return model


@pytest.mark.parametrize("how", [{}, {"risk": 0.1}, {"options": ["asleep", "awake", "in between"]}])
def test_in_the_end_it_is_the_answer_of_asking(model, long, how, monkeypatch):
    monkeypatch.setitem(prompt.PLACES, "cpu", 1000)
    question = "Is it asleep?" if "options" in how else QUESTION
    *steps, answer = model.ask_stream(long, question, **how)
    assert answer == model.ask(long, question, **how)  # to the last bit
    assert len(steps) >= 5 and all(isinstance(step, Progress) for step in steps)
    windows = [window for step in steps for window in step.windows]
    assert windows == [replace(one, language_model=None, evidence=None) for one in answer.timeline]
    assert [step.done for step in steps] == np.cumsum([len(step.windows) for step in steps]).tolist()
    assert {step.total for step in steps} == {len(windows)}
    assert len(steps[0].windows) < max(len(step.windows) for step in steps) / 2  # the first ones come early


def test_windows_say_which_of_them_are_unlike_the_training(model, long):
    answer = model.ask(long, QUESTION)
    unlike = [window.unlike for window in answer.timeline]
    assert np.mean(unlike) == answer.outside and 0.2 < answer.outside < 1
    assert np.mean(unlike[:40]) < 0.2 and all(unlike[-5:])  # the end is the loudest
    free = [window.unlike for window in model.ask(long, "Is it?", options=["a", "b"]).timeline]
    assert all(isinstance(one, bool) for one in free)


def test_a_closed_iterator_reads_and_computes_nothing_more(model, long, monkeypatch):
    monkeypatch.setattr(preprocess, "LONGEST_BLOCK", 60.0)
    monkeypatch.setitem(prompt.PLACES, "cpu", 1000)
    passes, blocks = [], []
    features, opened = model.module.features, read_recording(long, model.card, reading=BELIEVED, unseen="nearest")
    monkeypatch.setattr(model.module, "features", lambda *given: passes.append(1) or features(*given))

    def holding(spans):
        for block in opened.holding(spans):
            blocks.append(len(block[1]))
            yield block

    steps = model.ask_stream(replace(opened, holding=holding), QUESTION)
    assert passes == blocks == []
    first = next(steps)
    assert (first.done, len(passes), len(blocks)) == (len(first.windows), 1, 1)
    next(steps)
    steps.close()
    assert len(passes) == 2 and sum(blocks) < 180 * 200 / 2
    assert list(steps) == []


def test_what_was_said_is_enough_for_any_risk(model, long):
    """The model is asked once; the answer at every risk is that of asking at it."""
    recording = read_recording(long, model.card, reading=BELIEVED, unseen="nearest")
    inquiry = Inquiry.of(model.asked(QUESTION), recording)
    said = Said.joined([part for _, part in _heard(model.module, [inquiry], model.device)])
    answers = [inquiry.conclude(said, risk=risk) for risk in (None, 0.01, 0.1, 0.3, 0.9)]
    assert answers == [replace(model.ask(long, QUESTION, risk=one.risk), recording=one.recording) for one in answers]
    assert {one.answer for one in answers} > {"undecided"}


def test_what_is_wrong_is_said_before_the_first_step(model, long, tmp_path):
    with pytest.raises(QuestionError, match="Who"):
        model.ask_stream(long, "Who?")
    with pytest.raises(QuestionError, match=r"risk=2"):
        model.ask_stream(long, QUESTION, risk=2)
    with pytest.raises(RecordingError, match=r"nothing\.edf: no such file"):
        model.ask_stream(tmp_path / "nothing.edf", QUESTION)
    assert isinstance(list(model.ask_stream(long, QUESTION))[-1], Answer)
