"""neurolm runs compare runs/one runs/other --out curves.png"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurolm.cli.show import below_common, print_json, print_table
from neurolm.core.config import STAGES
from neurolm.core.errors import ConfigError
from neurolm.core.table import NOTHING, Cell, Column, Table, columns
from neurolm.core.terminal import say

if TYPE_CHECKING:
    from neurolm.train.figures.runs import RunSummary, StageSummary

SETTING = 40
"""Characters of a setting that are shown: of the store's fingerprint, not all."""
HEADLINES = {
    "language": ("text_perplexity",),
    "tokenizer": ("raw", "frequency", "code_perplexity"),
    "pretrain": ("eeg_perplexity", "text"),
    "instruct": ("score", "text"),
}
"""Figures of validation that stand for a stage in the list."""


def runs() -> None:
    """List runs and how far each is, or compare some.

    `list` may be left out: neurolm runs [FOLDER …] [--json] lists the runs below folders, by default below runs/.
    """


def runs_list(folders: Sequence[Path] = (Path("runs"),), *, json: bool = False) -> None:
    """List the runs below some folders, and how far each is.

    Parameters
    ----------
    folders
        Where to look for runs.
    """
    from neurolm.train.figures.runs import find_runs, summarise

    found = [summarise(folder) for folder in find_runs(folders)]
    if json:
        print_json([plain(run) for run in found])
        return
    if not found:
        say(f"no runs below {', '.join(map(str, folders))}")
        return
    print_table(table(found))
    for run in found:
        told = [f"{stage.stage}: {text}" for stage in run.stages for text in stage.warnings if not stage.done]
        for text in (*run.problems, *told):
            say(f"{run.folder}: {text}")


def runs_compare(folders: Sequence[Path] = (), *, out: Path | None = None, json: bool = False) -> None:
    """Show what differs between runs: their settings and their figures, side by side.

    Parameters
    ----------
    folders
        Folders of two or more runs.
    out
        PNG of the curves.
    """
    if len(folders) < 2:
        raise ConfigError("which runs? Give the folders of two or more: neurolm runs compare A B --out curves.png")
    from neurolm.train.figures.runs import different_settings, side_by_side, summarise

    settings = different_settings(folders)
    found = [summarise(folder) for folder in folders]
    figures = side_by_side(found)
    _, names = below_common(folders)
    if out is not None:
        from neurolm.report.drawings.training import write_curves

        write_curves(dict(zip(names, folders, strict=True)), out)
    if json:
        print_json({"runs": [plain(run) for run in found], "settings": settings, "figures": figures})
        return
    if settings:
        rows = [(name, *map(_setting, values)) for name, values in settings.items()]
        print_table(Table(columns=columns("setting", *names), groups=[rows]))
    else:
        say("the settings are the same")
    print_table(_figures_table(names, figures))
    if any(name.startswith(STAGES) for name in figures):
        say("of validation: at the evaluation whose weights are kept; test: balanced accuracy on held-out people")
    for run in found:
        for problem in run.problems:
            say(f"{run.folder}: {problem}")
    if out is not None:
        say(out)


def table(found: Sequence[RunSummary]) -> Table:
    """Return runs as a table."""
    whole = {"recipe", "changed (UTC)"}
    heads = ("run", "recipe", "stages done", "under way", "validation", "test", "changed (UTC)")
    rows = [
        (
            str(run.folder),
            run.recipe or "?",
            " ".join(run.done) or "none",
            _step(run.under_way) if run.under_way else None,
            _validation(run),
            " ".join(f"{task} {value:.3f}" for task, value in run.evaluation.items()) or None,
            f"{run.changed:%Y-%m-%d %H:%M}" if run.changed.year > 1970 else "?",
        )
        for run in found
    ]
    return Table(columns=[Column(head=head, whole=head in whole) for head in heads], groups=[rows])


def plain(run: RunSummary) -> dict[str, Any]:
    """Return a run as plain values."""
    return {
        "folder": str(run.folder),
        "recipe": run.recipe,
        "stages": {stage.stage: asdict(stage) for stage in run.stages},
        "test": dict(run.evaluation),
        "changed": run.changed.isoformat(timespec="seconds"),
        "problems": list(run.problems),
    }


def _step(stage: StageSummary) -> str:
    if stage.step is None:
        return f"{stage.stage}, no step"
    return f"{stage.stage} {stage.step:,}" + (f"/{stage.steps:,}" if stage.steps else "")


def _validation(run: RunSummary) -> str | None:
    """Figures of the furthest stage that was validated."""
    for stage in reversed(run.stages):
        names = [name for name in HEADLINES[stage.stage] if name in stage.kept]
        if names:
            return f"{stage.stage} " + " ".join(f"{name} {stage.kept[name]:.4g}" for name in names)
    return None


def _setting(value: Any) -> str:
    text = NOTHING if value is None else json.dumps(value).strip('"')
    return text if len(text) <= SETTING else f"{text[: SETTING - 1]}…"


def _figures_table(names: Sequence[str], figures: dict[str, list[float | None]]) -> Table:
    """Figures side by side, and the difference of two."""
    heads = [*columns("figure"), *columns(*names, form=".4g")]
    if len(names) == 2:
        heads += columns("difference", form="+.3g")
    groups = [
        [(name, *values, *_difference(values)) for name, values in group]
        for _, group in groupby(figures.items(), key=lambda item: item[0].split(":")[0])
    ]
    return Table(columns=heads, groups=groups)


def _difference(values: Sequence[float | None]) -> list[Cell]:
    if len(values) != 2:
        return []
    one, other = values
    return ["" if one is None or other is None else other - one]
