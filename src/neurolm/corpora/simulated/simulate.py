"""A small labelled corpus of simulated EEG, as EDF files beside a table of labels.

    neurolm simulate OUT

Every subject is recorded three times: a night in brief (sleep stages), a clinical recording (epileptiform activity,
slowing) and mental arithmetic against rest. The table and its columns are those that ``prepare`` reads for any corpus.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, time
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurolm.core.errors import ConfigError, StoreError, argument
from neurolm.core.files import PARTIAL, atomic_file, dump_json, remove_partial, write_text
from neurolm.core.small_files import read_text
from neurolm.core.workers import Crash, Workers
from neurolm.corpora.simulated.head import ELECTRODES, SCALP, Head, make_head
from neurolm.corpora.simulated.physiology import EVENTS, MAINS, NIGHT, SLEEP, WORKLOAD, BrainState
from neurolm.corpora.simulated.synthesis import Person, make_person, sensors, synthesise

LABELS = "labels.csv"
CORPUS = "corpus.json"
COLUMNS = ("file", "start", "stop", "task", "label", "subject")
VERSION = 2
"""Goes up whenever the same seed no longer gives the same bytes."""
MICROVOLTS_PER_COUNT = 0.05
"""Resolution of the files: a sixteen-bit range of ±1638 µV, as clinical amplifiers have."""
_DIGITAL = (-32768, 32767)
_PERSON, _HEAD, _RECORDING = range(3)
"""What a seed is for: the last number of (seed, subject, purpose)."""


@dataclass(frozen=True)
class Protocol:
    """How the recordings of a task are made.

    Attributes
    ----------
    rate
        Samples per second.
    scene_seconds
        How long a drawn state lasts; labels change at multiples of it.
    channels
        Electrode and reference of each channel: one name, several joined by "+" (their mean), or "average" (the mean of
        the 19 scalp electrodes).
    suffix
        What stands for the reference in the channel labels.
    """

    task: str
    states: dict[str, BrainState]
    rate: int
    scene_seconds: int
    channels: tuple[tuple[str, str], ...]
    suffix: str


_TEN_TWENTY = ELECTRODES[:SCALP]
PROTOCOLS = (
    # Four derivations against the opposite mastoid, as in HMC; AASM recommends F4, C4 and O2.
    Protocol("sleep", SLEEP, 256, 30, (("F4", "M1"), ("C4", "M1"), ("O2", "M1"), ("C3", "M2")), "REF"),
    # Average reference, as in TUSL.
    Protocol("events", EVENTS, 250, 10, tuple((name, "average") for name in _TEN_TWENTY), "REF"),
    # Linked ears, as in EEGMAT.
    Protocol("workload", WORKLOAD, 250, 10, tuple((name, "A1+A2") for name in _TEN_TWENTY), "LE"),
)


def simulate(
    out: Path | str,
    *,
    subjects: int = 30,
    seed: int = 0,
    jobs: int = 1,
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Write the simulated corpus; files that are already there and whole are kept.

    Parameters
    ----------
    out
        Folder for the EDF files, ``labels.csv`` and ``corpus.json``; made where missing.
    subjects
        How many people.
    seed
        The same seed gives the same bytes, whatever the number of jobs and interruptions.
    jobs
        Worker processes; 0: as many as there are cores.
    progress
        Called after each file with the number of files done (those of an earlier run included), the number of all
        files, and the file's name.

    Returns
    -------
    out
        The folder.

    Raises
    ------
    ConfigError
        If ``subjects`` is less than 1, or ``seed`` or ``jobs`` negative.
    StoreError
        If the folder holds something else, or a corpus of another seed, size or version; if a worker dies.
    """
    for name, value, least in (("subjects", subjects, 1), ("seed", seed, 0), ("jobs", jobs, 0)):
        if value < least:
            raise ConfigError(f"{argument(**{name: value})}: simulate needs {name} of {least} or more")
    out = Path(out)
    _claim(out, subjects, seed)
    remove_partial(out)
    plan = [_Recording(out, seed, subject, protocol) for subject in range(subjects) for protocol in PROTOCOLS]
    missing = [recording for recording in plan if not recording.is_whole()]
    done = len(plan) - len(missing)
    with Workers(jobs if len(missing) > 1 else 1) as workers:
        for recording, result in workers.each(_write, missing):
            if isinstance(result, Crash):
                raise StoreError(
                    f"{recording.path}: the worker that simulates it died (exit code {result.exit_code}), perhaps for "
                    f"want of memory; call again with {argument(jobs=1)} to go on"
                )
            done += 1
            if progress:
                progress(done, len(plan), recording.path.name)
    write_text(out / LABELS, _table(plan))
    return out


def simulate_one(out: Path | str, task: str, *, seed: int = 0) -> Path:
    """Write the recording of a person for one task, as the corpus of this seed begins with it; returns the file.

    Parameters
    ----------
    out
        Folder for it; made where missing.
    task
        Name of a protocol's task.
    """
    recording = _Recording(Path(out), seed, 0, next(one for one in PROTOCOLS if one.task == task))
    _write(recording)
    return recording.path


def schedule(protocol: Protocol, rng: np.random.Generator) -> list[str]:
    """Draw the order of a recording's labels, one per scene."""
    if protocol.task == "sleep":
        return [stage for stage, epochs in NIGHT for _ in range(max(1, epochs + int(rng.integers(-1, 2))))]
    names = list(protocol.states)
    if protocol.task == "workload":
        return [name for name in (names if rng.uniform() < 0.5 else names[::-1]) for _ in range(6)]
    blocks: list[str] = []
    for _ in range(3):
        order = [str(name) for name in rng.permutation(names)]
        if blocks and blocks[-1] == order[0]:
            order.reverse()
        blocks += [name for name in order for _ in range(2)]
    return blocks


@dataclass(frozen=True)
class _Recording:
    """One file to be: everything about it follows from these four."""

    out: Path
    seed: int
    subject: int
    protocol: Protocol

    @property
    def name(self) -> str:
        return f"S{self.subject + 1:03d}"

    @property
    def path(self) -> Path:
        return self.out / f"{self.name}_{self.protocol.task}.edf"

    def generator(self) -> np.random.Generator:
        return np.random.default_rng((self.seed, self.subject, _RECORDING, PROTOCOLS.index(self.protocol)))

    def labels(self) -> list[str]:
        return schedule(self.protocol, self.generator())

    def is_whole(self) -> bool:
        """Whether the file is there with the size that its labels ask for."""
        channels, rate = len(self.protocol.channels), self.protocol.rate
        seconds = len(self.labels()) * self.protocol.scene_seconds
        return self.path.is_file() and self.path.stat().st_size == 256 * (channels + 1) + 2 * channels * rate * seconds


def record(
    protocol: Protocol, head: Head, person: Person, labels: Sequence[str], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Record a person going through the labelled scenes: (channels, samples) in µV, referenced as the protocol says."""
    scenes = [protocol.states[label] for label in labels]
    potentials = synthesise(head, person, scenes, scene_seconds=protocol.scene_seconds, rate=protocol.rate, rng=rng)
    signal = np.array([potentials[ELECTRODES.index(name)] for name, _ in protocol.channels])
    for reference in {reference for _, reference in protocol.channels}:
        names = _TEN_TWENTY if reference == "average" else reference.split("+")
        mean = potentials[[ELECTRODES.index(name) for name in names]].mean(axis=0)
        signal[[own == reference for _, own in protocol.channels]] -= mean
    return signal + sensors(person, signal.shape, rate=protocol.rate, rng=rng)


def _write(recording: _Recording) -> None:
    from edfio import Edf, EdfSignal, Patient
    from edfio import Recording as Session

    seed, subject, protocol = recording.seed, recording.subject, recording.protocol
    rng = recording.generator()
    labels = schedule(protocol, rng)
    head, person = make_head((seed, subject, _HEAD)), make_person((seed, subject, _PERSON))
    low, high = (limit * MICROVOLTS_PER_COUNT for limit in _DIGITAL)
    signals = [
        EdfSignal(
            np.clip(values, low, high),
            protocol.rate,
            label=f"EEG {name}-{protocol.suffix}",
            transducer_type="simulated",
            physical_dimension="uV",
            physical_range=(low, high),
        )
        for values, (name, _) in zip(record(protocol, head, person, labels, rng), protocol.channels, strict=True)
    ]
    edf = Edf(
        signals,
        patient=Patient(code=recording.name),
        # A fixed date, since the same seed gives the same bytes.
        recording=Session(startdate=date(2020, 1, 1), equipment_code="neurolm", additional=(protocol.task,)),
        starttime=time(22, 0),
        data_record_duration=1,
    )
    with atomic_file(recording.path) as temporary:
        edf.write(temporary)


def _claim(out: Path, subjects: int, seed: int) -> None:
    """Say what this folder will hold, or find that it holds the same already."""
    card = {
        "name": "simulated",
        "licence": "MIT (simulated by neurolm)",
        "mains": MAINS,
        "citation": "Simulated by neurolm; physiology and its sources in neurolm/corpora/simulated/physiology.py",
        "simulator": {"version": VERSION, "subjects": subjects, "seed": seed},
    }
    text = dump_json(card, indent=2) + "\n"
    path = out / CORPUS
    if path.is_file():
        found = read_text(path)
        if found != text:
            raise StoreError(
                f"{path}: this folder holds another corpus than asked for ({argument(subjects=subjects, seed=seed)}, "
                f"simulator version {VERSION}): {' '.join(found.split())[:300]}; choose an empty folder, or delete "
                "this one"
            )
        return
    if out.exists() and not (out.is_dir() and all(file.name.endswith(PARTIAL) for file in out.iterdir())):
        raise StoreError(f"{out}: not an empty folder, and no simulated corpus either; choose another folder")
    write_text(path, text)


def _table(plan: Sequence[_Recording]) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for recording in plan:
        start = 0
        for label, scenes in groupby(recording.labels()):
            stop = start + len(list(scenes)) * recording.protocol.scene_seconds
            writer.writerow((recording.path.name, start, stop, recording.protocol.task, label, recording.name))
            start = stop
    return buffer.getvalue()
