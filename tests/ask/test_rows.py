"""Rows of answers: what they say is what the answers say, and files give them back."""

import csv
import json
import re
import tracemalloc
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from neurolm.ask import table_files
from neurolm.ask.answer import UNDECIDED, Answer, conclude
from neurolm.ask.calibration import TaskCalibration
from neurolm.ask.rows import (
    FailureRow,
    Outcome,
    RecordingRow,
    WindowRow,
    failure_rows,
    recording_rows,
    seconds_of,
    window_rows,
)
from neurolm.ask.table_files import TablePaths, write_tables
from neurolm.core.errors import ConfigError, StoreError, WriteError

HOSTILE = 'a/=1+1, "Müller"\u202e<script>\x1b[31m\r\n脳波\udcff.edf'
KINDS = {"recordings": RecordingRow, "windows": WindowRow, "quarantine": FailureRow}


def an_answer(seed: int = 0, *, options: tuple[str, ...] = ("Yes", "No"), windows: int = 7, **changes) -> Answer:
    rng = np.random.default_rng(seed)
    spans = [(2.0 * i, 2.0 * i + 4) for i in range(windows)]
    likelihoods = rng.normal(0, 2, (windows, len(options)))
    answer = conclude(
        likelihoods, TaskCalibration(task="t"), options=options, spans=spans, risk=0.3 * (seed % 2) or None
    )
    return replace(answer, question=f"Which of {', '.join(options)}?", electrodes=("C3", "C4"), **changes)


def outcomes(count: int = 5) -> list[Outcome]:
    stages = ("Wake", "N1", "N2")
    found = [
        Outcome(
            recording=f"sub-{i:02}/r.edf", subject=f"{i:02}" if i % 2 else None, session="a" if i % 3 else None,
            answers=(
                an_answer(i, windows=i + 1, outside=0.25 * i if i else None, calibrated=True),
                an_answer(i, options=stages, windows=2 * i + 1),
            ),
        )
        for i in range(count)
    ]  # fmt: skip
    return [*found, Outcome(recording="a\rb", failure="c\rd"), Outcome(recording=HOSTILE, failure=f"{HOSTILE}: no EEG")]


def rows(found: list[Outcome]) -> dict[str, list]:
    made = {"recordings": recording_rows, "windows": window_rows, "quarantine": failure_rows}
    return {name: [row for outcome in found for row in make(outcome)] for name, make in made.items()}


def as_read(row) -> dict:
    """A row as a file gives it back: lists, and text that UTF-8 has."""

    def plain(value):
        if isinstance(value, str):
            return value.replace("\udcff", "\\udcff")
        return [plain(one) for one in value] if isinstance(value, tuple) else value

    return {field.name: plain(getattr(row, field.name)) for field in fields(row)}


def test_a_row_says_what_the_answer_says():
    options = ("Wake", "N1", "N2")
    shares = np.array([[0.7, 0.2, 0.1], [0.2, 0.6, 0.2], [0.5, 0.4, 0.1]])
    answer = conclude(
        np.log(shares), TaskCalibration(task="t"), options=options, spans=[(0, 4), (2, 6), (10, 14)],
        evidence=np.zeros((3, 3)),
    )  # fmt: skip
    answer = replace(answer, question="Which stage?", electrodes=("C3",), outside=1 / 3, interval=(0.4, 0.6))
    outcome = Outcome(recording="x.edf", subject="7", answers=(answer,))
    (row,) = recording_rows(outcome)
    assert (row.recording, row.subject, row.session, row.question) == ("x.edf", "7", None, "Which stage?")
    assert (row.answer, row.likeliest, row.decided, row.against) == ("Wake", "Wake", True, "N1")
    assert (row.windows, row.agreeing, row.seconds) == (3, 2, 10.0)
    assert (row.low, row.high, row.unlike, row.outside) == (0.4, 0.6, True, 1 / 3)
    assert row.probability == max(row.probabilities) == row.probabilities[row.options.index(row.likeliest)]
    assert row.evidence == 0 and row.language_model == pytest.approx(np.log(row.probability / row.probabilities[1]))
    found = list(window_rows(outcome))
    assert [(one.window, one.start, one.stop, one.answer) for one in found] == [
        (0, 0, 4, "Wake"), (1, 2, 6, "N1"), (2, 10, 14, "Wake"),
    ]  # fmt: skip
    np.testing.assert_allclose([one.probabilities for one in found], shares)
    assert [one.probability for one in found] == pytest.approx([0.7, 0.6, 0.5])


def test_what_is_not_decided():
    undecided = replace(an_answer(1), answer=UNDECIDED)
    guess = an_answer(0, trained=False)
    guess = replace(guess, timeline=tuple(replace(window, decided=False) for window in guess.timeline))
    outcome = Outcome(recording="x", answers=(undecided, guess))
    assert [(row.decided, row.answer) for row in recording_rows(outcome)] == [(False, UNDECIDED), (False, guess.answer)]
    found = list(window_rows(outcome))
    assert {row.answer for row in found[:7]} == {UNDECIDED} and {row.answer for row in found[7:]} <= {"Yes", "No"}
    assert not any(row.decided for row in found)


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [([(0, 4), (2, 6)], 6), ([(0, 4), (9, 13)], 8), ([(0, 10), (2, 3), (4, 12)], 12), ([], 0)],
)
def test_each_moment_is_counted_once(spans, seconds):
    window = an_answer().timeline[0]
    timeline = tuple(replace(window, start=float(start), stop=float(stop)) for start, stop in spans)
    assert seconds_of(replace(an_answer(), timeline=timeline)) == seconds


def test_json_gives_back_the_same():
    for outcome in outcomes()[:-1]:
        assert Outcome.from_json(outcome.to_json()) == outcome
        assert "\n" not in outcome.to_json()
    hostile = outcomes()[-1]
    found = Outcome.from_json(hostile.to_json().encode())
    assert found.recording == HOSTILE.replace("\udcff", "\\udcff")
    with pytest.raises(StoreError, match=r"part\.json: damaged, or written by another version"):
        Outcome.from_json(hostile.to_json()[:-3], source="part.json")


@pytest.mark.parametrize("size", [1, 3, 20_000])
def test_parquet_holds_typed_rows(tmp_path, size, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(table_files, "ROWS", size)
    paths = write_tables(tmp_path / "a.parquet", iter(outcomes()))
    for name, expected in rows(outcomes()).items():
        file = parquet.ParquetFile(getattr(paths, name))
        assert file.read().to_pylist() == [as_read(row) for row in expected]
        assert file.num_row_groups == -(-len(expected) // size)
    schema = parquet.read_schema(paths.recordings)
    kinds = {field.name: (str(field.type), field.nullable) for field in schema}
    assert kinds["recording"] == ("string", False) and kinds["subject"] == ("string", True)
    assert kinds["probability"] == ("double", False) and kinds["outside"] == ("double", True)
    assert kinds["windows"] == ("int64", False) and kinds["decided"] == ("bool", False)
    assert kinds["unlike"] == ("bool", True)
    assert schema.field("options").type.value_type == "string" and schema.field("options").nullable is False


def test_parquet_without_rows_has_its_columns(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    paths = write_tables(tmp_path / "a.parquet", [])
    for name, kind in KINDS.items():
        table = parquet.read_table(getattr(paths, name))
        assert table.num_rows == 0 and table.column_names == [field.name for field in fields(kind)]


def test_numbers_that_are_not_known_are_null(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    paths = write_tables(tmp_path / "a.parquet", outcomes(1))
    column = parquet.read_table(paths.recordings)["outside"]
    assert column.null_count == len(column) == 2
    text = write_tables(tmp_path / "a.csv", outcomes(1)).recordings.read_text(encoding="utf-8")
    assert "nan" not in text.lower() and "none" not in text.lower() and "null" not in text


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".CSV"])
def test_csv_gives_back_the_rows(tmp_path, suffix):
    paths = write_tables(tmp_path / f"a{suffix}", outcomes())
    for name, expected in rows(outcomes()).items():
        with getattr(paths, name).open(encoding="utf-8", newline="") as file:
            found = list(csv.DictReader(file, delimiter="\t" if suffix == ".tsv" else ","))
        assert len(found) == len(expected)
        for read, row in zip(found, expected, strict=True):
            wanted = as_read(row)
            assert list(read) == list(wanted)
            for column, value in wanted.items():
                cell = read[column]
                got = (
                    None if value is None and not cell
                    else json.loads(cell) if isinstance(value, list | bool)
                    else type(value)(cell)
                )  # fmt: skip
                assert got == value, column


def test_json_lines_give_back_the_rows(tmp_path):
    paths = write_tables(tmp_path / "a.jsonl", outcomes())
    for name, expected in rows(outcomes()).items():
        lines = getattr(paths, name).read_text(encoding="utf-8").splitlines()
        assert [json.loads(line) for line in lines] == [as_read(row) for row in expected]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_bytes_depend_on_the_rows_alone(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(table_files, "ROWS", 4)
    one = write_tables(tmp_path / f"one{suffix}", outcomes())
    parts = (Outcome.from_json(outcome.to_json()) for outcome in outcomes())  # through parts, one at a time
    other = write_tables(tmp_path / "deeper" / f"other{suffix}", parts)
    for name in KINDS:
        assert getattr(one, name).read_bytes() == getattr(other, name).read_bytes()


def test_other_suffixes_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"a\.xlsx.*\.parquet, \.csv, \.tsv or \.jsonl"):
        TablePaths.of(tmp_path / "a.xlsx")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"pip install 'neurolm\[parquet\]'"):
        TablePaths.of(tmp_path / "a.parquet")
    assert TablePaths.of(tmp_path / "a.b.csv").windows == tmp_path / "a.b.windows.csv"


def test_what_fails_half_way_leaves_nothing(tmp_path):
    def broken():
        yield outcomes()[0]
        raise ConfigError("stop")

    for suffix in (".parquet", ".csv", ".jsonl"):
        with pytest.raises(ConfigError, match="stop"):
            write_tables(tmp_path / f"a{suffix}", broken())
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "f").write_text("")
    with pytest.raises(WriteError, match="cannot be written"):
        write_tables(tmp_path / "f" / "a.csv", [])


def test_every_column_is_in_the_page():
    page = (Path(__file__).parents[2] / "docs" / "archive.md").read_text(encoding="utf-8")
    parts = re.split(r"^### ", page, flags=re.MULTILINE)[1:]
    for part, kind in zip(parts, (RecordingRow, WindowRow, FailureRow), strict=True):
        part = part.split("\n## ")[0]
        rows = [line.split("|")[1] for line in part.splitlines() if line.startswith("| `")]
        named = re.findall(r"`(\w+)`", " ".join(rows) if rows else part)
        assert named == [field.name for field in fields(kind)]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_memory_does_not_grow_with_the_number_of_recordings(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(table_files, "ROWS", 400)  # a row group of Parquet adds some bytes to the end
    answer, peaks = an_answer(windows=20), []

    def many(count: int):
        return (Outcome(recording=f"{i:09}.edf", answers=(answer,)) for i in range(count))

    write_tables(tmp_path / f"first{suffix}", many(1))  # what is loaded once
    for count in (60, 300):
        tracemalloc.start()
        write_tables(tmp_path / f"{count}{suffix}", many(count))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
