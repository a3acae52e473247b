"""What a report says of a recording, found out once for all that show it"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from neurolm.ask import EXPLAINED
from neurolm.ask.answer import Answer
from neurolm.ask.explanation import Explanation, explain
from neurolm.ask.recording import read_recording
from neurolm.core.errors import RecordingError
from neurolm.core.names import readable
from neurolm.core.terminal import printable
from neurolm.evaluation.results import Evaluation
from neurolm.hub.publish import digest, find_evaluation, read_with
from neurolm.recording.inspect import Inspection, inspect
from neurolm.recording.options import ReadingOptions, Unseen
from neurolm.recording.recording import Annotation
from neurolm.report.recording.rhythm import Rhythm, find_rhythm
from neurolm.report.recording.spectra import Spectra, measure

if TYPE_CHECKING:
    from neurolm.api.model import Model
    from neurolm.checkpoint import Card

DIGITS = 12
"""Of the digest of the model's files that are shown: as many as tell any two apart."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the model is."""

    name: str
    """Of its run's folder."""
    card: Card
    digest: str
    """Beginning of the digest of its files; empty where it has none."""
    evaluation: Evaluation | None
    """Its figures on people whom it never saw, where it was evaluated."""
    read_with: tuple[str, ...]
    """How its answers are read: evidence and calibration, a line for each task."""
    calibrated: tuple[str, ...]
    """Names of the tasks whose answers are calibrated, and on whom."""
    precision: str
    device: str


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """All that a report says."""

    name: str
    """Of the recording, printable; nothing else of who it is of is kept."""
    inspection: Inspection
    spectra: Spectra
    rhythm: Rhythm | None
    answers: tuple[Answer, ...]
    explanations: tuple[Explanation | None, ...]
    """One for each answer; None for guesses."""
    notes: tuple[str, ...]
    """What was done to make the recording fit."""
    annotations: tuple[Annotation, ...] | None
    """None where they are not to be shown."""
    bad_seconds: float
    """What annotations call bad."""
    gap_seconds: float
    """Where nothing was recorded."""
    model: Known
    reading: ReadingOptions
    unseen: Unseen
    made: datetime
    command: str
    """That makes the report again; empty where it is not known."""


def gather(
    model: Model,
    source: str | Path,
    *,
    questions: Sequence[str] | None,
    reading: ReadingOptions,
    unseen: Unseen,
    risk: float | None,
    annotations: bool = True,
    windows: int = EXPLAINED,
    name: str | None = None,
    command: str = "",
) -> Gathered:
    """Find out all that a report says; parameters and errors as for `recording_report`."""
    path = Path(source).expanduser()
    reading = replace(reading, unknown=reading.unknown or "nearest")
    recorded = read_recording(path, model.card, reading=reading, unseen=unseen)
    shown = printable(readable(name or path.name), line=True)
    answers = model.ask_all(recorded, questions, reading=reading, unseen=unseen, risk=risk)
    explanations = tuple(
        explain(
            model.module, recorded, model.asked(answer.question), option=likeliest(answer), most=windows, start=0.0,
            stop=None, device=model.device,
        ) if answer.trained else None
        for answer in answers
    )  # fmt: skip
    found = inspect(path, reading=reading)
    if found.recording is None or not found.usable:
        raise RecordingError(f"{path}: {'; '.join(found.problems) or 'changed while it was read'}")
    recording = found.recording
    there = sum(stretch.samples for stretch in recording.stretches)
    spectra = measure(recording, mains=found.mains)
    return Gathered(
        name=shown,
        inspection=found,
        spectra=spectra,
        rhythm=find_rhythm(spectra),
        answers=tuple(replace(answer, recording=shown, notes=_named(answer.notes, path, shown)) for answer in answers),
        explanations=explanations,
        notes=_named(recorded.notes, path, shown),
        annotations=recording.annotations if annotations else None,
        bad_seconds=sum(last - first for first, last in recording.bad) / recording.rate,
        gap_seconds=(recording.samples - there) / recording.rate,
        model=_known(model),
        reading=reading,
        unseen=unseen,
        made=datetime.now(UTC),
        command=command,
    )


def _named(notes: Sequence[str], path: Path, name: str) -> tuple[str, ...]:
    """Notes in which a recording is called by its name, without the folders that it lies in."""
    return tuple(note.replace(str(path), name) for note in notes)


def likeliest(answer: Answer) -> str:
    """Return the option with the highest probability, whether decided or not."""
    return answer.options[answer.probabilities.index(max(answer.probabilities))]


def _known(model: Model) -> Known:
    folder, calibration = model.folder, model.calibration
    name = "model"
    if folder is not None:
        whole = folder.absolute()
        name = printable(readable(whole.parent.name if whole.name == "instruct" else whole.name), line=True)
    return Known(
        name=name,
        card=model.card,
        digest="" if folder is None else digest(folder)[:DIGITS],
        evaluation=find_evaluation(folder, model.card),
        read_with=() if folder is None else read_with(folder),
        calibrated=() if calibration is None else tuple(
            f"{task.task} on {task.subjects} people" for task in calibration.tasks
        ),
        precision=model.precision,
        device=str(model.device),
    )  # fmt: skip
