"""Samples come out as they went in, in order and once, whatever happens to them on the way, and all of it is said."""

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurolm.live.timeline import Oddity, Run, Timeline

RATE = 100
PATIENCE = 25  # a quarter of a second
APART = 200  # samples between faults


def pushed(stamps, numbers, cuts, *, arrivals=None, live=True, rate=RATE):
    """Push numbered samples in chunks; return the numbers that come out, their times and the oddities."""
    timeline = Timeline(rate, live=live)
    found = []
    arrivals = np.asarray(stamps if arrivals is None else arrivals, float)
    for first, last in zip([0, *cuts], [*cuts, len(stamps)], strict=True):
        if first < last:
            two = np.array([numbers[first:last], -np.asarray(numbers[first:last])], float)
            found += timeline.push(np.asarray(stamps[first:last], float), two, float(arrivals[last - 1]))
    found += timeline.flush()
    runs = [one for one in found if isinstance(one, Run)]
    samples = np.concatenate([run.samples for run in runs], axis=1)
    assert np.array_equal(samples[0], -samples[1])
    return samples[0].astype(int).tolist(), runs, [one for one in found if isinstance(one, Oddity)]


@st.composite
def faulty_streams(draw):
    """A stream with faults that are far enough from each other to be told apart, and what is to come of them."""
    stamps, numbers, out, said, shift, at = [], [], [], Counter(), 0.0, 0

    def send(order):
        stamps.extend((np.asarray(order) / RATE + shift).tolist())
        numbers.extend(order)

    for _ in range(draw(st.integers(1, 5))):
        send(range(at, at + APART))
        out += range(at, at + APART)
        at += APART
        kind, many = (
            draw(st.sampled_from(["gap", "twice", "late", "too late", "ahead", "back"])),
            draw(st.integers(1, 10)),
        )
        after = draw(st.integers(1, PATIENCE - 1 - many))
        if kind == "gap":
            at += many * draw(st.sampled_from([1, 30]))
            said["gap"] += 1
        elif kind == "twice":
            send([*range(at, at + after), *range(at - many, at)])
            out += range(at, at + after)
            at += after
            said["duplicate"] += many
        elif kind == "late":
            send([*range(at + many, at + many + after), *range(at, at + many)])
            out += range(at, at + many + after)
            at += many + after
            said["late"] += many
        elif kind == "too late":
            send([*range(at + many, at + APART), *range(at, at + many)])
            out += range(at + many, at + APART)
            at += APART
            said["gap"] += 1
            said["late"] += many
        else:
            shift += draw(st.sampled_from([3.0, 3600.0, 12.345])) * (1 if kind == "ahead" else -1)
            said["clock-jump"] += 1
    send(range(at, at + APART))
    out += range(at, at + APART)
    # Chunks are short enough for what is too late not to come with what it is too late for.
    cuts = np.cumsum(draw(st.lists(st.integers(1, 60), min_size=len(stamps) // 10, max_size=len(stamps))))
    return stamps, numbers, out, said, [int(cut) for cut in cuts if cut < len(stamps)]


@settings(max_examples=80, deadline=None, derandomize=True)
@given(faulty_streams())
def test_samples_come_out_in_order_and_once_and_each_fault_is_said(stream):
    stamps, numbers, out, said, cuts = stream
    if not cuts or max(np.diff([0, *cuts, len(stamps)])) > 60:
        cuts = list(range(20, len(stamps), 20))
    arrivals = np.maximum.accumulate(numbers) / RATE  # a clock that is never set
    found, runs, oddities = pushed(stamps, numbers, cuts, arrivals=arrivals)
    assert found == out
    told = Counter()
    for one in oddities:
        told[one.kind] += one.samples if one.kind in ("late", "duplicate") else 1
    assert told == said
    assert all((np.diff(run.times) > 0).all() for run in runs)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 400), min_size=2, max_size=300), st.integers(1, 40), st.booleans())
def test_whatever_comes_no_sample_comes_out_twice_and_none_vanishes_unsaid(places, size, live):
    stamps = np.array(places) / RATE
    found, runs, oddities = pushed(stamps, np.arange(len(stamps)), range(size, len(stamps), size), live=live)
    assert len(set(found)) == len(found)
    left = sum(one.samples for one in oddities if one.kind in ("late", "duplicate") and not one.placed)
    assert len(found) + left == len(stamps)
    assert all((np.diff(run.times) > 0).all() for run in runs)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.floats(0, 0.05), st.floats(0, 0.9), st.integers(1, 40))
def test_stamps_of_arrival_may_jitter_and_stand_still(seed, jitter, stall, size):
    rng = np.random.default_rng(seed)
    true = np.arange(1500) / RATE
    arrived = true + rng.exponential(jitter + 1e-9, 1500).clip(0, 0.2)
    held = (true > 7) & (true < 7 + stall)
    arrived[held] = 7 + stall
    stamps = np.maximum.accumulate(arrived) + np.arange(1500) * 1e-6
    found, runs, oddities = pushed(stamps, np.arange(1500), range(size, 1500, size))
    assert found == list(range(1500)) and not oddities
    times = np.concatenate([run.times for run in runs])
    assert (np.diff(times) > 0).all()
    assert np.abs(times - true).max() < 0.3 + stall


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.integers(2, 40), st.floats(0, 0.03), st.floats(-0.04, 0.04))
def test_chunks_that_are_stamped_when_they_are_sent_may_overlap(seed, size, jitter, slower):
    """As LSL's programs do: the last sample is now, those before by the declared rate, whatever the true one is."""
    count = 3000 // size * size
    ends = (np.arange(size - 1, count, size)) / RATE * (1 + slower)
    sent = ends + np.random.default_rng(seed).exponential(jitter + 1e-9, len(ends)).clip(0, 0.1)
    stamps = (sent[:, None] - np.arange(size - 1, -1, -1) / RATE).ravel()
    found, runs, oddities = pushed(stamps, np.arange(count), range(size, count, size))
    assert found == list(range(count)) and not oddities
    assert (np.diff(np.concatenate([run.times for run in runs])) > 0).all()


def test_a_gap_in_jittering_stamps_has_its_length():
    true = np.arange(2000) / RATE
    stamps = np.maximum.accumulate(true + np.random.default_rng(0).exponential(0.015, 2000))
    kept = np.r_[0:1000, 1120:2000]
    found, _, oddities = pushed(stamps[kept], kept, range(10, len(kept), 10))
    assert found == kept.tolist()
    assert [one.kind for one in oddities] == ["gap"]
    assert oddities[0].seconds == pytest.approx(1.2, abs=0.05)


def test_packets_whose_samples_share_a_stamp_are_no_fault():
    true = np.arange(1200) / RATE
    stamps = true[np.minimum(np.arange(1200) // 12 * 12 + 11, 1199)]
    found, runs, oddities = pushed(stamps, np.arange(1200), range(12, 1200, 12))
    assert found == list(range(1200)) and not oddities
    assert (np.diff(np.concatenate([run.times for run in runs])) > 0).all()


def test_a_clock_ahead_of_arrival_was_set_and_one_that_arrival_follows_lost_samples():
    stamps = np.r_[0:5:0.01, 65:70:0.01]
    at_once, waited = np.arange(1000) / RATE, stamps
    for arrivals, live, kind in ((at_once, True, "clock-jump"), (waited, True, "gap"), (at_once, False, "gap")):
        found, _, oddities = pushed(stamps, np.arange(1000), range(20, 1000, 20), arrivals=arrivals, live=live)
        assert found == list(range(1000)) and [one.kind for one in oddities] == [kind]
        assert oddities[0].seconds == pytest.approx(60) and oddities[0].time == pytest.approx(5)


def test_nothing_waits_as_long_as_nothing_is_wrong():
    timeline = Timeline(RATE, live=True)
    for first in range(0, 500, 7):
        stamps = (first + np.arange(7)) / RATE
        (run,) = timeline.push(stamps, np.zeros((2, 7)), float(stamps[-1]))
        assert np.array_equal(run.times, stamps) and not timeline.held


@pytest.mark.parametrize(
    ("oddity", "words"),
    [
        (Oddity("gap", 1.0, 1, 0.004), r"0\.004 s are missing \(1 sample\)"),
        (Oddity("gap", 1.0, 1250, 5.0), r"5 s are missing \(1,250 samples\)"),
        (Oddity("clock-jump", 1.0, seconds=-3600.0), "the source's clock jumped back by 3600 s"),
        (Oddity("late", 1.0, 3, placed=True), "3 samples came late and were put in their place"),
        (Oddity("late", 1.0, 3), "3 samples came late and were left out"),
        (Oddity("duplicate", 1.0, 2), "2 samples came twice; what came again was left out"),
    ],
)
def test_what_is_said_has_the_numbers(oddity, words):
    assert re.fullmatch(words, str(oddity))
