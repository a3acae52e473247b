"""What is to be known of a recording before it is drawn: channels, montages, annotations, gaps"""

from __future__ import annotations

import re
from typing import Any

from neurolm.server.traces.display_filters import HIGHPASS, LOWPASS, NOTCH
from neurolm.server.traces.montages import offered
from neurolm.server.traces.pyramid import Pyramid

LONG = 3 * 3600.0
"""Seconds beyond which a recording with eyes, chin or stages is taken for one of sleep."""
_STAGE = re.compile(r"\b(?:sleep[ _-]?)?stage\b|^(?:W|N[123]|R|REM|wake)$", re.IGNORECASE)


def describe(pyramid: Pyramid) -> dict[str, Any]:
    """Return what the API answers about a recording that is ready."""
    meta, rate = pyramid.meta, pyramid.rate
    seconds = pyramid.length / rate
    keys = ("name", "electrode", "side", "bad", "unit", "kind", "label", "baseline")
    return {
        "ready": True,
        "rate": rate,
        "seconds": seconds,
        "start_time": meta["start_time"],
        "channels": [{key: channel[key] for key in keys} for channel in meta["channels"]],
        "gaps": gaps(meta["stretches"], pyramid.length, rate),
        "annotations": meta["annotations"],
        "more_annotations": meta["more_annotations"],
        "montages": offered(meta["channels"]),
        "filters": {"highpass": HIGHPASS, "lowpass": LOWPASS, "notch": NOTCH},
        "sleep": _is_sleep(meta, seconds),
    }


def gaps(stretches: list[tuple[int, int]], samples: int, rate: float) -> list[tuple[float, float]]:
    """Return the seconds between which nothing was recorded."""
    found, before = [], 0
    for start, stop in [*stretches, (samples, samples)]:
        if start > before:
            found.append((before / rate, start / rate))
        before = stop
    return found


def _is_sleep(meta: dict[str, Any], seconds: float) -> bool:
    kinds = {channel["kind"] for channel in meta["channels"]}
    staged = any(_STAGE.search(mark["text"].strip()) for mark in meta["annotations"])
    return seconds > LONG and (bool(kinds & {"eog", "emg"}) or staged)
