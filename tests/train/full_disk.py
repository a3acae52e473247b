"""Trains on a disk that becomes full, frees it, goes on: run by ``test_full_disk``, in a process of its own.

python full_disk.py FOLDER ROOM mount     FOLDER becomes a disk of ROOM MiB (needs a namespace of its own)
python full_disk.py FOLDER ROOM limit     no file in FOLDER may become larger than ROOM MiB
"""

import resource
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

from neurolm.core.config import StageConfig
from neurolm.core.errors import WriteError
from neurolm.train.loop import run_stage
from neurolm.train.stage import Losses, Stage

CONFIG = StageConfig(
    steps=12, eeg_batch=1, text_batch=0, learning_rate=1e-2, final_learning_rate=1e-3, weight_decay=0.1,
    betas=(0.9, 0.95), evaluate_every=4, save_every=2, average=0.5,
)  # fmt: skip
MIB = 2**20


class Wide(Stage[torch.Tensor]):
    """A network whose weights take 0.4 MiB, so a state, with two moments and an average, takes 1.6 MiB."""

    name = "wide"
    config, steps = CONFIG, CONFIG.steps

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.module = nn.Sequential(nn.Linear(3, 20_000), nn.Tanh(), nn.Linear(20_000, 1))

    @property
    def loss(self):
        return self.module

    def batch(self, step: int) -> torch.Tensor:
        return torch.randn(4, 3, generator=torch.Generator().manual_seed(step))

    def passes(self, batch: torch.Tensor) -> int:
        return 1

    def losses(self, step: int, x: torch.Tensor, loss):
        yield Losses(total=(loss(x) - x.sum(1, keepdim=True)).square().mean(), parts={}, tokens=4)

    def validate(self) -> dict[str, float]:
        return {"score": float(self.module(torch.ones(1, 3)).square())}


def train(folder: Path) -> dict[str, torch.Tensor]:
    stage = Wide()
    run_stage(stage, folder, device=torch.device("cpu"))
    return stage.module.state_dict()


def main(disk: Path, room: float, how: str) -> None:
    whole = train(disk.parent / "whole")
    if how == "mount":
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={round(room * 1024)}k", "tmpfs", str(disk)], check=True)
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (round(room * MIB), resource.RLIM_INFINITY))
    try:
        train(disk / "run")
    except WriteError as error:
        print(error)
    print(*sorted(path.name for path in (disk / "run").iterdir()))
    if how == "mount":
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    resumed = train(disk / "run")
    same = all(torch.equal(value, resumed[name]) for name, value in whole.items())
    logs = [(folder / "log.jsonl").read_bytes() for folder in (disk.parent / "whole", disk / "run")]
    print("same weights" if same else "other weights", "same log" if logs[0] == logs[1] else "another log")


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3])
