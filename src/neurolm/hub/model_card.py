"""The model card: a README.md that says what a checkpoint is, learned from, and can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from neurolm.checkpoint import Card
from neurolm.core.config import STAGES
from neurolm.tasks.task import Task

if TYPE_CHECKING:
    from neurolm.evaluation.results import Evaluation

FILE = "README.md"
UNKNOWN = "not recorded"
_HEADER = """\
---
library_name: neurolm
license: other
tags:
- eeg
- neurolm
---
"""
_LIMITS = """\
## Limits

For research only: this is no medical device, and none of its answers is a diagnosis. It knows the electrodes, the kind
of recordings and the questions that it was trained on; on others its probabilities are not calibrated.
"""
_METHOD = """\
## Method

A [neurolm](https://arxiv.org/abs/2409.00101) model: Jiang, Wang, Lu, Li, *NeuroLM: A Universal Multi-task Foundation
Model for Bridging the Gap between Language and EEG Signals*, ICLR 2025.
"""


def model_card(card: Card, *, evaluation: Evaluation | None = None, converted_from: Sequence[str] = ()) -> str:
    """Write the model card of a checkpoint, in Markdown.

    Parameters
    ----------
    card
        What the checkpoint says of itself.
    evaluation
        Its figures on held-out subjects, where it was evaluated.
    converted_from
        The authors' files, where the weights come from these.
    """
    parts = [_HEADER, _title(card, converted_from)]
    if card.tasks:
        parts.append(_use(card))
    parts += [_data(card, converted_from), _training(card, converted_from)]
    if evaluation is not None:
        parts.append(_figures(evaluation))
    parts += [_LIMITS, _METHOD]
    return "\n".join(parts)


def _title(card: Card, converted_from: Sequence[str]) -> str:
    if converted_from:
        files = " and ".join(f"`{name}`" for name in converted_from)
        return (
            f"# NeuroLM, converted from the official format\n\nConverted from {files} by neurolm {card.version}, "
            "tensor by tensor. Pretrained, not instruction-tuned: it answers no questions yet.\n"
        )
    made = {"pretrain": "pretrained, not instruction-tuned", "instruct": "instruction-tuned"}.get(
        card.stage, card.stage
    )
    return f"# NeuroLM, recipe {card.run.recipe}\n\nStage {card.stage} ({made}), by neurolm {card.version}.\n"


def _use(card: Card) -> str:
    question = card.tasks[0].question
    return (
        "## Use\n\n```python\nimport neurolm\n\n"
        'model = neurolm.load("the folder or the id of this repository")\n'
        f'answer = model.ask("recording.edf", "{question}")\n'
        "print(answer.answer, answer.probability, answer.notes)\n```\n\n"
        "| task | question | answers | window |\n|---|---|---|---|\n"
        + "".join(
            f"| {task.name} | {task.question} | {', '.join(task.labels)} | {task.seconds} s |\n" for task in card.tasks
        )
    )


def _data(card: Card, converted_from: Sequence[str]) -> str:
    low, high = card.band
    lines = [
        f"- Corpora: {', '.join(card.corpora) or UNKNOWN}",
        f"- Licences of the data: {'; '.join(card.licences) or UNKNOWN}",
        f"- People it was trained on: {len(card.subjects) or UNKNOWN}"
        + (" (their ids are in `config.json`; it must not be tested on them)" if card.subjects else ""),
        f"- Electrodes: {', '.join(card.electrodes) or UNKNOWN}",
        f"- Pass band: {low:g} to {high:g} Hz, at 200 Hz, in µV",
    ]
    lines += [f"- Split of {task.name}: {_split(task)}" for task in card.tasks]
    lines += [f"- Cite for {task.name}: {task.citation} ({task.licence})" for task in card.tasks]
    if converted_from:
        lines.append(
            "- The converted files do not record their data. The paper names, for the authors' own weights: TUEG, SEED "
            "series, EEGMMIDB, Raw EEG, Siena, Inria, Target-vs-Non-Target, Grasp-and-Lift, BCIC IV-1, Emobrain, "
            "Resting State, SPIS. Whether a recording of yours is among them cannot be told from here."
        )
    return "## Data\n\n" + "\n".join(lines) + "\n"


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


def _training(card: Card, converted_from: Sequence[str]) -> str:
    model = card.run.model
    neural, language = model.tokenizer, model.language.transformer
    lines = [
        f"- Encoder: {neural.encoder.layers} layers of width {neural.encoder.width}, {neural.attention} attention; "
        f"{neural.codes} codes of width {neural.code_width}"
        + (f"; normalised as if padded to {neural.padded_to} patches" if neural.padded_to else ""),
        f"- Language model: GPT-2 of {language.layers} layers, width {language.width}, "
        f"{model.language.text_tokens:,} text tokens",
        f"- Steps of this stage: {card.steps or UNKNOWN}",
    ]
    if converted_from:
        lines.append("- How it was trained is not recorded; the settings in `config.json` are those of the paper.")
    else:
        last = STAGES.index(card.stage)
        for name in STAGES[: last + 1]:
            stage = card.run.stage(name)
            amount = f"{stage.steps} steps" if stage.steps else f"{stage.epochs:g} epochs"
            lines.append(
                f"- {name}: {amount}, {stage.eeg_batch} EEG and {stage.text_batch} text samples a step, learning rate "
                f"{stage.learning_rate:g} to {stage.final_learning_rate:g}, seed {stage.seed}"
            )
        lines.append("- All settings: `config.json`")
    return f"## Recipe: {card.run.recipe}\n\n" + "\n".join(lines) + "\n"


def _figures(evaluation: Evaluation) -> str:
    rows = []
    for result in evaluation.results:
        scores, interval = result.scores, result.interval
        spread = "" if interval is None else f" ({interval.low:.3f} to {interval.high:.3f})"
        rows.append(
            f"| {result.task} | {result.subjects} | {scores.n} | {scores.balanced_accuracy:.3f}{spread} | "
            f"{_number(scores.auroc)} | {_number(scores.kappa)} | {scores.ece:.3f} | "
            f"{_number(result.baseline.balanced_accuracy if result.baseline else None)} | {result.chance:.3f} |"
        )
    return (
        f"## Figures on the {evaluation.split} subjects\n\n"
        "| task | people | windows | balanced accuracy (95 % interval over people) | AUROC | kappa | ECE | "
        "balanced accuracy of band power + logistic regression | of guessing |\n|---|---|---|---|---|---|---|---|---|\n"
        + "\n".join(rows)
        + "\n"
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
