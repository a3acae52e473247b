"""Fixtures shared by the tests of data."""

from pathlib import Path

import edfio
import numpy as np
import pytest

ELECTRODES = ("Fp1", "Cz", "O2")
RATE = 250


def write_edf(path: Path, *, seed: int, seconds: int = 12, names=ELECTRODES, microvolts: float = 20.0) -> None:
    """Write a short recording of noise."""
    noise = np.random.default_rng(seed).normal(0, microvolts, (len(names), seconds * RATE)).cumsum(axis=1)
    noise -= noise.mean(axis=1, keepdims=True)
    noise *= microvolts / noise.std()
    path.parent.mkdir(parents=True, exist_ok=True)
    edfio.Edf(
        [
            edfio.EdfSignal(one, RATE, label=f"EEG {name}", physical_dimension="uV")
            for name, one in zip(names, noise, strict=True)
        ]
    ).write(path)


@pytest.fixture(name="write_edf", scope="session")
def _write_edf_fixture():
    """The function that writes a short EDF file."""
    return write_edf
