"""A recording as the rest of neurolm sees it: electrodes by their official names, and microvolts.

>>> recording = open_recording("night.edf", unknown="drop")
>>> recording.channels, recording.rate, recording.notes
>>> recording.read(30, 60)          # float64 (channels, samples), µV

Opening reads the header and, to check the signal, at most a minute of it. Whatever is left out or assumed is said in
``notes``; whatever would make wrong numbers is an error that names the file, what was found, and the remedy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neurolm.data import checks
from neurolm.data.edf import MICROVOLTS, UNSTATED
from neurolm.data.electrodes import UNKNOWN_POLICIES, Choice, choose
from neurolm.data.readers import (
    RECORDING_SUFFIXES,
    Signal,
    Source,
    find_recordings,
    open_mne,
    open_source,
    suffix_of,
)
from neurolm.errors import RecordingError

if TYPE_CHECKING:
    import mne

__all__ = ["RECORDING_SUFFIXES", "Annotation", "Recording", "find_recordings", "open_recording", "suffix_of"]

_UNSTATED_MEANS = "uV"  # the unit of EEG files that give none; the amplitude check catches those that mean another


@dataclass(frozen=True)
class Annotation:
    """Something the file says about a stretch of time."""

    onset: float
    """Seconds from the start of the recording."""
    duration: float
    """Seconds; 0 for an instant."""
    text: str


@dataclass(frozen=True, kw_only=True)
class Recording:
    """An opened recording; its signal stays in the file until it is read."""

    path: Path | None
    """The file, None for an MNE object that comes from none."""
    channels: tuple[str, ...]
    """Canonical electrode names, each once."""
    rate: float
    """Samples per second."""
    samples: int
    annotations: tuple[Annotation, ...]
    notes: tuple[str, ...]
    """What was left out, assumed or noticed while opening."""
    unit: str
    """Unit of the numbers in the file: a key of ``edf.MICROVOLTS``, several joined with ``/``."""
    _signal: Signal = field(repr=False, compare=False)
    _microvolts: np.ndarray = field(repr=False, compare=False)

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        return self.samples / self.rate

    def read(self, start: float = 0.0, stop: float | None = None) -> np.ndarray:
        """Read a part of the signal.

        Parameters
        ----------
        start, stop
            Seconds from the start of the recording; ``stop`` None is its end. Rounded to whole samples.

        Returns
        -------
        numpy.ndarray
            float64 of shape (channels, samples), µV.

        Raises
        ------
        ValueError
            If the part is not inside the recording.
        RecordingError
            If the file can no longer be read.
        """
        first = round(start * self.rate)
        last = self.samples if stop is None else round(stop * self.rate)
        if not 0 <= first <= last <= self.samples:
            raise ValueError(f"start={start}, stop={stop}: not inside the recording's {self.seconds:g} s")
        return self._read(first, last)

    def _read(self, first: int, last: int) -> np.ndarray:
        try:
            microvolts = self._signal.read(first, last)
        except OSError as error:
            raise RecordingError(f"{self.path}: cannot be read any more: {error}; is it still there?") from error
        microvolts *= self._microvolts[:, None]
        return microvolts


def open_recording(
    source: Path | str | mne.io.BaseRaw,
    *,
    unknown: str = "error",
    unit: str | None = None,
    channels: Sequence[str] | Mapping[str, str] | None = None,
    check: bool = True,
) -> Recording:
    """Open a recording of any format in ``RECORDING_SUFFIXES``.

    Parameters
    ----------
    source
        A file (for EGI's ``.mff`` and MEF a folder), or an object of MNE's.
    unknown
        What to do with a channel that the file takes for EEG, but whose name is no known electrode: ``"error"``;
        ``"drop"`` it; or take the ``"nearest"`` official electrode that the recording does not have yet, where the
        file has positions. With the last two, flat channels are dropped too.
    unit
        What the numbers in the file really are: ``"V"``, ``"mV"``, ``"uV"`` or ``"nV"``. By default the file is
        believed; one that says nothing is taken to mean µV.
    channels
        Electrodes to read, in this order; by default all that are found. Or a mapping from the file's own channel
        names to electrodes, for files whose names say nothing (``{"ch1": "Fp1"}``).
    check
        Look at up to a minute of the signal, spread over the recording, for values that are not numbers, flat
        channels and amplitudes that cannot be EEG.

    Raises
    ------
    RecordingError
        If the file is missing, damaged or of no known format, if it holds no EEG, or if it fails a check.
    ValueError
        For a policy or a unit that does not exist.
    """
    if unknown not in UNKNOWN_POLICIES:
        raise ValueError(f"unknown={unknown!r}: choose one of {', '.join(UNKNOWN_POLICIES)}")
    if unit is not None and unit not in MICROVOLTS:
        raise ValueError(f"unit={unit!r}: choose one of {', '.join(MICROVOLTS)}")
    opened = _open(source)
    name = str(opened.path) if opened.path else "the MNE object"
    chosen = choose(opened.channels, source=name, unknown=unknown, wanted=channels)
    recording = _assemble(opened, chosen, unit)
    if not check:
        return recording
    findings = checks.examine(
        _parts(recording),
        source=name,
        channels=recording.channels,
        rate=recording.rate,
        unit=recording.unit,
        given=unit is not None,
    )
    recording = replace(recording, notes=(*recording.notes, *findings.notes))
    return _without(recording, findings.flat, name, unknown) if findings.flat else recording


def _open(source: Path | str | mne.io.BaseRaw) -> Source:
    if isinstance(source, str | Path):
        return open_source(Path(source).expanduser())
    import mne

    if not isinstance(source, mne.io.BaseRaw):
        raise TypeError(f"source is a {type(source).__name__}: give a path or an mne.io.Raw object")
    files = [name for name in source.filenames if name is not None]
    return open_mne(source, Path(files[0]) if files else None)


def _assemble(opened: Source, chosen: Choice, unit: str | None) -> Recording:
    signal = opened.load(chosen.indices)
    declared = [opened.channels[i].unit for i in chosen.indices]
    notes = [*opened.notes, *chosen.notes]
    unstated = [e for e, own in zip(chosen.electrodes, declared, strict=True) if own == UNSTATED]
    if unit is None and unstated:
        notes.append(f"no unit given, taken as µV: {', '.join(unstated)}")
    units = [unit or own or _UNSTATED_MEANS for own in declared]
    return Recording(
        path=opened.path,
        channels=chosen.electrodes,
        rate=signal.rate,
        samples=signal.samples,
        annotations=tuple(Annotation(*mark) for mark in signal.marks),
        notes=tuple(notes),
        unit="/".join(dict.fromkeys(units)),
        _signal=signal,
        _microvolts=np.array([MICROVOLTS[own] for own in units]) / np.array(signal.volts),
    )


def _without(recording: Recording, flat: Sequence[int], source: str, unknown: str) -> Recording:
    """Leave out flat channels, or refuse the recording under the policy ``error``."""
    names = ", ".join(recording.channels[i] for i in flat)
    if unknown == "error":
        raise RecordingError(
            f"{source}: flat channels: {names}; name the others (channels=), or choose unknown='drop' or 'nearest', "
            f"which leave flat channels out"
        )
    kept = [i for i in range(len(recording.channels)) if i not in flat]
    signal = recording._signal
    return replace(
        recording,
        channels=tuple(recording.channels[i] for i in kept),
        notes=(*recording.notes, f"left out, flat: {names}"),
        _signal=replace(
            signal,
            volts=tuple(signal.volts[i] for i in kept),
            read=lambda first, last: signal.read(first, last)[kept],
            direct=signal.direct.only(kept) if signal.direct else None,
        ),
        _microvolts=recording._microvolts[kept],
    )


def _parts(recording: Recording) -> Iterator[np.ndarray]:
    for first, last in checks.blocks(recording.samples, recording.rate):
        yield recording._read(first, last)
