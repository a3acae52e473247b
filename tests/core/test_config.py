"""Configuration: bad values fail before any work with a message that names them; JSON gives back the same object."""

import json
import math
from dataclasses import asdict, fields, replace

import pytest

from neurolm.core.config import (
    STAGES,
    RunConfig,
    StageConfig,
    TokenizerConfig,
    TransformerConfig,
    to_json,
)
from neurolm.core.decode import decode, load_json
from neurolm.core.errors import ConfigError
from neurolm.core.recipes import RECIPES, recipe


@pytest.mark.parametrize("name", RECIPES)
def test_json_round_trip_gives_the_same_run(name):
    assert decode(RunConfig, to_json(recipe(name))) == recipe(name)


def changed(path: str, value: object) -> str:
    """The tiny recipe's JSON with one value changed, added or (``...``) removed."""
    values = asdict(recipe("tiny"))
    at = values
    *parents, last = path.split(".")
    for parent in parents:
        at = at[parent]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return json.dumps(values)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "tokenizer.learning_rte", 1.0,
            r"settings: tokenizer: unknown field learning_rte, did you mean learning_rate\? Known: epochs,",
        ),
        ("tokenizer.eeg_batch", "8", r"settings: tokenizer\.eeg_batch: expected a whole number, found '8'"),
        ("tokenizer.eeg_batch", 8.5, r"eeg_batch: expected a whole number, found 8\.5"),
        ("tokenizer.eeg_batch", True, r"eeg_batch: expected a whole number, found True"),
        ("tokenizer.clip", math.nan, r"tokenizer\.clip: expected a finite number, found NaN"),
        ("tokenizer.betas", [0.9], r"betas: expected 2 values, found \[0\.9\]"),
        ("tokenizer.betas", [0.9, 0.9, 0.9], r"betas: expected 2 values, found \[0\.9, 0\.9, 0\.9\]"),
        ("tokenizer.betas", [0.9, "x"], r"tokenizer\.betas 2: expected a number, found 'x'"),
        ("tokenizer.betas", 0.9, r"betas: expected a list, found 0\.9"),
        ("model.tokenizer", 3, r"model\.tokenizer: expected the fields encoder, decoder, codes, .*; found 3"),
        ("model.tokenizer.encoder.width", ..., r"model\.tokenizer\.encoder: lacks width: add it"),
        ("model.tokenizer.spectrum", "foo", r"model\.tokenizer\.spectrum: expected 'amplitude' or 'log', found 'foo'"),
        ("model.tokenizer.encoder.heads", 3, r"settings: model\.tokenizer\.encoder\.width 128 is not a multiple"),
        ("pretrain.softmax", "both", r"softmax: expected 'range' or 'joint', found 'both'"),
        ("pretrain.warmup", 1.0, r"settings: pretrain\.warmup must be in \[0, 1\), not 1\.0"),
        ("pretrain.learning_rate", 0.0, r"learning_rate must be positive, not 0\.0"),
        ("model.tokenizer.attention", "causal", r"attention: expected 'full' or 'stair-step', found 'causal'"),
        ("model.tokenizer.quantise_from", 1.0, r"quantise_from must be in \[0, 1\), not 1\.0"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(path, value, message):
    with pytest.raises(ConfigError, match=message):
        decode(RunConfig, changed(path, value), source="settings")


def test_whole_numbers_are_fine_where_a_fraction_may_stand():
    config = decode(RunConfig, changed("tokenizer.clip", 3))
    assert config.tokenizer.clip == 3.0 and type(config.tokenizer.clip) is float


def test_missing_fields_take_their_defaults():
    old = decode(RunConfig, changed("model.tokenizer.revive", ...))
    assert old.model.tokenizer.revive == TokenizerConfig.__dataclass_fields__["revive"].default


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe\x00"])
def test_files_that_are_no_json_are_named(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"config\.json"):
        load_json(RunConfig, path)
    with pytest.raises(ConfigError, match=r"other\.json: cannot be read"):
        load_json(RunConfig, tmp_path / "other.json")


def test_choices_are_checked_where_python_code_sets_them_too():
    with pytest.raises(ConfigError, match="spectrum must be one of amplitude, log, not 'foo'"):
        replace(recipe("tiny").model.tokenizer, spectrum="foo")
    with pytest.raises(ConfigError, match="precision must be one of auto, float32, bfloat16, not 'float16'"):
        replace(recipe("tiny").pretrain, precision="float16")


@pytest.mark.parametrize(
    "wrong",
    [{"layers": 0}, {"heads": -1}, {"width": 0}, {"dropout": 1.0}, {"dropout": -0.1}, {"width": 10, "heads": 3}],
)
def test_transformers_that_cannot_be_built_are_refused(wrong):
    with pytest.raises(ConfigError):
        TransformerConfig(**({"layers": 1, "heads": 2, "width": 16} | wrong))


def test_a_stage_without_work_is_refused():
    stage = recipe("tiny").pretrain
    for wrong in ({"steps": 0, "epochs": 0.0}, {"eeg_batch": 0, "text_batch": 0}, {"save_every": 0}, {"augment": 1.5}):
        with pytest.raises(ConfigError):
            replace(stage, **wrong)


def test_steps_follow_from_epochs_and_batches():
    stage = replace(recipe("tiny").pretrain, steps=0, epochs=2.5, eeg_batch=8)
    assert stage.total_steps(64) == 20
    assert stage.total_steps(1) == 1
    assert replace(stage, steps=7).total_steps(64) == 7
    language = replace(recipe("tiny").language, steps=0, epochs=2.0, text_batch=4)
    assert language.total_steps(100) == 50


def test_stages_are_those_of_a_run():
    config = recipe("tiny")
    assert [f.name for f in fields(config) if isinstance(getattr(config, f.name), StageConfig)] == list(STAGES)
    assert all(config.stage(name) is getattr(config, name) for name in STAGES)
    with pytest.raises(ConfigError, match=r"'finetune'.*language, tokenizer, pretrain, instruct"):
        config.stage("finetune")


@pytest.mark.parametrize(
    "name",
    ["tokenizer.code_width", "tokenizer.convolution_channels", "tokenizer.channels", "tokenizer.seconds",
     "tokenizer.classifier_width", "tokenizer.codes", "tokenizer.encoder.layers", "tokenizer.decoder.width",
     "tokenizer.decoder.heads", "language.positions", "language.text_tokens"],
)  # fmt: skip
@pytest.mark.parametrize("value", [-1, 0, 10**9])
def test_sizes_that_no_model_has_are_named(name, value):
    with pytest.raises(ConfigError, match=rf"model\.{name} must be"):
        decode(RunConfig, changed(f"model.{name}", value), source="settings")


def test_a_sample_may_be_unpadded_but_not_endless():
    assert decode(RunConfig, changed("model.tokenizer.padded_to", 0)).model.tokenizer.padded_to == 0
    for value in (-1, 10**6):
        with pytest.raises(ConfigError, match=r"tokenizer\.padded_to must be at"):
            decode(RunConfig, changed("model.tokenizer.padded_to", value))
