"""Loss curves of one, two and four processes, whole and sharded, at an equal batch.

    python benchmarks/processes.py --out SCRATCH

Simulates a small corpus, trains what each stage needs, then trains every stage for 50 steps in float64 and float32
with every number of processes, and prints the largest relative difference to one process over all steps. The
processes are those of the tests (``tests/train/ranks.py``), on the CPU, connected by gloo.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from neurolm.batches.text import shipped_text
from neurolm.core.config import RunConfig, StageConfig, to_json
from neurolm.core.recipes import recipe
from neurolm.corpora.simulated.simulate import simulate
from neurolm.prepare.prepare import prepare
from neurolm.train.figures.history import read_log
from neurolm.train.language import train_language
from neurolm.train.pretrain import train_pretrain
from neurolm.train.run import open_run
from neurolm.train.tokenizer import train_tokenizer

RANKS = Path(__file__).parents[1] / "tests" / "train" / "ranks.py"
STAGES = ("tokenizer", "pretrain", "instruct")
STEPS = 50
WORLDS = (1, 2, 4)
SUBJECTS = 12
FIGURES = {"tokenizer": ("raw", "codes_used"), "pretrain": ("eeg", "text"), "instruct": ("answer", "text")}
"""Of the log, compared beside the loss."""


def small() -> RunConfig:
    """The recipe tiny, narrower, with 8 samples a step."""
    config = recipe("tiny")
    tokenizer, language = config.model.tokenizer, config.model.language
    narrow = {"layers": 2, "heads": 2, "width": 32}
    model = replace(
        config.model,
        tokenizer=replace(
            tokenizer, encoder=replace(tokenizer.encoder, **narrow), decoder=replace(tokenizer.decoder, **narrow),
            codes=128, code_width=16, quantise_from=0.3,
        ),
        language=replace(language, transformer=replace(language.transformer, **narrow), text_tokens=300),
    )  # fmt: skip

    def stage(name: str) -> StageConfig:
        changed = {"eeg_batch": 0 if name == "language" else 8, "text_batch": 8, "steps": 30, "max_patches": 64}
        return replace(config.stage(name), **changed)

    return replace(config, model=model, **{name: stage(name) for name in ("language", *STAGES)})


def trained(out: Path) -> Path:
    """A run whose stages before the last are finished; returns its folder."""
    data = simulate(out / "corpus", subjects=SUBJECTS)
    prepare(data, out / "store", corpus="table", jobs=1)
    run = open_run(out / "run", config=small(), store=out / "store", device="cpu")
    for train in (train_language, train_tokenizer, train_pretrain):
        train(run, texts=shipped_text()[:2])
    return out / "run"


def jobs(out: Path) -> dict[tuple[str, str, bool, int], dict]:
    """What is trained, by stage, precision, whether sharded, and number of processes."""
    found = {}
    for stage in STAGES:
        for precision in ("float64", "float32"):
            for sharded in (False, True) if stage != "tokenizer" else (False,):
                for world in WORLDS if not sharded else WORLDS[1:]:
                    folder = out / "jobs" / f"{stage}-{precision}-{'sharded' if sharded else 'whole'}-{world}"
                    changes = {"steps": STEPS, "evaluate_every": 25, "save_every": 1000, "samples_at_once": 2,
                               "dropout": 0.0, "shard": sharded}  # fmt: skip
                    found[stage, precision, sharded, world] = {
                        "config": to_json(small()), "run": str(out / "run"), "store": str(out / "store"),
                        "out": str(folder), "stage": stage, "world": world, "double": precision == "float64",
                        "changes": changes, "number": len(found),
                    }  # fmt: skip
    return found


def curve(job: dict, name: str) -> np.ndarray:
    """A figure of the log by step."""
    return np.array([row[name] for row in read_log(Path(job["out"])) if row["kind"] == "training"])


def difference(job: dict, alone: dict, names: tuple[str, ...]) -> float:
    """Largest relative difference of some figures over all steps."""
    worst = 0.0
    for name in names:
        ours, theirs = curve(job, name), curve(alone, name)
        assert len(ours) == len(theirs) == STEPS
        worst = max(worst, float((np.abs(ours - theirs) / np.maximum(np.abs(theirs), 1e-12)).max()))
    return worst


def main() -> None:
    """Train and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for everything that is made")
    out = parser.parse_args().out
    trained(out)
    described = jobs(out)
    missing = [job for job in described.values() if not _is_whole(job)]
    (out / "jobs.json").write_text(json.dumps(missing))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    subprocess.run([sys.executable, str(RANKS), str(out / "jobs.json")], env=environment, check=True)
    print("| stage | precision | weights | processes | loss | further figures | weights alike to the bit |")
    print("|---|---|---|---|---|---|---|")
    for (stage, precision, sharded, world), job in described.items():
        if world == 1:
            continue
        alone = described[stage, precision, False, 1]
        said = [json.loads(path.read_text()) for path in sorted(Path(job["out"]).glob("said-*.json"))]
        alike = len(said) == world and len({one["digest"] for one in said}) == 1
        loss, further = (difference(job, alone, names) for names in (("loss",), FIGURES[stage]))
        where = "sharded" if sharded else "whole"
        print(
            f"| {stage} | {precision} | {where} | {world} | {loss:.1e} | {further:.1e} | {'yes' if alike else 'NO'} |"
        )


def _is_whole(job: dict) -> bool:
    rows = read_log(Path(job["out"])) if Path(job["out"]).exists() else []
    return sum(row["kind"] == "training" for row in rows) == STEPS


if __name__ == "__main__":
    main()
