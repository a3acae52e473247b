"""Emobrain, Raw EEG and Resting State: BioSemi files that differ in their names."""

import numpy as np
import pytest

from neurolm.core.errors import RecordingError, StoreError
from neurolm.corpora import emobrain, layout_of, raw_eeg, resting_state, spis

CAP = tuple(spis.ELECTRODES.split())
"""64 electrodes."""


@pytest.fixture
def write(eeg, write_recorder_edf):
    def write(path, names=CAP, others=("EXG1", "EXG8", "Status")):
        signal = eeg(len(names) + len(others), 4, 256)
        return write_recorder_edf(path, dict(zip((*names, *others), signal, strict=True)), 256)

    return write


def test_emobrain(tmp_path, eeg, write):
    folder = tmp_path / "Data" / "EEG"
    path = write(folder / "Part1_IAPS_SES2_EEG_fNIRS_07082006.bdf", others=("GSR1", "Resp", "Plet", "Status"))
    write(folder / "PART2_IAPS_SES1_EEG_fNIRS_08082006.bdf")
    path.with_suffix(".bdf.mrk").write_text("")
    assert layout_of(tmp_path) == "emobrain"
    sources = {source.subject: source for source in emobrain.LAYOUT.sources(tmp_path)}
    assert set(sources) == {"Part1", "Part2"}
    recording = sources["Part1"].open_recording()
    assert recording.channels == tuple(name.upper() for name in emobrain.ELECTRODES.split())
    assert len(recording.channels) == 54 and not {"FP1", "AF7", "F7"} & set(recording.channels)
    expected = eeg(68, 4, 256)[[CAP.index(name) for name in emobrain.ELECTRODES.split()]]
    np.testing.assert_allclose(recording.read(), expected, atol=0.001)

    write(folder / "Part1_IAPS_SES2_EEG_fNIRS_08082006.bdf", names=("Fp1", "Cz"))
    with pytest.raises(StoreError, match=r"08082006\.bdf and .*07082006\.bdf are the same recording"):
        emobrain.LAYOUT.sources(tmp_path)
    path.unlink()
    with pytest.raises(RecordingError, match=r"08082006\.bdf: .*there is no AF3, AF4"):
        emobrain.LAYOUT.sources(tmp_path)[1].open_recording()
    (folder / "Part1_IAPS_SES2_EEG_fNIRS_08082006.bdf").rename(folder / "Part6_IAPS_SES2_EEG_fNIRS_08082006.bdf")
    with pytest.raises(StoreError, match=r"Part6.*there are participants 1 to 5"):
        emobrain.LAYOUT.sources(tmp_path)


def test_raw_eeg(tmp_path, eeg, write, empty):
    for name in ("Study_II_S01", "Study_RBII_S01", "Study_RB-II_S02"):
        path = write(tmp_path / "dataverse_files" / f"{name}.bdf")
    assert layout_of(tmp_path) == "raw-eeg"
    sources = raw_eeg.LAYOUT.sources(tmp_path)
    assert sorted(source.subject for source in sources) == ["S01", "S01", "S02"]
    recording = sources[0].open_recording()
    assert recording.channels == tuple(name.upper() for name in CAP) and sources[0].mains == 60.0
    np.testing.assert_allclose(recording.read(), eeg(67, 4, 256)[:64], atol=0.001)
    path.rename(path.with_name("Other_II_S01.bdf"))
    with pytest.raises(StoreError, match=r"Study_II_S01\.bdf and .*Other_II_S01\.bdf are the same recording"):
        raw_eeg.LAYOUT.sources(tmp_path)
    with pytest.raises(StoreError, match=r"no recordings of Raw EEG data.*doi\.org"):
        raw_eeg.LAYOUT.sources(empty)


def test_resting_state(tmp_path, write):
    write(tmp_path / "dataverse_files" / "Resting_S07.bdf")
    (tmp_path / "dataverse_files" / "Study_II_S01.bdf").write_bytes(b"")  # of the other study
    (source,) = resting_state.LAYOUT.sources(tmp_path)
    assert source.subject == "S07" and len(source.open_recording().channels) == 64
    (tmp_path / "dataverse_files" / "Study_II_S01.bdf").unlink()
    assert layout_of(tmp_path) == "resting-state"
    (tmp_path / "dataverse_files" / "Resting_S07.bdf").rename(tmp_path / "PBS_S07.bdf")
    assert layout_of(tmp_path) == "folder"  # such a name may be anybody's
    assert len(resting_state.LAYOUT.sources(tmp_path)) == 1
    with pytest.raises(StoreError, match=r"no recordings of Resting state.*_S01\.bdf"):
        resting_state.LAYOUT.sources(tmp_path / "dataverse_files")
