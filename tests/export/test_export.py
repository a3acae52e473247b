"""Answers as files of other programs: what MNE, edfio, pandas and mne-bids read in them is what was answered."""

import csv
import json
import zipfile
from dataclasses import asdict, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import edfio
import mne
import numpy as np
import pytest

from neurolm.ask.answer import UNDECIDED, Answer, WindowAnswer
from neurolm.ask.rows import Outcome, window_rows
from neurolm.ask.verdict import verdict
from neurolm.core.errors import ConfigError, QuestionError
from neurolm.export.bids import name_of, write_derivatives
from neurolm.export.export import export_answer, hypnogram, target
from neurolm.export.stretches import stretches_of
from neurolm.recording.recording import open_recording

BEGAN = datetime(2021, 3, 4, 22, 15, 30)
STAGES = ("Wake", "NREM-1", "NREM-2", "NREM-3", "REM")


def answer_of(
    likeliest, *, options=("Yes", "No"), seconds=4.0, stride=4.0, starts=None, question="Is it so?", undecided=(), **how
) -> Answer:
    """An answer whose windows have these likeliest options, each with its own probability."""
    starts = [i * stride for i in range(len(likeliest))] if starts is None else starts
    windows = []
    for number, (start, best) in enumerate(zip(starts, likeliest, strict=True)):
        top = 0.6 + 0.3 * ((number * 7) % 10) / 10
        others = (1 - top) / (len(options) - 1)
        probabilities = tuple(top if option == best else others for option in options)
        decided = number not in undecided
        windows.append(WindowAnswer(start=start, stop=start + seconds, probabilities=probabilities, decided=decided))
    whole = tuple(np.mean([w.probabilities for w in windows], axis=0).tolist())
    known = {
        "recording": "study/Anna B. 07.edf", "question": question, "options": options,
        "answer": options[int(np.argmax(whole))], "probability": max(whole), "probabilities": whole,
        "timeline": tuple(windows), "electrodes": ("C3",), "trained": True, "calibrated": True, "notes": ("a note",),
    }  # fmt: skip
    return Answer(**(known | how))


def recording(path: Path, seconds: int) -> Path:
    rng = np.random.default_rng(0)
    signal = edfio.EdfSignal(rng.normal(0, 20, 100 * seconds), 100, label="C3", physical_dimension="uV")
    session = edfio.Recording(startdate=BEGAN.date())
    edfio.Edf([signal], starttime=BEGAN.time(), recording=session).write(path)
    return path


# --- which moment belongs to which window ----------------------------------------------------------------------------


def test_a_moment_belongs_to_the_window_whose_centre_is_nearest() -> None:
    answer = answer_of(["Yes", "No", "Yes", "No"], seconds=10, starts=[0, 1, 4, 20])
    found = stretches_of(answer, merge=False)
    centres = np.array([5, 6, 9, 25])
    for one, centre in zip(found, centres, strict=True):
        times = np.linspace(one.start, one.stop, 50)[1:-1]
        nearest = centres[np.abs(times[:, None] - centres).argmin(axis=1)]
        assert set(nearest) == {centre}
    assert (found[0].start, found[2].stop, found[3].start, found[3].stop) == (0, 14, 20, 30)  # 14 to 20 is no window's
    assert all(one.stop <= other.start for one, other in pairwise(found))


def test_neighbours_with_the_same_answer_are_one_stretch_with_their_mean() -> None:
    answer = answer_of(["Yes", "Yes", "No", "No", "No"], starts=[0, 4, 8, 12, 30], undecided=[3])
    found = stretches_of(answer)
    assert [(one.start, one.stop, one.answer, one.windows) for one in found] == [
        (0, 8, "Yes", 2), (8, 12, "No", 1), (12, 16, UNDECIDED, 1), (30, 34, "No", 1),
    ]  # fmt: skip
    assert found[0].probabilities == pytest.approx(
        np.mean([window.probabilities for window in answer.timeline[:2]], axis=0)
    )


# --- EDF+ ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [0.02, 8, 24])
def test_mne_and_edfio_read_the_stages_of_a_night(tmp_path: Path, hours: float) -> None:
    rng = np.random.default_rng(1)
    stages = rng.choice(STAGES, round(hours * 120)).tolist()
    answer = answer_of(stages, options=STAGES, seconds=30, stride=30)
    out = export_answer(answer, tmp_path / "stages.edf", format="edf", start=BEGAN, merge=False)
    short = {"Wake": "W", "NREM-1": "N1", "NREM-2": "N2", "NREM-3": "N3", "REM": "R"}
    expected = [f"Sleep stage {short[stage]}" for stage in stages]
    found = mne.read_annotations(out)
    assert found.description.tolist()[1:] == expected
    np.testing.assert_array_equal(found.onset[1:], np.arange(len(stages)) * 30.0)
    assert set(found.duration[1:]) == {30.0}
    edf = edfio.read_edf(out)
    assert [(a.onset, a.duration, a.text) for a in edf.annotations[1:]] == [
        (30.0 * number, 30.0, text) for number, text in enumerate(expected)
    ]
    assert (edf.startdate, edf.starttime) == (BEGAN.date(), BEGAN.time())
    assert edf.local_patient_identification == "X X X X"
    assert found.description[0].endswith(verdict(answer))


def test_annotations_lie_over_the_recording_in_mne(tmp_path: Path) -> None:
    file = recording(tmp_path / "night.edf", 120)
    answer = answer_of(["Yes"] * 10 + ["No"] * 5 + ["Yes"] * 15, recording=str(file))
    out = export_answer(answer, tmp_path / "answers.edf", format="edf", start=open_recording(file).start)
    raw = mne.io.read_raw_edf(file, verbose="error")
    raw.set_annotations(mne.read_annotations(out))
    found = [(a["onset"], a["duration"], a["description"].partition(" (")[0]) for a in raw.annotations][1:]
    assert found == [(0, 40, "Is it so? Yes"), (40, 20, "Is it so? No"), (60, 60, "Is it so? Yes")]
    assert edfio.read_edf(out).startdatetime == edfio.read_edf(file).startdatetime


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({}, "Ist es müde? – 眠い? Jä (p=0.60)"),
        ({"undecided": [0], "risk": 0.1}, "Ist es müde? – 眠い? undecided (likeliest Jä, p=0.60)"),
        ({"calibrated": False}, "Ist es müde? – 眠い? Jä (likelihood 0.60, not calibrated)"),
        ({"trained": False, "calibrated": False}, "Ist es müde? – 眠い? Jä (a guess)"),
        ({"outside": 0.5}, "Ist es müde? – 眠い? Jä (p=0.60), unlike the training data"),
    ],
)
def test_an_annotation_says_what_its_number_is_worth(tmp_path: Path, how: dict, said: str) -> None:
    answer = answer_of(["Jä"], options=("Jä", "No"), question="Ist es müde? – 眠い?", **how)
    out = export_answer(answer, tmp_path / "a.edf", format="edf")
    assert mne.read_annotations(out).description[1] == said
    assert edfio.read_edf(out).annotations[1].text == said


def test_marks_of_edf_in_a_text_end_no_annotation(tmp_path: Path) -> None:
    answer = answer_of(["a\x14b\x00"], options=("a\x14b\x00", "No"), question="one\x15two\nthree")
    found = edfio.read_edf(export_answer(answer, tmp_path / "a.edf", format="edf")).annotations
    assert [a.text for a in found][1] == "one�two�three: a�b� (p=0.60)"
    assert len(found) == 2


def test_undecided_and_guessed_sleep_is_no_stage(tmp_path: Path) -> None:
    answer = answer_of(["REM", "Wake"], options=STAGES, seconds=30, stride=30, undecided=[0], risk=0.1)
    found = mne.read_annotations(export_answer(answer, tmp_path / "a.edf", format="edf")).description
    assert found.tolist()[1:] == ["Sleep stage ?", "Sleep stage W"]
    guess = replace(answer, trained=False)
    found = mne.read_annotations(export_answer(guess, tmp_path / "a.edf", format="edf")).description
    assert found.tolist()[1:] == ["Is it so? REM (a guess)", "Is it so? Wake (a guess)"]


@pytest.mark.parametrize("start", [None, datetime(1970, 1, 1), datetime(2090, 1, 1)])
def test_a_start_that_edf_cannot_write_is_left_out(tmp_path: Path, start: datetime | None) -> None:
    out = export_answer(answer_of(["Yes"]), tmp_path / "a.edf", format="edf", start=start)
    assert out.read_bytes()[168:184] == b"01.01.8500.00.00"


def test_no_recording_is_replaced(tmp_path: Path) -> None:
    file = recording(tmp_path / "night.edf", 10)
    before = file.read_bytes()
    with pytest.raises(ConfigError, match="more than annotations"):
        export_answer(answer_of(["Yes"]), file, format="edf")
    assert file.read_bytes() == before
    out = export_answer(answer_of(["Yes"]), tmp_path / "a.edf", format="edf")
    export_answer(answer_of(["No"]), out, format="edf")  # its own is
    assert "No" in mne.read_annotations(out).description[1]


# --- hypnogram, CSV, JSON --------------------------------------------------------------------------------------------


def test_a_hypnogram_has_a_stage_for_every_epoch() -> None:
    answer = answer_of(
        ["Wake", "NREM-2", "REM", "NREM-3"],
        options=STAGES,
        seconds=30,
        starts=[0, 30, 60, 150],
        undecided=[2],
        risk=0.1,
    )
    assert hypnogram(answer) == ["W", "N2", "UNS", "UNS", "UNS", "N3"]
    with pytest.raises(QuestionError, match="no sleep staging"):
        hypnogram(answer_of(["Yes"]))


def test_csv_has_the_rows_of_the_archive(tmp_path: Path) -> None:
    answer = answer_of(["Yes", "No"])
    out = export_answer(answer, tmp_path / "a.csv", format="csv")
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    expected = list(window_rows(Outcome(recording=answer.recording, answers=(answer,))))
    assert [float(row["probability"]) for row in rows] == [row.probability for row in expected]
    assert list(rows[0]) == list(asdict(expected[0]))


def test_json_has_all_fields(tmp_path: Path) -> None:
    answer = answer_of(["Yes", "No"])
    found = json.loads(export_answer(answer, tmp_path / "a.json", format="json").read_text())
    assert found == json.loads(json.dumps(asdict(answer)))
    assert json.loads(export_answer([answer], tmp_path / "b.json", format="json").read_text()) == [found]


@pytest.mark.parametrize("given", ["answers", "answers.xlsx", "folder/"])
def test_another_ending_is_refused_with_those_there_are(given: str) -> None:
    with pytest.raises(ConfigError, match=r"\.edf .*bids:FOLDER"):
        target(given)


# --- BIDS ------------------------------------------------------------------------------------------------------------


def table(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_mne_bids_finds_and_reads_the_events(tmp_path: Path) -> None:
    mne_bids = pytest.importorskip("mne_bids")
    name = "data/sub-01/ses-b/eeg/sub-01_ses-b_task-rest_run-2_eeg.vhdr"
    answer = answer_of(["Yes", "No", "No"], recording=name, undecided=[1], risk=0.1)
    out = write_derivatives([answer], tmp_path / "derivatives")
    root = tmp_path / "derivatives" / "neurolm"
    path = mne_bids.BIDSPath(
        subject="01", session="b", task="rest", run="2", description="neurolm", suffix="events", extension=".tsv",
        datatype="eeg", root=root,
    )  # fmt: skip
    assert path.fpath == out
    assert [found.fpath for found in mne_bids.find_matching_paths(root, extensions=".tsv")] == [out]
    rows = table(out)
    assert [(row["onset"], row["duration"], row["trial_type"]) for row in rows] == [
        ("0", "4", "Yes"), ("4", "4", "undecided"), ("8", "4", "No"),
    ]  # fmt: skip
    assert [float(row["probability_yes"]) for row in rows] == pytest.approx(
        [window.probabilities[0] for window in answer.timeline], rel=1e-5
    )
    described = json.loads(out.with_suffix(".json").read_text())
    assert set(rows[0]) <= set(described) and described["Answers"][0]["verdict"] == verdict(answer)
    about = json.loads((root / "dataset_description.json").read_text())
    assert about["DatasetType"] == "derivative" and about["GeneratedBy"][0]["Name"] == "neurolm"
    assert about["Name"] and about["BIDSVersion"]


@pytest.mark.parametrize(
    ("recording", "path"),
    [
        ("sub-01_task-rest_eeg.edf", "sub-01/eeg/sub-01_task-rest_desc-neurolm_events.tsv"),
        ("sub-01_task-rest_desc-clean_eeg.set", "sub-01/eeg/sub-01_task-rest_desc-neurolm_events.tsv"),
        ("x/Anna B. 07.edf", "sub-AnnaB07/eeg/sub-AnnaB07_task-unknown_desc-neurolm_events.tsv"),
        ("../../..", "sub-unnamed/eeg/sub-unnamed_task-unknown_desc-neurolm_events.tsv"),
        ("眠.edf", "sub-unnamed/eeg/sub-unnamed_task-unknown_desc-neurolm_events.tsv"),
        ("sub-a_ses-../../x.edf", "sub-x/eeg/sub-x_task-unknown_desc-neurolm_events.tsv"),
    ],
)
def test_names_are_of_the_entities_or_of_the_file(recording: str, path: str) -> None:
    assert name_of(recording).as_posix() == path


def test_another_question_is_added_and_the_same_replaced(tmp_path: Path) -> None:
    one, other = answer_of(["Yes"]), answer_of(["REM", "Wake"], options=STAGES, question="Which stage?")
    write_derivatives([one], tmp_path)
    write_derivatives([other], tmp_path)
    out = write_derivatives([replace(one, timeline=one.timeline * 2)], tmp_path)
    rows = table(out)
    assert [row["question"] for row in rows].count("Is it so?") == 2
    assert [row["trial_type"] for row in rows if row["question"] == "Which stage?"] == ["REM", "Wake"]
    assert {row["probability_rem"] for row in rows if row["question"] == "Is it so?"} == {"n/a"}
    assert [float(row["onset"]) for row in rows] == sorted(float(row["onset"]) for row in rows)


def test_a_guess_has_no_probability_in_the_table(tmp_path: Path) -> None:
    (row,) = table(write_derivatives([answer_of(["Yes"], trained=False, calibrated=False)], tmp_path))
    assert (row["trial_type"], row["probability"], row["probability_yes"], row["decided"]) == (
        "Yes", "n/a", "n/a", "false",
    )  # fmt: skip


def test_another_data_set_and_another_recording_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.8.0"}')
    with pytest.raises(ConfigError, match="derivatives"):
        write_derivatives([answer_of(["Yes"])], tmp_path)
    (tmp_path / "dataset_description.json").write_text("{")
    with pytest.raises(ConfigError, match="no JSON"):
        write_derivatives([answer_of(["Yes"])], tmp_path)
    write_derivatives([answer_of(["Yes"], recording="a-b.edf")], tmp_path / "new")
    with pytest.raises(ConfigError, match=r"of a-b\.edf; choose another folder"):
        write_derivatives([answer_of(["Yes"], recording="ab.edf")], tmp_path / "new")


def test_an_archive_holds_a_data_set(tmp_path: Path) -> None:
    out = export_answer(answer_of(["Yes"]), tmp_path / "answers.zip", format="bids")
    with zipfile.ZipFile(out) as archive:
        assert sorted(archive.namelist()) == [
            "neurolm/dataset_description.json",
            "neurolm/sub-AnnaB07/eeg/sub-AnnaB07_task-unknown_desc-neurolm_events.json",
            "neurolm/sub-AnnaB07/eeg/sub-AnnaB07_task-unknown_desc-neurolm_events.tsv",
        ]
