"""A recording as a model reads it: the electrodes it knows, and where windows start."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np

from neurolm.batches.loader import Sample, sample_from
from neurolm.checkpoint import Card
from neurolm.core.errors import RecordingError, argument
from neurolm.core.montage import REACH, channel_id, template_positions
from neurolm.core.physics import RATE
from neurolm.recording.electrodes.positions import SAME_POSITION, nearest_free
from neurolm.recording.options import ReadingOptions, Unseen, require_one_of
from neurolm.recording.preprocess import band_note, preprocess
from neurolm.recording.recording import Recording, open_recording

if TYPE_CHECKING:
    import mne

NAMED = 12
"""Most dropped electrodes that are named."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A recording as a model reads it."""

    signal: np.ndarray
    """float32 (samples at 200 Hz, electrodes), µV."""
    channels: np.ndarray
    """Electrode ids."""
    electrodes: tuple[str, ...]
    notes: tuple[str, ...]

    def sample(self, start: int, seconds: int) -> Sample:
        """Window from a sample on, so many seconds long."""
        return sample_from(self.signal[start : start + seconds * RATE], self.channels)


def prepare(
    source: str | Path | mne.io.BaseRaw,
    card: Card,
    *,
    reading: ReadingOptions,
    unseen: Unseen,
) -> Prepared:
    """Read a recording with the electrodes that a model knows, filtered and at 200 Hz.

    Parameters
    ----------
    source
        File, or MNE Raw.
    card
        Of the model.
    reading, unseen
        As of ``Model.ask``.

    Raises
    ------
    ConfigError
        If ``unseen`` is none of ``options.Unseen``.
    RecordingError
        If the recording cannot be read, is implausible, or has no electrode the model knows.
    """
    require_one_of("unseen", unseen, get_args(Unseen))
    recording = open_recording(source, reading=replace(reading, unknown=reading.unknown or "nearest"))
    kept, notes = _fit_electrodes(recording, card, unseen, name_of(source))
    ready = preprocess(recording, mains=reading.mains)
    columns = [column for column, _ in kept]
    names = tuple(name for _, name in kept)
    low, high = card.band
    done = ready.notes
    if ready.band[1] < high - 1:
        done = tuple(note for note in done if note != band_note(recording.rate))  # this says it better
        notes += (f"the recording reaches {ready.band[1]:g} Hz only; the model was trained on {low:g} to {high:g} Hz",)
    return Prepared(
        signal=ready.signal[:, columns],
        channels=np.array([channel_id(name) for name in names]),
        electrodes=names,
        notes=(*notes, *recording.notes, *done),
    )


def _fit_electrodes(
    recording: Recording, card: Card, policy: Unseen, name: str
) -> tuple[list[tuple[int, str]], tuple[str, ...]]:
    """Columns of the recording to use and what the model knows them as."""
    seen = set(card.electrodes)
    kept = [(column, channel) for column, channel in enumerate(recording.channels) if channel in seen]
    unseen = [(column, channel) for column, channel in enumerate(recording.channels) if channel not in seen]
    if unseen and policy == "error":
        raise RecordingError(
            f"{name}: electrodes {', '.join(c for _, c in unseen)} were not in the model's training data "
            f"({', '.join(sorted(seen))}); choose {argument(unseen='nearest')} or 'drop'"
        )
    notes: list[str] = []
    matches: dict[str, tuple[str, float]] = {}
    if policy == "nearest":
        positions = template_positions()
        unmatched = {name: positions[name] for name in sorted(name for _, name in unseen) if name in positions}
        matches = nearest_free(unmatched, [channel for _, channel in kept], among=sorted(seen))
    kept += [(column, matches[channel][0]) for column, channel in unseen if channel in matches]
    matched = sorted(matches, key=lambda name: (matches[name][1], name))
    taken = {name: matches[name] for name in matched if matches[name][1] >= SAME_POSITION}
    renamed = [name for name in matched if name not in taken]
    if renamed:
        notes.append(f"other names of places seen in training: {', '.join(f'{n} is {matches[n][0]}' for n in renamed)}")
    if taken:
        pairs = (f"{name} for {match} ({distance:.0f} mm)" for name, (match, distance) in taken.items())
        notes.append(f"never seen in training and taken for the nearest electrode that was: {', '.join(pairs)}")
    dropped = [channel for _, channel in unseen if channel not in matches]
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


def window_starts(samples: int, seconds: int, stride: float, source) -> tuple[list[int], int, tuple[str, ...]]:
    """Return where windows start, their seconds, and notes.

    Raises
    ------
    RecordingError
        If the recording is shorter than a second.
    """
    notes: tuple[str, ...] = ()
    if samples < RATE:
        raise RecordingError(f"{name_of(source)}: {samples / RATE:.2f} s long; at least 1 s of EEG is needed")
    if samples < seconds * RATE:
        notes = (f"the recording is shorter than the {seconds} s window the model was trained on",)
        seconds = samples // RATE
    return list(range(0, samples - seconds * RATE + 1, max(1, round(stride * RATE)))), seconds, notes


def name_of(source: object) -> str:
    """Return the path of a recording, or what stands for it."""
    if isinstance(source, str | Path):
        return str(source)
    names = [str(f) for f in getattr(source, "filenames", ()) if f]
    return names[0] if names else "recording"
