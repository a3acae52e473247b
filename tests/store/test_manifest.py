"""Rows of a manifest: the same bytes come back, and what is no row is refused with its line and field."""

import pytest

from neurolm.core.errors import StoreError
from neurolm.store.manifest import Label, Row, parse_row

ROW = Row(
    recording="c/a.edf", corpus="c", source="a.edf", sha256="5f3a", subject="c/µ", channels=("C3", "O1"), samples=400,
    scale=(0.1, 0.25), clipped=0, mains=50.0, band=(0.1, 75.0), unit="uV", version="0.1.0", licence="CC0",
    labels=(Label("eyes", "open", 0.0, 1.5, "test"), Label("eyes", "closed", 1.5, 2.0)), notes=("cut",),
    shard="c-1.i16", offset=800,
)  # fmt: skip


def test_a_row_gives_the_same_line_and_the_line_the_same_row():
    assert ROW.line() == (
        '{"recording":"c/a.edf","corpus":"c","source":"a.edf","sha256":"5f3a","subject":"c/\\u00b5",'
        '"channels":["C3","O1"],"samples":400,"scale":[0.1,0.25],"clipped":0,"mains":50.0,"band":[0.1,75.0],'
        '"unit":"uV","version":"0.1.0","licence":"CC0",'
        '"labels":[{"task":"eyes","label":"open","start":0.0,"stop":1.5,"split":"test"},'
        '{"task":"eyes","label":"closed","start":1.5,"stop":2.0,"split":null}],'
        '"notes":["cut"],"shard":"c-1.i16","offset":800}\n'
    )
    assert parse_row(ROW.line(), source="x") == parse_row(ROW.line().encode(), source="x") == ROW


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"unit"', '"unti"', "unknown field unti, did you mean unit"),
        (',"shard":"c-1.i16"', "", "lacks shard: add it"),
        (',"offset":800', "", "lacks offset"),
        ('"samples":400', '"samples":4e2', "samples: expected a whole number, found 400.0"),
        ('"samples":400', '"samples":-1', "samples must be 0 or more and fit a machine, not -1"),
        ('"mains":50.0', '"mains":"50"', "mains: expected a number, found '50'"),
        ('"mains":50.0', '"mains":NaN', "mains: expected a finite number, found NaN"),
        ("[0.1,0.25]", "[0.1,Infinity]", "scale 2: expected a finite number, found inf"),
        ("[0.1,0.25]", "[0.1,0]", "scale must be above 0, not 0.0"),
        ("[0.1,0.25]", "[0.1]", "2 channels, 1 scales"),
        ('["C3","O1"]', '["C3",1]', "channels 2: expected text, found 1"),
        ('"stop":1.5', '"stop":NaN', "labels 1.stop: expected a finite number, found NaN"),
        ('"split":null', '"part":null', "labels 2: unknown field part"),
        ('"cut"', "null", "notes 1: expected text, found None"),
        ("{", "", "not valid JSON"),
    ],
)
def test_a_damaged_row_is_refused_with_its_line_and_field(old, new, message):
    with pytest.raises(StoreError) as caught:
        parse_row(ROW.line().replace(old, new, 1), source="manifest.jsonl, line 3")
    assert str(caught.value).startswith("manifest.jsonl, line 3: damaged: ") and message in str(caught.value)
