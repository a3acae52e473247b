"""The command in several processes: what a launcher starts, and what it is told at the end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

from neurolm.cli import PREEMPTED
from neurolm.train.figures.history import read_log

DEADLINE = 250.0
"""Seconds for all of it."""


def start(out, store, rank: int, world: int, port: int) -> subprocess.Popen:
    told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    environment = os.environ | {name: str(value) for name, value in told.items()}
    return subprocess.Popen(
        [sys.executable, "-m", "neurolm", "train", "instruct", "--store", str(store), "--out", str(out)],
        env=environment | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_sigterm_to_one_process_saves_and_ends_all_with_the_status_of_a_preemption(micro_run, tmp_path):
    out = micro_run.copy(tmp_path / "run", without=("instruct",))
    begun = json.loads((out / "run.json").read_text())
    begun["config"]["instruct"] |= {"steps": 100_000, "save_every": 100_000, "evaluate_every": 100_000}
    (out / "run.json").write_text(json.dumps(begun))
    port, until = free_port(), time.monotonic() + DEADLINE
    processes = [start(out, micro_run.store, rank, 2, port) for rank in range(2)]
    try:
        log = out / "instruct" / "log.jsonl"
        while not (log.exists() and len(read_log(log.parent)) > 2):
            assert time.monotonic() < until and all(one.poll() is None for one in processes)
            time.sleep(0.05)
        processes[1].send_signal(signal.SIGTERM)
        said = [one.communicate(timeout=max(1.0, until - time.monotonic())) for one in processes]
    finally:
        for one in processes:
            one.kill()
    assert [one.returncode for one in processes] == [PREEMPTED] * 2, said
    done = len(read_log(log.parent))
    assert [path.name for path in log.parent.glob("state-*")] == [f"state-{done:09d}.pt"]
    for _, errors in said:
        assert f"instruct: asked to stop, and saved after step {done} of 100000" in errors
    assert "2 processes" in said[0][1] and "2 processes" not in said[1][1]
