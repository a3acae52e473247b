"""Sleep stages by their names, and their order in a hypnogram"""

import pytest

from neurolm.tasks.stages import are_stages, drawn_order, stage


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("Wake", "W"), ("NREM-1", "N1"), ("N2", "N2"), ("Sleep stage 3", "N3"), ("Sleep stage 4", "N3"),
        ("Sleep stage W", "W"), ("Sleep stage R", "R"), ("REM", "R"), ("stage N1", "N1"), ("Sleep stage ?", None),
        ("Yes", None), ("Movement time", None), ("", None),
    ],
)  # fmt: skip
def test_a_stage_is_known_by_its_names(label, expected):
    assert stage(label) == expected


def test_rem_is_drawn_between_wake_and_n1():
    labels = ("Wake", "NREM-1", "NREM-2", "NREM-3", "REM")
    assert [labels[place] for place in drawn_order(labels)] == ["Wake", "REM", "NREM-1", "NREM-2", "NREM-3"]


@pytest.mark.parametrize("labels", [("Yes", "No"), ("1", "2", "3"), ("N3", "Sleep stage 4", "Wake"), ("Wake",)])
def test_what_are_no_stages_stays_in_its_order(labels):
    assert not are_stages(labels)
    assert drawn_order(labels) == list(range(len(labels)))
