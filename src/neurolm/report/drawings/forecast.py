"""A forecast as fans: waveforms, spectra and band powers, with what followed"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from neurolm.core.physics import RATE
from neurolm.report.drawings.style import BLUE, GREY, canvas, styled
from neurolm.signals.bands import BANDS, HERTZ, NAMES, in_band, power_decibels, spectrum_decibels
from neurolm.signals.forecast import places_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from neurolm.signals.forecast import Forecast

BEFORE = 3
"""Seconds of the past that are drawn."""
UNIT = "dB re 1 µV²/Hz"
BAND = "alpha"
"""Whose power is drawn over time."""
FANS = ((5, 95, 0.2), (25, 75, 0.35))
"""Percentiles between which the samples lie, and how dark that is drawn."""


@styled
def fans(found: Forecast, electrodes: Sequence[str] | None = None) -> Figure:
    """Draw the samples of some electrodes as median, half and nine tenths of the samples, and what followed in black.

    Parameters
    ----------
    electrodes
        Names; by default some from all over the head.

    Raises
    ------
    QuestionError
        If the forecast has no such electrode.
    """
    chosen = places_of(found.electrodes, electrodes)
    figure = canvas(1.9 * len(chosen) + 1.2)
    axes = figure.subplots(len(chosen), 3, squeeze=False, width_ratios=(2, 1, 1))
    drawn = found.spectra(found.waveform)
    real = None if found.followed is None else found.spectra(found.followed)
    past = found.spectra(found.past[-BEFORE * RATE :])
    for row, place in zip(axes, chosen, strict=True):
        _waveform(row[0], found, place)
        _spectrum(row[1], drawn[:, :, place], None if real is None else real[:, place])
        _powers(row[2], found.at, past[:, place], drawn[:, :, place], None if real is None else real[:, place])
        row[0].set_ylabel(f"{found.electrodes[place]} (µV)")
    low, high = BANDS[BAND]
    titles = ("waveform", f"mean log spectrum\n({UNIT})", f"log power of {BAND}, {low}–{high} Hz\n({UNIT})")
    for column, title in enumerate(titles):
        axes[0, column].set_title(title)
    for column, label in enumerate(("seconds", "Hz", "seconds")):
        axes[-1, column].set_xlabel(label)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure


def _fan(axes: Axes, x: np.ndarray, samples: np.ndarray, label: str = "") -> None:
    for low, high, alpha in FANS:
        axes.fill_between(x, *np.percentile(samples, (low, high), axis=0), color=BLUE, alpha=alpha, linewidth=0)
    axes.plot(x, np.median(samples, axis=0), color=BLUE, linewidth=1.2, label=label)


def _waveform(axes: Axes, found: Forecast, place: int) -> None:
    before = found.past[-BEFORE * RATE :, place]
    axes.plot(found.at - np.arange(len(before), 0, -1) / RATE, before, color=GREY, linewidth=0.7, label="before")
    after = found.at + np.arange(found.waveform.shape[1]) / RATE
    _fan(axes, after, found.waveform[:, :, place], "samples: median, 50 %, 90 %")
    if found.followed is not None:
        axes.plot(after, found.followed[:, place], color="black", linewidth=0.7, label="what followed")
    axes.axvline(found.at, color=GREY, linestyle="--", linewidth=0.8)
    axes.set_xlim(found.at - len(before) / RATE, found.at + found.seconds)


def _spectrum(axes: Axes, drawn: np.ndarray, real: np.ndarray | None) -> None:
    """Of amplitudes (samples, seconds, 100) and (seconds, 100)."""
    hertz = in_band(HERTZ)
    _fan(axes, hertz, in_band(spectrum_decibels(drawn)).mean(axis=1))
    if real is not None:
        axes.plot(hertz, in_band(spectrum_decibels(real)).mean(axis=0), color="black", linewidth=0.9)
    axes.set_xlim(hertz[0], hertz[-1])


def _powers(axes: Axes, at: float, past: np.ndarray, drawn: np.ndarray, real: np.ndarray | None) -> None:
    """Of amplitudes, (seconds before, 100), (samples, seconds, 100) and (seconds, 100)."""
    before, after = at + np.arange(-len(past), 0) + 0.5, at + np.arange(drawn.shape[1]) + 0.5
    known, samples = (power_decibels(part)[..., NAMES.index(BAND)] for part in (past, drawn))
    axes.plot(before, known, color=GREY, marker=".", linewidth=0.9)
    _fan(axes, after, samples)
    if real is not None:
        axes.plot(after, power_decibels(real)[:, NAMES.index(BAND)], color="black", marker=".", linewidth=0.9)
    axes.axvline(at, color=GREY, linestyle="--", linewidth=0.8)
    axes.set_xlim(at - len(past), after[-1] + 0.5)
    axes.locator_params(axis="x", integer=True)
