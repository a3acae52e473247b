"""Cases of wrong size or speed from public reports: what `expected.txt` says is right, and MNE's numbers."""

import shutil
from collections.abc import Callable
from pathlib import Path

import mne
import numpy as np
import pytest

from neurolm.core.errors import RecordingError
from neurolm.recording.options import ReadingOptions
from neurolm.recording.preprocess import preprocess
from neurolm.recording.recording import Recording, open_recording

SIX = ("FP1", "FP2", "C3", "C4", "O1", "O2")


@pytest.fixture
def case(shared: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A copy of one of the cases' folders, with the file in it that is asked for."""

    def get(name: str) -> Path:
        folder, _, rest = name.partition("/")
        shutil.copytree(shared / "cases" / folder, tmp_path / folder, dirs_exist_ok=True)
        return tmp_path / folder / rest

    return get


def same_as_mne(recording: Recording, raw: mne.io.BaseRaw) -> None:
    """Rate, length and every sample of the channels that were taken."""
    own = {row.electrode: row.channel for row in recording.coverage if row.electrode}
    assert (recording.rate, recording.samples) == (raw.info["sfreq"], raw.n_times)
    expected = raw.get_data([own[electrode] for electrode in recording.channels]) * 1e6
    np.testing.assert_allclose(recording.read(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["phys_zero_one_channel", "dig_zero_one_channel"])
def test_edf_a_channel_without_a_range(case, name):
    file = case(f"edf_ranges/{name}.edf")
    with pytest.raises(RecordingError, match=r"FP2: no (physical|digital) range: amplitude unknown"):
        open_recording(file)
    recording = open_recording(file, reading=ReadingOptions(unknown="drop"))
    assert recording.channels == tuple(name for name in SIX if name != "FP2")
    same_as_mne(recording, mne.io.read_raw_edf(file, verbose="error"))


@pytest.mark.parametrize("name", ["phys_zero_all", "dig_zero_all"])
@pytest.mark.parametrize("unit", [None, "auto"])
def test_edf_no_channel_has_a_range(case, name, unit):
    with pytest.raises(RecordingError, match=r"no (physical|digital) range: amplitude unknown") as error:
        open_recording(case(f"edf_ranges/{name}.edf"), reading=ReadingOptions(unit=unit))
    assert "unit" not in str(error.value)


@pytest.mark.parametrize(
    "name",
    [
        "edf_ranges/phys_swapped", "edf_ranges/dig_swapped", "edf_ranges/comma", "edf_ranges/exp",
        "edf_records_mismatch/header_fewer", "edf_records_mismatch/trailing_512", "edf_records_mismatch/zero",
        "edf_records_mismatch/minus1", "edf_records_mismatch/minus1_partial", "edf_header_nuls/garbage_after_nul",
        "edf_header_nuls/nul_version", "edf_header_nuls/record_field_nul",
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_edf_as_mne_reads_it(case, name):
    file = case(f"{name}.edf")
    recording = open_recording(file)
    assert recording.channels == SIX
    same_as_mne(recording, mne.io.read_raw_edf(file, verbose="error"))
    assert bool(recording.notes) == name.startswith("edf_records")


def test_edf_that_is_shorter_than_it_says(case):
    file = case("edf_records_mismatch/header_more.edf")
    with pytest.raises(RecordingError, match=r"20 of 30 data records are there.*truncated='accept'"):
        open_recording(file)
    assert open_recording(file, reading=ReadingOptions(truncated="accept")).seconds == 20


@pytest.mark.parametrize("name", ["wrong_nominal_500", "irregular_rate0", "type_ExG"])
def test_xdf_at_the_rate_at_which_it_ran(case, name):
    import pyxdf

    file = case(f"xdf_streams/{name}.xdf")
    recording = open_recording(file, reading=ReadingOptions(unknown="drop"))
    (stream,) = pyxdf.load_xdf(file, verbose=False)[0]
    assert (recording.rate, recording.samples) == (256.0, 5120)
    np.testing.assert_array_equal(recording.read(), stream["time_series"][:, :4].T)
    assert any("256 Hz" in note or "type ExG" in note for note in recording.notes)


@pytest.mark.parametrize(
    "name",
    [
        "bv_encoding/latin1_no_codepage", "bv_encoding/latin1_says_utf8", "bv_encoding/greek_mu",
        "bv_encoding/mojibake_unit", "bv_encoding/no_unit", "bv_encoding/two_fields", "bv_encoding/utf16",
        "bv_encoding/decimal_comma_res", "bv_encoding/interval_comma", "bv_renamed/sub01", "bv_no_marker_file/nomk",
        "bv_no_marker_file/nomk_line",
    ],
)  # fmt: skip
def test_brainvision_however_it_is_spelt(case, name):
    file = case(f"{name}.vhdr")
    recording = open_recording(file)
    assert (recording.channels, recording.rate) == (SIX, 250.0)
    kind, worth = {"two_fields": ("<i2", 0.1), "decimal_comma_res": ("<i2", 0.0488281)}.get(file.stem, ("<f4", 1.0))
    numbers = np.fromfile(file.with_suffix(".eeg"), kind).reshape(-1, 6).T
    np.testing.assert_allclose(recording.read(), numbers * worth, rtol=1e-6, atol=1e-6)
    texts = [mark.text for mark in recording.annotations]
    if name.startswith("bv_no_marker"):
        assert texts == [] and "no annotations" in " ".join(recording.notes)
    else:
        assert texts == (["Comment/Öffnen"] if "latin1" in name else ["Stimulus/S  1", "Comment/Augen zu"])
    assert ("sub01.eeg was taken" in " ".join(recording.notes)) == (file.stem == "sub01")


def test_brainvision_in_millivolts_that_are_none(case):
    with pytest.raises(RecordingError, match="unit='uV'"):
        open_recording(case("bv_encoding/mV.vhdr"))


@pytest.mark.parametrize("person", ["01", "02"])
def test_bids_tables_in_latin_1(case, person):
    recording = open_recording(case(f"bids_latin1/sub-{person}/eeg/sub-{person}_task-rest_eeg.edf"))
    assert (recording.channels, recording.unit) == (SIX[:4], "uV")


@pytest.mark.parametrize(
    ("person", "said"), [("01", "git annex get"), ("03", "datalad get"), ("04", "git lfs pull"), ("02", None)]
)
def test_what_was_not_fetched(case, person, said):
    file = case(f"datalad/sub-{person}/eeg/sub-{person}_task-rest_eeg.edf")
    if said is None:
        assert open_recording(file).channels == SIX
        return
    with pytest.raises(RecordingError, match=rf"a file that is not there.*{said}"):
        open_recording(file)


def test_what_readers_print_stays_out_of_json(case, capsys):
    import json

    from neurolm.cli import main

    folder = case("json_polluted/")
    (file,) = folder.glob("*.lay")
    main(["inspect", str(file), "--json"])
    assert "electrodes" in json.loads(capsys.readouterr().out)[0]


def test_eeglab_labels_that_are_numbers(case):
    file = case("eeglab/labels_numeric.set")
    with pytest.raises(RecordingError, match=r"6 of 6 EEG channels are no known electrodes: 1, 2, 3, 4, 5, 6"):
        open_recording(file)
    named = {str(i): name for i, name in enumerate(SIX, 1)}
    recording = open_recording(file, reading=ReadingOptions(channels=named))
    plain = open_recording(case("eeglab/plain.set"))
    assert recording.channels == plain.channels == SIX
    np.testing.assert_array_equal(recording.read(), plain.read())


def test_half_a_volt_outside_the_minute_that_is_looked_at(case):
    found = preprocess(open_recording(case("nan_unseen/half_volt_raw.fif")))
    assert [(stretch.start, stretch.stop) for stretch in found.stretches] == [(0, 2400), (2800, 24000)]
    assert "no electrode gives" in " ".join(found.notes) and "C3 between 12.00 and 13.99 s" in " ".join(found.notes)
    assert np.abs(found.signal).max() < 200
