"""Filtering and resampling beside MNE's: time, agreement and peak memory, on recordings in EDF.

    python benchmarks/preprocess.py --eegmat DIR [--files 72] [--hour] [--long] [--folder SCRATCH]

--eegmat takes the folder of EEGMAT's files; --hour adds an hour of 23 channels at 256 Hz, --long the memory of a day of
32 channels at 512 Hz (2.8 GB in SCRATCH, removed afterwards). Set OMP_NUM_THREADS=1 to measure one core. Times are CPU
seconds of alternating runs in one process, after one of each to warm up; memory is the peak of a process of its own.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from neurolm.core.physics import BAND, RATE
from neurolm.recording import spectral
from neurolm.recording.filters import Design, output_grid
from neurolm.recording.options import ReadingOptions
from neurolm.recording.preprocess import preprocess, preprocess_blocks
from neurolm.recording.recording import Recording, open_recording

MAINS = 50.0
EDGE = 400  # samples at 200 Hz: two seconds
NAMES = [f"{letter}{digit}" for letter in ("F", "FC", "C", "CP", "P", "PO") for digit in (1, 2, 3, 4, 5, 6)]


def opened(path: Path) -> Recording:
    """Open a recording without a look at its signal, which MNE doesn't take either."""
    return open_recording(path, reading=ReadingOptions(unknown="drop"), check=False)


def ours(path: Path) -> np.ndarray:
    """Read, filter and resample: (samples, channels), µV."""
    return preprocess(opened(path), mains=MAINS).signal


def by_blocks(path: Path) -> int:
    """Read, filter and resample without keeping the result; returns its length."""
    return sum(len(block) for block in preprocess_blocks(opened(path), mains=MAINS).blocks)


def mne_pipeline(path: Path) -> np.ndarray:
    """Read, filter and resample with MNE: (channels, samples), V."""
    import mne

    names = mne.io.read_raw_edf(path, verbose="error").ch_names
    eeg = [name for name in names if not name.startswith(("ECG", "EEG A2-A1"))]
    raw = mne.io.read_raw_edf(path, include=eeg, preload=True, verbose="error")
    raw.filter(*BAND, verbose="error").notch_filter(MAINS, verbose="error").resample(RATE, verbose="error")
    return raw.get_data()


WAYS: dict[str, Callable[[Path], object]] = {"MNE": mne_pipeline, "neurolm": ours, "blocks": by_blocks}


def write_edf(path: Path, *, channels: int, rate: int, seconds: int) -> None:
    """Write noise with the 1/f spectrum of EEG: ten minutes, over and over."""
    period = min(seconds, 600)
    generator = np.random.default_rng(0)
    shape = 1 / np.sqrt(np.maximum(np.fft.rfftfreq(period * rate, 1 / rate), 0.2))
    noise = np.fft.irfft(np.fft.rfft(generator.normal(size=(channels, period * rate))) * shape)
    digits = np.round(200 * noise / noise.std()).astype("<i2")  # 20 µV at 0.1 µV a step
    records = np.ascontiguousarray(digits.reshape(channels, period, rate).transpose(1, 0, 2))

    def column(text: str, width: int) -> bytes:
        return text.ljust(width).encode() * channels

    header = b"0".ljust(8) + b"X X X X".ljust(80) + b"Startdate 01-JAN-2026 X X X".ljust(80) + b"01.01.2600.00.00"
    header += f"{256 * (channels + 1):<8}{'':44}{seconds:<8}{'1':<8}{channels:<4}".encode()
    header += b"".join(f"EEG {name}-REF".ljust(16).encode() for name in NAMES[:channels])
    header += column("", 80) + column("uV", 8) + column("-3276.8", 8) + column("3276.7", 8)
    header += column("-32768", 8) + column("32767", 8) + column("", 80) + column(str(rate), 8) + column("", 32)
    with path.open("wb") as file:
        file.write(header)
        for start in range(0, seconds, period):
            file.write(records[: seconds - start].tobytes())


def peak(way: str, path: Path) -> dict[str, float]:
    """Peak memory of a process after its imports and after the work, in MiB, and CPU seconds of the work."""
    command = [sys.executable, __file__, "--child", way, "--path", str(path)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, float] = json.loads(text)
    return found


def child(way: str, path: Path) -> None:
    """Print the peak memory of one way; MNE is imported in both, so that only the work differs."""
    import mne
    import scipy.fft
    import scipy.signal  # noqa: F401 - imported lazily by both

    mne.filter.create_filter(None, 200.0, 1.0, 40.0, verbose="error")
    before = high_water()
    seconds = timed(partial(WAYS[way], path))
    print(json.dumps({"imports": before, "peak": high_water(), "seconds": seconds}))


def high_water() -> float:
    """Peak resident memory of this process in MiB; getrusage would count that of the process which started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def timed(work: Callable[[], object]) -> float:
    """CPU seconds that a piece of work takes: what else runs on the machine counts less than on the clock."""
    start = time.process_time()
    work()
    return time.process_time() - start


def floor(path: Path) -> tuple[float, float]:
    """Seconds to read the bytes, and seconds of one transform there and one back, of the sizes that are used."""
    from scipy import fft

    record = opened(path)
    reading = min(timed(path.read_bytes) for _ in range(3))
    design = Design(record.rate, RATE, BAND, MAINS)
    places = output_grid(record.samples, design)
    count = -(-places.samples // 120_000)
    block = spectral._Block.of(0, places.samples // count, places, design)
    values = np.ones((8, block.size), np.float32)
    spectrum = np.ones((8, block.resized // 2 + 1), np.complex64)
    both = [timed(lambda: (fft.rfft(values), fft.irfft(spectrum, block.resized))) for _ in range(5)]
    return reading, min(both) / 8 * len(record.channels) * count


def compare(paths: Sequence[Path], rounds: int) -> None:
    """Print time per file of both ways, their ratio, and how well they agree."""
    WAYS["MNE"](paths[0])
    WAYS["neurolm"](paths[0])
    ratios: list[float] = []
    totals, floors, worst = np.zeros(2), np.zeros(2), np.zeros(3)
    for path in paths:
        seconds = np.array([[timed(partial(WAYS[way], path)) for way in ("MNE", "neurolm")] for _ in range(rounds)])
        by_round = seconds[:, 0] / seconds[:, 1]
        ratios += list(by_round) if len(paths) == 1 else [float(np.median(by_round))]
        totals += np.median(seconds, axis=0)
        floors += floor(path)
        difference = ours(path) - mne_pipeline(path).T * 1e6
        edges = np.concatenate([difference[:EDGE], difference[-EDGE:]])
        found = [np.sqrt(np.mean(difference**2)), np.sqrt(np.mean(edges**2)), np.abs(difference).max()]
        worst = np.maximum(worst, found)
    low, middle, high = np.quantile(ratios, [0, 0.5, 1])
    print(f"  files                    {len(paths)}, {rounds} rounds each")
    print(f"  MNE, neurolm             {totals[0]:.2f} s, {totals[1]:.2f} s: {totals[0] / totals[1]:.2f} times")
    print(f"  ratio by {'file ' if len(paths) > 1 else 'round'}           {middle:.2f} ({low:.2f} to {high:.2f})")
    print(f"  floor: reading, FFT      {floors[0]:.3f} s, {floors[1]:.3f} s")
    print(f"  largest RMS difference   {worst[0]:.1e} µV, first and last two seconds {worst[1]:.1e} µV")
    print(f"  largest difference       {worst[2]:.1e} µV")


def memory(path: Path, ways: Sequence[str]) -> None:
    """Print peak memory of some ways."""
    for way in ways:
        found = peak(way, path)
        work = f"{found['peak'] - found['imports']:,.0f}, {found['seconds']:.1f} s"
        print(f"  peak memory, {way:<11} {found['peak']:,.0f} MiB, without imports {work}")


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--eegmat", type=Path, help="folder of EEGMAT's files")
    parser.add_argument("--files", type=int, default=72, help="how many of them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hour", action="store_true", help="an hour of 23 channels at 256 Hz")
    parser.add_argument("--long", action="store_true", help="memory for a day of 32 channels at 512 Hz")
    parser.add_argument("--folder", type=Path, default=None, help="scratch folder")
    parser.add_argument("--child", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.path)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        if options.eegmat:
            paths = sorted(options.eegmat.glob("*.edf"))[: options.files]
            print("EEGMAT: 19 channels, 500 Hz")
            compare(paths, options.rounds)
            memory(max(paths, key=lambda path: path.stat().st_size), ("MNE", "neurolm"))
        if options.hour:
            print("an hour of 23 channels at 256 Hz")
            path = Path(scratch) / "hour.edf"
            write_edf(path, channels=23, rate=256, seconds=3600)
            compare([path], options.rounds)
            memory(path, ("MNE", "neurolm", "blocks"))
        if options.long:
            print("a day of 32 channels at 512 Hz")
            path = Path(scratch) / "day.edf"
            needed = 32 * 512 * 86400 * 2
            if shutil.disk_usage(scratch).free < 1.2 * needed:
                sys.exit(f"{scratch}: needs {needed / 1e9:.1f} GB of free disk; give another folder with --folder")
            write_edf(path, channels=32, rate=512, seconds=86400)
            memory(path, ("blocks",))


if __name__ == "__main__":
    main()
