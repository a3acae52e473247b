"""A disk that becomes full while a stage trains, really: a tmpfs of a few MiB, or a limit on the size of files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("full_disk.py")
OWN_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")


def can_mount(folder: Path) -> bool:
    try:
        command = [*OWN_NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", str(folder)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:  # no such command here
        return False


@pytest.mark.parametrize(
    ("room", "how", "step", "left"),
    [
        (3.0, "mount", 4, ["best.pt", "log.jsonl", "speed.jsonl", "state-000000002.pt"]),
        (4.5, "mount", 6, ["best.pt", "log.jsonl", "speed.jsonl", "state-000000002.pt", "state-000000004.pt"]),
        (1.0, "limit", 2, ["log.jsonl"]),
    ],
)
def test_training_stops_with_the_reason_and_goes_on_to_the_same_weights(tmp_path, room, how, step, left):
    disk = tmp_path / "disk"
    disk.mkdir()
    if how == "mount" and not can_mount(disk):
        pytest.skip("no file system may be mounted here")
    command = [sys.executable, str(SCRIPT), str(disk), str(room), how]
    done = subprocess.run(
        [*(OWN_NAMESPACE if how == "mount" else ()), *command],
        capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    message, files, outcome = done.stdout.splitlines()
    reason = "No space left on device" if how == "mount" else "File too large"
    assert message.endswith(f"state-{step:09d}.pt: cannot be written ({reason}); free space, or choose another folder")
    assert files.split() == left  # nothing half written, and the states before are whole
    assert outcome == "same weights same log"
