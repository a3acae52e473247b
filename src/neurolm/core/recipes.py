"""Recipes (tiny, base, large, xl, each also causal): functions that return all settings of a run.

``base``, ``large`` and ``xl`` are the paper's (appendix, tables of hyper-parameters; GPT-2 124M, 355M and 1.5B);
``tiny`` is the same method at a size that trains in minutes on two CPU cores. ``causal-tiny`` and so on differ from
these in one thing: their encoder sees no later second.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from neurolm.core.config import (
    LanguageConfig,
    ModelConfig,
    RunConfig,
    StageConfig,
    TokenizerConfig,
    TransformerConfig,
)
from neurolm.core.errors import ConfigError
from neurolm.core.names import choose


def tiny() -> RunConfig:
    """Everything of the method at a size for a laptop's CPU."""
    return RunConfig(
        recipe="tiny",
        model=ModelConfig(
            tokenizer=TokenizerConfig(
                encoder=TransformerConfig(layers=3, heads=4, width=128, initial_std=0.05),
                decoder=TransformerConfig(layers=1, heads=4, width=128, initial_std=0.05),
                codes=512,
                code_width=64,
                classifier_width=64,
                decay=0.95,
                revive=0.1,
                quantise_from=0.6,
                spectral=True,
                spectrum="log",
            ),
            language=LanguageConfig(
                transformer=TransformerConfig(layers=4, heads=4, width=128, bias=True, initial_std=0.05),
                positions=512,
                text_tokens=1024,
            ),
            feature_scale=0.1,
        ),
        language=StageConfig(
            steps=300, eeg_batch=0, text_batch=32, text_length=64, learning_rate=2e-3, final_learning_rate=2e-4,
            weight_decay=0.1, betas=(0.9, 0.95), clip=1.0,
        ),
        tokenizer=StageConfig(
            steps=1200, eeg_batch=8, text_batch=4, text_length=64, max_patches=128, learning_rate=1e-3,
            final_learning_rate=1e-4, weight_decay=1e-4, betas=(0.9, 0.99), clip=3.0,
        ),
        pretrain=StageConfig(
            steps=300, eeg_batch=8, text_batch=2, text_length=64, max_patches=128, learning_rate=1e-3,
            final_learning_rate=1e-4, weight_decay=0.1, betas=(0.9, 0.95), clip=1.0,
        ),
        instruct=StageConfig(
            steps=600, eeg_batch=16, text_batch=2, text_length=64, max_patches=256, learning_rate=1e-3,
            final_learning_rate=1e-4, weight_decay=0.1, betas=(0.9, 0.95), clip=1.0, balance=True, augment=0.5,
            evidence=True, average=0.98,
        ),
    )  # fmt: skip


def _paper(
    name: str,
    *,
    layers: int,
    heads: int,
    width: int,
    instruct_rate: float,
    instruct_epochs: float,
    checkpointing: bool = False,
    shard: bool = False,
) -> RunConfig:
    """Return the paper's run, on 8 GPUs: batch sizes here are those of one GPU."""
    return RunConfig(
        recipe=name,
        model=ModelConfig(
            tokenizer=TokenizerConfig(
                encoder=TransformerConfig(layers=12, heads=12, width=768),
                decoder=TransformerConfig(layers=4, heads=12, width=768),
            ),
            language=LanguageConfig(
                transformer=TransformerConfig(layers=layers, heads=heads, width=width, bias=True)
            ),
        ),
        language=StageConfig(
            epochs=1, eeg_batch=0, text_batch=16, learning_rate=6e-4, final_learning_rate=6e-5, weight_decay=0.1,
            betas=(0.9, 0.95), clip=1.0, evaluate_every=1000, save_every=1000, checkpointing=checkpointing,
        ),
        tokenizer=StageConfig(
            epochs=50, eeg_batch=64, text_batch=16, learning_rate=5e-5, final_learning_rate=1e-5, weight_decay=1e-4,
            betas=(0.9, 0.999), evaluate_every=1000, save_every=1000,
        ),
        pretrain=StageConfig(
            epochs=20, eeg_batch=60, text_batch=4, learning_rate=6e-4, final_learning_rate=6e-5, weight_decay=0.1,
            betas=(0.9, 0.95), clip=1.0, softmax="joint", evaluate_every=1000, save_every=1000,
            checkpointing=checkpointing, shard=shard,
        ),
        instruct=StageConfig(
            epochs=instruct_epochs, eeg_batch=64, text_batch=16, max_patches=276, learning_rate=instruct_rate,
            final_learning_rate=instruct_rate / 10, weight_decay=0.1, betas=(0.9, 0.95), clip=1.0,
            softmax="joint", evaluate_every=500, save_every=500, checkpointing=checkpointing,
            shard=shard,
        ),
    )  # fmt: skip


def base() -> RunConfig:
    """NeuroLM-B: GPT-2 (124M)."""
    return _paper("base", layers=12, heads=12, width=768, instruct_rate=5e-4, instruct_epochs=5)


def large() -> RunConfig:
    """NeuroLM-L: GPT-2 medium (355M)."""
    return _paper("large", layers=24, heads=16, width=1024, instruct_rate=5e-5, instruct_epochs=5)


def xl() -> RunConfig:
    """NeuroLM-XL: GPT-2 XL (1.5B)."""
    return _paper("xl", layers=48, heads=25, width=1600, instruct_rate=2e-5, instruct_epochs=3,
                  checkpointing=True, shard=True)  # fmt: skip


def _causal(faithful: Callable[[], RunConfig]) -> RunConfig:
    """Return a recipe whose encoder has the stair-step rule, so that features know nothing that they are to predict."""
    run = faithful()
    tokenizer = replace(run.model.tokenizer, attention="stair-step")
    return replace(run, recipe=f"causal-{run.recipe}", model=replace(run.model, tokenizer=tokenizer))


_FAITHFUL: dict[str, Callable[[], RunConfig]] = {f.__name__: f for f in (tiny, base, large, xl)}
RECIPES = _FAITHFUL | {f"causal-{name}": partial(_causal, f) for name, f in _FAITHFUL.items()}


def recipe(name: str) -> RunConfig:
    """Return a recipe by name.

    Raises
    ------
    ConfigError
        If there is no recipe of that name.
    """
    if name not in RECIPES:
        raise ConfigError(f"unknown recipe {name!r}{choose(name, list(RECIPES))}")
    return RECIPES[name]()
