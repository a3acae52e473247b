"""Many recordings in the terminal: a line each, tables with --out, and a status that tells whether all is well."""

import json
import re

import pytest
import torch
from edfio import Edf, EdfSignal

from neurolm.archive import archive as engine
from neurolm.cli import DIFFERS, FAILED, main
from neurolm.core.workers import Workers

QUESTION = "Is this EEG segment of high workload?"


@pytest.fixture
def here(tmp_path, monkeypatch, rhythm):
    """Two recordings and one that is empty, asked about in this process."""
    for name, label in (("a", "Yes"), ("b", "No")):
        pairs = zip(rhythm(label, 14, 2, (ord(name),)).T, ("C3", "O1"), strict=True)
        signals = [EdfSignal(x, 200, label=n, physical_dimension="uV") for x, n in pairs]
        Edf(signals, data_record_duration=1).write(tmp_path / f"{name}.edf")
    (tmp_path / "empty.edf").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    monkeypatch.setattr(engine, "Workers", lambda jobs, apart: Workers(1))
    yield tmp_path
    torch.set_num_threads(threads)


def test_several_recordings_get_a_line_each(micro_run, here, capsys):
    model = ["--model", str(micro_run.folder)]
    assert main(["ask", "a.edf", "b.edf", QUESTION, *model]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(("a.edf: Yes", "a.edf: No")) and second.startswith("b.edf: ")
    assert main(["ask", "*.edf", QUESTION, "--json", *model]) == DIFFERS
    said = capsys.readouterr()
    assert [json.loads(line)["recording"] for line in said.out.splitlines()] == ["a.edf", "b.edf"]
    assert said.err == "empty.edf: the file is empty (0 bytes); copy or download it again\n"
    assert main(["ask", ".", "--questions", "all", *model]) == DIFFERS
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[0].startswith("a.edf: ") and QUESTION in "".join(lines)


def test_several_questions_about_one_recording(micro_run, here, capsys):
    model = ["--model", str(micro_run.folder)]
    assert main(["ask", "a.edf", "--questions", "all", "--json", *model]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found) == 2 and {one["recording"] for one in found} == {"a.edf"}
    assert main(["ask", "a.edf", "--questions", "workload", *model]) == 0
    one = capsys.readouterr().out
    assert main(["ask", "a.edf", QUESTION, *model]) == 0
    assert capsys.readouterr().out == one


def test_tables_say_what_is_where(micro_run, here, capsys):
    words = ["ask", ".", QUESTION, "--model", str(micro_run.folder), "--out", "out/answers.csv"]
    assert main(words) == DIFFERS
    said = capsys.readouterr().out
    assert "out/answers.csv: 2 recordings answered; each window: out/answers.windows.csv" in said
    assert "1 could not be answered: the reasons are in out/answers.quarantine.csv" in said
    assert re.search(r"^  empty\.edf: (?!empty).*\S$", said, re.MULTILINE)
    page = (here / "out" / "answers.html").read_text()
    assert page.count("empty.edf") and re.search(r"\(files [0-9a-f]{12}\)", page)
    (here / "empty.edf").unlink()
    assert main(words) == 0
    assert "2 recordings answered, 2 of them before" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["*.edf"], "what is the question? Give it after the recordings, or --questions all"),
        (["a.edf", "gone.edf", QUESTION], "gone.edf: no such file"),
        (["a.edf", "gone.edf"], "what is the question?"),
        (["a.edf", "b.edf", QUESTION, "--generate", "It"], "--generate continues a text after one recording"),
        (["a.edf", QUESTION, "--out", "a.jsonl", "--json"], "let --out a.jsonl end in .jsonl"),
        (["a.edf", "b.edf", QUESTION, "--scheduler", "tcp://x"], "give --out answers.parquet"),
        (["a.edf", QUESTION, "--out", "a.docx"], "a.docx"),
        (["a.edf", "--questions", "workload", "--options", "a,b"], "--options are answers to a question"),
        (
            ["a.edf", "--questions", "workloda"],
            "--questions workloda: the model has no such task: did you mean workload?",
        ),
        ([".", "--questions", "moon"], "--questions moon: the model has no such task. It knows: "),
        ([".", "--questions", "Is the moon full?"], "not tuned on the question 'Is the moon full?'"),
    ],
)
def test_what_does_not_go_together_is_told(micro_run, here, capsys, words, message):
    assert main(["ask", *words, "--model", str(micro_run.folder)]) == FAILED
    assert message in capsys.readouterr().err
