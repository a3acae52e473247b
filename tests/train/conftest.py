"""Jobs of several processes, for tests."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from neurolm.core.config import to_json
from neurolm.train.figures.history import read_log

ENVIRONMENT = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}


@dataclass(frozen=True, kw_only=True)
class Job:
    """What became of a job."""

    out: Path
    number: int
    statuses: list[int]

    @property
    def outcomes(self) -> list[dict]:
        """What each process said at its end."""
        return [json.loads(path.read_text()) for path in sorted(self.out.glob(f"said-{self.number}-*.json"))]

    def curve(self, name: str, kind: str = "training") -> np.ndarray:
        """A figure by step."""
        return np.array([row[name] for row in read_log(self.out) if row["kind"] == kind])


@pytest.fixture(scope="session")
def describe(micro_run) -> Callable[..., dict]:
    """The function that describes a job for ``ranks.py``."""

    def describe(out: Path, stage: str, world: int, *, double: bool = False, changes=None, **options) -> dict:
        return {
            "config": to_json(micro_run.config), "run": str(micro_run.folder), "store": str(micro_run.store),
            "out": str(out), "stage": stage, "world": world, "double": double,
            "changes": {"dropout": 0.0, "average": 0.0} | (changes or {}), **options,
        }  # fmt: skip

    return describe


@pytest.fixture(scope="session")
def launch(tmp_path_factory) -> Callable[[list[dict]], list[Job]]:
    """The function that runs jobs, one after the other."""

    def launch(jobs: list[dict]) -> list[Job]:
        path = tmp_path_factory.mktemp("jobs") / "jobs.json"
        path.write_text(json.dumps([{**job, "number": number} for number, job in enumerate(jobs)]))
        child = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("ranks.py")), str(path)], env=os.environ | ENVIRONMENT,
            capture_output=True, text=True, timeout=550, check=False,
        )  # fmt: skip
        assert child.returncode == 0, child.stderr
        statuses = [json.loads(line) for line in child.stdout.splitlines() if line.startswith("[")]
        done = zip(jobs, statuses, strict=True)
        return [Job(out=Path(job["out"]), number=i, statuses=status) for i, (job, status) in enumerate(done)]

    return launch
