"""How surely copies are found, how often others are mistaken for them, and what it costs.

    python benchmarks/overlap.py --data RECORDINGS/eegmat --folder SCRATCH

Writes all of EEGMAT again in various ways, prepares each, and looks for it among the originals. Prints tables.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mne
import numpy as np

from neurolm.prepare.prepare import prepare
from neurolm.recording.options import ReadingOptions
from neurolm.store.overlap.fingerprint import Codes, Index, encode_waves, join, trace_names, traces
from neurolm.store.overlap.overlap import PROBE_SECONDS, PROBE_TRACES, overlap
from neurolm.store.store import Store

Change = Callable[[mne.io.BaseRaw], mne.io.BaseRaw]
CUT = 17.303
"""Seconds cut from the start: no whole number of samples at 200 Hz; a minute leaves 43."""
HOURS, TESTED_HOURS, CHANNELS = 25_000, 1000, 23
"""The case for which the cost is worked out."""


def values(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    """A change of the numbers, (channels, samples) in µV."""
    return lambda raw: raw.apply_function(lambda x: change(x * 1e6) * 1e-6, channel_wise=False)


CHANGES: dict[str, Change] = {
    "another format, channels reversed": lambda raw: raw.reorder_channels(raw.ch_names[::-1]),
    "rounded to 0.5 µV": values(lambda x: np.rint(x / 0.5) * 0.5),
    "rounded to 2 µV": values(lambda x: np.rint(x / 2) * 2),
    f"cut by {CUT} s": lambda raw: raw.crop(CUT),
    "cut, reversed, rounded to 0.5 µV, negative": lambda raw: values(lambda x: -np.rint(x / 0.5) * 0.5)(
        raw.crop(CUT).reorder_channels(raw.ch_names[::-1])
    ),
    "sampled at 256 Hz": lambda raw: raw.resample(256, verbose="error"),
    "only 6 of 19 channels": lambda raw: raw.pick(["F3", "C3", "P3", "O1", "Cz", "T4"]),
    "average reference": lambda raw: raw.set_eeg_reference("average", verbose="error"),
    "average reference, cut": lambda raw: raw.crop(CUT).set_eeg_reference("average", verbose="error"),
    "band 1 to 40 Hz": lambda raw: raw.filter(1, 40, verbose="error"),
    "noise of 1 µV added": values(lambda x: x + np.random.default_rng(0).standard_normal(x.shape)),
}


def rewritten(data: Path, out: Path, change: Change) -> Path:
    """Write all recordings again, anonymous and in FIF."""
    out.mkdir(parents=True)
    for number, file in enumerate(sorted(data.glob("*.edf"))):
        raw = mne.io.read_raw_edf(file, preload=True, verbose="error")
        raw.pick([name for name in raw.ch_names if name.startswith("EEG ") and "A2" not in name])
        raw.rename_channels(lambda name: name.removeprefix("EEG "))
        changed = change(raw)
        changed.anonymize(verbose="error").save(out / f"{number:02}_raw.fif", verbose="error")
    return out


def robustness(data: Path, folder: Path) -> Iterator[str]:
    """Found copies and false ones, for each change."""
    originals = folder / "originals"
    prepare(data, originals, corpus="eegmat", reading=ReadingOptions(mains=50))
    numbers = {row.recording: n for n, row in enumerate(sorted(Store(originals).rows, key=lambda row: row.source))}
    yield "| copy | found | others taken for a copy | least correlation |"
    yield "|---|---|---|---|"
    for name, change in CHANGES.items():
        copies, store = rewritten(data, folder / "copies", change), folder / "copies-store"
        prepare(copies, store, corpus="folder", reading=ReadingOptions(mains=50))
        found = overlap(store, [originals])
        right = [one for one in found.shared if int(one.recording.split("/")[1][:2]) == numbers[one.other]]
        wrong = len(found.shared) - len(right)
        least = min((abs(one.correlation) for one in right), default=float("nan"))
        pairs = len(numbers) * (len(numbers) - 1)
        yield f"| {name} | {len(right)} of {len(numbers)} | {wrong} of {pairs} | {least:.3f} |"
        shutil.rmtree(copies)
        shutil.rmtree(store)


def strangers(folder: Path) -> Iterator[str]:
    """Codes that different recordings share, all of them taken and as many as the program takes."""
    store = Store(folder / "originals")
    for selected in (1, 32):
        parts = []
        for number, row in enumerate(store.rows):
            signal = traces(store.microvolts(number, 0, row.samples), row.channels)
            parts.append(encode_waves(signal, recording=number, selected=selected))
        index = Index(join(parts))
        same = np.flatnonzero(np.diff(index.codes.values) == 0)
        shared = int(np.count_nonzero(index.codes.recordings[same] != index.codes.recordings[same + 1]))
        candidates = {(c.recording, c.other) for part in parts for c in index.find(part) if c.recording != c.other}
        yield (
            f"one code of {selected}: {len(index.codes):,} codes, {shared} shared by different recordings, "
            f"{len(candidates)} of {len(store) * (len(store) - 1)} pairs with two at one shift"
        )


def cost(folder: Path) -> Iterator[str]:
    """Seconds of one core per hour of EEG, and for a pretraining corpus against its tests."""
    store = Store(folder / "originals")
    row = store.rows[0]
    width = len(trace_names(row.channels)) / len(row.channels)
    indexed, probed = [], []
    for number, row in enumerate(store.rows):
        begun = time.process_time()
        for start in range(0, row.samples, 12_000):
            length = min(12_400, row.samples - start)
            encode_waves(traces(store.microvolts(number, start, length), row.channels))
        indexed.append((time.process_time() - begun) / row.samples / len(row.channels) / width)
        begun = time.process_time()
        starts = range(0, row.samples - PROBE_SECONDS * 200, 1000)
        for start in starts:
            wanted = range(PROBE_TRACES)
            encode_waves(traces(store.microvolts(number, start, 2000), row.channels, wanted), wanted=wanted)
        probed.append((time.process_time() - begun) / len(starts))
    per_sample, per_probe = np.median(indexed), np.median(probed)
    all_traces = CHANNELS + 8
    index_seconds = TESTED_HOURS * 720_000 * all_traces * per_sample
    probes = HOURS * 60
    yield f"all codes: {per_sample * 1e9:.1f} ns per sample and trace: {index_seconds:.0f} s for {TESTED_HOURS} h"
    yield f"codes of a stretch: {per_probe * 1e6:.0f} µs: {probes * per_probe:.0f} s for {HOURS} h, one every 60 s"
    read = probes * PROBE_SECONDS * 200 * CHANNELS * 2 / 1e9 + TESTED_HOURS * 720_000 * CHANNELS * 2 / 1e9
    yield f"to read: {read:.0f} GB"
    yield from lookups(all_traces)


def lookups(all_traces: int) -> Iterator[str]:
    """Look up random codes in an index of the size that the tested recordings have."""
    rng = np.random.default_rng(0)
    size = int(TESTED_HOURS * 3600 * all_traces * 11.7 / 32)
    recordings = rng.integers(0, 3000, size).astype(np.int32)
    begun = time.process_time()
    index = Index(
        Codes(rng.integers(0, 2**60, size).astype(np.uint64), recordings, np.zeros(size, np.uint16), recordings)
    )
    built = time.process_time() - begun
    memory = sum(getattr(index.codes, name).nbytes for name in ("values", "recordings", "traces", "starts")) / 1e9
    asked = 1_000_000
    chunk = 25_000
    begun = time.process_time()
    for _ in range(asked // chunk):
        where = np.sort(rng.integers(0, 64, chunk)).astype(np.int32)
        index.find(Codes(rng.integers(0, 2**60, chunk).astype(np.uint64), where, where.astype(np.uint16), where))
    each = (time.process_time() - begun) / asked
    total = HOURS * 60 * PROBE_TRACES * 9 * 11.7 / 32
    yield f"index: {size:,} codes, {memory:.1f} GB, sorted in {built:.0f} s"
    yield f"lookups: {each * 1e6:.2f} µs each: {each * total:.0f} s for {total:,.0f}"


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    for part in (robustness(given.data, given.folder), strangers(given.folder), cost(given.folder)):
        for line in part:
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()
