"""Guard rails: a codebook that collapses, a loss that explodes, gradients that grow.

Each is told once, says what to change, and is a function of the log, so that a resumed run is told the same.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Mapping
from typing import Any

from neurolm.train.figures.history import TRAINING, VALIDATION, WARNING

COLLAPSED_PERPLEXITY, COLLAPSED_LIVING = 0.1, 0.5
"""Shares of the codes: a perplexity of their use below the one, or fewer living ones than the other, is a collapse …"""
COLLAPSED_EVALUATIONS, COLLAPSED_STEPS, COLLAPSED_SHARE = 3, 100, 0.02
"""… at so many evaluations in a row, with the codebook started at least so many steps, or this share of all, ago."""
EXPLODED, EXPLODED_BY = 1.5, 1.0
"""A loss has exploded where its median over ``RECENT`` steps is so many times its lowest, and higher by so much …"""
RECENT, FIRST = 25, 5
"""… steps, or over the very first."""
GRADIENT, GRADIENT_RECENT, GRADIENT_BEFORE = 10.0, 25, 200
"""Gradients have grown where the median norm of the last steps is so many times the median of those before."""


class Watch:
    """Sees every row of a stage's log, in order.

    Parameters
    ----------
    stage
        Its name, for the messages and the flags in them.
    steps
        How many steps the stage has in all.
    codes
        Codes of the codebook that is trained; 0: none.
    patches
        Patches of the validation data: where they are fewer than the codes, not every code can be used there.
    """

    def __init__(self, stage: str, *, steps: int = 0, codes: int = 0, patches: int = 0) -> None:
        self.stage, self.codes, self.patches = stage, codes, patches
        self.patience = max(COLLAPSED_STEPS, round(COLLAPSED_SHARE * steps))
        self.told: set[str] = set()
        self.losses: deque[float] = deque(maxlen=RECENT)
        self.lowest = math.inf
        self.norms: deque[float] = deque(maxlen=GRADIENT_BEFORE + GRADIENT_RECENT)
        self.codebook: Mapping[str, Any] | None = None
        self.started: int | None = None
        self.low = 0

    def see(self, row: Mapping[str, Any]) -> dict[str, str]:
        """Return what is to be told after this row: text by a short name."""
        found: dict[str, str | None] = {}
        if row["kind"] == WARNING:
            self.told.add(row["warning"])
        elif row["kind"] == TRAINING:
            found = {"loss": self._loss(row), "gradient": self._gradient(row)}
            self._note_codebook(row)
        elif row["kind"] == VALIDATION:
            found = {"codebook": self._codebook(row)}
        new = {name: text for name, text in found.items() if text is not None and name not in self.told}
        self.told |= new.keys()
        return new

    def _loss(self, row: Mapping[str, Any]) -> str | None:
        self.losses.append(row["loss"])
        if len(self.losses) == FIRST:
            self.lowest = min(self.lowest, statistics.median(self.losses))
        if len(self.losses) < RECENT:
            return None
        now = statistics.median(self.losses)
        self.lowest = min(self.lowest, now)
        if now <= max(EXPLODED * self.lowest, self.lowest + EXPLODED_BY):
            return None
        return (
            f"{self.stage}, step {row['step']}: the loss explodes: {now:.3g}, the median of the last {RECENT} steps, "
            f"was {self.lowest:.3g} before. Lower --{self.stage}.learning_rate, raise --{self.stage}.warmup, or clip "
            f"gradients with --{self.stage}.clip 1"
        )

    def _gradient(self, row: Mapping[str, Any]) -> str | None:
        self.norms.append(row["gradient_norm"])
        if len(self.norms) < GRADIENT_BEFORE + GRADIENT_RECENT or row["step"] % GRADIENT_RECENT:
            return None  # judged now and then: a resumed run reads its whole log again
        norms = list(self.norms)
        before = statistics.median(norms[:GRADIENT_BEFORE])
        now = statistics.median(norms[GRADIENT_BEFORE:])
        if now <= GRADIENT * before:
            return None
        return (
            f"{self.stage}, step {row['step']}: gradients grow: their norm is {now:.3g}, the median of the last "
            f"{GRADIENT_RECENT} steps, after {before:.3g} over the {GRADIENT_BEFORE} steps before. Lower "
            f"--{self.stage}.learning_rate, or clip them with --{self.stage}.clip {max(before, 1):.2g}"
        )

    def _note_codebook(self, row: Mapping[str, Any]) -> None:
        if "code_perplexity" in row:
            self.codebook = row
            self.started = row["step"] if self.started is None else self.started

    def _codebook(self, row: Mapping[str, Any]) -> str | None:
        if self.codebook is None or self.started is None or not self.codes:
            return None
        if row["step"] - self.started < self.patience:
            return None
        moving, dead = self.codebook["code_perplexity"], self.codebook["dead_codes"]
        validated = row.get("code_perplexity", math.inf)
        limit = COLLAPSED_PERPLEXITY * self.codes
        collapsed = moving < limit or self.codes - dead < COLLAPSED_LIVING * self.codes
        collapsed |= validated < min(limit, COLLAPSED_PERPLEXITY * self.patches)
        self.low = self.low + 1 if collapsed else 0
        if self.low < COLLAPSED_EVALUATIONS:
            return None
        now = f"{moving:.3g} in training" + (f", {validated:.3g} in validation" if math.isfinite(validated) else "")
        return (
            f"{self.stage}, step {row['step']}: the codebook collapses: at the last {self.low} evaluations the "
            f"perplexity was below {COLLAPSED_PERPLEXITY:.0%} of its {self.codes:,} codes, or fewer than "
            f"{COLLAPSED_LIVING:.0%} were in use (now: perplexity {now}; {dead:.0f} codes dead). Start it later "
            "(--model.tokenizer.quantise_from 0.6), move idle codes onto the data (--model.tokenizer.revive 0.1), "
            f"lower --{self.stage}.learning_rate, or take fewer --model.tokenizer.codes"
        )
