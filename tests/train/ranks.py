"""Runs jobs of several processes each: ``python ranks.py jobs.json``.

A process of its own, since PyTorch's autograd does not survive a fork once it was used: this one imports everything
once, uses nothing, and forks the processes of a job, which is much faster than starting each anew.
"""

import dataclasses
import faulthandler
import hashlib
import json
import math
import os
import resource
import signal
import socket
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path

import torch
import torch._dynamo  # else each process would import it
import torch.distributed.checkpoint
from torch.distributed.tensor import DTensor

from neurolm.batches.text import shipped_text, token_stream
from neurolm.core import distributed
from neurolm.core.batch import Patches
from neurolm.core.config import LoraConfig, RunConfig
from neurolm.core.decode import decode
from neurolm.train import loop
from neurolm.train.instruct import InstructStage, train_instruct
from neurolm.train.loop import run_stage
from neurolm.train.machine.state import save_tensors
from neurolm.train.pretrain import PretrainStage
from neurolm.train.run import open_run
from neurolm.train.shared import language_of, new_neurolm
from neurolm.train.tokenizer import TokenizerStage

DEADLINE = 200.0
"""Seconds for a job; and for each of its processes, which then say where they are."""


def work(job: dict, rank: int) -> None:
    """One process of a job: trains a stage and says in ``said-JOB-RANK.json`` what became of it."""
    out = Path(job["out"])
    outcome: dict[str, object] = {"error": None}
    try:
        with distributed.joined(cuda=False, deadline=DEADLINE / 2):
            outcome |= train(job, rank, out)
    except Exception as error:
        outcome |= {"error": type(error).__name__, "message": str(error), "trace": traceback.format_exc()}
        outcome["threads"] = threads()  # while the traceback is still there
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    out.mkdir(parents=True, exist_ok=True)
    (out / f"said-{job['number']}-{rank}.json").write_text(json.dumps(outcome))


def train(job: dict, rank: int, out: Path) -> dict[str, object]:
    config = decode(RunConfig, job["config"])
    run = open_run(Path(job["run"]), config=config, store=Path(job["store"]), device="cpu")
    torch.set_num_threads(1)
    text, weights = language_of(run)
    stream = token_stream(text, shipped_text()[:2])
    changes = job["changes"] | {"lora": LoraConfig(**job["changes"].get("lora", {}))}
    changed = replace(config.stage(job["stage"]), **changes)
    run = replace(run, config=replace(config, **{job["stage"]: changed}))
    if job.get("finished"):
        train_instruct(run, texts=shipped_text()[:2])
        return {}
    if job["stage"] == "tokenizer":
        # No code dies in so few steps otherwise; in float32 a flip would tell more.
        tokenizer = replace(config.model.tokenizer, **({"revive": 0.9} if job["double"] else {}))
        run = replace(run, config=replace(run.config, model=replace(config.model, tokenizer=tokenizer)))
        stage = TokenizerStage(run, weights["wte.weight"], stream)
    else:
        module = new_neurolm(run, changed, weights)
        stage = (
            PretrainStage(run, module, stream)
            if job["stage"] == "pretrain"
            else InstructStage(run, module, text, stream)
        )
    if job["double"]:
        in_double(stage)
    seen = interfere(job, rank, stage)
    run_stage(stage, out, device=run.device, workers=job.get("workers"))
    return {"digest": digest(stage.module), "names": sorted(vars(stage.module)), "from": min(seen)}


def in_double(stage) -> None:
    torch.set_default_dtype(torch.float64)
    stage.module.double()
    if hasattr(stage, "words"):
        stage.words = stage.words.double()
    real = Patches.to

    def to(patches, device):
        return dataclasses.replace(real(patches, device), samples=patches.samples.double())

    Patches.to = to  # type: ignore[method-assign]


def interfere(job: dict, rank: int, stage) -> list[int]:
    """Let something happen to one process at a step: a kill, a signal, a patch that is NaN.

    Returns a list that will hold the steps that were made.
    """
    real, seen = stage.losses, []

    def losses(step, batch, loss):
        seen.append(step)
        if job.get("what") is not None and rank == job["to_rank"] and step == job["at"]:
            if job["what"] == "nan":
                batch.patches[0].samples[0, 0, 0] = math.nan
            elif job["what"] == "full":
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
            else:
                for name in job["what"].split():
                    os.kill(os.getpid(), getattr(signal, name))
        return real(step, batch, loss)

    stage.losses = losses
    if rank == 0 and job.get("slow_disk"):
        loop.save_tensors = lambda *given: (time.sleep(job["slow_disk"]), save_tensors(*given))  # type: ignore[assignment]
    return seen


def digest(module: torch.nn.Module) -> str:
    hashed = hashlib.sha256()
    for name, value in module.state_dict().items():
        whole = value.full_tensor() if isinstance(value, DTensor) else value
        hashed.update(name.encode() + whole.numpy().tobytes())
    return hashed.hexdigest()


def threads() -> list[str]:
    """Names of the threads of this process that belong to its connection with the others."""
    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    return [name for name in names if "gloo" in name]


def launch(job: dict) -> list[int]:
    """Run a job; returns the exit status of each process: those that are not done in time are killed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for left in job.get("left", ()):  # by a process that was killed while it saved
        Path(left).mkdir(parents=True)
        (Path(left) / "__0_0.distcp").write_bytes(b"half")
    for damaged in job.get("damaged", ()):
        Path(damaged).write_bytes(Path(damaged).read_bytes()[:100])
    children = []
    for rank in range(job["world"]):
        child = os.fork()
        if child == 0:
            os.environ |= {
                "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(job["world"]),
                "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
            }  # fmt: skip
            faulthandler.dump_traceback_later(DEADLINE, exit=True)
            try:
                work(job, rank)
            finally:
                sys.stdout.flush()
                os._exit(0)
        children.append(child)
    return [status(child, time.monotonic() + DEADLINE + 5) for child in children]


def status(child: int, until: float) -> int:
    while time.monotonic() < until:
        done, found = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(found)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    if "model_type" in Path(sys.argv[1]).read_text():  # once, before the processes part: it takes seconds
        pass
    jobs = json.loads(Path(sys.argv[1]).read_text())
    if any("lora" in job["changes"] for job in jobs):
        import peft  # noqa: F401
    for one in jobs:
        print(json.dumps(launch(one)), flush=True)
