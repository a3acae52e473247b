"""How a recording is read: what is valid, and that asking for it costs nothing."""

import subprocess
import sys
from typing import get_args

import pytest

import neurolm
from neurolm.core.errors import ConfigError
from neurolm.recording.formats.cnt import WIDTHS
from neurolm.recording.formats.edf import MICROVOLTS
from neurolm.recording.options import AUTO, DataFormat, ReadingOptions, Unit


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("unknown", "guess", "unknown='guess': choose one of error, drop, nearest, interpolate$"),
        ("unit", "pV", "unit='pV': choose one of V, mV, uV, nV, auto$"),
        ("truncated", None, "truncated=None: choose one of refuse, accept$"),
        ("data_format", "int8", "data_format='int8': choose one of int16, int32$"),
        ("rate", 0.0, "rate=0: give samples per second, as 250$"),
        ("rate", float("inf"), "rate=inf: give samples per second, as 250$"),
        ("mains", 0.0, "mains=0: give a frequency in Hz, 50 or 60$"),
        ("mains", float("nan"), "mains=nan: give a frequency in Hz, 50 or 60$"),
        ("channels", "Cz", "channels='Cz': give a list"),
    ],
)
def test_what_is_not_valid_is_refused(name, value, message):
    with pytest.raises(ConfigError, match=f"^.*{message}"):
        ReadingOptions(**{name: value})


def test_units_and_formats_are_those_that_are_understood():
    assert get_args(Unit) == (*MICROVOLTS, AUTO)
    assert get_args(DataFormat) == tuple(WIDTHS)


def test_saying_how_to_read_loads_no_library():
    assert neurolm.ReadingOptions is ReadingOptions
    code = "import sys, neurolm; neurolm.ReadingOptions(); print(*{'torch', 'mne', 'numpy'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
