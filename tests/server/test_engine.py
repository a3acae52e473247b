"""Many questions at once are answered as each alone; none is mixed up, stuck, or answered for nobody."""

import os
import queue
import signal
import threading
import time
from contextlib import ExitStack
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest

import neurolm
from neurolm.ask.answer import Answer, Progress
from neurolm.ask.recording import read_recording
from neurolm.core.errors import CheckpointError, QuestionError, RecordingError
from neurolm.recording.options import ReadingOptions
from neurolm.server.batching import Line
from neurolm.server.engine import ROOMS, Answered, Begun, Ending, Engine, Failed
from neurolm.server.errors import Busy
from neurolm.server.settings import ServerSettings

WORKLOAD, EVENTS = "Is this EEG segment of high workload?", "Which type does this EEG segment belong to?"
FREE = ("Is the subject asleep?", ["asleep", "awake", "neither of them"])
RECORDINGS = {
    "a": {"names": ("C3", "O1"), "seconds": 20}, "b": {"names": ("Fz", "C4", "C3", "Pz"), "seconds": 65},
    "c": {"names": ("O1",), "seconds": 33}, "d": {"names": ("C4", "O1", "C3"), "seconds": 3},
    "e": {"names": ("T3", "Cz", "C3"), "seconds": 180},
}  # fmt: skip


class Told:
    """What an engine told about a question."""

    def __init__(self):
        self.queue = queue.SimpleQueue()
        self.events = []

    def wait(self, until=(Answered, Failed), seconds=60):
        """The next event of these kinds; those before it are in `events`."""
        end = time.monotonic() + seconds
        while True:
            self.events.append(self.queue.get(timeout=max(0.01, end - time.monotonic())))
            if isinstance(self.events[-1], until):
                return self.events[-1]

    def __call__(self, event):
        self.queue.put(event)


@pytest.fixture(scope="module")
def models(evidence_run):
    """Two of different weights."""
    one, two = neurolm.load(evidence_run, device="cpu"), neurolm.load(evidence_run, device="cpu")
    two.module.language.wpe.weight.data *= 3
    return {"one": one, "two": two}


@pytest.fixture(scope="module")
def files(tmp_path_factory, write_edf):
    folder = tmp_path_factory.mktemp("files")
    for seed, (name, how) in enumerate(RECORDINGS.items()):
        write_edf(folder / f"{name}.edf", seed=seed, microvolts=10.0 * (1 + seed), **how)
    for number in range(3):
        write_edf(folder / f"long{number}.edf", seed=50 + number, names=("C3", "O1", "Fz", "C4"), seconds=1800)
    return folder


@pytest.fixture
def entry(files):
    """The function that makes an entry of a file."""

    def make(name):
        path = files / f"{name}.edf"
        return SimpleNamespace(
            id=name, name=f"{name} as shown.edf", path=path, reading=ReadingOptions(unknown="nearest")
        )

    return make


@pytest.fixture(scope="module")
def counted():
    """Windows and questions of every batch."""
    return []


@pytest.fixture(scope="module")
def running(models, counted):
    settings = ServerSettings(models=(), waiting=64, readers=1)
    engine = Engine(models, settings, counted=lambda *of: counted.append(of))
    yield engine
    engine.close()


def same(found: Answer, wanted: Answer) -> None:
    """The same but for the last digits."""
    assert found.timeline and len(found.timeline) == len(wanted.timeline)
    rows = [[window.probabilities for window in one.timeline] for one in (found, wanted)]
    np.testing.assert_allclose(*rows, atol=1e-5)
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, atol=1e-5)
    for name, value in asdict(found).items():
        if name not in (
            "recording",
            "timeline",
            "probability",
            "probabilities",
            "interval",
            "contributions",
            "outside",
        ):
            assert value == getattr(wanted, name), name


def test_answers_under_load_are_those_of_each_alone(models, files, entry, running):
    asked = [
        (model, name, question, options, risk)
        for model in models
        for name in RECORDINGS
        for question, options, risk in ((WORKLOAD, None, None), (EVENTS, None, 0.3), (*FREE, None))
    ]
    heard = [Told() for _ in asked]
    for (model, name, question, options, risk), told in zip(asked, heard, strict=True):
        running.ask(entry(name), models[model].asked(question, options), model=model, risk=risk, told=told)
    answers = {}
    for (model, name, question, options, risk), told in zip(asked, heard, strict=True):
        end = told.wait()
        assert isinstance(end, Answered), end
        alone = models[model].ask(files / f"{name}.edf", question, options=options, risk=risk)
        same(end.answer, alone)
        assert end.answer.recording == f"{name} as shown.edf"
        begun, *steps, _ = told.events
        assert isinstance(begun, Begun) and begun.inquiry.windows.recording.electrodes == alone.electrodes
        assert all(isinstance(step, Progress) for step in steps)
        windows = [window for step in steps for window in step.windows]
        assert windows == [replace(one, language_model=None, evidence=None) for one in end.answer.timeline]
        if name == "b":
            again = models[model].ask(files / f"{name}.edf", question, options=options, risk=0.2)
            same(end.inquiry.conclude(end.said, risk=0.2), again)
        answers[model, name, question] = end.answer.probabilities
    assert running.waiting == 0
    assert len({tuple(np.round(one, 4)) for one in answers.values()}) > 25  # so that a mix-up would show


def test_questions_about_different_recordings_share_a_batch(models, files, running, counted):
    """What came while the model was busy goes through it together; long windows wait for a batch of their own."""
    batcher, model = running.batcher("two"), models["two"]
    asked = [(WORKLOAD, None, "a", 4), (EVENTS, None, "b", 4), (*FREE, "a", 4), (WORKLOAD, None, "c", 12)]
    jobs = []
    for question, options, name, seconds in asked:
        recording = read_recording(files / f"{name}.edf", model.card, reading=ReadingOptions(), unseen="nearest")
        samples = [recording.sample(200 * start, seconds) for start in range(3)]
        jobs.append((model.asked(question, options).prompt, samples))
    alone = [batcher.score(prompt, samples) for prompt, samples in jobs]
    counted.clear()
    parts: list[list[np.ndarray]] = [[] for _ in jobs]
    over = threading.Barrier(2)

    def put():
        for (prompt, samples), found in zip(jobs, parts, strict=True):
            batcher.put(Line(prompt, found.append, found.append), samples)

    batcher.step(put)
    threading.Thread(target=lambda: (batcher.score(*jobs[3]), over.wait())).start()
    over.wait(20)
    assert counted[0] == (6, 2) or counted[0][1] >= 2
    for found, wanted in zip(parts, alone, strict=True):
        np.testing.assert_allclose(np.concatenate(found), wanted, atol=1e-4, rtol=1e-5)


def test_a_question_of_many_words_has_batches_of_its_own(models, files, running, counted):
    """Else a question of few words would have a window of a batch that takes seconds, and so be stuck behind it."""
    batcher, model = running.batcher("two"), models["two"]
    recording = read_recording(files / "a.edf", model.card, reading=ReadingOptions(), unseen="nearest")
    samples = [recording.sample(200 * start, 4) for start in range(3)]
    wordy = model.asked("Which?", [letter * 20 for letter in "abcdefghijklmnopqrstuvwxyz"]).prompt
    short = model.asked(WORKLOAD, None).prompt
    assert wordy.places > 2 * (short.places + len(samples[0].second))
    alone = [batcher.score(prompt, samples) for prompt in (wordy, short)]
    counted.clear()
    parts: list[list[np.ndarray]] = [[], []]

    def put():
        for prompt, found in zip((wordy, short), parts, strict=True):
            batcher.put(Line(prompt, found.append, found.append), samples)

    batcher.step(put)
    until = time.monotonic() + 30
    while sum(windows for windows, _ in counted) < 6 and time.monotonic() < until:
        time.sleep(0.01)
    assert sum(windows for windows, _ in counted) == 6 and {questions for _, questions in counted} == {1}
    for found, wanted in zip(parts, alone, strict=True):
        np.testing.assert_allclose(np.concatenate(found), wanted, atol=1e-4, rtol=1e-5)


def test_a_short_question_is_not_stuck_behind_long_ones(models, entry, running):
    long = [Told() for _ in range(3)]
    asked = models["one"].asked(WORKLOAD)
    for number, told in enumerate(long):
        running.ask(entry(f"long{number}"), asked, model="one", told=told)
    for told in long:
        told.wait(Progress)
    short = Told()
    running.ask(entry("a"), asked, model="one", told=short)
    short.wait(Answered)
    over = time.monotonic()
    for told in long:
        assert isinstance(told.wait(), Answered)
    assert time.monotonic() - over > 0.2 and running.waiting == 0


def test_explanations_take_no_more_than_their_threads(running):
    """Each holds a thread of the forty that all requests share: fifty at once, and the page itself would not come."""
    with ExitStack() as rooms:
        for _ in range(ROOMS):
            rooms.enter_context(running.room())
        with pytest.raises(Busy, match="4 explanations") as refused, running.room():
            pass
        assert int(refused.value.headers["Retry-After"]) >= 1 and running.waiting == ROOMS
    with running.room():
        assert running.waiting == 1


def test_no_more_wait_than_may(models, entry, running, monkeypatch):
    monkeypatch.setattr(running, "_settings", ServerSettings(models=(), waiting=2))
    asked, told = models["one"].asked(WORKLOAD), Told()
    first = running.ask(entry("long0"), asked, model="one", told=told)
    second = running.ask(entry("long1"), asked, model="one", told=told)
    with pytest.raises(Busy, match=r"2 questions.*ask again in \d+ s") as refused:
        running.ask(entry("a"), asked, model="one", told=told)
    assert 1 <= int(refused.value.headers["Retry-After"]) <= 600
    with pytest.raises(Busy), running.room():
        pass
    first.cancel()
    other = Told()
    running.ask(entry("a"), asked, model="one", told=other)
    assert isinstance(other.wait(), Answered)
    with running.room(), pytest.raises(Busy):
        running.ask(entry("a"), asked, model="one", told=told)
    second.cancel()


def test_what_nobody_waits_for_is_not_computed(models, entry, running, counted):
    counted.clear()
    told = Told()
    asking = running.ask(entry("long0"), models["one"].asked(WORKLOAD), model="one", told=told)
    told.wait(Progress)
    asking.cancel()
    until = time.monotonic() + 30  # others, of tests before, are let go when their event was told
    while running.waiting and time.monotonic() < until:
        time.sleep(0.01)
    assert running.waiting == 0
    time.sleep(1)  # what is under way ends
    before = len(counted)
    time.sleep(0.5)
    assert len(counted) == before and sum(windows for windows, _ in counted) < 600
    while not told.queue.empty():
        assert not isinstance(told.queue.get(), Answered | Failed)


def test_a_killed_reader_costs_the_question_that_it_read_for(models, entry, running):
    asked, warm = models["one"].asked(WORKLOAD), Told()
    running.ask(entry("a"), asked, model="one", told=warm)
    warm.wait(Answered)
    (pid,) = running.readers.pids
    os.kill(pid, signal.SIGSTOP)
    hit, spared = Told(), Told()
    running.ask(entry("b"), asked, model="one", told=hit)
    running.ask(entry("c"), asked, model="one", told=spared)
    time.sleep(0.3)
    os.kill(pid, signal.SIGKILL)
    error = hit.wait().error
    assert isinstance(error, RecordingError) and "exit status -9" in str(error)
    assert isinstance(spared.wait(), Answered)
    assert running.readers.pids != [pid]


def test_what_is_wrong_with_one_question_is_its_own_matter(models, files, entry, running):
    heard = [Told() for _ in range(4)]
    running.ask(entry("b"), models["one"].asked("Is it? " * 60, ["a", "b"]), model="one", told=heard[0])
    running.ask(SimpleNamespace(**vars(entry("a")) | {"path": files / "none.edf"}), models["one"].asked(WORKLOAD),
                model="one", told=heard[1])  # fmt: skip
    broken = models["one"].asked("Is it broken?", ["yes", "no"])
    broken = replace(broken, prompt=replace(broken.prompt, question=(10**6,)))  # no such token
    running.ask(entry("b"), broken, model="one", told=heard[2])
    running.ask(entry("b"), models["one"].asked(WORKLOAD), model="one", told=heard[3])
    assert isinstance(heard[3].wait(), Answered)
    errors = [one.wait().error for one in heard[:3]]
    assert isinstance(errors[0], QuestionError) and "this model reads 160" in str(errors[0])
    assert isinstance(errors[1], RecordingError) and isinstance(errors[2], IndexError)
    assert running.waiting == 0


def test_the_end_is_told_to_all_who_wait(models, entry):
    running = Engine(models, ServerSettings(models=(), readers=1))
    heard = [Told() for _ in range(3)]
    for number, told in enumerate(heard):
        running.ask(entry(f"long{number}"), models["one"].asked(WORKLOAD), model="one", told=told)
    heard[0].wait(Progress)
    began = time.monotonic()
    running.close()
    assert time.monotonic() - began < 3
    assert all(isinstance(told.wait().error, Ending) for told in heard)
    with pytest.raises(Ending):
        running.ask(entry("a"), models["one"].asked(WORKLOAD), model="one", told=Told())
    with pytest.raises(CheckpointError, match="ending"):
        running.batcher("one").step(list)
