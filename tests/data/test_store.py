"""The store: what is written is what is read, at any place, from any process; damage is noticed."""

import multiprocessing
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from neurolm.data import store as module
from neurolm.data.store import MANIFEST, SETTINGS, Label, Row, Store, encode, signal_path, write_parts
from neurolm.errors import StoreError, WriteError


def write(folder: Path, signals: dict[str, np.ndarray]) -> Store:
    """A store of signals in µV."""
    lines = []
    for name, signal in sorted(signals.items()):
        encoded = encode(signal)
        write_parts(signal_path(folder, name), [encoded.counts.tobytes()])
        row = Row(
            recording=name, corpus="c", source=name, sha256=encoded.sha256, subject="c/s",
            channels=tuple(f"C{n}" for n in range(signal.shape[1])), samples=len(signal), scale=encoded.scale,
            clipped=encoded.clipped, mains=50.0, band=(0.1, 75.0), unit="uV", version="0", licence="free",
            labels=(Label("t", "Yes", 0.0, 1.5),), notes=("µ \u2028 is no end of line",),
        )  # fmt: skip
        lines.append(row.line())
    (folder / MANIFEST).write_text("".join(lines))
    return Store(folder)


def ramp(samples: int, channels: int) -> np.ndarray:
    """Channel 0 carries the sample's index in counts, so that misalignment shows; the others their own number."""
    signal = np.tile(np.arange(channels, dtype=np.float32), (samples, 1))
    signal[:, 0] = np.arange(samples) * np.float32(0.1)
    return signal


def test_reads_are_exact_at_any_place(tmp_path):
    opened = write(tmp_path, {"a/x.edf": ramp(5000, 3), "a/y.edf": ramp(700, 1)})
    assert [row.recording for row in opened.rows] == ["a/x.edf", "a/y.edf"]
    assert opened.rows[0].labels == (Label("t", "Yes", 0.0, 1.5),)
    for start, count in [(0, 1), (4321, 200), (4999, 1), (0, 5000), (17, 0)]:
        counts = opened.read(0, start, count)
        assert counts.dtype == np.int16 and counts.shape == (count, 3)
        np.testing.assert_array_equal(counts[:, 0], np.arange(start, start + count))
        np.testing.assert_array_equal(counts[:, 2], 20)
    microvolts = opened.microvolts(0, 4000, 10)
    assert microvolts.dtype == np.float32
    np.testing.assert_allclose(microvolts[:, 0], np.arange(4000, 4010) * 0.1, rtol=1e-6)


def test_a_window_is_one_read(tmp_path, monkeypatch):
    opened = write(tmp_path, {"x": ramp(5000, 3)})
    calls = []
    real = os.preadv
    monkeypatch.setattr(os, "preadv", lambda *args: calls.append(args[2]) or real(*args))
    opened.read(0, 100, 800)
    assert calls == [100 * 3 * 2]


def test_interrupted_reads_are_completed(tmp_path, monkeypatch):
    opened = write(tmp_path, {"x": ramp(1000, 2)})
    real = os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, views, offset: real(fd, [views[0][:7]], offset))
    np.testing.assert_array_equal(opened.read(0, 300, 50)[:, 0], np.arange(300, 350))


def test_without_preadv_the_same(tmp_path, monkeypatch):
    opened = write(tmp_path, {"x": ramp(1000, 2)})
    monkeypatch.delattr(os, "preadv")
    np.testing.assert_array_equal(opened.read(0, 300, 50)[:, 0], np.arange(300, 350))


@pytest.mark.parametrize(("start", "count"), [(-1, 5), (0, 101), (100, 1), (5, -1)])
def test_reads_outside_are_refused(tmp_path, start, count):
    with pytest.raises(StoreError, match="100 samples"):
        write(tmp_path, {"x": ramp(100, 2)}).read(0, start, count)


def _open_files() -> int:
    """Open files of this process (0 where the system does not tell)."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def test_threads_share_a_store(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HELD_OPEN", 2)
    signals = {f"{n}": np.full((400, 2), n, np.float32) for n in range(8)}
    opened = write(tmp_path, signals)
    before = _open_files()
    barrier = threading.Barrier(4)

    def check(seed):
        barrier.wait()
        for index in np.random.default_rng(seed).integers(0, 8, 200):
            assert (opened.read(int(index), 100, 200) == index * 10).all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(check, range(4)))
    assert _open_files() <= before + 2


def test_a_store_travels_to_other_processes(tmp_path):
    opened = write(tmp_path, {"x": ramp(100, 2)})
    opened.read(0, 0, 1)
    assert pickle.loads(pickle.dumps(opened)).read(0, 42, 1)[0, 0] == 42
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        counts = pool.apply_async(opened.read, (0, 42, 1)).get(timeout=60)
    np.testing.assert_array_equal(counts, [[42, 10]])


def test_the_scale_follows_the_range():
    signal = np.zeros((1000, 5), np.float32)
    signal[3] = [3276.7, -3276.8, 15_000, 30_000, -50_000]
    signal[4] = 12.34
    encoded = encode(signal, block=7)
    assert encoded.scale == (0.1, 0.2, 0.5, 1.0, 1.0)
    assert encoded.clipped == 1
    np.testing.assert_array_equal(encoded.counts[3], [32767, -16384, 30_000, 30_000, -32767])
    np.testing.assert_array_equal(encoded.counts[4], [123, 62, 25, 12, 12])
    noise = np.random.default_rng(0).normal(0, 20, (3000, 4)).astype(np.float32)
    stored = encode(noise).counts * 0.1
    assert np.abs(stored - noise).max() <= 0.05 + 1e-5


def test_blocks_do_not_matter():
    noise = np.random.default_rng(0).normal(0, 20, (1000, 3)).astype(np.float32)
    assert encode(noise, block=13).sha256 == encode(noise).sha256


def test_nan_is_refused():
    signal = np.zeros((10, 3))
    signal[4, 1] = np.nan
    with pytest.raises(StoreError, match="channel 1"):
        encode(signal, block=3)


def test_damage_is_noticed(tmp_path):
    file = signal_path(tmp_path, "x")
    opened = write(tmp_path, {"x": ramp(100, 2)})
    opened.verify()
    content = bytearray(file.read_bytes())
    content[7] ^= 1
    file.write_bytes(content)
    with pytest.raises(StoreError, match="hash"):
        Store(tmp_path).verify()
    file.write_bytes(content[:-3])
    with pytest.raises(StoreError, match="397 bytes instead of 400"):
        Store(tmp_path)
    with pytest.raises(StoreError, match="ends at byte 397"):
        opened.read(0, 90, 10)
    file.unlink()
    with pytest.raises(StoreError, match="is missing"):
        Store(tmp_path)
    manifest = tmp_path / MANIFEST
    manifest.write_text(manifest.read_text() + '{"recording":"y"}\n')
    with pytest.raises(StoreError, match=r"manifest\.jsonl, line 2"):
        Store(tmp_path)


def test_what_is_no_store_says_what_to_do(tmp_path):
    with pytest.raises(StoreError, match=r"no such store.*neurolm prepare"):
        Store(tmp_path / "none")
    with pytest.raises(StoreError, match="not a store"):
        Store(tmp_path)
    (tmp_path / SETTINGS).write_text("{}")
    with pytest.raises(StoreError, match="not finished"):
        Store(tmp_path)
    (tmp_path / MANIFEST).write_text("")
    with pytest.raises(StoreError, match="no recordings"):
        Store(tmp_path)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    file = tmp_path / "x"
    write_parts(file, [b"old"])

    def parts():
        yield b"new"
        raise OSError(28, "No space left on device")

    with pytest.raises(WriteError, match="No space left"):
        write_parts(file, parts())
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert file.read_bytes() == b"old"
