"""What is written of a stretch: a sleep stage by its standard name, or question and answer

Programs for sleep know stages by their names alone (the standard texts of EDF+, which MNE's and YASA's examples use):
no probability can stand there. Everything else carries it, and says where it is none.
"""

from __future__ import annotations

from collections.abc import Sequence

from neurolm.ask.answer import UNDECIDED, Answer
from neurolm.core.amounts import likely
from neurolm.export.stretches import Stretch
from neurolm.tasks.stages import are_stages, stage

NOT_SCORED = "?"
"""The stage of EDF+'s standard texts where there is none."""
UNLIKE = "unlike the training data"
NO_DIAGNOSIS = "research software, no diagnosis"


def stages(answer: Answer) -> dict[str, str] | None:
    """Return the sleep stage (W, N1, N2, N3, R) that each option is; None where the answer is no sleep staging.

    That of a guess is none either: its stages must not pass for a hypnogram.
    """
    return stages_of(answer.options) if answer.trained else None


def stages_of(options: Sequence[str]) -> dict[str, str] | None:
    """Return the sleep stage that each of some options is; None where not all are different stages, with Wake."""
    return {option: str(stage(option)) for option in options} if are_stages(options) else None


def stage_of(stretch: Stretch, known: dict[str, str]) -> str:
    """Return the stage of a stretch; ``?`` where it is undecided."""
    return NOT_SCORED if stretch.answer == UNDECIDED else known[stretch.answer]


def text_of(answer: Answer, stretch: Stretch) -> str:
    """Write a stretch as an annotation has it: the question, the option, and how probable it is."""
    if (known := stages(answer)) is not None:
        return f"Sleep stage {stage_of(stretch, known)}"
    size = _size(answer, stretch.probability)
    said = f"{UNDECIDED} (likeliest {stretch.likeliest}, {size})" if stretch.answer == UNDECIDED else ""
    marks = f", {UNLIKE}" if answer.unlike else ""
    return f"{_asked(answer.question)} {said or f'{stretch.answer} ({size})'}{marks}"


def _size(answer: Answer, probability: float) -> str:
    """How probable it is; of a guess nothing that looks like it."""
    if not answer.trained:
        return "a guess"
    return f"p={likely(probability)}" if answer.calibrated else f"likelihood {likely(probability)}, not calibrated"


def _asked(question: str) -> str:
    return question if question.endswith("?") else f"{question}:"
