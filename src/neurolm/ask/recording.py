"""A recording as a model reads it: the electrodes that it knows, in windows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np

from neurolm.batches.loader import Sample, sample_from
from neurolm.checkpoint import Card
from neurolm.core.errors import QuestionError, RecordingError, argument
from neurolm.core.montage import REACH, channel_id, template_positions
from neurolm.core.physics import RATE
from neurolm.core.stretches import Stretches, holding
from neurolm.recording.electrodes.positions import SAME_POSITION, nearest_free
from neurolm.recording.options import ReadingOptions, Unseen, require_one_of
from neurolm.recording.preprocess import band_note, preprocess
from neurolm.recording.recording import Recording, open_recording

if TYPE_CHECKING:
    import mne

NAMED = 12
"""Dropped electrodes that a note names at most."""


@dataclass(frozen=True, kw_only=True)
class ModelInput:
    """A recording as a model reads it."""

    name: str
    """The file, or what stands for it."""
    signal: np.ndarray
    """float32 (samples at 200 Hz, electrodes), µV: its stretches one after another."""
    stretches: Stretches
    """Where they lie in the recording's time, in samples at 200 Hz."""
    channels: np.ndarray
    """Electrode ids."""
    electrodes: tuple[str, ...]
    notes: tuple[str, ...]
    """What was done to the recording."""

    @property
    def length(self) -> float:
        """Seconds, gaps included."""
        return self.stretches[-1].stop / RATE

    def sample(self, start: int, seconds: int) -> Sample:
        """Window of so many seconds from a moment on.

        Raises
        ------
        QuestionError
            If it is not all there.
        """
        found = holding(self.stretches, start, start + seconds * RATE)
        if found is None:
            parts = ", ".join(f"{part.start / RATE:g} to {part.stop / RATE:g} s" for part in self.stretches[:NAMED])
            raise QuestionError(
                f"{argument(start=start / RATE)} s with {argument(seconds=seconds)} is not all there: the recording "
                f"has {parts}{' …' if self.stretches[NAMED:] else ''}; choose another start"
            )
        return sample_from(self.signal[found.first : found.first + found.samples], self.channels)


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Windows of a recording."""

    recording: ModelInput
    starts: tuple[int, ...]
    """When each begins: samples at 200 Hz since the start of the recording, gaps included."""
    seconds: int
    """Length of each."""
    notes: tuple[str, ...]
    """What was done to the recording, and where it is too short."""

    @classmethod
    def of(cls, recording: ModelInput, *, seconds: int, stride: float) -> Windows:
        """All windows that lie inside a recording's stretches; a single, shorter one where none is long enough.

        Parameters
        ----------
        seconds
            Length of a window.
        stride
            Seconds from the start of one to that of the next.

        Raises
        ------
        RecordingError
            If no stretch has a second.
        """
        longest, notes = max(stretch.samples for stretch in recording.stretches), recording.notes
        if longest < RATE:
            raise RecordingError(f"{recording.name}: {longest / RATE:.2f} s long; at least 1 s of EEG is needed")
        if longest < seconds * RATE:
            what = "the recording is" if len(recording.stretches) == 1 else "what nothing interrupts of it is"
            notes += (f"{what} shorter than the {seconds} s window the model was trained on",)
            seconds = longest // RATE
        step, length = max(1, round(stride * RATE)), seconds * RATE
        starts = [at for part in recording.stretches for at in range(part.start, part.stop - length + 1, step)]
        unused = sum(part.samples for part in recording.stretches if part.samples < length)
        if unused:
            notes += (f"parts shorter than the {seconds} s window left out: {unused / RATE:,.3g} s",)
        return cls(recording=recording, starts=tuple(starts), seconds=seconds, notes=notes)

    @property
    def spans(self) -> list[tuple[float, float]]:
        """Start and end of each, in seconds."""
        return [(start / RATE, start / RATE + self.seconds) for start in self.starts]

    def samples(self, starts: Iterable[int]) -> list[Sample]:
        """Read the windows that start there."""
        return [self.recording.sample(start, self.seconds) for start in starts]

    def between(self, start: float, stop: float | None, *, most: int) -> list[int]:
        """Starts of at most so many windows, spread evenly over those between two moments in seconds.

        Raises
        ------
        QuestionError
            If there is none.
        """
        end = self.recording.length if stop is None else stop
        within = [s for s, (first, last) in zip(self.starts, self.spans, strict=True) if start <= first and last <= end]
        if not within:
            raise QuestionError(
                f"{argument(start=start, stop=end)}: no window of {self.seconds} s lies between these seconds of a "
                f"recording of {self.recording.length:.1f} s"
            )
        return [within[i] for i in np.unique(np.linspace(0, len(within) - 1, min(most, len(within))).astype(int))]


def read_recording(
    source: str | Path | mne.io.BaseRaw, card: Card, *, reading: ReadingOptions, unseen: Unseen
) -> ModelInput:
    """Read a recording with the electrodes that a model knows, filtered and at 200 Hz.

    Parameters
    ----------
    source
        File, or an MNE Raw.
    card
        What the model was trained on.
    reading, unseen
        As for ``Model.ask``.

    Raises
    ------
    ConfigError
        If ``unseen`` is none of ``options.Unseen``.
    RecordingError
        If the recording cannot be read, is implausible, or has no electrode the model knows.
    """
    require_one_of("unseen", unseen, get_args(Unseen))
    recording = open_recording(source, reading=replace(reading, unknown=reading.unknown or "nearest"))
    name = str(source) if isinstance(source, str | Path) else str(recording.path or "recording")
    kept, notes = _fit_electrodes(recording, card, name, unseen)
    filtered = preprocess(recording, mains=reading.mains)
    electrodes = tuple(electrode for _, electrode in kept)
    low, high = card.band
    more = filtered.notes
    if filtered.band[1] < high - 1:
        more = tuple(note for note in more if note != band_note(recording.rate))  # this says it better
        notes += (
            f"the recording reaches {filtered.band[1]:g} Hz only; the model was trained on {low:g} to {high:g} Hz",
        )
    return ModelInput(
        name=name,
        signal=filtered.signal[:, [column for column, _ in kept]],
        stretches=filtered.stretches,
        channels=np.array([channel_id(electrode) for electrode in electrodes]),
        electrodes=electrodes,
        notes=(*notes, *recording.notes, *more),
    )


def _fit_electrodes(
    recording: Recording, card: Card, name: str, unseen: Unseen
) -> tuple[list[tuple[int, str]], tuple[str, ...]]:
    """Columns of the recording to use, what the model knows them as, and notes."""
    seen = set(card.electrodes)
    kept = [(column, channel) for column, channel in enumerate(recording.channels) if channel in seen]
    others = [(column, channel) for column, channel in enumerate(recording.channels) if channel not in seen]
    if others and unseen == "error":
        raise RecordingError(
            f"{name}: electrodes {', '.join(c for _, c in others)} were not in the model's training data "
            f"({', '.join(sorted(seen))}); choose {argument(unseen='nearest')} or 'drop'"
        )
    notes: list[str] = []
    matches: dict[str, tuple[str, float]] = {}
    if unseen == "nearest":
        positions = template_positions()
        unmatched = {e: positions[e] for e in sorted(e for _, e in others) if e in positions}
        matches = nearest_free(unmatched, [channel for _, channel in kept], among=sorted(seen))
    kept += [(column, matches[channel][0]) for column, channel in others if channel in matches]
    matched = sorted(matches, key=lambda electrode: (matches[electrode][1], electrode))
    taken = [electrode for electrode in matched if matches[electrode][1] >= SAME_POSITION]
    renamed = [electrode for electrode in matched if electrode not in taken]
    if renamed:
        notes.append(
            f"other names of electrodes seen in training: {', '.join(f'{e} is {matches[e][0]}' for e in renamed)}"
        )
    if taken:
        pairs = (f"{electrode} for {matches[electrode][0]} ({matches[electrode][1]:.0f} mm)" for electrode in taken)
        notes.append(f"never seen in training and taken for the nearest electrode that was: {', '.join(pairs)}")
    dropped = [channel for _, channel in others if channel not in matches]
    if dropped:
        more = f" and {len(dropped) - NAMED} more" if len(dropped) > NAMED + 1 else ""
        notes.append(f"never seen in training and dropped: {', '.join(dropped[:NAMED] if more else dropped)}{more}")
    if not kept:
        raise RecordingError(
            f"{name}: none of its electrodes ({', '.join(recording.channels)}) is, or lies within {REACH:g} mm of, "
            f"one the model was trained on ({', '.join(sorted(seen))}); use a model trained on such a montage"
        )
    if len(kept) < len(seen):
        notes.append(f"the answer rests on {len(kept)} of the {len(seen)} electrodes seen in training")
    return sorted(kept), tuple(notes)
