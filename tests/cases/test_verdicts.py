"""Every file of the cases that are many variants of one: taken, or refused with the reason that is right."""

from pathlib import Path

import pytest

from neurolm.recording.inspect import inspect

VERDICTS = {
    "eeglab": {
        "boundary.set": "", "plain.set": "", "renamed.set": "", "nodatchans0.set": "", "single.set": "",
        "srate_int.set": "",
        "nan.set": "",  # refused once; what is missing is left out now, with electrode and time, as in every format
        "dat.set": "Old data format .dat", "dat.dat": "Old data format .dat",
        "datain_set_string.set": "Could not find the .fdt data file",
        "missingfdt.set": "Could not find the .fdt data file", "epochs.set": "The number of trials is 5",
        "labels_numeric.set": "6 of 6 EEG channels are no known electrodes: 1, 2", "volts.set": "unit V",
        "nochanlocs.set": "6 of 6 EEG channels are no known electrodes: EEG 000",
        "type_eog.set": "no EEG electrode among its 6 channels (left out, eog: Fp1",
    },
    "bv_encoding": {
        "decimal_comma_res.vhdr": "", "greek_mu.vhdr": "", "interval_comma.vhdr": "", "interval_nonint.vhdr": "",
        "latin1_no_codepage.vhdr": "", "latin1_says_utf8.vhdr": "", "mojibake_unit.vhdr": "", "no_unit.vhdr": "",
        "two_fields.vhdr": "", "utf16.vhdr": "", "comma_in_name.vhdr": "1 of 6 EEG channels are no known electrodes",
        "mV.vhdr": "with its numbers taken as mV",
    },
    "xdf_streams": {
        "eeg_one_empty_one_full.xdf": "", "emotiv_lsl.xdf": "", "irregular_rate0.xdf": "", "type_ExG.xdf": "",
        "wrong_nominal_500.xdf": "", "empty_eeg.xdf": "no stream of type EEG with samples in it",
        "nolabels.xdf": "5 of 5 EEG channels are no known electrodes: ch1",
    },
    "edf_ranges": {
        "comma.edf": "", "dig_swapped.edf": "", "exp.edf": "", "phys_swapped.edf": "",
        "dig_zero_all.edf": "no digital range: amplitude unknown, in all 6 channels",
        "phys_zero_all.edf": "no physical range: amplitude unknown, in all 6 channels",
        "dig_zero_one_channel.edf": "FP2: no digital range", "phys_zero_one_channel.edf": "FP2: no physical range",
        "degree.edf": "the physical maximum of a signal reads",  # nobody can tell what a degree of voltage is
    },
}  # fmt: skip
"""Case → file → part of the first reason to refuse it; nothing where it is usable."""


@pytest.mark.parametrize("case", VERDICTS)
def test_every_file_of_a_case_is_judged(shared: Path, case: str) -> None:
    folder, expected = shared / "cases" / case, dict(VERDICTS[case])
    mains = {".set", ".vhdr", ".xdf", ".edf"}
    files = [path for path in sorted(folder.iterdir()) if path.suffix in mains]
    assert [path.name for path in files if path.name not in expected] == []
    for path in files:
        found = inspect(path)
        said = " ".join(found.problems).replace("unit=", "unit ")
        assert found.usable == (not expected[path.name]), (path.name, said)
        assert expected[path.name].replace("'", "") in said.replace("'", ""), path.name
