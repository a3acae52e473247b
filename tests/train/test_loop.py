"""The training loop: exact resuming, refusing what is not finite, the schedule, averaged weights."""

import json
import math
import os
import signal
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

from neurolm.core.config import StageConfig
from neurolm.core.errors import Stopped, StoreError
from neurolm.train.figures.history import LOG, SPEED, read_log, read_rows
from neurolm.train.loop import BEST, TrainingStopped, run_stage
from neurolm.train.machine.state import states
from neurolm.train.optim import learning_rate
from neurolm.train.stage import Losses, Stage

CONFIG = StageConfig(
    steps=12, eeg_batch=1, text_batch=0, learning_rate=1e-2, final_learning_rate=1e-3, weight_decay=0.1,
    betas=(0.9, 0.95), clip=1.0, evaluate_every=4, save_every=2, average=0.5,
)  # fmt: skip


class Killed(Exception):
    """Stands for SIGKILL between two steps."""


class Regression(Stage[torch.Tensor]):
    """A small network with dropout that fits a line; a batch is a function of the step."""

    name = "regression"

    def __init__(self, killed_at: int | None = None, nan_at: int | None = None, config: StageConfig = CONFIG) -> None:
        torch.manual_seed(0)
        self.config, self.steps = config, config.steps
        self.module = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        self.killed_at, self.nan_at = killed_at, nan_at

    @property
    def loss(self):
        return self.module

    def batch(self, step: int) -> torch.Tensor:
        x = torch.randn(16, 3, generator=torch.Generator().manual_seed(step))
        if step == self.nan_at:
            x[0] = math.nan
        return x

    def passes(self, batch: torch.Tensor) -> int:
        return 1

    def losses(self, step: int, x: torch.Tensor, loss) -> Iterator[Losses]:
        if step == self.killed_at:
            raise Killed
        total = (loss(x) - x.sum(1, keepdim=True)).square().mean()
        yield Losses(total=total, parts={}, tokens=16, sources=("recording-a@0s",), flops=10**6)

    def validate(self) -> dict[str, float]:
        x = torch.randn(64, 3, generator=torch.Generator().manual_seed(99))
        with torch.no_grad():
            return {"score": float((self.module(x) - x.sum(1, keepdim=True)).square().mean())}


def train(folder, stage, **options):
    run_stage(stage, folder, device=torch.device("cpu"), **options)
    return stage.module.state_dict()


@pytest.mark.parametrize("average", [0.0, 0.5])
@pytest.mark.parametrize("killed_at", [1, 4, 5, 11])
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path, killed_at, average):
    config = replace(CONFIG, average=average)
    whole = train(tmp_path / "whole", Regression(config=config))
    with pytest.raises(Killed):
        train(tmp_path / "parts", Regression(killed_at=killed_at, config=config))
    resumed = train(tmp_path / "parts", Regression(config=config))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert read_log(tmp_path / "parts") == read_log(tmp_path / "whole")


def test_a_loss_that_is_not_finite_stops_before_the_step_and_names_the_batch(tmp_path):
    stage = Regression(nan_at=3)
    with pytest.raises(TrainingStopped, match=r"step 3: the loss is nan.*recording-a@0s"):
        train(tmp_path, stage)
    assert all(torch.isfinite(p).all() for p in stage.module.parameters())
    assert states(tmp_path)[-1].name == "state-000000002.pt"


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


@pytest.mark.parametrize("workers", [1, 3])
def test_any_number_of_workers_trains_the_same_also_after_an_interruption(tmp_path, workers):
    whole = train(tmp_path / "whole", Regression())
    with pytest.raises(Killed):
        train(tmp_path / "parts", Regression(killed_at=5), workers=workers)
    resumed = train(tmp_path / "parts", Regression(), workers=0)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_an_error_in_a_worker_is_the_error_of_the_training(tmp_path):
    class Broken(Regression):
        def batch(self, step):
            if step == 6:
                raise StoreError("recording-b: gone")
            return super().batch(step)

    with pytest.raises(StoreError, match="recording-b: gone"):
        train(tmp_path, Broken(), workers=2)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_after_the_step_under_way_and_loses_nothing(tmp_path, number):
    whole = train(tmp_path / "whole", Regression())

    class Asked(Regression):
        def after_step(self):
            self.made = getattr(self, "made", 0) + 1
            if self.made == 4:  # no state was due here
                os.kill(os.getpid(), number)
            return {}

    before = signal.getsignal(number)
    with pytest.raises(Stopped, match="saved after step 4 of 12") as stopped:
        train(tmp_path / "parts", Asked())
    assert stopped.value.signal == number and signal.getsignal(number) is before
    assert states(tmp_path / "parts")[-1].name == "state-000000004.pt"
    resumed = train(tmp_path / "parts", Regression())
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert read_log(tmp_path / "parts") == read_log(tmp_path / "whole")


@pytest.mark.parametrize("keep", [1, 3])
def test_as_many_states_are_kept_as_the_configuration_says_and_the_best_weights(tmp_path, keep):
    with pytest.raises(Killed):
        train(tmp_path, Regression(killed_at=11, config=replace(CONFIG, keep_states=keep)))
    assert [path.name for path in states(tmp_path)] == [f"state-{step:09d}.pt" for step in (6, 8, 10)[-keep:]]
    assert (tmp_path / BEST).is_file()


def test_the_last_states_are_kept_and_a_damaged_one_gives_way_to_the_one_before(tmp_path):
    whole = train(tmp_path / "whole", Regression())
    with pytest.raises(Killed):
        train(tmp_path / "parts", Regression(killed_at=9))
    kept = states(tmp_path / "parts")
    assert [p.name for p in kept] == ["state-000000006.pt", "state-000000008.pt"]
    kept[-1].write_bytes(kept[-1].read_bytes()[:-500])
    with pytest.warns(UserWarning, match=r"state-000000008\.pt: damaged"):
        resumed = train(tmp_path / "parts", Regression())
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


class Collapsing(Regression):
    """Trains a codebook, it says, of which three codes in a hundred are used."""

    codes = 100

    def after_step(self):
        return {"code_perplexity": 3.0, "dead_codes": 97.0}


def test_a_collapsing_codebook_is_told_once_and_written_down_also_after_an_interruption(tmp_path):
    config = replace(CONFIG, steps=160, evaluate_every=20, save_every=50)
    with pytest.warns(
        UserWarning, match=r"regression, step 140: the codebook collapses.*perplexity 3 in training; 97 codes"
    ) as told:
        train(tmp_path / "whole", Collapsing(config=config))
    assert sum("collapses" in str(one.message) for one in told) == 1
    with pytest.warns(UserWarning, match="step 140: the codebook collapses"), pytest.raises(Killed):
        train(tmp_path / "parts", Collapsing(killed_at=155, config=config))
    train(tmp_path / "parts", Collapsing(config=config))  # told already: warnings are errors here
    log = (tmp_path / "whole" / LOG).read_text()
    assert (tmp_path / "parts" / LOG).read_text() == log
    (row,) = [json.loads(line) for line in log.splitlines() if '"warning"' in line]
    assert row["step"] == 140 and "--model.tokenizer.revive" in row["message"]


def test_figures_go_where_they_are_asked_to(tmp_path):
    from tensorboardX.proto.event_pb2 import Event

    train(tmp_path, Regression(), log_to=["tensorboard"])
    found = {}
    for path in (tmp_path / "tensorboard").glob("*/events*"):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            for value in Event.FromString(data[12 : 12 + length]).summary.value:
                event = Event.FromString(data[12 : 12 + length])
                found.setdefault((path.parent.name, value.tag.split("/")[-1]), {})[event.step] = value.simple_value
            data = data[16 + length :]
    rows = read_log(tmp_path)
    for kind, name in (("training", "loss"), ("training", "lr"), ("validation", "score")):
        logged = {row["step"]: row[name] for row in rows if row["kind"] == kind}
        assert found[kind, name] == pytest.approx(logged, rel=1e-6)
    speed = {row["step"]: row["mfu"] for row in read_rows(tmp_path / SPEED)}
    assert found["speed", "mfu"] == pytest.approx(speed, rel=1e-6) and all(speed.values())


def test_speed_is_logged_and_a_run_that_waits_for_its_data_is_told_so(tmp_path):
    class Slow(Regression):
        def batch(self, step):
            time.sleep(0.05)
            return super().batch(step)

    config = replace(CONFIG, steps=24, evaluate_every=8)
    with pytest.warns(UserWarning, match=r"of the time went into waiting for batches: use more --workers"):
        train(tmp_path, Slow(config=config))
    rows = [json.loads(line) for line in (tmp_path / SPEED).read_text().splitlines()]
    assert [row["step"] for row in rows] == [8, 16, 24]
    assert all(0 < row["data_wait"] <= 1 and row["peak_memory_gib"] > 0 for row in rows)
    assert all(row["tokens_per_second"] == pytest.approx(16 / row["step_seconds"]) for row in rows)
    assert rows[-1]["seconds"] > 24 * 0.05 and all(row["step_seconds"] > 0.05 for row in rows)
