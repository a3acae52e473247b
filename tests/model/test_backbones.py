"""Language models of the hub in GPT-2's place: GPT-2 by both routes, and for every family who sees whom, and the cache.

Windows of two places, layers without rotation and keys shared by heads are in the configurations: were any of the
library's own masks used, what is seen here would be another.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from neurolm.ask.engine import generate, read_on, read_prefix, score_after, score_options
from neurolm.batches.loader import Document, build_batch, build_patches
from neurolm.core.backbones import read_settings, sizes
from neurolm.core.config import LanguageConfig, LoraConfig, TransformerConfig, to_json
from neurolm.core.decode import load_json
from neurolm.core.errors import CheckpointError, ConfigError
from neurolm.model.adapters import adapt, merge, own
from neurolm.model.attention import Visibility
from neurolm.model.backbone import Backbone, blocks, new_language
from neurolm.model.gpt2 import save_gpt2
from neurolm.model.hub_model import normalised
from neurolm.model.hub_weights import load_language
from neurolm.model.neurolm import NeuroLM
from neurolm.model.precision import keep_in_bfloat16
from neurolm.model.transformer import Cache, set_checkpointing
from neurolm.train.backbone import open_backbone
from neurolm.train.flops import attention_size, text_flops

FAMILIES = ("gpt2", "llama", "qwen3", "smollm3", "gemma3_text")
OPTIONS = [[5], [6, 7, 69], [8, 9, 10, 69], [6, 7, 11]]
QUESTION = (70, 1, 2, 3)


@pytest.fixture(params=FAMILIES)
def family(request) -> str:
    return request.param


@pytest.fixture
def with_language(config, hub_language):
    """The function that returns the whole model's sizes with a language model of a family."""
    return lambda family, **changes: replace(config, language=hub_language(family, **changes))


def lively(module: torch.nn.Module) -> None:
    """Large weights, so that nothing vanishes in the rounding."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim > 1:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)


@pytest.fixture
def model(with_language, family) -> NeuroLM:
    """Of each family, in evaluation mode."""
    return made(with_language(family))


def made(config) -> NeuroLM:
    torch.manual_seed(0)
    model = NeuroLM(config)
    lively(model)
    model.tokenizer.quantizer.initialise(torch.randn(100, 8), torch.Generator().manual_seed(0))
    return model.eval()


def documents(samples, **changes):
    return [Document(sample=i, text=(*QUESTION, 4, 5), **changes) for i in range(len(samples))]


# --- GPT-2 by both routes ---


@pytest.fixture
def routes(config, with_language, tmp_path) -> tuple[NeuroLM, NeuroLM]:
    """Our own GPT-2, and the same weights, exported by ``save_gpt2``, in the library's."""
    theirs = with_language("gpt2")
    shape = replace(theirs.language.transformer, bias=True)
    own = made(replace(config, language=replace(theirs.language, transformer=shape, backbone="gpt2")))
    save_gpt2(tmp_path, own.language)
    other = made(theirs)
    other.language.take(load_language(tmp_path, theirs.language))
    rest = {name: value for name, value in own.state_dict().items() if not name.startswith("language.")}
    assert not other.load_state_dict(rest, strict=False).unexpected_keys
    with torch.no_grad():  # the separator's row, which is no text token, is in no file of GPT-2
        other.language.model.wte.weight.copy_(own.language.wte.weight)
    return own, other


def test_gpt2_gives_the_same_numbers_by_both_routes(routes, samples):
    own, other = routes
    packed = build_batch(samples, [*documents(samples, predict_eeg=True), Document(text=[5, 6, 7, 8])])
    with torch.no_grad():
        torch.testing.assert_close(other(packed), own(packed), rtol=1e-5, atol=1e-5)
    found, expected = (
        {name: float(value.detach()) for name, value in vars(model.loss(packed, softmax="joint")).items()}
        for model in (other, own)
    )
    assert found == pytest.approx(expected, rel=1e-5) and expected["eeg_count"] > 0
    alone = build_batch(samples, documents(samples), packed=False)
    scores = [score_options(model, alone, OPTIONS) for model in (other, own)]
    torch.testing.assert_close(*scores, rtol=1e-5, atol=1e-5)
    assert generate(other, alone, max_tokens=5) == generate(own, alone, max_tokens=5)


def test_gpt2_has_the_same_gradients_by_both_routes(routes, samples):
    own, other = routes
    packed = build_batch(samples, documents(samples, predict_eeg=True))
    for model in routes:
        losses = model.train().loss(packed)
        (losses.eeg + losses.text).backward()
    torch.testing.assert_close(other.channel_embedding.weight.grad, own.channel_embedding.weight.grad)
    theirs, ours = other.language.model.h[1].mlp.c_fc, own.language.transformer.blocks[1].mlp.c_fc
    torch.testing.assert_close(theirs.weight.grad.T, ours.weight.grad)


# --- who sees whom ---


def test_a_place_sees_its_own_document_up_to_its_own_step_and_nothing_else(hub_language, family):
    torch.manual_seed(0)
    model = Backbone(hub_language(family)).eval()
    lively(model)
    document = torch.tensor([[0, 0, 0, 0, 0, 0, 0, 1, 1, -1]])
    step = torch.tensor([[0, 0, 1, 1, 2, 2, 3, 0, 1, 0]])
    vectors = torch.randn(1, 10, 24, requires_grad=True)
    hidden = model(vectors, step, Visibility(document, step))
    expected = Visibility(document, step).mask[0, 0]
    for place in range(9):
        (gradient,) = torch.autograd.grad(hidden[0, place] @ torch.arange(24.0), vectors, retain_graph=True)
        seen = gradient[0].abs().sum(-1) > 0
        assert seen[:9].tolist() == expected[place, :9].tolist(), (family, place)


def test_what_follows_or_stands_beside_changes_nothing(model, samples):
    """The same, through the whole model: another last word, other documents in the row, documents taken apart."""
    alone = [build_batch([sample], [Document(sample=0, text=(*QUESTION, 4, 5))]) for sample in samples]
    packed = build_batch(samples, documents(samples))
    with torch.no_grad():
        together, tokens = model(packed), packed.tokens
        for i, batch in enumerate(alone):
            own = model(batch)[0]
            changed = replace(batch.tokens, text=batch.tokens.text.clone())
            changed.text[0, -1] = 9
            other = model(replace(batch, tokens=changed))[0]
            assert torch.equal(other[:-1], own[:-1]) and not torch.equal(other[-1], own[-1])
            row, place = (tokens.patch == build_patches(samples)[1][i]).nonzero()[0].tolist()
            number = tokens.document[row, place]
            torch.testing.assert_close(together[row][tokens.document[row] == number], own, rtol=1e-4, atol=1e-4)
        seen = Visibility(tokens.document, tokens.step)
        vectors = model.embed(tokens, packed.patches, model.features(packed.patches))
        apart = seen._apart
        row = model.language._run(apart.take(vectors), apart.take(tokens.position), apart.masking, None)
        real = tokens.document != -1
        torch.testing.assert_close(apart.put(row, vectors)[real], together[real], rtol=1e-4, atol=1e-4)


def test_options_are_scored_as_a_full_recomputation_would(model, samples):
    batch = build_batch(samples, documents(samples), packed=False)
    found = score_options(model, batch, OPTIONS)
    for i, sample in enumerate(samples):
        for j, option in enumerate(OPTIONS):
            text = (*QUESTION, 4, 5, *option)
            with torch.no_grad():
                hidden = model(build_batch([sample], [Document(sample=0, text=text)]))[0, -len(text) :]
            after = (hidden @ model.text_rows.T).log_softmax(-1)[5:-1]
            expected = after.gather(1, torch.tensor(option)[:, None]).sum()
            torch.testing.assert_close(found[i, j], expected, rtol=1e-4, atol=1e-4)
    turned = build_batch(samples[::-1], documents(samples), packed=False)
    torch.testing.assert_close(score_options(model, turned, OPTIONS).flip(0), found, rtol=1e-4, atol=1e-4)


def test_a_forked_cache_goes_on_and_the_other_stays_as_it_is(model, samples):
    with torch.no_grad():
        eeg = read_prefix(model, build_batch(samples, [Document(sample=i) for i in range(4)], packed=False))
        kept = [(layer.keys.clone(), layer.values.clone()) for layer in eeg.cache.layers]
        asked = score_after(model, read_on(model, eeg, (*QUESTION, 4, 5)), OPTIONS)
        other = score_after(model, read_on(model, eeg, (*QUESTION, 9)), OPTIONS)
        again = score_after(model, read_on(model, eeg, (*QUESTION, 4, 5)), OPTIONS)
    assert torch.equal(asked, again) and not torch.equal(asked, other)
    assert all(torch.equal(a, k) and torch.equal(b, v) for (a, b), (k, v) in zip(kept, eeg.cache.layers, strict=True))
    whole = score_options(model, build_batch(samples, documents(samples), packed=False), OPTIONS)
    torch.testing.assert_close(asked, whole, rtol=1e-4, atol=1e-4)


def test_without_our_rule_attention_is_refused_and_never_leaks(hub_language, family):
    model = Backbone(hub_language(family)).eval()
    assert model.model.config._attn_implementation == "neurolm"
    with pytest.raises(TypeError, match="masking"):
        model.model(inputs_embeds=torch.zeros(1, 3, 24))
    with pytest.raises(AssertionError):
        model.model(inputs_embeds=torch.zeros(1, 3, 24), attention_mask=torch.ones(1, 1, 3, 3), masking=None)


# --- what the model is made of ---


def test_words_enter_at_the_scale_by_which_eeg_is_multiplied(model):
    ids = torch.tensor([[3, 4]])
    rows = model.language.get_parameter(model.language.WORDS)[ids]
    torch.testing.assert_close(model.language.words(ids), rows * model.language.input_scale)
    assert (model.language.input_scale == pytest.approx(24**0.5)) == (model.language.config.family == "gemma3_text")


@pytest.mark.parametrize("tied", [True, False])
def test_the_head_begins_as_what_writes_text_in_the_model(with_language, tied):
    config = with_language("llama", tie_word_embeddings=tied)
    given = new_language(config.language, output=True)
    lively(given)
    model = NeuroLM(config)
    model.initialise_language(given.state_dict())
    words, written = given.get_parameter(given.WORDS), given.output_rows
    assert torch.equal(written, words) == tied
    assert torch.equal(model.text_rows, written) and torch.equal(model.language.words(torch.arange(70)), words)
    assert not any("lm_head" in name for name in model.state_dict())
    with pytest.raises(CheckpointError, match=r"Llama weights do not fit this recipe"):
        state = given.state_dict() | {"model.norm.weight": torch.zeros(7)}
        model.initialise_language(state)


def test_checkpointing_changes_no_gradient(with_language, family, samples):
    packed, gradients = build_batch(samples, documents(samples, predict_eeg=True)), []
    for on in (False, True):
        model = made(with_language(family)).train()
        set_checkpointing(model, on)
        ran = []
        next(iter(blocks(model.language))).register_forward_hook(lambda *_, ran=ran: ran.append(1))
        losses = model.loss(packed)
        (losses.eeg + losses.text).backward()
        gradients.append([p.grad for p in model.parameters() if p.requires_grad])
        assert all(gradient is not None for gradient in gradients[-1])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_blocks_in_bfloat16_answer_nearly_the_same(with_language, family, samples):
    model = made(with_language(family))
    batch = build_batch(samples, documents(samples), packed=False)
    with torch.no_grad():
        for parameter in model.language.parameters():
            parameter.mul_(0.3 if parameter.ndim > 1 else 1.0)
        expected = score_options(model, batch, OPTIONS)
        keep_in_bfloat16(model)
        found = score_options(model, batch, OPTIONS)
    kept = {part.weight.dtype for block in blocks(model.language) for part in block.modules()
            if isinstance(part, torch.nn.Linear)}  # fmt: skip
    assert kept == (set() if family == "gpt2" else {torch.bfloat16})
    assert (found - expected).abs().max() < 0.1 * expected.abs().mean()


@pytest.mark.parametrize("family", FAMILIES[1:])
def test_operations_are_those_of_the_matrices_of_the_blocks(hub_language, family):
    config = hub_language(family)
    model = Backbone(config)
    matrices = sum(p.numel() for block in blocks(model) for p in block.parameters() if p.ndim == 2)
    assert matrices == sizes(read_settings(config.backbone)).block_weights * config.transformer.layers
    tokens = build_batch([], [Document(text=range(10))]).tokens
    pairs = attention_size(tokens.document, tokens.step).pairs
    heads = next(iter(blocks(model))).self_attn.q_proj.weight.shape[0]
    expected = 6 * 10 * matrices + 2 * 6 * pairs * heads * config.transformer.layers + 6 * 9 * 24 * 70
    assert pairs == 55 and text_flops(config, tokens) == expected


LLAMA3 = {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192,
          "rope_type": "llama3"}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "weights"),
    [
        ({"model_type": "qwen3", "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28,
          "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 40960,
          "rope_scaling": None, "rope_theta": 1000000, "sliding_window": None, "use_sliding_window": False,
          "max_window_layers": 28, "eos_token_id": 151645, "torch_dtype": "bfloat16", "tie_word_embeddings": True,
          "vocab_size": 151936}, 596_049_920),
        ({"model_type": "llama", "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
          "num_attention_heads": 9, "num_key_value_heads": 3, "max_position_embeddings": 8192, "rope_theta": 100000,
          "rope_interleaved": False, "is_llama_config": True, "rope_scaling": None, "tie_word_embeddings": True,
          "vocab_size": 49152}, 134_515_008),
        ({"model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
          "head_dim": 64, "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 131072,
          "rope_scaling": LLAMA3, "rope_theta": 500000.0, "pretraining_tp": 1, "tie_word_embeddings": True,
          "vocab_size": 128256}, 1_235_814_400),
        ({"model_type": "gemma3_text", "hidden_size": 640, "intermediate_size": 2048, "num_hidden_layers": 18,
          "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256, "max_position_embeddings": 32768,
          "rope_local_base_freq": 10000.0, "rope_theta": 1000000.0, "rope_scaling": None, "sliding_window": 512,
          "_sliding_window_pattern": 6, "attn_logit_softcapping": None, "final_logit_softcapping": None,
          "query_pre_attn_scalar": 256, "hidden_activation": "gelu_pytorch_tanh", "use_bidirectional_attention": False,
          "pad_token_id": 0, "vocab_size": 262144}, 268_098_176),
    ],
    ids=["Qwen3-0.6B", "SmolLM2-135M", "Llama-3.2-1B", "gemma-3-270m"],
)  # fmt: skip
def test_models_of_the_hub_have_as_many_weights_as_their_pages_say(changes, weights):
    text = normalised(changes, "config.json")
    known = sizes(read_settings(text))
    shape = TransformerConfig(layers=known.layers, heads=known.heads, width=known.width)
    config = LanguageConfig(
        transformer=shape, positions=known.positions, text_tokens=changes["vocab_size"], backbone=text
    )
    with torch.device("meta"):
        model = new_language(config, output=True)
    assert sum(p.numel() for p in model.parameters()) == weights
    rope = model.model.config.rope_parameters
    assert (rope["full_attention"] if config.family == "gemma3_text" else rope)["rope_theta"] == changes["rope_theta"]


# --- a stranger's configuration ---


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "mamba"}, "model_type 'mamba': no backbone"),
        ({"model_type": ["llama"]}, "no backbone"),
        ({"num_hidden_layers": 10**6}, "num_hidden_layers must be a whole number from 1 to 200"),
        ({"hidden_size": 2**40}, "hidden_size: 1099511627776 is no value of a model"),
        ({"intermediate_size": 0}, "intermediate_size must be a whole number from 1"),
        ({"num_attention_heads": "4"}, "num_attention_heads must be a whole number"),
        ({"num_hidden_layers": True}, "num_hidden_layers must be a whole number from 1 to 200, not True"),
        ({"initializer_range": "x"}, "initializer_range must be a number from 0 on, as 0.02, not x"),
        ({"initializer_range": [1]}, r"initializer_range must be a number from 0 on, as 0.02, not \[1\]"),
        ({"initializer_range": True}, "initializer_range must be a number from 0 on, as 0.02, not True"),
        ({"final_logit_softcapping": 30.0}, "soft cap cannot be computed here"),
        ({"quantization_config": {"load_in_4bit": True}}, "quantised weights"),
        ({"layer_types": ["full_attention"] * 10**5}, "layer_types: 100,000 entries"),
        ({"rope_parameters": {"rope_type": "x" * 10**5}}, "a text of 100,000 characters"),
        ({"hidden_act": "__import__('os').system('true')"}, "transformers cannot build it"),
        ({"num_key_value_heads": 3}, "."),
    ],
)
def test_configurations_that_no_model_has_are_refused(hub_language, changes, message):
    with pytest.raises((ConfigError, CheckpointError), match=message):
        Backbone(hub_language("llama", **changes))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((name, None) for name in ("num_hidden_layers", "num_attention_heads", "hidden_size", "intermediate_size",
                                    "max_position_embeddings", "initializer_range")),
        ("hidden_size", True), ("n_layer", 10**6), ("initializer_range", -1.0),
    ],
)  # fmt: skip
def test_a_strange_value_in_a_checkpoint_is_named_with_its_field_and_file(hub_language, tmp_path, field, value):
    language = hub_language("llama")
    strange = json.loads(language.backbone) | {field: value}
    (tmp_path / "config.json").write_text(to_json(language).replace(
        json.dumps(language.backbone), json.dumps(json.dumps(strange))
    ))  # fmt: skip
    shown = "null" if value is None else value
    with pytest.raises(ConfigError, match=rf"config\.json.*{field} must be a (whole )?number from .* not {shown}"):
        load_json(LanguageConfig, tmp_path / "config.json")


@pytest.mark.parametrize(("field", "value"), [("n_layer", None), ("n_head", True), ("initializer_range", "x")])
def test_of_gpt2_too(tmp_path, field, value):
    found = {"model_type": "gpt2", "n_layer": 2, "n_head": 2, "n_embd": 8, "n_positions": 64, "vocab_size": 270}
    assert sizes(found | {"n_inner": None}).inner == 32
    (tmp_path / "config.json").write_text(json.dumps(found | {field: value}))
    with pytest.raises(ConfigError, match=rf"config\.json: {field} must be a (whole )?number"):
        _ = open_backbone(str(tmp_path)).language


def test_nothing_of_a_configuration_counts_but_what_says_how_the_model_computes(hub_settings, hub_language, tmp_path):
    evil = {"auto_map": {"AutoConfig": "evil.Config"}, "_attn_implementation": "evil/kernel", "torch_dtype": "float16",
            "trust_remote_code": True, "attn_implementation": "eager", "_name_or_path": "/etc"}  # fmt: skip
    assert hub_language("llama", **evil) == hub_language("llama")
    kept = json.loads(hub_language("llama").backbone)
    assert "vocab_size" not in kept and kept["rope_parameters"]["rope_theta"] == 1e4
    with pytest.raises(ConfigError, match="'auto_map' is no field of it"):
        replace(hub_language("llama"), backbone=json.dumps(kept | {"auto_map": {}}))
    with pytest.raises(ConfigError, match=r"transformer\.layers is 4, and the backbone has 3"):
        replace(hub_language("llama"), backbone=json.dumps(kept | {"num_hidden_layers": 3}))
    for text in ("llama", "[]", "[" * 10**4, "{" + " " * 10**6):
        with pytest.raises(ConfigError, match="backbone"):
            replace(hub_language("llama"), backbone=text)
    assert set(hub_settings("llama")) - set(kept) == {"vocab_size", "rope_theta"}


def test_positions_are_rotated_by_their_numbers_not_by_their_places(with_language, samples):
    """Patches of one second have one position: exchanging two electrodes' places exchanges their hidden states."""
    model = made(with_language("llama"))
    sample = samples[0]
    turned = replace(
        sample, patches=np.concatenate((sample.patches[[1, 0, 2]], sample.patches[3:])),
        channel=np.concatenate((sample.channel[[1, 0, 2]], sample.channel[3:])),
    )  # fmt: skip
    with torch.no_grad():
        found, other = (model(build_batch([s], [Document(sample=0)]))[0] for s in (sample, turned))
    torch.testing.assert_close(other[[1, 0, 2]], found[:3], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(other[3:], found[3:], rtol=1e-4, atol=1e-4)
    cache = Cache()
    assert cache.fork().layers == []


def test_adapters_go_into_every_linear_layer_and_merge_into_the_same_answers(with_language, samples):
    for family in FAMILIES[1:]:
        model = made(with_language(family))
        batch = build_batch(samples, documents(samples), packed=False)
        before = score_options(model, batch, OPTIONS)
        layers = sum(isinstance(part, torch.nn.Linear) for part in model.language.modules())
        adapt(model, LoraConfig(rank=2), new_rows=True)
        torch.testing.assert_close(score_options(model, batch, OPTIONS), before, rtol=1e-5, atol=1e-5)
        trained = {name for name, p in model.language.named_parameters() if p.requires_grad}
        assert layers == 4 * 7 and len(trained) == 2 * layers + 1 and "model.embed_tokens.trained" in trained
        with torch.no_grad():
            for tensor in own(model, new_rows=True).values():
                tensor.add_(torch.randn(tensor.shape, generator=torch.Generator().manual_seed(4)) * 0.1)
        adapted = score_options(model, batch, OPTIONS)
        merge(model)
        assert (adapted - before).abs().max() > 0.1
        torch.testing.assert_close(score_options(model, batch, OPTIONS), adapted, rtol=1e-3, atol=1e-3)
