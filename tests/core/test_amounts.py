"""Amounts as people read them."""

import pytest

from neurolm.core.amounts import duration, in_words, likely, many


@pytest.mark.parametrize(("count", "text"), [(0, "0 files"), (1, "1 file"), (1024, "1,024 files")])
def test_one_is_not_many(count, text):
    assert many(count, "file") == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3661, "1:01:01")])
def test_duration(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (28, "28 s"), (388, "6 min 28 s"), (3600, "1 h"), (90600, "25 h 10 min"), (6480000, "1,800 h")],
)
def test_times_by_themselves_have_units(seconds, text):
    assert in_words(seconds) == text


@pytest.mark.parametrize(
    ("probability", "text"), [(0.0, "<0.01"), (0.005, "0.01"), (0.634, "0.63"), (0.994, "0.99"), (0.995, ">0.99")]
)
def test_a_probability_is_never_0_or_1(probability, text):
    assert likely(probability) == text
