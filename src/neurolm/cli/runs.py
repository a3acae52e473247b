"""neurolm runs compare runs/one runs/other --out curves.png"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurolm.cli.show import as_json, table_console
from neurolm.core.config import STAGES
from neurolm.core.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

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
    """List runs and how far each is, or compare some."""


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
        print(as_json([plain(run) for run in found]))
        return
    if not found:
        print(f"no runs below {', '.join(map(str, folders))}")
        return
    table_console().print(table(found))
    for run in found:
        told = [f"{stage.stage}: {text}" for stage in run.stages for text in stage.warnings if not stage.done]
        for text in (*run.problems, *told):
            print(f"{run.folder}: {text}")


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
    names = _names(folders)
    if out is not None:
        from neurolm.report.drawings.training import write_curves

        write_curves(dict(zip(names, folders, strict=True)), out)
    if json:
        print(as_json({"runs": [plain(run) for run in found], "settings": settings, "figures": figures}))
        return
    _print_settings(names, settings)
    _print_figures(names, figures)
    for run in found:
        for problem in run.problems:
            print(f"{run.folder}: {problem}")
    if out is not None:
        print(out)


def table(found: Sequence[RunSummary]) -> Table:
    """Return runs as a table for the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    rows = Table(box=SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("run", "recipe", "stages done", "under way", "validation", "test", "changed (UTC)"):
        rows.add_column(name, no_wrap=name in ("recipe", "changed (UTC)"), overflow="fold")
    for run in found:
        rows.add_row(
            str(run.folder),
            run.recipe or "?",
            " ".join(run.done) or "none",
            _step(run.under_way) if run.under_way else "–",
            _validation(run),
            " ".join(f"{task} {value:.3f}" for task, value in run.evaluation.items()) or "–",
            _when(run.changed),
        )
    return rows


def plain(run: RunSummary) -> dict[str, Any]:
    """Return a run as plain values."""
    stages = {
        stage.stage: {
            "done": stage.done,
            "step": stage.step,
            "steps": stage.steps,
            "validation": dict(stage.validation),
            "kept": dict(stage.kept),
            "speed": dict(stage.speed),
            "warnings": list(stage.warnings),
        }
        for stage in run.stages
    }
    return {
        "folder": str(run.folder),
        "recipe": run.recipe,
        "stages": stages,
        "test": dict(run.evaluation),
        "changed": run.changed.isoformat(timespec="seconds"),
        "problems": list(run.problems),
    }


def _step(stage: StageSummary) -> str:
    if stage.step is None:
        return f"{stage.stage}, no step"
    return f"{stage.stage} {stage.step:,}" + (f"/{stage.steps:,}" if stage.steps else "")


def _validation(run: RunSummary) -> str:
    """Figures of the furthest stage that was validated."""
    for stage in reversed(run.stages):
        names = [name for name in HEADLINES[stage.stage] if name in stage.kept]
        if names:
            return f"{stage.stage} " + " ".join(f"{name} {stage.kept[name]:.4g}" for name in names)
    return "–"


def _when(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}" if time.year > 1970 else "?"


def _print_settings(names: Sequence[str], settings: dict[str, list[Any]]) -> None:
    if not settings:
        print("the settings are the same")
        return
    rows = _side_by_side("setting", names)
    for name, values in settings.items():
        rows.add_row(name, *map(_setting, values))
    table_console().print(rows)


def _setting(value: Any) -> str:
    text = "–" if value is None else json.dumps(value).strip('"')
    return text if len(text) <= SETTING else f"{text[: SETTING - 1]}…"


def _print_figures(names: Sequence[str], figures: dict[str, list[float | None]]) -> None:
    rows = _side_by_side("figure", names, difference=len(names) == 2)
    before = ""
    for name, values in figures.items():
        group = name.split(":")[0]
        if before not in ("", group):
            rows.add_section()
        before = group
        cells = ["–" if value is None else f"{value:.4g}" for value in values]
        if len(values) == 2:
            one, other = values
            cells.append("" if one is None or other is None else f"{other - one:+.3g}")
        rows.add_row(name, *cells)
    table_console().print(rows)
    stages = [stage for stage in STAGES if any(name.startswith(f"{stage}:") for name in figures)]
    if stages:
        print("of validation: at the evaluation whose weights are kept; test: balanced accuracy on held-out people")


def _side_by_side(what: str, names: Sequence[str], *, difference: bool = False) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    rows = Table(box=SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False)
    rows.add_column(what, overflow="fold")
    for name in (*names, *(["difference"] if difference else [])):
        rows.add_column(name, justify="right", overflow="fold")
    return rows


def _names(folders: Sequence[Path]) -> list[str]:
    """Names of runs without the folders that all have in common; made different where they are given twice."""
    absolute = [folder.absolute() for folder in folders]
    common = Path(os.path.commonpath([folder.parent for folder in absolute]))
    names = [str(folder.relative_to(common)) for folder in absolute]
    return [f"{name} ({place})" if names.count(name) > 1 else name for place, name in enumerate(names, start=1)]
