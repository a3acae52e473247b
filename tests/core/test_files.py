"""Atomic writes: whatever happens while writing, the old file or folder is there, or the new one, whole."""

import subprocess
import sys
from pathlib import Path

import pytest

from neurolm.core import files
from neurolm.core.files import remove_partial, write_atomic, write_folder, write_text


class Killed(Exception):
    """Stands for the end of the process."""


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    write_text(path, "old")

    def half(temporary: Path) -> None:
        temporary.write_text("ne")
        raise Killed

    with pytest.raises(Killed):
        write_atomic(path, half)
    assert tree(tmp_path) == {"deep/file.txt": b"old"}
    write_text(path, "new µ")
    assert tree(tmp_path) == {"deep/file.txt": "new µ".encode()}


def test_nobody_ever_sees_half_a_file(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    seen = []

    def slowly(temporary: Path) -> None:
        for part in ("a", "b"):
            with temporary.open("a") as file:
                file.write(part)
            seen.append(path.read_text())

    write_atomic(path, slowly)
    assert seen == ["old", "old"]
    assert path.read_text() == "ab"


def fill(content: str):
    def write(folder: Path) -> None:
        for name in ("config.json", "model.bin", "a.txt"):
            (folder / name).write_text(content)

    return write


@pytest.mark.parametrize("killed_after", range(4))
def test_a_folder_with_its_last_file_is_whole(tmp_path, monkeypatch, killed_after):
    """Killed after any number of moves, the folder has no last file, or all files are of the same writing."""
    folder = tmp_path / "stage"
    write_folder(folder, fill("old"), last="config.json")
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
            write_folder(folder, fill("new"), last="config.json")
        assert not (folder / "config.json").exists()
    else:
        write_folder(folder, fill("new"), last="config.json")
        assert tree(folder) == dict.fromkeys(("a.txt", "config.json", "model.bin"), b"new") | {"log.jsonl": b"kept"}


def test_a_folder_that_cannot_be_filled_keeps_its_old_content(tmp_path):
    folder = tmp_path / "stage"
    write_folder(folder, fill("old"), last="config.json")
    before = tree(folder)

    def half(temporary: Path) -> None:
        (temporary / "model.bin").write_text("ne")
        raise Killed

    with pytest.raises(Killed):
        write_folder(folder, half, last="config.json")
    assert tree(folder) == before


def test_left_overs_of_killed_processes_are_removed_and_nothing_else(tmp_path):
    (tmp_path / f".state.pt.123{files.PARTIAL}").write_text("half")
    (tmp_path / f".123{files.PARTIAL}").mkdir()
    (tmp_path / f".123{files.PARTIAL}" / "model.bin").write_text("half")
    for name in ("log.jsonl", ".hidden", f"data{files.PARTIAL}"):
        (tmp_path / name).write_text("kept")
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
from neurolm.core.files import append_text, write_folder
from neurolm.train.machine.state import save_tensors

folder, weights = Path(sys.argv[1]), {"weights": torch.zeros(100_000)}
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
for write in (
    lambda: save_tensors(folder / "state.pt", weights),
    lambda: write_folder(folder / "stage", lambda inside: save_file(weights, inside / "model.safetensors"), last="x"),
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
    def wrong(_path: Path) -> None:
        raise ValueError("no such tensor")

    with pytest.raises(ValueError, match="no such tensor"):
        write_atomic(tmp_path / "file", wrong)
    with pytest.raises(ValueError, match="no such tensor"):
        write_folder(tmp_path / "folder", wrong, last="x")
