"""The models of a service, and what they can be asked"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from neurolm.ask.question import NOT_CALIBRATED, SIMULATED
from neurolm.server.kinds import Kind, kind_of
from neurolm.server.service import Service, service

if TYPE_CHECKING:
    from neurolm.api.model import Model
    from neurolm.tasks.task import Task

router = APIRouter()
RISKS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
"""Shares of wrong answers that are offered, where a task's validation answers can promise them."""


class Asked(BaseModel):
    """A question that a model was tuned on."""

    name: str
    question: str
    description: str
    options: list[str]
    seconds: int
    """Length of a window."""
    stride: float
    kind: Kind
    risks: list[float]
    """Shares of wrong answers that answers can keep to; none where too few people validated."""


class Known(BaseModel):
    """A model of the service."""

    name: str
    default: bool
    """Whether it is asked where a request names none."""
    simulated: bool
    """Whether it knows simulated EEG only."""
    calibrated: bool
    electrodes: list[str]
    recipe: str
    notes: list[str]
    tasks: list[Asked]


@router.get("/models")
def models(of: Annotated[Service, Depends(service)]) -> list[Known]:
    """List the models, with the questions that each was tuned on."""
    return [_known(name, model, first=number == 0) for number, (name, model) in enumerate(of.models.items())]


def _known(name: str, model: Model, *, first: bool) -> Known:
    card = model.card
    tasks = [_asked(task, model) for task in card.tasks]
    simulated = card.corpora == ("simulated",)
    notes = ([SIMULATED] if simulated else []) + ([] if model.calibration else [NOT_CALIBRATED])
    return Known(
        name=name, default=first, simulated=simulated, calibrated=model.calibration is not None,
        electrodes=list(card.electrodes), recipe=card.run.recipe, notes=notes, tasks=tasks,
    )  # fmt: skip


def _asked(task: Task, model: Model) -> Asked:
    fitted = None if model.calibration is None else model.calibration.of(task.name)
    points = () if fitted is None else tuple(risk for risk in RISKS if fitted.pooled.threshold(risk) is not None)
    return Asked(
        name=task.name, question=task.question, description=task.description, options=list(task.labels),
        seconds=task.seconds, stride=task.stride, kind=kind_of(task), risks=list(points),
    )  # fmt: skip
