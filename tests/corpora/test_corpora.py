"""Layouts: what a folder is taken for, and that a wrong table is named by its line."""

import json
import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest

from neurolm.core.errors import ConfigError, RecordingError, StoreError
from neurolm.corpora import LAYOUTS, layout_of
from neurolm.store.store import Label
from neurolm.tasks.card import all_tasks

HEADER = "file,start,stop,task,label,subject\n"
HOUR = SimpleNamespace(seconds=3600.0, annotations=())


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"0")


def table(root: Path, lines: str, header: str = HEADER) -> list:
    touch(root, "a.edf", "sub/b.edf")
    (root / "labels.csv").write_text(header + lines, encoding="utf-8")
    return LAYOUTS["table"].sources(root)


def test_the_layout_is_recognised(tmp_path):
    touch(tmp_path, "any.edf")
    assert layout_of(tmp_path) == "folder"
    touch(tmp_path, "Subject07_2.edf")
    assert layout_of(tmp_path) == "eegmat"
    touch(tmp_path, "labels.csv")
    assert layout_of(tmp_path) == "table"
    assert layout_of(tmp_path, "folder") == "folder"
    with pytest.raises(ConfigError, match=r"'none'.*auto, table, .*eegmat, .*folder"):
        layout_of(tmp_path, "none")


def test_every_layout_says_what_it_is():
    assert (next(iter(LAYOUTS)), list(LAYOUTS)[-1]) == ("table", "folder")
    tasks = all_tasks()
    for name, module in LAYOUTS.items():
        assert name == module.name and module.title and module.licence
        if name in ("table", "folder", "bids"):
            assert (module.url, module.hours, module.counts) == ("", None, None)
            continue
        assert module.url.startswith("https://") and module.citation
        assert module.hours is None or module.hours > 0
        assert module.mains in (50.0, 60.0)
        if module.counts is not None:
            assert module.task in tasks  # of the paper; other labels wait for a card of one's own
            assert set(module.counts) in ({"all"}, {"train", "validation", "test"})


def test_no_corpus_is_taken_for_an_empty_folder(tmp_path):
    assert [name for name, module in LAYOUTS.items() if module.recognise(tmp_path)] == ["folder"]


def test_eegmat(tmp_path):
    touch(tmp_path, "Subject03_2.edf", "Subject03_1.edf", "subject-info.csv", "Subject3_1.edf")
    rest, arithmetic = LAYOUTS["eegmat"].sources(tmp_path)
    assert (rest.corpus, rest.subject, rest.mains) == ("eegmat", "Subject03", 50.0)
    assert rest.labelled(SimpleNamespace(seconds=182.0, annotations=())) == (Label("eegmat", "No", 122.0, 182.0),)
    assert arithmetic.labelled(SimpleNamespace(seconds=59.0, annotations=())) == (Label("eegmat", "Yes", 0.0, 59.0),)
    with pytest.raises(StoreError, match=r"SubjectNN_1\.edf"):
        LAYOUTS["eegmat"].sources(tmp_path / "..")


def test_subjects_of_a_folder(tmp_path):
    root = tmp_path / "raw"
    touch(root, "S001/S001R01.edf", "S001/S001R02.edf", "sub-02/eeg/x.bdf", "alone.edf", "notes.txt")
    found = {source.path.relative_to(root).as_posix(): source.subject for source in LAYOUTS["folder"].sources(root)}
    assert found == {
        "S001/S001R01.edf": "S001", "S001/S001R02.edf": "S001", "sub-02/eeg/x.bdf": "sub-02", "alone.edf": "alone",
    }  # fmt: skip
    assert {source.corpus for source in LAYOUTS["folder"].sources(root)} == {"raw"}
    (tmp_path / "none").mkdir()
    with pytest.raises(StoreError, match="no EEG recordings"):
        LAYOUTS["folder"].sources(tmp_path / "none")


def test_a_table_gives_labels(tmp_path):
    about = {"name": "clinic", "licence": "CC0", "citation": "Doe 2020", "mains": 60}
    (tmp_path / "corpus.json").write_text(json.dumps(about))
    one, other = table(
        tmp_path,
        'sub/b.edf,10,20,sleep,REM,s2\na.edf,,,abnormal,"Yes, mostly",s1\nsub/b.edf,0,10,sleep,Wake,s2\n'
        "sub/b.edf,5,15,other,x,s2\n",
    )
    assert (one.corpus, one.subject, one.licence, one.mains) == ("clinic", "s1", "CC0; Doe 2020", 60.0)
    one, other = pickle.loads(pickle.dumps((one, other)))
    assert one.labelled(HOUR) == (Label("abnormal", "Yes, mostly", 0.0, 3600.0),)
    assert other.labelled(HOUR) == (
        Label("other", "x", 5.0, 15.0),
        Label("sleep", "Wake", 0.0, 10.0),
        Label("sleep", "REM", 10.0, 20.0),
    )


def test_a_table_without_labels_gives_subjects(tmp_path):
    (source,) = table(tmp_path, "a.edf,,,,,s1\n")
    assert (source.corpus, source.subject, source.labelled(HOUR)) == (tmp_path.name, "s1", ())


def test_a_table_of_a_spreadsheet_is_read(tmp_path):
    header = "\ufefffile,start,stop,task,label,subject,remark\r\n"  # byte order mark, own column
    (source,) = table(tmp_path, "a.edf, 1 ,2,t,x, s1 ,hm\r\n", header)
    assert source.labelled(HOUR) == (Label("t", "x", 1.0, 2.0),)


def test_a_table_says_the_split_and_corpus_json_the_task(tmp_path):
    (tmp_path / "corpus.json").write_text('{"task": "eyes"}')
    header = "file,start,stop,label,subject,split\n"
    one, other = table(tmp_path, "a.edf,0,10,open,s1,test\na.edf,10,20,closed,s1,\nsub/b.edf,,,open,s2,Train\n", header)
    assert one.labelled(HOUR) == (Label("eyes", "open", 0.0, 10.0, "test"), Label("eyes", "closed", 10.0, 20.0))
    assert other.labelled(HOUR) == (Label("eyes", "open", 0.0, 3600.0, "train"),)
    (one,) = table(tmp_path, "a.edf,0,10,sleep,Wake,s1\na.edf,0,10,,open,s1\n")  # a line's own task goes first
    assert [label.task for label in one.labelled(HOUR)] == ["eyes", "sleep"]
    with pytest.raises(
        ConfigError, match=r"line 2: split must be one of train, validation, test, or empty, not 'eval'"
    ):
        table(tmp_path, "a.edf,0,10,open,s1,eval\n", header)
    (tmp_path / "corpus.json").unlink()
    with pytest.raises(ConfigError, match=r"line 1: the column task is missing; .*task may stand in corpus\.json"):
        table(tmp_path, "a.edf,0,10,open,s1,test\n", header)


@pytest.mark.parametrize(
    ("about", "message"),
    [
        (
            '{"license": "CC0"}',
            "unknown field license, did you mean licence. Known: name, licence, citation, mains, task",
        ),
        ('{"name": ""}', "name must be text, not ''"),
        ('{"name": 3}', "name: expected text, found 3"),
        ('{"mains": true}', "mains: expected a number, found True"),
        ('{"mains": NaN}', "mains: expected a finite number, found NaN"),
        ('{"seconds": -4}', "seconds must be above 0, not -4"),
        ('{"labels": {"a": 1}}', "labels.a: expected text, found 1"),
        ('{"labels": {"a": ""}}', "labels must be text, not ''"),
        ("[1]", "expected the fields name, licence"),
    ],
)
def test_a_wrong_corpus_json_is_refused(tmp_path, about, message):
    (tmp_path / "corpus.json").write_text(about)
    with pytest.raises(ConfigError, match=rf"corpus\.json: {message}"):
        table(tmp_path, "a.edf,0,10,t,x,s1\n")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("a.edf,0,10,t,x,s1\nc.edf,0,1,t,x,s1\n", r"line 3: no such file .*c\.edf"),
        ("a.edf,10,10,t,x,s1\n", r"line 2: start \(10 s\) must be before stop \(10 s\)"),
        ("a.edf,0,ten,t,x,s1\n", "line 2: stop must be seconds.*'ten'"),
        ("a.edf,-1,10,t,x,s1\n", "line 2: start must be seconds"),
        ("a.edf,0,nan,t,x,s1\n", "line 2: stop must be seconds"),
        ("a.edf,0,10,t,x,s1\na.edf,10,20,t,x,s2\n", r"line 3: a\.edf belongs to subject 's2' here, but to 's1' in .*2"),
        ("a.edf,0,10,t,x,\n", "line 2: subject is empty"),
        (",0,10,t,x,s1\n", "line 2: file is empty"),
        ("a.edf,0,10,t,,s1\n", "line 2: give both task and label"),
        ("a.edf,0,10,t,x\n", "line 2: expected 6 values"),
        ("a.edf,0,10,t,x,y,s1\n", "line 2: expected 6 values"),
        ("../a.edf,0,10,t,x,s1\n", "line 2: .* must lie in the table's folder"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, lines, message):
    with pytest.raises(ConfigError, match=rf"labels\.csv, {message}"):
        table(tmp_path, lines)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("a.edf,0,10,t,x,s1\na.edf,3590,3601,t,x,s1\n", r"line 3: .*3590 to 3601 s.* outside of a\.edf.*lasts 3600 s"),
        ("a.edf,3600,,t,x,s1\n", "line 2: .*outside"),
    ],
)
def test_a_label_that_is_not_for_its_recording_is_named(tmp_path, lines, message):
    (source,) = table(tmp_path, lines)
    with pytest.raises(RecordingError, match=rf"labels\.csv, {message}"):
        source.labelled(HOUR)


def test_labels_that_contradict_each_other_are_named(tmp_path):
    (source,) = table(tmp_path, "a.edf,0,10,t,x,s1\na.edf,9,20,t,y,s1\n")
    wrong = r"labels\.csv, line 3: a\.edf is labelled 'y' from 9 s, but 'x' lasts until 10"
    with pytest.raises(ConfigError, match=wrong):
        source.labelled(HOUR)


def test_a_label_that_ends_less_than_a_second_late_is_cut_and_said(tmp_path):
    (source,) = table(tmp_path, "a.edf,0,10,t,x,s1\na.edf,3590,3600.5,t,y,s1\n")
    assert source.labelled(HOUR)[1] == Label("t", "y", 3590.0, 3600.0)
    said = "labels cut off at the end of the recording: 1, up to 3600.5 s where it lasts 3600 s"
    assert source.label_notes(HOUR) == (said,)
    (source,) = table(tmp_path, "a.edf,0,3600.005,t,x,s1\n")  # as times in tables are rounded
    assert source.label_notes(HOUR) == ()


def test_labels_of_a_recording_cut_short_are_cut_too(tmp_path):
    short = SimpleNamespace(seconds=3500.0, annotations=(), notes=("truncated: 3500 of 3600 records were taken",))
    (source,) = table(tmp_path, "a.edf,0,3550,t,x,s1\na.edf,3550,3600,t,y,s1\n")
    assert source.labelled(short) == (Label("t", "x", 0.0, 3500.0),)
    (said,) = source.label_notes(short)
    assert said == (
        "labels cut off at the end of the recording: 2, up to 3600 s where it lasts 3500 s, 1 of them left out"
    )


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_table_is_read_as_spreadsheets_write_it(tmp_path, separator, encoding, end):
    (tmp_path / "a.edf").touch()
    number = "2,5" if separator != "," else "2.5"
    lines = ["File; START ;stop;task;Label;subject;Age", "", f"a.edf;0;{number};t;müde;s1;30;", ";;;;;;"]
    text = end.join(lines).replace(";", separator) + end
    (tmp_path / "labels.csv").write_bytes(text.encode(encoding))
    (source,) = LAYOUTS["table"].sources(tmp_path)
    assert (source.subject, source.labelled(HOUR)) == ("s1", (Label("t", "müde", 0.0, 2.5),))


def test_a_missing_column_is_said_with_the_header_as_it_was_understood(tmp_path):
    said = (
        "column subject is missing; found 'file;start;stop;task;label;subjects', understood as set apart by "
        "semicolons; call subjects subject, if that is what it is"
    )
    with pytest.raises(ConfigError, match=said):
        table(tmp_path, "", "file;start;stop;task;label;subjects\n")
    with pytest.raises(ConfigError, match=r"line 1: the column label is there 2 times"):
        table(tmp_path, "", "file,start,stop,task,label,Label,subject\n")


@pytest.mark.parametrize(
    "names", [("é", "e\u0301"), ("S1", "S\u200b1"), ("S1", "S1\u00ad"), ("S 1", "S\u00a01"), ("S1", "\ufeffS1")]
)
def test_people_whose_names_look_the_same_are_one(tmp_path, names):
    one, other = names
    (tmp_path / "b.edf").touch()
    first, second = table(tmp_path, f"a.edf,0,10,t,x,{one}\nb.edf,0,10,t,y,{other}\n")
    assert first.subject == second.subject
    for name in names:
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "a.edf").touch()
    assert len({source.subject for source in LAYOUTS["folder"].sources(tmp_path / "data")}) == 1


def test_a_file_is_found_however_its_name_is_written(tmp_path):
    (tmp_path / "rec").mkdir()
    (tmp_path / "rec" / "m\u00fcde.edf").touch()
    (source,) = table(tmp_path, "rec\\mu\u0308de.edf,0,10,t,x,s1\n")
    assert source.path == tmp_path / "rec" / "m\u00fcde.edf"
    for line, near in (("A.EDF", "a.edf"), ("a", "a.edf"), ("night_12.edf", "night12.edf")):
        (tmp_path / "night12.edf").touch()
        with pytest.raises(ConfigError, match=rf"no such file .*: did you mean {near}\?"):
            table(tmp_path, f"{line},0,10,t,x,s1\n")
    with pytest.raises(ConfigError, match=r"C:\\data\\a\.edf must lie in the table's folder"):
        table(tmp_path, "C:\\data\\a.edf,0,10,t,x,s1\n")


def test_a_table_called_almost_right_is_read_or_named(tmp_path):
    (tmp_path / "a.edf").touch()
    (tmp_path / "Labels.CSV").write_text(HEADER + "a.edf,0,10,t,x,s1\n")
    assert layout_of(tmp_path) == "table"
    assert [source.subject for source in LAYOUTS["table"].sources(tmp_path)] == ["s1"]
    (said,) = LAYOUTS["table"].notes(tmp_path)
    assert said == "Labels.CSV was read as the table of labels, which is called labels.csv"
    (tmp_path / "Labels.CSV").rename(tmp_path / "label.xlsx")
    assert layout_of(tmp_path) == "folder"
    (said,) = LAYOUTS["folder"].notes(tmp_path)
    assert said == "label.xlsx was not read: a table of labels must be called labels.csv"


def test_a_wrong_table_is_refused(tmp_path):
    with pytest.raises(StoreError, match=r"labels\.csv: no such file"):
        LAYOUTS["table"].sources(tmp_path)
    with pytest.raises(ConfigError, match=r"labels\.csv, line 1: the column stop, subject is missing"):
        table(tmp_path, "", "file,start,task,label\n")
    with pytest.raises(StoreError, match="names no recordings"):
        table(tmp_path, "")
    (tmp_path / "corpus.json").write_text('{"mains": "fifty"}')
    with pytest.raises(ConfigError, match=r"corpus\.json: mains: expected a number, found 'fifty'"):
        table(tmp_path, "a.edf,0,10,t,x,s1\n")
    (tmp_path / "corpus.json").write_text("{")
    with pytest.raises(ConfigError, match=r"corpus\.json: not valid JSON"):
        table(tmp_path, "a.edf,0,10,t,x,s1\n")
