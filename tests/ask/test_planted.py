"""A small model that is really trained: it learns a planted signature and says where it is.

The signature is a rhythm at one electrode (T4) during "Yes"; all else is noise, the same in both conditions.
"""

from dataclasses import replace

import mne
import numpy as np
import pytest
import torch
from scipy.special import softmax

import neurolm
from neurolm.ask.explanation import log_odds, occlude, without_electrode
from neurolm.ask.prompt import Prompt, likelihoods, option_probabilities
from neurolm.batches.loader import Document, build_batch, read_sample
from neurolm.core.batch import NO_TARGET, PADDING
from neurolm.core.config import ModelConfig, TransformerConfig
from neurolm.core.errors import CheckpointError, QuestionError, WriteError
from neurolm.core.montage import channel_id
from neurolm.evaluation.evaluate import evaluate
from neurolm.recording.options import ReadingOptions
from neurolm.report.drawings.explanation import draw, save_picture
from neurolm.store.manifest import Label
from neurolm.store.store import Store
from neurolm.train.calibrate import task_evidence
from neurolm.train.instruct import train_instruct
from neurolm.train.language import train_language
from neurolm.train.pretrain import train_pretrain
from neurolm.train.run import open_run
from neurolm.train.tokenizer import train_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore:.*waiting for batches")
ELECTRODES = ("FP1", "C3", "T4", "O1")
PLANTED = "T4"
QUESTION = "Is this EEG segment of high workload?"
DEVICE = torch.device("cpu")
SECONDS, PEOPLE, RATE = 24, 20, 200


def planted_store(folder, write_store, *, shuffled: bool):
    """Recordings of rest and load with a rhythm at T4 under load; shuffled labels come by chance, one per stretch."""
    rng = np.random.default_rng(1)
    recordings = {}
    for person in range(PEOPLE):
        signal = 5 * rng.standard_normal((SECONDS * RATE, len(ELECTRODES)))
        labels = []
        for start in range(0, SECONDS, 6):
            label = ("Yes", "No")[start // 6 % 2]
            if label == "Yes":
                time = np.arange(6 * RATE) / RATE
                span = slice(start * RATE, (start + 6) * RATE)
                signal[span, ELECTRODES.index(PLANTED)] += 40 * np.sin(2 * np.pi * (12 * time + rng.random()))
            labels.append([label, start])
        if shuffled:
            for pair in labels:
                pair[0] = ("Yes", "No")[rng.integers(2)]
        made = [Label("workload", label, start, start + 6) for label, start in labels]
        recordings[f"r{person}"] = (f"p{person}", ELECTRODES, made, signal)
    return write_store(folder, recordings)


def train(folder, store, config, texts):
    block = TransformerConfig(layers=1, heads=2, width=32, initial_std=0.1)
    tokenizer = replace(config.model.tokenizer, encoder=block, decoder=block)
    language = replace(config.model.language, transformer=replace(block, bias=True))
    instruct = replace(
        config.instruct, steps=120, evaluate_every=40, save_every=1000, eeg_batch=12, learning_rate=5e-3, augment=0.3
    )
    model = ModelConfig(tokenizer=tokenizer, language=language)
    run = open_run(folder, config=replace(config, model=model, instruct=instruct), store=store, device="cpu")
    for stage in (train_language, train_tokenizer, train_pretrain, train_instruct):
        stage(run, texts=texts)
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory, write_store):
    return planted_store(tmp_path_factory.mktemp("planted") / "store", write_store, shuffled=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, store, micro_config, micro_texts):
    return train(tmp_path_factory.mktemp("planted") / "run", store, micro_config, micro_texts)


@pytest.fixture(scope="module")
def model(folder):
    return neurolm.load(folder)


@pytest.fixture(scope="module")
def windows(model, store):
    """Prompt, samples of the test people, and their labels."""
    opened, (task,) = Store(store), model.card.tasks
    cut = task.windows(opened, task.split(opened), "test")
    prompt = Prompt.of(task, model.text, model.card.run.model.vocabulary.separator)
    return prompt, [read_sample(opened, window) for window in cut], np.array([window.label for window in cut])


def test_it_learns(folder, store):
    """The positive control of the tests below."""
    (result,) = evaluate(folder / "instruct", store).results
    assert result.scores.balanced_accuracy > 0.95


def test_shuffled_labels_teach_nothing(tmp_path, write_store, micro_config, micro_texts):
    store = planted_store(tmp_path / "store", write_store, shuffled=True)
    (result,) = evaluate(train(tmp_path / "run", store, micro_config, micro_texts) / "instruct", store).results
    assert 0.3 < result.scores.balanced_accuracy < 0.7
    assert result.scores.auroc is not None and 0.25 < result.scores.auroc < 0.75


@pytest.mark.parametrize("option", ["Yes", "No"])
def test_an_explanation_finds_the_electrode_of_the_signature(model, windows, option):
    """Under load T4 speaks for Yes and against No; the others, and all of them at rest, say little."""
    prompt, samples, labels = windows
    place = model.card.tasks[0].labels.index(option)
    load = [sample for sample, label in zip(samples, labels, strict=True) if label == "Yes"]
    found = occlude(model.module, prompt, load, option=place, device=DEVICE)
    effects = dict(zip(ELECTRODES, found.electrodes.mean(0), strict=True))
    assert (effects[PLANTED] > 0) == (option == "Yes")
    others = [abs(value) for name, value in effects.items() if name != PLANTED]
    assert abs(effects[PLANTED]) > 3 * max(others)


def test_an_explanation_finds_the_second_of_the_signature(model, windows):
    """The rhythm is left in one second of a window under load and taken out of the others."""
    prompt, samples, labels = windows
    rest = next(sample for sample, label in zip(samples, labels, strict=True) if label == "No")
    load = next(sample for sample, label in zip(samples, labels, strict=True) if label == "Yes")
    for second in range(4):
        patches = np.where((load.second == second)[:, None], load.patches, rest.patches)
        found = occlude(model.module, prompt, [replace(load, patches=patches)], option=0, device=DEVICE)
        assert int(found.seconds[0].argmax()) == second
        np.testing.assert_allclose(found.whole, log_odds(likelihoods(model.module, prompt,
                                   [replace(load, patches=patches)], device=DEVICE), 0), atol=1e-5)  # fmt: skip


def test_evidence_is_explained_by_reading_it_anew_without_the_electrode_or_second(model, folder, windows, store):
    """Where the language model hardly counts, the electrode and the second that carry the evidence lead."""
    prompt, samples, labels = windows
    run = open_run(folder, config=model.card.run, store=store, device="cpu")
    evidence = task_evidence(run, model.card.tasks)
    task = model.card.tasks[0]
    beside = replace(evidence.of(task.name, task.labels), weight=1e-9)
    shown = replace(prompt, beside=beside)
    load = [sample for sample, label in zip(samples, labels, strict=True) if label == "Yes"]
    found = occlude(model.module, shown, load, option=0, device=DEVICE)
    effects = dict(zip(ELECTRODES, found.electrodes.mean(0), strict=True))
    others = [abs(value) for name, value in effects.items() if name != PLANTED]
    assert task.labels[0] == "Yes" and effects[PLANTED] > 2 * max(others)
    for place, name in enumerate(ELECTRODES):  # as it is read of windows that never had the electrode
        rest = [without_electrode(sample, channel_id(name)) for sample in load]
        assert not any((sample.channel == channel_id(name)).any() for sample in rest)
        (whole, _), (bare, _) = beside.scores(load), beside.scores(rest)
        fall = (whole - bare) @ [1, -1]
        np.testing.assert_allclose(found.electrodes[:, place], fall, atol=1e-6)
    still = next(sample for sample, label in zip(samples, labels, strict=True) if label == "No")
    for second in range(4):
        patches = np.where((still.second == second)[:, None], load[0].patches, still.patches)
        found = occlude(model.module, shown, [replace(still, patches=patches)], option=0, device=DEVICE)
        assert int(found.seconds[0].argmax()) == second


def test_explaining_a_file(model, tmp_path):
    signal = 5 * np.random.default_rng(3).standard_normal((12 * RATE, len(ELECTRODES)))
    time = np.arange(6 * RATE) / RATE
    signal[6 * RATE :, ELECTRODES.index(PLANTED)] += 40 * np.sin(2 * np.pi * 12 * time)
    info = mne.create_info(["Fp1", "C3", "T4", "O1"], RATE, "eeg")
    raw = mne.io.RawArray(signal.T * 1e-6, info, verbose="error")
    found = model.explain(raw, QUESTION, start=6)
    assert (found.option, found.leading[0], found.starts) == ("Yes", PLANTED, (6.0, 8.0))
    assert found.seconds == (6.0, 7.0, 8.0, 9.0, 10.0, 11.0)
    assert [effect.windows for effect in found.second_effects] == [1, 1, 2, 2, 1, 1]
    against = model.explain(raw, QUESTION, start=6, option="No")
    assert against.log_odds == pytest.approx(-found.log_odds, abs=1e-5)
    assert against.leading[-1] == PLANTED
    with pytest.raises(QuestionError, match="choose one of Yes, No"):
        model.explain(raw, QUESTION, option="Maybe")
    with pytest.raises(QuestionError, match="no window of 4 s"):
        model.explain(raw, QUESTION, start=10)
    single = model.explain(raw, QUESTION, reading=ReadingOptions(channels=["T4"]))
    assert single.electrode_effects == () and len(single.second_effects) == 12
    picture = save_picture(found, tmp_path / "picture.png")
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 20_000
    titles = [axes.get_title(loc="left") for axes in draw(found).axes]
    assert any("without each electrode" in title for title in titles)
    still = draw(replace(found, seconds=(), second_effects=()))  # windows of one second: no room for a timeline
    assert not any("each second" in axes.get_title(loc="left") for axes in still.axes)
    assert still.get_figheight() < draw(found).get_figheight()
    timeline = draw(replace(single, seconds=(62.0, 63.0), second_effects=single.second_effects[:2])).axes[-1]
    assert "1:02" in [timeline.xaxis.get_major_formatter()(tick) for tick in timeline.get_xticks()]
    with pytest.raises(WriteError, match="choose another --out"):
        save_picture(found, str(tmp_path / "picture.doc"))


def test_order_company_and_cache_change_no_probability(model, windows):
    """Options in any order, windows in any company, from the cache or without one: the same to 1e-5, with sum 1."""
    prompt, samples, _ = windows
    together = option_probabilities(model.module, prompt, samples, device=DEVICE)
    assert np.ptp(together[:, 0]) > 0.5  # they differ, so that a mix-up would show
    np.testing.assert_allclose(together.sum(1), 1, atol=1e-12)
    turned = replace(prompt, answers=prompt.answers[::-1])
    np.testing.assert_allclose(
        option_probabilities(model.module, turned, samples, device=DEVICE)[:, ::-1], together, atol=1e-5
    )
    for places in (1, 150, 400):
        np.testing.assert_allclose(
            option_probabilities(model.module, prompt, samples, device=DEVICE, places=places), together, atol=1e-5
        )
    backwards = option_probabilities(model.module, prompt, samples[::-1], device=DEVICE)[::-1]
    np.testing.assert_allclose(backwards, together, atol=1e-5)
    shorter = [without_electrode(sample, int(sample.channel[0])) for sample in samples]  # company of other lengths
    mixed = [sample for pair in zip(samples, shorter, strict=True) for sample in pair]
    np.testing.assert_allclose(
        option_probabilities(model.module, prompt, mixed, device=DEVICE)[::2], together, atol=1e-5
    )
    np.testing.assert_allclose(packed(model, prompt, samples[:6]), together[:6], atol=1e-5)


def packed(model, prompt, samples) -> np.ndarray:
    """Probabilities from whole documents, packed into shared rows, question and answer in one pass without a cache."""
    documents = [prompt.document(i, option) for i in range(len(samples)) for option in range(2)]
    filler = Document(text=[1] * 150)  # rows are as wide as the longest document: two others fit
    batch = build_batch(samples, [*documents, filler], packed=True)
    tokens = batch.tokens
    with torch.no_grad():
        shares = torch.nn.functional.linear(model.module(batch), model.module.text_rows).log_softmax(-1)
    scored = tokens.target != NO_TARGET
    taken = torch.where(scored, shares.gather(2, tokens.target.clamp(min=0)[..., None])[..., 0], torch.zeros(()))
    found = {}
    for row in range(len(taken)):
        for number in tokens.document[row].unique().tolist():
            mine = (tokens.document[row] == number) & (tokens.document[row] != PADDING)
            if (tokens.patch[row][mine] >= 0).any():
                sample = int(tokens.patch[row][mine].max()) // len(samples[0].second)
                option = prompt.answers.index(tuple(tokens.target[row][mine & scored[row]].tolist()))
                found[sample, option] = float(taken[row][mine].sum())
    assert len(tokens.document) < len(documents) and len(found) == len(documents)
    return softmax([[found[i, 0], found[i, 1]] for i in range(len(samples))], axis=1)


def test_who_was_trained_on_is_not_evaluated(folder, tmp_path, write_store, store):
    """A store in whose split people who trained the model would test it."""
    opened = Store(store)
    signal = np.asarray(opened.microvolts(0, 0, opened.rows[0].samples))
    made = [Label("workload", label, start, start + 6) for label, start in (("Yes", 0), ("No", 6))]
    people = [f"a{i:02}" for i in range(8)] + ["p0", "p1"]  # in this order those who train, validate and test
    other = write_store(tmp_path / "other", {name: (name, ELECTRODES, made, signal) for name in people})
    (task,) = neurolm.load(folder).card.tasks
    assert {"p0", "p1"} <= set(task.split(Store(other)).test) & set(task.split(opened).train)
    with pytest.raises(CheckpointError, match="trained on p0, p1"):
        evaluate(folder / "instruct", other)
