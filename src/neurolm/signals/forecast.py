"""How EEG may go on after a moment: sampled from a causal model, and scored by what followed

>>> found = forecast(model, card, "recording.edf", at=60, seconds=5, count=20)
>>> found.scores[0]         # ForecastScore(method='model', second=1, spectrum_db=…, …)

Nothing after the moment is known to the forecast: the recording is cut off there before it is filtered.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neurolm.ask.recording import ModelInput, read_recording
from neurolm.ask.table_files import table_file
from neurolm.checkpoint import Card
from neurolm.core.errors import CheckpointError, QuestionError, argument
from neurolm.core.names import choose
from neurolm.core.physics import PATCH, RATE, SCALE
from neurolm.core.stretches import holding
from neurolm.model.neurolm import NeuroLM
from neurolm.recording.options import ReadingOptions, Unseen
from neurolm.signals.autoregression import go_on
from neurolm.signals.bands import NAMES, power_decibels
from neurolm.signals.paths import MAKING, Making, codes_that_followed, draw_paths
from neurolm.signals.reconstruct import longest_window, require_table
from neurolm.signals.scores import ForecastScore, amplitudes, scores

if TYPE_CHECKING:
    import mne

SHOWN = 3
"""Electrodes that are drawn where none are named."""
PAST = 30
"""Most seconds before the moment that are looked at."""
OF_AR = 10
"""Seconds before the moment to which AR models are fitted."""
MODEL, AR, EARLIER, PERSISTENCE = METHODS = ("model", "AR model", "seconds of the past", "last second again")
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
FARTHEST, MOST, LAST_SEED = 60, 1000, 2**63 - 1
"""Seconds, and samples, of a forecast at most, and the largest seed."""


@dataclass(frozen=True, kw_only=True)
class BandForecast:
    """Log power density of an electrode's band in a second, in dB re 1 µV²/Hz: quantiles over the samples."""

    electrode: str
    band: str
    start: float
    """Seconds from the start of the recording."""
    q05: float
    q25: float
    q50: float
    q75: float
    q95: float
    observed: float | None
    """What followed, where it is known."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Samples of how a recording may go on."""

    recording: str
    at: float
    """Seconds from the start of the recording; what is forecast begins there."""
    electrodes: tuple[str, ...]
    scores: tuple[ForecastScore, ...]
    """For each of ``METHODS`` its seconds; empty where it is not known what followed."""
    codebook: int
    """Number of codes: the perplexity, were all of them always as likely."""
    codes: np.ndarray = field(repr=False)
    """int64 (samples, seconds, electrodes)."""
    waveform: np.ndarray = field(repr=False)
    """float32 (samples, seconds · 200, electrodes), µV."""
    past: np.ndarray = field(repr=False)
    """What came before, float32 (samples at 200 Hz, electrodes), µV."""
    followed: np.ndarray | None = field(repr=False)
    """What followed, float32 (seconds · 200, electrodes), µV; None where it is not known."""
    notes: tuple[str, ...]

    @property
    def seconds(self) -> int:
        """How far the forecast reaches."""
        return self.waveform.shape[1] // RATE

    def spectra(self, signal: np.ndarray) -> np.ndarray:
        """FFT amplitudes of one-second patches: µV (…, seconds · 200, electrodes) to (…, seconds, electrodes, 100)."""
        return amplitudes(as_patches(signal))

    def bands(self) -> Iterator[BandForecast]:
        """Go through electrodes, seconds and bands."""
        drawn = np.quantile(power_decibels(self.spectra(self.waveform)), QUANTILES, axis=0)
        real = None if self.followed is None else power_decibels(self.spectra(self.followed))
        for place, electrode in enumerate(self.electrodes):
            for second in range(self.seconds):
                for number, band in enumerate(NAMES):
                    q05, q25, q50, q75, q95 = drawn[:, second, place, number].tolist()
                    yield BandForecast(
                        electrode=electrode, band=band, start=self.at + second, q05=q05, q25=q25, q50=q50, q75=q75,
                        q95=q95, observed=None if real is None else float(real[second, place, number]),
                    )  # fmt: skip


def write_bands(found: Forecast, path: Path) -> Path:
    """Write a row for each electrode, second and band into a table; returns its path."""
    require_table(path)
    with table_file(path, BandForecast) as write:
        for row in found.bands():
            write(row)
    return path


def require_causal(card: Card) -> None:
    """Refuse a model that has learned with a view of what is to be forecast.

    Raises
    ------
    CheckpointError
        If its encoder is not causal.
    """
    if card.run.model.tokenizer.attention != "stair-step":
        raise CheckpointError(
            f"this model's recipe is {card.run.recipe!r}: its encoder sees the whole window, so that its language "
            "model learned to forecast seconds that the features already knew; train a causal one, such as "
            "`neurolm train tokenizer --recipe causal-tiny`"
        )


def forecast(
    model: NeuroLM,
    card: Card,
    source: str | Path | mne.io.BaseRaw,
    *,
    at: float | None = None,
    seconds: int = 5,
    count: int = 20,
    seed: int = 0,
    making: Making = MAKING,
    reading: ReadingOptions,
    unseen: Unseen,
    drawn: Sequence[str] | None = None,
) -> Forecast:
    """Sample how a recording may go on, and score that where it does go on.

    Parameters
    ----------
    model
        With decoders, in evaluation mode.
    card
        What it was trained on.
    source, reading, unseen
        As for ``Model.ask``.
    at
        Seconds from the start of the recording; by default its end.
    seconds, count
        How far, and how many samples.
    making
        How EEG is made of codes, see ``paths.Making``.
    drawn
        Electrodes that are to be drawn: names that there are not are refused before the work.

    Raises
    ------
    CheckpointError
        If the model is not causal.
    QuestionError
        If there is nothing before the moment to go on from, or the numbers are out of range.
    RecordingError
        As for ``Model.ask``.
    """
    require_causal(card)
    _require_range(at, seconds, count, seed)
    given = read_recording(source, card, reading=reading, unseen=unseen, until=at)
    places_of(given.electrodes, drawn)
    past, end = _past(given, at)
    channel, longest = given.channels, _longest(card, given)
    followed = (
        None if at is None else _followed(read_recording(source, card, reading=reading, unseen=unseen), end, seconds)
    )
    known = None if followed is None else codes_that_followed(model, past, followed, channel, longest)
    paths = draw_paths(
        model, past, channel, seconds=seconds, count=count, longest=longest, making=making, known=known, seed=seed
    )
    found: tuple[ForecastScore, ...] = ()
    if followed is not None:
        found = scores(MODEL, paths.patches, followed, paths.log_p)
        for method, samples in simple_forecasts(past, seconds, count, np.random.default_rng(seed)).items():
            found += scores(method, samples, followed)
    notes = given.notes if followed is not None or at is None else (*given.notes, _too_short(seconds))
    if at is not None and end < round(at * RATE) - 1:  # a sample is lost where rates do not divide
        notes = (f"nothing was recorded right before {at:g} s: the forecast begins at {end / RATE:g} s", *notes)
    return Forecast(
        recording=given.name, at=end / RATE, electrodes=given.electrodes, scores=found, notes=notes,
        codebook=card.run.model.tokenizer.codes, codes=paths.codes, waveform=as_signal(paths.patches),
        past=as_signal(past), followed=None if followed is None else as_signal(followed),
    )  # fmt: skip


def as_signal(patches: np.ndarray) -> np.ndarray:
    """Patches (…, seconds, channels, 200) in the model's units as µV, float32 (…, seconds · 200, channels)."""
    *before, seconds, channels, _ = patches.shape
    return (SCALE * patches).swapaxes(-1, -2).reshape(*before, seconds * PATCH, channels).astype(np.float32)


def as_patches(signal: np.ndarray) -> np.ndarray:
    """µV (…, seconds · 200, channels) as patches (…, seconds, channels, 200) in units of the model's input."""
    *before, samples, channels = signal.shape
    return signal.reshape(*before, samples // PATCH, PATCH, channels).swapaxes(-1, -2) / SCALE


def simple_forecasts(
    past: np.ndarray, seconds: int, count: int, rng: np.random.Generator, *, fitted: int = OF_AR
) -> dict[str, np.ndarray]:
    """What needs no model, by name: each float (samples, seconds, channels, 200).

    An AR model of each electrode, fitted to the last seconds and drawn from; seconds of the past drawn in any order,
    the same for all electrodes; and the last second again and again, which is no distribution.
    """
    signal = past[-fitted:].transpose(1, 0, 2).reshape(past.shape[1], -1).astype(float)
    drawn = [go_on(signal, seconds * PATCH, rng).reshape(-1, seconds, PATCH).swapaxes(0, 1) for _ in range(count)]
    earlier = past[rng.integers(len(past), size=(count, seconds))]
    return {AR: np.stack(drawn), EARLIER: earlier, PERSISTENCE: np.repeat(past[None, -1:], seconds, axis=1)}


def places_of(electrodes: Sequence[str], names: Sequence[str] | None) -> list[int]:
    """Return where electrodes of some names are among others; by default some from all over the head.

    Raises
    ------
    QuestionError
        If one is not among them, or none is named.
    """
    if names is None:
        shown = min(SHOWN, len(electrodes))
        return np.unique(np.linspace(0, len(electrodes) - 1, shown).round().astype(int)).tolist()
    if not names:
        raise QuestionError(f"{argument('electrodes')}: name the electrodes to draw, as O1,Cz")
    places = {name.upper(): place for place, name in enumerate(electrodes)}
    for name in names:
        if name.upper() not in places:
            raise QuestionError(
                f"{argument(electrodes=name)}: the forecast has none of that name{choose(name, electrodes)}"
            )
    return [places[name.upper()] for name in names]


def _require_range(at: float | None, seconds: int, count: int, seed: int) -> None:
    if at is not None and not math.isfinite(at):
        raise QuestionError(f"{argument(at=at)}: give the seconds from the start of the recording, as 60")
    if not 0 <= seed <= LAST_SEED:
        raise QuestionError(f"{argument(seed=seed)}: give a whole number from 0 to {LAST_SEED:,}")
    if not 1 <= seconds <= FARTHEST:
        raise QuestionError(f"{argument(seconds=seconds)}: give 1 to {FARTHEST} s")
    if not 1 <= count <= MOST:
        raise QuestionError(f"{argument(n=count)}: give 1 to {MOST:,} samples")


def _longest(card: Card, given: ModelInput) -> int:
    channels = len(given.channels)
    longest = longest_window(card.run.pretrain.max_patches, card.run.model.tokenizer.seconds, channels)
    if longest < 2:
        raise QuestionError(
            f"{given.name}: {channels} electrodes, and this model learned from windows of "
            f"{card.run.pretrain.max_patches} patches, less than two seconds of so many; choose some with "
            f"{argument(channels=['Fp1', 'Cz'])}"
        )
    return longest


def _past(given: ModelInput, at: float | None) -> tuple[np.ndarray, int]:
    """Patches before the moment (seconds, channels, 200), and the moment in samples."""
    last = given.stretches[-1]
    if at is not None and last.stop < round(at * RATE) - RATE:
        raise QuestionError(
            f"{argument(at=at)} s: the recording has nothing right before; it was interrupted or ends at "
            f"{last.stop / RATE:g} s: choose such a moment"
        )
    seconds = min(PAST, last.samples // RATE)
    if seconds < 1:
        raise QuestionError(f"{argument(at=at)} s: less than a second before it to go on from; choose a later moment")
    sample = given.sample(last.stop - seconds * RATE, seconds)
    return sample.patches.reshape(seconds, sample.channels, PATCH), last.stop


def _followed(whole: ModelInput, start: int, seconds: int) -> np.ndarray | None:
    """What followed, (seconds, channels, 200); None where it is not all there."""
    if holding(whole.stretches, start, start + seconds * RATE) is None:
        return None
    sample = whole.sample(start, seconds)
    return sample.patches.reshape(seconds, sample.channels, PATCH)


def _too_short(seconds: int) -> str:
    return f"not scored: the recording does not go on for {seconds} s without interruption"
