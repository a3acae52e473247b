"""Files, folders, patterns, lists and BIDS data sets name recordings, each once and in one order."""

import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from neurolm.archive.inputs import Source, find_sources, is_input, is_one_file
from neurolm.ask.rows import Outcome
from neurolm.ask.table_files import table_file, write_tables
from neurolm.core.errors import RecordingError


@dataclass(frozen=True)
class Samples:
    """A row of a table of EEG."""

    C3: float
    O1: float


@pytest.fixture
def archive(tmp_path, monkeypatch) -> Path:
    """Files that only have names: nothing here opens one."""
    for name in ("a/1.edf", "a/b/2.edf", "a/b/3.bdf", "a/notes.txt", "a/x.vhdr", "a/x.eeg", "a/x.vmrk", "a/readme"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"0")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*given, **how):
    return [source.name for source in find_sources(given, **how).recordings]


def test_a_pattern_finds_what_the_shell_would(archive):
    assert names("a/**/*.edf") == ["a/1.edf", "a/b/2.edf"]
    found = find_sources(["a/*"])  # a folder that it finds stands for what is in it
    assert [source.name for source in found.recordings] == ["a/1.edf", "a/b/2.edf", "a/b/3.bdf", "a/x.vhdr"]
    assert found.notes == ["a/*: 4 of the 7 that match are no recordings by their names"]
    assert names(str(archive / "a" / "?.edf")) == [str(archive / "a" / "1.edf")]
    (archive / "odd [1].edf").write_bytes(b"0")
    assert names("odd [1].edf") == ["odd [1].edf"]  # a file of that name is no pattern


def test_what_is_named_twice_is_asked_once(archive):
    found = find_sources(["a", "a/1.edf", archive / "a" / "1.edf", Path("a/b/../1.edf")])
    assert [source.name for source in found.recordings] == ["a/1.edf", "a/b/2.edf", "a/b/3.bdf", "a/x.vhdr"]
    assert found.notes == ["named more than once, and asked once: 3 recordings"]
    assert found.recordings[0] == Source("a/1.edf", archive / "a" / "1.edf")


@pytest.mark.parametrize("between", [b"\n", b"\r\n", b"\0"])
def test_a_list_names_files_that_may_be_missing_and_odd(archive, monkeypatch, between):
    odd = b"a/se\xf1or [x]*.edf"
    Path(os.fsdecode(odd)).write_bytes(b"0")
    given = between.join([b"a/1.edf", odd, b"", b"gone.edf", b"a/b", b"x" * 300, b""])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(given)))
    assert names("-") == ["a/1.edf", "a/b/2.edf", "a/b/3.bdf", "a/se\\xf1or [x]*.edf", "gone.edf", "x" * 300]


def test_the_mark_that_begins_a_list_is_no_part_of_a_name(archive, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"\xef\xbb\xbfa/1.edf\r\na/b/2.edf\r\n")))
    assert names("-") == ["a/1.edf", "a/b/2.edf"]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_tables_of_earlier_runs_are_passed_over_unless_they_are_named(archive, suffix):
    (archive / "t").mkdir()
    samples = archive / "t" / f"samples{suffix}"
    with table_file(samples, Samples) as row:
        for number in range(600):
            row(Samples(C3=float(number % 7), O1=float(number % 5)))
    outcome = Outcome(recording="gone.edf", failure="no such file")
    tables = write_tables(archive / "t" / f"answers{suffix}", [outcome])
    first = min(map(str, tables.each)).removeprefix(f"{archive}/")
    said = [f"tables of answers, passed over: {first} and 2 more"]
    for given in (f"t/*{suffix}", "t"):
        found = find_sources([given], arrays=True)
        assert [source.path for source in found.recordings] == [samples]
        assert found.notes == (
            [] if given == "t" and suffix != ".parquet" else said
        )  # by their headers, without a word
    assert names(str(tables.recordings), arrays=True) == [str(tables.recordings)]
    samples.unlink()
    with pytest.raises(RecordingError, match="matches 3 tables of answers, and no recording"):
        find_sources([f"t/*{suffix}"])


def test_what_finds_nothing_says_what_to_do(archive, monkeypatch):
    (archive / "empty").mkdir()
    (archive / "tables").mkdir()
    (archive / "tables" / "a.xlsx").write_bytes(b"0")
    for given, message in (
        ("gone.edf", "gone.edf: no such file"),
        ("a/*.fif", r"a/\*.fif: matches no file"),
        ("~nobody-of-this-name/*.edf", r"~nobody-of-this-name/\*.edf: matches no file"),
        ("", "'': an empty word names no recording; is a variable of the shell not set"),
        ("a/*e", r"a/\*e: matches 1 file, none a recording by its name"),
        ("empty", "empty: no EEG recordings in this folder; give another"),
        ("tables", "it holds 1 .xlsx .*save the sheet as CSV"),
    ):
        with pytest.raises(RecordingError, match=message):
            find_sources([given])
    with pytest.raises(RecordingError, match="no recordings were named"):
        find_sources([])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"\n")))
    with pytest.raises(RecordingError, match="standard input: no recordings in it"):
        find_sources(["-"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read any folder")
def test_a_folder_that_may_not_be_read_is_named(archive):
    (archive / "a" / "b").chmod(0)
    found = find_sources(["a"])
    assert found.notes == ["folders that may not be read, passed over: b"]


def test_bids_says_subject_and_session(tmp_path):
    root = tmp_path / "sub-archive" / "study"
    for name in (
        "sub-01/ses-1/eeg/sub-01_ses-1_task-rest_eeg.edf", "sub-01/ses-2/eeg/sub-01_ses-2_task-rest_eeg.edf",
        "sub-02/eeg/sub-02_task-rest_eeg.edf", "sub-02/ieeg/sub-02_task-rest_ieeg.edf",
        "derivatives/clean/sub-02/eeg/sub-02_task-rest_desc-clean_eeg.edf",
    ):  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"0")
    (root / "dataset_description.json").write_text("{}")
    found = find_sources([root])
    assert [(one.subject, one.session) for one in found.recordings] == [
        ("sub-01", "ses-1"), ("sub-01", "ses-2"), ("sub-02", None)
    ]  # fmt: skip
    assert found.notes == [f"{root}: a BIDS data set, of which its raw EEG is taken; 2 others are not"]
    for folder, last in ((root / "sub-01", 2), (root / "sub-01" / "ses-1" / "eeg", 1), (root / "sub-02", 1)):
        assert [one.path.name for one in find_sources([folder]).recordings] == [
            "sub-01_ses-1_task-rest_eeg.edf", "sub-01_ses-2_task-rest_eeg.edf", "sub-02_task-rest_eeg.edf"
        ][2 if folder.name == "sub-02" else 0 :][:last]  # fmt: skip
    found = find_sources([root / "sub-02"])
    assert found.notes == [f"{root / 'sub-02'}: in a BIDS data set, of which its raw EEG is taken; 1 others are not"]
    with pytest.raises(RecordingError, match=r"ieeg: no EEG recordings in this folder.*raw EEG is taken; 1 others"):
        find_sources([root / "sub-02" / "ieeg"])
    (root / "derivatives/clean/sub-02/eeg/sub-02_clean.edf").write_bytes(b"0")
    for folder in ("derivatives", "derivatives/clean/sub-02/eeg"):
        assert len(find_sources([root / folder]).recordings) == 2
    assert len(find_sources([str(root / "**/*.edf")]).recordings) == 6  # a pattern takes what it matches
    plain = Source("S1/x_sub-.edf", Path("/data/S1/x_sub-.edf"))
    assert (plain.subject, plain.session) == (None, None)


def test_words_of_a_command_are_recordings_or_a_question(archive):
    for word in ("a/1.edf", "a", "-", "a/**/*.edf", "gone.edf", "old gone.EDF"):
        assert is_input(word)
    assert not is_input(f"Is this {'very ' * 100}long question one [that] names no file?")  # no name can be so long
    for word in ("Is this EEG segment of high workload?", "Is this [normal] EEG?", "What is in 1.edf?", "workload"):
        assert not is_input(word)
    assert is_one_file("a/1.edf") and is_one_file("gone.edf")
    assert not any(map(is_one_file, ("a", "-", "a/*.edf")))
