"""Sleep-EDF: nights paired with hypnograms whose names differ in the scorer's letter."""

import numpy as np
import pytest

from neurolm.core.errors import ConfigError, StoreError
from neurolm.corpora import layout_of, sleep_edf
from neurolm.store.store import Label

CASSETTE = (
    "EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal", "Resp oro-nasal", "EMG submental", "Temp rectal", "Event marker",
)  # fmt: skip
STAGES = [
    (0, 60, "Sleep stage W"), (60, 30, "Sleep stage 3"), (90, 30, "Sleep stage 4"), (120, 30, "Movement time"),
    (150, 30, "Sleep stage R"), (180, 60, "Sleep stage ?"),
]  # fmt: skip


@pytest.fixture
def root(tmp_path, eeg, write_recorder_edf, write_hypnogram):
    signal = eeg(7, 180, 100)
    for folder, night, scorer, names in (
        ("sleep-cassette", "SC4001E", "C", CASSETTE),
        ("sleep-telemetry", "ST7011J", "P", ("EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal", "EMG submental", "Marker")),
    ):
        channels = dict(zip(names, signal, strict=False))
        write_recorder_edf(tmp_path / folder / f"{night}0-PSG.edf", channels, 100, record=30)
        write_hypnogram(tmp_path / folder / f"{night}{scorer}-Hypnogram.edf", STAGES)
    return tmp_path


def test_nights_and_their_hypnograms(root, eeg):
    assert layout_of(root) == "sleep-edf"
    cassette, telemetry = sleep_edf.LAYOUT.sources(root)
    assert (cassette.subject, telemetry.subject) == ("SC400", "ST701")
    recording = cassette.open_recording()
    assert recording.channels == ("FPZ", "PZ")
    np.testing.assert_allclose(recording.read(), eeg(7, 180, 100)[:2], atol=0.0501)
    assert cassette.labelled(recording) == (
        Label("sleep-edf", "Wake", 0.0, 60.0),
        Label("sleep-edf", "NREM-3", 60.0, 120.0),
        Label("sleep-edf", "REM", 150.0, 180.0),
    )
    assert telemetry.open_recording().channels == ("FPZ", "PZ")


def test_wrong_trees(root, write_hypnogram):
    path = root / "sleep-cassette" / "SC4001EC-Hypnogram.edf"
    write_hypnogram(path, [(0, 30, "Sleep stage N1")])
    with pytest.raises(
        ConfigError, match=r"SC4001EC-Hypnogram\.edf: unknown stage 'Sleep stage N1' at 0 s, known: .*4"
    ):
        sleep_edf.LAYOUT.sources(root)
    write_hypnogram(path.with_name("SC4001EA-Hypnogram.edf"), STAGES)
    with pytest.raises(StoreError, match=r"SC4001E0-PSG\.edf: there must be one.*SC4001EA-Hyp.*, SC4001EC-Hyp"):
        sleep_edf.LAYOUT.sources(root)
    path.unlink()
    write_hypnogram(path.with_name("SC4001EA-Hypnogram.edf"), [(0, 30, "Sleep stage ?")])
    with pytest.raises(StoreError, match=r"SC4001EA-Hypnogram\.edf: no sleep stages in the hypnogram"):
        sleep_edf.LAYOUT.sources(root)
    path.with_name("SC4001EA-Hypnogram.edf").write_bytes(b"0" * 100)
    with pytest.raises(StoreError, match=r"SC4001EA-Hypnogram\.edf: cannot be read as an EDF\+ hypnogram \(not an EDF"):
        sleep_edf.LAYOUT.sources(root)
    path.with_name("SC4001EA-Hypnogram.edf").unlink()
    with pytest.raises(StoreError, match=r"SC4001E\?-Hypnogram\.edf beside it, found: none; download it"):
        sleep_edf.LAYOUT.sources(root)
