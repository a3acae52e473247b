"""What a store remembers of its making: read strictly, and written as ever."""

import json
from dataclasses import replace

import pytest

from neurolm.core.errors import StoreError
from neurolm.prepare.journal import (
    CorpusSettings,
    Entry,
    FileState,
    agree,
    parse_entry,
    read_settings,
    write_settings,
)
from neurolm.recording.recording import Annotation
from neurolm.store.manifest import Label, Row
from neurolm.store.store import SETTINGS

ROW = Row(
    recording="c/a.edf", corpus="c", source="a.edf", sha256="5f3a", subject="c/s", channels=("C3",), samples=400,
    scale=(0.1,), clipped=0, mains=50.0, band=(0.1, 75.0), unit="uV", version="0.1.0", licence="CC0",
    labels=(Label("eyes", "open", 0.0, 1.5),), notes=(), shard="", offset=0,
)  # fmt: skip
ENTRY = Entry(
    files=(FileState("a.edf", 812, 1_700_000_000_123_456_789),), settings=CorpusSettings("folder", "error", None, None),
    reading="whole", mains=None, seconds=2.0, annotations=(Annotation(0.5, 0.0, "eyes open"),), row=ROW,
)  # fmt: skip


def test_an_entry_comes_back_from_its_line():
    assert parse_entry(ENTRY.line(), source="x") == ENTRY
    assert json.loads(ENTRY.line())["files"] == [{"name": "a.edf", "size": 812, "modified": 1_700_000_000_123_456_789}]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"reading"', '"raeding"', "unknown field raeding, did you mean reading"),
        ('"size":812', '"size":"812"', "files 1.size: expected a whole number, found '812'"),
        ('"onset":0.5', '"onset":NaN', "annotations 1.onset: expected a finite number, found NaN"),
        ('"samples":400', '"samples":-1', "row.samples must be 0 or more"),
        ('"shard":"",', "", "row: lacks shard"),
    ],
)
def test_a_line_that_is_none_is_refused(old, new, message):
    with pytest.raises(StoreError) as caught:
        parse_entry(ENTRY.line().replace(old, new, 1), source="c.jsonl")
    assert str(caught.value).startswith("c.jsonl: damaged") and message in str(caught.value)


def test_settings_come_back_and_their_file_stays_the_same(tmp_path):
    corpora = {
        "b": replace(ENTRY.settings, cap="biosemi32"),
        "a": CorpusSettings("table", "drop", "mV", 60.0, "accept", channels={"EEG": "C4"}),
    }
    write_settings(tmp_path, corpora)
    assert read_settings(tmp_path) == corpora
    assert (tmp_path / SETTINGS).read_text() == (
        '{\n  "format": 2,\n  "corpora": {\n    "a": {\n      "layout": "table",\n      "unknown": "drop",\n'
        '      "unit": "mV",\n      "mains": 60.0,\n      "truncated": "accept",\n'
        '      "bad_segments": "drop",\n      "stream": null,\n'
        '      "channels": {\n        "EEG": "C4"\n      },\n      "cap": null,\n      "rate": null,\n'
        '      "data_format": null\n'
        '    },\n    "b": {\n'
        '      "layout": "folder",\n      "unknown": "error",\n      "unit": null,\n      "mains": null,\n'
        '      "truncated": "refuse",\n'
        '      "bad_segments": "drop",\n      "stream": null,\n      "channels": null,\n'
        '      "cap": "biosemi32",\n      "rate": null,\n      "data_format": null\n    }\n  }\n}\n'
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"unit"', '"unti"', "corpora.b: unknown field unti, did you mean unit"),
        ('"unit": null', '"unit": 3', "corpora.b.unit: expected 'V', 'mV', 'uV', 'nV' or 'auto', found 3"),
        ('"mains": null', '"mains": NaN', "corpora.b.mains: expected a finite number, found NaN"),
        ('"corpora": {', '"corpora": 3, "x": {', "unknown field x"),
    ],
)
def test_damaged_settings_are_refused_with_the_remedy(tmp_path, old, new, message):
    write_settings(tmp_path, {"b": ENTRY.settings})
    file = tmp_path / SETTINGS
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(StoreError, match="the store is damaged; prepare into another folder") as caught:
        agree(tmp_path, "b", ENTRY.settings)
    assert str(caught.value).startswith(f"{file}: ") and message in str(caught.value)
