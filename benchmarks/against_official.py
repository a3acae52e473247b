"""Side by side with the official implementation, of which you have a checkout:

    python benchmarks/against_official.py --official NeuroLM --gpt2 FOLDER

Their code needs `pip install einops`.

Measures one training step of each stage, tokenising EEG, and answering a batch of questions, in float32 and bfloat16:
each variant in a process of its own, all of a measurement alternating, on the same random EEG and text, at the size of
a recipe of the paper. On CPU seconds are those that the process computed, so that other work on the machine does not
count, and memory is the process's peak above what it held before the model was built; on CUDA they are the clock's, and
what PyTorch allocated.
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
from official_comparison.settings import FIXED, OWN, PRECISIONS, STAGES, THEIRS, Settings
from official_comparison.worker import work

GIB = 2**30
Measured = dict[tuple[str, str], dict[str, Any]]
"""By variant and precision: seconds of the rounds, bytes at the peak, bytes of weights and optimizer state."""


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
        precision="",
        compile=arguments.compile,
        threads=arguments.threads,
        official=str(arguments.official.resolve()),
        gpt2=str(arguments.gpt2.resolve()),
    )
    precisions, rows = arguments.precisions, []
    for stage in arguments.stages:
        variants = [name for name in OWN[stage] if name in (arguments.variants or OWN[stage])]
        found = compare(stage, measure(replace(settings, stage=stage), variants, precisions, arguments.rounds))
        print(table(found, precisions, header=not rows), flush=True)
        rows += found
    machine = torch.cuda.get_device_name() if arguments.device == "cuda" else f"{os.cpu_count()} cores, no GPU"
    described = {k: v for k, v in asdict(settings).items() if k not in ("stage", "precision", "official", "gpt2")}
    result = {"machine": machine, "torch": torch.__version__, "python": platform.python_version(), **described}
    if arguments.out:
        arguments.out.write_text(json.dumps(result | {"rows": rows}, indent=2) + "\n")


def measure(settings: Settings, variants: Sequence[str], precisions: Sequence[str], rounds: int) -> Measured:
    """Seconds of each round and bytes held, for each variant in each precision. The first round warms up and is not
    counted; hours of EEG are tokenised once, without.
    """
    context, pipes, processes = multiprocessing.get_context("spawn"), {}, []
    for name in (THEIRS, *variants):
        # What is trained is in float32 in either precision, and one process has it: it may hold gigabytes.
        for own in [[precision] for precision in precisions] if settings.stage in FIXED else [precisions]:
            pipe, other = context.Pipe()
            process = context.Process(target=work, args=(other, name, replace(settings, precision=own[0])), daemon=True)
            process.start()
            processes.append(process)
            _answer(pipe)
            pipes |= {(name, precision): pipe for precision in own}
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in pipes}
    warm = 0 if settings.stage == "tokenise" else 1
    for round_ in range(rounds + 1 if warm else 1):
        for key, pipe in pipes.items():
            pipe.send((key[1], round_))
            seconds[key].append(_answer(pipe))
            said = f"# {settings.stage}, round {round_}, {' '.join(key)}: {seconds[key][-1]:.2f} s"
            print(said, file=sys.stderr, flush=True)
    found = {}
    for key, pipe in pipes.items():
        pipe.send((key[1], "memory"))
        found[key] = {"seconds": seconds[key][warm:], **_answer(pipe)}
    for pipe in set(pipes.values()):
        pipe.send("stop")
    for process in processes:
        process.join()
    return found


def _answer(pipe: Any) -> Any:
    answer = pipe.recv()
    if isinstance(answer, Exception):
        raise answer
    return answer


def compare(stage: str, measured: Measured) -> list[dict[str, Any]]:
    """Ratios of each of our variants to the official one in each of its precisions, round by round; and of memory to
    the official one in the same precision.
    """
    rows = []
    for (name, precision), ours in measured.items():
        if name == THEIRS:
            continue
        row = {"measurement": stage, "variant": name, "precision": precision, "seconds": median(ours["seconds"])}
        for other in (other for official, other in measured if official == THEIRS):
            theirs = measured[THEIRS, other]["seconds"]
            ratios = [a / b for a, b in zip(theirs, ours["seconds"], strict=True)]
            row |= {f"official_seconds_{other}": median(theirs), f"faster_{other}": median(ratios)}
            row |= {f"faster_{other}_low": min(ratios), f"faster_{other}_high": max(ratios)}
        theirs = measured[THEIRS, precision]
        row |= {
            "official_peak_gib": theirs["peak"] / GIB,
            "peak_gib": ours["peak"] / GIB,
            "memory": ours["peak"] / theirs["peak"],
            "official_state_gib": theirs["state"] / GIB,
            "state_gib": ours["state"] / GIB,
            "memory_beyond_state": (ours["peak"] - ours["state"]) / (theirs["peak"] - theirs["state"]),
        }
        rows.append(row)
    return rows


def table(rows: Sequence[dict[str, Any]], precisions: Sequence[str], *, header: bool) -> str:
    """Markdown rows."""
    lines = []
    if header:
        names = ["step", "variant", "precision", "ours s"]
        names += [cell for other in precisions for cell in (f"official s, {other}", "times faster")]
        names += ["official GiB", "ours GiB", "memory", "beyond state"]
        lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for row in rows:
        cells = [row["measurement"], row["variant"], row["precision"], f"{row['seconds']:.2f}"]
        for other in precisions:
            ratio, low, high = (row[f"faster_{other}{end}"] for end in ("", "_low", "_high"))
            cells += [f"{row[f'official_seconds_{other}']:.2f}", f"{ratio:.2f} ({low:.2f}–{high:.2f})"]
        cells += [f"{row[name]:.2f}" for name in ("official_peak_gib", "peak_gib", "memory", "memory_beyond_state")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--official", type=Path, required=True, help="checkout of github.com/935963004/NeuroLM")
    parser.add_argument("--gpt2", type=Path, required=True, help="folder with GPT-2's vocab.json and merges.txt")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--variants", nargs="+", help="of ours, where not all are wanted")
    parser.add_argument("--size", choices=("base", "large", "xl"), default="base")
    parser.add_argument("--layers", type=int, default=0, help="cut every stack of blocks to so many, for a quick look")
    parser.add_argument("--eeg-batch", type=int, default=4)
    parser.add_argument("--text-batch", type=int, default=1)
    parser.add_argument("--text-length", type=int, default=1024)
    parser.add_argument("--hours", type=float, default=1.0, help="hours of 23-channel EEG to tokenise")
    parser.add_argument("--rounds", type=int, default=3, help="counted rounds, after one that warms up")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS, help="of both sides")
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
