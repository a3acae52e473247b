"""SEED: Neuroscan files of 32 bits, the paper's windows and splits."""

import pickle

import numpy as np
import pytest

from neurolm.core.errors import RecordingError, StoreError
from neurolm.core.montage import NAMES
from neurolm.corpora import LAYOUTS, layout_of, seed

OTHERS = ("M1", "M2", "VEO", "HEO")


@pytest.fixture
def root(tmp_path, eeg, write_cnt):
    signal = eeg(66, 4, 1000)
    for name in ("1_1", "10_3"):
        channels = dict(zip((*seed.ELECTRODES.split(), *OTHERS), signal, strict=True))
        write_cnt(tmp_path / "SEED_EEG" / "SEED_RAW_EEG" / f"{name}.cnt", channels, 1000)
    (tmp_path / "SEED_EEG" / "SEED_RAW_EEG" / "time.txt").write_text("")
    return tmp_path


def test_a_session_is_read_in_microvolts_without_the_mastoids(root, eeg):
    assert layout_of(root) == "seed"
    sources = pickle.loads(pickle.dumps(LAYOUTS["seed"].sources(root)))
    assert [(s.subject, s.path.name) for s in sources] == [("10", "10_3.cnt"), ("01", "1_1.cnt")]
    recording = sources[0].open_recording()
    assert recording.channels == tuple(seed.ELECTRODES.split()) and len(recording.channels) == 62
    assert set(recording.channels) < set(NAMES)
    np.testing.assert_allclose(recording.read(), eeg(66, 4, 1000)[:62], atol=0.0501)
    assert any("M1, M2, VEO, HEO" in note for note in recording.notes)


def test_the_papers_windows_and_splits(root, extent):
    (labels, *_) = [source.labelled(extent(4000.0)) for source in seed.LAYOUT.sources(root)]
    windows = [(label.split, int((label.stop - label.start) // 4)) for label in labels]
    of_split = {split: 45 * sum(n for s, n in windows if s == split) for split in ("train", "validation", "test")}
    assert of_split == seed.LAYOUT.counts and sum(of_split.values()) == 38_475
    assert [label.label for label in labels[:4]] == ["Positive", "Neutral", "Negative", "Negative"]
    assert (labels[0].start, labels[0].stop) == (24.0, 265.0)
    assert len(seed.LAYOUT.sources(root)[0].labelled(extent(300.0))) == 2  # a session that was broken off
    assert seed.LAYOUT.sources(root)[0].labelled(extent(300.0))[1].stop == 300.0


def test_wrong_trees(root):
    (root / "filtered" / "Preprocessed_EEG").mkdir(parents=True)
    (root / "empty").mkdir()
    with pytest.raises(StoreError, match=r"Preprocessed_EEG holds no raw.*SEED_RAW_EEG"):
        seed.LAYOUT.sources(root / "filtered")
    with pytest.raises(StoreError, match=r"no recordings of SJTU.*1_1\.cnt.*bcmi"):
        seed.LAYOUT.sources(root / "empty")
    path = root / "SEED_EEG" / "SEED_RAW_EEG" / "1_1.cnt"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(RecordingError, match=r"1_1\.cnt: truncated .* copy or download it again"):
        seed.LAYOUT.sources(root)[1].open_recording()
    (root / "1_1.cnt").write_bytes(b"")
    with pytest.raises(StoreError, match=r"1_1\.cnt and .*1_1\.cnt are the same recording"):
        seed.LAYOUT.sources(root)
