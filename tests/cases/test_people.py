"""Cases of label tables, of people and of copies: what is right is said in each, and in ``expected.txt`` beside it."""

import os
import shutil
from pathlib import Path

import pytest

from neurolm.cli import FAILED, main
from neurolm.core.errors import ConfigError, NeuroLMError
from neurolm.corpora.table import read_table
from neurolm.prepare.prepare import prepare
from neurolm.recording.options import ReadingOptions
from neurolm.store.overlap.overlap import overlap
from neurolm.store.store import Label, Store
from neurolm.tasks.card import load_task
from neurolm.tasks.new import new_card

ANNA = (("No", 0.0, 20.0), ("Yes", 20.0, 40.0))
BEA = (("No", 0.0, 20.0),)
READ = {
    # as spreadsheets and other systems write it: every one of them is the same table
    **dict.fromkeys(
        ("ok", "bom", "crlf", "cr_only", "utf16", "blank_lines", "header_case", "header_spaces", "semicolon", "tab",
         "label_csv_capital"),
        (ANNA, BEA),
    ),
    **dict.fromkeys(("extra_columns", "trailing_comma", "unlisted_files", "only_stop", "winpath"), (BEA,)),
    "beyond_one": (ANNA, BEA),  # half a second past the end: cut
    "label_case": ((("no", 0.0, 20.0), ("Yes", 20.0, 40.0)), (("YES", 0.0, 20.0),)),  # two words, until somebody says
    "quoted_newline": ((("No no", 0.0, 20.0),),),
    "short_stretch": ((("No", 0.0, 0.5), ("Yes", 10.0, 10.4)),),  # too short for a window: tasks check says so
    "split_conflict": (ANNA,),  # whether a person may be in two parts is the card's to say: tasks check asks it
    "subject_case": (BEA, (("Yes", 0.0, 20.0),)), "subject_zero": (BEA, (("Yes", 0.0, 20.0),)),
    "same_file_copy_two_people": (BEA, (("Yes", 0.0, 20.0),)),  # refused by tasks check and train: below
}  # fmt: skip
"""Labels of each recording, for the tables that can be read."""
SAID = {
    "beyond_one": "labels cut off at the end of the recording: 1, up to 40.5 s where it lasts 40 s",
    "label_case": "labels 'YES' and 'Yes' of task drowsy differ, if only in capitals",
    "label_csv_capital": "Labels.CSV was read as the table of labels, which is called labels.csv",
    "same_file_copy_two_people": "the same signal under different subjects",
    "subject_case": "subjects subject_case/S01 and subject_case/s01 count as 2 people",
    "subject_zero": "subjects subject_zero/01 and subject_zero/1 count as 2 people",
    "unlisted_files": "not part of the corpus 'unlisted_files', left out: bea.edf",
}
"""What is said besides."""
REFUSED = {
    "abs_winpath": r"line 2: C:\\data\\anna\.edf must lie in the table's folder",
    "beyond": r"anna\.edf: labels\.csv, line 2: the label 'No' \(30 to 60 s\) is outside of anna\.edf, which",
    "case_mismatch": r"line 2: no such file .*/Anna\.EDF; .*: did you mean anna\.edf\?",
    "dupline": r"line 3: anna\.edf is labelled 'No' from 0 s, but 'No' lasts until 20 s",
    "empty_table": "the table names no recordings",
    "hms": r"line 2: start must be seconds .* not '00:00:00'; as hours, minutes and seconds it would be 0",
    "latin1": "cannot be read as a table in UTF-8 .*; save it as CSV UTF-8",  # which letter is meant cannot be known
    "missing_file": r"line 3: no such file .*/gone\.edf",
    "ms": r"0 to 20000 s\) is outside of anna\.edf, which lasts 40 s; .* \(are these milliseconds\?\)",
    "nan": "line 2: start must be seconds from the start of the recording, not 'nan'",
    "negative": "line 2: start must be seconds from the start of the recording, not '-5'",
    "no_suffix": r"line 2: no such file .*/anna; .*: did you mean anna\.edf\?",
    "only_header_missing": r"found 'anna\.edf,0,20,drowsy,No,anna', understood as set apart by commas; is the",
    "overlap": r"line 3: anna\.edf is labelled 'Yes' from 15 s, but 'No' lasts until 20 s",
    "reverse": r"line 2: start \(20 s\) must be before stop \(5 s\)",
    "same_recording_two_subjects": r"line 3: anna\.edf belongs to subject 'bea' here, but to 'anna'",
    "semicolon_decimal_comma": "line 2: expected 6 values as in the header, set apart by semicolons, found 7",
    "split_typo": "line 2: split must be one of train, validation, test, or empty, not 'val'",
}
"""Tables that nobody can read for certain, or that contradict themselves."""


@pytest.fixture
def cases(shared: Path) -> Path:
    return shared / "cases"


def test_every_table_is_tested(cases):
    assert {path.name for path in (cases / "labels_tables").iterdir() if path.is_dir()} == READ.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", READ)
def test_a_table_is_read_and_what_is_odd_is_said(cases, tmp_path, name):
    report = prepare(cases / "labels_tables" / name, tmp_path / "store", jobs=1)
    rows = Store(tmp_path / "store").rows
    found = tuple(tuple((label.label, label.start, label.stop) for label in row.labels) for row in rows)
    assert (report.quarantined, found) == (0, READ[name])
    if name in SAID:
        assert [note for note in report.notes if note.startswith(SAID[name])]


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_table_is_refused_in_words_that_help(cases, tmp_path, name):
    with pytest.raises(NeuroLMError, match=REFUSED[name]):
        prepare(cases / "labels_tables" / name, tmp_path / "store", jobs=1)
    assert not (tmp_path / "store").exists()


def test_a_label_to_the_promised_end_is_cut(cases, tmp_path):
    data = cases / "truncated_with_labels"
    report = prepare(data, tmp_path / "store", jobs=1, reading=ReadingOptions(truncated="accept"))
    one, other = Store(tmp_path / "store").rows
    assert (report.quarantined, one.labels) == (0, (Label("drowsy", "No", 0.0, 40.0),))
    assert other.labels == (Label("drowsy", "No", 0.0, 20.0), Label("drowsy", "Yes", 20.0, other.seconds))
    assert other.seconds < 40 and any("labels cut off" in note for note in report.notes)
    assert prepare(data, tmp_path / "strict", jobs=1).quarantined == 1  # and the whole one is prepared


def test_one_recording_under_two_people_is_found_before_anything_is_trained(cases, tmp_path, capsys):
    data, out = tmp_path / "clinic", tmp_path / "store"
    shutil.copytree(cases / "labels_tables" / "same_file_copy_two_people", data)
    prepare(data, out, jobs=1)
    card = tmp_path / "drowsy.toml"
    card.write_text(new_card("drowsy", table=data / "labels.csv"))
    same = "clinic/anna.edf of clinic/anna and clinic/copy.edf of clinic/carl are the same recording under two people"
    assert main(["tasks", "check", str(card), "--store", str(out)]) == 1
    assert same in capsys.readouterr().out
    with (data / "labels.csv").open("a") as table:
        table.writelines(f"b{n}.edf,0,20,drowsy,{'Yes' if n % 2 else 'No'},b{n}\n" for n in range(3))
    for n in range(3):
        shutil.copyfile(data / "bea.edf", data / f"b{n}.edf")
        with (data / f"b{n}.edf").open("r+b") as file:  # a number of its own
            file.seek(5000)
            file.write(bytes([n]))
    prepare(data, out, jobs=1)
    given = ["train", "language", "--store", str(out), "--tasks", str(card), "--out", str(tmp_path / "run")]
    assert main(given) == FAILED
    assert same in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_near_copies_in_one_store_are_found(cases, tmp_path):
    """A Muse recording with one number changed, under two names."""
    prepare(cases / "copy_under_two_names", tmp_path / "store", jobs=1)
    rows = Store(tmp_path / "store").rows
    assert len({row.sha256 for row in rows}) == len({row.subject for row in rows}) == 2
    (shared,) = overlap(tmp_path / "store", jobs=1).shared
    assert {shared.subject, shared.other_subject} == {row.subject for row in rows}


def test_two_frequencies_are_not_yes_and_no(cases, tmp_path):
    card = tmp_path / "muse_ssvep.toml"
    card.write_text(new_card("muse_ssvep", table=cases / "two_labels_yes_no" / "labels.csv"))
    task = load_task(card)
    assert [(option.text, option.label) for option in task.options] == [("20 Hz", "20 Hz"), ("30 Hz", "30 Hz")]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("label_column_twice.csv", r"line 1: the column label is there 2 times"),
        ("file_name_of_5000_letters.csv", r"line 2: no such file"),
    ],
)
def test_a_hostile_table_is_refused(cases, tmp_path, name, message):
    shutil.copyfile(cases / "hostile" / "tables_and_cards" / name, tmp_path / "labels.csv")
    for recording in ("a.edf", "b.edf"):
        (tmp_path / recording).touch()
    with pytest.raises(ConfigError, match=message):
        prepare(tmp_path, tmp_path / "store", jobs=1)


def test_people_that_differ_in_unicode_alone_are_one(cases, tmp_path):
    file = tmp_path / "labels.csv"
    shutil.copyfile(cases / "hostile" / "tables_and_cards" / "nfc_nfd_subjects.csv", file)
    lines = read_table(file)
    assert len(lines) > 1 and len({line.subject for line in lines}) == 1


def test_names_that_are_not_utf8_cost_themselves_alone(cases, tmp_path):
    """As Windows writes them; such a name cannot be kept among the cases."""
    data = tmp_path / "clinic"
    shutil.copytree(cases / "labels_tables" / "ok", data, ignore=lambda *_: ["labels.csv"])
    shutil.copyfile(data / "anna.edf", data / os.fsdecode(b"Se\xf1or_\xe9.edf"))
    report = prepare(data, tmp_path / "store", jobs=1)
    assert (report.recordings, report.quarantined) == (2, 1)
    assert any(note.startswith("quarantined: Se\\xf1or_\\xe9.edf: its name is not in UTF-8") for note in report.notes)
