"""Cases of events: annotation texts, markers, trigger channels, hypnograms, and tables of labels made of them."""

from collections import Counter
from pathlib import Path

import mne
import pyedflib
import pytest
import pyxdf

from neurolm.batches.windows import labelled_windows
from neurolm.cli import main
from neurolm.corpora.events import count_events, find_trials
from neurolm.recording.options import ReadingOptions
from neurolm.recording.recording import open_recording
from neurolm.store.store import Store


@pytest.fixture
def cases(shared: Path) -> Path:
    return shared / "cases"


def marks(path: Path) -> list[tuple[float, float, str]]:
    recording = open_recording(path, reading=ReadingOptions(unknown="drop"), check=False)
    return [(mark.onset, mark.duration, mark.text) for mark in recording.annotations]


@pytest.mark.parametrize(
    "name", ["newline.edf", "crlf.edf", "utf16ish.edf", "double_nul_terminator_missing.edf"]
)  # those that EDFlib reads
def test_annotation_texts_are_those_of_edflib(cases: Path, name: str) -> None:
    path = cases / "edf_annotation_text" / name
    with pyedflib.EdfReader(str(path)) as reader:
        onsets, durations, texts = reader.readAnnotations()
    seconds = open_recording(path).seconds  # where they are cut; EDFlib has -1 for no duration
    cut = [min(max(0.0, duration), seconds - onset) for onset, duration in zip(onsets, durations, strict=True)]
    assert marks(path) == list(zip(onsets, cut, texts, strict=True))
    assert len(texts) == (1 if name in ("crlf.edf", "utf16ish.edf") else 3)


@pytest.mark.parametrize(
    ("name", "expected", "note"),
    [
        ("duration_empty.edf", [(5.0, 0.0, "seizure")], ""),
        ("onset_exp.edf", [(0.5, 0.0, "half"), (5.0, 0.5, "ok")], ""),
        ("trailing_space_dur.edf", [(5.0, 15.0, "lights off")], "reach beyond the recording cut off there: 1"),
        ("neg_duration.edf", [(5.0, 0.0, "lights off")], "annotations without a length that is one: 1"),
    ],
)
def test_annotations_that_are_written_a_little_otherwise(cases: Path, name: str, expected: list, note: str) -> None:
    path = cases / "edf_annotation_text" / name
    recording = open_recording(path)
    expected = [(onset, min(duration, recording.seconds - onset), text) for onset, duration, text in expected]
    assert marks(path) == expected
    assert note in " ".join(recording.notes)


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("bdf_status/biosemi.bdf", {"1": 2, "2": 1}),
        ("bdf_status/biosemi_A.bdf", {"1": 1}),
        ("bdf_status/bdfplus.bdf", {"go": 1}),
        ("edf_trigger/trig.edf", {"1": 1, "2": 1}),
        ("fif_stim/stim_raw.fif", {"1": 2, "2": 1}),
        ("stim_events/session1_data_2017-02-04-15_45_13_raw.fif", {"1": 165, "2": 32}),
        ("stim_events/session1_data_2017-02-04-15_58_30_raw.fif", {"1": 161, "2": 30}),
    ],
)
def test_tasks_table_lists_the_codes_of_trigger_channels(cases: Path, capsys, name: str, codes: dict) -> None:
    assert main(["tasks", "table", str(cases / name)]) == 0
    lines = [line.split(None, 1) for line in capsys.readouterr().out.splitlines()]
    assert {line[1]: int(line[0]) for line in lines[: len(codes)]} == codes
    assert lines[len(codes)][0] == "next:"


@pytest.mark.parametrize(
    ("name", "channel", "mask"),
    [
        ("bdf_status/biosemi.bdf", "Status", 0xFFFF),
        ("edf_trigger/trig.edf", "Trigger", None),
        ("fif_stim/stim_raw.fif", "STI 014", None),
        ("stim_events/session1_data_2017-02-04-15_45_13_raw.fif", "STI", None),
    ],
)
def test_codes_begin_where_mne_finds_them(cases: Path, name: str, channel: str, mask: int | None) -> None:
    raw = mne.io.read_raw(cases / name, preload=True, verbose="error")
    events = mne.find_events(raw, channel, mask=mask, shortest_event=1, verbose="error")
    expected = [((place - raw.first_samp) / raw.info["sfreq"], 0.0, str(code)) for place, _, code in events]
    assert marks(cases / name) == expected
    recording = open_recording(cases / name, check=False)
    assert not {"STATUS", "TRIGGER", "STI", "STI 014"} & {row.electrode for row in recording.coverage if row.electrode}


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("string.xdf", ["left", "right", "left"]),
        ("int32.xdf", ["1", "2", "1"]),
        ("two_channels.xdf", ["1/left", "2/right", "1/left"]),
    ],
)
def test_markers_lie_where_pyxdf_has_them(cases: Path, name: str, texts: list[str]) -> None:
    path = cases / "xdf_markers" / name
    eeg, theirs = sorted(pyxdf.load_xdf(path, verbose=False)[0], key=lambda stream: stream["info"]["stream_id"])
    found = marks(path)
    assert [text for _, _, text in found] == texts
    assert [onset for onset, _, _ in found] == pytest.approx(list(theirs["time_stamps"] - eeg["time_stamps"][0]))


def test_markers_of_another_clock_are_counted_and_said(cases: Path, capsys) -> None:
    path = cases / "xdf_markers" / "other_clock.xdf"
    said = "3 markers outside the EEG's time left out, of the stream mk: by its clock the nearest is 1.6e+09 s after it"
    assert not marks(path)
    assert said in open_recording(path, check=False).notes
    assert main(["tasks", "table", str(path), str(cases / "xdf_markers" / "empty_markers.xdf")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "note: no events in 2 of 2 files: other_clock.xdf, empty_markers.xdf",
        f"note: {said} (other_clock.xdf)",
    ]


def test_stages_of_a_hypnogram_are_events_of_the_recording_beside_it(cases: Path) -> None:
    """It states another time of day than the recording, which is said; MNE does not look at it."""
    folder = cases / "hypnogram_edf"
    psg, stages = folder / "n1-PSG.edf", folder / "n1-Hypnogram.edf"
    for files in ([psg, stages], [psg], [stages]):
        found = find_trials(files, {"Sleep stage W": "Wake", "Sleep stage 1": "N1"})
        expected = [(psg, 0.0, 30.0, "Wake"), (psg, 30.0, 60.0, "N1")]
        assert [(trial.file, trial.start, trial.stop, trial.label) for trial in found.trials] == expected
        assert any("by its header it began at 2020-01-01 22:00:00" in note for note in found.notes[psg])
    theirs = mne.read_annotations(stages)
    assert [(a["onset"], a["duration"]) for a in theirs][:2] == [(0.0, 30.0), (30.0, 30.0)]


def test_overlapping_responses_become_a_window_each(cases: Path, tmp_path: Path, capsys) -> None:
    """Stimuli 0.66 s apart, stretches of 0.6 s."""
    folder = tmp_path / "p300"
    folder.mkdir()
    (source,) = (cases / "p300_overlap").glob("*.fif")
    (folder / source.name).symlink_to(source)
    given = ["--events", "nontarget=no,target=yes", "--from", "0", "--to", "0.6", "--task", "p300"]
    assert main(["tasks", "table", str(folder), *given, "--out", str(folder / "labels.csv")]) == 0
    assert "197 stretches shorter than 1 s, the shortest window, were extended" in capsys.readouterr().out
    assert main(["prepare", str(folder), "--out", str(tmp_path / "store"), "--jobs", "1"]) == 0
    windows = labelled_windows(Store(tmp_path / "store"), task="p300", seconds=1, stride=1.0)
    assert Counter(window.label for window in windows) == {"no": 165, "yes": 32}
    onsets = [mark.onset for mark in open_recording(source, check=False).annotations]
    assert [window.start / 200 for window in windows] == pytest.approx(onsets, abs=1 / 200)


def test_every_case_at_once_stops_at_nothing(cases: Path) -> None:
    """Files of all kinds, some of which cannot be read: they are named, the others' events counted."""
    folders = ("bdf_status", "edf_trigger", "xdf_markers", "hypnogram_edf", "edf_annotation_text", "edf_header_nuls")
    files = [path for name in folders for path in sorted((cases / name).iterdir()) if path.name != "expected.txt"]
    found = count_events(files)
    assert found.counts["lights off"] == 3 and found.counts["Sleep stage W"] == 1
    assert found.files + len(found.passed_over) == len(files) - 1  # the hypnogram is no recording
