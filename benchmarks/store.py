"""The store against Zarr, HDF5, Arrow and a plain read; and with 100,000 recordings.

All read the same windows.

    python benchmarks/store.py windows --folder SCRATCH
    python benchmarks/store.py stream --folder SCRATCH
    python benchmarks/store.py requests --folder SCRATCH
    python benchmarks/store.py open --folder SCRATCH

Needs the extra ``benchmark`` and about 6 GB of disk in SCRATCH, which is emptied afterwards. All contenders hold the
same simulated EEG and read the same windows, in alternation, in one process; each result is compared with the signal.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from neurolm.core.physics import RATE
from neurolm.store.index import write_manifest
from neurolm.store.manifest import Label, Row
from neurolm.store.shards import in_shard, write_store
from neurolm.store.store import SHARDS, Store

PATCHES = 1024
CHANNELS = 19
SECONDS = PATCHES // CHANNELS
CHUNK_SECONDS = 10
"""Of the chunked formats: a window of 53 s touches six or seven."""


def row_of(number: int, samples: int, channels: int = CHANNELS, labels: tuple[Label, ...] = ()) -> Row:
    """A row as a preparation writes it."""
    return Row(
        recording=f"bench/{number:06}.edf", corpus="bench", source=f"{number:06}.edf", sha256=f"{number:064x}",
        subject=f"bench/{number // 4:05}", channels=tuple(f"C{n}" for n in range(channels)), samples=samples,
        scale=(0.1,) * channels, clipped=0, mains=50.0, band=(0.1, 75.0), unit="uV", version="0", licence="none",
        labels=labels, notes=("mains 50 Hz: 12 times the power of its neighbourhood", "left out, no electrodes: ECG"),
        shard="", offset=0,
    )  # fmt: skip


def simulate(recordings: int, minutes: int) -> Iterator[np.ndarray]:
    """int16 counts of 0.1 µV with a spectrum that falls as that of EEG does, which compresses as EEG does."""
    for number in range(recordings):
        rng = np.random.default_rng(number)
        steps = rng.standard_normal((minutes * 60 * RATE, CHANNELS), np.float32)
        signal = np.empty_like(steps)
        level = np.zeros(CHANNELS, np.float32)
        for index in range(len(steps)):
            level = 0.97 * level + steps[index]
            signal[index] = level
        yield np.rint(signal * 60).astype("<i2")


class Contender:
    """A format: writes signals into a folder once, and reads windows of them in any process."""

    name: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, signals: list[np.ndarray]) -> None:
        raise NotImplementedError

    def open(self, recordings: int) -> None:
        raise NotImplementedError

    def read(self, recording: int, start: int, count: int) -> np.ndarray:
        raise NotImplementedError


class Raw(Contender):
    """The store."""

    name = "neurolm store"

    def write(self, signals: list[np.ndarray]) -> None:
        write_store(self.folder, [(row_of(n, len(s)), s) for n, s in enumerate(signals)])

    def open(self, recordings: int) -> None:
        self.store = Store(self.folder)

    def read(self, recording: int, start: int, count: int) -> np.ndarray:
        return self.store.read(recording, start, count)


class Hdf5(Contender):
    """One file, a contiguous data set per recording."""

    name = "HDF5, contiguous"
    chunks: tuple[int, int] | None = None

    def write(self, signals: list[np.ndarray]) -> None:
        import h5py

        self.folder.mkdir(parents=True)
        with h5py.File(self.folder / "all.h5", "w") as file:
            for number, signal in enumerate(signals):
                file.create_dataset(str(number), data=signal, chunks=self.chunks)

    def open(self, recordings: int) -> None:
        import h5py

        file = h5py.File(self.folder / "all.h5", "r")
        self.sets = [file[str(number)] for number in range(recordings)]

    def read(self, recording: int, start: int, count: int) -> np.ndarray:
        return self.sets[recording][start : start + count]


class Hdf5Chunked(Hdf5):
    """The same in chunks, without which HDF5 neither compresses nor grows."""

    name = "HDF5, chunks of 10 s"
    chunks = (CHUNK_SECONDS * RATE, CHANNELS)


class Arrow(Contender):
    """A Feather file per recording, memory-mapped; a row is a sample of all channels."""

    name = "Arrow/Feather, a list per sample"

    def write(self, signals: list[np.ndarray]) -> None:
        from pyarrow import feather

        self.folder.mkdir(parents=True)
        for number, signal in enumerate(signals):
            feather.write_feather(
                self.table(signal), str(self.folder / f"{number}.feather"), compression="uncompressed"
            )

    def table(self, signal: np.ndarray) -> Any:
        import pyarrow as pa

        return pa.table({"eeg": pa.FixedSizeListArray.from_arrays(pa.array(signal.ravel()), CHANNELS)})

    def open(self, recordings: int) -> None:
        from pyarrow import feather

        names = [str(self.folder / f"{number}.feather") for number in range(recordings)]
        self.tables = [feather.read_table(name, memory_map=True) for name in names]

    def read(self, recording: int, start: int, count: int) -> np.ndarray:
        chunks = self.tables[recording].slice(start, count)["eeg"].chunks
        return np.concatenate([chunk.flatten().to_numpy() for chunk in chunks]).reshape(count, CHANNELS)


class ArrowColumns(Arrow):
    """The same with a column per channel, as tables are."""

    name = "Arrow/Feather, a column per channel"

    def table(self, signal: np.ndarray) -> Any:
        import pyarrow as pa

        return pa.table({f"C{n}": np.ascontiguousarray(signal[:, n]) for n in range(CHANNELS)})

    def read(self, recording: int, start: int, count: int) -> np.ndarray:
        return np.stack([column.to_numpy() for column in self.tables[recording].slice(start, count).columns], axis=1)


class Zarr(Contender):
    """One array per recording, chunks of 10 s in shards of a recording."""

    name = "Zarr 3, sharded, uncompressed"
    compressors: Any = None

    def write(self, signals: list[np.ndarray]) -> None:
        import zarr

        chunk = CHUNK_SECONDS * RATE
        for number, signal in enumerate(signals):
            array = zarr.create_array(
                str(self.folder / f"{number}.zarr"), shape=signal.shape, dtype="i2", chunks=(chunk, CHANNELS),
                shards=(-(-len(signal) // chunk) * chunk, CHANNELS), compressors=self.compressors,
            )  # fmt: skip
            array[:] = signal

    def open(self, recordings: int) -> None:
        import zarr

        names = [str(self.folder / f"{number}.zarr") for number in range(recordings)]
        self.arrays = [zarr.open_array(name, mode="r") for name in names]

    def read(self, recording: int, start: int, count: int) -> np.ndarray:
        return np.asarray(self.arrays[recording][start : start + count])


class ZarrCompressed(Zarr):
    """The same, compressed as Zarr does by itself."""

    name = "Zarr 3, sharded, zstd"
    compressors = "auto"


CONTENDERS = (Raw, Hdf5, Hdf5Chunked, Arrow, ArrowColumns, Zarr, ZarrCompressed)


def windows(folder: Path, *, recordings: int, minutes: int, rounds: int, reads: int) -> None:
    """Time random windows: warm in one and two threads, and cold in a process of its own."""
    signals = list(simulate(recordings, minutes))
    rng = np.random.default_rng(1)
    count = SECONDS * RATE
    chosen = [(int(rng.integers(recordings)), int(rng.integers(minutes * 60 * RATE - count))) for _ in range(reads)]
    contenders = [kind(folder / kind.__name__) for kind in CONTENDERS]
    for contender in contenders:
        contender.write(signals)
    size = sum(signal.nbytes for signal in signals)
    print(f"{recordings} recordings of {minutes} min, {CHANNELS} channels: {size / 1e9:.2f} GB as int16")
    print(f"{reads} random windows of {SECONDS} s ({SECONDS * CHANNELS} patches, {count * CHANNELS * 2 / 1e3:.0f} kB)")
    one: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    two: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    cold: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    # First: what a process has mapped stays in memory.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as fresh:
        for number in range(max(3, rounds // 3)):
            for contender in contenders:
                some = chosen[number::5]
                cold[contender.name].append(
                    fresh.submit(_cold, type(contender), contender.folder, recordings, some, count).result()
                )
    for contender in contenders:  # warms, and proves that all give the same
        contender.open(recordings)
        for recording, start in chosen:
            found = contender.read(recording, start, count)
            np.testing.assert_array_equal(found, signals[recording][start : start + count], contender.name)
    order = random.Random(0)
    for _ in range(rounds):
        for recording, start in chosen:  # read by read, so that what else the machine does falls on all alike
            for contender in order.sample(contenders, len(contenders)):
                one[contender.name].append(_time(contender, [(recording, start)], count, threads=1))
        for contender in order.sample(contenders, len(contenders)):
            two[contender.name].append(_time(contender, chosen, count, threads=2))
    print(f"{'':<36} {'µs, one thread':>22} {'µs, two threads':>22} {'µs, cold':>22} {'GB on disk':>11}")
    for contender in contenders:
        held = sum(f.stat().st_size for f in contender.folder.rglob("*") if f.is_file()) / 1e9
        cells = [_spread(of[contender.name]) for of in (one, two, cold)]
        print(f"{contender.name:<36} {cells[0]:>22} {cells[1]:>22} {cells[2]:>22} {held:>11.2f}")


def _spread(seconds: list[float]) -> str:
    """Median, and what 80 % lie between."""
    low, high = np.quantile(seconds, (0.1, 0.9))
    return f"{statistics.median(seconds) * 1e6:.0f} ({low * 1e6:.0f} – {high * 1e6:.0f})"


def _time(contender: Contender, chosen: list[tuple[int, int]], count: int, *, threads: int) -> float:
    """Seconds per window."""

    def some(first: int) -> None:
        for recording, start in chosen[first::threads]:
            contender.read(recording, start, count)

    begun = time.perf_counter()
    if threads == 1:
        some(0)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(some, range(threads)))
    return (time.perf_counter() - begun) / len(chosen)


def _cold(kind: type[Contender], folder: Path, recordings: int, chosen: list[tuple[int, int]], count: int) -> float:
    """Seconds per window in this process, which has read nothing yet."""
    forget(folder)
    contender = kind(folder)
    contender.open(recordings)
    return _time(contender, chosen, count, threads=1)


def forget(folder: Path) -> None:
    """Drop a folder's files out of the page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def stream(folder: Path, *, gigabytes: float, rounds: int) -> None:
    """Read a store once through, and its shards as plain files."""
    minutes = 30
    one = minutes * 60 * RATE * CHANNELS * 2
    noise = np.random.default_rng(0).integers(-500, 500, (minutes * 60 * RATE, CHANNELS)).astype("<i2")
    count = round(gigabytes * 1e9 / one)
    write_store(folder / "raw", ((row_of(n, len(noise)), noise) for n in range(count)))
    store = Store(folder / "raw")
    block = (8 << 20) // (CHANNELS * 2)
    counts = np.empty((block, CHANNELS), "<i2")
    buffer = counts.data.cast("B")  # the same for all: how a buffer lies in memory matters for the copy

    def plain() -> int:
        got = 0
        for shard in sorted((folder / "raw" / SHARDS).iterdir()):
            with shard.open("rb", buffering=0) as file:
                while n := file.readinto(buffer):
                    got += n
        return got

    def blocks() -> int:
        got = 0
        for index, samples in enumerate(store.samples.tolist()):
            for start in range(0, samples, block):
                n = min(block, samples - start)
                got += store.read(index, start, n, out=counts[:n]).nbytes
        return got

    def whole() -> int:
        return sum(store.read(index, 0, samples).nbytes for index, samples in enumerate(store.samples.tolist()))

    order = random.Random(0)
    ways = {"plain read": plain, "store, blocks of 8 MiB": blocks, "store, whole recordings": whole}
    for what, prepare in (("cold", lambda: forget(folder / "raw")), ("warm", lambda: None)):
        speeds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in sorted(ways.items(), key=lambda _: order.random()):
                prepare()
                begun = time.perf_counter()
                got = way()
                speeds[name].append(got / (time.perf_counter() - begun) / 1e9)
        first = statistics.median(speeds["plain read"])
        print(f"{what}, {got / 1e9:.2f} GB:")
        for name, of in speeds.items():
            ratios = sorted(a / b for a, b in zip(of, speeds["plain read"], strict=True))
            print(
                f"  {name:<26} {statistics.median(of):6.2f} GB/s ({min(of):.2f} – {max(of):.2f})  "
                f"{statistics.median(of) / first:6.1%} of plain (in pairs {ratios[0]:.1%} – {ratios[-1]:.1%})"
            )


class Counted(io.RawIOBase):
    """A file that counts what is asked of it, as object storage would be asked."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("rb", buffering=0)
        self.requests = self.bytes = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def readinto(self, buffer: Any) -> int:
        self.requests += 1
        got = self.file.readinto(buffer) or 0
        self.bytes += got
        return got


def requests(folder: Path, *, recordings: int, minutes: int) -> None:
    """Count what HDF5 asks of object storage for a window; the store asks for one range."""
    import h5py

    contender = Hdf5(folder / "hdf5")
    noise = np.random.default_rng(0).integers(-500, 500, (minutes * 60 * RATE, CHANNELS)).astype("<i2")
    contender.write([noise] * recordings)
    counted = Counted(contender.folder / "all.h5")
    with h5py.File(counted, "r") as file:
        seen = [counted.requests]
        for number in (0, recordings // 2, recordings - 1):
            data = file[str(number)]
            for start in (1000, 20_000):
                data[start : start + SECONDS * RATE]
                seen.append(counted.requests)
    steps = [b - a for a, b in pairwise([0, *seen])]
    print(f"HDF5, {recordings} recordings: {steps[0]} requests to open")
    print(f"then, of three recordings, {steps[1::2]} for the first window and {steps[2::2]} for another")


_OPEN = """
import json, sys, time
from pathlib import Path
from neurolm.store.store import Store

def peak():
    (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1])

before = peak()
begun = time.perf_counter()
store = Store(sys.argv[1])
opened = time.perf_counter()
row = store.rows[77_777]
decoder = time.perf_counter()
for index in range(0, 100_000, 1000):
    row = store.rows[index % len(store)]
first = time.perf_counter()
after = peak()
hours = sum(row.seconds for row in store.rows) / 3600
print(json.dumps({"recordings": len(store), "open s": opened - begun, "the first row s": decoder - opened,
                  "a row s": (first - decoder) / 100, "peak MiB": after / 1024,
                  "of which opening MiB": (after - before) / 1024, "all rows s": time.perf_counter() - first,
                  "peak then MiB": peak() / 1024}))
"""


def open_many(folder: Path, *, recordings: int, rounds: int) -> None:
    """Open a store of many recordings, in a process of its own each time; the signals are holes in files."""
    labels = tuple(Label("sleep", "NREM-2", 30.0 * n, 30.0 * n + 30) for n in range(10))
    minutes = np.random.default_rng(0).integers(5, 60, recordings).tolist()
    rows = [in_shard(row_of(n, m * 60 * RATE, 23, labels)) for n, m in enumerate(minutes)]
    (folder / "many" / SHARDS).mkdir(parents=True)
    for row in rows:
        with (folder / "many" / SHARDS / row.shard).open("wb") as file:
            file.truncate(row.size)
    write_manifest(folder / "many", rows)
    manifest, index = ((folder / "many" / name).stat().st_size / 1e6 for name in ("manifest.jsonl", "index.npz"))
    terabytes = sum(row.size for row in rows) / 1e12
    print(f"manifest {manifest:.0f} MB, index {index:.1f} MB, {len(rows)} shards of {terabytes:.2f} TB")
    results = []
    for _ in range(rounds):
        command = [sys.executable, "-c", _OPEN, str(folder / "many")]
        results.append(json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout))
    for name in results[0]:
        values = sorted(result[name] for result in results)
        print(f"  {name:<22} {statistics.median(values):10.4g}  ({values[0]:.4g} – {values[-1]:.4g})")


@contextmanager
def scratch(folder: Path | None) -> Iterator[Path]:
    """A folder that is emptied afterwards."""
    path = Path(tempfile.mkdtemp(dir=folder))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("windows", "stream", "requests", "open"))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--recordings", type=int)
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--gigabytes", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--reads", type=int, default=400)
    given = parser.parse_args()
    with scratch(given.folder) as folder:
        if given.what == "windows":
            windows(folder, recordings=given.recordings or 24, minutes=given.minutes, rounds=given.rounds,
                    reads=given.reads)  # fmt: skip
        elif given.what == "stream":
            stream(folder, gigabytes=given.gigabytes, rounds=given.rounds)
        elif given.what == "requests":
            requests(folder, recordings=given.recordings or 2000, minutes=5)
        else:
            open_many(folder, recordings=given.recordings or 100_000, rounds=given.rounds)


if __name__ == "__main__":
    main()
