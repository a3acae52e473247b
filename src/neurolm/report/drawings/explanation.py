"""An explanation as a picture: electrodes on the scalp, seconds on a timeline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neurolm.core.errors import WriteError
from neurolm.core.montage import template_positions
from neurolm.report.drawings.style import BLUE, GREY, RED, canvas, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from neurolm.ask.explanation import Explanation

NAMED = 6
"""Electrodes whose names stand on the map: those with the largest effects."""
HEIGHTS, MARGIN = (3.6, 2.2), 0.6
"""Inches: height of the electrodes' row and of the seconds' row, and what is around them."""
ABOVE = 0.002
"""Metres between an electrode's dot and its name."""
STEPS = (1, 1.5, 2, 3, 6, 10)
"""Steps of the time axis, times a power of ten: 15 s, 20 s, 30 s, a minute."""
LEAST_PLACED = 3
"""Electrodes with a known place that a map needs; with fewer, bars show them."""


def require_picture(path: Path) -> None:
    """Refuse a file that no picture can be drawn into, before the work.

    Raises
    ------
    WriteError
        If its suffix is no picture's, or its folder is missing.
    """
    from matplotlib.backend_bases import FigureCanvasBase

    if path.suffix[1:].lower() not in FigureCanvasBase.get_supported_filetypes():
        raise WriteError(f"{path}: {path.suffix or 'no suffix'} is no picture; choose another --out, ending in .png")
    if not path.parent.is_dir():
        raise WriteError(f"{path}: {path.parent} is no folder; make it, or choose another --out")


def save_picture(explanation: Explanation, path: Path | str) -> Path:
    """Draw an explanation into a file; its suffix says the format (png, pdf, svg).

    Returns
    -------
    Path
        The file.

    Raises
    ------
    WriteError
        If the file cannot be written, or its suffix is no picture's.
    """
    path = Path(path)
    require_picture(path)
    figure = draw(explanation)
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise WriteError(f"{path}: cannot be written ({error}); choose another --out, ending in .png") from error
    return path


@styled
def draw(explanation: Explanation) -> Figure:
    """Draw the scalp map and the ranking of electrodes above, the timeline of seconds below; what there is of them."""
    electrodes, seconds = bool(explanation.electrode_effects), bool(explanation.second_effects)
    rows = [height for height, there in zip(HEIGHTS, (electrodes, seconds), strict=True) if there]
    figure = canvas(sum(rows) + MARGIN, 9)
    grid = figure.add_gridspec(max(1, len(rows)), 2, height_ratios=rows or None, width_ratios=(1.2, 1))
    figure.suptitle(
        f"{explanation.question}  {explanation.option} (log-odds {explanation.log_odds:+.1f} {explanation.extent})\n"
        f"{Path(explanation.recording).name}",
        fontsize=10,
        ha="left",
        x=0.02,
    )
    if electrodes:
        _scalp(figure, figure.add_subplot(grid[0, 0]), explanation)
        _ranking(figure.add_subplot(grid[0, 1]), explanation)
    if seconds:
        _timeline(figure.add_subplot(grid[-1, :]), explanation)
    return figure


def _scalp(figure: Figure, axes: Axes, explanation: Explanation) -> None:
    import mne

    where = template_positions()
    placed = [i for i, name in enumerate(explanation.electrodes) if name in where]
    axes.set_title(f"Fall of the log-odds without each electrode:\nred spoke for {explanation.option}, blue against it")
    axes.grid(False)
    if len(placed) < LEAST_PLACED:
        axes.text(0.5, 0.5, "too few electrodes for a map", ha="center", color=GREY)
        axes.axis("off")
        return
    values = np.array([explanation.electrode_effects[i].mean for i in placed])
    names = [explanation.electrodes[i] for i in placed]
    info = mne.create_info(names, 200.0, "eeg")
    montage = mne.channels.make_dig_montage({name: where[name] for name in names}, coord_frame="head")
    info.set_montage(montage, verbose="error")
    limit = float(np.abs(values).max()) or 1.0
    largest = {names[i] for i in np.argsort(-np.abs(values))[:NAMED]}
    image, _ = mne.viz.plot_topomap(
        values, info, axes=axes, show=False, cmap="RdBu_r", vlim=(-limit, limit), contours=0, sphere=_sphere(where),
        extrapolate="local", border="mean",  # nothing is shown where no electrode was
        names=[name if name in largest else "" for name in names], sensors="k.",
    )  # fmt: skip
    for text in axes.texts:  # MNE writes them onto the dots
        text.set(va="bottom", fontsize=8, y=text.get_position()[1] + ABOVE)
    figure.colorbar(image, ax=axes, shrink=0.7).ax.set_title("nats", fontsize=8)


def _sphere(where: dict[str, tuple[float, float, float]]) -> tuple[float, ...]:
    """Centre and radius, in metres, of the sphere that fits the electrodes best, so that the outer ones lie on the
    head's outline (MNE's own is centred between the ears, below them)."""
    places = np.array(list(where.values()))
    (*centre, rest), *_ = np.linalg.lstsq(np.c_[2 * places, np.ones(len(places))], (places**2).sum(axis=1), rcond=None)
    return (*centre, float(np.sqrt(rest + np.square(centre).sum())))


def _ranking(axes: Axes, explanation: Explanation) -> None:
    effects = dict(zip(explanation.electrodes, explanation.electrode_effects, strict=True))
    shown = explanation.leading if len(effects) <= 20 else (*explanation.leading[:15], *explanation.leading[-5:])
    places = np.arange(len(shown))
    means = [effects[name].mean for name in shown]
    axes.barh(
        places, means, xerr=[effects[name].spread for name in shown], height=0.7,
        color=[RED if value > 0 else BLUE for value in means], error_kw={"linewidth": 0.6, "ecolor": GREY},
    )  # fmt: skip
    axes.set_yticks(places, shown, fontsize=7)
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.6)
    axes.set_xlabel("nats; lines: standard deviation over windows")


def _timeline(axes: Axes, explanation: Explanation) -> None:
    from matplotlib.ticker import MaxNLocator

    means = np.array([effect.mean for effect in explanation.second_effects])
    axes.bar(explanation.seconds, means, width=1.0, align="edge", color=np.where(means > 0, RED, BLUE).tolist())
    axes.axhline(0, color="black", linewidth=0.6)
    gaps = " (gaps: not looked at)" if max(np.diff(explanation.seconds), default=1.0) > 1.5 else ""
    axes.set_title(f"Fall without each second{gaps}")
    axes.set_xlabel("time from the start of the recording, min:s")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=STEPS))
    axes.xaxis.set_major_formatter(lambda second, _: f"{int(second) // 60}:{int(second) % 60:02}")
    axes.set_ylabel("nats")
    axes.set_xlim(min(explanation.seconds), max(explanation.seconds) + 1)
