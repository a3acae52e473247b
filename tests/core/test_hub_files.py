"""Files from the hub: from which repository and revision, and what is said where it gives none."""

import re
from pathlib import Path

import pytest

from neurolm.core.errors import CheckpointError, TextError
from neurolm.core.hub_files import hub_folder, near_folder


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """What the hub was asked for; its only file is ``given/a.json``."""
    asked = []
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "a.json").write_text("{}")

    def snapshot_download(name, *, revision, allow_patterns):
        asked.append((name, revision, allow_patterns))
        if name == "lab/none":
            raise ConnectionError("no route to host\nadvice")
        return str(tmp_path / "given")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    monkeypatch.chdir(tmp_path)
    return asked


def test_a_folder_here_is_taken_unless_the_hub_is_named(tmp_path, asked):
    (tmp_path / "lab" / "model").mkdir(parents=True)
    assert hub_folder("lab/model", ["a.json"], give="") == Path("lab/model")
    assert asked == []
    assert hub_folder("hf://lab/model", ["a.json"], give="") == tmp_path / "given"
    assert hub_folder("gpt2", ["b.json", "a.json"], give="") == tmp_path / "given"
    assert hub_folder("my-lab/eeg.1@refs/pr/7", ["a.json"], give="") == tmp_path / "given"
    assert asked == [
        ("lab/model", None, ["a.json"]), ("gpt2", None, ["b.json", "a.json"]), ("my-lab/eeg.1", "refs/pr/7", ["a.json"])
    ]  # fmt: skip


def test_a_revision_may_be_said_apart(tmp_path, asked):
    hub_folder("lab/model", ["a.json"], give="", revision="abc123")
    hub_folder("lab/model@abc123", ["a.json"], give="", revision="abc123")
    assert asked == [("lab/model", "abc123", ["a.json"])] * 2
    with pytest.raises(CheckpointError, match=r"lab/model@v1: says another revision than 'abc123'"):
        hub_folder("lab/model@v1", ["a.json"], give="", revision="abc123")
    with pytest.raises(CheckpointError, match=r"given: a folder has no revision 'abc123'"):
        hub_folder("given", ["a.json"], give="", revision="abc123")


@pytest.mark.parametrize("source", ["./a/b", "../a", "/nowhere/at/all", "a/b/c", "given/b", "hf://a/b/c", "a b"])
def test_what_is_no_id_is_not_asked_for(asked, source):
    with pytest.raises(CheckpointError, match=f"^{source}: no such folder; give another$"):
        hub_folder(source, ["a.json"], give="give another")
    assert asked == []


def test_what_the_hub_does_not_give(asked):
    expected = (
        "lab/none: no such folder, and the Hugging Face hub did not give it (ConnectionError: no route to host); check "
        "the name and the network, or give another"
    )
    with pytest.raises(TextError, match=f"^{re.escape(expected)}$"):
        hub_folder("lab/none", ["a.json"], give="give another", kind=TextError)
    with pytest.raises(CheckpointError, match=r"^hf://lab/none: the Hugging Face hub did not give it"):
        hub_folder("hf://lab/none", ["a.json"], give="give another")
    with pytest.raises(CheckpointError, match=r"^lab/other: .*it has no b.json or c.json"):
        hub_folder("lab/other", ["b.json", "c.json"], give="give another")


@pytest.mark.parametrize("said", ["demo_modell", "runs/demo_modell", "runs/Demo-Model"])
def test_a_folder_with_nearly_the_name_is_asked_for(tmp_path, monkeypatch, said):
    (tmp_path / "runs" / "demo_model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert near_folder(said) == ": did you mean runs/demo_model?"
    assert near_folder("nobody/else") == near_folder("quite") == ""
    with pytest.raises(CheckpointError, match="no such folder: did you mean runs/demo_model\\?"):
        hub_folder(said if "/" in said else f"runs/{said}", ["a"], give="give another")
