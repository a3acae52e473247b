"""The tokenizer's round trip: what EEG loses on the way through the codebook, by band and electrode

>>> found = reconstruct(tokenizer, recording, seconds=6)
>>> found.errors[0]  # BandError(electrode='FP1', band='delta', spectrum_db=…, correlation=…, variance=…)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from neurolm.ask.recording import ModelInput, Windows, read_windows
from neurolm.ask.table_files import SUFFIXES, require_pyarrow, table_file
from neurolm.batches.loader import Sample, in_batches
from neurolm.core.errors import ConfigError, argument
from neurolm.core.physics import PATCH, RATE
from neurolm.model.encoder import SPECTRUM
from neurolm.model.tokenizer import NeuralTokenizer
from neurolm.signals.bands import NAMES, decibels, sums
from neurolm.signals.decoded import Decoded, RoundTrip, pictured, round_trips

PLACES = 1 << 13
"""Most patches that go through the tokenizer at once."""
_TAPER = np.hanning(PATCH + 1)[:-1]  # of the waveforms' spectra, so that slow drifts do not leak into fast bands


@dataclass(frozen=True, kw_only=True)
class BandError:
    """What the codes keep of an electrode in a band."""

    electrode: str
    band: str
    spectrum_db: float
    """Root mean square difference of the log spectra in dB, over seconds and hertz. A second's spectrum scatters about
    its expectation by some 5.6 dB where the EEG is noise, which no code can tell."""
    correlation: float | None
    """Of the decoded waveform with the EEG within the band; None where either is silent."""
    variance: float | None
    """Share of the EEG's variance within the band that the waveform explains, at most 1; negative where nothing at all
    would be nearer to the EEG. None where the EEG is silent."""


@dataclass(frozen=True, kw_only=True)
class Reconstructed:
    """A recording's way through the tokenizer and back."""

    recording: str
    seconds: int
    """Length of a window."""
    windows: int
    patches: int
    codes: int
    """Different codes that were used, of ``codebook``."""
    codebook: int
    errors: tuple[BandError, ...]
    """For each electrode its bands, in the order of ``bands.NAMES``."""
    overall: tuple[BandError, ...]
    """The same for all electrodes together."""
    notes: tuple[str, ...]
    electrodes: tuple[str, ...]
    example: Decoded = field(repr=False)
    """The window in the middle, for a picture."""
    example_start: float
    """When it begins, seconds from the start of the recording."""


def longest_window(max_patches: int, max_seconds: int, channels: int) -> int:
    """Seconds of the windows that a stage learns from, for so many channels."""
    return max(1, min(max_seconds, max_patches // channels))


def reconstruct(tokenizer: NeuralTokenizer, recording: ModelInput, *, seconds: int) -> Reconstructed:
    """Send a recording through the codebook and back, window by window, and measure what is left.

    Parameters
    ----------
    tokenizer
        With decoders, in evaluation mode.
    recording
        As ``ask.recording.read_recording`` opens it.
    seconds
        Length of the windows, which follow each other without overlap.

    Raises
    ------
    ConfigError
        If the window is longer than the tokenizer can see, or no second.
    RecordingError
        If no stretch of the recording has a second.
    """
    most = tokenizer.config.seconds
    if not 1 <= seconds <= most:
        raise ConfigError(f"{argument(seconds=seconds)}: this tokenizer sees windows of 1 to {most} s; choose another")
    windows = Windows.of(recording, seconds=seconds, stride=seconds)
    log = tokenizer.config.spectrum == "log"
    totals: dict[str, np.ndarray] = defaultdict(lambda: np.zeros((len(recording.channels), SPECTRUM)))
    used = np.zeros(tokenizer.config.codes, bool)
    example, place, count, patches = None, 0, 0, 0
    for samples in _batches(windows):
        for found in round_trips(tokenizer, samples):
            if example is None or count <= len(windows.starts) // 2:
                example, place = pictured(found, log=log), count
            count, patches = count + 1, patches + found.raw.shape[0] * found.raw.shape[1]
            for code in np.unique(found.codes):
                used[code] = True
            _add(totals, found)
    assert example is not None, "there is a window"
    errors = [
        error
        for place, electrode in enumerate(recording.electrodes)
        for error in _errors(electrode, {name: total[place] for name, total in totals.items()})
    ]
    return Reconstructed(
        recording=recording.name, seconds=windows.seconds, windows=count, patches=patches, codes=int(used.sum()),
        codebook=len(used), errors=tuple(errors), notes=(*windows.notes, OFFSETS),
        overall=tuple(_errors("all", {name: total.sum(axis=0) for name, total in totals.items()})),
        electrodes=recording.electrodes, example=example, example_start=windows.starts[place] / RATE,
    )  # fmt: skip


OFFSETS = "how large a window's EEG is, and its mean, is taken from the recording for the waveform: codes do not say it"
"""What the round trip is told beside the codes."""


def _batches(windows: Windows) -> Iterator[list[Sample]]:
    for _, samples in read_windows([windows]):
        yield from in_batches(samples, places=PLACES)


def _add(totals: dict[str, np.ndarray], found: RoundTrip) -> None:
    """Add a window's sums over its seconds, (channels, 100) each."""
    difference = decibels(found.decoded_amplitude) - decibels(found.amplitude)
    totals["count"] += len(difference)
    totals["spectrum"] += np.square(difference).sum(axis=0)
    raw, waveform = (np.fft.rfft(_TAPER * x)[..., :SPECTRUM] for x in (found.raw, found.waveform))
    totals["raw"] += np.square(np.abs(raw)).sum(axis=0)
    totals["waveform"] += np.square(np.abs(waveform)).sum(axis=0)
    totals["both"] += (raw * waveform.conj()).real.sum(axis=0)


def _errors(electrode: str, totals: dict[str, np.ndarray]) -> list[BandError]:
    """Of sums (100,)."""
    count, spectrum, raw, waveform, both = (
        sums(totals[name]) for name in ("count", "spectrum", "raw", "waveform", "both")
    )
    found = []
    for place, band in enumerate(NAMES):
        own, other, product = float(raw[place]), float(waveform[place]), float(both[place])
        found.append(
            BandError(
                electrode=electrode,
                band=band,
                spectrum_db=float(np.sqrt(spectrum[place] / count[place])),
                correlation=product / float(np.sqrt(own * other)) if own > 0 and other > 0 else None,
                variance=(2 * product - other) / own if own > 0 else None,
            )
        )
    return found


def require_table(path: Path) -> None:
    """Refuse a name that is no table's, before the work.

    Raises
    ------
    ConfigError
        If its suffix is none of ``ask.table_files.SUFFIXES``, or pyarrow is missing for Parquet.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{argument(out=str(path))}: let the name of the table end in {', '.join(SUFFIXES)}")
    if path.suffix.lower() in SUFFIXES[:2]:
        require_pyarrow()


def write_errors(found: Reconstructed, path: Path) -> Path:
    """Write a row for each electrode and band into a table; returns its path."""
    require_table(path)
    with table_file(path, BandError) as write:
        for error in (*found.errors, *found.overall):
            write(error)
    return path
