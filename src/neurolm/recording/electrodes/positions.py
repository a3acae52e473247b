"""Where electrodes are: positions, nearest electrodes, and splines over the scalp."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from neurolm.core.montage import ELECTRODES, REACH, positions

SOURCES = 4
"""Electrodes that are needed at least to interpolate others."""
_SAME_PLACE = 1.0  # millimetres: T3 and T7 have one place, so a recording with T7 cannot have a T3 as well
_ANCHORS = 4  # electrodes of known name needed to move a file's positions onto the template's
_SPHERE = 16  # positions needed to fit a sphere to them
_OFF_THE_SPHERE = ("A1", "A2", "M1", "M2")


def onto_template(
    places: Mapping[int, Sequence[float]], anchors: Mapping[str, Sequence[float] | None]
) -> dict[int, np.ndarray]:
    """Move a file's positions to where the template has the electrodes of known name.

    Files put their origin in the middle of a sphere, between the ears, or elsewhere, and heads differ in size: the
    similarity transform (Kabsch 1976, Umeyama 1991) that fits the known electrodes is applied to all. Nets without
    known electrodes are moved by fitting a sphere to them and to the template instead.

    Parameters
    ----------
    places
        x, y, z in metres by whatever names the channels.
    anchors
        Canonical electrode name → its place in the same frame, None where the file has none.

    Returns
    -------
    dict
        The places in metres, in MNE's head coordinates of the template.
    """
    template = positions()
    pairs = [(place, template[e]) for e, place in anchors.items() if place is not None and e in template]
    if len(pairs) < _ANCHORS:
        if len(places) < _SPHERE:
            return {i: np.array(place) for i, place in places.items()}
        middle, radius = sphere(np.array(list(places.values())))
        their_middle, their_radius = sphere(np.array([p for e, p in template.items() if e not in _OFF_THE_SPHERE]))
        return {i: (np.array(p) - middle) * their_radius / radius + their_middle for i, p in places.items()}
    own, theirs = (np.array(side, float) for side in zip(*pairs, strict=True))
    own_middle, their_middle = own.mean(axis=0), theirs.mean(axis=0)
    left, sizes, right = np.linalg.svd((theirs - their_middle).T @ (own - own_middle))
    handed = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = left @ np.diag(handed) @ right
    scale = (sizes * handed).sum() / max(((own - own_middle) ** 2).sum(), 1e-12)
    return {i: scale * rotation @ (np.array(place) - own_middle) + their_middle for i, place in places.items()}


def sphere(places: np.ndarray) -> tuple[np.ndarray, float]:
    """Middle and radius of the sphere that fits places of shape (n, 3), by linear least squares."""
    solution = np.linalg.lstsq(np.c_[2 * places, np.ones(len(places))], (places**2).sum(axis=1), rcond=None)[0]
    return solution[:3], float(np.sqrt(solution[3] + solution[:3] @ solution[:3]))


def nearest_free(
    places: Mapping[int, np.ndarray], present: Sequence[str], among: Sequence[str] = ELECTRODES
) -> dict[int, tuple[str, float]]:
    """Give each place the nearest electrode that is free and within reach, the closest pairs first.

    Parameters
    ----------
    places
        Places in metres on the template, as from ``onto_template``.
    present
        Electrodes that are not free; neither is another name of the same place.
    among
        Electrodes that may be given.

    Returns
    -------
    dict
        Key of ``places`` → (electrode, distance in mm), for those within ``montage.REACH`` of a free one.
    """
    template = positions()
    free = [e for e in among if e in template and e not in present]
    if not places or not free:
        return {}
    occupied = np.array([template[e] for e in present if e in template]).reshape(-1, 3)
    spots = np.array([template[e] for e in free])
    to_occupied = 1000 * np.linalg.norm(spots[:, None] - occupied[None], axis=2)
    usable = ~(to_occupied < _SAME_PLACE).any(axis=1)
    indices = list(places)
    distance = 1000 * np.linalg.norm(np.array([places[i] for i in indices])[:, None] - spots[None], axis=2)
    distance[:, ~usable] = np.inf
    found: dict[int, tuple[str, float]] = {}
    while distance.min() <= REACH:
        row, column = np.unravel_index(np.argmin(distance), distance.shape)
        found[indices[row]] = (free[column], float(distance[row, column]))
        distance[row] = np.inf
        distance[:, np.linalg.norm(spots - spots[column], axis=1) * 1000 < _SAME_PLACE] = np.inf
    return dict(sorted(found.items()))


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
    places = np.concatenate([sources, targets])
    names = [str(i) for i in range(len(places))]
    impulses = np.concatenate([np.eye(count), np.zeros((len(targets), count))])
    info = mne.create_info(names, 1.0, "eeg", verbose="error")
    raw = mne.io.RawArray(impulses, info, verbose="error")
    cap = mne.channels.make_dig_montage(dict(zip(names, places, strict=True)), coord_frame="head")
    raw.set_montage(cap, verbose="error")
    raw.info["bads"] = names[count:]
    middle, _radius = sphere(np.array([p for e, p in positions().items() if e not in _OFF_THE_SPHERE]))
    raw.interpolate_bads(origin=tuple(middle), verbose="error")
    return np.asarray(raw.get_data(picks=names[count:]))
