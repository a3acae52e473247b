"""An explanation as a picture: electrodes on the scalp, seconds on a timeline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neurolm.errors import WriteError
from neurolm.montage import positions
from neurolm.report.figures import BLUE, GREY, RED, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from neurolm.explanation import Explanation

NAMED = 6
"""Electrodes whose names stand on the map: those with the largest effects."""
LEAST_PLACED = 3
"""Electrodes with a known place that a map needs; with fewer, bars show them."""


def save_picture(explanation: Explanation, path: Path) -> Path:
    """Draw an explanation into a file; its suffix says the format (png, pdf, svg).

    Raises
    ------
    WriteError
        If the file cannot be written, or its suffix is no picture's.
    """
    figure = draw(explanation)
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise WriteError(f"{path}: cannot be written ({error}); choose another --out, ending in .png") from error
    return path


@styled
def draw(explanation: Explanation) -> Figure:
    """Scalp map and ranking of the electrodes above, timeline of the seconds below."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.4))
    grid = figure.add_gridspec(2, 2, height_ratios=(1.5, 1), width_ratios=(1.2, 1))
    figure.suptitle(
        f"{explanation.question}  {explanation.option} (log-odds {explanation.log_odds:+.1f} over "
        f"{len(explanation.starts)} windows)\n{Path(explanation.recording).name}",
        fontsize=10,
        ha="left",
        x=0.02,
    )
    if explanation.electrode_effects:
        _scalp(figure, figure.add_subplot(grid[0, 0]), explanation)
        _ranking(figure.add_subplot(grid[0, 1]), explanation)
    if explanation.second_effects:
        _timeline(figure.add_subplot(grid[1, :]), explanation)
    return figure


def _scalp(figure: Figure, axes: Axes, explanation: Explanation) -> None:
    import mne

    where = positions()
    placed = [i for i, name in enumerate(explanation.electrodes) if name in where]
    axes.set_title(f"Fall of the log-odds of {explanation.option}\nwithout each electrode")
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
        values, info, axes=axes, show=False, cmap="RdBu_r", vlim=(-limit, limit), contours=0, extrapolate="head",
        names=[name if name in largest else "" for name in names], sensors="k.",
    )  # fmt: skip
    for text in axes.texts:  # MNE writes them onto the dots
        text.set(va="bottom", fontsize=8)
    figure.colorbar(image, ax=axes, shrink=0.7).ax.set_title("nats", fontsize=8)


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
    means = np.array([effect.mean for effect in explanation.second_effects])
    axes.bar(explanation.seconds, means, width=1.0, align="edge", color=np.where(means > 0, RED, BLUE).tolist())
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_title("Fall without each second (white: not looked at)")
    axes.set_xlabel("s from the start of the recording")
    axes.set_ylabel("nats")
    axes.set_xlim(min(explanation.seconds), max(explanation.seconds) + 1)
