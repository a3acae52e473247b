"""Stages trained with adapters: small checkpoints, whole answers, and no base but their own."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mne
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import neurolm
from neurolm import checkpoint
from neurolm.checkpoint import ADAPTER, CONFIG, WEIGHTS, AdapterFile, load_card, load_neurolm, weights_digest
from neurolm.core.config import LoraConfig
from neurolm.core.errors import CheckpointError, NeuroLMError
from neurolm.evaluation.results import RESULTS
from neurolm.hub.publish import merged
from neurolm.model.adapters import merge
from neurolm.report.run_page import write_report
from neurolm.train import loop, shared
from neurolm.train.backbone import with_backbone
from neurolm.train.instruct import train_instruct
from neurolm.train.language import train_language
from neurolm.train.pretrain import train_pretrain
from neurolm.train.run import RUN, open_run

CHAIN = ("pretrain", "instruct")


def begun(micro_run, folder: Path, *, stages=("instruct",), lora: LoraConfig | None = None, **changes):
    """A run whose stages before some are those of the micro run, and which trains these with adapters."""
    micro_run.copy(folder, without=(*stages, "instruct", RESULTS, RUN))
    lora = lora or LoraConfig(rank=2)
    config = replace(
        micro_run.config,
        **{name: replace(micro_run.config.stage(name), lora=lora, average=0.0, **changes) for name in stages},
    )
    return open_run(folder, config=config, store=micro_run.store, device="cpu")


@pytest.fixture(scope="module")
def tuned(micro_run, tmp_path_factory) -> tuple[Path, torch.nn.Module]:
    """A run with both stages of adapters, and the model as the training of the last of them left it."""
    run = begun(micro_run, tmp_path_factory.mktemp("lora") / "run", stages=CHAIN)
    train_pretrain(run, texts=micro_run.texts)
    left: list[torch.nn.Module] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared, "whole_state", lambda module: left.append(module) or module.state_dict())
        train_instruct(run, texts=micro_run.texts)
    return run.folder, left[0].eval()


@pytest.fixture
def folder(tuned, tmp_path) -> Path:
    """A copy of the run, to be changed."""
    shutil.copytree(tuned[0], tmp_path / "run")
    return tmp_path / "run"


def changed(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def test_a_checkpoint_has_what_differs_from_its_base_and_nothing_else(tuned, micro_run):
    for stage, rows in (("pretrain", True), ("instruct", False)):
        names = {path.name for path in (tuned[0] / stage).iterdir()}
        assert {ADAPTER, AdapterFile.FILE, CONFIG, "tokenizer.json"} <= names and WEIGHTS not in names
        stored = load_file(tuned[0] / stage / ADAPTER)
        beside = {name for name in stored if "lora" not in name}
        new = {"head.trained", "scaling.mean", "scaling.deviation"} if rows else set()
        assert beside == {"channel_embedding.weight", "language.wte.trained"} | new
        assert len(stored) - len(beside) == 2 * 4  # A and B of the four layers of a block
    found = AdapterFile.load(tuned[0] / "instruct")
    assert [(base.stage, base.folder) for base in found.bases] == [("pretrain", "../pretrain")]
    bases = {base.stage: base for base in AdapterFile.load(tuned[0] / "pretrain").bases}
    assert bases["language"].weights == weights_digest(micro_run.folder / "language")
    assert bases["tokenizer"].folder == "../tokenizer"


def test_loaded_it_is_the_model_that_was_trained(tuned):
    folder, module = tuned
    kept = module.state_dict()
    merge(module)
    loaded = load_neurolm(folder / "instruct")[0].state_dict()
    wanted = module.state_dict()
    assert list(loaded) == list(wanted)
    assert all(torch.equal(loaded[name], value) for name, value in wanted.items())
    pretrained = load_neurolm(folder / "pretrain")[0].state_dict()
    moved = {name for name, value in pretrained.items() if not torch.equal(value, loaded[name])}
    parts = [f"language.transformer.blocks.0.{name}.weight" for name in ("attn.c_attn", "attn.c_proj", "mlp.c_fc",
                                                                         "mlp.c_proj")]  # fmt: skip
    assert moved == {"channel_embedding.weight", "language.wte.weight", *parts}
    assert any("lora_A" in name for name in kept)


def test_everything_answers_with_it_and_merged_the_same(tuned, tmp_path, micro_run):
    whole = merged(tuned[0], tmp_path / "whole")
    assert (whole / WEIGHTS).is_file() and not (whole / ADAPTER).exists()
    shutil.copy(tuned[0] / RUN, tmp_path / RUN)
    models = [neurolm.load(place, device="cpu") for place in (tuned[0], whole)]
    rng = np.random.default_rng(0)
    raw = mne.io.RawArray(rng.normal(0, 2e-5, (2, 2400)), mne.create_info(["C3", "O1"], 200, "eeg"), verbose="error")
    question = models[0].questions[-1]
    first, second = (model.ask(raw, question) for model in models)
    for one, other in zip(first.timeline, second.timeline, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
    assert models[0].explain(raw, question, windows=1).option in models[0].card.tasks[-1].labels
    assert np.array_equal(models[0].embed(raw).codes, models[1].embed(raw).codes)
    page = write_report(tuned[0], out=tmp_path / "page.html").read_text(encoding="utf-8")
    stored = load_file(tuned[0] / "instruct" / ADAPTER).values()
    number = f"{sum(tensor.numel() for tensor in stored):,}"
    assert f"{number} in adapters and beside them; the others are those of ../pretrain" in page
    with pytest.raises(CheckpointError, match="has no adapters to merge"):
        merged(whole, tmp_path / "again")


@pytest.mark.parametrize("kind", ["rslora", "dora", "loha", "lokr"])
def test_every_kind_trains_and_loads(tmp_path, micro_run, kind):
    run = begun(micro_run, tmp_path / "run", lora=LoraConfig(rank=2, kind=kind), steps=2, evidence=False)
    left: list[torch.nn.Module] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared, "whole_state", lambda module: left.append(module) or module.state_dict())
        train_instruct(run, texts=micro_run.texts)
    merge(left[0])
    loaded = load_neurolm(run.folder / "instruct")[0].state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in left[0].state_dict().items())


def test_killed_and_gone_on_the_weights_are_the_same(tuned, tmp_path, micro_run, monkeypatch):
    run = begun(micro_run, tmp_path / "run", stages=CHAIN)
    real, steps = loop.train_step, []

    def dying(stage, optimizer, step, **given):
        steps.append(step)
        if steps == [0, 1, 2, 3]:
            raise KeyboardInterrupt
        return real(stage, optimizer, step, **given)

    monkeypatch.setattr(loop, "train_step", dying)
    with pytest.raises(KeyboardInterrupt):
        train_pretrain(run, texts=micro_run.texts)
    train_pretrain(run, texts=micro_run.texts)
    assert steps == [0, 1, 2, 3, 2, 3, 4, 5]
    assert (run.folder / "pretrain" / ADAPTER).read_bytes() == (tuned[0] / "pretrain" / ADAPTER).read_bytes()


def test_another_base_is_refused_and_its_own_is_found_elsewhere(folder, tmp_path):
    instruct, pretrain = folder / "instruct", folder / "pretrain"
    before = load_neurolm(instruct)[0].state_dict()
    (tmp_path / "elsewhere").mkdir()
    shutil.move(pretrain, tmp_path / "elsewhere" / "pretrain")
    with pytest.raises(
        CheckpointError,
        match=r"adapters of the pretrain checkpoint .*not there: .*convert merged .*run/instruct --base",
    ):
        load_neurolm(instruct)
    with pytest.raises(CheckpointError, match=r"adapters of the language checkpoint"):  # the base's own, beside it
        load_neurolm(instruct, base=tmp_path / "elsewhere")
    for name in ("language", "tokenizer"):
        shutil.copytree(folder / name, tmp_path / "elsewhere" / name)
    for base in (tmp_path / "elsewhere", tmp_path / "elsewhere" / "pretrain"):
        after = load_neurolm(instruct, base=base)[0].state_dict()
        assert all(torch.equal(after[name], value) for name, value in before.items())
    shutil.move(tmp_path / "elsewhere" / "pretrain", pretrain)
    changed(pretrain / ADAPTER, lambda tensors: tensors["scaling.mean"].add_(1e-3))
    with pytest.raises(CheckpointError, match=r"pretrain: not the pretrain checkpoint that .*instruct was trained on"):
        load_neurolm(instruct)


def test_a_base_on_the_hub_is_fetched_and_taken_by_its_digest(folder, tmp_path, monkeypatch):
    before = load_neurolm(folder / "instruct")[0].state_dict()
    hub = tmp_path / "cache"
    hub.mkdir()
    for name in ("pretrain", "language", "tokenizer"):
        shutil.move(folder / name, hub / name)
    path, asked = folder / "instruct" / AdapterFile.FILE, []
    path.write_text(path.read_text().replace('"hub": ""', '"hub": "somebody/base"'))

    def fetched(source, files, **_):
        asked.append((source, ADAPTER in files and WEIGHTS in files))
        return hub / "pretrain"

    monkeypatch.setattr(checkpoint, "hub_folder", fetched)
    after = load_neurolm(folder / "instruct")[0].state_dict()
    assert asked == [("somebody/base", True)]
    assert all(torch.equal(after[name], value) for name, value in before.items())
    changed(hub / "pretrain" / ADAPTER, lambda tensors: tensors["head.trained"][0].neg_())
    with pytest.raises(CheckpointError, match="its weights are others"):
        load_neurolm(folder / "instruct")


def test_the_digest_is_of_the_weights_however_they_are_written(tmp_path, micro_run):
    path = micro_run.copy(tmp_path / "run") / "pretrain" / WEIGHTS
    digest = weights_digest(path.parent)
    tensors = load_file(path)
    save_file(dict(reversed(tensors.items())), path, metadata={"written": "by another program"})
    assert weights_digest(path.parent) == digest
    changed(path, lambda tensors: tensors["head.weight"][0].neg_())
    assert weights_digest(path.parent) != digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.update({"more": torch.zeros(1)}), "left over more"),
        (lambda t: t.pop("channel_embedding.weight"), "missing channel_embedding.weight"),
        (lambda t: t.update({"language.wte.trained": torch.zeros(2, 16)}), r"language\.wte\.trained is \(2, 16\), not"),
        (lambda t: t["channel_embedding.weight"][3].fill_(torch.nan), "channel_embedding.weight holds NaN"),
        (lambda t: t.update({"channel_embedding.weight": torch.zeros(256, 16, dtype=torch.int64)}), "int64"),
    ],
)
def test_files_that_do_not_fit_are_refused(folder, change, message):
    changed(folder / "instruct" / ADAPTER, change)
    with pytest.raises(CheckpointError, match=message):
        load_neurolm(folder / "instruct")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"bases": []}, "bases must be pretrain, instruct, or language and tokenizer"),
        ({"bases": [{"stage": "pretrain", "folder": "/etc", "weights": ""}]}, "folder must be a path relative"),
        ({"bases": [{"stage": "more", "folder": "..", "weights": ""}]}, "stage must be one of"),
        ({"bases": [{"stage": "pretrain", "folder": "..", "weights": "", "code": "x"}]}, "unknown field code"),
        ({"format": 2, "bases": [{"stage": "pretrain", "weights": ""}]}, "format 2, this version reads 1"),
        ({"bases": [{"stage": "pretrain", "folder": "nowhere", "weights": ""}]}, "nowhere, which is not there"),
    ],
)
def test_what_says_its_base_wrongly_is_refused(folder, said, message):
    (folder / "instruct" / AdapterFile.FILE).write_text(json.dumps(said))
    with pytest.raises(NeuroLMError, match=message):
        load_neurolm(folder / "instruct")


def test_a_rank_that_the_file_has_not_takes_no_memory(folder):
    path = folder / "instruct" / CONFIG
    card = json.loads(path.read_text())
    card["run"]["instruct"]["lora"]["rank"] = 60_000
    path.write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match=r"lora_A\.weight is \(2, 16\), not \(60000, 16\)"):
        load_neurolm(folder / "instruct")
    card["run"]["instruct"]["lora"]["rank"] = 0
    path.write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match="says that it has no adapters"):
        load_neurolm(folder / "instruct")


def test_both_stages_on_a_language_model_of_transformers(micro_run, hub_settings, tmp_path):
    (tmp_path / "given").mkdir()
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "vocab_size": 280, "max_position_embeddings": 160}
    (tmp_path / "given" / "config.json").write_text(json.dumps(hub_settings("gemma3_text", **sizes)))
    config, given = with_backbone(micro_run.config, str(tmp_path / "given")), str(tmp_path / "given")
    stages = {name: replace(config.stage(name), steps=2, lora=LoraConfig(rank=2 if name in CHAIN else 0))
              for name in ("language", *CHAIN)}  # fmt: skip
    folder = micro_run.copy(tmp_path / "run", without=("language", *CHAIN, RESULTS, RUN))
    run = open_run(folder, config=replace(config, **stages), store=micro_run.store, device="cpu")
    train_language(run, texts=micro_run.texts, backbone=given)
    train_pretrain(run, texts=micro_run.texts)
    left: list[torch.nn.Module] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared, "whole_state", lambda module: left.append(module) or module.state_dict())
        train_instruct(run, texts=micro_run.texts)
    merge(left[0])
    loaded = load_neurolm(folder / "instruct")[0].state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in left[0].state_dict().items())
    assert (folder / "instruct" / ADAPTER).is_file() and (folder / "pretrain" / ADAPTER).is_file()


def test_what_the_base_learned_from_is_not_tested_on_either(micro_run, tmp_path):
    run = begun(micro_run, tmp_path / "run", steps=2, evidence=False)
    path = run.folder / "pretrain" / CONFIG
    card = json.loads(path.read_text())
    path.write_text(json.dumps(card | {"recordings": ["0123456789abcdef"], "corpora": ["others"], "licences": []}))
    train_instruct(run, texts=micro_run.texts)
    found, alone = load_card(run.folder / "instruct"), load_card(micro_run.folder / "instruct")
    assert found.recordings == tuple(sorted({*alone.recordings, "0123456789abcdef"}))
    assert found.corpora == ("micro", "others") and found.licences == alone.licences


def test_the_card_is_that_of_any_checkpoint(tuned):
    card = load_card(tuned[0] / "instruct", stage="instruct")
    assert card.run.instruct.lora == LoraConfig(rank=2) and [task.name for task in card.tasks] == ["events", "workload"]


@pytest.fixture(scope="module")
def jobs(describe, launch, tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("ranks")
    changes = {"steps": 4, "evaluate_every": 2, "save_every": 3, "eeg_batch": 4, "text_batch": 4, "samples_at_once": 2}
    changes |= {"lora": {"rank": 2}, "average": 0.5}

    def job(stage, world, **more):
        name = f"{stage}-{world}-{bool(more)}"
        return describe(folder / name, stage, world, double=True, changes=changes | more)

    keys = [("pretrain", 1, False), ("pretrain", 2, False), ("pretrain", 2, True), ("instruct", 1, False),
            ("instruct", 2, False)]  # fmt: skip
    described = {key: job(*key[:2], **({"shard": True} if key[2] else {})) for key in keys}
    return dict(zip(described, launch(list(described.values())), strict=True))


@pytest.mark.parametrize(("stage", "spread"), [("pretrain", False), ("pretrain", True), ("instruct", False)])
def test_two_processes_train_what_one_does(jobs, stage, spread):
    alone, both = jobs[stage, 1, False], jobs[stage, 2, spread]
    assert [outcome["error"] for outcome in both.outcomes] == [None] * 2, both.outcomes
    assert len({outcome["digest"] for outcome in both.outcomes}) == 1
    for name in ("loss", "gradient_norm", "text"):
        np.testing.assert_allclose(both.curve(name), alone.curve(name), rtol=1e-6, err_msg=name)
    assert alone.curve("loss")[-1] != alone.curve("loss")[0]
