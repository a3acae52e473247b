"""Precision, checkpointing and compilation of all stages, on the micro run."""

import math
import shutil
from dataclasses import replace

import pytest
import torch

from neurolm.core.config import STAGES, RunConfig, StageConfig
from neurolm.core.errors import ConfigError
from neurolm.core.recipes import recipe
from neurolm.model import precision as model_precision
from neurolm.model.gpt2 import GPT2
from neurolm.model.neurolm import NeuroLM
from neurolm.model.tokenizer import NeuralTokenizer
from neurolm.train.figures.history import read_log
from neurolm.train.instruct import train_instruct
from neurolm.train.language import train_language
from neurolm.train.loop import TrainingProgress
from neurolm.train.machine.execution import precision, product_dtype, set_execution, width_of
from neurolm.train.pretrain import train_pretrain
from neurolm.train.run import open_run
from neurolm.train.tokenizer import train_tokenizer

TRAIN = dict(zip(STAGES, (train_language, train_tokenizer, train_pretrain, train_instruct), strict=True))
CPU = torch.device("cpu")


class Killed(Exception):
    """Stands for the end of the process."""


def changed(config: RunConfig, **changes) -> RunConfig:
    """The same run with other settings in all stages."""
    return replace(config, **{stage: replace(config.stage(stage), **changes) for stage in STAGES})


def train(micro_run, folder, stage: str, *, progress=None, **changes):
    """Train a stage after the finished micro run's earlier ones, with other settings; returns its log."""
    if not folder.exists():
        folder.mkdir()
        for earlier in STAGES[: STAGES.index(stage)]:
            shutil.copytree(micro_run.folder / earlier, folder / earlier)
    config = changed(micro_run.config, **changes)
    run = open_run(folder, config=config, store=micro_run.store, device="cpu")
    TRAIN[stage](run, texts=micro_run.texts, progress=progress)
    return read_log(folder / stage)


@pytest.mark.parametrize("stage", STAGES)
def test_bfloat16_is_close_to_float32_and_resumes_exactly(tmp_path, micro_run, stage):
    whole = train(micro_run, tmp_path / "whole", stage, precision="bfloat16")
    exact = read_log(micro_run.folder / stage)
    assert [row["step"] for row in whole] == [row["step"] for row in exact]
    assert whole != exact  # or else nothing was multiplied in bfloat16
    for row, wanted in zip(whole, exact, strict=True):
        assert all(math.isfinite(v) for v in row.values() if not isinstance(v, str))
        if row["kind"] == "training":
            assert row["loss"] == pytest.approx(wanted["loss"], rel=0.02)
        if row["step"] == 0:
            assert row["gradient_norm"] == pytest.approx(wanted["gradient_norm"], rel=0.02)

    def kill(progress: TrainingProgress) -> None:
        if progress.step == 3:
            raise Killed

    with pytest.raises(Killed):
        train(micro_run, tmp_path / "parts", stage, precision="bfloat16", progress=kill)
    assert train(micro_run, tmp_path / "parts", stage, precision="bfloat16") == whole
    names = {p.name for p in (tmp_path / "whole" / stage).iterdir()}
    for name in names - {"speed.jsonl"}:
        assert (tmp_path / "parts" / stage / name).read_bytes() == (tmp_path / "whole" / stage / name).read_bytes()


@pytest.mark.parametrize("stage", STAGES)
def test_weights_and_moments_stay_in_float32(tmp_path, micro_run, stage):
    """And so does what is kept between steps: a state that a float32 run could go on from."""

    def kill(progress: TrainingProgress) -> None:
        if progress.step == 3:
            raise Killed

    with pytest.raises(Killed):
        train(micro_run, tmp_path / "run", stage, precision="bfloat16", progress=kill)
    (path,) = (tmp_path / "run" / stage).glob("state-*.pt")
    found: list[torch.Tensor] = []

    def collect(value) -> None:
        if torch.is_tensor(value):
            found.append(value)
        elif isinstance(value, dict):
            list(map(collect, value.values()))

    collect(torch.load(path, weights_only=True))
    assert found and {value.dtype for value in found if value.is_floating_point()} == {torch.float32}


@pytest.mark.parametrize("stage", STAGES)
def test_checkpointing_trains_the_very_same(tmp_path, micro_run, stage):
    """With the dropout that pretraining has here."""
    assert train(micro_run, tmp_path / "run", stage, checkpointing=True) == read_log(micro_run.folder / stage)


@pytest.mark.parametrize("tiles", [True, False])
def test_a_cpu_with_tiles_multiplies_wide_models_in_bfloat16(monkeypatch, micro_config, tiles):
    monkeypatch.setattr(model_precision, "_has_tiles", lambda: tiles)
    chosen = {}
    for name in ("tiny", "base", "large", "xl"):
        run = recipe(name)
        chosen[name] = {product_dtype(run.stage(s), CPU, width=run.width(s)) for s in STAGES}
    wide = {torch.bfloat16 if tiles else torch.float32}
    assert chosen == {"tiny": {torch.float32}, "base": wide, "large": wide, "xl": wide}
    assert {product_dtype(micro_config.stage(s), CPU, width=micro_config.width(s)) for s in STAGES} == {torch.float32}
    short = replace(recipe("base").pretrain, eeg_batch=8, samples_at_once=1, max_patches=100)
    assert product_dtype(short, CPU, width=768) == torch.float32
    assert product_dtype(replace(short, samples_at_once=0), CPU, width=768) in wide


def test_the_width_of_a_recipe_is_that_of_its_model():
    for name in ("tiny", "base", "large", "xl"):
        run = recipe(name)
        with torch.device("meta"):
            modules = {
                "language": GPT2(run.model.language),
                "tokenizer": NeuralTokenizer(run.model.tokenizer),
                "pretrain": NeuroLM(run.model),
            }
        assert {s: width_of(m) for s, m in modules.items()} == {s: run.width(s) for s in modules}
    assert run.width("instruct") == run.width("pretrain") == 768  # of the encoder that all sizes share


def test_what_is_chosen_by_itself_and_what_is_refused(micro_config, monkeypatch):
    stage = micro_config.pretrain
    assert product_dtype(stage, CPU, width=8) == torch.float32
    assert product_dtype(replace(stage, precision="bfloat16"), CPU, width=8) == torch.bfloat16
    gpu = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert product_dtype(stage, gpu, width=8) == torch.bfloat16
    assert product_dtype(replace(stage, precision="float32"), gpu, width=8) == torch.float32
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla")
    assert product_dtype(stage, gpu, width=8) == torch.float32
    with pytest.raises(ConfigError, match="bfloat16: Tesla cannot multiply in it; use precision float32"):
        product_dtype(replace(stage, precision="bfloat16"), gpu, width=8)
    for setting in ({"precision": "float16"}, {"compile": "yes"}):
        with pytest.raises(ConfigError, match=r"must be one of auto, "):
            replace(stage, **setting)


def test_only_products_are_in_bfloat16(micro_config):
    config: StageConfig = replace(micro_config.pretrain, precision="bfloat16")
    with precision(config, CPU, width=8):
        assert torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype == torch.bfloat16
        assert torch.nn.functional.layer_norm(torch.ones(2, 2), (2,)).dtype == torch.float32
    with precision(micro_config.pretrain, CPU, width=8):
        assert torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype == torch.float32


@pytest.mark.filterwarnings("ignore")  # the compiler warns of its own code
@pytest.mark.parametrize(("choice", "compiled"), [("always", True), ("auto", False), ("never", False)])
def test_a_cpu_compiles_on_demand_only(micro_config, choice, compiled):

    module = GPT2(micro_config.model.language)
    set_execution(module, replace(micro_config.language, compile=choice, checkpointing=True), CPU)
    assert (module.transformer.blocks[0]._compiled_call_impl is not None) == compiled == module.compiled
    assert module.transformer.checkpointing
