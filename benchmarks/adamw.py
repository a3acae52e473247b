"""Time of AdamW's step on a CPU thread: fused into one pass over the weights, and not.

    python benchmarks/adamw.py

Prints milliseconds per million weights, alternating: the median of the rounds.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    optimizers, seconds = {}, {}
    for fused in (False, True):
        weight = torch.nn.Parameter(torch.randn(arguments.millions * 1_000_000))
        weight.grad = torch.randn_like(weight)
        optimizers[fused], seconds[fused] = torch.optim.AdamW([weight], fused=fused), []
        optimizers[fused].step()  # makes the moments
    for _ in range(arguments.rounds):
        for fused, optimizer in optimizers.items():
            began = time.process_time()
            optimizer.step()
            seconds[fused].append(time.process_time() - began)
    each = {fused: median(times) * 1000 / arguments.millions for fused, times in seconds.items()}
    print(f"one pass {each[True]:.2f} ms, one per operation {each[False]:.2f} ms: {each[False] / each[True]:.1f} times")


if __name__ == "__main__":
    main()
