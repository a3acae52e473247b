"""What people see in a terminal of several verbs: the progress of long work, counts and times."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurolm.core.amounts import duration
from neurolm.core.config import STAGES
from neurolm.core.files import dump_json
from neurolm.core.terminal import printable, say

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID
    from rich.segment import Segment

    from neurolm.archive.archive import ArchiveReport
    from neurolm.archive.embed import EmbedReport
    from neurolm.core.table import Table
    from neurolm.prepare.report import PrepareProgress
    from neurolm.train.loop import TrainingProgress

NOT_LOSSES = ("lr", "gradient_norm", "codes_used", "code_perplexity", "dead_codes")
"""Figures of a training step that a line of progress has no room for."""
QUIET_SECONDS, LOG_SHARE = 5.0, 0.05
"""Without a terminal: least seconds between two lines, and share of the elapsed time, so that days are not a flood."""
WIDE = 400
"""Columns of a table where there is no terminal, so that every row stays on a line for grep and cut."""


class Display:
    """Progress bars in a terminal, else now and then a plain line. Use it in a ``with`` statement.

    Parameters
    ----------
    console
        By default standard error's.
    """

    def __init__(self, console: Console | None = None) -> None:
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        self.console = console = console or terminal(stderr=True)
        self.live = console.is_terminal
        self.bars = Progress(
            TextColumn("{task.description:<9}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=16),
            TextColumn("{task.fields[figures]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
            console=console,
            transient=True,
            expand=True,
        )
        self.shown: dict[str, TaskID] = {}
        self.begun: dict[str, float] = {}
        self.last: dict[str, tuple[float, float]] = {}

    def __enter__(self) -> Display:
        if self.live:
            self.bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.live:
            self.bars.stop()

    def training(self, progress: TrainingProgress) -> None:
        """Show a training step: step, rate, time left, losses."""
        figures = (
            f"step {progress.step}/{progress.steps}  {duration(progress.seconds_left)} left  "
            f"{progress.tokens_per_second:,.0f} tokens/s  {losses(progress.parts)}"
        )
        self._show(progress.stage, progress.step, progress.steps, figures)
        if progress.stage == STAGES[-1] and progress.step == progress.steps:
            what = "all steps are done; the last validation, evidence and calibration follow"
            self.console.print(f"{progress.stage}: {what}", markup=False, highlight=False, soft_wrap=True)

    def preparing(self, progress: PrepareProgress) -> None:
        """Show how far a preparation is: recordings, time left, hours of EEG an hour, failures."""
        self._recordings("preparing recordings", progress, "could not be read")

    def answering(self, progress: PrepareProgress) -> None:
        """Show how far the answers about an archive are, as those of a preparation."""
        self._recordings("asking about recordings", progress, "could not be answered")

    def embedding(self, progress: PrepareProgress) -> None:
        """Show how far the features of many recordings are."""
        self._recordings("embedding recordings", progress, "could not be embedded")

    def _recordings(self, what: str, progress: PrepareProgress, failed: str) -> None:
        figures = [f"{progress.done}/{progress.total}"]
        if progress.done < progress.total:
            figures.append(f"{duration(progress.seconds_left)} left")
        if progress.hours:
            rate = 3600 * progress.rate
            figures.append(f"{rate:{',.0f' if rate >= 10 else '.2g'}} h of EEG an hour")
        if progress.failures:
            figures.append(f"{progress.failures} {failed}")
        self._show(what, progress.done, progress.total, "  ".join(figures))

    def count(self, what: str) -> Callable[..., None]:
        """Return a callback for the number of things done and of all things."""
        began = time.monotonic()

        def show(done: int, total: int, _name: str = "") -> None:
            left = (time.monotonic() - began) * (total - done) / done if done else math.nan
            rest = "" if math.isnan(left) else f"  {duration(left)} left"
            self._show(what, done, total, f"{done}/{total}{rest}")

        return show

    def _show(self, name: str, done: int, total: int, figures: str) -> None:
        if not self.live:
            if self._due(name, done, total):
                self.console.print(f"{name}: {figures}", markup=False, highlight=False, soft_wrap=True)
            return
        if name not in self.shown:
            self.shown[name] = self.bars.add_task(name, figures="")
        self.bars.update(self.shown[name], completed=done, total=total, figures=figures)
        if done == total:
            self.bars.update(self.shown[name], visible=False)

    def _due(self, name: str, done: int, total: int) -> bool:
        """Whether a plain line is due: every 10 %, or after some seconds, and at the end."""
        now = time.monotonic()
        begun = self.begun.setdefault(name, now)
        when, share = self.last.get(name, (-math.inf, 0.0))
        wait = max(QUIET_SECONDS, LOG_SHARE * (now - begun))
        due = done == total or now - when >= wait or (done / total - share >= 0.1 and now - when >= 1)
        if due:
            self.last[name] = (now, done / total)
        return due


def losses(parts: Mapping[str, float]) -> str:
    """Write the losses of a step: their sum first, where there are several."""
    shown = {name: value for name, value in parts.items() if name not in NOT_LOSSES}
    total = shown.pop("loss", None)
    if total is not None and len(shown) != 1:
        shown = {"loss": total} | shown
    return "  ".join(f"{name} {value:.3g}" for name, value in shown.items())


def as_json(value: Any, *, indent: int | None = 2) -> str:
    """Write plain values and dataclasses as JSON: in ASCII, so that it is exact and steers no terminal.

    Parameters
    ----------
    indent
        Spaces of a level; None: all on one line.
    """
    return dump_json(value, indent=indent).replace("\x7f", r"\u007f")


def print_json(value: Any) -> None:
    """Print plain values and dataclasses as JSON."""
    print(as_json(value))


def terminal(**how: Any) -> Console:
    """Return a console of rich's in which no text steers the terminal; styles and bars do.

    Parameters
    ----------
    **how
        Arguments of ``rich.console.Console``.
    """
    from rich.console import Console

    class Terminal(Console):
        def render(self, *given: Any, **named: Any) -> Iterator[Segment]:
            """Write what is to be shown piece by piece: all that a console prints passes here."""
            for piece in super().render(*given, **named):
                yield piece if piece.control else piece._replace(text=printable(piece.text))

    return Terminal(**how)


def print_table(table: Table) -> None:
    """Print a table as wide as the terminal, or as its longest row where there is none; numbers are never cut."""
    shown = terminal()
    terminal(width=max(shown.width, table.narrowest) if shown.is_terminal else WIDE).print(table)


def below_common(folders: Sequence[Path]) -> tuple[Path, list[str]]:
    """Return the folder that all have in common, and their names below it, numbered where one is given twice."""
    absolute = [folder.absolute() for folder in folders]
    common = Path(os.path.commonpath([folder.parent for folder in absolute]))
    names = [str(folder.relative_to(common)) for folder in absolute]
    return common, [f"{name} ({place})" if names.count(name) > 1 else name for place, name in enumerate(names, 1)]


def end_of_archive(report: ArchiveReport | EmbedReport, done: str, quarantine: Path) -> bool:
    """Say what became of many recordings: some reasons why, where it goes on, notes; returns whether all are done."""
    if report.quarantined:
        say(f"{report.quarantined:,} could not be {done}: the reasons are in {quarantine}")
        say(*(f"  {name}: {reason.removeprefix(f'{name}: ')}" for name, reason in report.reasons.items()))
        if report.quarantined > len(report.reasons):
            say(f"  and {report.quarantined - len(report.reasons):,} more")
    say(f"{report.parts}: from it the same command goes on when recordings were added or changed; else delete it")
    for note in report.notes:
        say(f"note: {note}")
    return not report.quarantined
