"""Stretches of a recording: cut, split, found again."""

import pytest

from neurolm.core.stretches import (
    Stretch,
    holding,
    joined,
    moment,
    one_after_another,
    overlapping,
    split,
    whole,
    without,
)

TWO = (Stretch(0, 100, 0), Stretch(500, 50, 100))
"""A gap of 400 samples after the first 100."""


def test_what_is_cut_out_belongs_to_no_stretch() -> None:
    assert without(whole(10), [(2, 4), (3, 6), (9, 20), (5, 5)]) == (Stretch(0, 2, 0), Stretch(6, 3, 6))
    assert without(TWO, [(0, 100)]) == (TWO[1],)
    assert without(TWO, [(90, 510)]) == (Stretch(0, 90, 0), Stretch(510, 40, 110))
    assert without(TWO, [(100, 500)]) == TWO
    assert without(whole(10), [(0, 10)]) == ()


def test_a_seam_loses_nothing() -> None:
    assert split(TWO, [0, 100, 40, 40, 520, 300]) == (
        Stretch(0, 40, 0), Stretch(40, 60, 40), Stretch(500, 20, 100), Stretch(520, 30, 120),
    )  # fmt: skip


def test_samples_and_moments_are_found() -> None:
    assert overlapping(TWO, 90, 510) == (Stretch(90, 10, 90), Stretch(500, 10, 100))
    assert holding(TWO, 510, 550) == Stretch(510, 40, 110)
    assert holding(TWO, 90, 510) is None and holding(TWO, 200, 300) is None
    assert [moment(TWO, sample) for sample in (0, 99, 100, 149)] == [0, 99, 500, 549]
    with pytest.raises(IndexError, match="no sample 150"):
        moment(TWO, 150)
    assert joined(TWO, 90, 110) == [(90, 100), (500, 510)]
    assert one_after_another([(0, 100), (500, 550)]) == TWO
