"""Questions in the terminal: what is printed of risk, interval and explanation, and calibrating an older checkpoint."""

import json
import re

import mne
import numpy as np
import pytest
from edfio import Edf, EdfSignal

import neurolm
from neurolm.ask.answer import conclude
from neurolm.ask.calibration import Calibration, TaskCalibration
from neurolm.ask.novelty import Ranges
from neurolm.ask.rows import Outcome
from neurolm.ask.verdict import verdict
from neurolm.cli import main
from neurolm.cli.answers import short_lines
from neurolm.cli.show import as_json

QUESTION = "Is this EEG segment of high workload?"


@pytest.fixture(scope="module")
def file(tmp_path_factory, rhythm):
    signal = np.concatenate([rhythm("Yes", 14, 2, (1,)), rhythm("No", 14, 2, (2,))])
    path = tmp_path_factory.mktemp("cli") / "a.edf"
    pairs = zip(signal.T, ("C3", "O1"), strict=True)
    Edf([EdfSignal(x, 200, label=n, physical_dimension="uV") for x, n in pairs], data_record_duration=1).write(path)
    return path


def test_an_answer_has_its_interval_and_a_risk_leaves_it_undecided(micro_run, file, capsys):
    assert main(["ask", str(file), QUESTION, "--model", str(micro_run.folder), "--risk", "0.01", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["answer"], found["risk"], found["threshold"], found["calibrated"]) == ("undecided", 0.01, None, True)
    low, high = found["interval"]
    assert low <= found["probability"] <= high and {"outside", "temperature", "worth"} <= set(found)
    assert main(["ask", str(file), QUESTION, "--model", str(micro_run.folder), "--risk", "0.01"]) == 0
    printed = capsys.readouterr().out
    assert f"undecided (likeliest: {found['options'][np.argmax(found['probabilities'])]})" in printed
    assert f"({low:.2f} to {high:.2f})" in printed and "a risk of 0.01 cannot be kept" in printed
    assert main(["ask", str(file), QUESTION, "--model", str(micro_run.folder), "--risk", "2"]) == 2
    assert "--risk 2" in capsys.readouterr().err


def test_an_answer_to_an_untrained_question_is_called_a_guess(micro_run, file, capsys):
    arguments = ["ask", str(file), "Is the moon full?", "--model", str(micro_run.folder), "--options", "yes,no"]
    assert main(arguments) == 0
    verdict = capsys.readouterr().out.splitlines()[1]
    assert verdict.endswith("; a guess: the model was not tuned on this question")
    assert not re.search(r"\d", verdict)  # neither probability nor interval
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["trained"], found["calibrated"]) == (False, False)


def test_an_answer_is_exported_for_other_programs(micro_run, file, capsys, tmp_path):
    ask = ["ask", str(file), QUESTION, "--model", str(micro_run.folder), "--export"]
    for name in ("answers.edf", "answers.csv", "answers.json", f"bids:{tmp_path / 'bids'}"):
        given = name if name.startswith("bids:") else str(tmp_path / name)
        assert main([*ask, given]) == 0
        assert capsys.readouterr().out.splitlines()[-1].endswith(": for other programs")
    (answer,) = neurolm.load(micro_run.folder).ask_all(file, [QUESTION])
    assert json.loads((tmp_path / "answers.json").read_text()) == json.loads(as_json(answer))
    marks = mne.read_annotations(tmp_path / "answers.edf")
    assert marks.description[0].endswith(f"{QUESTION} {verdict(answer)}")
    assert marks.onset[1] == 0 and marks.onset[-1] + marks.duration[-1] == pytest.approx(answer.timeline[-1].stop)
    (events,) = (tmp_path / "bids").rglob("*_events.tsv")
    assert len(events.read_text().splitlines()) == 1 + len(answer.timeline)


def test_an_export_that_cannot_be_is_refused_before_the_model_is_loaded(micro_run, file, capsys, tmp_path):
    for words, said in (
        ([str(file), QUESTION, "--export", str(tmp_path / "a.xlsx")], "bids:FOLDER"),
        ([str(file), QUESTION, "--export", str(file)], "the recording itself"),
        ([str(file), "--generate", "This is", "--export", "a.edf"], "no answer without a question"),
        ([str(file), str(file), QUESTION, "--export", "a.edf"], "--out answers.csv"),
    ):
        assert main(["ask", *words, "--model", str(tmp_path / "none")]) == 2
        assert said in capsys.readouterr().err
    assert main(["ask", str(file), QUESTION, "--export", "a.txt", "--model", str(micro_run.folder)]) == 2
    assert "no sleep staging" in capsys.readouterr().err


def test_a_line_says_where_most_windows_do_not_agree():
    """Three of four windows say No, and the first outweighs them."""
    said = np.log([[0.999999, 0.000001], [0.4, 0.6], [0.4, 0.6], [0.4, 0.6]])
    spans = [(2.0 * i, 2.0 * i + 2) for i in range(4)]
    task = TaskCalibration(task="t", correlation=1.0)
    answer, all_agree = (conclude(said[:n], task, options=("Yes", "No"), spans=spans[:n]) for n in (4, 1))
    assert next(short_lines(Outcome(recording="a", answers=(answer,)))).endswith("; 1 of 4 windows agree")
    assert "agree" not in next(short_lines(Outcome(recording="a", answers=(all_agree,))))


def test_explaining_prints_and_draws(micro_run, file, capsys, tmp_path):
    picture = tmp_path / "picture.png"
    arguments = ["explain", str(file), QUESTION, "--model", str(micro_run.folder), "--windows", "3"]
    assert main([*arguments, "--out", str(picture)]) == 0
    printed = capsys.readouterr().out
    assert "C3" in printed and "O1" in printed and "over 3 windows" in printed and str(picture) in printed
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main([*arguments, "--option", "No", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["option"], found["electrodes"], len(found["second_effects"])) == ("No", ["C3", "O1"], 12)
    for name, message in (
        ("a.docx", ".docx is no picture"),
        ("a", "no suffix is no picture"),
        ("no/a.png", "is no folder"),
    ):
        assert main([*arguments, "--option", "Perhaps", "--out", str(tmp_path / name)]) == 2
        assert message in capsys.readouterr().err  # before the question is looked at
    assert main([*arguments, "--option", "Perhaps"]) == 2
    assert "--option Perhaps" in capsys.readouterr().err


def test_an_older_checkpoint_is_calibrated_afterwards(micro_run, file, capsys, tmp_path):
    """The files come back as training wrote them; without them the answer says so."""
    folder = micro_run.copy(tmp_path / "run")
    names = (Calibration.FILE, Ranges.FILE)
    before = [(folder / "instruct" / name).read_bytes() for name in names]
    for name in names:
        (folder / "instruct" / name).unlink()
    assert main(["ask", str(file), QUESTION, "--model", str(folder)]) == 0
    assert "note: not calibrated" in capsys.readouterr().out
    assert main(["calibrate", "--model", str(folder), "--store", str(micro_run.store)]) == 0
    assert "workload: temperature" in capsys.readouterr().out
    assert [(folder / "instruct" / name).read_bytes() for name in names] == before


def test_a_run_is_named_in_one_way_everywhere(micro_run, file, capsys, tmp_path):
    folder = micro_run.copy(tmp_path / "run")
    assert main(["calibrate", str(folder), "--store", str(micro_run.store)]) == 0
    assert main(["calibrate", str(folder), "--model", str(tmp_path), "--store", str(micro_run.store)]) == 2
    assert "two runs; name one" in capsys.readouterr().err
    for verb in ("calibrate", "evaluate", "report"):
        assert main([verb, *(["--store", str(micro_run.store)] if verb != "report" else [])]) == 2
        assert "RUN is missing: give the folder of the run, as a word or by --model" in capsys.readouterr().err


def test_a_report_finds_the_store_of_its_run_or_says_what_is_left_out(micro_run, capsys, tmp_path):
    folder = micro_run.copy(tmp_path / "run")
    assert main(["report", "--model", str(folder)]) == 0
    assert "note: without --store, the data, the use of codes and reconstructed EEG" in capsys.readouterr().out
    bare = (folder / "report.html").read_text(encoding="utf-8")
    (folder / "command.json").write_text(json.dumps({"stage": "instruct", "store": str(micro_run.store)}))
    assert main(["report", str(folder)]) == 0
    assert "note:" not in capsys.readouterr().out
    whole = (folder / "report.html").read_text(encoding="utf-8")
    assert "recordings of 12 subjects" in whole and "recordings of 12 subjects" not in bare


def test_without_windows_to_compare_no_spread_is_promised(micro_run, file, capsys):
    arguments = ["explain", str(file), QUESTION, "--model", str(micro_run.folder)]
    assert main([*arguments, "--start", "0", "--stop", "4"]) == 0
    assert "±" not in capsys.readouterr().out
    assert main([*arguments, "--windows", "2"]) == 0
    electrodes, _, seconds = capsys.readouterr().out.partition("without each second")
    assert "± SD over windows" in electrodes and "±" not in seconds


def test_features_are_written_for_other_programs(micro_run, file, capsys, tmp_path):
    out = tmp_path / "features.npz"
    arguments = ["embed", str(file), "--model", str(micro_run.folder), "--seconds", "4", "--stride", "8"]
    assert main([*arguments, "--out", str(out)]) == 0
    assert f"{out}: 4 windows of 4 s, 2 electrodes, 16 features each second" in capsys.readouterr().out
    expected = neurolm.load(micro_run.folder).embed(file, seconds=4, stride=8, reading=neurolm.ReadingOptions())
    with np.load(out) as found:
        assert set(found) == {"features", "codes", "starts", "electrodes"}
        assert (found["features"].shape, found["features"].dtype) == ((4, 4, 2, 16), np.float32)
        assert (found["codes"].shape, found["codes"].dtype) == ((4, 4, 2), np.int64)
        for name in found:
            np.testing.assert_array_equal(found[name], getattr(expected, name))
        assert found["starts"].tolist() == [0, 8, 16, 24]
    assert main([*arguments, "--out", str(tmp_path / "features.csv")]) == 2
    assert "ending in .npz" in capsys.readouterr().err
