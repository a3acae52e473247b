"""How fast traces of a long recording are there, and how fast one pages through them

    python benchmarks/traces.py --folder SCRATCH                              # 32 electrodes, 8 hours at 256 Hz
    python benchmarks/traces.py --folder SCRATCH --electrodes 64 --hours 24   # memory stays bounded
    python benchmarks/traces.py --folder SCRATCH --layout                     # chunks beside one row for each channel

Writes an EDF file of noise, makes its pyramid as the service does, asks for pages over HTTP on this machine, and prints
Markdown tables. Seconds and milliseconds of the processor are those that the process computed, so that others on the
machine do not count; those of the clock are what one waits for.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import shutil
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

if __name__ == "__main__":  # before NumPy asks for it
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import edfio
import numpy as np
import requests

from neurolm.core.montage import ELECTRODES, template_positions
from neurolm.recording.formats.edf import read_header
from neurolm.recording.formats.edf_signal import open_samples
from neurolm.recording.options import ReadingOptions
from neurolm.server.traces import build
from neurolm.server.traces.pyramid import CHUNK
from neurolm.server.traces.traces import Traces

RATE = 256
MINUTES = 10
"""Of noise, over and over."""
FIRST = (
    "FP1", "F7", "F3", "T7", "C3", "P7", "P3", "O1", "FP2", "F8", "F4", "T8", "C4", "P8", "P4", "O2", "FZ", "CZ", "PZ",
)  # fmt: skip
FILTERS = {
    "none": {}, "0.5–70 Hz, notch": {"highpass": 0.5, "lowpass": 70, "notch": 50},
    "0.1–70 Hz, notch": {"highpass": 0.1, "lowpass": 70, "notch": 50},
}  # fmt: skip


def main() -> None:
    """Write, build, ask, print."""
    arguments = _arguments()
    folder: Path = arguments.folder
    shutil.rmtree(folder / "scratch", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{arguments.electrodes}x{arguments.hours:g}h.edf"
    if not path.exists():
        write(path, arguments.electrodes, arguments.hours)
    print(
        f"{arguments.electrodes} electrodes, {arguments.hours:g} h at {RATE} Hz, {path.stat().st_size / 1e6:,.0f} MB\n"
    )
    if arguments.layout:
        layout(path, arguments.pages)
        return
    making(path, folder / "scratch")
    pages(path, folder / "scratch" / "service", arguments)


def write(path: Path, electrodes: int, hours: float) -> None:
    """Write noise of ten minutes, and repeat its data records."""
    names = [*FIRST, *(n for n in ELECTRODES if n in template_positions() and "-" not in n and n not in FIRST)]
    noise = np.random.default_rng(0).normal(0, 20, (electrodes, RATE * 60 * MINUTES))
    edfio.Edf(
        [
            edfio.EdfSignal(one, RATE, label=f"EEG {name}-REF", physical_dimension="uV", physical_range=(-800, 800))
            for one, name in zip(noise, names, strict=False)
        ]
    ).write(path)
    whole = path.read_bytes()
    begin = int(whole[184:192])
    times = round(hours * 60 / MINUTES)
    records = int(whole[236:244]) * times
    with path.open("wb") as file:
        file.write(whole[:236] + f"{records:<8d}".encode() + whole[244:begin])
        for _ in range(times):
            file.write(whole[begin:])


def making(path: Path, folder: Path) -> None:
    """How fast the pyramid is made, beside reading the file and writing as many bytes."""
    size, made = path.stat().st_size / 1e6, folder / "traces"
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as apart:
        rows = [("reading the file's numbers", *apart.submit(_timed, _read, path).result())]
        rows.append(("the pyramid, reading included", *apart.submit(_timed, _make, path, made).result()))
        large = sum(file.stat().st_size for file in made.iterdir())
        rows.insert(1, ("writing as many bytes", *apart.submit(_timed, _write, folder / "bytes", large).result()))
    print("| | CPU s | MB of the file per CPU second | s by the clock | peak memory, MB |\n|---|---|---|---|---|")
    for what, memory, cpu, clock in rows:
        print(f"| {what} | {cpu:.2f} | {size / cpu:,.0f} | {clock:.2f} | {memory / 1e3:,.0f} |")
    print(f"\nThe pyramid has {large / 1e6:,.0f} MB, {large / 1e6 / size:.2f} times the file's.\n")
    shutil.rmtree(folder)


def _timed(work: Callable[..., Any], *arguments: Any, **named: Any) -> tuple[Any, float, float]:
    cpu, clock = time.process_time(), time.monotonic()
    found = work(*arguments, **named)
    return found, time.process_time() - cpu, time.monotonic() - clock


def _read(path: Path) -> int:
    header = read_header(path)
    samples = open_samples(path, header, range(len(header.signals)))
    for at in range(0, samples.samples, 32 * CHUNK):
        samples.digital(at, min(at + 32 * CHUNK, samples.samples))
    return _memory()


def _make(path: Path, folder: Path) -> int:
    build.begin(path, ReadingOptions(unknown="nearest"), folder)
    while build.advance(1) < 1:
        pass
    return _memory()


def _write(path: Path, size: int) -> int:
    part = np.random.default_rng(0).bytes(8 << 20)
    with path.open("wb") as file:
        for _ in range(size // len(part)):
            file.write(part)
        file.flush()
        os.fsync(file.fileno())
    return _memory()


def _memory() -> int:
    """Peak of this process so far, kB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def pages(path: Path, scratch: Path, arguments: argparse.Namespace) -> None:
    """How long one waits for the first page, and for others, over HTTP."""
    entry = SimpleNamespace(
        id="a", name=path.name, path=path, reading=ReadingOptions(unknown="nearest"), scratch=scratch
    )
    scratch.mkdir(parents=True)
    before = Traces()
    while not before.view(entry)["ready"]:
        pass
    before.close()
    traces = Traces()
    address = f"{_serve(entry, traces)}/recordings/a"
    session = requests.Session()
    first = {"start": 0, "seconds": 10, "columns": 1600} | FILTERS["0.5–70 Hz, notch"]
    print("| opening, the pyramid being there | CPU ms | ms by the clock |\n|---|---|---|")
    for what, query in (("view", {}), ("traces", first), ("overview", {"columns": 1600})):
        _, cpu, clock = _timed(_get, session, f"{address}/{what}", **query)
        print(f"| `/{what}` | {cpu * 1000:.0f} | {clock * 1000:.0f} |")
    print("\n| page | montage | filters | CPU ms p50 | p99 | ms by the clock p50 | p99 | kB |\n" + "|---" * 8 + "|")
    random = np.random.default_rng(0)
    for seconds in (10, 30):
        starts = random.uniform(0, arguments.hours * 3600 - seconds, arguments.pages)
        for montage in ("recorded", "average", "bipolar"):
            for name, how in FILTERS.items():
                query = {"seconds": seconds, "columns": 1600, "montage": montage} | how
                found = [_timed(_get, session, f"{address}/traces", start=start, **query) for start in starts]
                size, cpu, clock = np.array(found).T
                spread = [np.percentile(each, at) * 1000 for each in (cpu, clock) for at in (50, 99)]
                said = " | ".join(f"{value:.1f}" for value in spread)
                print(f"| {seconds} s | {montage} | {name} | {said} | {size.mean() / 1e3:.0f} |", flush=True)
    traces.close()


def _get(session: requests.Session, address: str, **query: object) -> int:
    found = session.get(address, params=query)
    assert found.status_code == 200, found.text
    return len(found.content)


def _serve(entry: SimpleNamespace, traces: Traces) -> str:
    """Serve the routes of traces alone, in this process."""
    import uvicorn
    from fastapi import FastAPI

    from neurolm.server.routes.traces import router

    app = FastAPI()
    library = SimpleNamespace(get=lambda _id: entry, touch=lambda _id: None)
    app.state.service = SimpleNamespace(library=library, traces=traces)
    app.include_router(router)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    import scipy.signal  # noqa: F401 - which a service loads when it starts

    return f"http://127.0.0.1:{port}"


def layout(path: Path, count: int) -> None:
    """Pages of 10 s from chunks, and from one row for each channel, in memory and from the disk."""
    header = read_header(path)
    samples = open_samples(path, header, range(len(header.signals)))
    channels, length = len(header.signals), samples.samples // CHUNK * CHUNK
    files = {"chunks of all channels": path.with_suffix(".chunks"), "a row for each channel": path.with_suffix(".rows")}
    chunks, rows = (np.memmap(file, np.int16, "w+", shape=(length * channels,)) for file in files.values())
    for at in range(0, length, CHUNK):
        part = samples.digital(at, at + CHUNK)
        chunks[at * channels : (at + CHUNK) * channels] = part.ravel()
        rows.reshape(channels, length)[:, at : at + CHUNK] = part
    starts = np.random.default_rng(0).integers(0, length - 10 * RATE, count)
    print("| 10 s from | in memory: ms p50 | p99 | from the disk: ms p50 | p99 |\n|---|---|---|---|---|")
    for name, values in zip(files, (chunks, rows), strict=True):
        values.flush()
        said = []
        for cold in (False, True):
            waits = []
            for start in starts.tolist():
                if cold:
                    _forget(files[name])
                waits.append(_timed(_page, values, channels, length, start, name.startswith("chunks"))[2])
            said += [f"{np.percentile(waits, at) * 1000:.2f}" for at in (50, 99)]
        print(f"| {name} | {' | '.join(said)} |")
    for file in files.values():
        file.unlink()


def _forget(path: Path) -> None:
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _page(values: np.ndarray, channels: int, length: int, start: int, chunked: bool) -> np.ndarray:
    stop = start + 10 * RATE
    if not chunked:
        return values.reshape(channels, length)[:, start:stop] * np.float32(0.1)
    whole = values.reshape(-1, channels, CHUNK)[start // CHUNK : (stop - 1) // CHUNK + 1]
    joined = whole.transpose(1, 0, 2).reshape(channels, -1)
    return joined[:, start % CHUNK : start % CHUNK + 10 * RATE] * np.float32(0.1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="for files, which take three times the recording")
    parser.add_argument("--electrodes", type=int, default=32)
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--pages", type=int, default=200, help="of each kind")
    parser.add_argument("--layout", action="store_true", help="compare the layouts of files instead")
    return parser.parse_args()


if __name__ == "__main__":
    main()
