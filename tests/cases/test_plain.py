"""Cases of two formats that MNE reads only in part: any part is that of the whole file."""

from pathlib import Path

import mne
import numpy as np
import pytest

from neurolm.core.errors import RecordingError
from neurolm.recording.options import ReadingOptions
from neurolm.recording.recording import open_recording


@pytest.fixture
def cases(shared: Path) -> Path:
    return shared / "cases"


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("nedf/testdata.nedf", "read_raw_nedf"),
        ("vamp_ahdr/fits.ahdr", "read_raw_brainvision"),
        ("vamp_ahdr/odd.ahdr", "read_raw_brainvision"),
    ],
)
def test_any_part_is_that_of_the_whole_file_as_mne_reads_it(cases, name, reader):
    recording = open_recording(cases / name, reading=ReadingOptions(unknown="drop"))
    raw = getattr(mne.io, reader)(cases / name, preload=True, verbose="error")
    own = {row.electrode: row.channel for row in recording.coverage if row.electrode}
    whole = raw.get_data([own[electrode] for electrode in recording.channels]) * 1e6
    assert (recording.rate, recording.samples) == (raw.info["sfreq"], raw.n_times)
    for first, last in (
        (0, raw.n_times),
        (3, 1004),
        (7, 9),
        (12, min(5009, raw.n_times)),
        (raw.n_times - 2, raw.n_times),
    ):
        np.testing.assert_allclose(recording.read_samples(first, last), whole[:, first:last], rtol=1e-9)


def test_v_amp_without_a_signal_is_flat_not_truncated(cases):
    with pytest.raises(RecordingError, match="all 4 channels are flat"):
        open_recording(cases / "vamp_ahdr" / "test_VAmp.ahdr", reading=ReadingOptions(unknown="drop"))
