"""Worker processes: results, errors and deaths reach the caller; nobody outlives it."""

import math
import os
import signal
import subprocess
import sys
import time
from functools import partial
from operator import call
from pathlib import Path

import pytest

from neurolm.core.errors import StoreError
from neurolm.core.workers import Crash, Died, Worker, Workers


def test_results_come_with_their_item():
    numbers = [float(n) for n in range(7)]
    for jobs in (1, 3):
        with Workers(jobs) as workers:
            assert dict(workers.each(math.sqrt, numbers)) == {n: math.sqrt(n) for n in numbers}
            assert dict(workers.each(math.exp, [1.0, 0.0])) == {1.0: math.e, 0.0: 1.0}


def test_a_death_costs_one_item():
    items = [partial(math.sqrt, 4.0), partial(os._exit, 3), partial(math.sqrt, 9.0), partial(os._exit, 4)]
    with Workers(2) as workers:
        results = dict(workers.each(call, items))
    assert results == dict(zip(items, [2.0, Crash(3), 3.0, Crash(4)], strict=True))


def test_an_error_reaches_the_caller():
    with Workers(2) as workers, pytest.raises(ValueError, match="math domain error"):
        list(workers.each(math.sqrt, [1.0, 4.0, -1.0]))


def test_workers_use_one_thread_and_leave_the_environment_alone(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with Workers(2) as workers:
        assert dict(workers.each(os.getenv, names := ["OMP_NUM_THREADS", "MKL_NUM_THREADS"])) == dict.fromkeys(
            names, "1"
        )
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_an_item_is_tried_twice(tmp_path: Path):
    die = "import os, pathlib; path = pathlib.Path(path); path.exists() or path.touch() or os._exit(9)"
    items = [partial(exec, die, {"path": str(tmp_path / name)}) for name in "abc"]
    with Workers(2) as workers:
        assert [result for _, result in workers.each(call, items)] == [None, None, None]
    assert len(list(tmp_path.iterdir())) == 3


def test_a_script_needs_no_guard(tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text(
        "import math, sys\n"
        "from neurolm.core.workers import Workers\n"
        "print('once')\n"
        "with Workers(2) as workers:\n"
        "    print(sorted(workers.each(math.sqrt, [1.0, 4.0])))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=250)
    assert (done.returncode, done.stdout, done.stderr) == (0, "once\n[(1.0, 1.0), (4.0, 2.0)]\n", "")


def test_what_cannot_travel_is_an_error_and_no_crash():
    with Workers(2) as workers:
        with pytest.raises(TypeError, match="cannot pickle"):
            list(workers.each(open, [os.devnull, os.devnull]))
        assert dict(workers.each(math.sqrt, [1.0, 4.0])) == {1.0: 1.0, 4.0: 2.0}


def test_a_process_keeps_things_between_calls_until_it_is_stopped():
    worker = Worker()
    first = worker.call(os.getpid)
    assert worker.call(os.getpid) == first != os.getpid()
    with pytest.raises(ValueError, match="math domain error"):
        worker.call(math.sqrt, -1.0)
    assert worker.usable
    assert worker.stop() == -signal.SIGKILL
    assert not worker.usable
    with pytest.raises(Died):
        worker.call(os.getpid)


def test_a_process_that_is_late_or_dies_is_ended_and_told_apart():
    worker = Worker()
    with pytest.raises(Died) as late:
        worker.call(time.sleep, 60, patience=0.5)
    assert (late.value.late, late.value.exit_code) == (True, -signal.SIGKILL)
    with pytest.raises(Died) as dead:
        Worker().call(os._exit, 7)
    assert (dead.value.late, dead.value.exit_code) == (False, 7)


def test_a_process_that_cannot_start_is_no_crash_of_an_item(monkeypatch):
    monkeypatch.setattr(sys, "path", ["/nowhere"])
    with pytest.raises(StoreError, match=r"a process could not start \(exit code 1\)"):
        Worker(silent=True).call(math.sqrt, 4.0)


@pytest.mark.parametrize("moment", ["at work", "idle"])
def test_a_killed_parent_leaves_nobody(moment):
    script = (
        "import os, time\n"
        "from neurolm.core.workers import Worker\n"
        "worker = Worker()\n"
        "print(worker.call(os.getpid), flush=True)\n"
        + ("worker.call(time.sleep, 600)\n" if moment == "at work" else "time.sleep(600)\n")
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent:
        pid = int(parent.stdout.readline())
        time.sleep(0.2)
        parent.kill()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_is_printed_in_a_process_is_no_result(capfd):
    """The standard output of a command is its answer, such as JSON."""
    loud, silent = Worker(), Worker(silent=True)
    for worker in (loud, silent):
        worker.call(partial(print, "Unable to process birthdate", flush=True))
        worker.call(partial(os.write, 1, b"from C\n"))
        worker.stop()
    out, err = capfd.readouterr()
    assert out == "" and err == "Unable to process birthdate\nfrom C\n"
