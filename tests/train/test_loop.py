"""The training loop: exact resuming, refusing what is not finite, the schedule, averaged weights."""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

from neurolm.config import StageConfig
from neurolm.train.loop import STATE, Losses, TrainingStopped, read_log, run_stage
from neurolm.train.optim import learning_rate

CONFIG = StageConfig(
    steps=12, eeg_batch=1, text_batch=0, learning_rate=1e-2, final_learning_rate=1e-3, weight_decay=0.1,
    betas=(0.9, 0.95), clip=1.0, evaluate_every=4, save_every=2, average=0.5,
)  # fmt: skip


class Killed(Exception):
    """Stands for SIGKILL between two steps."""


class Regression:
    """A small network with dropout that fits a line; a batch is a function of the step."""

    name = "regression"

    def __init__(self, killed_at: int | None = None, nan_at: int | None = None) -> None:
        torch.manual_seed(0)
        self.module = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        self.killed_at, self.nan_at = killed_at, nan_at

    def losses(self, step: int) -> Iterator[Losses]:
        if step == self.killed_at:
            raise Killed
        x = torch.randn(16, 3, generator=torch.Generator().manual_seed(step))
        if step == self.nan_at:
            x[0] = math.nan
        loss = (self.module(x) - x.sum(1, keepdim=True)).square().mean()
        yield Losses(total=loss, parts={}, tokens=16, sources=("recording-a@0s",))

    def after_step(self) -> None:
        pass

    def validate(self) -> dict[str, float]:
        x = torch.randn(64, 3, generator=torch.Generator().manual_seed(99))
        with torch.no_grad():
            return {"score": float((self.module(x) - x.sum(1, keepdim=True)).square().mean())}


def train(folder, stage, config=CONFIG):
    run_stage(stage, config, folder, steps=config.steps, device=torch.device("cpu"))
    return stage.module.state_dict()


@pytest.mark.parametrize("average", [0.0, 0.5])
@pytest.mark.parametrize("killed_at", [1, 4, 5, 11])
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path, killed_at, average):
    config = replace(CONFIG, average=average)
    whole = train(tmp_path / "whole", Regression(), config)
    with pytest.raises(Killed):
        train(tmp_path / "parts", Regression(killed_at=killed_at), config)
    resumed = train(tmp_path / "parts", Regression(), config)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert read_log(tmp_path / "parts") == read_log(tmp_path / "whole")


def test_a_loss_that_is_not_finite_stops_before_the_step_and_names_the_batch(tmp_path):
    stage = Regression(nan_at=3)
    with pytest.raises(TrainingStopped, match=r"step 3: the loss is nan.*recording-a@0s"):
        train(tmp_path, stage)
    assert all(torch.isfinite(p).all() for p in stage.module.parameters())
    assert torch.load(tmp_path / STATE, weights_only=True)["step"] == 2


def test_the_best_weights_by_validation_are_kept(tmp_path):
    stage = Regression()
    train(tmp_path, stage)
    scores = [row["score"] for row in read_log(tmp_path) if row["kind"] == "validation"]
    assert len(scores) == 3
    stage.module.eval()
    assert stage.validate()["score"] == pytest.approx(min(scores), rel=1e-6)


def test_schedule_warms_up_and_ends_at_the_final_rate():
    config = replace(CONFIG, warmup=0.25)
    rates = [learning_rate(config, step, 40) for step in range(41)]
    assert rates[0] == pytest.approx(1e-3)
    assert max(rates) == rates[10] == pytest.approx(1e-2)
    assert rates[40] == pytest.approx(1e-3)
    assert all(a >= b for a, b in pairwise(rates[10:]))
