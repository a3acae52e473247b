"""Shards: one for each recording, the same whether recordings come at once or bit by bit, and written once."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neurolm.prepare.journal import Journal
from neurolm.prepare.prepare import prepare
from neurolm.store.check import check_store
from neurolm.store.index import write_manifest
from neurolm.store.shards import in_shard, is_shard_of
from neurolm.store.store import SHARDS, SOURCES, Store


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_many_shards_are_the_same_at_once_and_bit_by_bit(tmp_path, write_edf):
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
    assert len(list((out / SHARDS).iterdir())) == 12
    (data / "05.edf").unlink()
    (data / "11.edf").unlink()
    report = prepare(data, out, jobs=1)
    assert (report.recordings, report.skipped) == (10, 10)
    Store(out).verify()
    prepare(data, tmp_path / "fewer", jobs=1)
    assert content(out) == content(tmp_path / "fewer")


def test_only_the_shard_of_a_new_recording_is_written(tmp_path, write_edf):
    data, out = tmp_path / "raw", tmp_path / "s"
    for number in range(3):
        write_edf(data / f"{number:02}.edf", seed=number, seconds=3)
    prepare(data, out, jobs=1)
    before = {p: p.stat().st_mtime_ns for p in (out / SHARDS).iterdir()}
    write_edf(data / "00b.edf", seed=12, seconds=3)  # between others
    assert prepare(data, out, jobs=1).skipped == 3
    after = {p: p.stat().st_mtime_ns for p in (out / SHARDS).iterdir()}
    assert len(before) == 3 and len(after) == 4
    assert before.items() < after.items()


def test_a_shard_is_named_by_recording_and_signal(tmp_path, write_edf):
    write_edf(tmp_path / "raw" / "a.edf", seed=0, seconds=3)
    prepare(tmp_path / "raw", tmp_path / "s", jobs=1)
    row = Store(tmp_path / "s").rows[0]
    assert is_shard_of("raw", row.shard)
    assert not is_shard_of("ra", row.shard) and not is_shard_of("raw-0", row.shard)
    assert in_shard(replace(row, labels=(), licence="other", notes=("x",))).shard == row.shard
    for other in ({"recording": "raw/b.edf"}, {"sha256": "0" * 64}, {"samples": 1}):
        assert in_shard(replace(row, **other)).shard != row.shard


@pytest.fixture
def one_shard(tmp_path, write_edf):
    """A store as the first version wrote it: several recordings in a shard, and a file of sources for each shard."""
    data, out = tmp_path / "raw", tmp_path / "s"
    for number in range(3):
        write_edf(data / f"{number}.edf", seed=number, seconds=3)
    prepare(data, out, jobs=1)
    name, offset, rows, signals = "raw-0123456789abcdef", 0, [], []
    for row in Store(out).rows:
        signals.append((out / SHARDS / row.shard).read_bytes())
        (out / SHARDS / row.shard).unlink()
        rows.append(replace(row, shard=f"{name}.i16", offset=offset))
        offset += row.size
    (out / SHARDS / f"{name}.i16").write_bytes(b"".join(signals))
    entries = [json.loads(line) for line in (out / SOURCES / "raw.jsonl").read_text().splitlines()]
    (out / SOURCES / "raw.jsonl").unlink()
    lines = [json.dumps(e | {"row": json.loads(row.line())}) for e, row in zip(entries, rows, strict=True)]
    (out / SOURCES / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    write_manifest(out, rows)
    return data, out, [np.frombuffer(signal, "<i2") for signal in signals]


def test_a_store_with_several_recordings_in_a_shard_opens(one_shard):
    _, out, signals = one_shard
    store = Store(out)
    store.verify()
    for index, signal in enumerate(signals):
        np.testing.assert_array_equal(store.read(index, 100, 400).ravel(), signal.reshape(600, -1)[100:500].ravel())
    assert check_store(out).damaged == ()
    assert any("sources of raw: these recordings would be prepared anew" in note for note in check_store(out).notes)


def test_and_preparing_again_gives_each_its_own(one_shard, tmp_path):
    data, out, _ = one_shard
    before = Store(out)
    assert prepare(data, out, jobs=1).skipped == 0
    prepare(data, tmp_path / "anew", jobs=1)
    (out / SOURCES / "raw-0123456789abcdef.jsonl").unlink(missing_ok=True)
    assert content(out) == content(tmp_path / "anew")
    assert [row.sha256 for row in before.rows] == [row.sha256 for row in Store(out).rows]


def test_the_journal_survives_what_a_kill_leaves(tmp_path, write_edf):
    data, out = tmp_path / "raw", tmp_path / "s"
    for number in range(3):
        write_edf(data / f"{number}.edf", seed=number, seconds=3)
    prepare(data, out, jobs=1)
    whole, journal = content(out), Journal(out, "raw")
    entries = journal.read()
    assert list(entries) == ["raw/0.edf", "raw/1.edf", "raw/2.edf"]
    lines = journal.file.read_bytes().splitlines()
    journal.file.write_bytes(lines[0] + b"\n" + lines[1][:100])  # cut off while it was written
    assert list(journal.read()) == ["raw/0.edf"]
    journal.add(entries["raw/2.edf"])
    assert list(journal.read()) == ["raw/0.edf", "raw/2.edf"]
    stale = replace(entries["raw/0.edf"], seconds=1.0)
    journal.add(stale)
    assert journal.read()["raw/0.edf"] == stale  # the last one counts
    journal.add(entries["raw/0.edf"])
    (out / SHARDS / entries["raw/2.edf"].row.shard).write_bytes(b"short")
    assert list(journal.read()) == ["raw/0.edf"]
    assert prepare(data, out, jobs=1).skipped == 1
    assert content(out) == whole
