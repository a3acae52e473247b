"""A causal run on EEG whose next second can be known, which takes seconds to train."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neurolm.store.manifest import Label

ELECTRODES = ("C3", "O1")
STEPS = {"tokenizer": 100, "pretrain": 100}


def alternating(seed: int, seconds: int = 40, channels: int = 2, *, odd: int = 0) -> np.ndarray:
    """Noise of 2 µV, and every other second a rhythm of 10 Hz and 30 µV, or of 20 Hz: float64 (samples, channels)."""
    rng = np.random.default_rng(seed)
    time = np.arange(seconds * 200)[:, None] / 200
    turn = (np.floor(time) % 2).astype(int) ^ odd
    phases = rng.random((2, channels))
    rhythms = [30 * np.sin(2 * np.pi * (hertz * time + phase)) for hertz, phase in zip((10, 20), phases, strict=True)]
    return np.where(turn, rhythms[0], rhythms[1]) + 2 * rng.standard_normal((len(time), channels))


@pytest.fixture(name="alternating", scope="session")
def _alternating_fixture():
    """The function that makes two rhythms take turns."""
    return alternating


@pytest.fixture(scope="session")
def causal_run(tmp_path_factory, write_store, micro_config, micro_texts) -> Path:
    """The folder of a run: tokenizer and pretraining of a causal model."""
    from neurolm.train.language import train_language
    from neurolm.train.pretrain import train_pretrain
    from neurolm.train.run import open_run
    from neurolm.train.tokenizer import train_tokenizer

    folder = tmp_path_factory.mktemp("causal")
    labels = (Label("workload", "No", 0, 20), Label("workload", "Yes", 20, 40))  # a run has a task
    recordings = {
        f"r{person}": (f"p{person}", ELECTRODES, labels, alternating(person, odd=person % 2)) for person in range(10)
    }
    write_store(folder / "store", recordings)
    model = replace(micro_config.model, tokenizer=replace(micro_config.model.tokenizer, attention="stair-step"))
    config = replace(micro_config, recipe="micro-causal", model=model)
    for stage, steps in STEPS.items():
        config = replace(config, **{stage: replace(config.stage(stage), steps=steps, evaluate_every=100, save_every=100,
                                                   learning_rate=1e-2, average=0.0, dropout=0.0)})  # fmt: skip
    run = open_run(folder / "run", config=config, store=folder / "store", device="cpu")
    for train in (train_language, train_tokenizer, train_pretrain):
        train(run, texts=micro_texts)
    return folder / "run"
