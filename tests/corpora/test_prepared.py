"""From the folder to the store: what a layout says arrives there."""

import numpy as np
from scipy.io import savemat

from neurolm.corpora import seed
from neurolm.prepare.prepare import prepare
from neurolm.store.store import Label, Store


def test_renamed_channels_and_splits_arrive_in_the_store(tmp_path, eeg, write_cnt):
    root = tmp_path / "seed"
    channels = dict(zip((*seed.ELECTRODES.split(), "M1", "M2"), eeg(64, 26, 1000), strict=True))
    write_cnt(root / "2_3.cnt", channels, 1000)
    report = prepare(root, tmp_path / "store", jobs=1)
    assert (report.recordings, report.quarantined) == (1, 0)
    (row,) = Store(tmp_path / "store").rows
    assert (row.recording, row.subject, len(row.channels), row.mains) == ("seed/2_3.cnt", "seed/02", 62, 50.0)
    assert row.labels == (Label("seed", "Positive", 24.0, 26.0, "train"),)
    assert row.licence == f"{seed.LAYOUT.licence}; {seed.LAYOUT.citation}"


def test_formats_without_a_reader_are_prepared(tmp_path, eeg):
    root = tmp_path / "spis"
    root.mkdir()
    signal = np.vstack([eeg(67, 20, 256), np.full(5120, 220.0)])
    for name in ("S02_restingPre_EC", "S02_restingPre_EO", "S03_restingPre_EC"):
        savemat(root / f"{name}.mat", {"dataRest": signal})
    (root / "S03_restingPre_EO.mat").write_bytes(b"MATLAB")
    report = prepare(root, tmp_path / "store", jobs=1)
    assert (report.recordings, report.quarantined) == (3, 1)
    store = Store(tmp_path / "store")
    assert [(row.subject, row.labels[0].label) for row in store.rows] == [
        ("spis/S02", "closed"), ("spis/S02", "open"), ("spis/S03", "closed"),
    ]  # fmt: skip
    assert any("taken as µV" in note for note in store.rows[0].notes)
    assert any("S03_restingPre_EO.mat: cannot be read as a MATLAB file" in note for note in report.notes)
    assert prepare(root, tmp_path / "store", jobs=1).skipped == 3
