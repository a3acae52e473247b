"""Hostile files: each is read, or refused in a moment, in little memory; no name in them reaches the terminal as it is.

What the folder's ``README.md`` says of them is what is right: they are to be read with limits of time and memory.
"""

import json
import re
from pathlib import Path

import pytest

from neurolm.cli import FAILED, main
from neurolm.recording.recording import open_recording

STEERING = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
RECORDINGS = {
    # file → exit status of inspect, and what is said
    "ann.edf": (0, "usable"),
    "ansi.edf": (FAILED, "are no known electrodes: �[2J�]0;p�, �[31mFZ, <script>alert(1)"),
    "ansi.set": (FAILED, "are no known electrodes: �[31mC3, O1�"),
    "ansi.xdf": (FAILED, "no stream of type EEG with samples in it; streams found: 0 �[31mX (Foo)"),
    "c1.edf": (FAILED, "�fake: x"),
    "bomb.xdfz": (FAILED, "unpack to more than"),
    "bomb_raw.fif.gz": (FAILED, "unpack to more than"),
    "loop_raw.fif": (FAILED, "its tags lead in a circle"),
}
TABLES = {
    "deep.toml": "nested too deeply", "digits.toml": "a number of thousands of digits",
    "dotted.toml": "names in a row with dots between them", "deep.yaml": "nested too deeply",
    "digits.yaml": "a number of thousands of digits", "label_column_twice.csv": "the column label is there 2 times",
    "file_name_of_5000_letters.csv": "no such file", "nfc_nfd_subjects.csv": "no such file",
}  # fmt: skip


@pytest.fixture
def hostile(shared: Path) -> Path:
    return shared / "cases" / "hostile"


def test_every_case_is_walked(hostile):
    assert {path.name for path in hostile.iterdir() if path.is_file()} == RECORDINGS.keys()
    assert {path.name for path in (hostile / "tables_and_cards").iterdir()} == TABLES.keys()


def test_recordings(hostile, limited):
    outcomes = limited(*(["inspect", hostile / name] for name in RECORDINGS), memory=4 << 30)
    for outcome, (name, (status, said)) in zip(outcomes, RECORDINGS.items(), strict=True):
        assert outcome.status == status and said in outcome.said, (name, outcome)
        assert outcome.seconds < 30 and outcome.megabytes < 1000, (name, outcome)
        assert not STEERING.search(outcome.said), (name, outcome)
        assert not re.search(r"^fake", outcome.said, re.MULTILINE), (name, outcome)


@pytest.mark.parametrize("name", ["ann.edf", "ansi.edf", "ansi.set", "c1.edf"])
def test_json_has_names_and_annotations_as_they_are(hostile, capsys, name):
    main(["inspect", str(hostile / name), "--json", "--unknown", "drop"])
    out = capsys.readouterr().out
    assert not STEERING.search(out)
    (found,) = json.loads(out)
    texts = [row["channel"] for row in found["coverage"]] + list(found["annotations"])
    assert any(STEERING.search(text) for text in texts if text)
    if name == "ann.edf":
        own = {mark.text for mark in open_recording(hostile / name, check=False).annotations}
        assert own == set(found["annotations"])


def test_events_of_annotations(hostile, capsys):
    assert main(["tasks", "table", str(hostile / "ann.edf")]) == 0
    printed = "".join(capsys.readouterr())
    assert printed and not STEERING.search(printed)


def test_tables_and_cards(hostile, tmp_path, limited):
    commands = []
    for number, name in enumerate(TABLES):
        file = hostile / "tables_and_cards" / name
        folder = tmp_path / str(number)
        if name.endswith(".toml"):
            commands.append(["tasks", "show", file])
        elif name.endswith(".yaml"):
            commands.append(["train", "language", "--config", file, "--print-config"])
        else:
            folder.mkdir()
            (folder / "labels.csv").write_bytes(file.read_bytes())
            commands.append(["prepare", folder, "--out", tmp_path / f"store-{number}", "--jobs", 1])
    for outcome, (name, said) in zip(limited(*commands), TABLES.items(), strict=True):
        assert outcome.status == FAILED and said in outcome.said, (name, outcome)
        assert outcome.seconds < 15 and outcome.megabytes < 150, (name, outcome)
        assert "Traceback" not in outcome.said and not STEERING.search(outcome.said), (name, outcome)
