"""The answer to one question in detail: over time, how much was what, and what carried it"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurolm.ask.answer import Answer, WindowAnswer
from neurolm.ask.explanation import Explanation
from neurolm.ask.rows import best_option
from neurolm.ask.verdict import verdict
from neurolm.core.amounts import duration, in_words, likely, many
from neurolm.core.table import Cell, Column, Table, columns
from neurolm.report.recording.blocks import Block, Grid, Paragraph, Picture, Points, Section
from neurolm.report.recording.gather import Gathered, likeliest
from neurolm.report.recording.scalp import spelt
from neurolm.report.recording.timelines import borders, carried, over_time
from neurolm.tasks.stages import are_stages

EXTREMES = 5
"""Windows that are listed as the surest, and as the least sure."""
MOST_OPTIONS = 40
"""Options that a table has."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """How much of a recording's windows have an option as their likeliest."""

    option: str
    windows: int
    decided: int
    seconds: float
    """Of time, each moment counted once."""
    share: float
    """Of the time in windows."""
    mean: float
    """Probability of the option, mean over all windows."""


def shares(answer: Answer) -> list[Share]:
    """Count windows and time of each option, in their order."""
    count = len(answer.options)
    windows, decided, seconds = np.zeros(count, int), np.zeros(count, int), np.zeros(count)
    for run in answer.runs:
        edges = borders(run)
        for window, start, stop in zip(run, edges[:-1], edges[1:], strict=True):
            best = best_option(window.probabilities)
            windows[best] += 1
            decided[best] += window.decided
            seconds[best] += stop - start
    mean = np.mean([window.probabilities for window in answer.timeline], axis=0)
    return [
        Share(option=option, windows=int(windows[i]), decided=int(decided[i]), seconds=float(seconds[i]),
              share=float(seconds[i] / seconds.sum()), mean=float(mean[i]))
        for i, option in enumerate(answer.options)
    ]  # fmt: skip


def shares_in_words(answer: Answer) -> str:
    """How much of the time was what, for those who cannot see the picture."""
    found = sorted(shares(answer), key=lambda one: -one.share)
    return ", ".join(f"{one.option} {one.share:.0%} of the time" for one in found if one.windows)


def section(answer: Answer, explanation: Explanation | None, found: Gathered) -> Section:
    """All about the answer to a question."""
    seconds = max(found.inspection.seconds or 0.0, answer.timeline[-1].stop)
    blocks: list[Block] = [Paragraph(text=verdict(answer)), Grid(table=_shares(answer), caption=_counted(answer))]
    blocks.append(
        Picture(
            over_time(answer, seconds),
            alt=f"{answer.question} over time: {shares_in_words(answer)}",
            caption=_over_time(answer),
        )
    )
    if answer.trained:
        blocks.append(Grid(table=_extremes(answer), caption="The surest windows, and those that say least."))
    if answer.contributions is not None and answer.trained:
        blocks.append(
            Paragraph(
                text=f"Over the recording, {answer.contributions.in_words}. One nat more multiplies the odds by 2.7; "
                "together they are the logarithm of how many times likelier the one is than the other."
            )
        )
    if explanation is not None and (explanation.electrode_effects or explanation.second_effects):
        blocks.append(Picture(carried(explanation), alt=_carried(explanation), caption=_how_carried(explanation)))
    if own := tuple(note for note in answer.notes if note not in found.notes):
        blocks.append(Points(title="Notes", lines=own))
    return Section(title=answer.question, blocks=tuple(blocks))


def _shares(answer: Answer) -> Table:
    ranked = shares(answer)
    if len(ranked) > MOST_OPTIONS:
        ranked = sorted(ranked, key=lambda one: -one.share)[:MOST_OPTIONS]
    whole = dict(zip(answer.options, answer.probabilities, strict=True))
    said = answer.trained and answer.calibrated
    decided = answer.risk is not None and answer.trained
    rows: list[tuple[Cell, ...]] = [
        (
            one.option, likely(whole[one.option]) if said else "–", one.windows, *[one.decided] * decided,
            in_words(one.seconds), f"{one.share:.0%}", likely(one.mean),
        )
        for one in ranked
    ]  # fmt: skip
    return Table(
        columns=(
            Column(head="answer"), Column(head="of the recording", form=""), Column(head="windows", form=",d"),
            *columns(*["decided"] * decided, form=",d"), *columns("time", "share", "mean of windows", form=""),
        ),
        groups=[rows], lead=likeliest(answer),
    )  # fmt: skip


def _counted(answer: Answer) -> str:
    first = answer.timeline[0]
    lengths = f"{many(len(answer.timeline), 'window')} of {first.stop - first.start:g} s"
    risk = "" if answer.risk is None else f" Decided: likely enough for a risk of {answer.risk:g}."
    return (
        f"Of the recording: the probability of the answer for all of it. {lengths}; time and share: where the option "
        f"is the likeliest, each moment counted once.{risk} Mean of windows: of the option's probability."
    )


def _over_time(answer: Answer) -> str:
    hatched = " Hatched: undecided at the stated risk." if answer.risk is not None and answer.trained else ""
    gaps = " White: nothing was recorded, or it is called bad." if len(answer.runs) > 1 else ""
    if are_stages(answer.options):
        return f"A hypnogram shows one stage at a time, the hypnodensity how sure the model is of it.{hatched}{gaps}"
    return f"The probability of an answer at each time.{hatched}{gaps}"


def _extremes(answer: Answer) -> Table:
    ranked = sorted(answer.timeline, key=lambda window: -max(window.probabilities))
    most = min(EXTREMES, len(ranked) // 2)
    groups = [ranked[:most], ranked[len(ranked) - most :][::-1]] if most else [ranked]

    def row(kind: str, window: WindowAnswer) -> tuple[str, ...]:
        best = best_option(window.probabilities)
        second = max((p for i, p in enumerate(window.probabilities) if i != best), default=0.0)
        next_one = answer.options[window.probabilities.index(second)] if len(answer.options) > 1 else "–"
        if next_one == answer.options[best]:  # equally likely
            next_one = next(o for o in answer.options if o != answer.options[best])
        return (
            kind, f"{duration(window.start)} – {duration(window.stop)}", answer.options[best],
            likely(window.probabilities[best]), f"{next_one} {likely(second)}",
        )  # fmt: skip

    names = ("surest", "least sure") if most else ("",)
    rows = [[row("" if i else name, one) for i, one in enumerate(group)] for name, group in
            zip(names, groups, strict=True)]  # fmt: skip
    return Table(
        columns=(*columns("windows", "from – to"), Column(head="likeliest"), Column(head="probability", form=""),
                 Column(head="next likeliest")),
        groups=rows,
    )  # fmt: skip


def _carried(explanation: Explanation) -> str:
    effects = dict(zip(explanation.electrodes, explanation.electrode_effects, strict=False))
    ranked = sorted(effects, key=lambda name: -abs(effects[name].mean))[:6]
    said = ", ".join(f"{spelt(name)} {effects[name].mean:+.2f}" for name in ranked)
    return f"What carried {explanation.option}, in nats: {said or 'seconds only'}"


def _how_carried(explanation: Explanation) -> str:
    return (
        f"What carried {explanation.option} (log-odds {explanation.log_odds:+.2f} {explanation.extent}): by how much "
        "its log-odds fall when the model does not get an electrode, or a second. Red spoke for it, blue against it. "
        "What two electrodes both show needs neither of them, so effects do not add up to the answer."
    )
