"""A model of a few thousand weights and samples of different montages and lengths."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from neurolm.batches.loader import Sample
from neurolm.core.config import LanguageConfig, ModelConfig, TokenizerConfig, TransformerConfig
from neurolm.core.physics import PATCH
from neurolm.model.neurolm import NeuroLM
from neurolm.model.tokenizer import NeuralTokenizer


@pytest.fixture
def config() -> ModelConfig:
    """Encoder and language model of different widths, so that the bridge is there."""
    return ModelConfig(
        tokenizer=TokenizerConfig(
            encoder=TransformerConfig(layers=2, heads=2, width=32),
            decoder=TransformerConfig(layers=1, heads=2, width=32),
            codes=24,
            code_width=8,
            classifier_width=16,
        ),
        language=LanguageConfig(
            transformer=TransformerConfig(layers=2, heads=3, width=48, bias=True), positions=32, text_tokens=70
        ),
    )


@pytest.fixture
def samples() -> list[Sample]:
    """Four samples, (channels, seconds): two of them of the same number of patches."""
    rng = np.random.default_rng(0)
    made = []
    for channels, seconds in ((3, 4), (2, 6), (1, 3), (4, 2)):
        count = channels * seconds
        made.append(
            Sample(
                patches=rng.standard_normal((count, PATCH), dtype=np.float32) * 0.3,
                channel=np.tile(rng.permutation(80)[:channels], seconds),
                second=np.repeat(np.arange(seconds), channels),
            )
        )
    return made


def lively(module: torch.nn.Module) -> None:
    """Large weights, so that nothing vanishes in the rounding."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim > 1:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)


@pytest.fixture(params=["full", "stair-step", "spectral"])
def tokenizer(config: ModelConfig, request: pytest.FixtureRequest) -> NeuralTokenizer:
    """With a codebook."""
    torch.manual_seed(0)
    changes = {"spectral": True, "spectrum": "log"} if request.param == "spectral" else {"attention": request.param}
    tokenizer = NeuralTokenizer(replace(config.tokenizer, **changes))
    lively(tokenizer)
    tokenizer.quantizer.initialise(torch.randn(100, 8), torch.Generator().manual_seed(0))
    return tokenizer.eval()


@pytest.fixture
def model(config: ModelConfig) -> NeuroLM:
    """With a codebook, in evaluation mode."""
    torch.manual_seed(0)
    model = NeuroLM(config)
    lively(model)
    model.tokenizer.quantizer.initialise(torch.randn(100, 8), torch.Generator().manual_seed(0))
    return model.eval()
