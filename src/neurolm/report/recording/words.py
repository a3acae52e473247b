"""What a report says of the model, and how it is to be read"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from dataclasses import fields
from importlib.metadata import version

import neurolm
from neurolm.ask.calibration import LEVEL
from neurolm.core.amounts import many
from neurolm.recording.options import BELIEVED
from neurolm.report.recording.blocks import Block, Facts, Paragraph, Points
from neurolm.report.recording.gather import Gathered
from neurolm.report.recording.scalp import spelt

NO_DEVICE = (
    "Research software, no medical device: nothing here is a diagnosis, and nothing here replaces looking at the EEG."
)
_LIBRARIES = ("torch", "mne", "numpy", "scipy")


def listed(names: Sequence[str], most: int) -> str:
    """Write names with commas; of many the first, and how many more there are."""
    shown = ", ".join(map(spelt, names[:most]))
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def hertz(band: tuple[float, float]) -> str:
    """Write a band."""
    return f"{band[0]:g}–{band[1]:g} Hz"


def task_of(question: str, found: Gathered) -> str:
    """Return the name of the task that asks a question."""
    return next((task.name for task in found.model.card.tasks if task.question == question), question)


def model_in_short(found: Gathered) -> str:
    """What the model is, in two lines."""
    card, known = found.model.card, found.model
    corpora = ", ".join(card.corpora) or "what is not recorded"
    people = f", {many(len(card.subjects), 'person')}" if card.subjects else ""
    calibrated = f"calibrated: {'; '.join(known.calibrated)}" if known.calibrated else "not calibrated"
    return (
        f"{known.name}, recipe {card.run.recipe}, trained on {corpora}{people}, "
        f"{many(len(card.electrodes), 'electrode')}, {hertz(card.band)}; {calibrated}"
    )


def accuracy(found: Gathered) -> Iterator[tuple[str, str]]:
    """How often the model is right about people whom it never saw, where it was evaluated."""
    if found.model.evaluation is None:
        yield "accuracy", "not known: the model was not evaluated, or its evaluation does not lie beside it"
        return
    asked = {task_of(answer.question, found) for answer in found.answers}
    said = []
    for result in found.model.evaluation.results:
        if result.task in asked:
            low_high = result.interval
            interval = "" if low_high is None else f" ({low_high.low:.2f} to {low_high.high:.2f})"
            said.append(
                f"{result.task} {result.scores.balanced_accuracy:.2f}{interval}, guessing {result.chance:.2f}, "
                f"{many(result.subjects, 'person')}"
            )
    if said:
        yield "accuracy", f"balanced, on {found.model.evaluation.split} people (95 % interval): {'; '.join(said)}"


def reading(found: Gathered) -> tuple[Block, ...]:
    """What the numbers mean, in a few sentences each."""
    risk = next((answer.risk for answer in found.answers if answer.risk is not None), None)
    chosen = "No risk was chosen here, so everything is answered." if risk is None else f"Here the risk is {risk:g}."
    lines = (
        "Probability: how often such an answer is right, for people, equipment and questions like those that the model "
        "was calibrated on. Exactly one of the permitted answers is taken to be true; asked about something that is "
        "none of them, the model still divides the probability among them.",
        f"Interval: where the probability would lie, {LEVEL:.0%} of the times, for other EEG of the same recording. It "
        "is wide where the recording changes. It does not say how wrong the model may be about this person.",
        "Undecided: at the risk that was chosen, the share of wrong answers one accepts, the probability is too low "
        f"for an answer. {chosen}",
        "Unlike the training data: amplitude or band powers lie outside those of the people whom the model learned "
        "from. Expect worse answers, and probabilities that are too sure.",
        "Simulated: a model that knows simulated EEG only can say nothing of a person's EEG, however sure it is.",
        "Guess: an answer to a question that the model was not tuned on; no probability stands behind it.",
        "For the whole recording, the answers of its windows are pooled: their mean log-odds, times the number of "
        "independent windows that they count as. Where states change, read the timeline and not the one answer.",
    )
    return (Points(lines=lines), Paragraph(text=NO_DEVICE))


def model(found: Gathered) -> tuple[Block, ...]:
    """The model in detail, how the recording was read, and the command that makes the report again."""
    known, card = found.model, found.model.card
    pairs = [
        ("model", model_in_short(found)),
        *accuracy(found),
        *(("answers are read with", line) for line in known.read_with),
        ("files of the model", f"digest {known.digest}" if known.digest else "not known"),
        ("made with", f"neurolm {card.version}; licences of its data: {', '.join(card.licences) or 'not recorded'}"),
        (
            "asked with",
            f"neurolm {neurolm.__version__} on {found.made:%Y-%m-%d}, {known.precision} on {known.device}, "
            f"{card.filters} filters",
        ),
        ("versions", ", ".join([f"Python {platform.python_version()}", *(f"{n} {version(n)}" for n in _LIBRARIES)])),
        ("reading", _options(found)),
    ]
    if found.command:
        pairs.append(("this report again", found.command))
    return (Facts(pairs=tuple(pairs)),)


def _options(found: Gathered) -> str:
    own = [
        f"{one.name.replace('_', ' ')} {_shown(getattr(found.reading, one.name))}"
        for one in fields(found.reading)
        if getattr(found.reading, one.name) != getattr(BELIEVED, one.name)
    ]
    return "; ".join([*own, f"electrodes that the model never saw: {found.unseen}"])


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} is {electrode}" for name, electrode in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
