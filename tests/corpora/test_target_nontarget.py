"""Brain Invaders 2015a: MATLAB files or tables of the same samples."""

import pickle

import numpy as np
import pytest
from scipy.io import savemat

from neurolm.core.errors import ConfigError, RecordingError, StoreError
from neurolm.corpora import layout_of, target_nontarget

ELECTRODES = tuple(target_nontarget.ELECTRODES.split())


def table(signal) -> np.ndarray:
    times, triggers = np.arange(signal.shape[1]) / 512, np.zeros((signal.shape[1], 2))
    return np.column_stack([times, signal.T, triggers])


@pytest.fixture
def root(tmp_path, eeg):
    folder = tmp_path / "subject_01"
    folder.mkdir()
    savemat(folder / "subject_01_session_01.mat", {"DATA": table(eeg(32, 4, 512))})
    for name in ("subject_01_session_01", "subject_01_closed_before"):
        np.savetxt(folder / f"{name}.csv", table(eeg(32, 4, 512)), delimiter=",")
    return tmp_path


def test_recordings_of_both_formats(root, eeg):
    assert layout_of(root) == "target-nontarget"
    sources = pickle.loads(pickle.dumps(target_nontarget.LAYOUT.sources(root)))
    assert [s.path.name for s in sources] == ["subject_01_closed_before.csv", "subject_01_session_01.mat"]
    assert {s.subject for s in sources} == {"subject_01"}
    for source in sources:
        recording = source.open_recording()
        assert (recording.channels, recording.rate) == (tuple(name.upper() for name in ELECTRODES), 512.0)
        np.testing.assert_allclose(recording.read(), eeg(32, 4, 512), atol=1e-9)


def test_the_header_names_the_electrodes(root):
    (root / "Header.csv").write_text(",".join(("Time", *reversed(ELECTRODES), "Event", "Target")))
    assert target_nontarget.LAYOUT.sources(root)[0].open_recording().channels[0] == "PO10"


def test_wrong_trees(root, eeg, empty):
    (root / "Header.csv").write_text(",".join(("Time", *ELECTRODES[:-1], "Q9", "Event", "Target")))
    with pytest.raises(ConfigError, match=r"Header\.csv: expected the time, 32 electrodes.*unknown: Q9; download"):
        target_nontarget.LAYOUT.sources(root)
    (root / "Header.csv").unlink()
    rest, session = target_nontarget.LAYOUT.sources(root)
    savemat(session.path, {"DATA": table(eeg(16, 4, 512))})
    with pytest.raises(RecordingError, match=r"session_01\.mat: DATA should be .* 35 columns.*\(2048, 19\)"):
        session.open_recording()
    rest.path.write_text("1,2,3\n")
    with pytest.raises(RecordingError, match=r"closed_before\.csv: 3 columns where 35 should be"):
        rest.open_recording()
    with pytest.raises(StoreError, match=r"no recordings of Target versus.*zenodo"):
        target_nontarget.LAYOUT.sources(empty)
