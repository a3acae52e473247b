"""Answers adapted to one person: what labels teach, what stays as it was without them, and whose files are taken."""

import json
import os
import re
import shutil

import mne
import numpy as np
import pytest
from safetensors.numpy import load, save
from scipy.special import log_softmax, softmax
from sklearn.metrics import balanced_accuracy_score, log_loss

import neurolm
from neurolm.ask.calibration import Calibration
from neurolm.ask.personal import ARRAYS, Person, PersonFile, fit, left_out
from neurolm.ask.worth import blocks_of
from neurolm.cli import FAILED, main
from neurolm.core.errors import CheckpointError, ConfigError, QuestionError, WriteError
from neurolm.store.manifest import Label

QUESTION = "Is this EEG segment of high workload?"
TASK = "workload"


def windows(rng, count, *, shift, features=12):
    """Two classes along one feature, 2 apart, of a person whose features are shifted along it; anybody's log-odds."""
    labels = np.arange(count) % 2
    x = rng.standard_normal((count, features)) / 3
    x[:, 0] += 2.0 * labels - 1 + shift
    before = log_softmax(np.stack([-2 * x[:, 0], 2 * x[:, 0]], axis=1), axis=1)
    return before, x / np.sqrt(features), labels


def asked(adapted, before, features):
    return adapted.coldness * before + features @ adapted.weights + adapted.offset


def test_a_person_whose_features_are_shifted_gets_the_correction_that_is_known():
    rng = np.random.default_rng(1)
    before, features, labels = windows(rng, 400, shift=1.5)
    assert (before.argmax(axis=1) == labels).mean() < 0.7
    adapted = fit(before, features, labels)
    new, scaled, truth = windows(rng, 2000, shift=1.5)
    assert (asked(adapted, new, scaled).argmax(axis=1) == truth).mean() > 0.99
    # half way between the classes, where this person is at 1.5, nothing speaks for either
    middle, scaled = np.array([[-3.0, 3.0]]), np.zeros((1, 12))
    scaled[0, 0] = 1.5 / np.sqrt(12)
    odds = asked(adapted, middle, scaled) @ [-1, 1]
    assert abs(odds[0]) < 0.15 * (middle @ [-1, 1])[0]


def test_a_person_like_all_others_stays_near_the_answer_for_anybody():
    rng = np.random.default_rng(2)
    gains = []
    for _ in range(20):
        before, features, labels = windows(rng, 6, shift=0.0)
        new, scaled, truth = windows(rng, 500, shift=0.0)
        after = log_softmax(asked(fit(before, features, labels), new, scaled), axis=1)
        gains.append((after - new)[np.arange(500), truth].mean())
    assert np.mean(gains) > -0.02


def test_what_a_fit_is_worth_is_told_by_blocks_that_it_was_not_fitted_on():
    rng = np.random.default_rng(7)
    before, features, labels = windows(rng, 80, shift=1.5)
    order = np.argsort(labels, kind="stable").reshape(2, 2, 20).swapaxes(0, 1).ravel()  # No, Yes, No, Yes
    before, features, labels = before[order], features[order], labels[order]
    blocks = blocks_of(np.arange(80) * 200, labels, length=200)
    assert blocks.tolist() == np.repeat(range(4), 20).tolist()
    found = left_out(before, features, labels, blocks)
    after = np.concatenate(
        [
            log_softmax(asked(fit(before[blocks != b], features[blocks != b], labels[blocks != b]),
                              before[blocks == b], features[blocks == b]), axis=1)
            for b in range(4)
        ]
    )  # fmt: skip
    assert found.blocks == 4 and found.helps
    for logs, accuracy, likelihood in zip((before, after), found.accuracy, found.likelihood, strict=True):
        assert accuracy == pytest.approx(balanced_accuracy_score(labels, logs.argmax(axis=1)))
        assert likelihood == pytest.approx(-log_loss(labels, np.exp(logs)), rel=1e-6)
    assert left_out(before[:60], features[:60], labels[:60], blocks[:60]) is None  # one block of an option


def test_labels_of_nothing_do_not_help():
    rng = np.random.default_rng(8)
    before, features, labels = windows(rng, 120, shift=0.0)
    blocks = np.arange(120) // 6
    wrong = np.arange(20)[blocks] % 2  # by turns, whatever the state is
    gains = [left_out(before, features, (wrong + flip) % 2, blocks) for flip in (0, 1)]
    assert not all(one.helps for one in gains) and all(abs(one.accuracy[1] - 0.5) < 0.2 for one in gains)
    assert left_out(before, features, labels, np.arange(120) // 2).blocks == 60


def test_a_pause_or_another_label_begins_a_block():
    starts, labels = np.array([0, 200, 400, 2000, 2200, 2400]), np.array([1, 1, 1, 1, 1, 0])
    assert blocks_of(starts, labels, length=400).tolist() == [0, 0, 0, 1, 1, 2]
    assert blocks_of(starts[:0], labels[:0], length=400).tolist() == []


@pytest.mark.parametrize("labels", [[], [1], [0, 0, 0]])
def test_without_labels_of_two_options_nothing_changes(labels):
    before, features, _ = windows(np.random.default_rng(3), len(labels), shift=1.0)
    adapted = fit(before, features, np.array(labels, int))
    assert adapted.coldness == 1 and not adapted.offset.any() and not adapted.weights.any()


def test_an_option_without_labels_keeps_its_place_beside_the_others():
    rng = np.random.default_rng(4)
    before = log_softmax(rng.standard_normal((40, 3)), axis=1)
    adapted = fit(before, rng.standard_normal((40, 5)), np.arange(40) % 2, coldness_spread=0)
    assert adapted.offset[2] == 0 and not adapted.weights[:, 2].any()
    np.testing.assert_allclose(adapted.weights.sum(axis=1), 0, atol=1e-6)


def test_the_fit_is_the_maximum_a_posteriori():
    """Against the gradient of the same posterior, written down anew in all features."""
    rng = np.random.default_rng(5)
    before, features, labels = windows(rng, 30, shift=0.7, features=50)  # more features than windows
    labels[:5] = 1  # classes weigh the same, however many windows they have
    found = fit(before, features, labels, worth=0.5, coldness_spread=0.3, offset_spread=0.8, weight_spread=1.2)
    share = 15 * (1 / (2 * np.bincount(labels)))[labels]
    wrong = share[:, None] * (softmax(asked(found, before, features), axis=1) - np.eye(2)[labels])
    np.testing.assert_allclose(wrong.sum(axis=0), -found.offset / 0.8**2, atol=1e-3)
    np.testing.assert_allclose(features.T @ wrong, -found.weights / 1.2**2, atol=1e-3)
    np.testing.assert_allclose((wrong * before).sum() * found.coldness, -np.log(found.coldness) / 0.3**2, atol=1e-3)


def raw_of(rhythm, labels, seed=77):
    """A recording of stretches of ten seconds."""
    signal = np.concatenate([rhythm(label, 10, 2, (seed, i)) for i, label in enumerate(labels)])
    return mne.io.RawArray(signal.T * 1e-6, mne.create_info(["C3", "O1"], 200, "eeg"), verbose="error")


def turned(labels):
    """What a person is said to do, where the rhythms mean the opposite of what they mean for everybody else."""
    names = {"Yes": "No", "No": "Yes"}
    return [Label(TASK, names[label], 10.0 * i, 10.0 * (i + 1)) for i, label in enumerate(labels)]


@pytest.fixture(scope="module")
def model(evidence_run):
    return neurolm.load(evidence_run)


@pytest.fixture(scope="module")
def contrary(model, rhythm):
    """Somebody whose rhythms mean the opposite."""
    labels = ["Yes", "No", "Yes", "No"]
    return model.calibrate([(raw_of(rhythm, labels), turned(labels))], name="Ada")


def test_it_learns_from_labels_and_not_from_the_recording(model, contrary, rhythm):
    raw = raw_of(rhythm, ["Yes"], seed=78)
    for_anybody, for_ada = model.ask(raw, QUESTION), model.ask(raw, QUESTION, person=contrary)
    assert (for_anybody.answer, for_ada.answer) == ("Yes", "No")
    assert for_anybody.person is None and for_ada.person == "Ada"
    assert any("calibrated for Ada on 16 windows (Yes 8, No 8) of 40 s of labelled EEG" in n for n in for_ada.notes)
    parts = for_ada.contributions
    others = sorted(for_ada.probabilities)
    odds = np.log(others[-1] / others[-2])
    np.testing.assert_allclose(parts.language_model + parts.evidence, odds, rtol=1e-4)


def test_labels_as_everybody_has_them_make_it_surer(model, rhythm):
    labels = ["Yes", "No", "Yes", "No"]
    right = [Label(TASK, label, 10.0 * i, 10.0 * (i + 1)) for i, label in enumerate(labels)]
    person = model.calibrate([(raw_of(rhythm, labels), right)], name="Eve")
    raw = raw_of(rhythm, ["Yes"], seed=79)
    assert model.ask(raw, QUESTION, person=person).probability > model.ask(raw, QUESTION).probability


def test_what_was_fitted_is_kept_in_a_folder_and_changes_no_model(model, contrary, rhythm, evidence_run, tmp_path):
    before = {path.name: path.read_bytes() for path in (evidence_run / "instruct").iterdir()}
    contrary.save(tmp_path / "ada")
    assert {path.name for path in (tmp_path / "ada").iterdir()} == {PersonFile.FILE, ARRAYS}
    assert {path.name: path.read_bytes() for path in (evidence_run / "instruct").iterdir()} == before
    raw = raw_of(rhythm, ["No"], seed=80)
    kept, direct = (model.ask(raw, QUESTION, person=who) for who in (tmp_path / "ada", contrary))
    np.testing.assert_allclose(kept.probabilities, direct.probabilities, rtol=1e-5)
    assert model.ask(raw, QUESTION).person is None


def test_a_person_of_another_model_is_refused(model, contrary, evidence_run, rhythm, tmp_path):
    folder = shutil.copytree(evidence_run, tmp_path / "run")
    calibration = json.loads((folder / "instruct" / Calibration.FILE).read_text())
    calibration["tasks"][0]["temperature"] *= 1.5
    (folder / "instruct" / Calibration.FILE).write_text(json.dumps(calibration))
    with pytest.raises(CheckpointError, match=r"for Ada is of another model, or of this one before .* anew; make it"):
        neurolm.load(folder).ask(raw_of(rhythm, ["No"]), QUESTION, person=contrary)


def test_only_what_was_calibrated_is_asked_for_a_person(model, contrary, rhythm, micro_run):
    raw = raw_of(rhythm, ["No"])
    with pytest.raises(QuestionError, match="Ada was calibrated for workload, not for events: ask without a person"):
        model.ask(raw, next(task.question for task in model.card.tasks if task.name == "events"), person=contrary)
    with pytest.raises(QuestionError, match="only answers to questions that the model was tuned on"):
        model.ask(raw, "Is it raining?", options=["yes", "no"], person=contrary)
    with pytest.raises(QuestionError, match=r"risk=0\.1: the thresholds for a risk are of answers about anybody"):
        model.ask(raw, QUESTION, person=contrary, risk=0.1)
    with pytest.raises(CheckpointError, match=r"this model has none: `neurolm calibrate RUN --store STORE --evidence"):
        neurolm.load(micro_run.folder).calibrate([(raw, turned(["No"]))], name="Ada")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([Label(TASK, "Yes", 0, 10)], "Ada: no task has labelled windows of two options"),
        ([Label(TASK, "Yes", 0, 10), Label(TASK, "No", 10, 13)], "workload: Yes, No, 4 s or longer"),
        ([Label("sleep", "Wake", 0, 10)], "label stretches of two options or more"),
        (
            [Label("workloads", "Yes", 0, 10)],
            "Ada: the labels are of workloads, of which the model has no evidence; label stretches of two options or "
            "more of what it has (events: background, epileptiform, slowing, 10 s or longer; workload: Yes, No",
        ),
        ([Label(TASK, "yes", 0, 10)], "the label 'yes' is no option of workload: did you mean Yes"),
    ],
)
def test_labels_that_teach_nothing_are_refused(model, rhythm, labels, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        model.calibrate([(raw_of(rhythm, ["Yes", "No"]), labels)], name="Ada")


def test_windows_stay_within_their_labels(model, rhythm):
    """9.5 s hold three windows of 4 s every 2 s, and a label that reaches over the end holds what is there."""
    labels = [Label(TASK, "Yes", 0.25, 9.75), Label(TASK, "No", 10, 99)]
    person = model.calibrate([(raw_of(rhythm, ["Yes", "No"]), labels)], name="Ada")
    (known, _) = person.tasks[TASK]
    assert dict(zip(known.labels, known.windows, strict=True)) == {"Yes": 3, "No": 4}
    assert known.seconds == 8 + 10
    assert "array(" not in repr(person) and "name='Ada'" in repr(person)


def edited(folder, change):
    path = folder / PersonFile.FILE
    stated = json.loads(path.read_text())
    change(stated)
    path.write_text(json.dumps(stated))


def rewritten(change):
    def spoil(folder):
        arrays = {name: array.copy() for name, array in load((folder / ARRAYS).read_bytes()).items()}
        change(arrays)
        (folder / ARRAYS).write_bytes(save(arrays))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: (f / PersonFile.FILE).unlink(), r"person\.json: no such file; give a person's folder"),
        (lambda f: (f / ARRAYS).unlink(), r"person\.safetensors: No such file.*, which person\.json needs; make it"),
        (lambda f: (f / ARRAYS).write_bytes(b"\xff" * 20), r"person\.safetensors: cannot be read"),
        (rewritten(lambda a: a.update(x=np.zeros(1, np.float32))), r"not that of the person\.json beside it"),
        (lambda f: edited(f, lambda s: s.update(person="Eve")), r"not that of the person\.json beside it"),
        (lambda f: edited(f, lambda s: s["tasks"][0].update(coldness=2.0)), r"not that of the person\.json beside"),
        (lambda f: edited(f, lambda s: s["tasks"][0].update(coldness=0.0)), r"coldness must be between 0\.001 and"),
        (lambda f: edited(f, lambda s: s["tasks"][0].update(windows=[1])), "windows must be a number for each of"),
        (lambda f: edited(f, lambda s: s.update(person="")), "person must be a name of 1 to 200 characters"),
        (lambda f: edited(f, lambda s: s.update(tasks=[])), "tasks must be different ones, and one at least"),
        (lambda f: edited(f, lambda s: s.update(format=2)), "format 2, this version reads 1"),
        (lambda f: edited(f, lambda s: s.update(more=1)), "unknown field more"),
    ],
)
def test_damaged_files_are_refused(contrary, tmp_path, spoil, said):
    contrary.save(tmp_path)
    spoil(tmp_path)
    with pytest.raises((CheckpointError, ConfigError), match=said):
        Person.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: a.pop("workload.offset"), "must have float32 offset and weights of 2 options"),
        (lambda a: a.update({"workload.weights": np.zeros((5, 3), np.float32)}), "offset and weights of 2 options"),
        (lambda a: a["workload.weights"].fill(np.nan), "numbers that no fit gives"),
        (lambda a: a.update(x=np.zeros(1, np.float32)), "has 3 arrays for 1 task"),
    ],
)
def test_arrays_that_no_fit_gives_are_refused_whoever_vouches_for_them(contrary, tmp_path, monkeypatch, change, said):
    contrary.save(tmp_path)
    rewritten(change)(tmp_path)
    monkeypatch.setattr("neurolm.ask.personal._digest", lambda _, stated: stated.digest)
    with pytest.raises(CheckpointError, match=said):
        Person.load(tmp_path)


@pytest.mark.parametrize("name", [PersonFile.FILE, ARRAYS])
def test_a_pipe_or_gigabytes_are_no_files_of_a_person(contrary, tmp_path, name):
    contrary.save(tmp_path)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises((CheckpointError, ConfigError), match="pipe"):
        Person.load(tmp_path)
    (tmp_path / name).unlink()
    with (tmp_path / name).open("wb") as file:
        file.truncate(8 << 30)
    with pytest.raises((CheckpointError, ConfigError), match="such a file has at most"):
        Person.load(tmp_path)


def test_where_nothing_can_be_written_is_said(contrary, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match=r"file/person\.json: .*[Nn]ot a directory"):
        contrary.save(tmp_path / "file")


def test_other_features_than_the_models_are_refused(model, contrary, rhythm):
    known, adapted = contrary.tasks[TASK]
    fewer = type(adapted)(adapted.coldness, adapted.offset, adapted.weights[:3])
    person = Person(name="Ada", model=contrary.model, tasks={TASK: (known, fewer)})
    with pytest.raises(CheckpointError, match=r"has \(3, 2\) weights, and the model's evidence"):
        model.ask(raw_of(rhythm, ["No"]), QUESTION, person=person)


def test_the_command_fits_from_a_table_and_asks_for_the_person(evidence_run, rhythm, tmp_path, capsys):
    labels = ["Yes", "No", "Yes", "No"]
    mne.export.export_raw(tmp_path / "one.edf", raw_of(rhythm, labels), verbose="error")
    lines = [f"one.edf,{label.start},{label.stop},{TASK},{label.label},Ada" for label in turned(labels)]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["file,start,stop,task,label,subject", *lines]))
    how = ["calibrate", str(evidence_run), "--labels", str(table), "--person", str(tmp_path / "ada")]
    assert main(how) == 0
    assert "calibrated for Ada on 16 windows (Yes 8, No 8)" in capsys.readouterr().out
    ask = ["ask", str(tmp_path / "one.edf"), QUESTION, "--model", str(evidence_run), "--person", str(tmp_path / "ada")]
    assert main([*ask, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["person"] == "Ada"
    table.write_text("\n".join(["file,start,stop,task,label,subject", *lines, lines[0].replace("one.", "two.")
                                .replace("Ada", "Eve")]))  # fmt: skip
    assert main(how) == FAILED
    assert "of 2 people (Ada, Eve); a personal calibration takes a table of one person's" in capsys.readouterr().err
    assert main([*how, "--store", "store"]) == FAILED
    assert "--labels and --person leave the model as it is: give no --store" in capsys.readouterr().err
    assert main(how[:-2]) == FAILED
    assert "--person is missing: give a folder for what is fitted for the person" in capsys.readouterr().err
    assert main(how[:2]) == FAILED
    assert "--store is missing: give the store the run was trained on; or --labels and --person" in (
        capsys.readouterr().err
    )
    assert main([*ask[:2], str(tmp_path), *ask[2:]]) == FAILED
    assert "--person is for one recording of that person" in capsys.readouterr().err
