"""The store: what is written is what is read, at any place, from any process; damage is noticed."""

import json
import multiprocessing
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import numpy as np
import pytest

from neurolm.batches.splits import subjects_of
from neurolm.batches.windows import labelled_windows, unlabelled_windows
from neurolm.core.errors import RecordingError, StoreError
from neurolm.store import storage
from neurolm.store.encoding import encode, encode_blocks
from neurolm.store.index import INDEX, MANIFEST, Rows, write_manifest
from neurolm.store.manifest import Label, Row
from neurolm.store.shards import write_store
from neurolm.store.store import SETTINGS, SHARDS, Store


def row_of(name: str, signal: np.ndarray) -> tuple[Row, np.ndarray]:
    """The row and the counts of a signal in µV."""
    counts, encoded = encode(signal)
    corpus = name.partition("/")[0]
    row = Row(
        recording=name, corpus=corpus, source=name, sha256=encoded.sha256, subject="c/s",
        channels=tuple(f"C{n}" for n in range(signal.shape[1])), samples=len(signal), scale=encoded.scale,
        clipped=encoded.clipped, mains=50.0, band=(0.1, 75.0), unit="uV", version="0", licence="free",
        labels=(Label("t", "Yes", 0.0, 1.5), Label("t", "No", 1.5, 2.0, "test")),
        notes=("µ \u2028 is no end of line",), shard="", offset=0,
    )  # fmt: skip
    return row, counts


def write(folder: Path, signals: dict[str, np.ndarray]) -> Store:
    """A store of signals in µV."""
    write_store(folder, [row_of(name, signal) for name, signal in signals.items()])
    return Store(folder)


def shard(folder: Path) -> Path:
    """The only shard of a store."""
    (file,) = (folder / SHARDS).iterdir()
    return file


def ramp(samples: int, channels: int) -> np.ndarray:
    """Channel 0 carries the sample's index in counts, so that misalignment shows; the others their own number."""
    signal = np.tile(np.arange(channels, dtype=np.float32), (samples, 1))
    signal[:, 0] = np.arange(samples) * np.float32(0.1)
    return signal


def test_reads_are_exact_at_any_place(tmp_path):
    opened = write(tmp_path, {"a/y.edf": ramp(700, 1), "a/x.edf": ramp(5000, 3), "b/x.edf": ramp(50, 2)})
    assert [row.recording for row in opened.rows] == ["a/x.edf", "a/y.edf", "b/x.edf"]
    assert [row.shard[:2] for row in opened.rows] == ["a-", "a-", "b-"]
    assert opened.rows[0].labels == (Label("t", "Yes", 0.0, 1.5), Label("t", "No", 1.5, 2.0, "test"))
    for start, count in [(0, 1), (4321, 200), (4999, 1), (0, 5000), (17, 0)]:
        counts = opened.read(0, start, count)
        assert counts.dtype == np.int16 and counts.shape == (count, 3)
        np.testing.assert_array_equal(counts[:, 0], np.arange(start, start + count))
        np.testing.assert_array_equal(counts[:, 2], 20)
    np.testing.assert_array_equal(opened.read(1, 690, 10)[:, 0], np.arange(690, 700))
    buffer = np.empty((5, 2), np.int16)
    assert opened.read(2, 45, 5, out=buffer) is buffer
    np.testing.assert_array_equal(buffer, [[n, 10] for n in range(45, 50)])
    microvolts = opened.microvolts(0, 4000, 10)
    assert microvolts.dtype == np.float32
    np.testing.assert_allclose(microvolts[:, 0], np.arange(4000, 4010) * 0.1, rtol=1e-6)


def test_scales_belong_to_their_recording(tmp_path):
    quiet, loud = np.full((10, 2), 3.0), np.full((10, 3), 3.0)
    loud[0] = [4, 5000, 20_000]
    opened = write(tmp_path, {"c/quiet": quiet, "c/loud": loud, "c/z": quiet})
    assert [row.scale for row in opened.rows] == [(0.1, 0.2, 1.0), (0.1, 0.1), (0.1, 0.1)]
    np.testing.assert_allclose(opened.microvolts(0, 0, 1), loud[:1], rtol=1e-6)
    np.testing.assert_allclose(opened.microvolts(2, 9, 1), quiet[:1], rtol=1e-6)


def test_a_window_is_one_read(tmp_path, monkeypatch):
    opened = write(tmp_path, {"c/x": ramp(5000, 3)})
    calls = []
    real = os.preadv
    monkeypatch.setattr(os, "preadv", lambda *args: calls.append(args[2]) or real(*args))
    opened.microvolts(0, 100, 800)
    assert calls == [100 * 3 * 2]


def test_interrupted_reads_are_completed(tmp_path, monkeypatch):
    opened = write(tmp_path, {"c/x": ramp(1000, 2)})
    real = os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, views, offset: real(fd, [views[0][:7]], offset))
    np.testing.assert_array_equal(opened.read(0, 300, 50)[:, 0], np.arange(300, 350))


def test_without_preadv_the_same(tmp_path, monkeypatch):
    opened = write(tmp_path, {"c/x": ramp(1000, 2)})
    monkeypatch.delattr(os, "preadv")
    np.testing.assert_array_equal(opened.read(0, 300, 50)[:, 0], np.arange(300, 350))


@pytest.mark.parametrize(("start", "count"), [(-1, 5), (0, 101), (100, 1), (5, -1)])
def test_reads_outside_are_refused(tmp_path, start, count):
    with pytest.raises(StoreError, match=r"c/x: .*100 samples"):
        write(tmp_path, {"c/x": ramp(100, 2), "c/y": ramp(100, 2)}).read(0, start, count)


def _open_files() -> int:
    """Open files of this process (0 where the system does not tell)."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def test_threads_share_a_store(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "HELD_OPEN", 2)
    opened = write(tmp_path, {f"{n}/x": np.full((400, 2), n, np.float32) for n in range(8)})
    before = _open_files()
    barrier = threading.Barrier(4)

    def check(seed):
        barrier.wait()
        for index in np.random.default_rng(seed).integers(0, 8, 200):
            assert (opened.read(int(index), 100, 200) == index * 10).all()
            assert opened.rows[index].corpus == str(index)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(check, range(4)))
    assert _open_files() <= before + 2


def _read_in_fork(opened: Store, pipe) -> None:
    pipe.send((opened.read(0, 42, 1).tolist(), opened.rows[0].recording))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # of Python 3.12 where threads run
def test_a_store_travels_to_other_processes(tmp_path):
    opened = write(tmp_path, {"c/x": ramp(100, 2)})
    opened.read(0, 0, 1)
    assert pickle.loads(pickle.dumps(opened)).read(0, 42, 1)[0, 0] == 42
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        counts = pool.apply_async(opened.read, (0, 42, 1)).get(timeout=250)
    np.testing.assert_array_equal(counts, [[42, 10]])
    # Another thread of the parent may hold the lock when it forks; it must not hold up the child.
    ours, theirs = multiprocessing.Pipe()
    with opened._storage._lock:
        child = multiprocessing.get_context("fork").Process(target=_read_in_fork, args=(opened, theirs))
        child.start()
    assert ours.poll(120)
    assert ours.recv() == ([[42, 10]], "c/x")
    child.join()


def test_object_storage_reads_the_same(tmp_path, write_store, rhythm):
    labels = (Label("t", "Yes", 0, 2),)
    write_store(
        tmp_path / "s", {f"micro/{n}": ("s", ("C3", "C4"), labels, rhythm("Yes", 3, 2, (n,))) for n in range(3)}
    )
    remote = fsspec.filesystem("memory")
    remote.put(str(tmp_path / "s"), "/bucket/s", recursive=True)
    here, there = Store(tmp_path / "s"), Store("memory://bucket/s")
    assert there.fingerprint == here.fingerprint
    assert list(there.rows) == list(here.rows)
    assert there.rows[2] == here.rows[2]
    np.testing.assert_array_equal(there.microvolts(1, 100, 57), here.microvolts(1, 100, 57))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(there)).read(2, 0, 9), here.read(2, 0, 9))
    there.verify()
    remote.rm(f"/bucket/s/{SHARDS}", recursive=True)
    with pytest.raises(StoreError, match=r"memory://bucket/s/shards/micro-.*: .*open it again"):
        there.read(0, 0, 1)
    with pytest.raises(StoreError, match="is missing"):
        Store("memory://bucket/s")
    with pytest.raises(StoreError, match="not a store"):
        Store("memory://bucket/none")
    with pytest.raises(StoreError, match="nowhere://x"):
        Store("nowhere://x")


def test_without_an_index_the_same(tmp_path):
    opened = write(tmp_path, {"c/x": ramp(100, 2), "c/y": ramp(70, 1)})
    (tmp_path / INDEX).unlink()
    slow = Store(tmp_path)
    assert slow.fingerprint == opened.fingerprint
    assert slow.rows == opened.rows
    np.testing.assert_array_equal(slow.microvolts(1, 60, 10), opened.microvolts(1, 60, 10))
    np.testing.assert_array_equal(slow.samples, [100, 70])


def test_rows_are_those_of_the_opening(tmp_path):
    opened = write(tmp_path, {"c/x": ramp(100, 2), "c/y": ramp(70, 1)})
    write(tmp_path, {"c/a": ramp(10, 2)})
    assert [row.recording for row in opened.rows] == ["c/x", "c/y"]
    assert opened.rows[-1].samples == 70
    assert [row.samples for row in opened.rows[:1]] == [100]
    with pytest.raises(IndexError):
        opened.rows[2]
    with pytest.raises(StoreError, match=r"c/a.* is not what index\.npz says"):
        pickle.loads(pickle.dumps(opened)).rows[0]


def test_the_scale_follows_the_range():
    signal = np.zeros((1000, 5), np.float32)
    signal[3] = [3276.7, -3276.8, 15_000, 30_000, -50_000]
    signal[4] = 12.34
    counts, encoded = encode(signal)
    assert encoded.scale == (0.1, 0.2, 0.5, 1.0, 1.0)
    assert encoded.clipped == 1
    np.testing.assert_array_equal(counts[3], [32767, -16384, 30_000, 30_000, -32767])
    np.testing.assert_array_equal(counts[4], [123, 62, 25, 12, 12])
    noise = np.random.default_rng(0).normal(0, 20, (3000, 4)).astype(np.float32)
    stored = encode(noise)[0] * 0.1
    assert np.abs(stored - noise).max() <= 0.05 + 1e-5


@pytest.mark.parametrize("held", [0, 400, 1 << 20])
def test_blocks_and_memory_do_not_matter(tmp_path, held, monkeypatch):
    monkeypatch.setattr("neurolm.store.encoding._BLOCK", 100)
    noise = np.random.default_rng(0).normal(0, 20, (1000, 3)).astype(np.float32)
    noise[999, 1] = 9000  # seen last, and yet the scale of the whole channel
    blocks, parts = np.split(noise, [7, 7, 19, 500]), []
    encoded = encode_blocks(blocks, 3, write=lambda part: parts.append(bytes(part)), folder=tmp_path, held=held)
    counts, whole = encode(noise)
    assert encoded == whole
    assert whole.scale == (0.1, 0.5, 0.1)
    assert b"".join(parts) == counts.tobytes()
    assert not list(tmp_path.iterdir())


def test_nan_is_refused():
    signal = np.zeros((10, 3))
    signal[4, 1] = np.nan
    with pytest.raises(RecordingError, match="channel 1"):
        encode(signal)


def test_damage_is_noticed(tmp_path):
    opened = write(tmp_path, {"c/x": ramp(100, 2)})
    file = shard(tmp_path)
    opened.verify()
    content = bytearray(file.read_bytes())
    content[7] ^= 1
    file.write_bytes(content)
    with pytest.raises(StoreError, match=r"c/x.*hash"):
        Store(tmp_path).verify()
    file.write_bytes(content[:-3])
    with pytest.raises(StoreError, match="397 bytes instead of 400"):
        Store(tmp_path)
    with pytest.raises(StoreError, match="ends at byte 397"):
        opened.read(0, 90, 10)
    file.unlink()
    with pytest.raises(StoreError, match="is missing"):
        Store(tmp_path)


def test_a_damaged_manifest_or_index_is_named(tmp_path):
    row = write(tmp_path, {"c/x": ramp(100, 2), "c/y": ramp(100, 2)}).rows[0]
    manifest, index = tmp_path / MANIFEST, tmp_path / INDEX
    text = manifest.read_text()
    manifest.write_text(text + '{"recording":"z"}\n')
    with pytest.raises(StoreError, match=r"index\.npz: of a manifest of .* bytes.*delete index\.npz"):
        Store(tmp_path)
    index.unlink()
    with pytest.raises(StoreError, match=r"manifest\.jsonl, line 3: .*sha256"):
        Store(tmp_path)
    manifest.write_text(text + text)
    with pytest.raises(StoreError, match=r"line 3: damaged: c/x: is not in its place"):
        Store(tmp_path)
    manifest.write_text(text.replace('"samples":100', '"samples":"many"', 1))
    with pytest.raises(StoreError, match="line 1: damaged: samples"):
        Store(tmp_path)
    with pytest.raises(StoreError, match="c/x: is named twice"):
        write_manifest(tmp_path, [row, row])
    assert manifest.read_text().count("many") == 1
    manifest.write_text(text)
    index.write_bytes(b"PK nothing")
    with pytest.raises(StoreError, match=r"index\.npz: damaged"):
        Store(tmp_path)


def test_what_is_no_store_says_what_to_do(tmp_path):
    with pytest.raises(StoreError, match=r"no such store.*neurolm prepare"):
        Store(tmp_path / "none")
    with pytest.raises(StoreError, match="not a store"):
        Store(tmp_path)
    (tmp_path / SETTINGS).write_text('{"format": 2}')
    with pytest.raises(StoreError, match="not finished"):
        Store(tmp_path)
    (tmp_path / MANIFEST).write_text("")
    with pytest.raises(StoreError, match="no recordings"):
        Store(tmp_path)
    (tmp_path / SETTINGS).write_text(json.dumps({"format": 1, "corpora": {}}))
    with pytest.raises(StoreError, match=r"format 1, and this version reads format 2: prepare the recordings again"):
        Store(tmp_path)


def test_outlines_are_the_rows_in_short_and_parsed_once(tmp_path, monkeypatch):
    store = write(tmp_path / "s", {"c/a": np.ones((400, 2)), "c/b": np.ones((300, 3))})
    assert [(o.recording, o.subject, o.samples, o.channels, o.labels) for o in store.outlines] == [
        (row.recording, row.subject, row.samples, row.channels, row.labels) for row in store.rows
    ]
    monkeypatch.setattr(Rows, "__iter__", lambda _: pytest.fail("the manifest is read again"))
    assert len(unlabelled_windows(store, max_patches=8, max_seconds=4)) == 0  # too short to be windows
    assert len(labelled_windows(store, task="t", seconds=1, stride=0.5)) == 4
    assert subjects_of(store, "t") == ["c/s"]
