"""Answers on the disk that are damaged, or not what they seem, are made anew; no two recordings share theirs."""

import gzip
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from edfio import Edf, EdfSignal

import neurolm
from neurolm.archive import archive as engine
from neurolm.archive import worker
from neurolm.archive.archive import ask_archive, ask_many
from neurolm.archive.request import PART
from neurolm.core.errors import ConfigError, WriteError
from neurolm.core.workers import Workers

QUESTION = "Is this EEG segment of high workload?"


@pytest.fixture(autouse=True)
def at_once(monkeypatch, tmp_path):
    """Work in this process and in an empty folder; the number of threads is as before afterwards."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(engine, "Workers", lambda jobs, apart: Workers(1))
    monkeypatch.chdir(tmp_path)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def write(rhythm):
    def one(path: str, seconds: int) -> None:
        Path(path).parent.mkdir(exist_ok=True)
        pairs = zip(rhythm("Yes", seconds, 2, (seconds,)).T, ("C3", "O1"), strict=True)
        signals = [EdfSignal(x, 200, label=name, physical_dimension="uV") for x, name in pairs]
        Edf(signals, data_record_duration=1).write("plain.edf")
        Path("plain.edf").replace(path)

    return one


def part_of(name: str, parts: str = "answers.parts") -> Path:
    """The file of a recording's answers."""
    every = Path(parts).glob(f"*{PART}")
    return next(path for path in every if json.loads(gzip.decompress(path.read_bytes()))["recording"] == name)


def test_recordings_that_are_shown_by_one_name_have_their_own_answers(write, micro_run):
    lengths = {b"eeg/Se\xf1or.edf": 14, b"eeg/Se\\xf1or.edf": 30}
    for name, seconds in lengths.items():
        write(os.fsdecode(name), seconds)
    alone = neurolm.load(micro_run.folder, device="cpu")
    expected = sorted(len(alone.ask(os.fsdecode(name), QUESTION).timeline) for name in lengths)
    assert expected[0] < expected[1]
    ask = {"model": micro_run.folder, "out": "answers.jsonl"}
    report = ask_archive("eeg", QUESTION, **ask)
    rows = [json.loads(line) for line in Path("answers.jsonl").read_text().splitlines()]
    assert sorted(row["windows"] for row in rows) == expected
    assert {row["recording"] for row in rows} == {"eeg/Se\\xf1or.edf"}
    assert report.notes[0].startswith(
        "eeg/Se\\xf1or.edf: the name of several recordings, as bytes that are no UTF-8 are written"
    )
    assert len(list(report.parts.glob(f"*{PART}"))) == 2
    assert ask_archive("eeg", QUESTION, **ask).skipped == 2
    found = ask_many("eeg", QUESTION, model=micro_run.folder)
    assert sorted(len(outcome.answers[0].timeline) for outcome in found) == expected


def test_an_archive_that_was_moved_keeps_its_answers(write, micro_run, tmp_path, monkeypatch):
    (tmp_path / "one").mkdir()
    monkeypatch.chdir("one")
    for name in (b"eeg/a.edf", b"eeg/Se\xf1or.edf"):
        write(os.fsdecode(name), 14)
    ask = {"model": micro_run.folder, "out": "answers.jsonl"}
    ask_archive("eeg", QUESTION, **ask)
    other = tmp_path / os.fsdecode(b"oth\xe9r")
    (tmp_path / "one").rename(other)
    monkeypatch.chdir(other)
    assert ask_archive("eeg", QUESTION, **ask).skipped == 2


def truncated(part: Path) -> None:
    part.write_bytes(part.read_bytes()[:-20])


def no_gzip(part: Path) -> None:
    part.write_bytes(b"{}")


def changed(**fields):
    """A damage that leaves JSON of the right names, with other values in the first answer."""

    def damage(part: Path) -> None:
        content = json.loads(gzip.decompress(part.read_bytes()))
        content["answers"][0] |= fields
        part.write_bytes(gzip.compress(json.dumps(content).encode()))

    return damage


def swapped(part: Path) -> None:
    part.write_bytes(part_of("eeg/c.edf").read_bytes())


def test_damaged_answers_are_made_anew_in_the_same_run(write, micro_run):
    for name, seconds in (("a", 14), ("b", 16), ("c", 18)):
        write(f"eeg/{name}.edf", seconds)
    ask = {"model": micro_run.folder, "out": "answers.csv"}
    ask_archive("eeg", QUESTION, **ask)
    tables = [Path(f"answers{more}.csv") for more in ("", ".windows", ".quarantine")]
    before = [table.read_bytes() for table in tables]
    window = json.loads(gzip.decompress(part_of("eeg/b.edf").read_bytes()))["answers"][0]["timeline"][0]
    for first, second, message in (
        (truncated, no_gzip, "cannot be read"),
        (swapped, truncated, "it is not about this recording"),
        (changed(question="Is it Monday?"), changed(timeline=[]), "it answers other questions"),
        (changed(timeline=[]), swapped, "no windows"),
        (changed(probabilities=[1.0]), no_gzip, "not a probability for each of 2 options"),
        (changed(timeline=[window | {"probabilities": [0.2, 0.3, 0.5]}]), no_gzip, "not a probability for each of 2"),
        (changed(timeline=[window | {"probabilities": [-0.5, 1.5]}]), no_gzip, "not between 0 and 1"),
        (changed(probability=7.0), no_gzip, "not between 0 and 1"),
        (changed(answer="Maybe"), no_gzip, "an option that the question does not have"),
    ):
        one, other = part_of("eeg/a.edf"), part_of("eeg/b.edf")
        first(one)
        second(other)
        report = ask_archive("eeg", QUESTION, **ask)
        assert (report.recordings, report.skipped, report.quarantined) == (3, 1, 0)
        (note,) = report.notes
        assert note.startswith("answers that were damaged, and made anew: of 2 recordings, the first of eeg/a.edf (")
        assert message in note
        assert [table.read_bytes() for table in tables] == before
        assert ask_archive("eeg", QUESTION, **ask).skipped == 3


def test_what_is_damaged_again_and_again_is_put_into_quarantine(write, micro_run, monkeypatch):
    for name, seconds in (("a", 14), ("b", 16)):
        write(f"eeg/{name}.edf", seconds)
    whole = worker._ask

    def broken(model, source, request):
        answers = whole(model, source, request)
        return answers if source.name.endswith("b.edf") else tuple(replace(one, timeline=one.timeline[:1] * 2,
            probabilities=()) for one in answers)  # fmt: skip

    monkeypatch.setattr(worker, "_ask", broken)
    report = ask_archive("eeg", QUESTION, model=micro_run.folder, out="answers.csv")
    assert (report.recordings, report.quarantined) == (1, 1)
    assert (
        'eeg/a.edf,,,"answered twice, and both times the answers were damaged: it has'
        in Path("answers.quarantine.csv").read_text()
    )
    found = {one.recording: one.failure for one in ask_many("eeg", QUESTION, model=micro_run.folder)}
    assert "not a probability for each" in found["eeg/a.edf"] and found["eeg/b.edf"] is None


@pytest.mark.parametrize(
    ("blocked", "out"),
    [("answers.html", "answers.csv"), ("answers.windows.csv", "answers.csv"), ("", f"{'x' * 240}.csv")],
)
def test_what_cannot_be_written_is_told_before_any_work(write, micro_run, blocked, out, monkeypatch):
    write("eeg/a.edf", 14)
    if blocked:
        Path(blocked).mkdir()
    before = sorted(Path().iterdir())
    monkeypatch.setattr(engine, "request_for", lambda *_, **__: pytest.fail("work has begun"))
    with pytest.raises(WriteError, match="cannot be written"):
        ask_archive("eeg", QUESTION, model=micro_run.folder, out=out)
    assert sorted(Path().iterdir()) == before


def test_a_name_or_a_precision_that_cannot_be_is_named(write, micro_run):
    write("eeg/a.edf", 14)
    with pytest.raises(WriteError, match=r"'a\\x00\.csv': no file can have a name with"):
        ask_archive("eeg", QUESTION, model=micro_run.folder, out="a\0.csv")
    with pytest.raises(ConfigError, match="precision=None: no precision of answers: choose one of auto"):
        neurolm.load(micro_run.folder, precision=None)
