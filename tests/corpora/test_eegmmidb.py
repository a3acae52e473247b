"""EEGMMIDB: what the annotations mean depends on the run."""

import pytest

from neurolm.core.errors import ConfigError, StoreError
from neurolm.corpora import eegmmidb, layout_of
from neurolm.store.store import Label


@pytest.fixture
def root(tmp_path):
    for name in ("S001R01", "S001R04", "S001R06", "S010R14"):
        path = tmp_path / name[:4] / f"{name}.edf"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"0")
        path.with_suffix(".edf.event").write_bytes(b"")
    return tmp_path


def test_the_real_recordings(shared):
    folder = shared / "eeg" / "eegmmidb"
    assert layout_of(folder) == "eegmmidb"
    sources = {source.path.stem[4:]: source for source in eegmmidb.LAYOUT.sources(folder)}
    assert {source.subject for source in sources.values()} == {"S001"}
    for run, state in (("R01", "open"), ("R02", "closed")):
        recording = sources[run].open_recording()
        assert len(recording.channels) == 64
        assert sources[run].labelled(recording) == (Label("eyes", state, 0.0, recording.seconds),)
    for run, task, first, kinds in (
        ("R03", "motor_execution", "rest", {"rest", "left fist", "right fist"}),
        ("R04", "motor_imagery", "rest", {"rest", "left fist", "right fist"}),
        ("R06", "motor_imagery", "rest", {"rest", "both fists", "both feet"}),
    ):
        recording = sources[run].open_recording(check=False)
        labels = sources[run].labelled(recording)
        assert len(labels) == len(recording.annotations) == 30
        assert ({x.task for x in labels}, labels[0].label, {x.label for x in labels}) == ({task}, first, kinds)
        assert all(0 <= x.start < x.stop <= recording.seconds for x in labels)


def test_labels_end_with_the_recording(root, extent):
    source = eegmmidb.LAYOUT.sources(root)[1]
    labels = source.labelled(extent(10.0, (0.0, 4.2, "T0"), (4.2, 4.1, "T1"), (8.3, 4.1, "T2"), (12.0, 4.0, "T0")))
    assert [(label.label, label.stop) for label in labels] == [("rest", 4.2), ("left fist", 8.3), ("right fist", 10.0)]


def test_wrong_trees(root, extent, empty):
    imagery = eegmmidb.LAYOUT.sources(root)[1]
    with pytest.raises(ConfigError, match=r"S001R04\.edf: unknown annotation 'T3' at 4 s, known: T0, T1, T2"):
        imagery.labelled(extent(10.0, (4.0, 1.0, "T3")))
    with pytest.raises(ConfigError, match=r"S001R04\.edf: run 4 must have annotations"):
        imagery.labelled(extent(10.0))
    (root / "S010" / "S010R15.edf").write_bytes(b"0")
    with pytest.raises(StoreError, match=r"S010R15\.edf: there are runs 1 to 14, not 15"):
        eegmmidb.LAYOUT.sources(root)
    (root / "S010" / "S010R15.edf").rename(root / "S010" / "S011R01.edf")
    with pytest.raises(StoreError, match=r"S011R01\.edf: a recording of S011 in the folder of S010"):
        eegmmidb.LAYOUT.sources(root)
    with pytest.raises(StoreError, match=r"no recordings of EEG Motor.*S001/S001R01\.edf"):
        eegmmidb.LAYOUT.sources(empty)
