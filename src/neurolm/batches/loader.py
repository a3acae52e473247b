"""From windows and text to packed batches; what a step sees follows from (seed, step) alone.

Samples of different montages are packed into rows as wide as the longest of them, so little is padding, and a step
can be made again without replaying those before it: that is what makes resuming exact.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from neurolm.batches.windows import Window, second_of
from neurolm.core.batch import NO_PATCH, NO_TARGET, NO_TEXT, PADDING, Batch, Patches, Tokens
from neurolm.core.errors import ConfigError
from neurolm.core.montage import PAD, channel_id
from neurolm.core.physics import PATCH, RATE, SCALE
from neurolm.store.store import Store


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A window of EEG, ready for the encoder."""

    patches: np.ndarray
    """float32 (seconds · channels, 200), in units of 100 µV, second by second, within a second channel by channel."""
    channel: np.ndarray
    """int64 (seconds · channels,), electrode ids."""
    second: np.ndarray
    """int64 (seconds · channels,)."""
    source: str = ""
    length: int = 0
    """Seconds of the window where its last ones have no patch; 0: up to the last patch."""

    @property
    def seconds(self) -> int:
        """Length of the window."""
        return self.length or int(self.second[-1]) + 1

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.second) // self.seconds


@dataclass(frozen=True, kw_only=True)
class Document:
    """What the language model reads as one sequence: EEG, text, or EEG and then text."""

    sample: int | None = None
    """Index of the EEG sample in the batch, or None for text alone."""
    text: Sequence[int] | np.ndarray = ()
    """Token ids after the EEG."""
    predict_from: int = 1
    """First index of ``text`` that is to be predicted; ``len(text)`` or more predicts none."""
    predict_eeg: bool = False
    """Whether each patch predicts the code of the next second of its channel."""
    last_second: bool = True
    """Whether the language model reads the last second of the EEG. Where nothing follows it, it predicts nothing and
    nobody else sees it, so that the loss is the same without."""

    def patches(self, sample: Sample) -> int:
        """How many patches of its sample the language model reads."""
        return len(sample.second) - (0 if self.last_second else sample.channels)


def sample_from(
    signal: np.ndarray,
    channels: Sequence[int] | np.ndarray,
    *,
    scale: Sequence[float] | np.ndarray | None = None,
    source: str = "",
) -> Sample:
    """Cut a signal into patches.

    Parameters
    ----------
    signal
        float (samples at 200 Hz, channels) in µV; what is left over a whole second at its end is not used.
    channels
        Electrode id of each column.
    scale
        µV per unit of each column, where the signal is in counts of a store: the counts then become patches in one
        pass over them, with the same result as scaling first.
    """
    seconds, count = signal.shape[0] // RATE, signal.shape[1]
    cut = signal[: seconds * RATE].reshape(seconds, PATCH, count).transpose(0, 2, 1)
    patches = np.empty((seconds, count, PATCH), np.float32)
    if scale is None:
        np.copyto(patches, cut, casting="unsafe")
    else:
        np.multiply(cut, np.asarray(scale, np.float32)[:, None], out=patches, dtype=np.float32)
    patches /= np.float32(SCALE)
    return Sample(
        patches=patches.reshape(-1, PATCH),
        channel=np.tile(np.asarray(channels, dtype=np.int64), seconds),
        second=np.repeat(np.arange(seconds), count),
        source=source,
    )


def read_sample(store: Store, window: Window, *, augment: float = 0.0, seed: Sequence[int] = (0,)) -> Sample:
    """Read a window of a store, with training augmentations of a given strength (0: none).

    The augmentations leave what answers rest on: a common gain (amplitude differs between people and amplifiers), a
    few channels missing, an amplifier's noise and the sign (which depends on the reference). Most noise stays below
    what fast rhythms measure in, or their power could not be learned; some is strong, or noise would be taken for them.
    """
    row = store.outlines[window.recording]
    channels, source = _channel_ids(row.channels), f"{row.recording}@{second_of(row, window.start):g}s"
    counts, scale = store.read(window.recording, window.start, window.seconds * RATE), store.scale(window.recording)
    if augment > 0:
        signal, channels = _augmented(counts * scale, channels, augment, np.random.default_rng(list(seed)))
        return sample_from(signal, channels, source=source)
    return sample_from(counts, channels, scale=scale, source=source)


@functools.lru_cache(maxsize=4096)
def _channel_ids(names: tuple[str, ...]) -> np.ndarray:
    """Electrode ids, int64 (channels,), of a montage; not to be written to."""
    ids = np.array([channel_id(name) for name in names])
    ids.flags.writeable = False
    return ids


def _augmented(signal, channels, strength, rng):
    kept = rng.random(len(channels)) >= 0.3 * strength * rng.random()
    if not kept.any():
        kept[rng.integers(len(channels))] = True
    signal = signal[:, kept] * np.float32(np.exp(0.4 * strength * rng.standard_normal()))
    level = 10 ** rng.uniform(-2, 1)  # µV
    noise = strength * level * rng.standard_normal(signal.shape, dtype=np.float32)
    return (signal + noise.astype(np.float32)) * rng.choice((-1, 1)), channels[kept]


def pack(lengths: Sequence[int], width: int) -> list[list[int]]:
    """Distribute items over rows of a width, longest first into the first row with room (first-fit decreasing)."""
    rows: list[list[int]] = []
    room: list[int] = []
    for item in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        for row, free in enumerate(room):
            if lengths[item] <= free:
                rows[row].append(item)
                room[row] -= lengths[item]
                break
        else:
            rows.append([item])
            room.append(width - lengths[item])
    return rows


def in_batches(samples: Iterable[Sample], *, places: int, text: int = 0) -> Iterator[list[Sample]]:
    """Group samples, in their order, so that a batch of one a row has at most so many places, padding included.

    What a forward pass holds grows with the places, and not with the samples: of these one may have 8 patches, another
    2,000. A sample that has more alone is a batch alone.

    Parameters
    ----------
    text
        Places that follow each sample.
    """
    batch, longest = list[Sample](), 0
    for sample in samples:
        together = max(longest, len(sample.second))
        if batch and (len(batch) + 1) * (together + text) > places:
            yield batch
            batch, together = [], len(sample.second)
        batch.append(sample)
        longest = together
    if batch:
        yield batch


@dataclass(frozen=True)
class _Places:
    """Where each item of a packed batch stands, in flattened (row · width) places."""

    rows: int
    width: int
    start: list[int]
    number: list[int]
    """Which document of its row the item is."""
    filled: list[int]
    """Places of each row that hold something; the rest is padding."""


def _arranged(lengths: Sequence[int], *, packed: bool) -> _Places:
    width = max(lengths)
    rows = pack(lengths, width) if packed else [[i] for i in range(len(lengths))]
    start, number, filled = [0] * len(lengths), [0] * len(lengths), []
    for row, items in enumerate(rows):
        at = row * width
        for place, item in enumerate(items):
            start[item], number[item] = at, place
            at += lengths[item]
        filled.append(at - row * width)
    return _Places(len(rows), width, start, number, filled)


def build_patches(samples: Sequence[Sample], *, packed: bool = True) -> tuple[Patches, list[int]]:
    """Pack samples for the encoder; returns them with the flattened place where each sample starts."""
    layout = _arranged([len(s.second) for s in samples], packed=packed)
    places = layout.rows * layout.width
    values = np.empty((places, PATCH), np.float32)
    for row, filled in enumerate(layout.filled):  # nearly all of it is written once, by the samples
        values[row * layout.width + filled : (row + 1) * layout.width] = 0
    channel, second, document = np.full(places, PAD), np.zeros(places, np.int64), np.full(places, PADDING)
    for sample, start, number in zip(samples, layout.start, layout.number, strict=True):
        span = slice(start, start + len(sample.second))
        values[span], channel[span], second[span] = sample.patches, sample.channel, sample.second
        document[span] = number
    shape = (layout.rows, layout.width)
    patches = Patches(
        samples=torch.from_numpy(values).view(*shape, PATCH),
        channel=torch.from_numpy(channel).view(shape),
        second=torch.from_numpy(second).view(shape),
        document=torch.from_numpy(document).view(shape),
    )
    return patches, layout.start


def build_tokens(
    documents: Sequence[Document], samples: Sequence[Sample] = (), starts: Sequence[int] = (), *, packed: bool = True
) -> Tokens:
    """Pack documents for the language model; ``starts`` is where ``build_patches`` put each sample."""
    sizes = [(0 if d.sample is None else d.patches(samples[d.sample])) + len(d.text) for d in documents]
    layout = _arranged(sizes, packed=packed)
    names = ("document", "step", "position", "text", "patch", "target", "target_patch")
    empty = (PADDING, 0, 0, NO_TEXT, NO_PATCH, NO_TARGET, NO_PATCH)
    places = layout.rows * layout.width
    out = {name: np.full(places, value, np.int64) for name, value in zip(names, empty, strict=True)}
    for item, size, start, number in zip(documents, sizes, layout.start, layout.number, strict=True):
        out["document"][start : start + size] = number
        sample = None if item.sample is None else samples[item.sample]
        eeg, seconds = (0, 0) if sample is None else (item.patches(sample), sample.seconds)
        assert item.last_second or not len(item.text), "text follows all of the EEG"
        if sample is not None and item.sample is not None:
            span = slice(start, start + eeg)
            out["step"][span] = out["position"][span] = sample.second[:eeg]
            first = starts[item.sample]
            out["patch"][span] = np.arange(first, first + eeg)
            if item.predict_eeg:  # the target at (second s, channel c) is the code of (s + 1, c)
                targets = len(sample.second) - sample.channels
                out["target_patch"][start : start + targets] = first + sample.channels + np.arange(targets)
        text = np.asarray(item.text, np.int64)
        span = slice(start + eeg, start + size)
        out["text"][span] = text
        out["step"][span] = out["position"][span] = seconds + np.arange(len(text))
        predict = max(1, item.predict_from)
        out["target"][start + eeg + predict - 1 : start + size - 1] = text[predict:]
    return Tokens(**{name: torch.from_numpy(value).view(layout.rows, layout.width) for name, value in out.items()})


def build_batch(samples: Sequence[Sample], documents: Sequence[Document], *, packed: bool = True) -> Batch:
    """Pack samples and the documents that read them."""
    sources = tuple(s.source for s in samples)
    patches, starts = build_patches(samples, packed=packed) if samples else (None, [])
    tokens = build_tokens(documents, samples, starts, packed=packed) if documents else None
    return Batch(patches=patches, tokens=tokens, sources=sources)


EPOCHS_KEPT = 2
"""Orders of epochs that a sampler keeps: a step may lie in two."""


class WindowSampler:
    """Which windows a step sees, as a function of (seed, step).

    Parameters
    ----------
    tasks
        For each task and each of its labels, the indices of the windows.
    balance
        Draw tasks equally, labels equally within a task, and windows equally within a label; else go through shuffled
        epochs of all windows without end.
    """

    def __init__(
        self, tasks: Sequence[Sequence[Sequence[int]]], *, batch: int, seed: int, balance: bool = False
    ) -> None:
        labels = [[np.asarray(windows, np.int64) for windows in task if len(windows)] for task in tasks]
        self.tasks = [task for task in labels if task]
        if not self.tasks:
            raise ConfigError("no training window: the store has none for the training subjects; prepare more data")
        self.all = np.concatenate([windows for task in self.tasks for windows in task])
        self.batch, self.seed, self.balance = batch, seed, balance
        self._orders: dict[int, np.ndarray] = {}

    def step(self, step: int) -> np.ndarray:
        """Indices of the windows of a step, int64 (batch,)."""
        if self.balance:
            rng = np.random.default_rng([self.seed, 1, step])
            first = step * self.batch  # counting on from the step before, so that the shares are equal over steps
            drawn = [self.tasks[(first + i) % len(self.tasks)] for i in range(self.batch)]
            return np.array([rng.choice(task[rng.integers(len(task))]) for task in drawn])
        first = step * self.batch
        epochs = range(first // len(self.all), (first + self.batch - 1) // len(self.all) + 1)
        parts = []
        for epoch in epochs:
            begin = epoch * len(self.all)
            parts.append(self._order(epoch)[max(0, first - begin) : max(0, first + self.batch - begin)])
        return np.concatenate(parts)

    def _order(self, epoch: int) -> np.ndarray:
        """The windows in the order of an epoch. The last ones asked for are kept: 2 million windows take 40 ms.

        Threads may make one twice; it is the same.
        """
        order = self._orders.get(epoch)
        if order is None:
            order = np.random.default_rng([self.seed, 0, epoch]).permutation(self.all)
            kept = sorted((*self._orders, epoch))[-EPOCHS_KEPT:]
            self._orders = {e: self._orders[e] for e in kept if e in self._orders} | {epoch: order}
        return order


def share(sizes: Sequence[int], rank: int, ranks: int) -> list[int]:
    """Indices of the items that one of several processes takes, in order.

    The items are dealt out from the largest to the smallest, so that every process gets as many, and about as much, as
    the others: none is left out and none is taken twice.

    Parameters
    ----------
    sizes
        Of all items, the patches, say.
    rank, ranks
        Number of the process, and of all.
    """
    dealt = sorted(range(len(sizes)), key=lambda i: -sizes[i])
    rounds = [dealt[first : first + ranks] for first in range(0, len(dealt), ranks)]
    # There and back, or else the first process would have the largest of every round.
    mine = [(one if number % 2 == 0 else one[::-1])[rank : rank + 1] for number, one in enumerate(rounds)]
    return sorted(i for one in mine for i in one)


class TextSampler:
    """Crops of a token stream; which ones is a function of (seed, step)."""

    def __init__(self, stream: np.ndarray, *, batch: int, length: int, seed: int) -> None:
        if len(stream) <= length:
            raise ConfigError(
                f"the text has {len(stream)} tokens, too few for text_length {length}: give more text or a smaller one"
            )
        self.stream, self.batch, self.length, self.seed = stream, batch, length, seed

    def step(self, step: int) -> np.ndarray:
        """Token ids of a step, int64 (batch, length)."""
        starts = np.random.default_rng([self.seed, 2, step]).integers(0, len(self.stream) - self.length, self.batch)
        return self.stream[starts[:, None] + np.arange(self.length)].astype(np.int64)
