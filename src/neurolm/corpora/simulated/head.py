"""The simulated head: where electrodes and sources sit, and what a source shows at each electrode.

MNE's four-layer sphere (brain, cerebrospinal fluid, skull, scalp) gives the potentials; nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neurolm.corpora.simulated.physiology import BACKGROUND_DEPTH, BACKGROUND_SOURCES, PEOPLE, REGIONS

if TYPE_CHECKING:
    import mne

ELECTRODES = (
    "Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T3", "C3", "Cz", "C4", "T4", "T5", "P3", "Pz", "P4", "T6", "O1", "O2",
    "A1", "A2", "M1", "M2",
)  # fmt: skip
"""The 10-20 system, and the earlobes and mastoids that serve as references."""
SCALP = len(ELECTRODES) - 4
"""The first so many electrodes are the 19 of the 10-20 system."""
_RADIUS = 0.09
"""Metres. Topographies are relative, so one sphere does for all heads; sizes differ through the sources' depth."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Head:
    """Topographies of one person's sources.

    Attributes
    ----------
    regions
        (regions, electrodes), in the order of ``REGIONS`` and ``ELECTRODES``; the largest absolute value over the
        10-20 electrodes is 1, and positive there.
    spread
        (electrodes, electrodes): multiplied with independent unit noises it gives the potentials of unsynchronised
        activity over the whole convexity, with a root mean square of 1 on average.
    """

    regions: Array
    spread: Array

    def region(self, name: str) -> Array:
        """Topography of a named region, shape (electrodes,)."""
        return self.regions[list(REGIONS).index(name)]


@cache
def _standard() -> dict[str, Array]:
    """Directions of MNE's 10-05 electrodes (and the nasion, Nz) from the centre of the sphere that fits them best."""
    import mne

    positions = mne.channels.make_standard_montage("colin27_1005").get_positions()
    places = {name: np.asarray(place) for name, place in positions["ch_pos"].items()}
    places["Nz"] = np.asarray(positions["nasion"])
    scalp = np.array([places[name] for name in ELECTRODES[:SCALP]])
    # |p - c|² = r² is linear in (c, r² - |c|²).
    solution, *_ = np.linalg.lstsq(np.column_stack([2 * scalp, np.ones(SCALP)]), (scalp**2).sum(axis=1), rcond=None)
    return {name: _unit(place - solution[:3]) for name, place in places.items()}


_BRAIN = 0.9
"""Radius of the brain as a fraction of the head's, in the sphere model."""


@cache
def _sphere() -> mne.bem.ConductorModel:
    import mne

    return mne.make_sphere_model(r0=(0.0, 0.0, 0.0), head_radius=_RADIUS, verbose="error")


def make_head(seed: Sequence[int]) -> Head:
    """Place a person's electrodes and sources, and solve the forward model.

    Parameters
    ----------
    seed
        Seed of the person: the same seed gives the same head.
    """
    rng = np.random.default_rng(seed)
    standard = _standard()
    electrodes = np.array([standard[name] for name in ELECTRODES])
    electrodes = _unit(electrodes + rng.normal(0.0, PEOPLE.electrode_jitter, electrodes.shape))

    named = np.array([np.mean([standard[e] for e in region.electrodes], axis=0) for region in REGIONS.values()])
    directions = np.concatenate([_unit(named), _scatter(BACKGROUND_SOURCES)])
    depths = np.concatenate(
        [[region.depth for region in REGIONS.values()], rng.uniform(*BACKGROUND_DEPTH, BACKGROUND_SOURCES)]
    )
    cortex = np.concatenate([[region.cortex for region in REGIONS.values()], np.ones(BACKGROUND_SOURCES, dtype=bool)])
    # A larger head or a thicker skull puts all cortex at another fraction of the radius.
    depths = np.where(cortex, depths * (1 + rng.normal(0.0, PEOPLE.depth_spread)), depths)
    depths = np.minimum(depths, _BRAIN - 1e-9)  # a source outside it has no field
    wander = rng.normal(0.0, PEOPLE.source_jitter, directions.shape)
    directions = _unit(directions + wander * cortex[:, None])
    lean = rng.normal(0.0, PEOPLE.tilt, directions.shape)
    lean[len(named) :] *= 3  # background cortex lies in folds as much as on gyri
    moments = _unit(directions + lean * cortex[:, None])

    field = _lead_field(electrodes * _RADIUS, directions * depths[:, None] * _RADIUS, moments).T
    regions = field[: len(named)]
    peak = np.abs(regions[:, :SCALP]).argmax(axis=1)
    regions = regions / regions[np.arange(len(regions)), peak][:, None]
    # The covariance of many independent sources, as a factor: the same distribution from far fewer noises.
    covariance: Array = field[len(named) :].T @ field[len(named) :]
    covariance /= np.trace(covariance) / len(covariance)
    spread = np.linalg.cholesky(covariance + 0.01 * np.eye(len(covariance)))
    return Head(regions=regions, spread=np.asarray(spread, dtype=np.float64))


def _lead_field(electrodes: Array, sources: Array, moments: Array) -> Array:
    """Potentials (electrodes, sources) of unit dipoles at ``sources`` pointing along ``moments``; in metres."""
    import mne

    names = [f"E{index}" for index in range(len(electrodes))]
    info = mne.create_info(names, 250.0, "eeg")
    info.set_montage(
        mne.channels.make_dig_montage(dict(zip(names, electrodes, strict=True)), coord_frame="head"), verbose="error"
    )
    places = mne.setup_volume_source_space(pos={"rr": sources, "nn": moments}, sphere=_sphere(), verbose="error")
    solution = mne.make_forward_solution(
        info, trans=None, src=places, bem=_sphere(), meg=False, eeg=True, mindist=0.0, verbose="error"
    )
    free = solution["sol"]["data"].reshape(len(electrodes), len(sources), 3)
    return np.einsum("esk,sk->es", free, moments)


def _scatter(count: int) -> Array:
    """Directions spread evenly over the part of the sphere where cortex lies (a Fibonacci spiral), shape (count, 3)."""
    index = np.arange(count) + 0.5
    height = 1 - index / count * 1.45  # from the crown to just below the ears' level
    turn = np.pi * (1 + np.sqrt(5)) * index
    across = np.sqrt(1 - height**2)
    return np.column_stack([across * np.cos(turn), across * np.sin(turn), height])


def _unit(vectors: Array) -> Array:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
