"""Channels of streams, as programs of the Lab Streaming Layer describe them."""

import math

import pytest

from neurolm.recording.formats.stream_channels import describe_channels


def test_what_is_not_described_is_eeg_without_a_unit():
    assert describe_channels([{"label": "C3"}], 2) == (["C3", "ch2"], ["eeg", "eeg"], ["", ""])


def test_types_and_names_that_repeat():
    listed = [{"label": "C3", "type": "EEG"}, {"label": "C3", "type": "eog"}, {"label": "T", "type": "stim"}]
    assert describe_channels(listed, 3)[:2] == (["C3-0", "C3-1", "T"], ["eeg", "other", "stimulus"])


@pytest.mark.parametrize(
    ("written", "unit"),
    [("microvolts", "uV"), ("uV", "uV"), ("volts", "V"), ("mV", "mV"), ("none", ""), ("fT", None)],
)
def test_units_are_words_of_any_program(written, unit):
    assert describe_channels([{"unit": written}], 1)[2] == [unit]


@pytest.mark.parametrize("volts", [1.0, 1e-3, 1e-6])
def test_units_of_mne_lsl_are_powers_of_ten_of_a_volt(volts):
    """As its own description of a recording in volts has them."""
    info = pytest.importorskip("mne_lsl.lsl").StreamInfo("any", "EEG", 1, 200, "float64", "")
    info.set_channel_units([round(math.log10(volts))])
    unit = {1.0: "V", 1e-3: "mV", 1e-6: "uV"}[volts]
    assert describe_channels([{"unit": info.get_channel_units()[0]}], 1)[2] == [unit]
