"""Grasp-and-Lift: tables of counts of 0.1 µV."""

import numpy as np
import pytest

from neurolm.core.errors import RecordingError, StoreError
from neurolm.corpora import grasp_and_lift, layout_of

NAMES = (
    "Fp1 Fp2 F7 F3 Fz F4 F8 FC5 FC1 FC2 FC6 T7 C3 Cz C4 T8 TP9 CP5 CP1 CP2 CP6 TP10 P7 P3 Pz P4 P8 PO9 O1 Oz O2 PO10"
)


def write(path, signal, series: str) -> None:
    path.parent.mkdir(exist_ok=True)
    counts = np.round(signal.T * 10).astype(int)
    lines = [",".join(map(str, (f"{series}_{n}", *row))) for n, row in enumerate(counts.tolist())]
    path.write_text("\n".join([",".join(("id", *NAMES.split())), *lines]) + "\n")


@pytest.fixture
def root(tmp_path, eeg):
    write(tmp_path / "train" / "subj1_series1_data.csv", eeg(32, 4, 500), "subj1_series1")
    (tmp_path / "train" / "subj1_series1_events.csv").write_text("id,HandStart\nsubj1_series1_0,0\n")
    write(tmp_path / "test" / "subj12_series10_data.csv", eeg(32, 4, 500), "subj12_series10")
    return tmp_path


def test_series(root, eeg):
    assert layout_of(root) == "grasp-and-lift"
    test, train = grasp_and_lift.LAYOUT.sources(root)
    assert (test.subject, train.subject, train.labels) == ("subj12", "subj01", ())
    recording = train.open_recording()
    assert recording.channels == tuple(name.upper() for name in NAMES.split())
    np.testing.assert_allclose(recording.read(), eeg(32, 4, 500), atol=0.0501)


def test_wrong_trees(root, eeg, empty):
    _, train = grasp_and_lift.LAYOUT.sources(root)
    write(train.path, eeg(32, 4, 500), "subj2_series1")
    with pytest.raises(RecordingError, match=r"subj1_series1_data\.csv: begins with 'subj2_series1_0' where subj1_ser"):
        train.open_recording()
    train.path.write_text("id,HandStart\n")
    with pytest.raises(RecordingError, match=r"subj1_series1_data\.csv: the columns must be id and 32 electrodes"):
        train.open_recording()
    train.path.rename(train.path.with_name("subj13_series1_data.csv"))
    with pytest.raises(StoreError, match=r"subj13_series1_data\.csv: there are subjects 1 to 12"):
        grasp_and_lift.LAYOUT.sources(root)
    with pytest.raises(StoreError, match=r"no recordings of Grasp-and-Lift.*kaggle"):
        grasp_and_lift.LAYOUT.sources(empty)
