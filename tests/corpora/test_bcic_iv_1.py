"""BCI Competition IV, 1: MATLAB files of counts, cues as labels."""

import pickle

import numpy as np
import pytest
from scipy.io import savemat

from neurolm.core.errors import ConfigError, RecordingError, StoreError
from neurolm.corpora import bcic_iv_1, layout_of
from neurolm.store.store import Label

NAMES = ("AF3", "CFC7", "C3", "CCP8", "O2")


def cells(*texts: str) -> np.ndarray:
    return np.array(texts, dtype=object)[None]


def write(path, signal, *, rate: float = 1000, classes=("left", "foot"), **more) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    counts = np.round(signal.T * 10).astype(np.int16)
    about = {"fs": rate, "clab": cells(*NAMES), "classes": cells(*classes)}
    savemat(path, {"cnt": counts, "nfo": about} | more)


@pytest.fixture
def root(tmp_path, eeg):
    signal = eeg(5, 12, 1000)
    cues = {"mrk": {"pos": np.array([[2001, 7001]]), "y": np.array([[1, -1]], np.int16)}}
    write(tmp_path / "BCICIV_1calib_1000Hz_mat" / "BCICIV_calib_ds1a_1000Hz.mat", signal, **cues)
    write(tmp_path / "BCICIV_1eval_1000Hz_mat" / "BCICIV_eval_ds1g_1000Hz.mat", signal)
    write(tmp_path / "BCICIV_1_mat" / "BCICIV_calib_ds1a.mat", signal[:, ::10], rate=100, **cues)
    return tmp_path


def test_recordings_and_cues(root, eeg):
    assert layout_of(root) == "bcic-iv-1"
    calibration, evaluation = pickle.loads(pickle.dumps(bcic_iv_1.LAYOUT.sources(root)))
    assert (calibration.subject, evaluation.subject) == ("a", "g")
    recording = calibration.open_recording()
    assert (recording.channels, recording.rate, recording.path) == (NAMES, 1000.0, calibration.path)
    np.testing.assert_allclose(recording.read(), eeg(5, 12, 1000), atol=0.0501)
    assert calibration.labelled(recording) == (
        Label("bcic-iv-1", "foot", 2.0, 6.0), Label("bcic-iv-1", "left", 7.0, 11.0),
    )  # fmt: skip
    assert evaluation.labelled(evaluation.open_recording()) == ()


def test_wrong_trees(root, eeg):
    with pytest.raises(StoreError, match=r"only the copies at 100 Hz .*download the 1000 Hz MATLAB files"):
        bcic_iv_1.LAYOUT.sources(root / "BCICIV_1_mat")
    source, _ = bcic_iv_1.LAYOUT.sources(root)
    cues = {"pos": np.array([[2001]]), "y": np.array([[1]])}
    write(source.path, eeg(5, 12, 1000), classes=("left", "tongue"), mrk=cues)
    with pytest.raises(ConfigError, match=r"ds1a_1000Hz\.mat: unknown class 'tongue', known: left, right, foot"):
        source.labelled(source.open_recording())
    write(source.path, eeg(5, 12, 1000), mrk={"pos": np.array([[2001]]), "y": np.array([[3]])})
    with pytest.raises(RecordingError, match=r"ds1a_1000Hz\.mat: mrk must have pos and y"):
        source.open_recording()
    write(source.path, eeg(4, 12, 1000))
    with pytest.raises(RecordingError, match=r"cnt should be a table of numbers with 5 columns, .*\(12000, 4\)"):
        source.open_recording()
    savemat(source.path, {"nfo": {"fs": 1000}})
    with pytest.raises(RecordingError, match=r"ds1a_1000Hz\.mat: no variable cnt; found: nfo; download it again"):
        source.open_recording()
    source.path.write_bytes(b"MATLAB" * 40)
    with pytest.raises(RecordingError, match=r"ds1a_1000Hz\.mat: cannot be read as a MATLAB file"):
        source.open_recording()
