"""What runs there are and how far each is, from their folders alone.

Damaged and half-done runs are listed, too.

No torch and no store: a folder with hundreds of runs is listed at once.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from neurolm.core.config import STAGES, flat
from neurolm.core.errors import ConfigError
from neurolm.core.small_files import LARGE, parse_json, read_small
from neurolm.train.figures.history import LOG, SPEED, TRAINING, VALIDATION, WARNING, read_rows

RUN, EVALUATION, COMPLETE = "run.json", "evaluation.json", "config.json"
"""Files of a run's folder; the last, of a stage's folder whose checkpoint is complete."""
NO_RUNS_WITHIN = frozenset({*STAGES, "store", "corpus"})
"""Folders of a run that are not searched for others."""


@dataclass(frozen=True, kw_only=True)
class StageSummary:
    """How far a stage is."""

    stage: str
    done: bool
    """Whether its checkpoint is complete."""
    step: int | None
    """Steps that were made; None where there is no log, as of a language model that was given."""
    steps: int | None
    """Steps in all, where that is known."""
    training: Mapping[str, float]
    """Figures of the last step."""
    validation: Mapping[str, float]
    """Figures of the last evaluation."""
    kept: Mapping[str, float]
    """Figures of the evaluation whose weights are kept: that of the lowest score, where there is one, else the last."""
    speed: Mapping[str, float]
    """Last row of ``speed.jsonl``."""
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """What the folder of a run says."""

    folder: Path
    recipe: str | None
    stages: tuple[StageSummary, ...]
    """Those that have begun, in order."""
    evaluation: Mapping[str, float]
    """Balanced accuracy (or the first score) of each task on the test split."""
    changed: datetime
    """When a file of figures or a checkpoint last changed."""
    problems: tuple[str, ...]
    """What is damaged."""

    @property
    def done(self) -> tuple[str, ...]:
        """Stages that are finished."""
        return tuple(stage.stage for stage in self.stages if stage.done)

    @property
    def under_way(self) -> StageSummary | None:
        """The stage that has begun and is not finished."""
        return next((stage for stage in self.stages if not stage.done), None)


def find_runs(folders: Sequence[Path]) -> list[Path]:
    """Return the folders of runs at and below some folders, sorted.

    Raises
    ------
    ConfigError
        If one of the folders does not exist.
    """
    found: set[Path] = set()
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"{folder}: no such folder; give folders with runs below them")
        found |= set(_below(folder))
    return sorted(found)


def _below(top: Path) -> Iterator[Path]:
    """Yield the runs below a folder; symbolic links are followed last, and none leads to a folder a second time."""
    seen: set[str] = set()
    waiting = [str(top)]
    while waiting:
        for folder, below, files in os.walk(waiting.pop(0)):
            real = os.path.realpath(folder)
            if real in seen:
                below.clear()
                continue
            seen.add(real)
            if RUN in files:
                yield Path(folder)
                below[:] = [name for name in below if name not in NO_RUNS_WITHIN]
            below[:] = sorted(name for name in below if not name.startswith("."))
            waiting += [str(path) for name in below if (path := Path(folder, name)).is_symlink()]


def summarise(folder: Path) -> RunSummary:
    """Read what the folder of a run says; what cannot be read is named among its problems."""
    problems: list[str] = []
    run = _object(folder / RUN, problems)
    config = run.get("config")
    config = config if isinstance(config, dict) else {}
    stages = [stage for name in STAGES if (stage := _stage(folder / name, config, problems)) is not None]
    files = [folder / RUN, folder / EVALUATION]
    files += [folder / name / file for name in STAGES for file in (LOG, SPEED, COMPLETE)]
    times = [path.stat().st_mtime for path in files if path.is_file()]
    recipe = config.get("recipe")
    return RunSummary(
        folder=folder,
        recipe=recipe if isinstance(recipe, str) else None,
        stages=tuple(stages),
        evaluation=_evaluation(folder / EVALUATION, problems),
        changed=datetime.fromtimestamp(max(times, default=0.0), UTC),
        problems=tuple(problems),
    )


def settings(folder: Path) -> dict[str, Any]:
    """Everything that decides the outcome of a run, by dotted names: its configuration, tasks, store and threads.

    Raises
    ------
    ConfigError
        If the folder holds no run, or what it holds cannot be read.
    """
    problems: list[str] = []
    if not (folder / RUN).is_file():
        raise ConfigError(f"{folder}: no run here ({RUN} is missing); give the folder of a run")
    run = _object(folder / RUN, problems)
    if problems:
        raise ConfigError(f"{problems[0]}; give the folder of another run")
    config = run.pop("config", {})
    return dict(flat(config if isinstance(config, dict) else {})) | dict(flat(run))


def _stage(folder: Path, config: Mapping[str, Any], problems: list[str]) -> StageSummary | None:
    if not folder.is_dir():
        return None
    rows, speed = read_rows(folder / LOG, last_of=TRAINING), read_rows(folder / SPEED)
    if (folder / LOG).is_file() and not rows and (folder / LOG).stat().st_size:
        problems.append(f"{folder / LOG}: damaged: no row can be read")
    trained = [row for row in rows if row.get("kind") == TRAINING]
    validated = [row for row in rows if row.get("kind") == VALIDATION]
    done = (folder / COMPLETE).is_file()
    card = _object(folder / COMPLETE, problems) if done else {}
    made = trained[-1]["step"] + 1 if trained else None
    wanted = config.get(folder.name)
    steps = [card.get("steps"), speed[-1].get("steps") if speed else None]
    steps += [wanted.get("steps") if isinstance(wanted, dict) else None, made if done else None]
    return StageSummary(
        stage=folder.name,
        done=done,
        step=made,
        steps=next((n for n in steps if isinstance(n, int) and n > 0), None),
        training=_numbers(trained[-1]) if trained else {},
        validation=_numbers(validated[-1]) if validated else {},
        kept=_numbers(min(reversed(validated), key=_score)) if validated else {},
        speed=_numbers(speed[-1]) if speed else {},
        warnings=tuple(str(row.get("message", "")) for row in rows if row.get("kind") == WARNING),
    )


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in row.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _score(row: Mapping[str, Any]) -> float:
    return _numbers(row).get("score", math.inf)


def _evaluation(path: Path, problems: list[str]) -> dict[str, float]:
    if not path.is_file():
        return {}
    results = _object(path, problems).get("results")
    found = {}
    for result in results if isinstance(results, list) else ():
        scores = result.get("scores") if isinstance(result, dict) else None
        numbers = _numbers(scores) if isinstance(scores, dict) else {}
        if numbers:
            found[str(result.get("task"))] = numbers.get("balanced_accuracy", next(iter(numbers.values())))
    return found


def _object(path: Path, problems: list[str]) -> dict[str, Any]:
    """Read a JSON object; what is wrong with it becomes a problem."""
    try:
        value = parse_json(read_small(path, most=LARGE))
    except (OSError, ValueError) as error:
        problems.append(f"{path}: damaged ({' '.join(str(error).split())[:100]})")
        return {}
    if not isinstance(value, dict):
        problems.append(f"{path}: damaged (no JSON object)")
        return {}
    return value


def different_settings(folders: Sequence[Path]) -> dict[str, list[Any]]:
    """Return the settings that are not the same in all runs: a value for each run by dotted name; None where absent."""
    found = [settings(folder) for folder in folders]
    names = dict.fromkeys(name for values in found for name in values)
    values = {name: [one.get(name) for one in found] for name in names}
    return {name: each for name, each in values.items() if any(json.dumps(v) != json.dumps(each[0]) for v in each)}


def side_by_side(runs: Sequence[RunSummary]) -> dict[str, list[float | None]]:
    """Return what runs reached: a figure for each run by name, None where a run has none."""
    found = [_reached(run) for run in runs]
    names = dict.fromkeys(name for values in found for name in values)
    return {name: [values.get(name) for values in found] for name in names}


def _reached(run: RunSummary) -> dict[str, float]:
    figures: dict[str, float] = {}
    for stage in run.stages:
        kept = {"steps": float(stage.step)} if stage.step is not None else {}
        kept |= {name: value for name, value in stage.kept.items() if name != "step"}
        speed = ("tokens_per_second", "mfu", "data_wait", "peak_memory_gib")
        kept |= {name: stage.speed[name] for name in speed if name in stage.speed}
        figures |= {f"{stage.stage}: {name}": value for name, value in kept.items()}
    return figures | {f"test: {task}": value for task, value in run.evaluation.items()}
