"""A model that is made in a minute, so that all parts of the service can be tried on it"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from neurolm.batches.text import shipped_text
from neurolm.core.config import LanguageConfig, ModelConfig, RunConfig, StageConfig, TokenizerConfig, TransformerConfig
from neurolm.core.files import hold
from neurolm.corpora.simulated.simulate import simulate
from neurolm.evaluation.baselines.fit import cache_folder
from neurolm.prepare.prepare import prepare
from neurolm.train.instruct import train_instruct
from neurolm.train.language import train_language
from neurolm.train.pretrain import train_pretrain
from neurolm.train.run import open_run
from neurolm.train.tokenizer import train_tokenizer

DEMO = Path("runs/demo")
"""Where ``neurolm demo`` leaves its run."""
NAME, RECIPE = "minute-3", "minute"
"""Folder in the cache, another where such a model is made in another way; by the recipe the page knows it."""
PEOPLE, STEPS = 6, 8
"""Simulated people, and steps of every stage."""
NOTICE = "a model of a minute: its answers mean nothing but show how the page works; `neurolm demo` makes a better one"


def demo_model(told: Callable[[str], None], *, demo: Path = DEMO, cache: Path | None = None) -> Path:
    """Return a run to show the service with: that of ``neurolm demo``, or one that is made here.

    Parameters
    ----------
    told
        Is given what is to be said.
    demo
        The run that is taken where it is finished.
    cache
        Folder in which a run that was made is kept; by default that of neurolm in the user's cache.
    """
    if is_finished(demo):
        told(f"model: {demo}, of neurolm demo")
        return demo
    place = (cache or cache_folder()) / "demo"
    run = place / NAME
    if not is_finished(run):
        place.mkdir(parents=True, exist_ok=True)
        with hold(place / f"{NAME}.lock", "another process makes the model of the demo there"):
            if not is_finished(run):
                told("there is no run of neurolm demo: a model is made in about a minute, once")
                _make(run, told)
    told(f"model: {run}: {NOTICE}")
    return run


def is_finished(run: Path) -> bool:
    """Whether all stages of a run are done."""
    return (run / "instruct" / "config.json").is_file()


def _make(run: Path, told: Callable[[str], None]) -> None:
    coming = run.with_name(f"{run.name}-{os.getpid()}")
    shutil.rmtree(coming, ignore_errors=True)
    try:
        told("simulating people …")
        simulate(coming / "corpus", subjects=PEOPLE, jobs=0)
        prepare(coming / "corpus", coming / "store", corpus="table", jobs=0)
        begun = open_run(coming, config=micro(), store=coming / "store", device="cpu")
        told("training …")
        for train in (train_language, train_tokenizer, train_pretrain, train_instruct):
            train(begun, texts=shipped_text()[:4])
        for name in ("corpus", "store"):
            shutil.rmtree(coming / name)
        coming.rename(run)
    finally:
        shutil.rmtree(coming, ignore_errors=True)


def micro() -> RunConfig:
    """Return every part of the method at a size that trains in seconds."""
    block = TransformerConfig(layers=1, heads=2, width=32)
    stage = StageConfig(
        steps=STEPS, eeg_batch=8, text_batch=2, text_length=32, max_patches=128, learning_rate=3e-3,
        final_learning_rate=3e-4, weight_decay=0.1, betas=(0.9, 0.95), clip=1.0, evaluate_every=STEPS,
        save_every=STEPS,
    )  # fmt: skip
    return RunConfig(
        recipe=RECIPE,
        model=ModelConfig(
            tokenizer=TokenizerConfig(
                encoder=block, decoder=block, codes=64, code_width=8, classifier_width=16, revive=0.1,
                quantise_from=0.4, spectral=True, spectrum="log",
            ),
            language=LanguageConfig(
                transformer=TransformerConfig(layers=1, heads=2, width=32, bias=True), positions=512, text_tokens=280
            ),
            feature_scale=0.1,
        ),
        language=replace(stage, eeg_batch=0, text_batch=4),
        tokenizer=stage,
        pretrain=stage,
        instruct=replace(stage, max_patches=256, balance=True, evidence=True),
    )  # fmt: skip
