"""HMC: stages from the text or from EDF+, electrodes of four derivations."""

import numpy as np
import pytest

from neurolm.core.errors import ConfigError, StoreError
from neurolm.corpora import hmc, layout_of
from neurolm.store.store import Label

CHANNELS = ("EEG F4-M1", "EEG C4-M1", "EEG O2-M1", "EEG C3-M2", "EMG chin", "EOG E1-M2", "EOG E2-M2", "ECG")
HEADER = "Date, Time, Recording onset, Duration, Annotation, Linked channel"
LINES = """
01.01.01, 23.30.00, 0, 30, Sleep stage W, 
01.01.01, 23.30.30, 30, 30, Sleep stage W, 
01.01.01, 23.30.46.280, 46.28, 0, Lights off, EEG F4-M1
01.01.01, 23.31.00, 60, 30, Sleep stage N2, 
01.01.01, 23.31.30, 90, 30, Sleep stage R, 
"""  # noqa: W291
STAGES = (
    Label("hmc", "Wake", 0.0, 60.0), Label("hmc", "NREM-2", 60.0, 90.0), Label("hmc", "REM", 90.0, 120.0),
)  # fmt: skip


@pytest.fixture
def root(tmp_path, eeg, write_recorder_edf, write_hypnogram):
    signal = eeg(8, 120, 256)
    folder = tmp_path / "recordings"
    for name in ("SN001", "SN002"):
        write_recorder_edf(folder / f"{name}.edf", dict(zip(CHANNELS, signal, strict=True)), 256)
        (folder / f"{name}_sleepscoring.txt").write_text(HEADER + LINES)
        write_hypnogram(
            folder / f"{name}_sleepscoring.edf",
            [(0, 30, "Sleep stage W"), (30, 30, "Sleep stage W"), (46.28, 0, "Lights off@@EEG F4-M1"),
             (60, 30, "Sleep stage N2"), (90, 30, "Sleep stage R")],
        )  # fmt: skip
    return tmp_path


def test_nights_and_their_stages(root, eeg):
    assert layout_of(root) == "hmc"
    first, second = hmc.LAYOUT.sources(root)
    assert (first.subject, second.subject, first.mains) == ("SN001", "SN002", 50.0)
    recording = first.open_recording()
    assert recording.channels == ("F4", "C4", "O2", "C3")
    np.testing.assert_allclose(recording.read(), eeg(8, 120, 256)[:4], atol=0.0501)
    assert first.labelled(recording) == STAGES


def test_the_annotations_say_the_same(root, extent):
    (root / "recordings" / "SN002_sleepscoring.txt").unlink()
    assert hmc.LAYOUT.sources(root)[1].labelled(extent(120.0)) == STAGES
    assert hmc.LAYOUT.sources(root)[1].labelled(extent(100.0))[-1] == Label("hmc", "REM", 90.0, 100.0)
    assert len(hmc.LAYOUT.sources(root)[1].labelled(extent(90.0))) == 2


def test_wrong_trees(root, empty):
    text = root / "recordings" / "SN002_sleepscoring.txt"
    text.write_text(HEADER + LINES.replace("Sleep stage N2", "Sleep stage N4"))
    with pytest.raises(
        ConfigError, match=r"SN002_sleepscoring\.txt, line 5: unknown stage 'Sleep stage N4', known: .*R"
    ):
        hmc.LAYOUT.sources(root)
    text.write_text(HEADER + LINES.replace("60, 30", "sixty, 30"))
    with pytest.raises(ConfigError, match=r"line 5: the onset must be seconds from the start .* not 'sixty'"):
        hmc.LAYOUT.sources(root)
    text.write_text("onset,stage\n0,W\n")
    with pytest.raises(ConfigError, match=r"line 1: the column Recording onset, Duration, Annotation is missing"):
        hmc.LAYOUT.sources(root)
    text.write_text(HEADER + LINES.replace("90, 30", "70, 30"))
    with pytest.raises(ConfigError, match=r"SN002_.*txt: REM from 70 s, where NREM-2 lasts until 90 s"):
        hmc.LAYOUT.sources(root)
    text.write_text(HEADER + "\n")
    with pytest.raises(ConfigError, match="no stages of 30 s"):
        hmc.LAYOUT.sources(root)
    text.unlink()
    (root / "recordings" / "SN002_sleepscoring.edf").unlink()
    with pytest.raises(StoreError, match=r"SN002_sleepscoring\.txt: no such file, and it holds the sleep stages"):
        hmc.LAYOUT.sources(root)
    with pytest.raises(StoreError, match=r"no recordings of Haaglanden.*physionet"):
        hmc.LAYOUT.sources(empty)


def test_labels_are_cut_where_the_recording_begins_and_ends():
    from types import SimpleNamespace

    from neurolm.corpora.side_files import Within
    from neurolm.store.store import Label

    labels = Within((Label("hmc", "Wake", -5, 25), Label("hmc", "REM", -9, -1), Label("hmc", "NREM-1", 25, 90)))
    found = labels(SimpleNamespace(seconds=60.0, annotations=()))
    assert found == (Label("hmc", "Wake", 0.0, 25), Label("hmc", "NREM-1", 25, 60.0))
