"""A source behind the guard: in order, markers with the samples that they belong to, and a rate that is measured."""

import numpy as np

from neurolm.live.guard import Guard
from neurolm.live.source import Chunk, Layout, Notice


class Made:
    """A source of what a test says."""

    def __init__(self, arrived, rate=100.0, channels=("C3", "C4")):
        self.layout, self.arrived, self.closed = Layout(channels=channels, rate=rate), arrived, 0

    def __iter__(self):
        return iter(self.arrived)

    def close(self):
        self.closed += 1


def chunk(numbers, *, rate=100.0, markers=()):
    """Samples that are numbered, at the times of a clock that began with them."""
    numbers = np.asarray(numbers)
    times = numbers / rate
    return Chunk(samples=np.array([numbers, -numbers], float), times=times, received=float(times[-1]), markers=markers)


def test_chunks_that_are_in_order_pass_as_they_are():
    made = Made([chunk(range(at, at + 20), markers=((at / 100, "m"),)) for at in range(0, 200, 20)])
    guard = Guard(made, live=True)
    for before, after in zip(made.arrived, guard, strict=True):
        assert np.array_equal(before.samples, after.samples) and np.array_equal(before.times, after.times)
        assert before.markers == after.markers and before.received == after.received
    guard.close()
    assert made.closed == 1 and guard.layout is made.layout


def test_markers_wait_for_their_samples():
    late, rest = (
        chunk(range(20, 40), markers=((0.31, "late"),)),
        chunk(range(40, 100), markers=((0.99, "end"), (5, "x"))),
    )
    arrived = list(Guard(Made([chunk(range(20), markers=((0.25, "early"),)), late, rest]), live=True))
    assert [one.markers for one in arrived] == [(), ((0.25, "early"), (0.31, "late")), ((0.99, "end"),)]


def test_what_is_a_number_nowhere_is_missing_and_one_bad_electrode_is_not():
    one, other = chunk(range(50)), chunk(range(50, 150))
    one.samples[0, 10:20] = np.nan
    other.samples[:, 20:40] = np.nan
    arrived = list(Guard(Made([one, other]), live=True))
    chunks = [a for a in arrived if isinstance(a, Chunk)]
    assert [(n.kind, n.text, n.time) for n in arrived if isinstance(n, Notice)] == [
        ("gap", "0.2 s are missing (20 samples)", 0.7)
    ]
    numbers = np.concatenate([c.samples[1] for c in chunks])
    assert np.array_equal(-numbers, np.r_[0:70, 90:150])


def test_another_layout_begins_anew():
    new = Layout(channels=("C3",), rate=50.0)
    changed = Notice(kind="rate-changed", text="…", time=2.0, layout=new)
    after = Chunk(samples=np.zeros((1, 50)), times=np.arange(50) / 50 + 2, received=2.0)
    guard = Guard(Made([chunk(range(100)), changed, after]), live=True)
    arrived = list(guard)
    assert [type(one).__name__ for one in arrived] == ["Chunk", "Notice", "Chunk"] and guard.layout is new


def test_what_is_held_comes_before_a_notice_of_the_source():
    ended = Notice(kind="ended", text="over", time=1.1)
    arrived = list(Guard(Made([chunk(range(100)), chunk(range(105, 110)), ended]), live=True))
    assert [getattr(one, "kind", "chunk") for one in arrived] == ["chunk", "gap", "chunk", "ended"]


def test_a_rate_that_is_not_the_declared_one_is_said_once():
    made = Made([chunk(range(at, at + 50), rate=102.0) for at in range(0, 15000, 50)])
    guard = Guard(made, live=True)
    notices = [one for one in guard if isinstance(one, Notice)]
    assert [one.kind for one in notices] == ["rate-changed"]
    assert abs(guard.layout.rate - 102) < 0.01 and "not at 100" in notices[0].text
    quiet = Made([chunk(range(at, at + 50), rate=100.5) for at in range(0, 15000, 50)])
    assert not [one for one in Guard(quiet, live=True) if isinstance(one, Notice)]
