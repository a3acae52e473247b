"""One compared quantity: how far our numbers are from the proof's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

TOLERANCE = 1e-4
"""Largest relative error that passes for equal: float32 sums in another order, through a deep network."""
SMALL = 1e-12
"""Stands for zero where something is divided by it."""

Values = Tensor | np.ndarray | float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The outcome for one quantity."""

    name: str
    """File and quantity."""
    exact: bool
    """Whether every value had to be the same."""
    error: float
    """Largest relative error of a value; for an exact quantity, the share of values that differ."""
    detail: str = ""
    """What was compared, and where the largest error is."""

    @property
    def holds(self) -> bool:
        """Whether ours and theirs are equal, within ``TOLERANCE`` where they need not be exact."""
        return self.error == 0 if self.exact else self.error <= TOLERANCE

    def __str__(self) -> str:
        value = "exact" if self.exact and self.holds else "differs" if self.exact else f"{self.error:.1e}"
        return f"{'ok  ' if self.holds else 'FAIL'}  {self.name:<38} {value:>8}  {self.detail}".rstrip()


def close(name: str, found: Values, expected: Values, *, detail: str = "") -> Comparison:
    """Compare numbers.

    The error of a value is relative to the value itself or, where that is smaller, to the root mean square of all of
    them: so a single wrong number shows, and rounding around zero does not.
    """
    ours, theirs = _array(found), _array(expected)
    if ours.shape != theirs.shape:
        return _other_shape(name, ours, theirs, exact=False)
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    scale = np.maximum(np.abs(theirs), np.sqrt(np.mean(theirs**2)) if theirs.size else 0.0)
    with np.errstate(invalid="ignore"):
        error = float(np.max(np.abs(ours - theirs) / np.maximum(scale, SMALL), initial=0.0))
    return Comparison(
        name=name, exact=False, error=float("inf") if np.isnan(error) else error, detail=detail or _size(theirs)
    )


def equal(name: str, found: Values, expected: Values, *, detail: str = "") -> Comparison:
    """Compare values that have to be the same: ids, codes, masks, text."""
    ours, theirs = _array(found), _array(expected)
    if ours.shape != theirs.shape:
        return _other_shape(name, ours, theirs, exact=True)
    wrong = np.argwhere(ours != theirs)
    if len(wrong):
        place = tuple(int(i) for i in wrong[0])
        first = f"at {place} " if place else ""
        detail = f"{len(wrong)} of {theirs.size} differ, first {first}{theirs[place]} here {ours[place]}"
    return Comparison(name=name, exact=True, error=len(wrong) / max(1, theirs.size), detail=detail or _size(theirs))


def _other_shape(name: str, ours: np.ndarray, theirs: np.ndarray, *, exact: bool) -> Comparison:
    return Comparison(name=name, exact=exact, error=float("inf"), detail=f"shape {theirs.shape}, here {ours.shape}")


def _array(values: Values) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _size(values: np.ndarray) -> str:
    return f"{values.size:,} values" if values.size != 1 else ""
