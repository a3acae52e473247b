"""What is said of long work while it lasts."""

import pytest

from neurolm.prepare import report
from neurolm.prepare.report import Meter


def test_the_time_left_goes_by_bytes_and_where_files_were_empty_by_their_number(monkeypatch):
    clock, told = iter([0.0, 2.0, 4.0, 10.0]), []
    monkeypatch.setattr(report.time, "monotonic", lambda: next(clock))
    meter = Meter(told.append, total=10, before=5, size=1000)
    for size in (0, 0, 200):
        meter.add("x", size=size, hours=0.0, failures=0)
    assert [one.seconds_left for one in told] == pytest.approx([2 * 4, 4 * 3 / 2, 10 * 800 / 200])
