"""How fast training goes: what is counted, over which time, and against which rate."""

import itertools
import json
import time

import pytest
import torch

from neurolm.train.figures.history import read_rows
from neurolm.train.figures.speed import Speedometer, _matrix_rate, matrix_rate

CPU = torch.device("cpu")


def test_the_share_of_the_devices_rate_is_that_of_the_operations_and_the_time(tmp_path):
    speed = Speedometer(tmp_path / "speed.jsonl", device=CPU, first=0, steps=8, devices=2)
    for _ in range(4):
        time.sleep(0.02)
        speed.stepped(100, waited=0.005, flops=10**6)
    row = speed.write(4)
    assert row["step_seconds"] >= 0.02
    assert row["tokens_per_second"] == pytest.approx(100 / row["step_seconds"])
    assert row["flops_per_second"] == pytest.approx(10**6 / row["step_seconds"])
    assert row["matrix_rate"] == 2 * matrix_rate(CPU)
    assert row["mfu"] == pytest.approx(row["flops_per_second"] / row["matrix_rate"])
    assert row["data_wait"] == pytest.approx(0.005 / row["step_seconds"])
    assert (row["step"], row["steps"]) == (4, 8) and row["peak_memory_gib"] > 0
    assert read_rows(tmp_path / "speed.jsonl") == [row]


def test_validating_and_saving_are_no_training_and_a_row_holds_its_own_steps(tmp_path, monkeypatch):
    matrix_rate(CPU)  # measured before the clock is ours
    now = 100.0
    monkeypatch.setattr("neurolm.train.figures.speed.time.perf_counter", lambda: now)
    speed = Speedometer(tmp_path / "speed.jsonl", device=CPU, first=0, steps=4)
    now += 0.5
    speed.stepped(100, waited=0.0)
    with speed.apart():
        now += 3.0
    first = speed.write(1)
    assert first["step_seconds"] == pytest.approx(0.5) and first["seconds"] == pytest.approx(3.5)
    now += 0.25
    speed.stepped(7, waited=0.0)
    second = speed.write(2)
    assert second["step_seconds"] == pytest.approx(0.25) and second["tokens_per_second"] == pytest.approx(28)
    assert speed.write(2) == {}  # a resumed run evaluates before its first step
    assert len((tmp_path / "speed.jsonl").read_text().splitlines()) == 2


def test_the_rate_of_matrices_is_that_of_the_fastest_product_and_measured_once(monkeypatch):
    durations = iter([9.0, 0.5, 0.25, 4.0, 0.5, 1.0])
    clock = itertools.chain.from_iterable((0.0, duration) for duration in durations)
    _matrix_rate.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr("neurolm.train.figures.speed.time.perf_counter", lambda: next(clock))
        assert matrix_rate(CPU) == matrix_rate(CPU) == 2 * 1024**3 / 0.25
        assert next(clock, None) is None
    _matrix_rate.cache_clear()
    rate = matrix_rate(CPU)
    matrix = torch.rand(512, 512)
    best = min(_seconds(matrix) for _ in range(20))
    assert 0.05 < rate / (2 * 512**3 / best) < 20  # of another size, on a machine that does other things too


def _seconds(matrix):
    began = time.perf_counter()
    matrix @ matrix
    return time.perf_counter() - began


def test_rows_are_whole_lines(tmp_path):
    speed = Speedometer(tmp_path / "speed.jsonl", device=CPU, first=2, steps=4)
    for step in (3, 4):
        speed.stepped(1, waited=0.0)
        speed.write(step)
    assert [json.loads(line)["step"] for line in (tmp_path / "speed.jsonl").read_text().splitlines()] == [3, 4]
