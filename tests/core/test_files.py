"""Atomic writes: whatever happens while writing, the old file or folder is there, or the new one, whole."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from neurolm.core import files
from neurolm.core.errors import CheckpointError, WriteError
from neurolm.core.files import atomic_file, atomic_folder, remove_partial, write_lines, write_text


class Killed(Exception):
    """Stands for the end of the process."""


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    write_text(path, "old")
    with pytest.raises(Killed), atomic_file(path) as temporary:
        temporary.write_text("ne")
        raise Killed
    assert tree(tmp_path) == {"deep/file.txt": b"old"}
    write_text(path, "new µ")
    assert tree(tmp_path) == {"deep/file.txt": "new µ".encode()}


def test_nobody_ever_sees_half_a_file(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    seen = []
    with atomic_file(path) as temporary:
        for part in ("a", "b"):
            with temporary.open("a") as file:
                file.write(part)
            seen.append(path.read_text())
    assert seen == ["old", "old"]
    assert path.read_text() == "ab"


def fill(folder: Path, content: str) -> None:
    with atomic_folder(folder, last="config.json") as temporary:
        for name in ("config.json", "model.bin", "a.txt"):
            (temporary / name).write_text(content)


@pytest.mark.parametrize("killed_after", range(4))
def test_a_folder_with_its_last_file_is_whole(tmp_path, monkeypatch, killed_after):
    """Killed after any number of moves, the folder has no last file, or all files are of the same writing."""
    folder = tmp_path / "stage"
    fill(folder, "old")
    (folder / "log.jsonl").write_text("kept")
    moves = 0
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        nonlocal moves
        if moves == killed_after:
            raise Killed
        moves += 1
        return real(self, target)

    monkeypatch.setattr(files.Path, "replace", replace)
    if killed_after < 3:
        with pytest.raises(Killed):
            fill(folder, "new")
        assert not (folder / "config.json").exists()
    else:
        fill(folder, "new")
        assert tree(folder) == dict.fromkeys(("a.txt", "config.json", "model.bin"), b"new") | {"log.jsonl": b"kept"}


def test_a_folder_that_cannot_be_filled_keeps_its_old_content(tmp_path):
    folder = tmp_path / "stage"
    fill(folder, "old")
    before = tree(folder)
    with pytest.raises(Killed), atomic_folder(folder, last="config.json") as temporary:
        (temporary / "model.bin").write_text("ne")
        raise Killed
    assert tree(folder) == before


def test_left_overs_of_killed_processes_are_removed_and_nothing_else(tmp_path):
    (tmp_path / f".state.pt.123{files.PARTIAL}").write_text("half")
    (tmp_path / f".123{files.PARTIAL}").mkdir()
    (tmp_path / f".123{files.PARTIAL}" / "model.bin").write_text("half")
    for name in ("log.jsonl", ".hidden", f"data{files.PARTIAL}"):
        (tmp_path / name).write_text("kept")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / f".a.{files.PARTIAL}").write_text("half")
    remove_partial(tmp_path)
    assert sorted(tree(tmp_path)) == [".hidden", f"data{files.PARTIAL}", "log.jsonl"]


LIMITED = """
import resource, sys
import subprocess
import sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from neurolm.core.errors import WriteError
from neurolm.core.files import append_text, atomic_folder
from neurolm.train.machine.state import save_tensors

folder, weights = Path(sys.argv[1]), {"weights": torch.zeros(100_000)}
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))

def stage():
    with atomic_folder(folder / "stage", last="x") as inside:
        save_file(weights, inside / "model.safetensors")

for write in (
    lambda: save_tensors(folder / "state.pt", weights),
    stage,
    lambda: append_text(folder / "log.jsonl", "row" * 100_000),
):
    try:
        write()
    except WriteError as error:
        print(error)
"""


def test_what_the_disk_says_is_told_however_a_library_wraps_it(tmp_path):
    """torch says 'unexpected pos', safetensors 'os error 27'; nothing half written stays."""
    command = [sys.executable, "-c", LIMITED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [line.split(": cannot be written ") for line in done.stdout.splitlines()]
    assert [path for path, _ in found] == [str(tmp_path / name) for name in ("state.pt", "stage", "log.jsonl")]
    assert all(rest == "(File too large); free space, or choose another folder" for _, rest in found)
    assert sorted(tree(tmp_path)) == ["log.jsonl"]


def test_an_error_that_is_not_the_disks_stays_as_it_is(tmp_path):
    for block in (atomic_file(tmp_path / "file"), atomic_folder(tmp_path / "folder", last="x")):
        with pytest.raises(ValueError, match="no such tensor"), block:
            raise ValueError("no such tensor")
    with pytest.raises(CheckpointError, match="cannot be read"), atomic_file(tmp_path / "file"):
        raise CheckpointError("cannot be read") from OSError(5, "Input/output error")


def test_what_the_disk_says_only_when_it_flushes_is_told(tmp_path, monkeypatch):
    path = tmp_path / "x"
    write_text(path, "old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match=r"x: cannot be written \(No space left"):
        write_text(path, "new")
    assert tree(tmp_path) == {"x": b"old"}


def test_lines_that_are_there_already_are_not_written_again(tmp_path):
    path = tmp_path / "x"
    write_lines(path, ["a\n", "b\n"])
    path.chmod(0o444)
    os.utime(path, ns=(1, 1))
    write_lines(path, ["a\n", "b\n"])
    assert path.stat().st_mtime_ns == 1
    write_lines(path, ["c\n"])
    assert path.read_text() == "c\n"
    write_lines(path, [])
    assert tree(tmp_path) == {}
