"""What users import: a file's answer is that of its windows, whatever their company and the order of its channels."""

import re
import subprocess
import sys
from dataclasses import replace

import mne
import numpy as np
import pytest
import torch
from edfio import Edf, EdfSignal

import neurolm
from neurolm.ask.answer import UNDECIDED
from neurolm.ask.calibration import Calibration, TaskCalibration
from neurolm.ask.novelty import Ranges, describe, measure_range
from neurolm.ask.prompt import Prompt, option_probabilities
from neurolm.ask.recording import AT_ONCE, read_recording
from neurolm.ask.risk import operating_points
from neurolm.batches.loader import read_sample
from neurolm.batches.windows import labelled_windows
from neurolm.checkpoint import load_neurolm, save_checkpoint
from neurolm.core.errors import CheckpointError, ConfigError, QuestionError, RecordingError
from neurolm.core.montage import ELECTRODES, REACH, template_positions
from neurolm.core.physics import PATCH
from neurolm.prepare.prepare import prepare
from neurolm.recording.options import ReadingOptions
from neurolm.store.store import Store
from neurolm.tasks.card import load_task

QUESTION = "Is this EEG segment of high workload?"


def write_edf(path, signal: np.ndarray, channels, *, rate: int = 200, unit: str = "uV"):
    """Write (samples, channels) in µV."""
    factor = {"uV": 1.0, "mV": 1e-3}[unit]
    Edf(
        [
            EdfSignal(column * factor, rate, label=name, physical_dimension=unit)
            for column, name in zip(signal.T, channels, strict=True)
        ],
        data_record_duration=1,
    ).write(path)
    return path


@pytest.fixture(scope="module")
def lively(micro_run, tmp_path_factory):
    """A model with large random weights, whose answers depend on all it is given."""
    module, card, text = load_neurolm(micro_run.folder / "instruct")
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.ndim > 1 and "wpe" not in name and "domain" not in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.25)
    folder = tmp_path_factory.mktemp("lively") / "instruct"
    save_checkpoint(folder, replace(card, electrodes=("C3", "C4", "O1", "O2")), module.state_dict(), text)
    return folder


@pytest.fixture(scope="module")
def model(lively):
    return neurolm.load(lively)


@pytest.fixture(scope="module")
def signal(rhythm):
    """18 s of two channels whose rhythm changes."""
    return np.concatenate([rhythm("Yes", 8, 2, (1,)), rhythm("No", 10, 2, (2,))]) * np.linspace(0.5, 2, 3600)[:, None]


@pytest.fixture(scope="module")
def file(tmp_path_factory, signal):
    return write_edf(tmp_path_factory.mktemp("edf") / "a.edf", signal, ("C3", "O1"))


def table(found) -> np.ndarray:
    return np.array([window.probabilities for window in found.timeline])


def test_a_files_answer_is_that_of_its_windows_in_a_store(tmp_path, model, file, lively):
    found = model.ask(file, QUESTION)
    task = load_task("workload")
    assert [(w.start, w.stop) for w in found.timeline] == [(s, s + 4) for s in range(0, 15, 2)]
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / file.name).write_bytes(file.read_bytes())
    (folder / "labels.csv").write_text("file,start,stop,task,label,subject\na.edf,,,workload,Yes,s\n")
    prepare(folder, tmp_path / "store", jobs=1)
    store = Store(tmp_path / "store")
    windows = labelled_windows(store, task="workload", seconds=4, stride=2)
    module, card, text = load_neurolm(lively)
    prompt = Prompt.of(task, text, card.run.model.vocabulary.separator)
    wanted = option_probabilities(module, prompt, [read_sample(store, w) for w in windows], device=torch.device("cpu"))
    # Not equal to the last bit, since a store keeps tenths of a microvolt.
    np.testing.assert_allclose(table(found), wanted, atol=5e-3)
    assert np.ptp(wanted[:, 0]) > 0.1  # the windows differ, so that a mix-up would show


def test_the_answer_is_that_of_the_mean_log_odds_of_the_windows(model, file):
    found = model.ask(str(file), QUESTION)
    rows = table(found)
    np.testing.assert_allclose(rows.sum(1), 1, atol=1e-12)
    odds = np.log(rows[:, 0] / rows[:, 1]).mean()
    np.testing.assert_allclose(found.probabilities, (1 / (1 + np.exp(-odds)), 1 / (1 + np.exp(odds))))
    assert (found.options, found.calibrated, found.worth) == (("Yes", "No"), False, 1.0)
    assert any("not calibrated" in note for note in found.notes)
    assert found.answer == found.options[int(np.argmax(found.probabilities))]
    assert found.probability == max(found.probabilities)
    assert (found.trained, found.recording, found.electrodes) == (True, str(file), ("C3", "O1"))
    assert "the answer rests on 2 of the 4 electrodes seen in training" in found.notes


def test_two_loads_give_identical_answers(lively, file):
    one, two = (neurolm.load(lively).ask(file, QUESTION) for _ in range(2))
    assert one == two


def test_an_mne_object_answers_as_its_file(model, file):
    raw = mne.io.read_raw_edf(file, verbose="error")
    np.testing.assert_allclose(table(model.ask(raw, QUESTION)), table(model.ask(file, QUESTION)), atol=1e-5)
    made = mne.io.RawArray(
        mne.io.read_raw_edf(file, preload=True, verbose="error").get_data(), raw.info, verbose="error"
    )
    found = model.ask(made, QUESTION)
    np.testing.assert_allclose(table(found), table(model.ask(file, QUESTION)), atol=1e-5)
    assert found.recording == "recording"


def test_windows_do_not_depend_on_their_company(tmp_path, model, file, signal, monkeypatch):
    """Answered one at a time, in chunks, or as a recording of their own (unfiltered: the same samples)."""
    whole = table(model.ask(file, QUESTION))
    window = 4 * 2 * PATCH * 4  # bytes
    for windows in (3, 1):
        monkeypatch.setattr("neurolm.ask.recording.AT_ONCE", windows * window)
        np.testing.assert_allclose(table(model.ask(file, QUESTION)), whole, atol=1e-5)
    assert 8 * window < AT_ONCE


def test_the_order_of_channels_changes_nothing(tmp_path, model, rhythm):
    """Also where unseen electrodes compete for one that was seen."""
    names = ("O1", "CP3", "C3", "PO4", "FC4", "CP4")
    signal = rhythm("Yes", 10, 6, (5,)) * np.arange(1, 7)
    one = model.ask(write_edf(tmp_path / "a.edf", signal, names), QUESTION)
    order = [5, 2, 0, 4, 1, 3]
    two = model.ask(write_edf(tmp_path / "b.edf", signal[:, order], [names[i] for i in order]), QUESTION)
    np.testing.assert_allclose(table(one), table(two), atol=1e-5)
    assert set(one.electrodes) == set(two.electrodes) == {"C3", "C4", "O1", "O2"}
    assert {note for note in one.notes if "taken for" in note} == {note for note in two.notes if "taken for" in note}


def test_unseen_electrodes_follow_the_policy(tmp_path, model, rhythm):
    signal = rhythm("Yes", 10, 4, (5,)) * np.arange(1, 5)
    path = write_edf(tmp_path / "a.edf", signal, ("C3", "CP4", "FP1", "FZ"))
    nearest = model.ask(path, QUESTION)
    assert nearest.electrodes == ("C3", "C4")
    (taken,) = [note for note in nearest.notes if "taken for" in note]
    distance = re.fullmatch(
        r"never seen in training and taken for the nearest .* that was: CP4 for C4 \((\d+) mm\)", taken
    )
    assert distance and 0 < float(distance[1]) <= REACH
    assert "never seen in training and dropped: FP1, FZ" in nearest.notes
    dropped = model.ask(path, QUESTION, unseen="drop")
    assert dropped.electrodes == ("C3",)
    assert "never seen in training and dropped: CP4, FP1, FZ" in dropped.notes
    only = write_edf(tmp_path / "c3.edf", signal[:, :1], ("C3",))
    np.testing.assert_allclose(table(dropped), table(model.ask(only, QUESTION)), atol=1e-5)
    with pytest.raises(RecordingError, match=r"a\.edf: electrodes CP4, FP1, FZ were not in.*C3, C4, O1, O2.*unseen="):
        model.ask(path, QUESTION, unseen="error")
    with pytest.raises(ConfigError, match="unseen='guess': choose one of nearest, drop, error"):
        model.ask(path, QUESTION, unseen="guess")


def test_a_position_that_the_recording_has_by_another_name_is_not_given_away(tmp_path, model, rhythm):
    """FT7 lies near T3, which is T7 by its older name: with T7 there, FT7 is not taken for a second electrode there."""
    card = replace(model.card, electrodes=("T3", "T7", "O1"))
    path = write_edf(tmp_path / "a.edf", rhythm("Yes", 10, 2, (5,)) * [1, 3], ("FT7", "T7"))
    found = read_recording(path, card, reading=ReadingOptions(), unseen="nearest")
    assert found.electrodes == ("T7",)
    alone = write_edf(tmp_path / "b.edf", rhythm("Yes", 10, 1, (5,)), ("FT7",))
    assert read_recording(alone, card, reading=ReadingOptions(), unseen="nearest").electrodes == ("T3",)


def test_nearest_uses_the_columns_of_the_neighbour(tmp_path, model, rhythm):
    """A signal at CP4 answers as the same signal at C4."""
    signal = rhythm("Yes", 10, 2, (5,)) * [1, 3]
    stranger = model.ask(write_edf(tmp_path / "a.edf", signal, ("C3", "CP4")), QUESTION)
    known = model.ask(write_edf(tmp_path / "b.edf", signal, ("C3", "C4")), QUESTION)
    np.testing.assert_allclose(table(stranger), table(known), atol=1e-6)


def test_a_recording_far_from_all_the_model_knows_is_refused(tmp_path, model, rhythm):
    path = write_edf(tmp_path / "a.edf", rhythm("Yes", 10, 2, (5,)), ("FP1", "FP2"))
    with pytest.raises(RecordingError, match=r"a\.edf: none of its electrodes \(FP1, FP2\).*40 mm.*\(C3, C4, O1, O2\)"):
        model.ask(path, QUESTION)


def test_channels_can_be_named_by_the_user(tmp_path, model, rhythm):
    signal = rhythm("Yes", 10, 2, (5,))
    named = write_edf(tmp_path / "a.edf", signal, ("C3", "O1"))
    numbered = write_edf(tmp_path / "b.edf", signal, ("E36", "E70"))
    given = model.ask(numbered, QUESTION, reading=ReadingOptions(channels={"E36": "C3", "E70": "O1"}))
    np.testing.assert_allclose(table(given), table(model.ask(named, QUESTION)), atol=1e-6)
    assert model.ask(named, QUESTION, reading=ReadingOptions(channels=["O1"])).electrodes == ("O1",)


def test_a_unit_can_be_stated(tmp_path, model, rhythm):
    """A header that says mV for numbers in µV makes 1000 times too much, which is refused and can be corrected."""
    signal = rhythm("Yes", 10, 2, (5,))
    right = write_edf(tmp_path / "a.edf", signal, ("C3", "O1"))
    wrong = write_edf(tmp_path / "b.edf", signal * 1000, ("C3", "O1"), unit="mV")
    with pytest.raises(RecordingError, match="uV"):
        model.ask(wrong, QUESTION)
    np.testing.assert_allclose(
        table(model.ask(wrong, QUESTION, reading=ReadingOptions(unit="uV"))),
        table(model.ask(right, QUESTION)),
        atol=1e-3,
    )


def test_several_questions_are_answered_as_each_alone(model, file, monkeypatch):
    """Of one reading; a question of no task, or none at all, is an error before the recording is read."""
    alone = tuple(model.ask(file, question) for question in model.questions)
    assert len(alone) > 1 and model.ask_all(file, [QUESTION]) == (model.ask(file, QUESTION),)
    opened = []
    real = neurolm.api.loaded.read_recording
    monkeypatch.setattr("neurolm.api.loaded.read_recording", lambda *a, **k: opened.append(a) or real(*a, **k))
    assert model.ask_all(file) == model.ask_all(file, model.questions) == alone
    assert model.ask_all(file, QUESTION) == (model.ask(file, QUESTION),)
    assert len(opened) == 4
    with pytest.raises(QuestionError, match=r"'Who\?'"):
        model.ask_all(file, [QUESTION, "Who?"])
    assert len(opened) == 4


def test_questions_about_the_same_windows_read_the_eeg_once(model, file, monkeypatch):
    """Each is answered as alone; questions of other windows are in the same reading of the file."""
    events, workload = model.card.tasks
    other = replace(workload, name="other", question="Is it a longer question, of more words, about this EEG?")
    card = replace(model.card, tasks=(workload, events, other, replace(events, seconds=4, stride=2.0, question="Hm?")))
    monkeypatch.setattr(model, "card", card)
    alone = [model.ask(file, question) for question in model.questions]
    passes, real = [], model.module.features
    monkeypatch.setattr(model.module, "features", lambda patches: passes.append(1) or real(patches))
    together = model.ask_all(file)
    assert len(passes) == 2 and len(together) == 4
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(table(one), table(other), atol=1e-5)
        assert len(one.timeline) == 1 or np.ptp(table(one)[:, 0]) > 0.01
        assert (one.question, one.options, one.answer, one.notes) == (
            other.question, other.options, other.answer, other.notes,
        )  # fmt: skip
    with pytest.raises(QuestionError, match="this model reads 160"):
        monkeypatch.setattr(
            model, "card", replace(card, tasks=(workload, replace(workload, name="x", question="Is it? " * 60)))
        )
        model.ask_all(file)


def test_unknown_questions_list_the_known_ones(model, file):
    with pytest.raises(QuestionError, match=r"'Who\?'.*Which type does this.*high workload\?.*options"):
        model.ask(file, "Who?")
    assert model.questions == ("Which type does this EEG segment belong to?", QUESTION)


def test_electrodes_are_summed_up_in_a_few_notes(tmp_path, model, rhythm):
    """Two names of one place are no distance, and nobody reads the names of forty electrodes."""
    few = ("T7", "T8", "CP4", "CP3")
    many = [name for name in ELECTRODES if name in template_positions() and name[0] in "FA"][:40]
    card = replace(model.card, electrodes=("T3", "T4", "C3", "C4"))
    signal = rhythm("Yes", 10, 44, (5,)) * np.linspace(1, 2, 44)
    found = read_recording(
        write_edf(tmp_path / "a.edf", signal, (*few, *many)), card, reading=ReadingOptions(mains=50), unseen="nearest"
    )
    assert set(found.electrodes) == set(card.electrodes)
    assert found.notes[0] == "other names of electrodes seen in training: T7 is T3, T8 is T4"
    assert re.match(r"never seen .* that was: CP\d for C\d \(\d+ mm\), CP\d for C\d \(\d+ mm\)$", found.notes[1])
    assert found.notes[2] == f"never seen in training and dropped: {', '.join(many[:12])} and 28 more"


@pytest.mark.parametrize(
    "question", ["is this EEG segment of  high workload", " Is this eeg segment of high workload? "]
)
def test_case_spaces_and_the_question_mark_do_not_matter(model, file, question):
    assert model.ask(file, question) == model.ask(file, QUESTION)


def test_questions_of_ones_own_need_options_and_are_no_trained_answers(model, file):
    found = model.ask(file, "Is the subject asleep?", options=["asleep", "awake", "dead"])
    assert not found.trained and found.options == ("asleep", "awake", "dead")
    assert found.answer in found.options and sum(found.probabilities) == pytest.approx(1)
    assert "not tuned on this question" in found.notes[0]  # before what was done to the recording
    assert model.ask(file, QUESTION, options=["No", "Yes"]) == model.ask(file, QUESTION)  # its own options, reordered
    assert not model.ask(file, QUESTION, options=["No", "Perhaps"]).trained
    for options in ([], ["Yes"], ["Yes", "Yes"]):
        with pytest.raises(QuestionError, match="at least two different answers"):
            model.ask(file, "Is the subject asleep?", options=options)


def test_a_question_too_long_for_the_model_says_so(model, file):
    with pytest.raises(QuestionError, match="this model reads 160"):
        model.ask(file, "Is it? " * 60, options=["Yes", "No"])


def test_short_recordings_are_answered_with_a_note_or_refused(tmp_path, model, rhythm):
    short = model.ask(write_edf(tmp_path / "a.edf", rhythm("Yes", 3, 2, (5,)), ("C3", "O1")), QUESTION)
    assert [(w.start, w.stop) for w in short.timeline] == [(0, 3)]
    assert any("shorter than the 4 s window" in note for note in short.notes)
    with pytest.raises(RecordingError, match=r"0\.5.* s.*at least 1 s"):
        info = mne.create_info(["C3", "O1"], 200.0, "eeg")
        model.ask(mne.io.RawArray(rhythm("Yes", 0.5, 2, (5,)).T * 1e-6, info, verbose="error"), QUESTION)


def test_files_that_are_missing_are_named(tmp_path, model):
    with pytest.raises(RecordingError, match=r"nothing\.edf: no such file"):
        model.ask(tmp_path / "nothing.edf", QUESTION)


def test_slow_recordings_are_said_to_lack_frequencies(tmp_path, model, rhythm):
    path = write_edf(tmp_path / "a.edf", rhythm("No", 12, 2, (5,), rate=128), ("C3", "O1"), rate=128)
    assert any("the model was trained on 0.1 to 75 Hz" in note for note in model.ask(path, QUESTION).notes)


def test_generate_continues_a_text_and_is_repeatable(model, file):
    one = model.generate(file, "Question: what is it? Answer:", max_tokens=8)
    assert isinstance(one, str) and one == model.generate(file, "Question: what is it? Answer:", max_tokens=8)
    drawn = [model.generate(file, "It is", max_tokens=8, temperature=1.0, seed=seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert model.generate(file, "It is", max_tokens=8, temperature=1.0, start=12, seconds=6) != drawn[0]
    with pytest.raises(QuestionError, match=r"start=16 s with seconds=4 lies outside the recording of 18\.0 s"):
        model.generate(file, "It is", start=16)


def test_embeddings_have_a_row_for_every_window_second_and_electrode(model, file):
    found = model.embed(file, seconds=4, stride=6)
    assert found.features.shape == (3, 4, 2, 16) and found.features.dtype == np.float32
    assert found.codes.shape == (3, 4, 2) and found.codes.dtype == np.int64
    assert found.starts.tolist() == [0, 6, 12] and found.electrodes == ("C3", "O1")
    assert found.codes.min() >= 0 and found.codes.max() < 16
    # The encoder sees a whole window, so the same seconds in the same window give the same features.
    again = model.embed(file, seconds=4, stride=12)
    np.testing.assert_allclose(again.features, found.features[::2], atol=1e-6)
    # The codes are those of the features.
    with torch.no_grad():
        codes = model.module.tokenizer.codes(torch.from_numpy(found.features.reshape(-1, 16)))
    assert codes.numpy().reshape(3, 4, 2).tolist() == found.codes.tolist()


def test_a_run_folder_loads_its_tuned_model(micro_run, file):
    from_run = neurolm.load(micro_run.folder).ask(file, QUESTION)
    assert from_run == neurolm.load(str(micro_run.folder / "instruct")).ask(file, QUESTION)


def test_folders_without_a_tuned_model_are_refused(tmp_path, micro_run):
    with pytest.raises(CheckpointError, match="nowhere: no such folder"):
        neurolm.load(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match=r"no instruction-tuned model here \(finished stages: none\)"):
        neurolm.load(tmp_path)
    unfinished = micro_run.copy(tmp_path / "run", without=("instruct",))
    with pytest.raises(CheckpointError, match=r"finished stages: language, tokenizer, pretrain\).*train instruct"):
        neurolm.load(unfinished)
    with pytest.raises(CheckpointError, match="made by stage 'pretrain', but 'instruct' is needed"):
        neurolm.load(unfinished / "pretrain")
    with pytest.raises(CheckpointError, match="not a checkpoint that this version reads"):
        neurolm.load(unfinished / "language")


@pytest.fixture
def fitted(model, monkeypatch):
    """The lively model with a calibration and a training range of its own."""
    points = operating_points(
        np.array([[0.9, 0.1]] * 99 + [[0.6, 0.4]] * 297), np.repeat([0, 1], [99, 297]), np.arange(396)
    )
    task = TaskCalibration(
        task="workload", temperature=2.0, correlation=0.5, windows=396, stretches=396, subjects=396,
        per_window=points, pooled=points,
    )  # fmt: skip
    monkeypatch.setattr(model, "calibration", Calibration(tasks=(task,)))
    return model


def test_temperature_and_pooling_are_applied(fitted, model, file, monkeypatch):
    found = fitted.ask(file, QUESTION)
    monkeypatch.setattr(model, "calibration", None)
    plain = model.ask(file, QUESTION)
    odds = np.log(table(plain)[:, 0] / table(plain)[:, 1]) / 2
    np.testing.assert_allclose(table(found)[:, 0], 1 / (1 + np.exp(-odds)), rtol=1e-9)
    worth = 8 / (1 + 7 * 0.5)
    assert found.worth == pytest.approx(worth) and found.calibrated
    assert found.probabilities[0] == pytest.approx(1 / (1 + np.exp(-worth * odds.mean())))
    assert not any("not calibrated" in note for note in found.notes)


def test_a_risk_that_cannot_be_kept_leaves_it_undecided(fitted, file):
    plain, found = fitted.ask(file, QUESTION), fitted.ask(file, QUESTION, risk=0.1)
    assert (plain.risk, plain.answer in plain.options) == (None, True)
    assert found.probabilities == plain.probabilities and found.threshold == pytest.approx(0.9)
    assert (found.answer == UNDECIDED) == (found.probability < 0.9)
    assert [w.decided for w in found.timeline] == [max(w.probabilities) >= 0.9 for w in found.timeline]
    never = fitted.ask(file, QUESTION, risk=0.001)
    assert never.answer == UNDECIDED and never.threshold is None
    assert any("cannot be kept" in note for note in never.notes)
    untrained = fitted.ask(file, "Is the moon full?", options=["yes", "no"], risk=0.1)
    assert untrained.answer == UNDECIDED and not untrained.calibrated
    assert any("no validation answers" in note for note in untrained.notes)
    with pytest.raises(QuestionError, match="between 0 and 1"):
        fitted.ask(file, QUESTION, risk=1.5)


def test_what_is_unlike_the_training_is_said(model, file, tmp_path, signal, monkeypatch):
    read = read_recording(file, model.card, reading=ReadingOptions(unknown="error"), unseen="error")
    samples = [read.sample(start, 4) for start in range(0, 2801, 20)]
    known = measure_range("workload", describe(samples), [str(i * 4 // len(samples)) for i in range(len(samples))])
    monkeypatch.setattr(model, "ranges", Ranges(tasks=(known,)))
    found = model.ask(file, QUESTION)
    assert found.outside is not None and found.outside <= 0.2
    assert not any("unlike" in note for note in found.notes)
    loud = model.ask(write_edf(tmp_path / "loud.edf", signal * 5, ("C3", "O1")), QUESTION)
    assert loud.outside == 1.0 and any("unlike the training data: 100%" in note for note in loud.notes)
    explained = model.explain(tmp_path / "loud.edf", QUESTION, windows=2)
    assert any("unlike the training data: 100%" in note for note in explained.notes)


def test_calibration_and_range_are_read_with_the_checkpoint(micro_run):
    trained = neurolm.load(micro_run.folder)
    assert {task.task for task in trained.calibration.tasks} == {"workload", "events"}
    assert {task.task for task in trained.ranges.tasks} == {"workload", "events"}
    workload = trained.calibration.of("workload")
    assert (workload.subjects, workload.stretches, workload.windows) == (1, 2, 10)
    assert trained.ranges.of("workload").subjects == 5  # the sixth validates, the last two test


def test_a_model_that_gives_nan_gives_no_answer(lively, file):
    spoilt = neurolm.load(lively)
    with torch.no_grad():
        next(spoilt.module.language.parameters()).fill_(float("nan"))
    for ask in (spoilt.ask, spoilt.explain):
        with pytest.raises(CheckpointError, match="log-likelihoods that are NaN or infinite"):
            ask(file, QUESTION)
    with torch.no_grad():
        next(spoilt.module.tokenizer.encoder.parameters()).fill_(float("inf"))
    with pytest.raises(CheckpointError, match="features that are NaN or infinite"):
        spoilt.embed(file)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_nan_are_in_no_answer_wherever_they_are(model, signal, value):
    """Answers, explanations and embeddings rest on the windows without, as if there were two recordings."""

    def as_raw(microvolts: np.ndarray) -> mne.io.RawArray:
        return mne.io.RawArray(microvolts.T * 1e-6, mne.create_info(["C3", "O1"], 200, "eeg"), verbose="error")

    spoilt = np.concatenate([signal] * 20)[: 200 * 60]
    spoilt[2401:2410, 0] = value
    raw = as_raw(spoilt)
    answer = model.ask(raw, QUESTION)
    assert "left out with all electrodes: C3 between 12.01 and 12.04 s" in " ".join(answer.notes)
    spans = [(window.start, window.stop) for window in answer.timeline]
    assert spans[-1][1] == 58.05 and not any(start < 12.05 and stop > 12.005 for start, stop in spans)
    alone = model.ask(as_raw(spoilt[:2401]), QUESTION).timeline
    assert answer.timeline[: len(alone)] == alone and len(answer.runs) == 2
    explained = model.explain(raw, QUESTION)
    assert np.isfinite([explained.log_odds, *(effect.mean for effect in explained.electrode_effects)]).all()
    embedded = model.embed(raw, seconds=2, stride=2)
    assert np.isfinite(embedded.features).all() and embedded.starts[:7].tolist() == [0, 2, 4, 6, 8, 10, 12.05]
    with pytest.raises(QuestionError, match=r"start=11 s with seconds=4 is not all there: the recording has 0 to 12"):
        model.generate(raw, "Question:", start=11, seconds=4)
    spoilt[::150, 0] = value
    with pytest.raises(RecordingError, match=r"NaN or infinite values in C3 .* no 1 s without are left"):
        model.ask(as_raw(spoilt), QUESTION)


def test_answering_imports_no_training():
    code = "import neurolm.api.model, sys; print([n for n in sys.modules if n.split('.')[:2] in LAST])"
    last = "LAST = [['neurolm', room] for room in ('train', 'report', 'cli', 'prepare', 'corpora')]; "
    done = subprocess.run([sys.executable, "-c", last + code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_an_explanation_says_that_it_chose_its_option_from_some_windows(model, file):
    """The likeliest over the windows looked at may be another than over the recording."""
    said = "is the likeliest over 1 window of the recording"
    explained = [model.explain(file, QUESTION, windows=most) for most in (1, 10_000)]
    assert [any(said in note for note in found.notes) for found in explained] == [True, False]
    named = model.explain(file, QUESTION, windows=1, option="Yes")
    assert not any("is the likeliest" in note for note in named.notes)


def test_a_model_that_knows_simulated_eeg_only_says_so(model, file, monkeypatch):
    said = "the model was trained on simulated EEG only"
    assert not any(said in note for note in model.ask(file, QUESTION).notes)
    monkeypatch.setattr(model, "card", replace(model.card, corpora=("simulated",)))
    assert any(said in note for note in model.ask(file, QUESTION).notes)
    monkeypatch.setattr(model, "card", replace(model.card, corpora=("eegmat", "simulated")))
    assert not any(said in note for note in model.ask(file, QUESTION).notes)
