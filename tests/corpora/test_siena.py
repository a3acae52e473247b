"""Siena: lists of seizures written by hand, with the faults that the real ones have."""

import datetime

import numpy as np
import pytest

from neurolm.core.errors import ConfigError, StoreError
from neurolm.corpora import layout_of, siena
from neurolm.store.store import Label

HEAD = "PN00\n\nData Sampling Rate: 512 Hz\n\nChannels in EDF files:\nChannel 1: Fp1      \nChannel 5: 1\n\n\n"
PN00 = """Seizure n 1
File name: PN00-1.edf
Registration start time: 19.39.33
Registration end time:  20.22.58
Seizure start time: 19.58.36
Seizure end time: 19.59.46

Seizure n 3
File name: PN00-3.edf
Registration start time: 18.15.44
Registration end time: 18.57.13
Seizure start time: 18.28.29
Seizure end time: 19.29.29
"""
PN01 = """File name: PN01.edf
Registration start time: 19:00:44
Registration end time: 08:29:41

Seizure n 1
Start time: 21:51:02
End time: 21:51:56

Seizure n 2
Start time: 07:53:17
End time: 07:54:31
"""
PN06 = """Seizure n1 (in sleep):
File name: PNO6-1.edf
Registration start time: 04.21.22
Seizure start time: 05.54.25
Seizure end time:05.55.29
"""
PN10 = """Seizure n 2
File name: PN10-2.edf
Registration start time: 09.30.15
Seizure start time: 11.40.13
Seizure end time: 11.41.04 opure 11.40.43

Seizure n 3
File name: PN10-3.edf
Registration start time: 13.33.18
Seizure start time: 15.43.53 (CLINICAL ONSET); 15.43.59 (ELECTRIC ONSET)
Seizure end time: 15.45.02

Seizure n 7
File name: PN10-7.8.9.edf
Registration start time:1 6.49.25
Seizure start time: 1 7.35.13
Seizure end time: 17.36.01

Seizure n 8
File name: PN10-7.8.9.edf
Seizure start time: 18:20.24
Seizure end time: 18.20.42
"""
PN14 = """Seizure n 3
File name: PN14-3.edf
Registration start time: 16.17.45
Seizure start time: 21.10.05
Seizure end time: 21.10.46
"""
NAMES = ("EEG Fp1", "EEG T3", "EEG Fc1", "EKG EKG", "SPO2", "HR", "1", "2", "MK")
STARTS = {
    "PN00-1": (19, 39, 33), "PN00-3": (18, 15, 44), "PN01-1": (19, 0, 44), "PN06-1": (4, 21, 22), "PN10-2": (9, 30, 15),
    "PN10-3": (13, 33, 18), "PN10-7.8.9": (16, 49, 25), "PN14-3": (19, 17, 45),
}  # fmt: skip


@pytest.fixture
def root(tmp_path, eeg, write_recorder_edf):
    signal = eeg(len(NAMES), 4, 512)
    for name, start in STARTS.items():
        channels = dict(zip(NAMES, signal, strict=True))
        write_recorder_edf(tmp_path / name[:4] / f"{name}.edf", channels, 512, start=datetime.time(*start))
    for subject, text in (("PN00", PN00), ("PN01", PN01), ("PN06", PN06), ("PN10", PN10), ("PN14", PN14)):
        (tmp_path / subject / f"Seizures-list-{subject}.txt").write_text(HEAD + text, encoding="latin-1")
    return tmp_path


def seizures(root, name: str, extent, seconds: float) -> list[tuple[float, float]]:
    (source,) = [source for source in siena.LAYOUT.sources(root) if source.path.stem == name]
    labels = source.labelled(extent(seconds))
    assert [label.start for label in labels] == [0.0, *(label.stop for label in labels[:-1])]  # nothing is left out
    assert labels[-1].stop == seconds and {label.task for label in labels} == {"siena"}
    return [(label.start, label.stop) for label in labels if label.label == "seizure"]


def test_recordings_without_the_unnamed_channels(root, eeg):
    assert layout_of(root) == "siena"
    sources = siena.LAYOUT.sources(root)
    assert [source.subject for source in sources] == [name[:4] for name in STARTS]
    recording = sources[0].open_recording()
    assert recording.channels == ("FP1", "T3", "FC1")
    np.testing.assert_allclose(recording.read(), eeg(9, 4, 512)[:3], atol=0.0501)
    assert any("1, 2, MK" in note for note in recording.notes)


def test_times_of_the_clock(root, extent):
    (source, *_) = siena.LAYOUT.sources(root)
    assert source.labelled(extent(2605.0)) == (
        Label("siena", "no seizure", 0.0, 1143.0),
        Label("siena", "seizure", 1143.0, 1213.0),
        Label("siena", "no seizure", 1213.0, 2605.0),
    )


@pytest.mark.parametrize(
    ("name", "seconds", "expected"),
    [
        ("PN00-3", 2489.0, [(765.0, 825.0)]),  # an end an hour too late
        ("PN01-1", 48537.0, [(10218.0, 10272.0), (46353.0, 46427.0)]),  # over midnight, another file name
        ("PN06-1", 6000.0, [(5583.0, 5647.0)]),  # a letter O in the file's name
        ("PN10-2", 9000.0, [(7798.0, 7849.0)]),  # two ends
        ("PN10-3", 9000.0, [(7841.0, 7904.0)]),  # two onsets
        ("PN10-7.8.9", 14400.0, [(2748.0, 2796.0), (5459.0, 5477.0)]),  # torn hours; no registration; mixed separators
        ("PN14-3", 41995.0, [(6740.0, 6781.0)]),  # a registration three hours off
    ],
)
def test_faults_of_the_lists(root, extent, name, seconds, expected):
    assert seizures(root, name, extent, seconds) == expected


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (PN00.replace("19.58.36", "19.58"), r"line 14: expected a time of the clock such as 19\.58\.36, not '19\.58'"),
        (PN00.replace("19.58.36", "29.58.36"), r"line 14: '29\.58\.36' is no time"),
        (PN00.replace("Seizure start time: 19.58.36\n", ""), "line 14: the end of a seizure that has no start"),
        (PN00.replace("PN00-3", "PN00-4"), r"Seizures-list-PN00\.txt: no seizure of PN00-3\.edf in the list"),
    ],
)
def test_a_wrong_list_is_named(root, wrong, message):
    (root / "PN00" / "Seizures-list-PN00.txt").write_text(HEAD + wrong)
    with pytest.raises(ConfigError, match=message):
        siena.LAYOUT.sources(root)


def test_wrong_trees(root, extent, empty):
    (source, *_) = siena.LAYOUT.sources(root)
    with pytest.raises(ConfigError, match=r"line 14: a seizure from 1143 to 1213 s .* lasts 1200 s; correct the list"):
        source.labelled(extent(1200.0))
    (root / "PN06" / "Seizures-list-PN06.txt").unlink()
    with pytest.raises(StoreError, match=r"Seizures-list-PN06\.txt: no such file, and it holds the seizures of PN06"):
        siena.LAYOUT.sources(root)
    with pytest.raises(StoreError, match=r"no recordings of Siena.*PN00/PN00-1\.edf"):
        siena.LAYOUT.sources(empty)
