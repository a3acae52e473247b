"""How fast a stream of an XDF file ran, by its time stamps, where it declares another rate or none.

Streams declare a nominal rate, which some amplifiers and scripts get wrong by a factor of two; all frequencies would be
wrong by as much. Time stamps jitter and samples get lost, so that the number that arrived is not always the rate. Where
samples were lost is found by ``xdf_parts``.
"""

from __future__ import annotations

import numpy as np

TOLERANCE = 0.01
"""Relative difference between declared and measured rate up to which the stream is believed: clocks and jitter."""
_LOSSES = 0.1  # relative difference up to which samples may be missing without anything else that shows it
_CLOSE = 0.05  # relative difference of the pace of a stream that has lost samples from the rate that it declares
_ALIKE = 0.7  # share of the steps between samples that are alike, where the steps tell the pace
_IRREGULAR = 0.1  # spread of the rates between gaps, above which the gaps are losses
_UNEQUAL = 0.5  # spread of what gaps are longer by, as a share of the samples before them: losses too
_CHUNK = 1.0  # seconds beyond which no program sends its samples at once
_JITTER = 0.5  # seconds that steady time stamps may lie off a straight line
_SHORTEST = 1.0  # seconds of stream below which nothing can be measured
_GAP = 1.0  # seconds, and
_GAP_SAMPLES = 500  # samples, of a drop-out; as in pyxdf
_ROUND = 0.002  # relative distance from a whole number of samples per second that is a clock's, or jitter


def find_rate(
    declared: float, measured: float, segments: list[tuple[int, int]], stamps: np.ndarray
) -> tuple[float | None, str]:
    """Decide how fast a stream ran.

    Parameters
    ----------
    declared
        Samples per second that the stream declares; 0 for none.
    measured
        Samples per second that arrived, drop-outs left out.
    segments
        First and last sample of each part without a drop-out.
    stamps
        float64 (samples,): the time stamps as they were recorded, in seconds.

    Returns
    -------
    rate, note
        Samples per second, None where they did not arrive steadily; and what has to be said about it.
    """
    if declared > 0 and abs(measured / declared - 1) <= TOLERANCE:
        return declared, ""
    if declared > 0 and sum(stamps[last] - stamps[first] for first, last in segments) < _SHORTEST:
        return declared, ""
    says = f"the stream declares {declared:g} Hz" if declared > 0 else "the stream declares no rate"
    arrived = f"{measured:.4g} samples per second arrived"
    pace = find_pace(stamps)
    lossy = pace is not None and pace > measured * (1 + TOLERANCE) and not sent_in_chunks(stamps, pace)
    if lossy and pace is not None:
        if declared == 0 or abs(pace / declared - 1) <= _CLOSE:
            taken = declared or _rounded(pace)
            return taken, f"{says}, {arrived}: samples were lost; taken as {taken:g} Hz, at which they follow another"
    elif _steady(stamps, segments):
        taken = _rounded(measured)
        return taken, f"{says}, but {arrived}, steadily: taken as {taken:g} Hz"
    if declared > 0 and 1 - _LOSSES <= measured / declared < 1:
        return declared, f"taken as {declared:g} Hz, as the stream declares, though {arrived}: samples were lost"
    return None, f"{says}, but {arrived}, and not steadily"


def segment(stamps: np.ndarray) -> tuple[float, list[tuple[int, int]]]:
    """Find the drop-outs of a stream that declares no rate.

    Returns
    -------
    measured, segments
        As for ``find_rate``.
    """
    steps = np.diff(stamps)
    usual = float(np.mean(np.sort(steps)[: max(1, round(0.95 * len(steps)))])) if len(steps) else 0.0
    breaks = np.flatnonzero((steps > max(_GAP, _GAP_SAMPLES * usual)) | (steps < 0))
    firsts, lasts = [0, *(breaks + 1).tolist()], [*breaks.tolist(), len(stamps) - 1]
    segments = list(zip(firsts, lasts, strict=True))
    seconds = sum(float(stamps[last] - stamps[first]) for first, last in segments)
    return (sum(last - first for first, last in segments) / seconds if seconds > 0 else 0.0), segments


def find_pace(stamps: np.ndarray) -> float | None:
    """Samples per second at which samples follow one another, None where their steps differ too much to say."""
    steps = np.diff(stamps)
    usual = float(np.median(steps))
    if usual <= 0 or np.mean(np.abs(steps / usual - 1) <= TOLERANCE * 10) < _ALIKE:
        return None
    return 1 / usual


def sent_in_chunks(stamps: np.ndarray, pace: float) -> bool:
    """Whether steps that differ come again and again alike: chunks whose stamps were made up, not losses.

    Made up at a wrong rate, the stamps of a chunk are off by as much for each of its samples.
    """
    steps = np.diff(stamps)
    starts = np.flatnonzero(np.abs(steps - 1 / pace) > 0.5 / pace) + 1
    if len(starts) < 3 or np.median(np.diff(stamps[starts])) > _CHUNK:
        return False
    samples, seconds = np.diff(starts), np.diff(stamps[starts])
    if (seconds <= 0).any():
        return False
    low, middle, high = np.percentile(samples / seconds, (25, 50, 75))
    least, usual, most = np.percentile((steps[starts[1:] - 1] - 1 / pace) / samples, (25, 50, 75))
    return bool(high - low < _IRREGULAR * middle and most - least < _UNEQUAL * abs(usual))


def _steady(stamps: np.ndarray, segments: list[tuple[int, int]]) -> bool:
    """Whether time stamps lie on straight lines."""
    for first, last in segments:
        if last - first < 2:
            continue
        at = np.arange(last - first + 1.0)
        part = stamps[first : last + 1] - stamps[first]
        if np.abs(part - np.polyval(np.polyfit(at, part, 1), at)).max() > _JITTER:
            return False
    return True


def _rounded(rate: float) -> float:
    whole = float(round(rate))
    return whole if abs(rate - whole) <= _ROUND * rate else rate
