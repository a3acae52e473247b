"""Atomic writes: whatever happens while writing, the old file or folder is there, or the new one, whole."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import neurolm
from neurolm.core import files
from neurolm.core.errors import CheckpointError, StoreError, WriteError
from neurolm.core.files import (
    atomic_file,
    atomic_folder,
    dump_json,
    hold,
    remove_partial,
    require_writable,
    write_lines,
    write_text,
)


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
    """Killed after any number of moves, a new folder has no last file, or all files are there."""
    folder = tmp_path / "stage"
    folder.mkdir()
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


OVERWRITING = """
import os, sys
from pathlib import Path
from neurolm.core import files

steps, folder = int(sys.argv[1]), Path(sys.argv[2])
def step(event, _):
    global steps
    if event in ("os.rename", "os.link", "os.unlink", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree", "open",
                 "os.chmod", "ctypes.call_function"):
        steps -= 1
        if steps < 0:
            os.kill(os.getpid(), 9)
with files.atomic_folder(folder, last="config.json", without=["old.json"]) as temporary:
    for name in ("config.json", "model.bin", "a.txt"):
        (temporary / name).write_text("new")
    sys.addaudithook(step)
"""


def test_a_whole_folder_is_there_at_every_moment_of_overwriting_it(tmp_path):
    """Killed before any of its calls to the system; what a killed process left is gone after the next writing."""
    names = ("config.json", "model.bin", "a.txt")
    old, new = ({**dict.fromkeys(names, word), "log/x.jsonl": b"kept"} for word in (b"old", b"new"))
    seen = []
    for steps in range(60):
        folder = tmp_path / str(steps) / "model"
        fill(folder, "old")
        (folder / "log").mkdir()
        (folder / "log" / "x.jsonl").write_text("kept")
        (folder / "old.json").write_text("old")
        done = subprocess.run([sys.executable, "-c", OVERWRITING, str(steps), str(folder)], check=False)
        found = tree(folder)
        assert found in (old | {"old.json": b"old"}, new), steps
        seen.append(found == new)
        with atomic_folder(folder, last="config.json", without=["old.json"]) as temporary:
            for name in names:
                (temporary / name).write_text("new")
        assert tree(folder.parent) == {f"model/{name}": content for name, content in new.items()}
        if done.returncode == 0:
            break
    assert done.returncode == 0 and seen.count(False) > 3 and seen.count(True) > 1


def test_folders_are_exchanged_where_the_system_cannot_do_it_at_once(tmp_path, monkeypatch):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    monkeypatch.setattr(files.ctypes, "CDLL", lambda *_, **__: None)
    files.exchange(tmp_path / "one", tmp_path / "other")
    assert tree(tmp_path) == {"one/file": b"other", "other/file": b"one"}
    with pytest.raises(OSError):
        files.exchange(tmp_path / "none", tmp_path / "other")
    assert tree(tmp_path) == {"one/file": b"other", "other/file": b"one"}


HOLDING = """
import sys, time
from pathlib import Path
from neurolm.core.files import hold

with hold(Path(sys.argv[1]), "is busy"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_is_held_by_one_and_let_go_of_by_the_killed(tmp_path):
    lock = tmp_path / ".lock"
    other = subprocess.Popen([sys.executable, "-c", HOLDING, str(lock)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None and other.stdout.readline() == "held\n"
    with pytest.raises(StoreError, match=rf"is busy \(process {other.pid} on .*\); wait"), hold(lock, "is busy"):
        pass
    other.kill()
    other.wait()
    other.stdout.close()
    assert lock.exists()  # a killed process leaves the file, which holds nobody up
    with hold(lock, "is busy"):
        assert lock.read_text().startswith(f"{os.getpid()} on ")
    assert not lock.exists()


def test_what_cannot_be_written_is_found_out_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for path, reason in (("file/results.json", "Not a directory|File exists"), ("folder", "Is a directory")):
        with pytest.raises(WriteError, match=rf"{path}: cannot be written \(({reason})\)"):
            require_writable(tmp_path / path)
    require_writable(tmp_path / "new" / "results.json")
    assert sorted(tree(tmp_path)) == ["file"]


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


def test_json_knows_no_nan():
    @dataclass
    class Found:
        score: float
        others: tuple[float, ...]

    value = {"a": float("nan"), "b": [1.5, float("inf")], "c": Found(float("-inf"), (0.1, float("nan")))}
    expected = {"a": None, "b": [1.5, None], "c": {"score": None, "others": [0.1, None]}}
    assert json.loads(dump_json(value, indent=2), parse_constant=pytest.fail) == expected
    assert dump_json({"a": 0.1, "b": "NaN"}) == json.dumps({"a": 0.1, "b": "NaN"})


def test_json_is_written_in_one_place():
    """So that no file and no output holds NaN; those named here quote texts, or hash."""
    quoting = {
        "core/files.py", "core/decode.py", "evaluation/baselines/fit.py", "tasks/new.py", "hub/model_card.py",
        "official/file.py", "official/convert.py", "train/figures/history.py", "train/figures/runs.py", "cli/runs.py",
        "model/gpt2.py",
    }  # fmt: skip
    package = Path(neurolm.__file__).parent
    found = {str(path.relative_to(package)) for path in package.rglob("*.py") if "json.dump" in path.read_text()}
    assert found == quoting
