"""What a stage writes down while it trains: ``log.jsonl``, ``speed.jsonl``, warnings, other sinks."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from pathlib import Path

from neurolm.core import distributed
from neurolm.core.files import append_text, dump_json, write_text
from neurolm.train.figures.history import LOG, TRAINING, VALIDATION, WARNING, read_rows
from neurolm.train.figures.sinks import Sinks
from neurolm.train.figures.speed import Speedometer
from neurolm.train.figures.watch import Watch


class Logs:
    """Writes figures to the files of a stage and to its sinks, and warns of what goes wrong.

    Where there are several processes, the main one writes; the others only count their steps.

    Parameters
    ----------
    folder
        Folder of the stage.
    first
        Step that training begins with, or goes on from: rows of later steps, which will be done again, are dropped.
    speed, watch, sinks
        What measures time, what judges the figures, and where else they go.
    """

    def __init__(self, folder: Path, *, first: int, speed: Speedometer, watch: Watch, sinks: Sinks) -> None:
        self.path, self.speed, self.watch, self.sinks = folder / LOG, speed, watch, sinks
        self.writing = distributed.is_main()
        if not self.writing:
            return
        kept = [row for row in read_rows(self.path) if row["step"] < first]
        write_text(self.path, "".join(dump_json(row) + "\n" for row in kept))
        for row in kept:
            self.watch.see(row)

    def training(self, step: int, figures: Mapping[str, float], *, tokens: int, flops: int, waited: float) -> None:
        """Write down a step; see ``Speedometer.stepped`` for what is counted."""
        self.speed.stepped(tokens, waited=waited, flops=flops)
        self._write(step, TRAINING, figures)

    def validation(self, step: int, figures: Mapping[str, float]) -> None:
        """Write down an evaluation, and how fast the steps before it were."""
        self._write(step, VALIDATION, figures)
        if not self.writing:
            return
        speed = {name: value for name, value in self.speed.write(step).items() if name not in ("step", "steps")}
        if speed:
            self.sinks.write(step, "speed", speed)

    def close(self) -> None:
        """Close the sinks."""
        self.sinks.close()

    def _write(self, step: int, kind: str, figures: Mapping[str, float]) -> None:
        if not self.writing:
            return
        finite = {name: value for name, value in figures.items() if math.isfinite(value)}
        row = {"step": step, "kind": kind, **finite}
        concerns = self.watch.see(row)
        told = [{"step": step, "kind": WARNING, "warning": name, "message": text} for name, text in concerns.items()]
        append_text(self.path, "".join(dump_json(one) + "\n" for one in (row, *told)))
        self.sinks.write(step, kind, finite)
        for text in concerns.values():
            warnings.warn(text, stacklevel=3)
