"""Where electrodes are: positions, nearest electrodes, and splines over the scalp."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from neurolm.core.montage import ELECTRODES, REACH, template_positions

Key = TypeVar("Key", bound=Hashable)
SOURCES = 4
"""Electrodes that are needed at least to interpolate others."""
SAME_POSITION = 1.0
"""Millimetres within which two electrodes are one by two names: a recording with T7 cannot have a T3 as well."""
_ANCHORS = 4  # electrodes of known name needed to move a file's positions onto the template's
_SPHERE = 16  # positions needed to fit a sphere to them
_OFF_THE_SPHERE = ("A1", "A2", "M1", "M2")


def onto_template(
    positions: Mapping[int, Sequence[float]], anchors: Mapping[str, Sequence[float] | None]
) -> dict[int, np.ndarray]:
    """Move a file's positions to where the template has the electrodes of known name.

    Files put their origin in the middle of a sphere, between the ears, or elsewhere, and heads differ in size: the
    similarity transform (Kabsch 1976, Umeyama 1991) that fits the known electrodes is applied to all. Nets without
    known electrodes are moved by fitting a sphere to them and to the template instead.

    Parameters
    ----------
    positions
        x, y, z in metres by whatever names the channels.
    anchors
        Canonical electrode name → its position in the same frame, None where the file has none.

    Returns
    -------
    dict
        The positions in metres, in MNE's head coordinates of the template.
    """
    template = template_positions()
    pairs = [(position, template[e]) for e, position in anchors.items() if position is not None and e in template]
    if len(pairs) < _ANCHORS:
        if len(positions) < _SPHERE:
            return {i: np.array(position) for i, position in positions.items()}
        middle, radius = sphere(np.array(list(positions.values())))
        their_middle, their_radius = sphere(np.array([p for e, p in template.items() if e not in _OFF_THE_SPHERE]))
        return {i: (np.array(p) - middle) * their_radius / radius + their_middle for i, p in positions.items()}
    own, theirs = (np.array(side, float) for side in zip(*pairs, strict=True))
    own_middle, their_middle = own.mean(axis=0), theirs.mean(axis=0)
    left, sizes, right = np.linalg.svd((theirs - their_middle).T @ (own - own_middle))
    handed = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = left @ np.diag(handed) @ right
    scale = (sizes * handed).sum() / max(((own - own_middle) ** 2).sum(), 1e-12)
    return {i: scale * rotation @ (np.array(position) - own_middle) + their_middle for i, position in positions.items()}


def sphere(positions: np.ndarray) -> tuple[np.ndarray, float]:
    """Middle and radius of the sphere that fits positions of shape (n, 3), by linear least squares."""
    solution = np.linalg.lstsq(np.c_[2 * positions, np.ones(len(positions))], (positions**2).sum(axis=1), rcond=None)[0]
    return solution[:3], float(np.sqrt(solution[3] + solution[:3] @ solution[:3]))


def nearest_free(
    positions: Mapping[Key, Sequence[float] | np.ndarray], present: Sequence[str], among: Sequence[str] = ELECTRODES
) -> dict[Key, tuple[str, float]]:
    """Give each position the nearest electrode that is free and within reach, the closest pairs first.

    Parameters
    ----------
    positions
        Positions in metres on the template, as from ``onto_template``, by whatever names the channels.
    present
        Electrodes that are not free; neither is another name of the same position.
    among
        Electrodes that may be given.

    Returns
    -------
    dict
        Key of ``positions`` → (electrode, distance in mm), for those within ``montage.REACH`` of a free one.
    """
    template = template_positions()
    free = [e for e in among if e in template and e not in present]
    if not positions or not free:
        return {}
    occupied = np.array([template[e] for e in present if e in template]).reshape(-1, 3)
    spots = np.array([template[e] for e in free])
    to_occupied = 1000 * np.linalg.norm(spots[:, None] - occupied[None], axis=2)
    usable = ~(to_occupied < SAME_POSITION).any(axis=1)
    indices = list(positions)
    distance = 1000 * np.linalg.norm(np.array([positions[i] for i in indices])[:, None] - spots[None], axis=2)
    distance[:, ~usable] = np.inf
    found: dict[Key, tuple[str, float]] = {}
    while distance.min() <= REACH:
        row, column = np.unravel_index(np.argmin(distance), distance.shape)
        found[indices[row]] = (free[column], float(distance[row, column]))
        distance[row] = np.inf
        distance[:, np.linalg.norm(spots - spots[column], axis=1) * 1000 < SAME_POSITION] = np.inf
    return {key: found[key] for key in indices if key in found}


def spline_weights(sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """What each source contributes to each target by spherical splines (Perrin et al. 1989), as MNE interpolates.

    The splines are linear in the signal, so MNE is given one unit impulse for each source and says what becomes of it.

    Parameters
    ----------
    sources
        Places of shape (n, 3) in metres on the template.
    targets
        Places of shape (m, 3).

    Returns
    -------
    numpy.ndarray
        float64 of shape (m, n); rows sum to 1.
    """
    import mne

    count = len(sources)
    positions = np.concatenate([sources, targets])
    names = [str(i) for i in range(len(positions))]
    impulses = np.concatenate([np.eye(count), np.zeros((len(targets), count))])
    info = mne.create_info(names, 1.0, "eeg", verbose="error")
    raw = mne.io.RawArray(impulses, info, verbose="error")
    cap = mne.channels.make_dig_montage(dict(zip(names, positions, strict=True)), coord_frame="head")
    raw.set_montage(cap, verbose="error")
    raw.info["bads"] = names[count:]
    middle, _radius = sphere(np.array([p for e, p in template_positions().items() if e not in _OFF_THE_SPHERE]))
    raw.interpolate_bads(origin=tuple(middle), verbose="error")
    return np.asarray(raw.get_data(picks=names[count:]))
