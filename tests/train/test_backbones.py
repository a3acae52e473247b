"""Runs on language models of the hub: every stage, resumed, in several processes, with weights and text given."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import neurolm
from neurolm.ask.prompt import Prompt
from neurolm.batches.hub_text import plain_hub
from neurolm.batches.text import TextTokenizer
from neurolm.checkpoint import load_card, load_neurolm
from neurolm.cli import main
from neurolm.core.config import to_json
from neurolm.core.errors import CheckpointError, ConfigError, TextError
from neurolm.model.attention import Visibility
from neurolm.model.backbone import Backbone
from neurolm.model.hub_weights import load_language
from neurolm.tasks.card import load_task
from neurolm.train.backbone import open_backbone, with_backbone
from neurolm.train.figures.history import read_log
from neurolm.train.instruct import train_instruct
from neurolm.train.language import train_language
from neurolm.train.pretrain import train_pretrain
from neurolm.train.run import open_run
from neurolm.train.shared import LanguageModelStage

FAMILIES = ("llama", "qwen3", "smollm3", "gemma3_text")
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "vocab_size": 280, "max_position_embeddings": 160}
STEPS = {"steps": 2, "evaluate_every": 2, "save_every": 1, "dropout": 0.1}
TEMPLATE = """{{ bos_token }}{% for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def source(tmp_path_factory, hub_settings):
    """The function that writes a model's folder without weights and tokenizer."""

    def write(family: str, **changes) -> str:
        folder = tmp_path_factory.mktemp(family)
        (folder / "config.json").write_text(json.dumps(hub_settings(family, **(SMALL | changes))))
        return str(folder)

    return write


@pytest.fixture(scope="module")
def begin(tmp_path_factory, micro_run):
    """The function that begins a run on such a model, two steps a stage, with the micro run's neural tokenizer."""

    def begin(source: str):
        folder = micro_run.copy(tmp_path_factory.mktemp("hub") / "run", without=("language", "pretrain", "instruct",
                                                                                 "evaluation.json"))  # fmt: skip
        config = with_backbone(micro_run.config, source)
        stages = {name: replace(config.stage(name), **STEPS) for name in ("language", "pretrain", "instruct")}
        (folder / "run.json").unlink()
        return open_run(folder, config=replace(config, **stages), store=micro_run.store, device="cpu")

    return begin


@pytest.fixture(scope="module")
def trained(source, begin, micro_texts) -> dict:
    """A run of each family, from random weights through all stages."""
    runs = {}
    for family in FAMILIES:
        given = source(family)
        run = runs[family] = begin(given)
        train_language(run, texts=micro_texts, backbone=given)
        train_pretrain(run, texts=micro_texts)
        train_instruct(run, texts=micro_texts)
    return runs


def equal(found, expected) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in found)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_stage_trains_the_model_and_what_is_saved_answers_as_it_did(trained, family, tmp_path, write_edf):
    run = trained[family]
    steps = [[row["text"] for row in read_log(run.folder / stage) if row["kind"] == "training"]
             for stage in ("language", "pretrain", "instruct")]  # fmt: skip
    assert all(len(text) == 2 and np.isfinite(text).all() for text in steps)
    before, after = (load_neurolm(run.folder / stage)[0].state_dict() for stage in ("pretrain", "instruct"))
    moved = [name for name in after if name.startswith("language.") and not torch.equal(before[name], after[name])]
    assert len(moved) == sum(name.startswith("language.") for name in after)
    card = load_card(run.folder / "instruct")
    assert card.run.model.language.family == family
    write_edf(tmp_path / "a.edf", seed=0)
    model = neurolm.load(run.folder)
    model.save_pretrained(tmp_path / "saved")
    again = neurolm.load(tmp_path / "saved")
    answers = [one.ask(tmp_path / "a.edf", load_task("workload").question) for one in (model, again)]
    assert answers[0].probabilities == answers[1].probabilities and answers[0].question
    assert equal(model.module.state_dict(), again.module.state_dict())


def test_an_interrupted_stage_goes_on_to_the_same_weights(trained, source, begin, micro_texts, monkeypatch):
    whole = trained["qwen3"]
    given = source("qwen3")
    run = begin(given)
    train_language(run, texts=micro_texts, backbone=given)
    real = LanguageModelStage.losses

    def killed(stage, step, batch, loss):
        if step == 1:
            raise Killed
        return real(stage, step, batch, loss)

    for train in (train_pretrain, train_instruct):
        with monkeypatch.context() as patched, pytest.raises(Killed):
            patched.setattr(LanguageModelStage, "losses", killed)
            train(run, texts=micro_texts)
        train(run, texts=micro_texts)
    for stage in ("language", "pretrain", "instruct"):
        found, expected = (load_file(one.folder / stage / "model.safetensors") for one in (run, whole))
        assert equal(found, expected), stage


def test_two_processes_train_what_one_does_and_so_do_two_with_its_weights_spread(trained, describe, launch, tmp_path):
    """In float32: the library's normalisations are in it whatever the rest is."""
    run = trained["gemma3_text"]
    changes = {"steps": 4, "evaluate_every": 4, "save_every": 100, "samples_at_once": 2, "eeg_batch": 4,
               "text_batch": 4, "checkpointing": True}  # fmt: skip

    def job(name: str, world: int, shard: bool = False) -> dict:
        described = describe(tmp_path / name, "pretrain", world, changes=changes | {"shard": shard})
        return described | {"config": to_json(run.config), "run": str(run.folder)}

    alone, two, spread = launch([job("alone", 1), job("two", 2), job("spread", 2, True)])
    for found in (two, spread):
        assert [outcome["error"] for outcome in found.outcomes] == [None] * 2, found.outcomes
        np.testing.assert_allclose(found.curve("loss"), alone.curve("loss"), rtol=1e-4)
        np.testing.assert_allclose(found.curve("gradient_norm"), alone.curve("gradient_norm"), rtol=1e-3)
        np.testing.assert_allclose(found.curve("text", "validation"), alone.curve("text", "validation"), rtol=1e-4)


# --- weights, tokenizer and template of the model's own ---


@pytest.fixture(scope="module")
def chatting(tmp_path_factory, hub_settings, micro_texts):
    """The function that makes a model's folder as the hub has them: weights in bfloat16 and in parts, text and chat."""

    def make(family: str, **changes):
        from transformers import AutoConfig, AutoModelForCausalLM

        folder = tmp_path_factory.mktemp("hub-" + family)
        TextTokenizer.train(micro_texts, 270).save(folder)
        found = json.loads((folder / "tokenizer.json").read_text())
        for name in ("<|im_start|>", "<|im_end|>", "<|picture|>"):
            found["added_tokens"].append({**found["added_tokens"][0], "id": 270 + len(found["added_tokens"]) - 1,
                                          "content": name})  # fmt: skip
        found["normalizer"] = {"type": "NFC"}
        (folder / "tokenizer.json").write_text(json.dumps(found))
        (folder / "tokenizer_config.json").write_text(json.dumps(
            {"eos_token": {"content": "<|im_end|>"}, "bos_token": "<|im_start|>", "chat_template": TEMPLATE}
        ))  # fmt: skip
        settings = hub_settings(
            family, **(SMALL | {"vocab_size": 272, "sliding_window": 64, "pad_token_id": None} | changes)
        )
        torch.manual_seed(0)
        theirs = AutoModelForCausalLM.from_config(AutoConfig.for_model(**settings)).to(torch.bfloat16)
        with torch.no_grad():
            for parameter in theirs.parameters():
                if parameter.ndim > 1:
                    parameter.normal_(std=0.2)
        theirs.save_pretrained(folder, max_shard_size="10KB")
        assert len(list(folder.glob("model-*.safetensors"))) > 1
        return folder

    return make


@pytest.mark.parametrize("family", FAMILIES)
def test_given_weights_are_taken_as_they_are_and_compute_what_transformers_computes(chatting, begin, family, capfd):
    from transformers import AutoModelForCausalLM

    folder = chatting(family)
    run = begin(str(folder))
    language = run.config.model.language
    # The special token beyond the model's words is none of its text tokens.
    assert (language.text_tokens, language.end_of_text) == (272, 271)
    train_language(run, texts=[], backbone=str(folder))
    state = load_language(run.folder / "language", language)
    assert {value.dtype for value in state.values()} == {torch.bfloat16}
    ours = Backbone(language, output=True).eval()
    ours.load_state_dict({name: value.float() for name, value in state.items()})
    text = torch.randint(272, (2, 20), generator=torch.Generator().manual_seed(3))
    along = torch.arange(20).expand(2, -1)
    for one in (folder, run.folder / "language"):
        theirs = AutoModelForCausalLM.from_pretrained(one, dtype=torch.float32, attn_implementation="sdpa").eval()
        with torch.no_grad():
            hidden = ours(ours.words(text), along, Visibility(torch.zeros_like(text), along))
            torch.testing.assert_close(hidden @ ours.output_rows.T, theirs(text).logits, rtol=1e-4, atol=1e-4)


def test_the_question_is_the_users_turn_and_the_answer_the_models(chatting, begin, micro_texts):
    folder = chatting("llama")
    run = begin(str(folder))
    train_language(run, texts=[], backbone=str(folder))
    text = TextTokenizer.load(run.folder / "language", of_hub=True)
    task, separator = load_task("workload"), 272
    prompt = Prompt.of(task, text, separator)
    asked = f"<|im_start|><|im_start|>user\nQuestion: {task.question}<|im_end|>\n<|im_start|>assistant\n"
    assert prompt.question == (separator, *text.encode(asked)) and text.decode(prompt.question[1:]) == asked
    assert [text.decode(answer) for answer in prompt.answers] == ["Yes<|im_end|>", "No<|im_end|>"]
    assert {answer[-1] for answer in prompt.answers} == {text.end_of_text} == {271}
    lettered = Prompt.of(load_task("events"), text, separator)
    assert text.decode(lettered.question[1:]).endswith("<|im_start|>assistant\n(")
    assert text.decode(lettered.answers[0]) == "A)<|im_end|>"
    train_pretrain(run, texts=micro_texts)
    train_instruct(run, texts=micro_texts)
    _, card, again = load_neurolm(run.folder / "instruct")
    assert again.turns == text.turns and card.run.model.vocabulary.end_of_text == 271


@pytest.mark.parametrize(
    "template",
    [
        "no place for a question", "{{ messages[0].content | upper }}", "{% for", "{{ raise_exception('no') }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}{{ messages[0].content }}",
        "{{ messages[0].content }} {{ messages[0].content }}", "{{ 'x' * 100000 }}{{ messages[0].content }}",
    ],
)  # fmt: skip
def test_a_template_without_a_place_for_a_question_leaves_plain_text(chatting, template):
    folder = chatting("llama")
    for name in ("plain", "own"):
        found = {"eos_token": "<|im_end|>", "chat_template": None if name == "plain" else template}
        (folder / "tokenizer_config.json").write_text(json.dumps(found))
        text = TextTokenizer.load(folder, of_hub=True, tokens=272)
        assert text.turns is None
        assert text.decode(Prompt.of(load_task("workload"), text, 272).answers[0]) == " Yes <|im_end|>"


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% set x = 'a' * 6000000000 %}", "{{ 'a' | center(3000000000) }}", "{{ '%3000000000d' | format(1) }}",
    ],
)  # fmt: skip
def test_a_template_without_end_or_measure_is_refused_with_its_file(chatting, template):
    folder = chatting("llama")
    for name in ("tokenizer_config.json", "chat_template.jinja"):
        found = {"eos_token": "<|im_end|>", "chat_template": template}
        (folder / "tokenizer_config.json").write_text(json.dumps(found))
        if name == "chat_template.jinja":
            (folder / name).write_text(template + " ")
        text = TextTokenizer.load(folder, of_hub=True, tokens=272)
        with pytest.raises(TextError, match=rf"{name}: its chat template takes more than 5 s or 256 MiB"):
            _ = text.turns
        if "range" in template:  # once is enough: it takes its five seconds
            break


# --- what is refused ---


LLAMA = (  # the patterns by which Llama 3 and o200k cut text
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
O200K = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{M}]*[\p{Ll}\p{Lm}\p{M}]+(?i:'s|'t|'re)?|\p{N}{1,3}|\s+(?!\S)|\s+"


@pytest.mark.parametrize(
    ("pattern", "taken"),
    [
        (LLAMA, True), (O200K, True), (r"a*b*|c*d*|[*+*+]+", True), (r"\*\+\*x{3}", True),
        (r".*.*.*.*.*.*.*.*Z", False), (r".{0,99}.{1,}.{,99}Z", False), (r"(a*|b)a*(c|a*)Z", False),
        (r"(?#[)a*a*a*a*]", False), (r"a*a*(?i)a*|b", False), (r"(?<n>x|y\g<n>)", False), ("(?x)a*#[\na*a*]", False),
    ],
)  # fmt: skip
def test_patterns_that_search_in_a_high_power_of_a_text_are_refused(pattern, taken):
    split = {"type": "Split", "pattern": {"Regex": pattern}}
    found = {"model": {"type": "BPE"}, "decoder": {"type": "ByteLevel"}, "pre_tokenizer": split}
    if taken:
        assert json.loads(plain_hub(found, "tokenizer.json"))["pre_tokenizer"] == split
    else:
        with pytest.raises(TextError, match=r"tokenizer.json: it cuts text by the pattern .* may take for ever"):
            plain_hub(found, "tokenizer.json")


def test_words_of_another_width_are_told_to_be_given(source, begin, micro_texts):
    from neurolm.train.tokenizer import train_tokenizer

    given = source("llama", hidden_size=24)
    run = begin(given)
    train_language(run, texts=micro_texts, backbone=given)
    (run.folder / "tokenizer" / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"24 wide, do not fit an encoder 16 wide.*give --words"):
        train_tokenizer(run, texts=micro_texts)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("family", "config.json: model_type 'mixtral': no backbone"),
        ("json", "not valid JSON"),
        ("list", "no configuration of a model"),
        ("cut", "cannot be read"),
        ("shape", "not the weights of the model in config.json: model.layers.0.mlp"),
        ("nan", "holds NaN"),
        ("no text", "no tokenizer.json beside the weights"),
        ("no end", "says no eos_token"),
        ("strange end", "has no token '<end>'"),
        ("too many words", r"\d+ text tokens, and the model has vectors for 250"),
        ("lower", "its normalizer is Lowercase"),
        ("pattern", "which may take for ever"),
        ("longer", "it replaces"),
    ],
)
def test_what_cannot_serve_is_refused_with_the_file_and_what_was_found(chatting, change, message, micro_config):
    folder = chatting("qwen3")
    config, text, manner = (folder / n for n in ("config.json", "tokenizer.json", "tokenizer_config.json"))
    found, parts = json.loads(config.read_text()), json.loads(text.read_text())
    weights = sorted(folder.glob("model-*.safetensors"))[-1]
    if change in ("family", "too many words"):
        config.write_text(json.dumps(found | {"model_type": "mixtral"} if change == "family" else
                                     found | {"vocab_size": 250}))  # fmt: skip
        if change == "too many words":
            manner.write_text(json.dumps({"eos_token": "a"}))
    elif change in ("json", "list"):
        config.write_text("{" if change == "json" else "[]")
    elif change == "cut":
        weights.write_bytes(weights.read_bytes()[:200])
    elif change == "shape":
        config.write_text(json.dumps(found | {"intermediate_size": 41}))
    elif change == "nan":
        save_file({name: value * torch.nan for name, value in load_file(weights).items()}, weights)
    elif change == "no text":
        text.unlink()
    elif change in ("no end", "strange end"):
        manner.write_text(json.dumps({} if change == "no end" else {"eos_token": "<end>"}))
        config.write_text(json.dumps(found | {"eos_token_id": None}))
    else:
        split = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}
        replaced = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 1000}
        parts |= {"lower": {"normalizer": {"type": "Lowercase"}}, "longer": {"normalizer": replaced},
                  "pattern": {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [split]}}}[change]  # fmt: skip
        text.write_text(json.dumps(parts))
    unscaled = replace(micro_config, model=replace(micro_config.model, feature_scale=0.0))  # its weights are read
    with pytest.raises((CheckpointError, ConfigError, TextError), match=message):
        with_backbone(unscaled, str(folder))


def test_a_hub_id_without_a_network_says_so_and_what_to_give(micro_config, monkeypatch):
    def unreachable(*_: object, **__: object) -> str:
        raise ConnectionError("no route to host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    with pytest.raises(
        CheckpointError,
        match=r"Qwen/Qwen3-0.6B: no such folder, and the Hugging Face hub did not give it "
        r"\(ConnectionError: no route to host\); check the name and the network, or give a folder with config.json",
    ):
        with_backbone(micro_config, "Qwen/Qwen3-0.6B")


def test_a_run_keeps_to_its_language_model(trained, source, micro_texts, tmp_path):
    run = trained["llama"]
    other = replace(run, folder=tmp_path)
    with pytest.raises(ConfigError, match="begun with a language model of the hub: give it with --backbone again"):
        train_language(other, texts=micro_texts)
    with pytest.raises(ConfigError, match="another language model than this run was begun with"):
        train_language(other, texts=micro_texts, backbone=source("llama", intermediate_size=48))


def test_a_folder_of_gpt2_is_our_own_in_its_sizes(micro_run, micro_config):
    config = with_backbone(replace(micro_config), str(micro_run.folder / "language"))
    assert config.model.language.own and open_backbone(str(micro_run.folder / "language")).has_weights
    found = micro_config.model.language
    own = config.model.language
    assert replace(own, transformer=found.transformer) == found and own.transformer.bias


def test_features_are_brought_to_the_size_of_the_words(chatting, micro_config):
    plain = replace(micro_config, model=replace(micro_config.model, feature_scale=0.0))
    assert with_backbone(plain, str(chatting("llama"))).model.feature_scale == pytest.approx(0.2, rel=0.1)
    assert with_backbone(micro_config, str(chatting("llama"))).model.feature_scale == 0.1


def test_the_command_takes_a_folder_once_and_says_what_is_wrong_with_another(source, micro_store, tmp_path, capsys):
    def neurolm(stage: str, *words: str) -> int:
        return main(["train", stage, "--store", str(micro_store), "--out", str(tmp_path / "run"), *words])

    given = source("llama", hidden_size=128)
    few = ("--language.steps", "2", "--tokenizer.steps", "2", "--tokenizer.max_patches", "24")
    assert neurolm("language", "--backbone", given, *few) == 0
    assert json.loads((tmp_path / "run" / "command.json").read_text())["backbone"] == given
    assert neurolm("tokenizer") == 0  # whose config is the run's, and words those of the model
    card = load_card(tmp_path / "run" / "tokenizer")
    assert card.run.model.language.family == "llama" and card.run.tokenizer.steps == 2
    capsys.readouterr()
    assert neurolm("pretrain", "--backbone", source("llama", hidden_size=16)) != 0
    assert "this run was begun with another config" in capsys.readouterr().err
    assert neurolm("pretrain", "--backbone", str(tmp_path / "nowhere")) != 0
    assert "no such folder" in capsys.readouterr().err
