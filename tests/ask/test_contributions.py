"""What people see of the two that answer: in Python, JSON, terminal, page, card, and in embeddings."""

import json
import shutil

import numpy as np
import pytest
from edfio import Edf, EdfSignal

import neurolm
from neurolm.ask.evidence import ARRAYS, Evidence, EvidenceFile
from neurolm.batches.loader import sample_from
from neurolm.cli import main
from neurolm.core.errors import CheckpointError
from neurolm.core.montage import channel_id
from neurolm.report import write_report

QUESTION = "Is this EEG segment of high workload?"


@pytest.fixture(scope="module")
def write(tmp_path_factory, rhythm):
    """Writes 14 s of a rhythm at two electrodes."""

    def write(label: str, *electrodes: str):
        path = tmp_path_factory.mktemp("edf") / "a.edf"
        pairs = zip(rhythm(label, 14, 2, (1,)).T, electrodes, strict=True)
        Edf([EdfSignal(x, 200, label=n, physical_dimension="uV") for x, n in pairs], data_record_duration=1).write(path)
        return path

    return write


@pytest.fixture(scope="module")
def file(write):
    return write("Yes", "C3", "O1")


def asked(capsys, *words) -> tuple[dict, str]:
    """An answer as JSON and as the terminal shows it."""
    words = ["ask", *map(str, words)]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert main(words) == 0
    return found, capsys.readouterr().out


def test_an_answer_says_how_much_each_spoke_for_it(evidence_run, file, capsys):
    found, printed = asked(capsys, file, QUESTION, "--model", evidence_run)
    parts = found["contributions"]
    assert (found["answer"], parts["option"], parts["against"], parts["no_evidence"]) == ("Yes", "Yes", "No", None)
    odds = np.log(found["probabilities"][0] / found["probabilities"][1])
    assert parts["language_model"] + parts["evidence"] == pytest.approx(odds)
    assert parts["evidence"] > 1 > abs(parts["language_model"])  # six steps of tuning teach it little
    for window in found["timeline"]:
        own = np.log(window["probabilities"][0] / window["probabilities"][1])
        assert window["language_model"] + window["evidence"] == pytest.approx(own)
    line = (
        f"for Yes rather than No spoke: language model {parts['language_model']:+.2f}, "
        f"evidence {parts['evidence']:+.2f} nats"
    )
    assert line in printed.splitlines()
    assert neurolm.load(evidence_run).ask(file, QUESTION).contributions.in_words == line


def test_where_no_evidence_speaks_it_says_so(evidence_run, micro_run, file, write, capsys):
    """A model without, electrodes that it does not know, a question of one's own."""
    found, printed = asked(capsys, file, QUESTION, "--model", micro_run.folder)
    assert found["contributions"]["evidence"] is None and found["timeline"][0]["evidence"] is None
    assert "nats; no evidence, since the model has none for this question" in printed
    found, printed = asked(capsys, write("Yes", "FZ", "C4"), QUESTION, "--model", evidence_run)
    assert found["contributions"]["no_evidence"] == "it knows none of these electrodes" and found["calibrated"]
    odds = np.log(max(found["probabilities"]) / min(found["probabilities"]))
    assert found["contributions"]["language_model"] == pytest.approx(odds)
    assert "nats; no evidence, since it knows none of these electrodes" in printed
    free = ["Is the moon full?", "--options", "yes,no", "--model", evidence_run]
    found, printed = asked(capsys, file, *free)
    why = "there is none for questions that the model was not tuned on"
    assert (found["contributions"]["evidence"], found["contributions"]["no_evidence"]) == (None, why)
    assert f"no evidence spoke, since {why}" in printed.splitlines() and "nats" not in printed
    # What is noted of a guess does not speak of numbers that the terminal leaves out.
    assert "note: the model was not tuned on this question: expect guesses, however likely it finds them" in printed


def test_a_report_says_who_spoke_and_how_answers_are_read(evidence_run, file, tmp_path):
    folder = shutil.copytree(evidence_run, tmp_path / "run")
    answer = neurolm.load(folder).ask(file, QUESTION)
    page = write_report(folder, out=folder / "report.html", answer=answer).read_text(encoding="utf-8")
    assert f"Over the recording, {answer.contributions.in_words}. One nat more" in page
    (line,) = [line for line in EvidenceFile.load(folder / "instruct").described if line.startswith("workload")]
    assert line.startswith("workload: evidence of C3, O1, beside 0.") and line.endswith("windows, 5 people")
    assert line in page and "workload: temperature" in page


def test_a_saved_model_is_calibrated_with_evidence_and_its_card_says_so(micro_run, file, tmp_path, capsys):
    """A folder as from the hub, which is no run's: evidence is fitted beside it, and travels on."""
    saved = neurolm.load(micro_run.folder).save_pretrained(tmp_path / "hub" / "model")
    assert "- Task workload: temperature" in (card := (saved / "README.md").read_text()) and "evidence of" not in card
    assert main(["calibrate", str(saved), "--store", str(micro_run.store), "--evidence", "fit"]) == 0
    assert f"note: {saved / 'README.md'} says how answers were read before" in capsys.readouterr().out
    found, _ = asked(capsys, file, QUESTION, "--model", saved)
    assert found["contributions"]["evidence"] > 0
    again = neurolm.from_pretrained(saved).save_pretrained(tmp_path / "again")
    assert [(again / name).read_bytes() == (saved / name).read_bytes() for name in (ARRAYS, EvidenceFile.FILE)]
    assert "- Task workload: evidence of C3, O1, beside 0." in (again / "README.md").read_text()
    assert asked(capsys, file, QUESTION, "--model", again)[0] == found


def test_embeddings_can_have_the_evidence(evidence_run, micro_run, file, write, tmp_path, capsys):
    out = tmp_path / "features.npz"
    words = ["embed", "--model", str(evidence_run), "--seconds", "4", "--stride", "8", "--out", str(out)]
    assert main([*words, str(file), "--evidence"]) == 0
    printed = capsys.readouterr().out
    assert "evidence for workload: Yes, workload: No" in printed
    assert "note: no columns of events: its evidence knows none of these electrodes" in printed
    model = neurolm.load(evidence_run)
    with np.load(out) as found:
        assert found["evidence_columns"].tolist() == ["workload: Yes", "workload: No"]
        assert (found["evidence"].shape, found["evidence"].dtype) == ((2, 2), np.float32)
        assert (found["evidence"][:, 0] > found["evidence"][:, 1]).all()  # of a recording that says Yes
        answer = model.ask(file, QUESTION)  # windows of 4 s every 2 s
        (window,) = (window for window in answer.timeline if window.start == 8)
        difference = (found["evidence"][1, 0] - found["evidence"][1, 1]) / answer.temperature
        assert window.evidence == pytest.approx(difference, rel=1e-4)
    assert main([*words, str(file)]) == 0 and "evidence" not in capsys.readouterr().out
    with np.load(out) as found:
        assert set(found) == {"features", "codes", "starts", "electrodes"}
    both = model.embed(write("Yes", "C3", "FZ"), seconds=3, evidence=True)
    assert both.evidence_columns[:3] == ("events: background", "events: epileptiform", "events: slowing")
    assert both.evidence.shape == (len(both.starts), 5) and np.isfinite(both.evidence).all()
    assert "the evidence of workload was fitted on windows of 4 s, and these have 3" in both.notes
    assert main([*words, str(file), "--evidence", "--model", str(micro_run.folder)]) == 2
    assert "no evidence beside its language model: add it with `neurolm calibrate RUN" in capsys.readouterr().err


def test_evidence_knows_what_it_can_score(evidence_run, rhythm):
    """`knows` and `scores` agree on which windows it says something of."""
    evidence = Evidence.load(evidence_run / "instruct")
    known, _ = evidence.tasks["workload"]
    beside = evidence.of("workload", known.labels)
    for names in (("C3",), ("O1", "CZ"), ("CZ", "PZ")):
        channels = [channel_id(name) for name in names]
        sample = sample_from(rhythm("Yes", 4, len(names), (1,)), channels)
        assert beside.scores([sample])[1].tolist() == [beside.knows(channels)] == [names[0] != "CZ"]
    with pytest.raises(CheckpointError, match="has no evidence"):
        neurolm.ask.embedding.evidence_columns(None, (), sample.channel, seconds=4)
