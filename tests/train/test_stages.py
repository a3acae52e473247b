"""The four stages: what they read, what they change, what they leave alone, and that they learn."""

import hashlib
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from neurolm.ask.prompt import Prompt, option_probabilities
from neurolm.batches.loader import Document, build_batch, build_patches, sample_from
from neurolm.batches.text import TextTokenizer, token_stream
from neurolm.checkpoint import load_neurolm, load_tokenizer
from neurolm.core.batch import NO_PATCH, NO_TARGET, NO_TEXT
from neurolm.core.config import STAGES
from neurolm.core.errors import CheckpointError, ConfigError, TextError
from neurolm.evaluation.results import RESULTS
from neurolm.model.gpt2 import GPT2, load_gpt2, save_gpt2
from neurolm.model.neurolm import NeuroLM
from neurolm.store.store import Label, Store
from neurolm.tasks.card import load_task
from neurolm.train.figures.history import read_log
from neurolm.train.instruct import VALIDATION_WINDOWS, InstructStage, class_means, train_instruct
from neurolm.train.language import LanguageStage, train_language
from neurolm.train.loop import run_stage
from neurolm.train.pretrain import PretrainStage, train_pretrain
from neurolm.train.run import RUN, open_run
from neurolm.train.shared import (
    VALIDATION_ROWS,
    LanguageModelStage,
    language_losses,
    language_of,
    new_neurolm,
    split_text,
    text_batches,
)
from neurolm.train.stage import Losses
from neurolm.train.tokenizer import TokenizerStage, code_use, moving_use, reversal, train_tokenizer

TRAIN = dict(zip(STAGES, (train_language, train_tokenizer, train_pretrain, train_instruct), strict=True))
TRAINING, VALIDATION, TEST = {"s00", "s01", "s02", "s03", "s04", "s20"}, {"s05", "s08"}, {"s06", "s07", "s09", "s10"}


def digest(module: torch.nn.Module) -> str:
    """Hash of all weights and buffers."""
    hashed = hashlib.sha256()
    for name, value in module.state_dict().items():
        hashed.update(name.encode() + value.numpy().tobytes())
    return hashed.hexdigest()


@pytest.fixture
def run(micro_run):
    """The finished micro run, opened."""
    return open_run(micro_run.folder, config=micro_run.config, store=micro_run.store, device="cpu")


@pytest.fixture
def stages(run, micro_texts):
    """Makes a stage of the finished run anew, as its training began."""
    text, weights = language_of(run)
    stream = token_stream(text, micro_texts)

    def make(name: str):
        if name == "language":
            return LanguageStage(run.config.language, run.config.model.language, stream, run.device)
        if name == "tokenizer":
            return TokenizerStage(run, weights["wte.weight"], stream)
        module = new_neurolm(run, run.config.pretrain, weights)
        return PretrainStage(run, module, stream) if name == "pretrain" else InstructStage(run, module, text, stream)

    return make


# --- what is read ---


@pytest.mark.parametrize("stage", STAGES)
def test_training_reads_its_own_subjects_and_no_test_recording(tmp_path, micro_run, monkeypatch, stage):
    """Every read of the store during a stage is recorded, and whether it was for a step or for validation."""
    later = STAGES[STAGES.index(stage) :]
    run = open_run(
        micro_run.copy(tmp_path / "run", without=(*later, RESULTS)),
        config=micro_run.config,
        store=micro_run.store,
        device="cpu",
    )
    reads, now = {"set-up": set(), "step": set()}, ["set-up"]
    real_read = Store.read

    def read(store, index, start, count):
        reads[now[0]].add(store.rows[index].subject)
        return real_read(store, index, start, count)

    monkeypatch.setattr(Store, "read", read)
    for kind in (TokenizerStage, PretrainStage, InstructStage):
        real_batch = kind.batch

        def batch(self, step, real=real_batch):
            now[0] = "step"
            made = real(self, step)
            now[0] = "set-up"
            return made

        monkeypatch.setattr(kind, "batch", batch)
    for kind in (TokenizerStage, LanguageModelStage):

        def losses(self, step, batch, loss, real=kind.losses):
            now[0] = "step"
            yield from real(self, step, batch, loss)
            now[0] = "set-up"

        monkeypatch.setattr(kind, "losses", losses)
    TRAIN[stage](run, texts=micro_run.texts)
    if stage == "language":
        assert reads == {"set-up": set(), "step": set()}
        return
    assert reads["step"] <= TRAINING and len(reads["step"]) >= 3
    if stage != "tokenizer":  # statistics of features before pretraining, of the training data after tuning
        assert VALIDATION <= reads["set-up"] <= VALIDATION | TRAINING
    else:
        assert reads["set-up"] == VALIDATION
    assert not (reads["step"] | reads["set-up"]) & TEST


@pytest.mark.parametrize("stage", ["tokenizer", "pretrain"])
def test_every_unlabelled_window_is_of_a_training_subject_and_inside_its_recording(stages, stage):
    made = stages(stage)
    rows = made.windows.store.rows
    assert {window.subject for window in made.windows.windows} == TRAINING
    sources = {}
    for step in range(40):
        for sample in made.windows.step(step):
            recording, _, start = sample.source.partition("@")
            row = next(row for row in rows if row.recording == recording)
            assert row.subject in TRAINING
            assert 0 <= float(start.removesuffix("s")) <= row.seconds - sample.seconds
            assert len(sample.second) <= made.config.max_patches
            sources.setdefault(recording, set()).add(start)
    assert set(sources) == {row.recording for row in rows if row.subject in TRAINING}
    assert min(map(len, sources.values())) > 3  # shifted starts, not the same few cuts again


def test_every_labelled_window_lies_within_its_label(stages, run):
    stage = stages("instruct")
    seen = set()
    for step in range(30):
        batch, answers = instruct_batch(stage, step)
        for source, (task, label) in zip(batch.sources, answers, strict=True):
            recording, _, start = source.partition("@")
            row = next(row for row in run.store.rows if row.recording == recording)
            first = float(start.removesuffix("s"))
            inside = [x for x in row.labels if x.task == task and x.start <= first and first + 0.1 < x.stop]
            assert [x.label for x in inside] == [label]
            assert first + load_task(task).seconds <= inside[0].stop
            assert row.subject in TRAINING & set(run.splits[task].train)
            seen.add((task, label, row.subject))
    wanted = {("workload", x, f"s0{s}") for x in ("Yes", "No") for s in range(5)}
    wanted |= {("events", x, s) for x in ("background", "epileptiform", "slowing") for s in ("s03", "s04")}
    assert seen == wanted


def losses_of(stage, step: int) -> Losses:
    """A step's losses over all its passes, still differentiable."""
    passes = list(stage.losses(step, stage.batch(step), stage.loss))
    parts: dict[str, float] = {}
    for one in passes:
        for name, value in one.parts.items():
            parts[name] = parts.get(name, 0.0) + float(value)
    sources = tuple(s for one in passes for s in one.sources)
    total = torch.stack([one.total for one in passes]).sum()
    return Losses(total=total, parts=parts, tokens=sum(one.tokens for one in passes), sources=sources)


def instruct_batch(stage: InstructStage, step: int):
    """The EEG batch of a step, caught on its way into the model, and each sample's (task, label)."""
    caught = []

    class Caught(Exception):
        pass

    real = stage.module.loss

    def catch(batch, **options):
        if batch.patches is None:
            return real(batch, **options)
        caught.append(batch)
        raise Caught

    stage.module.loss = catch  # type: ignore[method-assign]
    try:
        with pytest.raises(Caught):
            losses_of(stage, step)
    finally:
        stage.module.loss = real  # type: ignore[method-assign]
    chosen = [stage.examples[i] for i in stage.sampler.step(step)]
    tasks = [stage.run.tasks[e.task] for e in chosen]
    return caught[0], [(task.name, task.labels[e.answer]) for task, e in zip(tasks, chosen, strict=True)]


def test_shifted_windows_keep_to_labels_that_start_between_samples(tmp_path, micro_run, write_store, rhythm):
    """Labels at fractions of a sample and up to the end: an augmented window may never reach over either."""
    labels = [Label("workload", "No", 0.0, 8.0021), Label("workload", "Yes", 8.0021, 16.0)]
    signals = [np.concatenate([rhythm("No", 8, 2, (i, 0)), rhythm("Yes", 8, 2, (i, 1))]) for i in range(4)]
    recordings = {f"r{i}": (f"s{i}", ("C3", "O1"), labels, signal) for i, signal in enumerate(signals)}
    store = write_store(tmp_path / "s", recordings)
    run = open_run(tmp_path / "run", config=micro_run.config, store=store, device="cpu")
    text, weights = language_of(replace(run, folder=micro_run.folder))
    module = NeuroLM(run.config.model)
    module.initialise_language(weights)
    stage = InstructStage(run, module, text, token_stream(text, micro_run.texts))
    by_label = {stage.run.tasks[0].labels[e.answer]: (e.first, e.last) for e in stage.examples}
    assert by_label == {"No": (0, 1600 - 800), "Yes": (1601, 3200 - 800)}


# --- the language stage ---


def test_language_is_validated_on_text_that_is_not_learned_from(stages, micro_texts, run):
    stage = stages("language")
    stream = token_stream(TextTokenizer.load(run.folder / "language"), micro_texts)
    training, validation = split_text(stream)
    assert np.array_equal(np.concatenate([training, validation]), stream)
    assert 0.04 < len(validation) / len(stream) < 0.06
    assert np.array_equal(stage.validation, validation)
    for step in range(20):
        for row in stage.sampler.step(step):
            assert row.tobytes() in training.astype(np.int64).tobytes()


def test_language_validation_is_bounded(run, micro_texts):
    """However long the text is: all crops go through the model at once."""
    stream = np.tile(np.arange(250, dtype=np.int32), 1000)
    stage = LanguageStage(run.config.language, run.config.model.language, stream, run.device)
    rows = []
    real = stage._mean
    stage._mean = lambda loss, crops: rows.append(len(crops)) or real(loss, crops)  # type: ignore[method-assign]
    with torch.no_grad():
        assert math.isfinite(stage.validate()["score"])
    assert rows == [VALIDATION_ROWS]


def test_the_language_model_learns(tmp_path, run):
    stream = np.tile(np.arange(7, dtype=np.int32), 200)
    config = replace(run.config.language, steps=150, learning_rate=2e-2, evaluate_every=150)
    stage = LanguageStage(config, run.config.model.language, stream, run.device)
    run_stage(stage, tmp_path, device=run.device)
    assert read_log(tmp_path)[0]["text"] == pytest.approx(math.log(280), rel=0.05)
    assert read_log(tmp_path)[-1]["text"] < 0.1  # seven tokens in turn: nothing is left to guess


def test_given_gpt2_weights_are_taken_as_they_are(tmp_path, micro_run, micro_config):
    folder = micro_run.folder / "language"
    run = open_run(tmp_path / "run", config=micro_config, store=micro_run.store, device="cpu")
    train_language(run, texts=[], gpt2=str(folder))
    given, taken = load_gpt2(folder)[1], load_gpt2(run.folder / "language")[1]
    assert all(torch.equal(value, taken[name]) for name, value in given.items())
    assert (run.folder / "language" / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()


def test_gpt2_weights_of_another_size_say_which_and_the_remedy_works(tmp_path, micro_run, micro_config):
    def with_language(**changes):
        language = replace(micro_config.model.language, **changes)
        return replace(micro_config, model=replace(micro_config.model, language=language))

    folder = tmp_path / "run"
    given = str(micro_run.folder / "language")
    layers = replace(micro_config.model.language.transformer, layers=2)
    for changes, message in (
        ({"text_tokens": 290}, "280 text tokens, the recipe wants 290: set --model.language.text_tokens 280"),
        ({"transformer": layers}, "a GPT-2 of 1 layers, 2 heads, width 16; the recipe wants 2, 2, 16"),
    ):
        run = open_run(folder, config=with_language(**changes), store=micro_run.store, device="cpu")
        with pytest.raises(ConfigError, match=message):
            train_language(run, texts=[], gpt2=given)
        assert [p.name for p in folder.iterdir()] == [RUN]
    train_language(open_run(folder, config=micro_config, store=micro_run.store), texts=[], gpt2=given)


def test_too_little_text_is_refused_with_the_size_that_fits(tmp_path, micro_run, micro_config):
    run = open_run(tmp_path / "run", config=micro_config, store=micro_run.store, device="cpu")
    with pytest.raises(TextError, match="give more text"):
        train_language(run, texts=["a few words"])
    assert not (run.folder / "language").exists()


# --- the tokenizer stage ---


def test_gradient_reversal_follows_the_papers_schedule():
    assert reversal(0, 100) == 0.0
    assert reversal(50, 100) == pytest.approx(0.98661, abs=1e-5)
    assert reversal(100, 100) == pytest.approx(2 / (1 + math.exp(-10)) - 1)
    values = [reversal(step, 100) for step in range(101)]
    assert values == sorted(values)


def test_the_codebook_starts_by_k_means_where_the_recipe_says_and_only_steps_move_it(stages):
    """quantise_from is 0.4 of 6 steps: the codebook starts with step 3."""
    stage = stages("tokenizer")
    quantizer = stage.module.quantizer
    random = quantizer.codebook.clone()
    for step in (0, 1, 2):
        losses = losses_of(stage, step)
        assert losses.parts["commitment"] == 0 and not quantizer.initialised
        stage.after_step()
        assert torch.equal(quantizer.codebook, random)
    losses = losses_of(stage, 3)
    started = quantizer.codebook.clone()
    assert quantizer.initialised and not torch.equal(started, random)
    torch.testing.assert_close(started.norm(dim=1), torch.ones(16))
    torch.testing.assert_close(quantizer.usage.sum(), torch.tensor(float(round(quantizer.usage.sum().item()))))
    assert quantizer.usage.sum() >= 8 * 16  # eight vectors for every code
    assert losses.parts["commitment"] > 0
    losses_of(stage, 3)
    assert torch.equal(quantizer.codebook, started)  # a forward pass changes nothing
    stage.after_step()
    assert not torch.equal(quantizer.codebook, started)


@pytest.mark.parametrize("quantised", [False, True])
def test_validation_changes_no_state(stages, quantised):
    stage = stages("tokenizer")
    losses_of(stage, 3 if quantised else 0)
    stage.module.eval()
    before, generator = digest(stage.module), torch.get_rng_state()
    with torch.no_grad():
        figures = stage.validate()
    assert digest(stage.module) == before
    assert torch.equal(torch.get_rng_state(), generator)
    assert figures["codes_used"] >= 1 and figures["raw"] > 0


def test_code_use_of_known_codes():
    assert code_use(torch.tensor([0, 0, 0, 4])) == {"codes_used": 1.0, "code_perplexity": 1.0}
    uniform = code_use(torch.ones(8, dtype=torch.int64))
    assert uniform["codes_used"] == 8 and uniform["code_perplexity"] == pytest.approx(8)


def test_moving_use_of_known_codes():
    assert moving_use(torch.tensor([2.0, 2.0, 2.0, 2.0])) == {"code_perplexity": 4.0, "dead_codes": 0.0}
    found = moving_use(torch.tensor([9.0, 0.3, 0.0, 0.0]))
    shares = [9 / 9.3, 0.3 / 9.3]
    assert found["code_perplexity"] == pytest.approx(math.exp(-sum(p * math.log(p) for p in shares)))
    assert found["dead_codes"] == 2  # 0.3 is more than a tenth of the mean


def test_the_log_tells_how_varied_the_use_of_the_codebook_is_from_its_start_on(micro_run):
    """quantise_from is 0.4 of 6 steps: the codebook starts with step 3."""
    rows = [row for row in read_log(micro_run.folder / "tokenizer") if row["kind"] == "training"]
    assert [row["step"] for row in rows if "code_perplexity" in row] == [3, 4, 5]
    assert all(1 <= row["code_perplexity"] <= 16 and 0 <= row["dead_codes"] < 16 for row in rows[3:])


@pytest.mark.parametrize("name", STAGES)
def test_the_operations_of_a_step_are_those_of_its_passes(stages, name):
    """In several passes as in one, but for what each pass does anew: a layout of its own."""
    stage, found = stages(name), {}
    if name != "language":
        tokenizer = stage.module if name == "tokenizer" else stage.module.tokenizer
        tokenizer.quantizer.initialised.fill_(True)
    for at_once in (0, 1):
        stage.config = replace(stage.config, samples_at_once=at_once)
        passes = list(stage.losses(4, stage.batch(4), stage.loss))
        assert all(one.flops > 0 for one in passes)
        found[at_once] = sum(one.flops for one in passes)
    assert found[1] == pytest.approx(found[0], rel=1e-3)  # words are split over the passes in whole numbers
    weights = sum(p.numel() for p in stage.module.parameters() if p.ndim >= 2 and p.requires_grad)
    tokens = sum(one.tokens for one in passes)
    assert 0.1 < found[0] / (6 * weights * tokens) < 10  # the rule of thumb: six operations a weight and token


def test_words_are_the_language_models_and_stay_as_they_are(run, stages, monkeypatch):
    stage = stages("tokenizer")
    words = load_gpt2(run.folder / "language")[1]["wte.weight"]
    assert torch.equal(stage.words, words)
    given = []
    real = stage.module.loss
    monkeypatch.setattr(stage.module, "loss", lambda p, text, *a, **k: given.append(text) or real(p, text, *a, **k))
    losses = losses_of(stage, 1)
    ids = torch.from_numpy(stage.text.step(1)).flatten()
    assert torch.equal(given[0], words[ids])
    losses.total.backward()
    assert not stage.words.requires_grad and stage.words.grad is None
    assert all(p is not stage.words for p in stage.module.parameters())


def test_the_domain_gradient_is_reversed_and_grows(stages):
    """At strength 0 the classifier's gradient does not reach the encoder at all."""
    stage = stages("tokenizer")
    weight = next(stage.module.encoder.parameters())
    patches = build_patches(stage.windows.step(0))[0]
    gradients = {}
    for strength in (0.0, 0.5, 1.0):
        out = stage.module.loss(patches, stage.words[:5], strength, quantise=False)
        gradients[strength] = torch.autograd.grad(out.domain_eeg, weight)[0]
    assert gradients[0.0].abs().max() == 0
    torch.testing.assert_close(gradients[1.0], 2 * gradients[0.5])
    features = stage.module.encode(patches)
    logits = stage.module.domain_classifier(features[patches.document >= 0])
    loss = torch.nn.functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64))
    torch.testing.assert_close(gradients[1.0], -torch.autograd.grad(loss, weight)[0])


@pytest.mark.parametrize("alignment", [0.0, 0.5])
def test_the_alignment_of_the_recipe_weighs_the_reversal(stages, monkeypatch, alignment):
    stage = stages("tokenizer")
    stage.config = replace(stage.config, alignment=alignment)
    given, real = [], stage.module.loss
    monkeypatch.setattr(
        stage.module, "loss", lambda p, text, strength, **k: given.append(strength) or real(p, text, strength, **k)
    )
    losses_of(stage, 2)
    assert given == [alignment * reversal(2, stage.steps)] and reversal(2, stage.steps) > 0


def test_alignment_needs_words_as_wide_as_the_encoder(tmp_path, micro_run, micro_config):
    wide = replace(micro_config.model.tokenizer.encoder, width=32)
    changed = replace(micro_config, model=replace(micro_config.model, tokenizer=replace(
        micro_config.model.tokenizer, encoder=wide)))  # fmt: skip
    run = open_run(tmp_path / "run", config=changed, store=micro_run.store, device="cpu")
    micro_run.copy(tmp_path / "whole")
    (tmp_path / "whole" / "language").rename(run.folder / "language")
    with pytest.raises(CheckpointError, match=r"280 word embeddings, 16 wide, do not fit an encoder 32 wide"):
        train_tokenizer(run, texts=micro_run.texts)


def test_alignment_takes_the_words_of_another_gpt2(tmp_path, micro_run, micro_config):
    """As the paper does for its larger models: they are wider than the encoder."""
    wide = replace(micro_config.model.tokenizer, encoder=replace(micro_config.model.tokenizer.encoder, width=32))
    config = replace(
        micro_config,
        model=replace(micro_config.model, tokenizer=wide),
        tokenizer=replace(micro_config.tokenizer, steps=1),
    )
    run = open_run(tmp_path / "run", config=config, store=micro_run.store, device="cpu")
    micro_run.copy(tmp_path / "whole")
    (tmp_path / "whole" / "language").rename(run.folder / "language")
    transformer = replace(micro_config.model.language.transformer, width=32)
    other = GPT2(replace(micro_config.model.language, transformer=transformer), rows=280)
    (tmp_path / "words").mkdir()
    save_gpt2(tmp_path / "words", other)
    train_tokenizer(run, texts=micro_run.texts, words=str(tmp_path / "words"))
    assert load_tokenizer(run.folder / "tokenizer")[1].run.model.tokenizer == wide


# --- pretraining and instruction tuning ---


@pytest.mark.parametrize("stage", ["pretrain", "instruct"])
def test_the_tokenizer_is_frozen_and_all_else_learns(micro_run, stage):
    tokenizer, _ = load_tokenizer(micro_run.folder / "tokenizer")
    model, _, _ = load_neurolm(micro_run.folder / stage)
    assert digest(model.tokenizer) == digest(tokenizer)
    parts = {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert parts == {"channel_embedding", "language", "head"}  # the bridge has no weights where the widths agree
    assert not any(p.requires_grad for p in model.tokenizer.parameters())
    if stage == "instruct":
        before = load_neurolm(micro_run.folder / "pretrain")[0].state_dict()
        moved = [n for n, v in model.state_dict().items() if not torch.equal(v, before[n])]
        assert {name.split(".")[0] for name in moved} == parts


def test_a_bridge_between_different_widths_learns_too(micro_config):
    wide = replace(micro_config.model.language.transformer, width=24)
    model = NeuroLM(replace(micro_config.model, language=replace(micro_config.model.language, transformer=wide)))
    names = {n for n, p in model.named_parameters() if p.requires_grad}
    assert {n.split(".")[0] for n in names} == {"bridge", "channel_embedding", "language", "head"}


def test_language_starts_from_the_language_stage(run, stages):
    words = load_gpt2(run.folder / "language")[1]
    module = stages("pretrain").module
    assert torch.equal(module.language.state_dict()["wpe.weight"], words["wpe.weight"])
    assert torch.equal(module.language.wte.weight[:280], words["wte.weight"])
    assert torch.equal(module.head.weight[:280], words["wte.weight"])


@pytest.mark.parametrize("stage", ["pretrain", "instruct"])
def test_training_keeps_no_gradient_in_the_frozen_encoder(stages, stage):
    made = stages(stage)
    made.module.tokenizer.quantizer.initialised.fill_(True)
    losses_of(made, 0).total.backward()
    assert all(p.grad is None for p in made.module.tokenizer.parameters())
    assert made.module.head.weight.grad.abs().sum() > 0
    assert not made.module.train().tokenizer.training


def test_the_loss_is_on_the_answer_tokens_and_nothing_else(run, stages):
    stage = stages("instruct")
    text = TextTokenizer.load(run.folder / "language")
    separator = run.config.model.vocabulary.separator
    batch, answers = instruct_batch(stage, 2)
    tokens = batch.tokens
    found = []
    for row in range(len(tokens.document)):
        for document in tokens.document[row].unique():
            here = tokens.document[row] == document
            if document < 0:
                assert (tokens.target[row][here] == NO_TARGET).all()
                continue
            ids, targets = tokens.text[row][here], tokens.target[row][here]
            eeg = ids == NO_TEXT
            assert (targets[eeg] == NO_TARGET).all() and (tokens.patch[row][here][eeg] != NO_PATCH).all()
            words, targets = ids[~eeg], targets[~eeg]
            assert words[0] == separator
            wanted = targets != NO_TARGET
            assert torch.equal(targets[wanted], words[1:][wanted[:-1]])  # each predicts the word that follows
            first = int(wanted.nonzero()[0]) + 1
            assert wanted[first - 1 : -1].all() and not wanted[-1]
            found.append((text.decode(words[1:first].tolist()), text.decode(words[first:].tolist())))
    tasks = [(load_task(name), label) for name, label in answers]
    expected = [(task.prompt, task.answers[task.index(label)]) for task, label in tasks]
    assert sorted(found) == sorted(expected)
    assert (tokens.target_patch == NO_PATCH).all()


def test_joint_and_range_losses_differ_only_by_the_other_modality(stages):
    stage = stages("pretrain")
    stage.module.tokenizer.quantizer.initialised.fill_(True)
    stage.module.eval()
    samples = stage.windows.step(0)
    documents = [Document(sample=i, predict_eeg=True) for i in range(len(samples))]
    groups = {"eeg": [build_batch(samples, documents)], "text": text_batches(stage.text.step(0), stage.config)}
    found = {}
    for softmax in ("range", "joint"):
        with torch.no_grad():
            config = replace(stage.config, softmax=softmax)
            passes = list(language_losses(stage.module, groups, config, torch.device("cpu"), loss=stage.loss))
        found[softmax] = {name: sum(float(one.parts[name]) for one in passes) for name in passes[0].parts}
        assert float(sum(one.total for one in passes)) == pytest.approx(sum(found[softmax].values()))
    own, joint = found["range"], found["joint"]
    assert set(own) == set(joint) == {"eeg", "text"}
    assert joint["eeg"] > own["eeg"] and joint["text"] > own["text"]


@pytest.mark.parametrize("name", ["language", "tokenizer", "pretrain", "instruct"])
def test_a_step_in_several_passes_is_the_step_in_one(stages, name):
    """Losses and gradients, though samples differ in length and so in their share of the means."""
    stage, gradients, figures = stages(name), {}, {}
    if name != "language":
        tokenizer = stage.module if name == "tokenizer" else stage.module.tokenizer
        tokenizer.quantizer.initialised.fill_(True)
    for at_once in (0, 1, 2):
        stage.config = replace(stage.config, samples_at_once=at_once)
        stage.module.eval()  # dropout would draw in another order
        stage.module.zero_grad()
        passes = list(stage.losses(4, stage.batch(4), stage.loss))
        assert len(passes) >= (1 if at_once == 0 else 2)
        total = losses_of(stage, 4)
        total.total.backward()
        figures[at_once] = total
        gradients[at_once] = [p.grad.clone() for p in stage.module.parameters() if p.grad is not None]
    for at_once in (1, 2):
        assert figures[at_once].tokens == pytest.approx(figures[0].tokens, abs=2)
        assert figures[at_once].parts == pytest.approx(figures[0].parts, rel=1e-4)
        assert figures[at_once].sources == figures[0].sources
        for one, other in zip(gradients[at_once], gradients[0], strict=True):
            torch.testing.assert_close(one, other, rtol=2e-3, atol=2e-5)


def test_without_validation_subjects_the_unlabelled_stages_still_report(stages):
    """Each task's validation subjects may be another task's test subjects: then nothing is left for the curves."""
    tokenizer, pretrain = stages("tokenizer"), stages("pretrain")
    tokenizer.validation = pretrain.validation = []
    with torch.no_grad():
        assert tokenizer.validate() == {}
        assert set(pretrain.validate()) == {"text"}


def test_tasks_too_long_for_the_recipe_are_refused_before_training(run, stages, monkeypatch):
    stage = stages("instruct")
    short = replace(run.config.model.language, positions=60)
    config = replace(run.config, model=replace(run.config.model, language=short))
    text = TextTokenizer.load(run.folder / "language")
    with pytest.raises(ConfigError, match=r"task events: windows of 10 s and \d+ positions.*reads 64 s and 60 pos"):
        InstructStage(replace(run, config=config), stage.module, text, np.arange(100))


def test_selection_weighs_classes_equally():
    probability = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.5, 0.5 + 1e-9]])
    nll, recall = class_means(probability, np.array([0, 0, 0, 1]))
    assert nll == pytest.approx((-math.log(0.9) - math.log(0.5)) / 2)
    assert recall == 1.0
    assert class_means(probability, np.array([1, 0, 0, 0]))[1] == pytest.approx(1 / 3)


def test_validation_windows_are_bounded_and_spread(stages, run):
    stage = stages("instruct")
    for samples, labels in stage.validation:
        assert 0 < len(samples) == len(labels) <= VALIDATION_WINDOWS
        assert len(set(labels.tolist())) >= 2


def test_four_windows_of_two_classes_are_learned(run, stages, rhythm):
    """The whole chain can learn: frozen random encoder, EEG into the language model, question, answer, likelihood."""
    stage = stages("instruct")
    module, task = stage.module, load_task("workload")
    text = TextTokenizer.load(run.folder / "language")
    prompt = Prompt.of(task, text, run.config.model.vocabulary.separator)
    labels = [0, 1, 0, 1]
    samples = [sample_from(rhythm(task.labels[c], 4, 2, (7, i)), [3, 80]) for i, c in enumerate(labels)]
    before = option_probabilities(module, prompt, samples, device=run.device)
    np.testing.assert_allclose(before.sum(1), 1)
    assert before[np.arange(4), labels].min() < 0.6
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=1e-2)
    batch = build_batch(samples, [prompt.document(i, c) for i, c in enumerate(labels)])
    module.train()
    for _ in range(150):
        (losses,) = language_losses(module, {"answer": [batch]}, stage.config, run.device, loss=module.loss)
        loss = losses.total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = option_probabilities(module, prompt, samples, device=run.device)
    assert after[np.arange(4), labels].min() > 0.9
    assert module.training  # answering leaves the mode as it was
