"""Worker processes: results, errors and deaths reach the caller; nobody outlives it."""

import math
import os
import subprocess
import sys
from functools import partial
from operator import call
from pathlib import Path

import pytest

from neurolm.core.errors import StoreError
from neurolm.core.workers import Crash, Workers


def test_results_come_with_their_index():
    numbers = [float(n) for n in range(7)]
    for jobs in (1, 3):
        with Workers(jobs) as workers:
            assert dict(workers.each(math.sqrt, numbers)) == {n: math.sqrt(n) for n in range(7)}
            assert dict(workers.each(math.exp, [1.0, 0.0])) == {0: math.e, 1: 1.0}


def test_a_death_costs_one_item():
    items = [partial(math.sqrt, 4.0), partial(os._exit, 3), partial(math.sqrt, 9.0), partial(os._exit, 4)]
    with Workers(2) as workers:
        results = dict(workers.each(call, items))
    assert results == {0: 2.0, 1: Crash(3), 2: 3.0, 3: Crash(4)}


def test_an_error_reaches_the_caller():
    with Workers(2) as workers, pytest.raises(ValueError, match="math domain error"):
        list(workers.each(math.sqrt, [1.0, 4.0, -1.0]))


def test_workers_use_one_thread_and_leave_the_environment_alone(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with Workers(2) as workers:
        assert dict(workers.each(os.getenv, ["OMP_NUM_THREADS", "MKL_NUM_THREADS"])) == {0: "1", 1: "1"}
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_a_script_without_guard_is_told_what_to_do(tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text(
        "import atexit, math, time\n"
        "from multiprocessing import current_process\n"
        "from neurolm.core.workers import Workers\n"
        "if current_process().name == 'MainProcess':\n"
        "    atexit.register(time.sleep, 1)  # ends later than a worker could complain\n"
        "elif current_process().name == 'SpawnProcess-1':\n"
        "    time.sleep(0.5)  # complains later than the other\n"
        "list(Workers(2).each(math.sqrt, [1.0, 2.0]))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=250)
    assert done.returncode == 1
    assert done.stderr.rstrip().splitlines()[-1].startswith(f"neurolm.core.errors.{StoreError.__name__}")
    assert "if __name__ == '__main__':" in done.stderr
