"""Shards: the same grouping whether recordings come at once or bit by bit, and no byte depends on the way."""

import random
from pathlib import Path

import numpy as np
import pytest

from neurolm.prepare.prepare import prepare
from neurolm.store import shards
from neurolm.store.shards import grouped
from neurolm.store.store import SHARDS, SOURCES, STAGING, Store


def recordings(count: int, seed: int = 0) -> tuple[list[str], list[int]]:
    draw = random.Random(seed)
    return [f"c/{n:05}.edf" for n in range(count)], [draw.randrange(1, 2000) for _ in range(count)]


def members(names: list[str], groups: list[range]) -> set[tuple[str, ...]]:
    return {tuple(names[i] for i in group) for group in groups}


def test_groups_are_consecutive_and_about_as_large_as_asked():
    names, sizes = recordings(20_000)
    groups = grouped(names, sizes, average=100_000)
    assert [index for group in groups for index in group] == list(range(20_000))
    bytes_of = np.array([sum(sizes[i] for i in group) for group in groups])
    assert bytes_of.max() <= 400_000
    assert bytes_of[:-1].min() >= 25_000
    assert 0.7 < bytes_of.mean() / 100_000 < 1.3
    assert grouped([], [], average=10) == []
    assert grouped(["c/a", "c/b"], [10**9, 0], average=10) == [range(1), range(1, 2)]


def test_a_new_recording_leaves_most_groups_as_they_are():
    names, sizes = recordings(5000)
    before = members(names, grouped(names, sizes, average=50_000))
    for place in (0, 17, 2500, 5000):
        more, larger = [*names], [*sizes]
        more.insert(place, f"c/{place - 1:05}.edf-new")
        larger.insert(place, 900)
        after = members(more, grouped(more, larger, average=50_000))
        assert len(after - before) <= 4
        assert len(after) > 50


@pytest.fixture
def small_shards(monkeypatch):
    """About one recording in three ends a shard."""
    monkeypatch.setattr(shards, "SHARD_BYTES", 15_000)


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_many_shards_are_the_same_at_once_and_bit_by_bit(tmp_path, small_shards, write_edf):
    data, out = tmp_path / "raw", tmp_path / "bit-by-bit"
    order = random.Random(3).sample(range(12), 12)
    for step, number in enumerate(order):
        write_edf(data / f"{number:02}.edf", seed=number, seconds=3)
        if step in (0, 1, 5, 9):
            prepare(data, out, jobs=1)
            Store(out).verify()
    before = Store(out)
    write_edf(data / "05.edf", seed=99, seconds=3)
    prepare(data, out, jobs=1)
    assert len(before) == 10 and len(Store(out)) == 12
    prepare(data, tmp_path / "at-once", jobs=1)
    assert content(out) == content(tmp_path / "at-once")
    names = {p.stem for p in (out / SHARDS).iterdir()}
    assert len(names) >= 3
    assert {p.stem for p in (out / SOURCES).iterdir()} == names
    assert not (out / STAGING).exists()
    (data / "05.edf").unlink()
    (data / "11.edf").unlink()
    report = prepare(data, out, jobs=1)
    assert (report.recordings, report.skipped) == (10, 10)
    Store(out).verify()
    prepare(data, tmp_path / "fewer", jobs=1)
    assert content(out) == content(tmp_path / "fewer")


def test_only_the_shard_of_a_new_recording_is_written(tmp_path, small_shards, write_edf):
    data, out = tmp_path / "raw", tmp_path / "s"
    for number in range(12):
        write_edf(data / f"{number:02}.edf", seed=number, seconds=3)
    prepare(data, out, jobs=1)
    before = {p: p.stat().st_mtime_ns for p in (out / SHARDS).iterdir()}
    write_edf(data / "12.edf", seed=12, seconds=3)
    prepare(data, out, jobs=1)
    after = {p: p.stat().st_mtime_ns for p in (out / SHARDS).iterdir()}
    assert len(before.items() & after.items()) >= len(before) - 1 >= 2
