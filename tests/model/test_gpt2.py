"""Our GPT-2 against transformers', and the files they share."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from neurolm.core.batch import NO_PATCH, NO_TARGET, PADDING, Tokens
from neurolm.core.config import LanguageConfig, TransformerConfig
from neurolm.core.errors import CheckpointError
from neurolm.model.attention import visibility
from neurolm.model.gpt2 import GPT2, load_gpt2, save_gpt2

CONFIG = LanguageConfig(
    transformer=TransformerConfig(layers=2, heads=3, width=24, bias=True), positions=16, text_tokens=50
)


@pytest.fixture
def theirs():
    """A random GPT2LMHeadModel."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    settings = GPT2Config(
        vocab_size=50,
        n_positions=16,
        n_embd=24,
        n_layer=2,
        n_head=3,
        activation_function="gelu",
        attn_implementation="sdpa",
        initializer_range=0.3,
        bos_token_id=49,
        eos_token_id=49,
    )
    return GPT2LMHeadModel(settings).eval()


def tokens_of(text: torch.Tensor) -> Tokens:
    along = torch.arange(text.shape[1]).expand_as(text)
    nothing = torch.full_like(text, NO_PATCH)
    target = torch.cat((text[:, 1:], torch.full_like(text[:, :1], NO_TARGET)), 1)
    document = torch.zeros_like(text)
    return Tokens(
        document=document, step=along, position=along, text=text, patch=nothing, target=target, target_patch=nothing
    )


def assert_equal_outputs(ours: GPT2, theirs) -> None:
    text = torch.randint(50, (3, 11), generator=torch.Generator().manual_seed(2))
    tokens = tokens_of(text)
    with torch.no_grad():
        hidden = ours(ours.words(text), tokens.position, visibility(tokens.document, tokens.step))
        logits = hidden @ ours.wte.weight[:50].T
        expected = theirs(text, labels=text)
        loss, count = ours.text_loss(tokens)
    torch.testing.assert_close(logits, expected.logits, rtol=1e-5, atol=1e-5)
    assert int(count) == 30
    torch.testing.assert_close(loss / count, expected.loss, rtol=1e-5, atol=1e-5)


def test_loads_what_transformers_saves(theirs, tmp_path: Path) -> None:
    theirs.save_pretrained(tmp_path)
    config, state = load_gpt2(tmp_path)
    assert config == CONFIG
    ours = GPT2(config).eval()
    ours.load_state_dict(state)
    assert_equal_outputs(ours, theirs)


def test_transformers_loads_what_we_save(tmp_path: Path) -> None:
    """Rows beyond the text tokens are ours alone."""
    from transformers import GPT2LMHeadModel

    torch.manual_seed(0)
    ours = GPT2(CONFIG, rows=64).eval()
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    save_gpt2(tmp_path, ours)
    theirs, report = GPT2LMHeadModel.from_pretrained(tmp_path, attn_implementation="sdpa", output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
    assert_equal_outputs(ours, theirs.eval())
    assert theirs.config.activation_function == "gelu"


def test_old_layouts(theirs, tmp_path: Path) -> None:
    """The hub's own gpt2: no prefix, mask buffers, a tied head; and pickled weights."""
    theirs.save_pretrained(tmp_path)
    expected = load_gpt2(tmp_path)[1]
    state = {k.removeprefix("transformer."): v for k, v in load_file(tmp_path / "model.safetensors").items()}
    state |= {f"h.{i}.attn.bias": torch.ones(1, 1, 16, 16).tril() for i in range(2)}
    state["lm_head.weight"] = state["wte.weight"].clone()
    save_file(state, tmp_path / "model.safetensors")
    assert all(torch.equal(load_gpt2(tmp_path)[1][k], v) for k, v in expected.items())
    (tmp_path / "model.safetensors").unlink()
    torch.save(
        {f"transformer.{k}": v for k, v in state.items() if k != "lm_head.weight"}, tmp_path / "pytorch_model.bin"
    )
    assert all(torch.equal(load_gpt2(str(tmp_path))[1][k], v) for k, v in expected.items())


def test_initial_loss_is_that_of_guessing() -> None:
    torch.manual_seed(0)
    text = torch.randint(50, (8, 16))
    loss, count = GPT2(CONFIG).text_loss(tokens_of(text))
    assert float(loss.detach() / count) == pytest.approx(3.912, abs=0.05)  # ln 50


def test_padding_has_no_loss() -> None:
    torch.manual_seed(0)
    model = GPT2(CONFIG)
    tokens = tokens_of(torch.randint(50, (2, 6)))
    wide = {k: torch.nn.functional.pad(getattr(tokens, k), (0, 3)) for k in Tokens.__dataclass_fields__}
    wide["document"][:, 6:], wide["target"][:, 6:] = PADDING, NO_TARGET
    for found, expected in zip(model.text_loss(Tokens(**wide)), model.text_loss(tokens), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("no config", "config.json: cannot be read"),
        ("broken config", "not valid JSON"),
        ("no weights", "found no weights"),
        ("broken weights", "cannot be read as weights"),
        ("other model", "model_type is 'llama'"),
        ("other shape", r"ln_f.bias has shape \(24,\), expected \(48,\)"),
        ("other inner width", "n_inner is 7"),
        ("missing", "ln_f.bias has shape None"),
    ],
)
def test_files_that_are_no_gpt2(tmp_path: Path, change: str, message: str) -> None:
    save_gpt2(tmp_path, GPT2(CONFIG))
    path, weights = tmp_path / "config.json", tmp_path / "model.safetensors"
    settings = json.loads(path.read_text())
    if change == "no config":
        path.unlink()
    elif change == "broken config":
        path.write_text("{")
    elif change == "no weights":
        weights.unlink()
    elif change == "broken weights":
        weights.write_bytes(weights.read_bytes()[:100])
    elif change == "other model":
        path.write_text(json.dumps(settings | {"model_type": "llama"}))
    elif change == "other shape":
        path.write_text(json.dumps(settings | {"n_embd": 48}))
    elif change == "other inner width":
        path.write_text(json.dumps(settings | {"n_inner": 7}))
    else:
        state = load_file(weights)
        del state["transformer.ln_f.bias"]
        save_file(state, weights)
    with pytest.raises(CheckpointError, match=message):
        load_gpt2(tmp_path)


def test_missing_folder_and_unreachable_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        load_gpt2(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="no such folder"):
        load_gpt2("./nowhere/at/all")

    def unreachable(*_: object, **__: object) -> str:
        raise ConnectionError("no route to host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    with pytest.raises(CheckpointError, match=r"gpt2-medium: no such folder.*ConnectionError.*network"):
        load_gpt2("gpt2-medium")
