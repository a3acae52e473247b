"""What listens to an outlet hears probabilities, ages and words, and reads the question in the description."""

import time
import uuid
from xml.etree import ElementTree

import numpy as np
import pytest

from neurolm.core.errors import ConfigError, QuestionError
from neurolm.live.outlet import Outlet

lsl = pytest.importorskip("mne_lsl.lsl")


def inlet(name):
    (found,) = lsl.resolve_streams(30, name=name)
    opened = lsl.StreamInlet(found)
    opened.open_stream(10)
    return opened


def pulled(opened, count):
    """Samples and stamps, as soon as there are so many."""
    rows, stamps, until = [], [], time.monotonic() + 20
    while len(rows) < count and time.monotonic() < until:
        more, at = opened.pull_chunk(timeout=0.1)
        rows += [list(row) for row in more]
        stamps += list(at)
    return rows, stamps


def test_probabilities_and_states_are_heard():
    name = f"neurolm-{uuid.uuid4().hex[:12]}"
    outlet = Outlet(name, "Are the eyes open?", ("yes", "no"))
    numbers, words = inlet(name), inlet(f"{name}-status")
    now = lsl.local_clock()
    outlet.push(None, None, None, "warming up", now)
    outlet.push((0.75, 0.25), 0.12, 8.5, "answer", now + 1)
    outlet.push((0.5, 0.5), 0.1, 9.0, "answer", now + 2)
    outlet.push((0.5, 0.5), 2.0, 9.0, "gap")
    rows, stamps = pulled(numbers, 4)
    expected = [[np.nan] * 4, [0.75, 0.25, 0.12, 8.5], [0.5, 0.5, 0.1, 9.0], [0.5, 0.5, 2.0, 9.0]]
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_allclose(stamps[:3], [now, now + 1, now + 2], atol=1e-6)
    assert abs(stamps[3] - now) < 20
    said, when = pulled(words, 3)
    assert said == [["warming up"], ["answer"], ["gap"]]  # a word is sent when it is another
    np.testing.assert_allclose(when[:2], [now, now + 1], atol=1e-6)
    info = numbers.get_sinfo(5)
    assert info.get_channel_names() == ["yes", "no", "age of the newest sample", "latency"]
    assert info.get_channel_units() == ["probability", "probability", "s", "ms"]
    assert (info.sfreq, info.stype) == (0.0, "Probabilities")
    assert ElementTree.fromstring(info.as_xml).findtext("./desc/question") == "Are the eyes open?"
    outlet.close()


def test_what_cannot_be_sent_says_why():
    with pytest.raises(QuestionError, match="without options"):
        Outlet("x", "Free text?", ())
    with pytest.raises(ConfigError, match="needs a name"):
        Outlet("", "Are the eyes open?", ("yes", "no"))
    outlet = Outlet(f"neurolm-{uuid.uuid4().hex[:12]}", "Are the eyes open?", ("yes", "no"))
    with pytest.raises(ValueError, match="3 probabilities for 2 options"):
        outlet.push((0.2, 0.3, 0.5), 0.1, 1.0, "answer")
    outlet.close()
