"""neurolm forecast recording.edf --at 60 --seconds 5 -n 20 --plot fan.png"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from neurolm.cli.ask import NEAREST
from neurolm.cli.show import print_json, print_table
from neurolm.cli.signals import open_stage, require_outputs
from neurolm.cli.values import Machine
from neurolm.core.amounts import many
from neurolm.core.terminal import say
from neurolm.recording.options import ReadingOptions, Unseen

if TYPE_CHECKING:
    from neurolm.core.table import Table
    from neurolm.signals.forecast import Forecast
    from neurolm.signals.scores import ForecastScore


BEYOND = "model – past seconds"
ONE_MOMENT = (
    f"{BEYOND}: below 0, the model is nearer to what followed. One moment proves nothing: at another, differences as "
    "small as these turn round"
)


def forecast(
    file: Path,
    *,
    at: float | None = None,
    seconds: int = 5,
    n: int = 20,
    seed: int = 0,
    model: Path | None = None,
    reading: ReadingOptions = NEAREST,
    unseen: Unseen = "nearest",
    electrodes: Sequence[str] | None = None,
    out: Path | None = None,
    plot: Path | None = None,
    json: bool = False,
    machine: Machine,
) -> None:
    """Sample how a recording may go on after a moment, and score that by how it did.

    Needs a model of a causal recipe, pretrained at least. Nothing after the moment is known to the forecast: the
    recording is cut off there before it is filtered. Scored beside an AR model, seconds of the past drawn in any order,
    and the last second again and again.

    Parameters
    ----------
    at
        Seconds from the start of the recording; by default its end, with nothing to score.
    seconds
        How far.
    n
        Number of samples.
    seed
        Another one, from 0 on, draws other samples.
    unseen
        What to do with electrodes that the model never saw.
    electrodes
        Those to draw, as O1,Cz; by default some from all over the head.
    out
        Table of the log power of bands, ending in .parquet, .csv, .tsv or .jsonl: quantiles, and what followed.
    plot
        PNG of the samples as fans, against what followed.
    """
    require_outputs(out, plot)
    opened = open_stage(file, model, machine, language=True)
    assert opened.language is not None, "it was asked for"

    from neurolm.signals.forecast import forecast as draw
    from neurolm.signals.forecast import write_bands

    found = draw(
        opened.language, opened.card, file, at=at, seconds=seconds, count=n, seed=seed, reading=reading, unseen=unseen,
        drawn=electrodes,
    )  # fmt: skip
    written = [] if out is None else [f"{write_bands(found, out)}: a row for each electrode, second and band"]
    if plot is not None:
        from neurolm.report.drawings.forecast import fans
        from neurolm.report.drawings.style import write_png

        written.append(f"{write_png(fans(found, electrodes), plot)}: the samples as fans")
    if json:
        print_json(as_values(found))
        return
    say(
        f"{found.recording} from {found.at:g} s on: {many(n, 'sample')} of {found.seconds} s, "
        f"{many(len(found.electrodes), 'electrode')}"
    )
    if found.scores:
        print_table(table(found))
    notes = [ONE_MOMENT, *found.notes] if found.scores else found.notes
    say(*(f"note: {note}" for note in notes), *written)


def as_values(found: Forecast) -> dict[str, Any]:
    """What is printed as JSON: quantiles of band powers, not the samples themselves."""
    names = ("recording", "at", "seconds", "electrodes", "codebook", "scores", "notes")
    return {name: getattr(found, name) for name in names} | {"bands": tuple(found.bands())}


def table(found: Forecast) -> Table:
    """A row for each method, what the model is beyond the simple one, then a row for each method and second."""
    from neurolm.core.table import Cell, Column, Table
    from neurolm.signals.forecast import AR, EARLIER, MODEL

    def figures(one: ForecastScore) -> tuple[float, float, float]:
        return one.spectrum_db, one.power_crps, one.waveform_crps

    def called(method: str) -> str:
        return "autoregressive (AR)" if method == AR else method

    heads = (
        Column(head="forecast by"),
        Column(head="second", form="d"),
        Column(head="log spectrum, RMSE in dB", form=".2f", narrow="spectrum,\nRMSE in dB"),
        Column(head="band power, CRPS in dB", form=".2f", narrow="bands,\nCRPS in dB"),
        Column(head="waveform, CRPS in µV", form=".2f", narrow="waveform,\nCRPS in µV"),
        Column(head=f"perplexity of {found.codebook} codes", form=".0f", narrow=f"perplexity\n(of {found.codebook})"),
    )
    methods = {
        name: [one for one in found.scores if one.method == name]
        for name in dict.fromkeys(one.method for one in found.scores)
    }
    mean = {name: [fmean(each) for each in zip(*map(figures, rows), strict=True)] for name, rows in methods.items()}
    means: list[tuple[Cell, ...]] = [(called(name), "mean", *values, None) for name, values in mean.items()]
    beyond = [f"{one - other:+.2f}" for one, other in zip(mean[MODEL], mean[EARLIER], strict=True)]
    seconds: list[list[tuple[Cell, ...]]] = [
        [(called(name), one.second, *figures(one), one.code_perplexity) for one in rows]
        for name, rows in methods.items()
    ]
    return Table(columns=heads, groups=[means, [(BEYOND, "mean", *beyond, None)], *seconds])
