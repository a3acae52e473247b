"""Electrodes made from others: differences of electrodes (bipolar montages) and spherical splines.

Both are sums of channels with weights, so a recording of a day is mixed block by block while it is read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from neurolm.core.errors import RecordingError, argument, takes
from neurolm.core.montage import REACH, SAME_PLACE, TCP, reference, resolve, template_positions
from neurolm.recording.electrodes.positions import SOURCES, spline_weights

MONTAGES = ("tcp",)
"""Montages that can be derived from referential channels: TUH's TCP."""
Mix = Mapping[int, float]
"""Index of a file's channel → its weight."""
_FARTHEST_SOURCE = 2 * REACH  # neighbours in the 10-20 system lie 56 to 74 mm apart


def tcp_pairs(present: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return the channels of the TCP montage that have official names: (name, first electrode, second electrode).

    Parameters
    ----------
    present
        Electrodes of the recording: of two names of one position, the one that is there is used.
    """
    pairs = []
    for plus, minus in TCP:
        name = resolve(f"{plus}-{minus}")
        if name is not None and "-" in name:
            one, two = (end if end in present else SAME_PLACE.get(end, end) for end in (plus, minus))
            pairs.append((name, one, two))
    return pairs


def tcp_without_names() -> list[str]:
    """The channels of the TCP montage that the official list does not have."""
    official = {name for name, _, _ in tcp_pairs(())}
    return [f"{plus}-{minus}" for plus, minus in TCP if resolve(f"{plus}-{minus}") not in official]


def difference(plus: Mix, minus: Mix) -> dict[int, float]:
    """The mix of one electrode against another."""
    indices = dict.fromkeys([*plus, *minus])
    return {i: weight for i in indices if (weight := plus.get(i, 0.0) - minus.get(i, 0.0))}


def splines(targets: Sequence[str], sources: Mapping[int, Sequence[float]]) -> dict[str, tuple[dict[int, float], str]]:
    """Mixes of electrodes from the channels around them.

    Parameters
    ----------
    targets
        Canonical names of electrodes.
    sources
        Index of a good channel → its position in metres on the template.

    Returns
    -------
    dict
        Electrode → (mix, how it came about in words), for those with a known position, four or more sources and
        one of them within twice ``montage.REACH``.
    """
    template = template_positions()
    nearest = {
        target: min((1000 * math.dist(template[target], position) for position in sources.values()), default=math.inf)
        for target in targets
        if target in template
    }
    reached = [target for target, distance in nearest.items() if distance <= _FARTHEST_SOURCE]
    if len(sources) < SOURCES or not reached:
        return {}
    indices = list(sources)
    positions = np.array([sources[i] for i in indices], float)
    weights = spline_weights(positions, np.array([template[target] for target in reached]))
    return {
        target: (
            dict(zip(indices, row.tolist(), strict=True)),
            f"from {len(indices)} channels, the nearest {nearest[target]:.0f} mm away",
        )
        for target, row in zip(reached, weights, strict=True)
    }


def refuse_mixed_references(names: Sequence[str], source: str, purpose: str) -> None:
    """Refuse to combine channels that were recorded against different references.

    Raises
    ------
    RecordingError
        If the names state more than one reference.
    """
    stated: dict[str, list[str]] = {}
    for name in names:
        if (own := reference(name)) is not None:
            stated.setdefault(own, []).append(name)
    if len(stated) > 1:
        found = "; ".join(f"{own}: {', '.join(members[:6])}" for own, members in stated.items())
        remedy = f"name channels of one reference ({argument('channels')}), or " if takes("channels") else ""
        raise RecordingError(
            f"{source}: {purpose} would mix channels with different references ({found}); {remedy}do without"
        )
