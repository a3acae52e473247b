"""What benchmarks/live.py measures."""

import runpy
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]


def test_speed_latency_and_memory_are_told(monkeypatch, capsys):
    script = runpy.run_path(str(ROOT / "benchmarks" / "live.py"))
    monkeypatch.setitem(script["main"].__globals__, "WARM", 5)
    words = ["--electrodes", "3", "--rate", "250", "--hours", "0.0025", "--context", "4"]
    monkeypatch.setattr(sys, "argv", ["live.py", *words])
    threads = torch.get_num_threads()
    script["main"]()
    torch.set_num_threads(threads)
    first, speed, computing, memory = capsys.readouterr().out.splitlines()
    assert first.startswith("causal-tiny, 3 electrodes at 250 samples per second, windows of 4 s every 2 s (2 open")
    assert int(speed.split()[0]) > 1 and speed.endswith("over 4 s")
    assert computing.startswith("computing for a second of EEG: p50 ") and "p99 " in computing
    assert memory.startswith("resident memory: ") and memory.endswith("MiB after 0 min")


def test_the_session_is_asked_with_evidence(monkeypatch):
    script = runpy.run_path(str(ROOT / "benchmarks" / "live.py"))
    monkeypatch.setattr(sys, "argv", ["live.py", "--electrodes", "3", "--rate", "250", "--hours", "0.002"])
    states = list(script["session"](script["_arguments"]()))
    assert len(states) == 8 and states[-1].windows == 2
    assert all(window.evidence is not None for state in states for window in state.finished)
