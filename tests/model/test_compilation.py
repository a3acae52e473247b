"""Compiled models: the same losses and gradients, and no new compilation for every layout."""

import shutil

import pytest
import torch
from torch._dynamo.utils import counters

from neurolm.batches.loader import Document, Sample, build_batch
from neurolm.core.config import ModelConfig, TransformerConfig
from neurolm.model.attention import Masking, visibility
from neurolm.model.compilation import compile_model
from neurolm.model.loss import _fused
from neurolm.model.neurolm import NeuroLM
from neurolm.model.transformer import Cache, Transformer, set_checkpointing

pytestmark = pytest.mark.filterwarnings("ignore")  # the compiler warns of its own code


@pytest.fixture(autouse=True)
def _fresh():
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def losses_and_gradients(model: NeuroLM, batch) -> list[torch.Tensor]:
    model.zero_grad(set_to_none=True)
    out = model.loss(batch, softmax="joint")
    (out.eeg + out.text).backward()
    return [out.eeg.detach(), out.text.detach(), *(p.grad for p in model.parameters() if p.grad is not None)]


def batches(samples: list[Sample]) -> list:
    """Layouts of other numbers of rows and places at every step: EEG with a question, EEG alone, text alone."""
    made = []
    for length in (3, 4, 5, 6):
        text = list(range(1, length + 1))
        documents = [Document(sample=i, text=text, predict_eeg=True) for i in range(len(samples))]
        made.append(build_batch(samples, documents))
        made.append(build_batch(samples[: length - 1], [Document(sample=i, predict_eeg=True) for i in range(2)]))
        made.append(build_batch([], [Document(text=text * 2)] * length))
    return made


def compare(config: ModelConfig, samples: list[Sample], backend: str, checkpointing: bool) -> list[int]:
    """Compare every step's losses and gradients with those of the model as it is; returns the graphs after each."""
    torch.manual_seed(0)
    plain, compiled = NeuroLM(config).train(), NeuroLM(config).train()
    plain.tokenizer.quantizer.initialised.fill_(True)
    compiled.load_state_dict(plain.state_dict())
    compile_model(compiled, backend=backend)
    assert list(compiled.state_dict()) == list(plain.state_dict())
    set_checkpointing(compiled, checkpointing)
    graphs = []
    for batch in batches(samples):
        for one, other in zip(losses_and_gradients(plain, batch), losses_and_gradients(compiled, batch), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
        graphs.append(counters["stats"]["unique_graphs"])
    return graphs


@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_layout_of_a_batch_is_not_compiled_into_the_model(config, samples, monkeypatch, checkpointing):
    fused = torch.compile(_fused, dynamic=True, backend="aot_eager")
    monkeypatch.setattr("neurolm.model.loss._compiled", lambda: fused)
    graphs = compare(config, samples, "aot_eager", checkpointing)
    assert graphs[2] >= 2 and graphs[5:] == [graphs[5]] * 7  # the kinds of batches, then nothing new


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_compiled_for_this_machine(config, samples):
    """With the compiler that is used; two blocks of a stack share their code."""
    torch.manual_seed(0)
    stack = TransformerConfig(layers=2, heads=2, width=16, bias=True)
    plain, compiled = Transformer(stack).train(), Transformer(stack).train()
    compiled.load_state_dict(plain.state_dict())
    compile_model(compiled)
    for rows, width in ((3, 14), (2, 31), (5, 20)):
        x, document = torch.randn(rows, width, 16, requires_grad=True), torch.zeros(rows, width, dtype=torch.long)
        seen = visibility(document, document + torch.arange(width) // 3)
        found = [torch.autograd.grad(m(x, seen).square().mean(), [x, *m.parameters()]) for m in (plain, compiled)]
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert counters["stats"]["unique_graphs"] == 1


def test_flex_attentions_masks_are_not_compiled_into_the_model():
    """Forwards only, which is what FlexAttention has on a CPU: every step brings another function as its mask."""
    torch.manual_seed(0)
    stack = TransformerConfig(layers=2, heads=2, width=16)
    plain, compiled = Transformer(stack).eval(), Transformer(stack).eval()
    compiled.load_state_dict(plain.state_dict())
    compile_model(compiled, backend="aot_eager")
    graphs = []
    with torch.no_grad():
        for rows, width in ((3, 300), (2, 150), (4, 280), (2, 400)):
            x, document = torch.randn(rows, width, 16), torch.zeros(rows, width, dtype=torch.long)
            seen = visibility(document + (torch.arange(width) > width // 2), document + torch.arange(width) // 3)
            flex = Masking(None, blocks=seen.block_mask)
            y = x
            for block in compiled.blocks:
                y, _ = block(y, flex)
            torch.testing.assert_close(y, plain(x, seen), rtol=1e-4, atol=1e-5)
            graphs.append(counters["stats"]["unique_graphs"])
    assert graphs[-1] <= 2  # one, and one where two sizes happened to be equal at first


def test_every_layer_of_a_cached_pass_runs_the_same_code():
    """Deeper stacks compile no more graphs, however often the cache grows."""
    torch.manual_seed(0)
    graphs = []
    for layers in (2, 6):
        torch._dynamo.reset()
        counters.clear()
        stack = TransformerConfig(layers=layers, heads=2, width=16)
        plain, compiled = Transformer(stack).eval(), Transformer(stack).eval()
        compiled.load_state_dict(plain.state_dict())
        compile_model(compiled, backend="aot_eager")
        with torch.no_grad():
            for rows, width in ((4, 17), (5, 31)):
                x, document = torch.randn(rows, width, 16), torch.zeros(rows, width, dtype=torch.long)
                step, cache = document + torch.arange(width), Cache()
                whole = plain(x, visibility(document, step))
                parts = [
                    compiled(x[:, part], cache.extend(document[:, part], step[:, part]), cache)
                    for part in (slice(0, 6), slice(6, 13), slice(13, width))
                ]
                torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-4, atol=1e-5)
        graphs.append(counters["stats"]["unique_graphs"])
    assert graphs[0] == graphs[1] <= 6  # nothing cached, a first part or joined ones; with a mask or without
