"""neurolm explain recording.edf "Is this EEG segment of high workload?" --out picture.png"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from neurolm.ask import EXPLAINED
from neurolm.cli.ask import NEAREST, asked, open_model
from neurolm.cli.show import print_json
from neurolm.cli.values import Answering
from neurolm.core.amounts import duration
from neurolm.core.terminal import say
from neurolm.recording.options import ReadingOptions, Unseen

if TYPE_CHECKING:
    from neurolm.ask.explanation import Explanation


def explain(
    file: Path,
    question: str | None = None,
    *,
    model: Path | None = None,
    option: str | None = None,
    options: Sequence[str] | None = None,
    windows: int = EXPLAINED,
    start: float = 0.0,
    stop: float | None = None,
    reading: ReadingOptions = NEAREST,
    unseen: Unseen = "nearest",
    out: Path | None = None,
    json: bool = False,
    machine: Answering,
) -> None:
    """Say which electrodes and seconds carried an answer, and draw them.

    Parameters
    ----------
    option
        The answer to explain; by default the likeliest.
    windows
        Most windows to look at, spread evenly.
    start
        Seconds of the recording from which to look.
    stop
        Seconds up to which to look; by default all.
    unseen
        What to do with electrodes that the model never saw.
    out
        Picture to draw, such as picture.png.
    """
    if out is not None:
        from neurolm.report.drawings.explanation import require_picture, save_picture

        require_picture(out)
    opened = open_model(file, model, machine)
    found = opened.explain(
        file, asked(question, opened), option=option, options=options, windows=windows, start=start, stop=stop,
        reading=reading, unseen=unseen,
    )  # fmt: skip
    if out is not None:
        save_picture(found, out)
    print_json(found) if json else say(*lines(found))
    if out is not None and not json:
        say(out)


def lines(explanation: Explanation, *, most: int = 8) -> list[str]:
    """Write an explanation for a terminal: the electrodes and seconds with the largest effects, and the notes."""
    out = [
        explanation.question,
        f"{explanation.option}, log-odds {explanation.log_odds:+.2f} {explanation.extent}",
        explanation.recording,
    ]
    electrodes = list(zip(explanation.electrodes, explanation.electrode_effects, strict=False))
    moments = [
        (f"{duration(second)}", effect)
        for second, effect in zip(explanation.seconds, explanation.second_effects, strict=True)
    ]
    for what, effects in (("electrode", electrodes), ("second", moments)):
        if effects:
            spreads = " (± SD over windows)" if any(effect.windows > 1 for _, effect in effects) else ""
            out += [
                "",
                f"fall of the log-odds without each {what}, largest first: + spoke for {explanation.option}, − against "
                f"it{spreads}",
            ]
        for name, effect in sorted(effects, key=lambda pair: -abs(pair[1].mean))[:most]:
            spread = f" ± {effect.spread:.2f}" if effect.windows > 1 else ""
            out.append(f"  {name:>7}  {effect.mean:+.2f}{spread}")
    return [*out, *([""] if explanation.notes else []), *(f"note: {note}" for note in explanation.notes)]
