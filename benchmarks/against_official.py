"""Side by side with the official implementation, of which you have a checkout:

    python benchmarks/against_official.py --official NeuroLM --gpt2 FOLDER

Measures one training step of each stage, tokenising EEG, and answering a batch of questions: each variant in a process
of its own, all of a measurement alternating, on the same random EEG and text, at the size of a recipe of the paper. On
CPU seconds are those that the process computed, so that other work on the machine does not count, and memory is the
process's peak above what it held before the model was built; on CUDA they are the clock's, and what PyTorch allocated.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))
from official_comparison.settings import OWN, STAGES, THEIRS, Settings
from official_comparison.worker import work

GIB = 2**30


def main() -> None:
    arguments = _arguments()
    settings = Settings(
        stage="",
        size=arguments.size,
        layers=arguments.layers,
        eeg_batch=arguments.eeg_batch,
        text_batch=arguments.text_batch,
        text_length=arguments.text_length,
        hours=arguments.hours,
        device=arguments.device,
        bf16=arguments.bf16,
        compile=arguments.compile,
        threads=arguments.threads,
        official=str(arguments.official.resolve()),
        gpt2=str(arguments.gpt2.resolve()),
    )
    rows = []
    for stage in arguments.stages:
        measured = measure(replace(settings, stage=stage), arguments.rounds)
        rows += compare(stage, measured)
        print(table(rows[-len(OWN[stage]) :], header=len(rows) == len(OWN[stage])), flush=True)
    machine = torch.cuda.get_device_name() if arguments.device == "cuda" else f"{os.cpu_count()} cores, no GPU"
    described = {k: v for k, v in asdict(settings).items() if k not in ("stage", "official", "gpt2")}
    result = {"machine": machine, "torch": torch.__version__, "python": platform.python_version(), **described}
    if arguments.out:
        arguments.out.write_text(json.dumps(result | {"rows": rows}, indent=2) + "\n")


def measure(settings: Settings, rounds: int) -> dict[str, dict[str, Any]]:
    """Seconds of each round and bytes held, for each variant. The first round warms up and is not counted; an hour of
    EEG is tokenised once, without.
    """
    context, variants = multiprocessing.get_context("spawn"), (THEIRS, *OWN[settings.stage])
    pipes, processes = {}, []
    for name in variants:
        pipes[name], other = context.Pipe()
        process = context.Process(target=work, args=(other, name, settings), daemon=True)
        process.start()
        processes.append(process)
        _answer(pipes[name])
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    warm = 0 if settings.stage == "tokenise" else 1
    for round_ in range(rounds + 1 if warm else 1):
        for name in variants:
            pipes[name].send(round_)
            seconds[name].append(_answer(pipes[name]))
            print(f"# {settings.stage}, round {round_}, {name}: {seconds[name][-1]:.2f} s", file=sys.stderr, flush=True)
    found = {}
    for name in variants:
        pipes[name].send("memory")
        found[name] = {"seconds": seconds[name][warm:], **_answer(pipes[name])}
        pipes[name].send("stop")
    for process in processes:
        process.join()
    return found


def _answer(pipe: Any) -> Any:
    answer = pipe.recv()
    if isinstance(answer, Exception):
        raise answer
    return answer


def compare(stage: str, measured: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Ratios of each of our variants to the official one, round by round."""
    theirs, rows = measured[THEIRS], []
    for name in OWN[stage]:
        ours = measured[name]
        ratios = [a / b for a, b in zip(theirs["seconds"], ours["seconds"], strict=True)]
        rows.append(
            {
                "measurement": stage,
                "variant": name,
                "official_seconds": median(theirs["seconds"]),
                "seconds": median(ours["seconds"]),
                "faster": median(ratios),
                "faster_low": min(ratios),
                "faster_high": max(ratios),
                "official_peak_gib": theirs["peak"] / GIB,
                "peak_gib": ours["peak"] / GIB,
                "memory": ours["peak"] / theirs["peak"],
                "official_state_gib": theirs["state"] / GIB,
                "state_gib": ours["state"] / GIB,
                "memory_beyond_state": (ours["peak"] - ours["state"]) / (theirs["peak"] - theirs["state"]),
            }
        )
    return rows


def table(rows: Sequence[dict[str, Any]], *, header: bool) -> str:
    """Markdown rows."""
    lines = []
    if header:
        lines = [
            "| step | variant | official s | ours s | times faster | official GiB | ours GiB | memory | beyond state |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
    for row in rows:
        lines.append(
            f"| {row['measurement']} | {row['variant']} | {row['official_seconds']:.2f} | {row['seconds']:.2f} | "
            f"{row['faster']:.2f} ({row['faster_low']:.2f}–{row['faster_high']:.2f}) | "
            f"{row['official_peak_gib']:.2f} | {row['peak_gib']:.2f} | {row['memory']:.2f} | "
            f"{row['memory_beyond_state']:.2f} |"
        )
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--official", type=Path, required=True, help="checkout of github.com/935963004/NeuroLM")
    parser.add_argument("--gpt2", type=Path, required=True, help="folder with GPT-2's vocab.json and merges.txt")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--size", choices=("base", "large", "xl"), default="base")
    parser.add_argument("--layers", type=int, default=0, help="cut every stack of blocks to so many, for a quick look")
    parser.add_argument("--eeg-batch", type=int, default=4)
    parser.add_argument("--text-batch", type=int, default=1)
    parser.add_argument("--text-length", type=int, default=1024)
    parser.add_argument("--hours", type=float, default=1.0, help="hours of 23-channel EEG to tokenise")
    parser.add_argument("--rounds", type=int, default=3, help="counted rounds, after one that warms up")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--bf16", action="store_true", help="bfloat16 autocast on both sides")
    parser.add_argument("--compile", action="store_true", help="compile the official model, as its scripts do")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, help="JSON file")
    arguments = parser.parse_args()
    if not (arguments.official / "model" / "model_neurolm.py").is_file():
        parser.error(
            f"--official {arguments.official}: no checkout of the official repository (model/model_neurolm.py)"
        )
    if not (arguments.gpt2 / "merges.txt").is_file():
        parser.error(f"--gpt2 {arguments.gpt2}: no vocab.json and merges.txt of GPT-2 there")
    return arguments


if __name__ == "__main__":
    main()
