"""SPIS: MATLAB files without a unit."""

import pickle

import numpy as np
import pytest
from scipy.io import savemat

from neurolm.core.errors import ConfigError, RecordingError, StoreError
from neurolm.corpora import layout_of, spis
from neurolm.recording.options import ReadingOptions
from neurolm.store.store import Label


@pytest.fixture
def root(tmp_path, eeg):
    folder = tmp_path / "Pre-SART EEG"
    folder.mkdir()
    signal = np.vstack([eeg(67, 8, 256) + 5000.0, np.full(2048, 220.0)])  # with the offset of BioSemi's amplifier
    units = {"S02_restingPre_EC": 1.0, "S02_restingPre_EO": 31.25e-3, "S11_restingPre_EC": 1 / 8192}
    for name, unit in units.items():
        savemat(folder / f"{name}.mat", {"dataRest": signal / unit})
    return tmp_path


def test_every_unit_gives_the_same_signal(root, eeg):
    assert layout_of(root) == "spis"
    sources = pickle.loads(pickle.dumps(spis.LAYOUT.sources(root)))
    assert [s.subject for s in sources] == ["S02", "S02", "S11"]
    for source, unit in zip(sources, spis.UNITS, strict=True):
        recording = source.open_recording()
        assert len(recording.channels) == 64 and recording.channels[:2] == ("FP1", "AF7")
        np.testing.assert_allclose(recording.read() - 5000.0, eeg(67, 8, 256)[:64], atol=1e-6)
        assert any(f"taken as {unit}," in note for note in recording.notes)
    assert sources[0].labelled(recording) == (Label("eyes", "closed", 0.0, 8.0),)
    assert sources[1].labelled(recording) == (Label("eyes", "open", 0.0, 8.0),)


def test_wrong_trees(root, empty):
    source = spis.LAYOUT.sources(root)[0]
    with pytest.raises(ConfigError, match=r"unit is 'nV', but the layout of spis knows the unit; leave unit out"):
        source.open_recording(reading=ReadingOptions(unit="nV"))
    savemat(source.path, {"dataRest": np.zeros((64, 512))})
    with pytest.raises(RecordingError, match=r"EC\.mat: dataRest should be .* 68 columns.*\(64, 512\); download"):
        source.open_recording()
    savemat(source.path, {"data": np.zeros((68, 512))})
    with pytest.raises(RecordingError, match=r"EC\.mat: no variable dataRest; found: data"):
        source.open_recording()
    source.path.with_name("S02_restingPre_EC.mat").rename(root / "S02_restingPre_EC.mat")
    (root / "Pre-SART EEG" / "S02_restingPre_EC.mat").write_bytes(b"")
    with pytest.raises(StoreError, match=r"EC\.mat are the same recording by their names; move one"):
        spis.LAYOUT.sources(root)
    with pytest.raises(StoreError, match=r"no recordings of SPIS.*github"):
        spis.LAYOUT.sources(empty)
