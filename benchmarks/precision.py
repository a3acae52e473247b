"""Where products in bfloat16 pay on a processor, by the width of a model and the places in a batch:

    OMP_NUM_THREADS=1 python benchmarks/precision.py --out precision.json

A stack of blocks runs in float32 and under autocast to bfloat16, in turn, on the same input: forwards alone, with the
weights of the linear layers in bfloat16, as in answering; and forwards and backwards from float32 weights, as in
training. Seconds are those that the process computed; a ratio is the median over the rounds, above one where bfloat16
is the faster. ``neurolm.model.precision`` decides by these figures; what it chooses is marked with a star.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from neurolm.core.config import TransformerConfig
from neurolm.model.attention import visibility
from neurolm.model.precision import bfloat16_pays
from neurolm.model.transformer import Transformer

WIDTHS = (64, 128, 192, 256, 384, 512, 768, 1024)
PLACES = (128, 256, 512, 1024, 2048, 4096, 8192)
HEAD = 64
ROW = 512
"""Most places of a row: about as long as windows with a question are."""
LEAST_SECONDS = 0.1
"""A round repeats what is shorter."""


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    rows: list[dict[str, Any]] = []
    for training in (False, True):
        print(f"\n{'training' if training else 'inference'}: float32 seconds / bfloat16 seconds\n")
        print("| width | " + " | ".join(f"{places:,} places" for places in arguments.places) + " |")
        print("|---" * (1 + len(arguments.places)) + "|")
        for width in arguments.widths:
            cells = []
            for places in arguments.places:
                found = measure(width, places, training=training, layers=arguments.layers, rounds=arguments.rounds)
                rows.append({"width": width, "places": places, "training": training, **found})
                chosen = bfloat16_pays(torch.device("cpu"), width=width, places=places, training=training)
                cells.append(f"{found['ratio']:.2f} ({found['low']:.2f}–{found['high']:.2f}){' *' if chosen else ''}")
            print(f"| {width} | " + " | ".join(cells) + " |", flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps({"torch": torch.__version__, "rows": rows}, indent=2) + "\n")


def measure(width: int, places: int, *, training: bool, layers: int, rounds: int) -> dict[str, float]:
    """Ratios of the seconds in float32 to those in bfloat16, round by round, and the median seconds of both."""
    torch.manual_seed(0)
    stack = Transformer(TransformerConfig(layers=layers, heads=max(1, width // HEAD), width=width)).train(training)
    cast = stack if training else _with_bfloat16_weights(stack)
    length = min(places, ROW)
    x = torch.randn(places // length, length, width)
    steps = {"float32": _step(stack, x, training, False), "bfloat16": _step(cast, x, training, True)}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    repeats = {name: max(1, round(LEAST_SECONDS / _seconds(step, 1))) for name, step in steps.items()}
    for _ in range(rounds):
        for name, step in steps.items():
            seconds[name].append(_seconds(step, repeats[name]))
    ratios = [a / b for a, b in zip(seconds["float32"], seconds["bfloat16"], strict=True)]
    medians = {name: median(values) for name, values in seconds.items()}
    return {"ratio": median(ratios), "low": min(ratios), "high": max(ratios), **medians}


def _step(stack: Transformer, x: Tensor, training: bool, cast: bool) -> Callable[[], None]:
    """A pass of the blocks over documents of text, one a row; with their gradients in training."""
    document = torch.zeros(x.shape[:2], dtype=torch.int64)
    seen = visibility(document, torch.arange(x.shape[1]).expand_as(document))

    def step() -> None:
        with torch.set_grad_enabled(training), torch.autocast("cpu", torch.bfloat16, enabled=cast):
            out = stack(x, seen)
        if training:
            out.sum().backward()
            stack.zero_grad(set_to_none=True)

    step()  # whatever is made once is made here
    return step


def _with_bfloat16_weights(stack: Transformer) -> Transformer:
    stack = copy.deepcopy(stack)
    for part in stack.modules():
        if isinstance(part, torch.nn.Linear):
            part.to(torch.bfloat16)
    return stack


def _seconds(step: Callable[[], None], repeats: int) -> float:
    began = time.process_time()
    for _ in range(repeats):
        step()
    return (time.process_time() - began) / repeats


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--places", type=int, nargs="+", default=PLACES)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="JSON file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
