"""What is left out together: never what shares time, and every label has another part to be learned from."""

import itertools

import pytest

from neurolm.batches.windows import Window
from neurolm.core.physics import RATE
from neurolm.train.left_out import PARTS, left_out


def windows(
    stretches: list[tuple[int, float, float, str]], *, seconds: int = 2, stride: float = 1, who: str = "a"
) -> list[Window]:
    """Windows of stretches (recording, start, stop, label), in seconds."""
    found = []
    for recording, start, stop, label in stretches:
        span = (round(start * RATE), round(stop * RATE))
        for first in range(span[0], span[1] - seconds * RATE + 1, round(stride * RATE)):
            found.append(Window(recording, first, seconds, label, who, span))
    return found


def require_apart(found) -> None:
    """No window shares time with one of another group, and without any group every label is still there."""
    for (one, group), (other, another) in itertools.combinations(zip(found.windows, found.groups, strict=True), 2):
        if group != another and one.recording == other.recording:
            assert abs(one.start - other.start) >= one.seconds * RATE
    labels = {window.label for window in found.windows}
    for group in set(found.groups):
        rest = {w.label for w, its in zip(found.windows, found.groups, strict=True) if its != group}
        assert rest == labels


def test_several_people_are_left_out_whatever_their_recordings() -> None:
    cut = windows([(0, 0, 9, "x"), (1, 0, 9, "y")]) + windows([(2, 0, 9, "x"), (3, 0, 9, "y")], who="b")
    found = left_out(cut)
    assert (found.kind, found.windows, set(found.groups)) == ("people", tuple(cut), {"a", "b"})


def test_recordings_of_one_person_where_each_label_is_in_two() -> None:
    cut = windows([(0, 0, 9, "x"), (0, 9, 20, "y"), (1, 0, 9, "x"), (2, 0, 9, "y")])
    found = left_out(cut)
    assert (found.kind, found.windows, set(found.groups)) == ("recordings", tuple(cut), {"0", "1", "2"})


def test_trials_of_one_recording_go_out_whole_and_in_runs() -> None:
    trials = [(0, 7.0 * i, 7.0 * i + 5, "xyz"[i % 3]) for i in range(24)]
    found = left_out(windows(trials))
    assert found.kind == "stretches" and len(found.windows) == 24 * 4 and len(set(found.groups)) == PARTS
    groups = [{g for w, g in zip(found.windows, found.groups, strict=True) if w.span[0] == 1400 * i} for i in range(24)]
    assert all(len(group) == 1 for group in groups)
    assert [group.pop() for group in groups] == sorted(str(i // 3 * PARTS // 8) for i in range(24))
    require_apart(found)


@pytest.mark.parametrize("stride", [0.25, 1, 2])
def test_a_label_of_one_stretch_is_cut_and_what_overlaps_the_cut_is_left_out(stride: float) -> None:
    cut = windows([(0, 0, 60, "x"), (1, 0, 60, "y")], stride=stride)  # a recording for each label
    found = left_out(cut)
    assert found.kind == "stretches" and len(set(found.groups)) == PARTS
    lost = 2 * (PARTS - 1) * (2 / stride - 1)  # the windows before the first that begins after the cut
    assert len(cut) - len(found.windows) == lost
    require_apart(found)


def test_trials_that_overlap_are_taken_apart() -> None:
    trials = [(0, 0.5 * i, 0.5 * i + 1, "target" if i % 5 == 0 else "other") for i in range(100)]
    found = left_out(windows(trials, seconds=1))
    assert found.kind == "stretches" and len(found.windows) > 80
    require_apart(found)


@pytest.mark.parametrize("trials", [[], [(0, 0, 2, "x")], [(0, 0, 2, "x"), (0, 2, 4, "y")]])
def test_too_little_is_one_group_or_none(trials) -> None:
    found = left_out(windows(trials))
    assert len(set(found.groups)) == (1 if trials else 0) and len(found.windows) == len(trials)
