"""Answers about an archive are the same bytes whoever worked, how often it was killed, and in whatever order."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch
from edfio import Edf, EdfSignal

import neurolm
from neurolm.archive import archive as engine
from neurolm.archive.archive import ArchiveReport, ask_archive, ask_many
from neurolm.archive.inputs import find_sources
from neurolm.archive.request import PART, request_for
from neurolm.archive.worker import answer_recording
from neurolm.core.errors import CheckpointError, ConfigError, QuestionError, RecordingError, StoreError
from neurolm.core.workers import Crash, Pool, Workers
from neurolm.prepare.prepare import prepare
from neurolm.recording.options import ReadingOptions

QUESTION = "Is this EEG segment of high workload?"
GOOD, BAD = 8, 2


def write(path: Path, signal: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pairs = zip(signal.T, ("C3", "O1"), strict=True)
    Edf([EdfSignal(x, 200, label=n, physical_dimension="uV") for x, n in pairs], data_record_duration=1).write(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, rhythm) -> Path:
    """Eight recordings of four people; one file that breaks off in its header, and one that is empty."""
    place = tmp_path_factory.mktemp("archive")
    for number in range(GOOD):
        name = f"study/sub-{number // 2}/ses-{number % 2}/eeg/sub-{number // 2}_ses-{number % 2}_eeg.edf"
        write(place / name, rhythm(("Yes", "No")[number % 2], 13 + number, 2, (number,)))
    whole = (place / "study/sub-0/ses-0/eeg/sub-0_ses-0_eeg.edf").read_bytes()
    (place / "study/sub-0/ses-0/eeg/broken.edf").write_bytes(whole[:300])
    (place / "study/sub-3/ses-0/eeg/empty.edf").write_bytes(b"")
    return place


@pytest.fixture
def here(folder, monkeypatch):
    """In that folder, where names are short; its copy may be changed."""
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def at_once(monkeypatch):
    """Work in this process, which is quick; its number of threads is as before afterwards."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(engine, "Workers", lambda jobs, apart: Workers(1))
    yield
    torch.set_num_threads(threads)


def tables(out: Path) -> dict[str, bytes]:
    found = {path.name.removeprefix(f"{out.stem}."): path.read_bytes() for path in out.parent.glob(f"{out.stem}.*.*")}
    return found | {"recordings": out.read_bytes()}


@pytest.fixture(scope="module")
def alone(folder, micro_run, tmp_path_factory) -> tuple[ArchiveReport, dict[str, bytes]]:
    """Everything at once, by one worker."""
    out = tmp_path_factory.mktemp("alone") / "answers.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        report = ask_archive("study", model=micro_run.folder, out=out, jobs=1)
    return report, tables(out)


def test_every_recording_has_the_answers_of_the_model(alone, here, micro_run):
    report, _ = alone
    assert (report.recordings, report.quarantined, report.skipped) == (GOOD, BAD, 0)
    rows = parquet.read_table(report.tables.recordings).to_pylist()
    model = neurolm.load(micro_run.folder, device="cpu")
    assert [row["question"] for row in rows] == [*model.questions] * GOOD
    assert [row["recording"] for row in rows] == sorted(row["recording"] for row in rows)
    last = rows[-1]
    assert (last["subject"], last["session"]) == ("sub-3", "ses-1")
    answer = model.ask(last["recording"], last["question"])
    assert last["answer"] == answer.answer and last["probability"] == pytest.approx(answer.probability, abs=1e-6)
    windows = parquet.read_table(report.tables.windows).to_pylist()
    own = [one for one in windows if (one["recording"], one["question"]) == (last["recording"], last["question"])]
    assert [(one["start"], one["stop"]) for one in own] == [(one.start, one.stop) for one in answer.timeline]
    bad = {row["recording"]: row["reason"] for row in parquet.read_table(report.tables.quarantine).to_pylist()}
    assert [Path(name).name for name in bad] == ["broken.edf", "empty.edf"]
    assert bad["study/sub-3/ses-0/eeg/empty.edf"] == "the file is empty (0 bytes); copy or download it again"


def test_a_killed_run_goes_on_to_the_same_bytes(alone, here, micro_run, tmp_path):
    out = tmp_path / "answers.parquet"
    words = ["ask", "study/**/*.edf", "--questions", "all", "--model", str(micro_run.folder), "--out", str(out)]
    command = [sys.executable, "-m", "neurolm", *words, "--jobs", "1"]
    begun = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    parts = tmp_path / "answers.parts"
    while len(list(parts.glob(f"*{PART}"))) < 2:
        assert begun.poll() is None
        time.sleep(0.01)
    os.kill(begun.pid, signal.SIGKILL)
    begun.wait()
    time.sleep(0.2)  # for its worker to see it
    done = {path.name: path.stat().st_mtime_ns for path in parts.glob(f"*{PART}")}
    assert len(done) < GOOD and not out.exists()
    (next(parts.iterdir()).parent / ".left.partial").write_bytes(b"half")
    report = ask_archive("study", model=micro_run.folder, out=out, jobs=2, reading=ReadingOptions(unknown="nearest"))
    assert (report.recordings, report.skipped) == (GOOD, len(done))
    assert {name: (parts / name).stat().st_mtime_ns for name in done} == done  # not answered again
    assert tables(out) == alone[1]
    assert not list(parts.glob("*.partial")) and not list(parts.glob(".*.partial"))


@pytest.mark.filterwarnings("ignore")  # of the cluster's own making, when a worker dies
def test_a_cluster_whose_worker_is_killed_writes_the_same_bytes(alone, here, micro_run, tmp_path):
    distributed = pytest.importorskip("distributed")
    out = tmp_path / "answers.parquet"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        ) as cluster:
            pids = [worker.pid for worker in cluster.workers.values()]

            def kill(progress):
                if progress.done == 3:
                    os.kill(pids[0], signal.SIGKILL)

            report = ask_archive(
                "study", model=micro_run.folder, out=out, scheduler=cluster.scheduler_address, progress=kill
            )
    assert (report.recordings, report.quarantined) == (GOOD, BAD)
    assert tables(out) == alone[1]


def test_what_changed_is_answered_anew_and_what_is_gone_leaves(at_once, micro_run, tmp_path, rhythm, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in "abc":
        write(Path("eeg") / f"{name}.edf", rhythm("Yes", 14, 2, (ord(name),)))
    ask = {"model": micro_run.folder, "out": "answers.jsonl"}
    assert ask_archive("eeg", QUESTION, **ask).skipped == 0
    before = tables(Path("answers.jsonl"))
    assert ask_archive("eeg", QUESTION, **ask).skipped == 3
    assert tables(Path("answers.jsonl")) == before
    assert ask_archive("eeg", "workload", **ask | {"out": "answers.csv"}).skipped == 3  # other tables of the same
    write(Path("eeg/b.edf"), rhythm("No", 16, 2, (1,)))
    Path("eeg/c.edf").unlink()
    report = ask_archive("eeg", QUESTION, **ask)
    assert (report.recordings, report.skipped) == (2, 1)
    assert len(list(Path("answers.parts").glob(f"*{PART}"))) == 2
    lines = Path("answers.jsonl").read_text().splitlines()
    assert lines[0] == before["recordings"].decode().splitlines()[0] and len(lines) == 2


def test_answers_to_something_else_are_never_mixed(at_once, here, micro_run, tmp_path):
    ask = {"model": micro_run.folder, "out": tmp_path / "answers.csv"}
    ask_archive("study/sub-1", QUESTION, **ask)
    before = tables(tmp_path / "answers.csv")
    for change, message in (
        ({"risk": 0.2}, r"a run with risk None, not 0\.2; choose another place for the answers, or delete"),
        ({"unseen": "drop"}, "unseen nearest, not drop"),
        ({"questions": "all"}, f"questions {QUESTION[:-1]}., not .*; choose"),
        ({"reading": ReadingOptions(mains=50.0)}, "how recordings are read"),
    ):
        with pytest.raises(StoreError, match=f"answers.parts: holds answers of .*{message}"):
            ask_archive("study/sub-1", **{"questions": QUESTION} | ask | change)
    other = micro_run.copy(tmp_path / "run")
    (other / "instruct" / "calibration.json").unlink()
    with pytest.raises(StoreError, match="another model, or of this one before it changed"):
        ask_archive("study/sub-1", QUESTION, **ask | {"model": other})
    assert tables(tmp_path / "answers.csv") == before


def test_what_cannot_be_asked_is_told_before_any_work(here, micro_run, tmp_path):
    ask = {"model": micro_run.folder, "out": tmp_path / "answers.csv"}
    for given, change, error, message in (
        ("gone.edf", {}, RecordingError, "gone.edf: no such file"),
        ("study", {"questions": "Is it Monday?"}, QuestionError, "not tuned on the question 'Is it Monday\\?'"),
        ("study", {"questions": "workloda"}, QuestionError, f"the nearest that it knows is '{QUESTION[:-1]}"),
        ("study", {"questions": []}, QuestionError, "no question"),
        ("study", {"options": ["a", "b"]}, QuestionError, "answers to one question"),
        ("study", {"risk": 2}, QuestionError, "risk=2"),
        ("study", {"model": tmp_path}, CheckpointError, "no instruction-tuned model"),
        ("study", {"out": tmp_path / "answers.xlsx"}, ConfigError, "answers.xlsx"),
        ("study", {"jobs": -1}, ConfigError, "jobs=-1"),
        ("study", {"jobs": 2, "scheduler": "tcp://x"}, ConfigError, "give one"),
    ):
        with pytest.raises(error, match=message):
            ask_archive(given, **ask | change)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.csv", "a.windows.csv", "a.quarantine.csv"])
def test_no_recording_is_written_over(micro_run, tmp_path, name):
    (tmp_path / name).write_text("C3,O1\n1,2\n")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match=f"{name} is one of the recordings, and would be written over; choose"):
        ask_archive(tmp_path / "link" / name, QUESTION, model=micro_run.folder, out=tmp_path / "a.csv")
    assert (tmp_path / name).read_text() == "C3,O1\n1,2\n"


def test_where_nothing_can_be_answered_the_reasons_are_told_and_old_answers_stay(at_once, here, micro_run, tmp_path):
    out = tmp_path / "answers.csv"
    out.write_text("old")
    with pytest.raises(RecordingError, match=r"none of the recordings could be answered:\n  study/.*empty\.edf: the"):
        ask_archive("study/sub-3/ses-0/eeg/empty.edf", QUESTION, model=micro_run.folder, out=out)
    assert out.read_text() == "old"


class Crashing(Pool):
    """A pool in which one recording crashes its reader."""

    def each(self, function, items):
        for item in items:
            yield item, Crash(-11) if item.source.name.endswith("sub-1_ses-0_eeg.edf") else function(item)

    def __exit__(self, *error):
        pass


def test_a_crash_costs_its_recording(at_once, here, micro_run, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "pool_of", lambda *_: Crashing())
    out = tmp_path / "answers.csv"
    report = ask_archive("study/sub-1", QUESTION, model=micro_run.folder, out=out)
    assert (report.recordings, report.quarantined) == (1, 1)
    assert "answering it ended the process, twice" in (tmp_path / "answers.quarantine.csv").read_text()


def test_a_list_of_recordings_is_answered_in_order(at_once, here, micro_run):
    found = list(ask_many(["study/sub-1", "study/sub-0"], ["workload"], model=micro_run.folder))
    assert [one.recording for one in found] == sorted(one.recording for one in found)
    assert [one.failure is None for one in found] == [False, True, True, True, True]
    own = list(ask_many("study/sub-1", "Is the moon full?", options=["yes", "no"], model=micro_run.folder))
    assert {one.answers[0].trained for one in own} == {False}


def test_messages_name_the_file_as_it_was_given(at_once, here, micro_run, tmp_path):
    request = request_for(
        micro_run.folder,
        "all",
        options=None,
        reading=ReadingOptions(),
        unseen="error",
        risk=None,
        device="cpu",
        precision="float32",
    )
    (source,) = find_sources(["study/sub-0/../sub-0/ses-0/eeg/broken.edf"]).recordings
    found = answer_recording(engine.Job(source, request, tmp_path / "part", 1))
    assert str(here) not in found.reason and "broken.edf" not in found.reason.split(":")[0]


def test_a_store_is_answered_as_the_recordings_that_it_was_made_of(at_once, here, micro_run, tmp_path):
    store = tmp_path / "store"
    prepare("study", store, jobs=1)
    ask = {"model": micro_run.folder}
    report = ask_archive(store, "all", out=tmp_path / "answers.jsonl", **ask)
    assert (report.recordings, report.quarantined) == (GOOD, 0)
    raw = {one.recording.rpartition("/")[2]: one for one in ask_many("study", "all", **ask) if one.answers}
    for one in map(json.loads, (tmp_path / "answers.jsonl").read_text().splitlines()):
        own = raw[one["recording"].rpartition("/")[2]]
        (answer,) = (each for each in own.answers if each.question == one["question"])
        assert one["probabilities"] == pytest.approx(answer.probabilities, abs=0.02)  # the store's are whole counts
        assert one["windows"] == len(answer.timeline) and one["subject"].rpartition("/")[2]
    assert ask_archive([store, store], "all", out=tmp_path / "answers.jsonl", **ask).skipped == GOOD
