"""An answer for a recording is told with what its windows say."""

import numpy as np
import pytest

from neurolm.ask.answer import conclude
from neurolm.ask.calibration import TaskCalibration

OPTIONS = ("background", "slowing", "epileptiform")


def answer(shares: list[list[float]]):
    spans = [(float(i), i + 1.0) for i in range(len(shares))]
    return conclude(np.log(shares), TaskCalibration(task="t"), options=OPTIONS, spans=spans)


@pytest.mark.parametrize(("sure", "said"), [(1, True), (2, True), (3, False)])
def test_windows_that_say_otherwise_are_counted(sure, said):
    """A few sure windows outweigh many that are not; with half of them on its side, nothing needs to be said."""
    shares = [[1e-6, 1 - 2e-6, 1e-6]] * sure + [[0.4, 0.35, 0.25]] * (6 - sure)
    found = answer(shares)
    assert found.answer == "slowing"
    wanted = f"slowing is the likeliest answer of {sure} of the 6 windows only: where states change, read the timeline"
    assert found.notes == ((wanted,) if said else ())
