"""What preparing a corpus will take, measured on a few of its files: ``neurolm plan``.

The sources are dealt into strata of equal bytes, from small files to large ones; one file of each, drawn by the seed,
and the largest of all are prepared in a temporary folder as ``neurolm prepare`` does it. Every stratum counts like its
file, byte by byte; the range comes from drawing strata again with replacement (bootstrap).
"""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from neurolm.core.errors import ConfigError, StoreError, argument
from neurolm.core.physics import RATE
from neurolm.core.workers import Died, Worker, cores
from neurolm.corpora import AUTO, layout_of
from neurolm.prepare.journal import CorpusSettings
from neurolm.prepare.worker import RecordingJob, Unreadable, list_recordings, prepare_recording, require_folder
from neurolm.recording.options import BELIEVED, ReadingOptions

SAMPLED = 6
"""Files measured, besides the largest."""
DRAWS = 1000
"""Times that the bootstrap draws; the range holds all but a tenth of them."""
SIMULATED = "simulated"
"""Folder of the simulated recordings that stand in for a corpus that is not at hand."""
SIMULATED_SECONDS = (300, 900, 1800)
"""Lengths of the simulated recordings."""


@dataclass(frozen=True)
class EstimatedRange:
    """An estimate, and the range in which nine of ten redrawn samples put it."""

    estimate: float
    low: float
    high: float

    def times(self, factor: float) -> EstimatedRange:
        """The range of a multiple."""
        return EstimatedRange(self.estimate * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Measured:
    """What preparing a file took."""

    source: str
    bytes: int
    """Size of the source, side files included."""
    hours: float
    """Length of the EEG."""
    channels: int
    stored: int
    """Bytes in the store."""
    cpu_seconds: float
    peak_memory: int
    """Bytes that the process had held at most by then; files are measured from small to large."""


@dataclass(frozen=True)
class Plan:
    """What preparing takes."""

    recordings: int
    """Found; 0 where only hours were given."""
    source_bytes: EstimatedRange
    hours: EstimatedRange
    """Length of the EEG."""
    store_bytes: EstimatedRange
    core_hours: EstimatedRange
    """Work of one core, without waiting for the disk."""
    peak_memory: int
    """Bytes that a worker held at most, with the largest file of all among the measured ones."""
    cores: int
    """Workers that ``wall_hours`` and ``read_rate`` are computed for."""
    measured: tuple[Measured, ...]
    failed: tuple[str, ...]
    """Reasons why sampled files cannot be prepared; what they stand for is left out of the sums."""

    @property
    def wall_hours(self) -> float:
        """Time on ``cores`` cores, where the disk keeps up."""
        return self.core_hours.estimate / self.cores

    @property
    def read_rate(self) -> float:
        """Bytes per second that the sources' disk has to deliver for that."""
        return self.source_bytes.estimate / max(self.wall_hours * 3600, 1e-9)


def plan(
    data: Sequence[Path | str] = (),
    *,
    hours: float | None = None,
    corpus: str = AUTO,
    reading: ReadingOptions = BELIEVED,
    jobs: int = 0,
    samples: int = SAMPLED,
    seed: int = 0,
    simulated_channels: int = 23,
    simulated_rate: int = 256,
) -> Plan:
    """Estimate what preparing corpora takes.

    Parameters
    ----------
    data
        Folders of recordings; without any, simulated recordings stand for them, and ``hours`` is needed.
    hours
        Hours of EEG to plan for, were there more of the same kind; by default what the folders hold.
    corpus
        Layout of the folders, as `neurolm corpora` lists them; ``auto`` recognises it.
    reading
        How to read the recordings.
    jobs
        Worker processes to plan for; 0: as many as there are cores.
    samples
        How many files to measure, besides the largest.
    seed
        Seed that draws them.
    simulated_channels
        Number of channels of the simulated recordings.
    simulated_rate
        Sampling rate of the simulated recordings, in Hz.

    Raises
    ------
    StoreError
        If a folder holds no recordings, or none of those measured can be prepared.
    ConfigError
        If an argument is not valid.
    """
    if not data and hours is None:
        raise ConfigError(f"nothing to plan for: give folders of recordings, or hours of EEG ({argument('hours')})")
    if hours is not None and not 0 < hours < float("inf"):
        raise ConfigError(f"hours must be a number above 0, not {hours}")
    if samples < 1 or jobs < 0:
        raise ConfigError(f"samples ({samples}) must be 1 or more, and jobs ({jobs}) 0 or more")
    with tempfile.TemporaryDirectory(prefix="neurolm-plan-") as folder:
        out = Path(folder) / "store"
        if data:
            recordings = [job for path in data for job in _recordings(Path(path), out, corpus, reading)]
        else:
            simulated = _simulate(Path(folder) / SIMULATED, channels=simulated_channels, rate=simulated_rate)
            recordings = list(_recordings(simulated, out, "folder", replace(reading, mains=50.0)))
        strata = _strata(recordings, samples, np.random.default_rng(seed))
        largest = max(recordings, key=lambda job: job.size)
        measured, failed = _measure([*(job for job, _ in strata), largest])
    if not measured:
        raise StoreError(f"nothing that was measured can be prepared: {'; '.join(failed[:3])}")
    sums = _extrapolate([(measured[job.relative], size) for job, size in strata if job.relative in measured], seed)
    factor = 1.0 if hours is None else hours / sums["hours"].estimate
    scaled = {name: value.times(factor) for name, value in sums.items()}
    return Plan(
        recordings=len(recordings) if data else 0,
        source_bytes=scaled["bytes"],
        hours=scaled["hours"] if hours is None else EstimatedRange(hours, hours, hours),
        store_bytes=scaled["stored"],
        core_hours=scaled["cpu_seconds"].times(1 / 3600),
        peak_memory=max(one.peak_memory for one in measured.values()),
        cores=jobs or cores(),
        measured=tuple(measured.values()),
        failed=tuple(failed),
    )


def _recordings(data: Path, out: Path, corpus: str, reading: ReadingOptions) -> Iterator[RecordingJob]:
    require_folder(data)
    shown = Path(SIMULATED) if data.name == SIMULATED and data.parent == out.parent else data
    for job in list_recordings(data, out, CorpusSettings.of(layout_of(data, corpus), reading)):
        yield replace(job, relative=str(shown / job.relative))


def _strata(
    recordings: Sequence[RecordingJob], count: int, rng: np.random.Generator
) -> list[tuple[RecordingJob, float]]:
    """One file of each stratum, and the stratum's bytes."""
    ordered = sorted(recordings, key=lambda job: (job.size, job.recording))
    ends = np.cumsum([job.size for job in ordered], dtype=np.float64)
    total = float(ends[-1])
    if total == 0:
        raise StoreError("all recordings are empty; copy or download them again")
    middles = ends - np.array([job.size for job in ordered]) / 2
    places = np.minimum((middles / total * count).astype(int), count - 1)
    drawn = []
    for place in np.unique(places):
        inside = np.flatnonzero(places == place)
        of = ordered[int(rng.choice(inside))]
        drawn.append((of, float(sum(ordered[index].size for index in inside))))
    return drawn


def _measure(recordings: Sequence[RecordingJob]) -> tuple[dict[str, Measured], list[str]]:
    """Prepare files one by one, from small to large, in a process of their own, of which the memory is known."""
    ordered = sorted({job.relative: job for job in recordings}.values(), key=lambda job: job.size)
    measured: dict[str, Measured] = {}
    failed: list[str] = []
    while ordered:
        worker = Worker()
        try:
            worker.call(_one, ordered[0])  # the first one pays for what is loaded only once
            while ordered:
                result = worker.call(_one, ordered[0])
                job = ordered.pop(0)
                if isinstance(result, Measured):
                    measured[job.relative] = result
                else:
                    failed.append(result)
        except Died:
            failed.append(f"{ordered.pop(0).relative}: reading it crashed the reader")
        finally:
            worker.stop()
    return measured, failed


def _one(job: RecordingJob) -> Measured | str:
    """Prepare one file, as prepare does; returns why not where it cannot."""
    before = time.process_time()
    entry = prepare_recording(job)
    taken = time.process_time() - before
    shutil.rmtree(job.out, ignore_errors=True)  # the temporary folder may be small
    if isinstance(entry, Unreadable):
        return entry.reason if entry.reason.startswith(job.relative) else f"{job.relative}: {entry.reason}"
    row = entry.row
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Measured(
        source=job.relative,
        bytes=job.size,
        hours=row.seconds / 3600,
        channels=len(row.channels),
        stored=row.size + len(row.line()) + len(entry.line()),
        cpu_seconds=taken,
        peak_memory=peak if sys.platform == "darwin" else peak * 1024,
    )


def _extrapolate(strata: Sequence[tuple[Measured, float]], seed: int) -> dict[str, EstimatedRange]:
    """Sums over the corpus of everything that was measured: a stratum is so many times its file."""
    weights = np.array([size / one.bytes for one, size in strata])
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(strata), size=(DRAWS, len(strata)))
    all_bytes = sum(size for _, size in strata)
    sums = {}
    for name in ("bytes", "hours", "stored", "cpu_seconds"):
        values = weights * np.array([getattr(one, name) for one, _ in strata])
        sizes = np.array([size for _, size in strata])
        redrawn = values[drawn].sum(axis=1) * all_bytes / sizes[drawn].sum(axis=1)
        low, high = np.quantile(redrawn, [0.05, 0.95])
        sums[name] = EstimatedRange(float(values.sum()), float(low), float(high))
    return sums


def _simulate(folder: Path, *, channels: int, rate: int) -> Path:
    """Write recordings that stand for a corpus: noise with the spectrum of EEG, as EDF."""
    from edfio import Edf, EdfSignal

    from neurolm.core.montage import ELECTRODES

    if not 1 <= channels <= len(ELECTRODES) or rate < RATE // 2:
        raise ConfigError(
            f"{argument(simulated_channels=channels, simulated_rate=rate)}: simulated recordings have 1 to "
            f"{len(ELECTRODES)} channels, and a rate of {RATE // 2} Hz or more"
        )
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for seconds in SIMULATED_SECONDS:
        samples = seconds * rate
        spectrum = np.fft.rfft(rng.standard_normal((channels, samples)), axis=1)
        spectrum /= np.sqrt(np.maximum(np.fft.rfftfreq(samples, 1 / rate), 0.1))
        signal = np.fft.irfft(spectrum, samples, axis=1)
        signal *= 20 / signal.std()
        Edf(
            [
                EdfSignal(
                    one.clip(-3276, 3276), rate, label=name, physical_dimension="uV", physical_range=(-3276.8, 3276.7)
                )
                for name, one in zip(ELECTRODES, signal, strict=False)
            ]
        ).write(folder / f"{seconds}.edf")
    return folder
