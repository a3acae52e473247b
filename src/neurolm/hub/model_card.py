"""The model card: a README.md that says what a checkpoint is, learned from, and can do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurolm.checkpoint import Card
from neurolm.core.config import STAGES
from neurolm.core.table import Cell, Column, Table, columns, escape_markdown
from neurolm.core.terminal import printable
from neurolm.model.language import NAMES
from neurolm.tasks.task import Task

if TYPE_CHECKING:
    from neurolm.evaluation.results import Evaluation

FILE = "README.md"
TEMPLATE = Path(__file__).with_name("model_card.md.jinja")
UNKNOWN = "not recorded"
MADE = {"pretrain": "pretrained, not instruction-tuned", "instruct": "instruction-tuned"}


def model_card(
    card: Card,
    *,
    evaluation: Evaluation | None = None,
    reading: Sequence[str] = (),
    converted_from: Sequence[str] = (),
) -> str:
    """Write the model card of a checkpoint, in Markdown; whatever the checkpoint holds, it is shown as text.

    Parameters
    ----------
    card
        What the checkpoint says of itself.
    evaluation
        Its figures on held-out subjects, where it was evaluated.
    reading
        How its answers are read: evidence and calibration of its tasks, in words.
    converted_from
        The authors' files, where the weights come from these.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    def as_text(value: Any) -> str:
        return value if isinstance(value, Markup) else escape_markdown(str(value))

    environment = Environment(
        finalize=as_text, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {
        "code": lambda text: Markup(f"`{text}`") if text.isprintable() and "`" not in text else text,
        "python": lambda text: Markup(json.dumps(text, ensure_ascii=printable(text) != text)),
        "split": _split,
        "table": lambda table: Markup(table.markdown()),
    }
    neural, language = card.run.model.tokenizer, card.run.model.language
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        UNKNOWN=UNKNOWN,
        card=card,
        converted_from=converted_from,
        made=MADE.get(card.stage, card.stage),
        tasks=_tasks(card.tasks),
        neural=neural,
        encoder=neural.encoder,
        language=language.transformer,
        family=NAMES[language.family],
        text_tokens=language.text_tokens,
        stages={name: card.run.stage(name) for name in STAGES[: STAGES.index(card.stage) + 1]},
        evaluation=evaluation,
        reading=reading,
        figures=None if evaluation is None else _figures(evaluation),
    )


def _tasks(tasks: Sequence[Task]) -> Table:
    rows = [(task.name, task.question, ", ".join(task.labels), f"{task.seconds} s") for task in tasks]
    return Table(columns=columns("task", "question", "answers", "window"), groups=[rows])


def _split(task: Task) -> str:
    if task.split_fold is not None:
        return "fold {} of {} of the subjects, in order, to test, the next to validate".format(*task.split_fold)
    if task.split_rule is not None:
        return task.split_rule
    if task.split_counts is not None:
        return "subjects in order, {} to train, {} to validate, {} to test".format(*task.split_counts)
    if task.split_fractions is not None:
        return "subjects in order, {:.0%} to train, {:.0%} to validate, {:.0%} to test".format(*task.split_fractions)
    return UNKNOWN


def _figures(evaluation: Evaluation) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for result in evaluation.results:
        scores, interval = result.scores, result.interval
        power = None if result.baseline is None else result.baseline.balanced_accuracy
        spread = "" if interval is None else f" ({interval.low:.3f} to {interval.high:.3f})"
        rows.append(
            (
                result.task, result.subjects, scores.n, f"{scores.balanced_accuracy:.3f}{spread}", scores.auroc,
                scores.kappa, scores.ece, power, result.chance,
            )
        )  # fmt: skip
    accuracy = Column(head="balanced accuracy (95 % interval over people)", form="")
    fitted = "balanced accuracy of band power + logistic regression"
    scored = columns("AUROC", "kappa", "ECE", fitted, "of guessing", form=".3f")
    return Table(columns=(*columns("task"), *columns("people", "windows", form="d"), accuracy, *scored), groups=[rows])
