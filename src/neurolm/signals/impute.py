"""Electrodes that are missing, from the others: by spherical splines, or with the tokenizer

>>> found = impute(recording, ["Cz"])
>>> found.signal.shape, found.scores       # (samples at 200 Hz, electrodes), in µV; scores where it was recorded
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from neurolm.ask.recording import ModelInput
from neurolm.core.errors import QuestionError, WriteError, argument
from neurolm.core.files import atomic_file
from neurolm.core.montage import channel_id, resolve, template_positions
from neurolm.core.names import did_you_mean
from neurolm.core.physics import PATCH, RATE, SCALE
from neurolm.core.stretches import Stretches
from neurolm.model.encoder import SPECTRUM
from neurolm.model.tokenizer import NeuralTokenizer
from neurolm.recording.electrodes.positions import SAME_POSITION, SOURCES, spline_weights
from neurolm.signals import Method
from neurolm.signals.bands import decibels, in_band
from neurolm.signals.decoded import round_trips
from neurolm.signals.paths import sample_of
from neurolm.signals.scores import amplitudes


@dataclass(frozen=True, kw_only=True)
class ImputeScore:
    """How near an electrode that was recorded is to what is made of the others, over whole seconds."""

    electrode: str
    correlation: float | None
    """Of the waveforms; None where either is silent."""
    variance: float | None
    """Share of the variance that is explained, at most 1."""
    spectrum_db: float
    """Root mean square difference of the log spectra of seconds from 1 to 74 Hz, dB."""


@dataclass(frozen=True, kw_only=True)
class Imputed:
    """Electrodes made from the others of a recording."""

    recording: str
    electrodes: tuple[str, ...]
    sources: tuple[str, ...]
    """The electrodes that they are made from."""
    method: Method
    scores: tuple[ImputeScore, ...]
    """Of those that the recording has."""
    notes: tuple[str, ...]
    stretches: Stretches = field(repr=False)
    """Where the samples lie in the recording's time, at 200 Hz."""
    signal: np.ndarray = field(repr=False)
    """float32 (samples that are there, electrodes), µV."""


def official_names(channels: Sequence[str]) -> tuple[str, ...]:
    """Return the official names of electrodes that can be made from others.

    Raises
    ------
    QuestionError
        If one is no electrode with a known position, or there is none.
    """
    if not channels:
        raise QuestionError(f"{argument('channels')}: name the electrodes to make, as Cz,Pz")
    known, found = template_positions(), []
    for channel in channels:
        name = resolve(channel)
        if name not in known:
            near = did_you_mean(channel, list(known)) or ": give names of the 10-10 system, as Cz,PO7"
            raise QuestionError(f"{argument(channels=channel)}: no electrode of a known position{near}")
        found.append(name)
    return tuple(dict.fromkeys(found))


def impute(
    recording: ModelInput,
    channels: Sequence[str],
    *,
    method: Method = "splines",
    tokenizer: NeuralTokenizer | None = None,
    seconds: int = 4,
) -> Imputed:
    """Make electrodes from the others of a recording; those that it has are made as if it had not.

    Parameters
    ----------
    recording
        As ``ask.recording.read_recording`` opens it.
    channels
        Electrodes to make.
    tokenizer, seconds
        With decoders, and the length of its windows; for ``model``.

    Raises
    ------
    QuestionError
        If one is no electrode of a known position, or fewer than four others are there.
    """
    targets, positions = official_names(channels), template_positions()
    sources = [
        e
        for e in recording.electrodes
        if e in positions
        and all(1000 * math.dist(positions[e], positions[target]) >= SAME_POSITION for target in targets)
    ]
    if len(sources) < SOURCES:
        raise QuestionError(
            f"{recording.name}: {len(sources)} other electrodes of known position ({', '.join(sources) or 'none'}); "
            f"{SOURCES} are needed: name fewer with {argument('channels')}"
        )
    weights = spline_weights(*(np.array([positions[e] for e in names]) for names in (sources, targets)))
    columns = [recording.electrodes.index(e) for e in sources]
    there = [e for e in targets if e in recording.electrodes]
    total = recording.stretches[-1].first + recording.stretches[-1].samples
    signal, recorded = (np.empty((total, len(names)), np.float32) for names in (targets, there))
    for begin, block in recording.holding([(0, total)]):
        signal[begin : begin + len(block)] = block[:, columns] @ weights.T
        recorded[begin : begin + len(block)] = block[:, [recording.electrodes.index(e) for e in there]]
    if method == "model":
        assert tokenizer is not None, "the model's way needs a tokenizer"
        _towards_decoded(recording, tokenizer, targets, columns, signal, seconds)
    scores = [
        _score(e, signal[:, targets.index(e)], recorded[:, place], recording.stretches) for place, e in enumerate(there)
    ]
    return Imputed(
        recording=recording.name, electrodes=targets, sources=tuple(sources), method=method, scores=tuple(scores),
        notes=recording.notes, stretches=recording.stretches, signal=signal,
    )  # fmt: skip


def _towards_decoded(
    recording: ModelInput,
    tokenizer: NeuralTokenizer,
    targets: Sequence[str],
    columns: Sequence[int],
    signal: np.ndarray,
    seconds: int,
) -> None:
    """Change splines (samples, targets) in place; what is left over a whole second at a stretch's end stays."""
    channel = np.array([*recording.channels[list(columns)], *(channel_id(e) for e in targets)])
    spans = [
        (first, min(first + seconds * RATE, end))
        for part in recording.stretches
        for end in [part.first + part.samples // RATE * RATE]
        for first in range(part.first, end, seconds * RATE)
    ]
    for place, sample in recording.cut(spans):
        first, last = spans[place]
        others = sample.patches.reshape(sample.seconds, -1, PATCH)[:, list(columns)]
        splines = signal[first:last].reshape(-1, PATCH, len(targets)).swapaxes(1, 2) / SCALE
        made = towards_decoded(tokenizer, others, splines, channel)
        signal[first:last] = SCALE * made.swapaxes(1, 2).reshape(-1, len(targets))


def towards_decoded(
    tokenizer: NeuralTokenizer, others: np.ndarray, splines: np.ndarray, channel: np.ndarray
) -> np.ndarray:
    """Return splines with amplitudes halfway, in decibels, to what the decoder makes of their codes.

    Parameters
    ----------
    others, splines
        Patches (seconds, electrodes, 200) in units of the model's input.
    channel
        Electrode ids of both, the others first.
    """
    (found,) = round_trips(tokenizer, [sample_of(np.concatenate([others, splines], axis=1), channel)])
    spectra = np.fft.rfft(splines)[..., :SPECTRUM]
    own, decoded = np.abs(spectra), np.maximum(found.decoded_amplitude[:, others.shape[1] :], 0)
    factor = np.sqrt(decoded / np.maximum(own, 1e-9))
    return np.fft.irfft(spectra * np.where(own > 1e-9, factor, 0), PATCH)


def _score(electrode: str, made: np.ndarray, recorded: np.ndarray, stretches: Stretches) -> ImputeScore:
    """Of signals (samples,) in µV."""
    ends = [(part.first, part.first + part.samples // RATE * RATE) for part in stretches]
    one, other = (np.concatenate([x[first:last] for first, last in ends]).astype(float) for x in (made, recorded))
    return score(electrode, one.reshape(-1, PATCH) / SCALE, other.reshape(-1, PATCH) / SCALE)


def score(electrode: str, made: np.ndarray, recorded: np.ndarray) -> ImputeScore:
    """Compare patches (seconds, 200), in units of the model's input."""
    difference = in_band(decibels(amplitudes(made))) - in_band(decibels(amplitudes(recorded)))
    own, other = made - made.mean(), recorded - recorded.mean()
    size, product = float((other**2).sum()), float((own * other).sum())
    both = math.sqrt(float((own**2).sum()) * size)
    return ImputeScore(
        electrode=electrode,
        correlation=product / both if both > 0 else None,
        variance=1 - float(((own - other) ** 2).sum()) / size if size > 0 else None,
        spectrum_db=float(np.sqrt(np.square(difference).mean())),
    )


def write_recording(recording: ModelInput, found: Imputed, path: Path) -> Path:
    """Write a recording as the model reads it, 0.1–75 Hz at 200 Hz, with the electrodes that were made.

    Gaps are zeros, and annotated as ``BAD_ACQ_SKIP``.

    Raises
    ------
    WriteError
        If the name is not that of a FIF file.
    """
    import mne

    require_fif(path)
    kept = [place for place, e in enumerate(recording.electrodes) if e not in found.electrodes]
    names = [*(recording.electrodes[place] for place in kept), *found.electrodes]
    data = np.zeros((len(names), recording.stretches[-1].stop))
    at = np.concatenate([np.arange(part.start, part.stop) for part in recording.stretches])
    for begin, block in recording.holding([(0, len(at))]):
        data[: len(kept), at[begin : begin + len(block)]] = block[:, kept].T
    data[len(kept) :, at] = found.signal.T
    raw = mne.io.RawArray(1e-6 * data, mne.create_info(names, RATE, "eeg", verbose="error"), verbose="error")
    raw.info["description"] = f"neurolm: {', '.join(found.electrodes)} imputed ({found.method})"
    places = {name: place for name, place in template_positions().items() if name in names}
    raw.set_montage(mne.channels.make_dig_montage(places, coord_frame="head"), on_missing="ignore", verbose="error")
    ends = [0, *(part.stop for part in recording.stretches)]
    gaps = [(a, part.start) for a, part in zip(ends, recording.stretches, strict=False) if part.start > a]
    raw.set_annotations(mne.Annotations([a / RATE for a, _ in gaps], [(b - a) / RATE for a, b in gaps], "BAD_ACQ_SKIP"))
    with atomic_file(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This filename", RuntimeWarning)  # MNE's convention for names
        made = temporary.with_name(f"{temporary.name}.fif")
        try:
            raw.save(made, fmt="single", overwrite=True, verbose="error")
            made.replace(temporary)
        finally:
            made.unlink(missing_ok=True)
    return path


def require_fif(path: Path) -> None:
    """Refuse a name that is not that of a FIF file, before the work.

    Raises
    ------
    WriteError
        If it is not.
    """
    if path.suffix.lower() != ".fif":
        raise WriteError(f"{path}: recordings are written as FIF; choose another --out, ending in _eeg.fif")
