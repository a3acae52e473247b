"""A recording as a model reads it: the electrodes that it knows, in windows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np

from neurolm.batches.loader import Sample, sample_from
from neurolm.checkpoint import Card, require_same_filters
from neurolm.core.errors import QuestionError, RecordingError, argument
from neurolm.core.montage import REACH, channel_id, template_positions
from neurolm.core.physics import RATE
from neurolm.core.stretches import Spans, Stretches, holding, overlapping, united
from neurolm.recording.electrodes.positions import SAME_POSITION, nearest_free
from neurolm.recording.options import ReadingOptions, Unseen, require_one_of
from neurolm.recording.preprocess import band_note, preprocess_blocks
from neurolm.recording.recording import Recording, open_recording
from neurolm.store.store import Store

if TYPE_CHECKING:
    import mne

NAMED = 12
"""Dropped electrodes that a note names at most."""


STORED = 1 << 16
"""Samples of a store that are read at once."""
AT_ONCE = 16 << 20
"""Bytes of windows that are read before something is made of them."""
Blocks = Iterable[tuple[int, np.ndarray]]
"""Filtered signal, float32 (samples, electrodes), µV, block by block in the order of time: where each begins among the
samples that are there, and the block."""


@dataclass(frozen=True, kw_only=True)
class ModelInput:
    """A recording as a model reads it: filtered block by block when windows are read, and held no longer than that."""

    name: str
    """The file, or what stands for it."""
    stretches: Stretches
    """Where what is there lies in the recording's time, in samples at 200 Hz."""
    channels: np.ndarray
    """Electrode ids."""
    electrodes: tuple[str, ...]
    notes: tuple[str, ...]
    """What was done to the recording."""
    holding: Callable[[Spans], Blocks] = field(repr=False)
    """Spans of the samples that are there → the blocks that hold them."""

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
        (sample,) = self.samples([start], seconds)
        return sample

    def samples(self, starts: Iterable[int], seconds: int) -> Iterator[Sample]:
        """Windows of so many seconds from some moments on, in the order of time; only the blocks with them are read.

        Raises
        ------
        QuestionError
            If one is not all there.
        """
        return (sample for _, sample in self.cut([self.span(start, seconds) for start in starts]))

    def span(self, start: int, seconds: int) -> tuple[int, int]:
        """Where the window of so many seconds from a moment on lies among the samples that are there.

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
        return found.first, found.first + found.samples

    def cut(self, spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, Sample]]:
        """Cut windows out of one reading.

        Parameters
        ----------
        spans
            First sample, and the one after the last, of each window among the samples that are there.

        Yields
        ------
        int, Sample
            Place of a window among the spans, and the window: in the order in which the windows end.
        """
        order = sorted(range(len(spans)), key=lambda i: (spans[i][1], i))
        longest = max((last - first for first, last in spans), default=0)
        held: list[tuple[int, np.ndarray]] = []
        blocks, there = iter(self.holding(spans)), 0
        for place in order:
            first, last = spans[place]
            while there < last:
                begin, block = next(blocks)
                there = begin + len(block)
                held.append((begin, block))
            held = [(begin, block) for begin, block in held if begin + len(block) > last - longest]
            parts = [block[max(first - begin, 0) : last - begin] for begin, block in held if begin < last]
            parts = [part for part in parts if len(part)]
            signal = parts[0] if len(parts) == 1 else np.concatenate(parts)
            yield place, sample_from(signal, self.channels)


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


def read_windows(cuts: Sequence[Windows], *, most: Sequence[int] | None = None) -> Iterator[tuple[int, list[Sample]]]:
    """Read windows of several lengths or strides from one pass over a recording.

    Parameters
    ----------
    cuts
        Windows of the same recording.
    most
        How many windows of each cut are wanted together at most. The first ones come in smaller numbers, a quarter of
        it and then twice as many each time, so that nobody waits long for them.

    Yields
    ------
    int, list of Sample
        Which of the cuts, and its next windows: about ``AT_ONCE`` bytes at most, whatever blocks they are from; the
        last ones are fewer.
    """
    each = [(cut, windows.recording.span(start, windows.seconds)) for cut, windows in enumerate(cuts)
            for start in windows.starts]  # fmt: skip
    waiting: list[list[Sample]] = [[] for _ in cuts]
    wanted = None if most is None else [max(1, many // 4) for many in most]
    for place, sample in cuts[0].recording.cut([span for _, span in each]) if cuts else ():
        cut = each[place][0]
        waiting[cut].append(sample)
        enough = wanted is not None and len(waiting[cut]) >= wanted[cut]
        if enough or len(waiting[cut]) * sample.patches.nbytes >= AT_ONCE:
            yield cut, waiting[cut]
            waiting[cut] = []
            if most is not None and wanted is not None:
                wanted[cut] = max(1, min(2 * wanted[cut], most[cut]))
    yield from ((cut, samples) for cut, samples in enumerate(waiting) if samples)


def read_recording(
    source: str | Path | mne.io.BaseRaw,
    card: Card,
    *,
    reading: ReadingOptions,
    unseen: Unseen,
    until: float | None = None,
) -> ModelInput:
    """Open a recording with the electrodes that a model knows, to be filtered and at 200 Hz when windows are read.

    Parameters
    ----------
    source
        File, or an MNE Raw.
    card
        What the model was trained on.
    reading, unseen
        As for ``Model.ask``.
    until
        Seconds after which nothing is read, so that no filter knows what follows; by default all is.

    Raises
    ------
    ConfigError
        If ``unseen`` is none of ``options.Unseen``.
    RecordingError
        If the recording cannot be read, is implausible, or has no electrode the model knows.
    """
    require_one_of("unseen", unseen, get_args(Unseen))
    recording = open_recording(source, reading=replace(reading, unknown=reading.unknown or "nearest"))
    if until is not None:
        recording = _cut_off(recording, until)
    name = str(source) if isinstance(source, str | Path) else str(recording.path or "recording")
    kept, notes = fit_electrodes(recording.channels, card, name, unseen)
    filtered = preprocess_blocks(
        recording, electrodes=[column for column, _ in kept], mains=reading.mains, filters=card.filters
    )
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
        stretches=filtered.stretches,
        channels=np.array([channel_id(electrode) for electrode in electrodes]),
        electrodes=electrodes,
        notes=(*notes, *recording.notes, *more),
        holding=filtered.holding,
    )


def _cut_off(recording: Recording, until: float) -> Recording:
    """The recording as if it ended at a moment, in seconds."""
    end = min(round(until * recording.rate), recording.samples)
    if end < 1:
        raise QuestionError(f"{argument(at=until)} s: nothing of the recording lies before; choose a later moment")
    bad = tuple((first, min(last, end)) for first, last in recording.bad if first < end)
    return replace(recording, samples=end, stretches=overlapping(recording.stretches, 0, end), bad=bad)


def read_stored(store: Store, index: int, card: Card, *, name: str, unseen: Unseen) -> ModelInput:
    """Take a recording of a prepared store, filtered and at 200 Hz already, with the electrodes that a model knows.

    Parameters
    ----------
    index
        Of the recording in ``store.rows``.
    card, unseen
        As for `read_recording`.
    name
        What it is called.

    Raises
    ------
    RecordingError
        If it has no electrode the model knows.
    CheckpointError
        If the store was filtered otherwise than the model's training data.
    """
    row = store.rows[index]
    require_same_filters(card, row.filters, store.path)
    kept, notes = fit_electrodes(row.channels, card, name, unseen)
    columns, electrodes = [column for column, _ in kept], tuple(electrode for _, electrode in kept)

    def holding(spans: Spans) -> Iterator[tuple[int, np.ndarray]]:
        for first, last in united(spans):
            for begin in range(first, last, STORED):
                yield begin, store.microvolts(index, begin, min(STORED, last - begin))[:, columns]

    return ModelInput(
        name=name,
        stretches=row.stretches,
        channels=np.array([channel_id(electrode) for electrode in electrodes]),
        electrodes=electrodes,
        notes=(*notes, *row.notes),
        holding=holding,
    )


def fit_electrodes(
    channels: Sequence[str], card: Card, name: str, unseen: Unseen
) -> tuple[list[tuple[int, str]], tuple[str, ...]]:
    """Columns of a recording to use, what the model knows them as, and notes; else as `read_recording`."""
    seen = set(card.electrodes)
    kept = [(column, channel) for column, channel in enumerate(channels) if channel in seen]
    others = [(column, channel) for column, channel in enumerate(channels) if channel not in seen]
    if others and unseen == "error":
        raise RecordingError(
            f"{name}: electrodes {', '.join(c for _, c in others)} were not in the model's training data "
            f"({', '.join(sorted(seen))}); choose {argument(unseen='nearest')} or 'drop'"
        )
    notes: list[str] = []
    matches: dict[str, tuple[str, float]] = {}
    if others and unseen == "nearest":
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
            f"{name}: none of its electrodes ({', '.join(channels)}) is, or lies within {REACH:g} mm of, "
            f"one the model was trained on ({', '.join(sorted(seen))}); use a model trained on such a montage"
        )
    if len(kept) < len(seen):
        notes.append(f"the answer rests on {len(kept)} of the {len(seen)} electrodes seen in training")
    return sorted(kept), tuple(notes)
