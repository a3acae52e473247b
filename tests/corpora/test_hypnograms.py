"""Annotations in a file of their own: which recording they belong to, and from when they count."""

import datetime
from pathlib import Path

import mne
import pytest

from neurolm.core.errors import RecordingError
from neurolm.corpora.events import count_events, find_trials
from neurolm.corpora.hypnograms import annotations_only, pair, read_beside
from neurolm.recording.inspect import inspect
from neurolm.recording.recording import open_recording

STAGES = [(0, 30, "Sleep stage W"), (30, 60, "Sleep stage 2"), (90, 30, "Sleep stage R"), (120, 30, "Sleep stage ?")]
LABELS = {"Sleep stage W": "Wake", "Sleep stage 2": "N2", "Sleep stage R": "REM"}


@pytest.fixture
def night(tmp_path, eeg, write_recorder_edf, write_hypnogram):
    """A function that writes a recording of 120 s and its hypnogram."""

    def write(recording: str, hypnogram: str, **how) -> tuple[Path, Path]:
        psg = write_recorder_edf(tmp_path / recording, {"EEG C3-M2": eeg(1, 120, 100)[0]}, 100, **how)
        return psg, write_hypnogram(tmp_path / hypnogram, STAGES)

    return write


def starting(path: Path, start: str) -> Path:
    """Let a header state another start: 24.04.8916.13.00."""
    content = bytearray(path.read_bytes())
    content[168:184] = start.encode()
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("recording", "hypnogram"),
    [
        ("SC4001E0-PSG.edf", "SC4001EC-Hypnogram.edf"),
        ("ST7011J0-PSG.edf", "ST7011JP-Hypnogram.edf"),
        ("SN001.edf", "SN001_sleepscoring.edf"),
        ("n1-PSG.edf", "n1-Hypnogram.edf"),
        ("night 1 raw.edf", "night 1 stages.edf"),
        ("a.bdf", "a.edf"),
        ("one.edf", "stages.edf"),
    ],
)
def test_names_tell_which_belong_together_and_starts_where_they_do_not(night, recording: str, hypnogram: str) -> None:
    psg, stages = night(recording, hypnogram)
    for path in (psg, stages):
        starting(path, "24.04.8916.13.00")
    assert (annotations_only(psg), annotations_only(stages)) == (False, True)
    for files in ([psg, stages], [psg], [stages]):
        pairs = pair(files)
        assert (pairs.recordings, dict(pairs.beside), pairs.alone) == ((psg,), {psg: (stages,)}, {})
    theirs = mne.read_annotations(stages)
    marks, said = read_beside(stages, psg)
    assert marks == list(zip(theirs.onset, theirs.duration, map(str, theirs.description), strict=True))
    assert said == f"annotations taken from {stages.name}: 4"


def test_each_goes_with_its_own_recording(night) -> None:
    files = [path for n in "123" for path in night(f"n{n}-PSG.edf", f"n{n}-Hypnogram.edf")]
    pairs = pair(files)
    assert dict(pairs.beside) == dict(zip(files[::2], [(stages,) for stages in files[1::2]], strict=True))
    assert dict(pair(files[2:3]).beside) == {files[2]: (files[3],)}


def test_hypnograms_may_have_a_folder_of_their_own(night, tmp_path: Path) -> None:
    files = [path for n in "12" for path in night(f"psg/n{n}.edf", f"stages/n{n}-Hypnogram.edf")]
    pairs = pair(sorted(files))
    assert dict(pairs.beside) == {files[0]: (files[1],), files[2]: (files[3],)} and not pairs.alone
    assert count_events(files).counts["Sleep stage W"] == 2


def test_stages_become_labels_of_the_recording(night) -> None:
    psg, stages = night("n1-PSG.edf", "n1-Hypnogram.edf")
    found = find_trials([psg, stages], LABELS)
    assert [(trial.file, trial.start, trial.stop, trial.label) for trial in found.trials] == [
        (psg, 0.0, 30.0, "Wake"), (psg, 30.0, 90.0, "N2"), (psg, 90.0, 120.0, "REM"),
    ]  # fmt: skip
    assert "annotations outside the recording's 120 s left out: 1" in found.notes[psg]
    assert count_events([psg]).counts == {"Sleep stage W": 1, "Sleep stage 2": 1, "Sleep stage R": 1}


def test_times_count_from_the_start_that_the_hypnogram_states(night) -> None:
    psg, stages = night("n1-PSG.edf", "n1-Hypnogram.edf", start=datetime.time(22, 0, 0))
    starting(psg, "24.04.8922.00.00")
    starting(stages, "24.04.8922.01.00")
    found = find_trials([psg], {"Sleep stage W": "Wake", "Sleep stage 2": "N2"})
    assert [(trial.start, trial.stop) for trial in found.trials] == [(60.0, 90.0), (90.0, 120.0)]
    assert "annotations taken from n1-Hypnogram.edf: 4, 60 s later, as its header says" in found.notes[psg]
    starting(stages, "01.01.8500.00.00")  # made anonymous
    found = find_trials([psg], LABELS)
    assert [trial.start for trial in found.trials] == [0.0, 30.0, 90.0]
    assert any("as if it began with the recording: by its header it began at 1985-01-01" in n for n in found.notes[psg])


def test_one_without_a_recording_says_what_it_is(night, tmp_path: Path) -> None:
    psg, stages = night("first.edf", "other.edf")
    starting(psg, "24.04.8922.00.00")
    starting(stages, "25.04.8922.00.00")
    assert pair([psg, stages]).alone.keys() == {stages}
    found = count_events([psg, stages])
    assert found.files == 1 and "no recording beside it has its name or start" in found.passed_over[stages]
    with pytest.raises(RecordingError, match=r"other\.edf: annotations only, no signal, and no recording beside it"):
        count_events([stages])
    with pytest.raises(RecordingError, match=r"annotations only, such as 'Sleep stage W', no signal, as in a hypno"):
        open_recording(stages)
    (problem,) = inspect(stages).problems
    assert "open the recording that it belongs to: neurolm tasks table makes labels of both" in problem


def test_a_name_that_fits_several_recordings_is_said(night) -> None:
    one, stages = night("x-a.edf", "x-Hypnogram.edf")
    other, _ = night("x-b.edf", "x-Hypnogram.edf")
    assert "its name fits several recordings, x-a.edf, x-b.edf" in pair([one, other, stages]).alone[stages]
    for path, start in ((one, "24.04.8922.00.00"), (other, "25.04.8922.00.00"), (stages, "25.04.8922.00.00")):
        starting(path, start)
    assert dict(pair([one, other, stages]).beside) == {other: (stages,)}
