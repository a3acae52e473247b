"""Inria: tables of sessions, labels in a table of their own."""

import numpy as np
import pytest

from neurolm.core.errors import ConfigError, RecordingError, StoreError
from neurolm.corpora import inria, layout_of
from neurolm.store.store import Label

HEADER = "Time,Fp1,Cz,P08,EOG,FeedBackEvent"
LABELS = "IdFeedBack,Prediction\nS02_Sess01_FB001,1\nS02_Sess01_FB002,0\n"


def write(path, signal, feedback=(200, 1100), header=HEADER) -> None:
    path.parent.mkdir(exist_ok=True)
    events = np.isin(np.arange(signal.shape[1]), feedback)
    table = np.column_stack([np.arange(signal.shape[1]) / 200, signal.T, events])
    np.savetxt(path, table, delimiter=",", header=header, comments="", fmt="%.6f")


@pytest.fixture
def root(tmp_path, eeg):
    write(tmp_path / "train" / "Data_S02_Sess01.csv", eeg(4, 6, 200))
    write(tmp_path / "test" / "Data_S01_Sess05.csv", eeg(4, 6, 200))
    (tmp_path / "TrainLabels.csv").write_text(LABELS)
    return tmp_path


def test_sessions_and_feedback(root, eeg):
    assert layout_of(root) == "inria"
    test, train = inria.LAYOUT.sources(root)
    assert (test.subject, train.subject) == ("S01", "S02")
    recording = train.open_recording()
    assert (recording.channels, recording.rate) == (("FP1", "CZ", "PO8"), 200.0)
    np.testing.assert_allclose(recording.read(), eeg(4, 6, 200)[:3], atol=1e-5)
    assert any("EOG" in note for note in recording.notes)
    assert train.labelled(recording) == (Label("inria", "correct", 1.0, 2.3), Label("inria", "wrong", 5.5, 6.0))
    assert test.labelled(test.open_recording()) == ()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS.replace(",0", ",2"), r"TrainLabels\.csv, line 3: expected .* found 'S02_Sess01_FB002','2'"),
        (LABELS.replace("FB002", "FB003"), r"TrainLabels\.csv, line 3: S02_Sess01_FB003 is out of order"),
        (LABELS.replace("S02", "S06"), r"TrainLabels\.csv: no line for S02_Sess01"),
    ],
)
def test_wrong_labels_are_named(root, labels, message):
    (root / "TrainLabels.csv").write_text(labels)
    with pytest.raises(ConfigError, match=message):
        inria.LAYOUT.sources(root)


def test_wrong_trees(root, eeg):
    _, train = inria.LAYOUT.sources(root)
    write(train.path, eeg(4, 6, 200), feedback=(200,))
    with pytest.raises(ConfigError, match=r"Data_S02_Sess01\.csv: 1 feedbacks, but 2 labels in TrainLabels\.csv"):
        train.labelled(train.open_recording())
    write(train.path, eeg(4, 6, 200), header="Time,Fp1,Cz,EOG,P08,FeedBackEvent")
    with pytest.raises(RecordingError, match=r"Sess01\.csv: the columns must be Time.* not Time, Fp1, Cz … P08"):
        train.open_recording()
    train.path.write_text(HEADER + "\n0,1,2,x,4,5\n")
    with pytest.raises(RecordingError, match=r"Sess01\.csv: not a table of numbers .*'x'.*; download it again"):
        train.open_recording()
    (root / "TrainLabels.csv").unlink()
    with pytest.raises(StoreError, match=r"TrainLabels\.csv: no such file, and it holds the labels of the training"):
        inria.LAYOUT.sources(root)
