"""Cases of wrong size or speed from public reports: what `expected.txt` says is right, and MNE's numbers."""

import shutil
from collections.abc import Callable
from pathlib import Path

import mne
import numpy as np
import pytest

from neurolm.core.errors import RecordingError
from neurolm.recording.options import ReadingOptions
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
