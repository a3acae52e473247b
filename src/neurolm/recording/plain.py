"""Tables and arrays as recordings: rate, unit and channels as they or the user say.

Nothing of these three is guessed: what is not in the file must be given, and what was found is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from neurolm.core.errors import RecordingError, argument, takes
from neurolm.core.montage import resolve
from neurolm.core.stretches import Stretch
from neurolm.recording.channels import Channel, RawRecording, Signal
from neurolm.recording.formats.arrays import read_matlab, read_npy, read_npz
from neurolm.recording.formats.edf import UNSTATED
from neurolm.recording.formats.matrix import Matrix
from neurolm.recording.formats.tables import read_parquet, read_table
from neurolm.recording.formats.text import NoTable
from neurolm.recording.formats.wfdb import read_record
from neurolm.recording.options import AUTO, ReadingOptions
from neurolm.recording.unread import unread

_NAMED = 8  # channels that a message names at most
CLOSED = 0.05
"""Seconds that may be missing before the recording counts as interrupted there; shorter gaps are closed and said."""


def open_plain(path: Path, suffix: str, reading: ReadingOptions) -> RawRecording:
    """Open a table or an array.

    Raises
    ------
    RecordingError
        If it is none, or rate, unit or channels are not known: the message names all that are to be given.
    """
    wanted = reading.channels
    count = None if wanted is None or isinstance(wanted, Mapping) else len(wanted)
    if suffix == ".npy":
        matrix = read_npy(path, channels=count)
    elif suffix in (".npz", ".mat"):
        read_one = read_npz if suffix == ".npz" else read_matlab
        matrix = read_one(path, channels=count, stream=reading.stream)
    else:
        read = read_parquet if suffix == ".parquet" else read_table
        try:
            matrix = read(path, reading.rate)
        except NoTable as error:
            raise RecordingError(f"{error}. For other texts there is {unread(path)}") from error
    if not len(matrix.numbers):
        raise RecordingError(f"{path}: no samples in it; export it again")
    matrix = _named(path, matrix, reading.channels)
    _require(path, matrix, reading)
    return _as_recording(path, matrix, reading)


def open_record(path: Path, reading: ReadingOptions) -> RawRecording:
    """Open a WFDB record by its header; raises as ``wfdb.read_record``."""
    found = read_record(path, reading.truncated)
    counts = [name for name, known in zip(found.names, found.calibrated, strict=True) if not known]
    notes, why = list(found.notes), None
    if counts and reading.unit in (None, AUTO):
        remedy = f" ({argument(unit='uV')} says that a count is a microvolt)" if takes("unit") else ""
        why = f"no gain, so not calibrated: amplitude unknown{remedy}"
    elif counts:
        notes.append(f"no gain, a count is taken as 1 {reading.unit}: {', '.join(counts)}")
    channels = tuple(
        Channel(name, "other" if unit is None else "eeg", unit, rate, uncalibrated=None if known else why)
        for name, unit, rate, known in zip(found.names, found.units, found.rates, found.calibrated, strict=True)
    )

    def load(indices: Sequence[int]) -> Signal:
        signals = found.select(indices)
        samples = sum(stretch.samples for stretch in signals.stretches)
        return Signal(
            signals.rate,
            samples,
            (1.0,) * len(indices),
            found.marks,
            signals.read,
            interrupted=_gaps(signals.stretches),
        )

    return RawRecording(path, channels, load, notes)


def _gaps(stretches: tuple[Stretch, ...]) -> tuple[Stretch, ...]:
    """Stretches of a recording that was interrupted, none for another."""
    return stretches if len(stretches) > 1 else ()


def _named(path: Path, matrix: Matrix, wanted: Sequence[str] | Mapping[str, str] | None) -> Matrix:
    """Give channels whose names say nothing the electrodes that are listed, in their order."""
    eeg = _eeg(matrix)
    if wanted is None or isinstance(wanted, Mapping) or any(resolve(matrix.names[i]) for i in eeg):
        return matrix
    if unknown := [name for name in wanted if resolve(name) is None]:
        raise RecordingError(
            f"{path}: {argument(channels=list(wanted))}: no known electrode: {', '.join(unknown)}; give the names of "
            f"its {len(eeg)} channels in their order"
        )
    if len(wanted) != len(eeg):
        own = [matrix.names[i] for i in eeg]
        raise RecordingError(
            f"{path}: {argument(channels=list(wanted))}: {len(wanted)} names for {len(eeg)} channels; name all of them "
            f"in their order, or some by {argument(channels={own[0]: 'Fp1', **({own[1]: 'Cz'} if own[1:] else {})})}"
        )
    names = list(matrix.names)
    for i, name in zip(eeg, wanted, strict=True):
        names[i] = name
    said = ", ".join(f"{matrix.names[i]} is {names[i]}" for i in eeg[:64])
    return replace(matrix, names=tuple(names), notes=[*matrix.notes, f"channels named in their order: {said}"])


def _require(path: Path, matrix: Matrix, reading: ReadingOptions) -> None:
    """Refuse a file that lacks a fact, naming all that it lacks."""
    lacks, give = [], {}
    if reading.rate is None and matrix.rate is None:
        lacks.append("how many samples a second has")
        give["rate"] = "250"
    if reading.unit is None and not matrix.units_stated:
        lacks.append("what a count is worth" if matrix.counts else "the unit of its numbers")
        give["unit"] = "uV"
    eeg = [matrix.names[i] for i in _eeg(matrix)]
    if reading.channels is None and reading.cap is None and not any(resolve(name) for name in eeg):
        own = f" ({', '.join(eeg[:_NAMED])}{' …' if len(eeg) > _NAMED else ''})" if matrix.named and eeg else ""
        lacks.append(f"which electrodes its channels are{own}")
        give["channels"] = "Cz" if len(eeg) == 1 else "Fp1,Cz"
    if not lacks or (list(give) == ["channels"] and reading.unknown == "drop"):
        return
    remedies = [argument(**{name: _example(name, value)}) for name, value in give.items() if takes(name)]
    others = [name for name in give if not takes(name)]
    remedy = f"say it with {' '.join(remedies)}" if remedies else ""
    if others:
        remedy += f"{', and ' if remedy else ''}state {', '.join(others)} in corpus.json, or write it as EDF or FIF"
    if "channels" in give and takes("channels") and len(eeg) > 1:
        remedy += f" (the names of all {len(eeg)}, in their order)"
    counts = f" (whole numbers{': counts' if matrix.counts and 'unit' in give else ''})" if matrix.counts else ""
    raise RecordingError(f"{path}: {matrix.what}{counts}; it does not say {_and(lacks)}: {remedy}")


def _eeg(matrix: Matrix) -> list[int]:
    """The channels that may be EEG."""
    return [i for i in range(len(matrix.names)) if not matrix.kinds or matrix.kinds[i] == "eeg"]


def _example(name: str, value: str) -> object:
    if name == "rate":
        return 250.0
    return value.split(",") if name == "channels" else value


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])}, and {parts[-1]}"


def _as_recording(path: Path, matrix: Matrix, reading: ReadingOptions) -> RawRecording:
    rate = float(reading.rate or matrix.rate or 0.0)
    count = len(matrix.names)
    kinds = matrix.kinds or ("eeg",) * count
    units = matrix.units or (UNSTATED,) * count
    channels = tuple(
        Channel(name, kind, unit, rate) for name, kind, unit in zip(_apart(matrix.names), kinds, units, strict=True)
    )
    notes = list(matrix.notes)
    stretches = _stretches(matrix, rate, notes)
    marks = tuple((_moment(stretches, sample) / rate, 0.0, text) for sample, text in matrix.marks)

    def load(indices: Sequence[int]) -> Signal:
        columns = [matrix.columns[i] for i in indices]

        def read(first: int, last: int) -> np.ndarray:
            found = np.array(matrix.numbers[first:last, columns].T, np.float64, order="C")
            return found if matrix.scale == 1.0 else found * matrix.scale

        return Signal(
            rate, len(matrix.numbers), (1.0,) * len(columns), marks, read,
            interrupted=_gaps(stretches),
        )  # fmt: skip

    return RawRecording(path, channels, load, notes)


def _apart(names: Sequence[str]) -> list[str]:
    """Names of which none is there twice."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return found


def _stretches(matrix: Matrix, rate: float, notes: list[str]) -> tuple[Stretch, ...]:
    """Where nothing is missing; short gaps are closed, until they add up to what is no longer short."""
    short = CLOSED * rate
    found: list[Stretch] = []
    start = first = 0
    carried, closed, lost = 0, 0, 0
    for at, missing in matrix.gaps:
        carried += missing
        if missing and carried < short:
            closed, lost = closed + 1, lost + missing
            continue
        found.append(Stretch(start, at - first, first))
        start, first, carried = start + at - first + carried, at, 0
    found.append(Stretch(start, len(matrix.numbers) - first, first))
    if closed:
        notes.append(f"short gaps closed: {closed:,}, of {lost:,} samples together")
    return tuple(found)


def _moment(stretches: Sequence[Stretch], sample: int) -> int:
    """When a sample is, gaps included; the end of the recording for one beyond it."""
    for stretch in stretches:
        if sample < stretch.first + stretch.samples:
            return stretch.start + sample - stretch.first
    return stretches[-1].stop
