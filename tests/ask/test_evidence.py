"""Evidence beside the language model: what is added, by class, kept, checked when it is read, and left out."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save

import neurolm
from neurolm.ask.calibration import Calibration
from neurolm.ask.evidence import ARRAYS, Evidence, EvidenceFile, TaskEvidence, digest_of
from neurolm.ask.explanation import without_electrode
from neurolm.ask.novelty import Ranges
from neurolm.ask.prompt import Prompt, contributions, likelihoods
from neurolm.batches.loader import read_sample
from neurolm.batches.windows import labelled_windows
from neurolm.checkpoint import load_card, load_neurolm
from neurolm.cli import main
from neurolm.cli.command import parse
from neurolm.cli.settings import read_settings
from neurolm.core.errors import CheckpointError, ConfigError
from neurolm.core.montage import NAMES, channel_id
from neurolm.core.recipes import recipe
from neurolm.store.store import Store
from neurolm.train.evidence import fit_evidence, fit_weight
from neurolm.train.instruct import train_instruct
from neurolm.train.run import open_run

CPU = torch.device("cpu")


@pytest.fixture
def fitted(evidence_run):
    """A run whose checkpoint gained evidence without training."""
    return evidence_run


def windows_of(micro_run, task):
    store = Store(micro_run.store)
    found = labelled_windows(store, task=task.name, seconds=task.seconds, stride=task.stride)
    return found, [read_sample(store, window) for window in found]


def test_the_evidence_knows_the_planted_rhythm_and_is_added(micro_run, fitted):
    module, card, text = load_neurolm(fitted / "instruct", stage="instruct", decoders=False)
    evidence = Evidence.load(fitted / "instruct")
    assert set(evidence.tasks) == {task.name for task in card.tasks}
    for task in card.tasks:
        windows, samples = windows_of(micro_run, task)
        prompt = Prompt.of(task, text, card.run.model.vocabulary.separator, evidence)
        said, shown = contributions(module, prompt, samples, device=CPU)
        truth = np.array([task.index(window.label) for window in windows])
        assert (shown.argmax(axis=1) == truth).mean() > 0.9
        alone = likelihoods(module, prompt.alone, samples, device=CPU)
        assert 0.1 < evidence.tasks[task.name][0].weight < 1
        np.testing.assert_allclose(said, evidence.tasks[task.name][0].weight * alone, rtol=1e-6)
        np.testing.assert_allclose(likelihoods(module, prompt, samples, device=CPU), said + shown)


def test_evidence_goes_by_class_whatever_the_order_of_options(fitted):
    evidence = Evidence.load(fitted / "instruct")
    name, (known, readout) = next(iter(evidence.tasks.items()))
    turned = evidence.of(name, known.labels[::-1])
    np.testing.assert_array_equal(turned.readout.weights[:, ::-1], readout.weights)
    np.testing.assert_array_equal(turned.readout.offset[::-1], readout.offset)
    assert evidence.of(name, ("one", "two")) is None and evidence.of("another", known.labels) is None


def test_without_a_known_electrode_the_language_model_answers_alone(micro_run, fitted):
    module, card, text = load_neurolm(fitted / "instruct", stage="instruct", decoders=False)
    task = card.tasks[0]
    sample = windows_of(micro_run, task)[1][0]
    prompt = Prompt.of(task, text, card.run.model.vocabulary.separator, Evidence.load(fitted / "instruct"))
    stranger = next(i for i, name in enumerate(NAMES) if i not in prompt.beside.electrodes and name != "pad")
    elsewhere = replace(sample, channel=np.full_like(sample.channel, stranger))
    elsewhere = replace(
        elsewhere, patches=sample.patches[:: sample.channels], channel=elsewhere.channel[:: sample.channels],
        second=sample.second[:: sample.channels],
    )  # fmt: skip
    alone = likelihoods(module, prompt.alone, [elsewhere], device=CPU)
    np.testing.assert_array_equal(likelihoods(module, prompt, [elsewhere], device=CPU), alone)
    known = prompt.beside.electrodes[0]
    (one, other), _ = prompt.beside.scores([sample, without_electrode(sample, known)])
    assert not np.allclose(one, other)  # what is explained is recomputed without the electrode


def test_answers_rest_on_it_and_it_travels(micro_run, fitted, tmp_path):
    model = neurolm.load(fitted)
    saved = neurolm.load(model.save_pretrained(tmp_path / "saved"))
    assert [known for known, _ in saved.evidence.tasks.values()] == [k for k, _ in model.evidence.tasks.values()]
    plain = neurolm.load(micro_run.folder)
    assert plain.evidence is None
    folder = shutil.copytree(fitted, tmp_path / "run")
    assert main(["calibrate", str(folder), "--store", str(micro_run.store), "--evidence", "none"]) == 0
    assert Evidence.load(folder / "instruct") is None and not (folder / "instruct" / ARRAYS).exists()
    assert main(["calibrate", str(folder), "--store", str(micro_run.store), "--evidence", "fit"]) == 0
    for name in (ARRAYS, EvidenceFile.FILE, Calibration.FILE):
        assert (folder / "instruct" / name).read_bytes() == (fitted / "instruct" / name).read_bytes()


def vouch(folder, stated=None):
    """Write the JSON files as if they were those of the arrays that are there."""
    stated = json.loads((folder / EvidenceFile.FILE).read_text()) if stated is None else dict(stated)
    known = [TaskEvidence(**{k: tuple(v) if isinstance(v, list) else v for k, v in t.items()}) for t in stated["tasks"]]
    stated["digest"] = digest_of((folder / ARRAYS).read_bytes(), known)
    (folder / EvidenceFile.FILE).write_text(json.dumps(stated))
    calibration = json.loads((folder / Calibration.FILE).read_text())
    (folder / Calibration.FILE).write_text(json.dumps(calibration | {"evidence": stated["digest"]}))


@pytest.mark.parametrize(
    ("spoil", "error", "said"),
    [
        (lambda a: a.update({"x": np.zeros(1, np.float32)}), CheckpointError, "not that of the evidence"),
        (lambda a: a.clear(), CheckpointError, "must be float32 .* found none; make both files anew"),
        (lambda a: a.update({"x": np.zeros(1, np.float32)}), CheckpointError, "has x, which evidence.json does not"),
        (lambda a: a.update({k: v.astype(np.float64) for k, v in a.items()}), CheckpointError, "found float64"),
        (lambda a: [v.fill(np.nan) for v in a.values()], CheckpointError, "no fit gives, such as nan; make"),
        (lambda a: [v.fill(1e9) for v in a.values()], CheckpointError, r"no fit gives, such as 1000000000"),
        (lambda a: [v.fill(-1) for k, v in a.items() if "scale" in k], CheckpointError, "no fit gives, such as -1.0"),
    ],
)  # fmt: skip
def test_damaged_arrays_are_refused(fitted, tmp_path, spoil, error, said):
    folder = shutil.copytree(fitted / "instruct", tmp_path / "instruct")
    arrays = {name: array.copy() for name, array in load((folder / ARRAYS).read_bytes()).items()}
    spoil(arrays)
    (folder / ARRAYS).write_bytes(save(arrays))
    if "not that" not in said:  # as if the JSON file vouched for them
        vouch(folder)
    with pytest.raises(error, match=said):
        Evidence.load(folder)
    (folder / ARRAYS).unlink()
    with pytest.raises(CheckpointError, match=r"which evidence\.json needs; make both files anew with `neurolm calib"):
        Evidence.load(folder)


def test_a_file_that_does_not_say_what_was_left_out_means_people(fitted, tmp_path):
    folder = shutil.copytree(fitted / "instruct", tmp_path / "instruct")
    stated = json.loads((folder / EvidenceFile.FILE).read_text())
    assert all(task.pop("left_out") == "people" and task.pop("groups") == task["subjects"] for task in stated["tasks"])
    vouch(folder, stated)
    known = next(iter(Evidence.load(folder).tasks.values()))[0]
    assert (known.left_out, known.who) == ("people", f"{known.subjects} people")
    one = replace(known, subjects=1, left_out="recordings", groups=3)
    assert one.who == "one person, whose recordings (3) were left out in turn"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weight", -1),
        ("weight", "NaN"),
        ("labels", ["a", "a"]),
        ("electrodes", ["C3", "Q9"]),
        ("electrodes", ["C3"] * 9),
        ("subjects", -1),
        ("slope", 1e99),
        ("left_out", "nobody"),
        ("groups", -1),
    ],
)
def test_damaged_facts_are_refused(fitted, tmp_path, name, value):
    folder = shutil.copytree(fitted / "instruct", tmp_path / "instruct")
    stated = json.loads((folder / EvidenceFile.FILE).read_text())
    (stated if name in stated else stated["tasks"][0])[name] = value
    (folder / EvidenceFile.FILE).write_text(json.dumps(stated))
    with pytest.raises(ConfigError, match=rf"evidence\.json: .*{name}.*; make both files anew with"):
        Evidence.load(folder)


def test_files_that_only_look_right_are_refused(fitted, tmp_path):
    """No safetensors although the digest agrees; one task twice; more bytes than such a file has."""
    folder = shutil.copytree(fitted / "instruct", tmp_path / "instruct")
    stated = json.loads((folder / EvidenceFile.FILE).read_text())
    for content in (b"", b"\xff" * 100, (10**9).to_bytes(8, "little") + b"{}"):
        (folder / ARRAYS).write_bytes(content)
        vouch(folder, stated)
        with pytest.raises(CheckpointError, match=r"evidence\.safetensors: cannot be read .*; make both files anew"):
            Evidence.load(folder)
    (folder / EvidenceFile.FILE).write_text(json.dumps(stated | {"tasks": stated["tasks"][:1] * 2}))
    with pytest.raises(
        ConfigError, match=r"evidence\.json: tasks must be different ones, but events is there several times; make"
    ):
        Evidence.load(folder)
    (folder / EvidenceFile.FILE).write_text(json.dumps(stated))
    with (folder / ARRAYS).open("wb") as file:
        file.truncate(1 << 40)  # sparse: it takes no room
    with pytest.raises(CheckpointError, match=r"1,099,511,627,776 bytes, and such a file has at most .*; make both"):
        Evidence.load(folder)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("task", "sleep", "of a task 'sleep', which the model was not tuned on (it was on events, workload): another"),
        ("labels", ["background", "spikes", "slowing"], "events has the options background, spikes, slowing, and the "),
    ],
)
def test_evidence_of_another_model_is_refused(micro_run, fitted, tmp_path, capsys, name, value, said):
    folder = shutil.copytree(fitted, tmp_path / "run")
    path = folder / "instruct" / EvidenceFile.FILE
    stated = json.loads(path.read_text())
    assert stated["tasks"][0]["task"] == "events"
    stated["tasks"][0][name] = value
    content = (folder / "instruct" / ARRAYS).read_bytes()
    if name == "task":
        content = save({key.replace("events.", f"{value}."): array for key, array in load(content).items()})
        (folder / "instruct" / ARRAYS).write_bytes(content)
    path.write_text(json.dumps(stated))
    with pytest.raises(CheckpointError, match=re.escape(said)):
        neurolm.load(folder)
    assert main(["evaluate", str(folder), "--store", str(micro_run.store)]) == 2
    assert said in (error := capsys.readouterr().err) and "--evidence fit`, or `none`" in error
    assert main(["calibrate", str(folder), "--store", str(micro_run.store)]) == 0  # as the message says
    assert neurolm.load(folder).evidence is not None


def test_a_task_may_have_dots_in_its_name(fitted, tmp_path):
    evidence = Evidence.load(fitted / "instruct")
    names = ("mine.mean", "mine")
    turned = {
        name: (replace(known, task=name), readout)
        for name, (known, readout) in zip(names, evidence.tasks.values(), strict=True)
    }
    replace(evidence, tasks=turned).save(tmp_path)
    again = Evidence.load(tmp_path)
    for name, (known, readout) in turned.items():
        assert again.tasks[name][0] == known
        np.testing.assert_array_equal(again.tasks[name][1].weights, readout.weights)


def test_instruction_tuning_ends_with_evidence_and_then_the_calibration(micro_run, fitted, tmp_path):
    """Where the settings say so, and then as the command that adds it does: the temperature is that of both."""
    config = replace(micro_run.config, instruct=replace(micro_run.config.instruct, evidence=True))
    folder = micro_run.copy(tmp_path / "run", without=("run.json", "instruct"))
    train_instruct(open_run(folder, config=config, store=micro_run.store, device="cpu"), texts=micro_run.texts)
    for name in (ARRAYS, EvidenceFile.FILE, Calibration.FILE, Ranges.FILE):
        assert (folder / "instruct" / name).read_bytes() == (fitted / "instruct" / name).read_bytes()
    alone = Calibration.load(micro_run.folder / "instruct")
    both = Calibration.load(folder / "instruct")
    assert [task.temperature for task in alone.tasks] != [task.temperature for task in both.tasks]


def test_what_decides_is_the_settings_that_a_run_was_begun_with(micro_run, fitted, tmp_path, capsys):
    """Those of a run that knew nothing of evidence, too: the recipe may have it on by now."""
    folder, store = micro_run.copy(tmp_path / "run"), str(micro_run.store)
    run = json.loads((folder / "run.json").read_text())
    run["config"]["recipe"] = "tiny"
    assert run["config"]["instruct"].pop("evidence") is False
    (folder / "run.json").write_text(json.dumps(run))
    for given in ([], ["--recipe", "tiny"]):
        settings = read_settings(parse("train", ["instruct", "--store", store, "--out", str(folder), *given]))
        assert not settings.config.instruct.evidence and recipe("tiny").instruct.evidence
    assert main(["calibrate", str(folder), "--store", store]) == 0
    assert not (folder / "instruct" / EvidenceFile.FILE).exists() and "evidence" not in capsys.readouterr().out


def test_calibrating_anew_keeps_evidence_that_was_added(micro_run, fitted, tmp_path, capsys):
    folder = shutil.copytree(fitted, tmp_path / "run")
    before = {name: (folder / "instruct" / name).read_bytes() for name in (ARRAYS, EvidenceFile.FILE, Calibration.FILE)}
    assert main(["calibrate", str(folder), "--store", str(micro_run.store)]) == 0
    assert before == {name: (folder / "instruct" / name).read_bytes() for name in before}
    printed = capsys.readouterr().out
    assert (
        "workload: evidence of C3, O1, beside 0." in printed and str(folder / "instruct" / "evidence.json") in printed
    )


def test_few_people_or_one_class_give_none(micro_run, fitted):
    card = load_neurolm(fitted / "instruct", stage="instruct", decoders=False)[1]
    task = card.tasks[0]
    windows, samples = windows_of(micro_run, task)
    labels = np.array([task.index(window.label) for window in windows])
    people = [window.subject for window in windows]
    assert fit_evidence(task, samples, labels, ["one"] * len(people)) is None
    strangers = [f"{window.subject}{task.index(window.label)}" for window in windows]
    elsewhere = [replace(sample, channel=sample.channel + 20 * number) for number, sample in enumerate(samples)]
    assert fit_evidence(task, elsewhere, labels, strangers) is None  # no electrode that two of them have
    assert fit_evidence(task, samples, np.zeros_like(labels), people) is None
    known, readout = fit_evidence(task, samples, labels, people)
    assert known.shape == readout.weights.shape and channel_id(known.electrodes[0]) >= 0
    again = fit_evidence(task, samples, labels, people)[1]
    np.testing.assert_array_equal(again.weights, readout.weights)


def test_the_weight_is_held_near_a_half_by_few_people_and_learned_from_many():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 400)
    right, noise = 4.0 * np.eye(2)[truth], rng.normal(0, 4, (400, 2))
    few, many = ["A", "B"] * 200, [f"S{number}" for number in range(400)]
    assert fit_weight(np.zeros((400, 2)), noise, truth, few) == pytest.approx(0.5, abs=0.01)  # it says nothing
    assert 0.5 < fit_weight(right, noise, truth, few) < fit_weight(right, noise, truth, many)
    assert fit_weight(noise, right, truth, many) < fit_weight(noise, right, truth, few) < 0.5
    assert 0.01 <= fit_weight(-right - noise, right, truth, many) < 0.2  # never against what it says


def test_an_evaluation_shows_what_each_says_alone(micro_run, fitted):
    from neurolm.evaluation.evaluate import evaluate

    for result in evaluate(fitted / "instruct", micro_run.store, baselines=["majority"]).results:
        language, evidence = result.baselines[:2]
        assert (language.name, evidence.name) == ("language model", "evidence")
        assert evidence.scores.balanced_accuracy > 0.8  # of few windows
        assert max(max(row) for row in evidence.probabilities) < 0.9999


def test_the_language_models_row_is_not_weighed_where_no_evidence_speaks(micro_run, fitted):
    """Of windows without an electrode that the evidence knows."""
    from neurolm.evaluation.evaluate import _Model

    evaluated = _Model.load(fitted / "instruct", micro_run.store, CPU)
    (task,) = (task for task in evaluated.card.tasks if task.name == "workload")
    windows = windows_of(micro_run, task)[0]
    separator = evaluated.card.run.model.vocabulary.separator
    prompt = Prompt.of(task, evaluated.text, separator, evaluated.evidence)
    alone = evaluated.predict(prompt.alone, task, windows, None)[0].probabilities
    strange = replace(prompt, beside=replace(prompt.beside, electrodes=tuple(map(channel_id, ("CZ", "PZ")))))
    for asked in (prompt, strange):
        language, evidence = evaluated.predict(asked, task, windows, None)[1]
        np.testing.assert_allclose(language.probabilities, alone, atol=1e-6)
        assert (np.ptp(evidence.probabilities, axis=1) > 0).any() == (asked is prompt)


def test_what_could_not_be_fitted_is_said(micro_run, tmp_path, monkeypatch, capsys):
    folder = micro_run.copy(tmp_path / "run")
    monkeypatch.setattr("neurolm.train.calibrate.fit_evidence", lambda *_, **__: None)
    for given, said in (("fit", True), ("auto", False)):
        assert main(["calibrate", str(folder), "--store", str(micro_run.store), "--evidence", given]) == 0
        assert ("note: no evidence for workload: its training windows" in capsys.readouterr().out) == said


@pytest.mark.parametrize("name", ["labels", "electrodes", "weight", "people"])
def test_what_is_said_of_the_arrays_cannot_be_changed_alone(fitted, tmp_path, name):
    folder = shutil.copytree(fitted / "instruct", tmp_path / "instruct")
    stated = json.loads((folder / EvidenceFile.FILE).read_text())
    task = stated["tasks"][0]
    if name == "people":
        stated["people"][0] = "0" * 24  # of whom the model knows nothing
        said = "learned from 1 person whom the model was not trained on"
    else:
        task[name] = 0.9 if name == "weight" else task[name][::-1]
        said = "not that of the evidence"
    (folder / EvidenceFile.FILE).write_text(json.dumps(stated))
    with pytest.raises(CheckpointError, match=said):
        neurolm.load(folder)


def test_a_calibration_is_of_the_evidence_beside_it(fitted, tmp_path):
    folder = shutil.copytree(fitted / "instruct", tmp_path / "instruct")
    (folder / EvidenceFile.FILE).unlink()
    with pytest.raises(CheckpointError, match="rest on other evidence, and there is none; make both"):
        neurolm.load(folder)
    folder = shutil.copytree(fitted / "instruct", tmp_path / "again")
    calibration = json.loads((folder / Calibration.FILE).read_text())
    (folder / Calibration.FILE).write_text(json.dumps(calibration | {"evidence": ""}))
    with pytest.raises(CheckpointError, match="rest on no evidence, and another is there"):
        neurolm.load(folder)


def test_windows_shorter_than_those_of_the_training_are_heard_less(micro_run, fitted):
    card = load_card(fitted / "instruct", stage="instruct")
    evidence = Evidence.load(fitted / "instruct", card)
    task = card.tasks[0]
    beside = evidence.of(task.name, task.labels)
    assert beside.seconds == task.seconds > 1
    short = [replace_seconds(sample, 1) for sample in windows_of(micro_run, task)[1][:3]]
    scores, _ = beside.scores(short)
    np.testing.assert_allclose(scores, replace(beside, seconds=0.0).scores(short)[0] / task.seconds**0.5)


def replace_seconds(sample, seconds):
    """The first seconds of a window."""
    kept = sample.second < seconds
    return replace(sample, patches=sample.patches[kept], channel=sample.channel[kept], second=sample.second[kept])


def test_people_whom_the_model_was_not_trained_on_are_not_learned_from(micro_run, fitted, tmp_path, capsys):
    folder = shutil.copytree(fitted, tmp_path / "run")
    path = folder / "instruct" / "config.json"
    card = json.loads(path.read_text())
    path.write_text(json.dumps(card | {"subjects": []}))
    before = (folder / "instruct" / EvidenceFile.FILE).read_bytes()
    assert main(["calibrate", str(folder), "--store", str(micro_run.store), "--evidence", "fit"]) == 2
    assert "was not trained on" in capsys.readouterr().err
    assert (folder / "instruct" / EvidenceFile.FILE).read_bytes() == before
