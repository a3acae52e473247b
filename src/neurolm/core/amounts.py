"""Amounts as people read them, in a terminal and on pages: counts, times, probabilities."""

from __future__ import annotations


def many(count: int, noun: str) -> str:
    """Count things: ``1 file``, ``1,024 files``, ``2 people``."""
    plural = "people" if noun == "person" else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def duration(seconds: float) -> str:
    """Write a time as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def in_words(seconds: float) -> str:
    """Write a time with its units, where nothing beside it tells them: ``28 s``, ``6 min 28 s``, ``25 h 10 min``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    parts = ((hours, "h"), (left, "min")) if hours else ((minutes, "min"), (rest, "s"))
    return " ".join(f"{number:,} {unit}" for number, unit in parts if number or unit == "s")


def likely(probability: float) -> str:
    """Write a probability, which is never quite 0 or 1."""
    return "<0.01" if probability < 0.005 else ">0.99" if probability >= 0.995 else f"{probability:.2f}"
