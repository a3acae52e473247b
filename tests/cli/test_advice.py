"""Messages advise what the verb at hand takes, spelled as a flag; and nothing that is only Python's."""

import re
from pathlib import Path

import pytest

from neurolm.cli.command import _arguments, _find
from neurolm.core.errors import RecordingError, flags_in_messages
from neurolm.recording.recording import find_recordings, open_recording

VERBS = {"ask": ["x"], "inspect": ["x"], "prepare": ["x"], "plan": ["x"], "demo": []}
ARGUMENTS = r"\b(unit|unknown|channels|stream|truncated|mains|check|layout|cap|exclude|data_format|rate|bad_segments)="
GIT = "git lfs pull --include"


def said(file: Path) -> list[str]:
    try:
        return list(open_recording(file).notes)
    except RecordingError as error:
        return [str(error).replace(str(file), file.name)]


@pytest.fixture(scope="module")
def told(shared: Path) -> list[Path]:
    """Recordings of whose messages one advises something."""
    files = [file for name in ("formats/broken", "formats") for file in find_recordings(shared / "eeg" / name)]
    return [file for file in dict.fromkeys(files) if any(re.search(ARGUMENTS, text) for text in said(file))]


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_advises_what_it_takes(told, verb):
    _, function, _ = _find(verb, VERBS[verb])
    flags = {argument.dest for argument in _arguments(function)}
    assert len(told) > 5
    with flags_in_messages(flags):
        for text in (text for file in told for text in said(file)):
            assert not re.search(ARGUMENTS, text), text
            advised = re.findall(r"(?<!\w)--([\w-]+)(?![^;,]*\(of neurolm prepare\))", text.replace(GIT, ""))
            assert {flag.replace("-", "_") for flag in advised} <= flags, text
