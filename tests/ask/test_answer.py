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


def test_what_language_model_and_evidence_say_adds_up_to_the_answer():
    """With any number of options, the temperature and the windows' worth: the log of how much likelier it is."""
    rng = np.random.default_rng(0)
    said, shown = rng.normal(0, 2, (2, 7, 3))
    calibration = TaskCalibration(task="t", temperature=1.7, correlation=0.4)
    spans = [(float(i), i + 1.0) for i in range(7)]
    found = conclude(said + shown, calibration, options=OPTIONS, spans=spans, evidence=shown)
    parts = found.contributions
    ratio = np.log(found.probabilities[OPTIONS.index(parts.option)] / found.probabilities[OPTIONS.index(parts.against)])
    assert parts.language_model + parts.evidence == pytest.approx(ratio) and ratio > 0
    assert sorted(found.probabilities)[-2:] == [
        found.probabilities[OPTIONS.index(name)] for name in (parts.against, parts.option)
    ]
    for window in found.timeline:
        own = [window.probabilities[OPTIONS.index(name)] for name in (parts.option, parts.against)]
        assert window.language_model + window.evidence == pytest.approx(np.log(own[0] / own[1]))
    mean = np.mean([window.evidence for window in found.timeline])
    assert parts.evidence == pytest.approx(found.worth * mean) and found.worth > 1
    place, other = (OPTIONS.index(name) for name in (parts.option, parts.against))
    assert mean == pytest.approx((shown[:, place] - shown[:, other]).mean() / 1.7)
    wanted = f"language model {parts.language_model:+.2f}, evidence {parts.evidence:+.2f} nats"
    assert parts.in_words == f"for {parts.option} rather than {parts.against} spoke: {wanted}"


def test_without_evidence_the_language_model_said_it_all():
    spans = [(0.0, 1.0)]
    found = conclude(
        np.log([[0.2, 0.7, 0.1]]), TaskCalibration(task="t"), options=OPTIONS, spans=spans, no_evidence="it is shy"
    )
    parts = found.contributions
    assert (parts.option, parts.against, parts.evidence) == ("slowing", "background", None)
    assert parts.language_model == pytest.approx(np.log(3.5)) == found.timeline[0].language_model
    assert found.timeline[0].evidence is None
    assert parts.in_words.endswith("spoke: language model +1.25 nats; no evidence, since it is shy")
