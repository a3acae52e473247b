"""The numbers of the simulator keep to the definitions that they cite, and its head shows sources where they are."""

from dataclasses import fields

import numpy as np
import pytest

from neurolm.corpora.simulated import physiology as phys
from neurolm.corpora.simulated.head import ELECTRODES, SCALP, Head, make_head
from neurolm.corpora.simulated.physiology import EVENTS, NIGHT, REGIONS, SLEEP, WORKLOAD, BrainState, Wave
from neurolm.tasks.card import load_task

STATES = [*SLEEP.values(), *EVENTS.values(), *WORKLOAD.values()]


@pytest.fixture(scope="module")
def heads() -> list[Head]:
    return [make_head((7, subject)) for subject in range(4)]


def test_ranges_are_ordered_and_shares_are_shares() -> None:
    waves = [value for value in vars(phys).values() if isinstance(value, Wave)]
    assert len(waves) > 8
    owners: list[BrainState | Wave] = [*STATES, *waves]
    for owner in owners:
        for field in fields(owner):
            low, high = getattr(owner, field.name)
            assert 0 <= low <= high, (owner, field.name)
    for state in STATES:
        for share in ("alpha_time", "eyes_open", "slow_waves", "runs", "slowing_time"):
            assert getattr(state, share)[1] <= 1


@pytest.mark.parametrize(("task", "states"), [("sleep", SLEEP), ("events", EVENTS), ("workload", WORKLOAD)])
def test_labels_are_the_options_of_the_task_card(task: str, states: dict[str, BrainState]) -> None:
    assert set(states) == {option.label for option in load_task(task).options}


def test_sleep_keeps_to_the_scoring_manual() -> None:
    assert SLEEP["Wake"].alpha_time[0] > 0.5 >= SLEEP["NREM-1"].alpha_time[1]
    assert SLEEP["NREM-2"].slow_waves[1] < 0.2 <= SLEEP["NREM-3"].slow_waves[0]
    assert phys.SLOW_WAVE.microvolts[0] > 75
    assert 1 / phys.SLOW_WAVE.seconds[0] <= 2 and 1 / phys.SLOW_WAVE.seconds[1] >= 0.5
    assert phys.SPINDLE.hz == (11, 16) and phys.SPINDLE.seconds[0] >= 0.5
    assert phys.VERTEX_WAVE.seconds[1] < 0.5 <= phys.K_COMPLEX.seconds[0]
    assert SLEEP["REM"].spindles == SLEEP["REM"].k_complexes == phys.NEVER
    assert {stage for stage, _ in NIGHT} == set(SLEEP)


def test_foci_are_cortex() -> None:
    assert all(REGIONS[focus].cortex for focus in phys.FOCI)


def test_a_source_is_largest_above_itself(heads: list[Head]) -> None:
    for region, near in {
        "occipital left": {"O1"},
        "occipital right": {"O2"},
        "frontal midline": {"Fz", "Cz"},
        "central left": {"C3"},
        "temporal right": {"T4", "T6"},
        "eye left": {"Fp1"},
        "eye right": {"Fp2"},
        "frontal convexity": {"Fz", "F3", "F4"},
    }.items():
        for head in heads:
            topography = head.region(region)[:SCALP]
            assert ELECTRODES[int(np.abs(topography).argmax())] in near, region
            assert topography.max() == pytest.approx(1.0)


def test_heads_differ_and_a_seed_gives_the_same_head(heads: list[Head]) -> None:
    again = make_head((7, 0))
    assert np.array_equal(again.regions, heads[0].regions) and np.array_equal(again.spread, heads[0].spread)
    assert np.corrcoef(heads[0].regions.ravel(), heads[1].regions.ravel())[0, 1] < 0.999


def test_a_head_whose_cortex_would_lie_outside_the_brain_has_all_its_sources() -> None:
    head = make_head((101, 74, 1))  # its depths are a tenth over the typical person's
    assert np.isfinite(head.regions).all() and head.regions.shape == (len(REGIONS), len(ELECTRODES))


def test_background_has_unit_size_and_neighbours_share_it(heads: list[Head]) -> None:
    for head in heads:
        covariance = head.spread @ head.spread.T
        assert np.trace(covariance) / len(covariance) == pytest.approx(1.01)
        size = np.sqrt(np.diag(covariance))
        correlation = covariance / np.outer(size, size)
        at = {name: index for index, name in enumerate(ELECTRODES)}
        assert correlation[at["O1"], at["O2"]] > correlation[at["O1"], at["F4"]]
        assert correlation[at["Fp1"], at["Fp2"]] > correlation[at["Fp1"], at["O2"]]


def test_the_lead_field_falls_off_like_a_dipole(heads: list[Head]) -> None:
    # Behind the head a superficial dipole shows with the other sign, and small.
    for head in heads:
        blink = head.region("eye left")
        assert -0.3 < blink[ELECTRODES.index("O2")] < 0
        assert 0.05 < blink[ELECTRODES.index("F3")] < 0.6
