"""The authors' files to our folders and back: the same bits, and nothing but whole files of this kind is taken."""

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import mne
import numpy as np
import pytest
import torch
from torch import Tensor

import neurolm
from neurolm.checkpoint import CONFIG, WEIGHTS, load_card, load_neurolm
from neurolm.cli import FAILED, main
from neurolm.core.config import LanguageConfig, ModelConfig, TokenizerConfig, TransformerConfig, to_json
from neurolm.core.errors import CheckpointError, TextError
from neurolm.core.recipes import recipe
from neurolm.model.gpt2 import GPT2, save_gpt2
from neurolm.model.neurolm import NeuroLM
from neurolm.official.convert import KEPT, from_official, to_official
from neurolm.official.file import read_official
from neurolm.official.verify.proof import Proof, recipe_weight
from neurolm.official.weights import Heads, neurolm_from_official, official_names, tokenizer_from_official
from neurolm.train.instruct import train_instruct
from neurolm.train.language import train_language
from neurolm.train.run import open_run

CONFIG_OF_SMALL = ModelConfig(
    tokenizer=TokenizerConfig(
        encoder=TransformerConfig(layers=2, heads=4, width=64), decoder=TransformerConfig(layers=1, heads=2, width=32)
    ),
    language=LanguageConfig(transformer=TransformerConfig(layers=2, heads=3, width=48, bias=True), positions=128),
)
"""Sizes that the authors' code can have, with a bridge and heads of other widths than theirs."""
HEADS = Heads(encoder=4, decoder=2, language=3)


def official_contents(config: ModelConfig) -> tuple[dict, dict]:
    """What the authors' two files would hold."""
    with torch.device("meta"):
        model = NeuroLM(config)
    own = model.state_dict()
    words = {
        official: recipe_weight(official, list(own[ours].shape)) for official, ours in official_names(model).items()
    }
    own = model.tokenizer.state_dict()
    neural = {}
    for official, ours in official_names(model.tokenizer).items():
        shape = list(own[ours].shape) or [1]
        neural[official] = recipe_weight(official, shape)
    for name, value in words.items():
        if name.startswith("tokenizer."):
            neural[name.replace("tokenizer.", "VQ.encoder.", 1)] = value
    for name, shape in {
        "wte.weight": [30, config.tokenizer.encoder.width],
        "VQ.quantize.embedding.cluster_size": [config.tokenizer.codes],
        "VQ.quantize.embedding.embed_avg": [config.tokenizer.codes, config.tokenizer.code_width],
    }.items():
        neural[name] = recipe_weight(name, shape)

    def arguments(transformer: TransformerConfig, **more: object) -> dict:
        return {"n_layer": transformer.layers, "n_head": transformer.heads, "n_embd": transformer.width,
                "bias": transformer.bias, "dropout": 0.0, **more}  # fmt: skip

    return (
        {
            "model": neural,
            "encoder_args": arguments(config.tokenizer.encoder, block_size=1024, in_chans=1, out_chans=16),
            "decoder_args": arguments(config.tokenizer.decoder, block_size=1024, in_chans=128),
            "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": np.float64(5e-5)}]},
            "iter_num": np.int64(77),
            "epoch": 3,
        },
        {
            "model": words,
            "model_args": arguments(config.language.transformer, block_size=128, vocab_size=50_304),
            "optimizer": {"state": {}, "param_groups": []},
            "iter_num": 1234,
            "epoch": 9,
        },
    )


@pytest.fixture(scope="module")
def contents() -> tuple[dict, dict]:
    return official_contents(CONFIG_OF_SMALL)


@pytest.fixture(scope="module")
def files(contents, tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("official")
    for content, name in zip(contents, ("VQ.pt", "NeuroLM-B.pt"), strict=True):
        torch.save(content, folder / name)
    return folder / "VQ.pt", folder / "NeuroLM-B.pt"


def same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    assert found.keys() == expected.keys()
    return all(found[k].dtype == v.dtype and torch.equal(found[k], v) for k, v in expected.items())


def test_round_trip_is_exact_to_the_bit(files, contents, tmp_path, shared, capsys) -> None:
    ours = tmp_path / "ours"
    assert main(["convert", "official", *map(str, files), "--out", str(ours), "--gpt2", str(shared / "gpt2")]) == 0
    out = capsys.readouterr().out
    assert "VQ.pt: " in out and "not needed: wte.weight" in out and "not converted: optimizer" in out
    assert sorted(f.name for f in ours.iterdir()) == ["README.md", CONFIG, WEIGHTS, KEPT, "tokenizer.json"]
    assert main(["convert", "to-official", str(ours), "--out", str(tmp_path / "back")]) == 0
    for name, content in zip(("VQ.pt", "NeuroLM.pt"), contents, strict=True):
        back = torch.load(tmp_path / "back" / name, weights_only=True)  # plain numbers, no NumPy
        assert same(back.pop("model"), content["model"])
        assert back == {k: v for k, v in content.items() if k not in ("model", "optimizer")}


def test_converted_folder_is_the_model_of_the_files(files, contents, tmp_path, shared) -> None:
    """Loaded as any checkpoint, against the states loaded directly."""
    from_official(*files, tmp_path, gpt2=shared / "gpt2", padded_to=24)
    model, card, text = load_neurolm(tmp_path, stage="pretrain")
    assert model.config == replace(CONFIG_OF_SMALL, tokenizer=replace(CONFIG_OF_SMALL.tokenizer, padded_to=24))
    assert text.size == model.config.language.text_tokens == 50_257
    neural, words = contents
    expected = neurolm_from_official(words["model"], neural["model"], heads=HEADS).state_dict()
    assert same(model.state_dict(), expected)
    assert bool(model.tokenizer.quantizer.initialised)
    assert (card.steps, card.run.recipe, card.band, card.subjects, card.electrodes) == (
        1234, "official", (0.1, 75.0), (), (),
    )  # fmt: skip
    assert "not recorded" in card.corpora[0]
    readme = (tmp_path / "README.md").read_text()
    assert "Converted from `VQ.pt` and `NeuroLM-B.pt`" in readme and str(files[0].parent) not in readme


def test_golden_sizes_round_trip(shared, tmp_path) -> None:
    """The proof's own weights; its two files have different encoders, so that of the language model is taken."""
    proof = Proof(folder=shared / "official" / "golden")
    words, neural = proof.language_state, dict(proof.tokenizer_state)
    neural |= {k.replace("tokenizer.", "VQ.encoder.", 1): v for k, v in words.items() if k.startswith("tokenizer.")}
    torch.save({"model": {f"_orig_mod.{k}": v for k, v in neural.items()}}, tmp_path / "VQ.pt")
    torch.save({"model": {f"_orig_mod.{k}": v for k, v in words.items()}}, tmp_path / "NeuroLM.pt")
    from_official(tmp_path / "VQ.pt", tmp_path / "NeuroLM.pt", tmp_path / "ours")
    (tmp_path / "VQ.pt").unlink(), (tmp_path / "NeuroLM.pt").unlink()
    to_official(tmp_path / "ours", tmp_path)
    for name, expected in (("VQ.pt", neural), ("NeuroLM.pt", words)):
        content = torch.load(tmp_path / name, weights_only=True, mmap=True)
        assert same(content["model"], expected)
    assert content["model_args"]["n_head"] == 12 and content["model_args"]["vocab_size"] == 50_304


def test_converted_weights_can_be_tuned(
    files, micro_config, micro_store, micro_texts, shared, rhythm, tmp_path
) -> None:
    """As the README says: language, the converted folder in place of pretraining, then instruction tuning."""
    model = replace(CONFIG_OF_SMALL, tokenizer=replace(CONFIG_OF_SMALL.tokenizer, padded_to=24))
    config = replace(micro_config, recipe="small", model=model, instruct=replace(micro_config.instruct, steps=2))
    torch.manual_seed(0)
    save_gpt2(tmp_path / "gpt2", GPT2(model.language))
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / "gpt2" / name).write_bytes((shared / "gpt2" / name).read_bytes())
    run = open_run(tmp_path / "run", config=config, store=micro_store, tasks=["workload"], device="cpu")
    train_language(run, texts=micro_texts, gpt2=str(tmp_path / "gpt2"))
    from_official(*files, run.folder / "pretrain", gpt2=tmp_path / "gpt2", padded_to=24)
    train_instruct(run, texts=micro_texts)
    before, after = (load_neurolm(run.folder / stage)[0].state_dict() for stage in ("pretrain", "instruct"))
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"bridge", "channel_embedding", "head", "language"}
    assert neurolm.load(run.folder).questions == ("Is this EEG segment of high workload?",)
    # Evidence is fitted beside them as beside any model, and is told not to come along on the way back.
    assert neurolm.load(run.folder).evidence is None
    assert main(["calibrate", str(run.folder), "--store", str(micro_store), "--evidence", "fit"]) == 0
    signal = rhythm("Yes", 10, 2, (1,)).T * 1e-6
    raw = mne.io.RawArray(signal, mne.create_info(["C3", "O1"], 200, "eeg"), verbose="error")
    assert neurolm.load(run.folder).ask(raw, "Is this EEG segment of high workload?").contributions.evidence
    (note,) = [note for note in to_official(run.folder / "instruct", tmp_path / "back").notes if "evidence" in note]
    assert "calibration.json, training_range.json, evidence.json, evidence.safetensors: not carried over" in note
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == ["NeuroLM.pt", "VQ.pt"]


@pytest.mark.parametrize(
    ("part", "setting", "value"),
    [("tokenizer", "spectral", True), ("tokenizer", "spectrum", "log"), (None, "feature_scale", 0.1)],
)
def test_what_the_authors_code_does_not_know_is_refused(files, tmp_path, part, setting, value) -> None:
    from_official(*files, tmp_path / "ours")
    card = json.loads((tmp_path / "ours" / CONFIG).read_text())
    model = card["run"]["model"]
    (model[part] if part else model)[setting] = value
    (tmp_path / "ours" / CONFIG).write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match=f"cannot hold this model: {setting} is {value}"):
        to_official(tmp_path / "ours", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_models_trained_here_are_written_for_the_authors_code(files, tmp_path) -> None:
    from_official(*files, tmp_path / "ours")
    (tmp_path / "ours" / KEPT).unlink()
    done = to_official(tmp_path / "ours", tmp_path / "back")
    assert "no wte.weight" in done.notes[0]
    content = torch.load(tmp_path / "back" / "VQ.pt", weights_only=True)
    assert tokenizer_from_official(content["model"], heads=HEADS).config == CONFIG_OF_SMALL.tokenizer
    assert content["encoder_args"] == {
        "n_layer": 2, "n_head": 4, "n_embd": 64, "bias": False, "dropout": 0.0, "block_size": 1024, "num_classes": 0,
        "in_chans": 1, "out_chans": 16,
    }  # fmt: skip
    assert content["decoder_args"]["in_chans"] == 128


@pytest.mark.parametrize("name", ["base", "large", "xl"])
def test_the_papers_sizes_are_recognised(name) -> None:
    from neurolm.official.convert import _recipe_of

    model = recipe(name).model
    assert _recipe_of(replace(model, tokenizer=replace(model.tokenizer, padded_to=1024))) == name
    assert _recipe_of(CONFIG_OF_SMALL) == "official"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("nowhere", r"VQ\.pt: no such file; give a path, or hf://Weibang/NeuroLM/VQ\.pt"),
        ("truncated", r"VQ\.pt: not a whole PyTorch file"),
        ("text", r"VQ\.pt: not a whole PyTorch file"),
        ("code", r"VQ\.pt: not a whole PyTorch file"),
        ("list", r"VQ\.pt: not a NeuroLM file: expected an entry 'model' of tensors, found list"),
        ("state", r"VQ\.pt: not a NeuroLM file: .* found VQ\."),
        ("foreign", r"VQ\.pt: has no tensors named VQ\.…: found other tensors"),
        ("swapped", r"VQ\.pt: has no tensors named VQ\.…: give the tokenizer's file \(VQ\.pt\) first"),
        ("patch", r"l\.0\.weight has shape \(64, 512\), expected \(64, 400\).*patches of about 256 samples.*200"),
        ("missing", r"VQ\.pt, .*official tokenizer: 1 tensors are missing \(VQ\.quantize\.cluster_size\)"),
        ("extra", r"1 are unknown \(VQ\.encoder\.rotary\)"),
        ("shape", r"domain_classifier\.2\.bias has shape \(3,\), expected \(2,\)"),
        ("integers", r"domain_classifier\.2\.bias holds torch\.int64"),
        ("layers", r"VQ\.pt: encoder_args\.n_layer is 12, but its tensors have 2"),
        ("heads", r"VQ\.pt: encoder_args\.n_head is 'four', expected a number"),
        ("divisible", r"width 64 is not a multiple of heads 5"),
        ("encoder", r"tokenizer and language model do not belong together"),
    ],
)
def test_wrong_files_are_refused(contents, files, tmp_path, change, message, capsys) -> None:
    neural, path, out = dict(contents[0]), tmp_path / "VQ.pt", tmp_path / "out"
    tensors = neural["model"] = dict(neural["model"])
    linear = "VQ.encoder.patch_embed.l.0.weight"
    content: object = neural
    if change == "list":
        content = [1, 2]
    elif change == "state":
        content = tensors
    elif change == "foreign":
        content = {"model": {"conv1.weight": torch.zeros(2, 2)}}
    elif change == "swapped":
        content = contents[1]
    elif change == "patch":
        tensors[linear] = torch.zeros(64, 512)
    elif change == "missing":
        del tensors["VQ.quantize.cluster_size"]
    elif change == "extra":
        tensors["VQ.encoder.rotary"] = torch.zeros(1)
    elif change == "shape":
        tensors["domain_classifier.2.bias"] = torch.zeros(3)
    elif change == "integers":
        tensors["domain_classifier.2.bias"] = torch.zeros(2, dtype=torch.int64)
    elif change in ("layers", "heads", "divisible"):
        name, value = {"layers": ("n_layer", 12), "heads": ("n_head", "four"), "divisible": ("n_head", 5)}[change]
        neural["encoder_args"] = neural["encoder_args"] | {name: value}
    elif change == "encoder":
        tensors[linear] = tensors[linear] + 1
    if change == "truncated":
        path.write_bytes(files[0].read_bytes()[:100_000])
    elif change == "text":
        path.write_text("<!doctype html>")
    elif change == "code":
        path.write_bytes(pickle.dumps(Path("x")))
    elif change != "nowhere":
        torch.save(content, path)
    assert main(["convert", "official", str(path), str(files[1]), "--out", str(out)]) == FAILED
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1
    with pytest.raises(CheckpointError, match=message):
        from_official(path, files[1], out)
    assert not out.exists()


def test_a_pickle_that_runs_code_is_not_run(tmp_path) -> None:
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "exploded",))

    torch.save({"model": {"VQ.x": Bomb()}}, tmp_path / "VQ.pt")
    with pytest.raises(CheckpointError, match="holds more than tensors and numbers, so it is not loaded"):
        read_official(tmp_path / "VQ.pt", prefix="VQ.")
    assert not (tmp_path / "exploded").exists()


def test_files_on_the_hub(files, tmp_path, monkeypatch) -> None:
    asked = []

    def download(repository, *, revision, allow_patterns):
        (file,) = allow_patterns
        asked.append((repository, file, revision))
        (tmp_path / file).parent.mkdir(exist_ok=True)
        shutil.copy(files[0] if file.endswith("VQ.pt") else files[1], tmp_path / file)
        return str(tmp_path)

    monkeypatch.chdir(tmp_path)
    (tmp_path / "Weibang" / "NeuroLM").mkdir(parents=True)  # not meant
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    from_official("hf://Weibang/NeuroLM/VQ.pt", "hf://Weibang/NeuroLM@main/checkpoints/NeuroLM-B.pt", tmp_path / "out")
    assert asked == [("Weibang/NeuroLM", "VQ.pt", None), ("Weibang/NeuroLM", "checkpoints/NeuroLM-B.pt", "main")]
    assert "`hf://Weibang/NeuroLM/VQ.pt`" in (tmp_path / "out" / "README.md").read_text()

    def unreachable(*_, **__):
        raise ConnectionError("no route to host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    with pytest.raises(
        CheckpointError, match=r"hf://a/b: the .*ConnectionError: no route.*network, or download VQ\.pt"
    ):
        read_official("hf://a/b/VQ.pt", prefix="VQ.")
    with pytest.raises(CheckpointError, match=r"hf://VQ\.pt: not a file on the hub; write hf://"):
        read_official("hf://VQ.pt", prefix="VQ.")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["official", "VQ.pt", "--out", "x"], "LANGUAGE is missing: the file NeuroLM-B.pt"),
        (["to-official", "a", "b", "--out", "x"], "unrecognized arguments: b"),
        (["official", "VQ.pt", "NeuroLM-B.pt"], "--out is missing"),
        (["from", "VQ.pt", "NeuroLM-B.pt"], "official"),
        (["official", "VQ.pt", "B.pt", "--out", "x", "--padded_to", "-1"], "padded_to must be"),
        (["to-official", "nowhere", "--out", "x"], "no complete checkpoint"),
    ],
)
def test_wrong_commands(capsys, words, message) -> None:
    assert main(["convert", *words]) == FAILED
    assert message in capsys.readouterr().err


def test_a_folder_without_gpt2_says_so(files, tmp_path) -> None:
    done = from_official(*files, tmp_path)
    assert any("cannot read text" in note for note in done.notes)
    with pytest.raises(TextError, match=r"tokenizer\.json"):
        load_neurolm(tmp_path)


def test_what_the_authors_code_cannot_hold_is_refused(files, micro_run, tmp_path) -> None:
    with pytest.raises(CheckpointError, match=r"code_width is 4, there 128; codes is 16, there 8192; .*text_tokens"):
        to_official(micro_run.folder / "instruct", tmp_path / "back")
    with pytest.raises(CheckpointError, match=r"made by stage 'tokenizer'; give the folder of pretrain or instruct"):
        to_official(micro_run.folder / "tokenizer", tmp_path / "back")
    from_official(*files, tmp_path / "ours")
    card = load_card(tmp_path / "ours")
    causal = replace(card.run.model, tokenizer=replace(card.run.model.tokenizer, attention="stair-step"))
    (tmp_path / "ours" / CONFIG).write_text(to_json(replace(card, run=replace(card.run, model=causal))))
    with pytest.raises(CheckpointError, match="attention is stair-step, there full"):
        to_official(tmp_path / "ours", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_damaged_folders_are_refused(files, tmp_path) -> None:
    from_official(*files, tmp_path / "ours")
    (tmp_path / "ours" / KEPT).write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"official\.safetensors: cannot be read"):
        to_official(tmp_path / "ours", tmp_path / "back")
    (tmp_path / "ours" / KEPT).unlink()
    config = json.loads((tmp_path / "ours" / CONFIG).read_text())
    config["run"]["model"]["language"]["positions"] = 64
    (tmp_path / "ours" / CONFIG).write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"does not fit its config\.json; first of 1 differences: language\.wpe"):
        to_official(tmp_path / "ours", tmp_path / "back")
    (tmp_path / "ours" / WEIGHTS).write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"model\.safetensors: cannot be read"):
        to_official(tmp_path / "ours", tmp_path / "back")
