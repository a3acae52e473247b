"""Strict decoding: the same dataclass comes back, and whatever does not fit is named with its place."""

import json
import subprocess
import sys
import tomllib
from dataclasses import asdict, dataclass, field
from typing import Literal

import pytest
import yaml

from neurolm.core.decode import decode, load_json
from neurolm.core.errors import ConfigError, StoreError


@dataclass(frozen=True, slots=True)
class Electrode:
    name: str
    place: tuple[float, float]

    def __post_init__(self):
        if not self.name:
            raise ValueError("name must not be empty")
        if self.place == (0, 0):
            raise ValueError("that is the origin")


@dataclass(frozen=True, kw_only=True)
class Cap:
    kind: Literal["gel", "dry"]
    electrodes: tuple[Electrode, ...]
    rate: float | None = None
    wet: bool = False
    counts: tuple[tuple[int, ...], ...] = ()
    spare: Electrode | None = None
    labels: dict[str, str] = field(default_factory=dict)
    groups: dict[str, Electrode] = field(default_factory=dict)


CAP = Cap(
    kind="dry", electrodes=(Electrode("CZ", (0.0, 0.1)), Electrode("µ", (1.0, 2.0))),
    rate=256.0, counts=((1, 2), (), (3,)), labels={"1": "left"}, groups={"back": Electrode("OZ", (-1.0, 0.5))},
)  # fmt: skip
NO_ELECTRODES = {"kind": "gel", "electrodes": []}


def test_json_toml_and_yaml_give_the_same_value():
    text = json.dumps(asdict(CAP))
    assert decode(Cap, text) == decode(Cap, text.encode()) == decode(Cap, yaml.safe_load(text)) == CAP
    toml = """kind = "dry"
        rate = 256
        counts = [[1, 2], [], [3]]
        electrodes = [{name = "CZ", place = [0, 0.1]}, {name = "µ", place = [1, 2]}]
        labels = {1 = "left"}
        groups.back = {name = "OZ", place = [-1, 0.5]}"""
    found = decode(Cap, tomllib.loads(toml))
    assert found == CAP and type(found.rate) is float and type(found.electrodes[1].place[0]) is float


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"knd": "gel"}, "unknown field knd, did you mean kind? Known: kind, electrodes, rate, wet, counts, spare, "),
        ({"colour": 1}, "unknown field colour; known: kind, electrodes, "),
        ({"kind": "damp"}, "kind: expected 'gel' or 'dry', found 'damp'"),
        ({"kind": None}, "kind: expected 'gel' or 'dry', found None"),
        ({"wet": 1}, "wet: expected true or false, found 1"),
        ({"rate": "256"}, "rate: expected a number, found '256'"),
        ({"rate": True}, "rate: expected a number, found True"),
        ({"rate": float("nan")}, "rate: expected a finite number, found NaN"),
        ({"rate": float("-inf")}, "rate: expected a finite number, found -inf"),
        ({"counts": [[1], [2, 3.0]]}, "counts 2 2: expected a whole number, found 3.0"),
        ({"labels": ["a"]}, "labels: expected names with values, found ['a']"),
        ({"labels": {"left": 1}}, "labels.left: expected text, found 1"),
        ({"electrodes": {}}, "electrodes: expected a list, found {}"),
        ({"electrodes": [{}]}, "electrodes 1: lacks name, place: add it"),
        ({"electrodes": [{"nam": "CZ", "place": [0, 1]}]}, "electrodes 1: unknown field nam, did you mean name? Known"),
        ({"electrodes": ["CZ"]}, "electrodes 1: expected the fields name, place; found 'CZ'"),
        ({"electrodes": [{"name": "CZ", "place": [0]}]}, "electrodes 1.place: expected 2 values, found [0]"),
        ({"electrodes": [{"name": "CZ", "place": [0, 1, 2]}]}, "place: expected 2 values, found [0, 1, 2]"),
        ({"electrodes": [{"name": "", "place": [0, 1]}]}, "cap.json: electrodes 1.name must not be empty"),
        ({"spare": {"name": "CZ", "place": [0, 0]}}, "cap.json: spare: that is the origin"),
        ({"groups": {"back": {"name": "CZ", "place": 1}}}, "groups.back.place: expected a list, found 1"),
        ({"labels": "x" * 1000}, "found 'xxx"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("parsed", [False, True])
def test_what_does_not_fit_is_named_with_place_value_and_what_is_allowed(changes, message, parsed):
    content = NO_ELECTRODES | changes
    with pytest.raises(StoreError) as caught:
        decode(Cap, content if parsed else json.dumps(content), source="cap.json", error=StoreError)
    said = str(caught.value)
    assert said.startswith("cap.json: ") and message in said and len(said) < 300


@pytest.mark.parametrize("content", ["null", "3", "[1]", '"gel"'])
def test_something_else_than_fields_is_refused(content):
    with pytest.raises(ConfigError, match=r"^expected the fields kind, electrodes, .*; found"):
        decode(Cap, content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not valid JSON .*line 1"),
        (b"\xff\xfe\x00", "not valid JSON"),
        (b'{"kind": "gel\xe4"}', "not valid JSON"),
        (b"[" * 100_000, r"not valid JSON .*nested too deeply"),
    ],
)
def test_files_that_are_no_json_are_named(tmp_path, content, message):
    path = tmp_path / "cap.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"cap\.json: {message}"):
        load_json(Cap, path)


def test_half_a_character_is_no_json():
    for content in ('{"kind": "\ud800"}', {"kind": "\udcff", "electrodes": []}):
        with pytest.raises(ConfigError, match="not valid JSON"):
            decode(Cap, content)


def test_a_file_is_read_with_or_without_a_byte_order_mark(tmp_path):
    path = tmp_path / "cap.json"
    for mark in ("", "\ufeff"):
        path.write_text(mark + json.dumps(asdict(CAP)), encoding="utf-8")
        assert load_json(Cap, path) == CAP
    with pytest.raises(StoreError, match=r"other\.json: cannot be read"):
        load_json(Cap, tmp_path / "other.json", error=StoreError)


def test_the_library_is_imported_by_the_first_decoding_alone():
    code = (
        "import sys, neurolm.core.config, neurolm.core.decode, neurolm.core.recipes, neurolm.cli\n"
        "assert 'pydantic' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
