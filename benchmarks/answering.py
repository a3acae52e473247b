"""How fast questions are answered on this processor, in which precision, and in how much memory:

    OMP_NUM_THREADS=1 python benchmarks/answering.py --size base                # float32 beside bfloat16
    OMP_NUM_THREADS=1 python benchmarks/answering.py --size base --places 500 1000 2000 4000 8000
    OMP_NUM_THREADS=1 python benchmarks/answering.py --size xl --layers 4 --places 1000 4000

Random weights and random EEG of 4 and 23 electrodes. Every variant is a process of its own and all take turns; seconds
are those that the process computed, a ratio is the median over the rounds. Memory is the peak above the loaded model.
The floor is arithmetic: two operations for each weight of the blocks and each place, at the speed at which this
processor multiplies two matrices of the model's width in the same precision, measured beside.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from neurolm.ask.engine import score_options
from neurolm.ask.prompt import PLACES
from neurolm.batches.loader import Document, Sample, build_batch, in_batches, sample_from
from neurolm.core.config import ModelConfig
from neurolm.core.recipes import recipe
from neurolm.model.neurolm import NeuroLM
from neurolm.model.precision import keep_in_bfloat16

QUESTION, OPTIONS = list(range(1000, 1022)), [[21], [22, 23]]
"""Token ids: which ones matters to nobody."""
MONTAGES = {"4 electrodes, 30 s": (4, 30, 24), "4 electrodes, 4 s": (4, 4, 128), "23 electrodes, 10 s": (23, 10, 16)}
"""Electrodes, seconds and windows."""
WARM = 1


def main() -> None:
    arguments = _arguments()
    variants = [(precision, places) for places in arguments.places for precision in arguments.precisions]
    context, pipes = multiprocessing.get_context("spawn"), {}
    for variant in variants:
        pipes[variant], theirs = context.Pipe()
        context.Process(target=_serve, args=(theirs, *variant, arguments), daemon=True).start()
        pipes[variant].recv()
    print(f"{arguments.size}, {torch.__version__}, {arguments.threads} thread(s), peak above the loaded model\n")
    print("| windows | precision | places | ms a window | faster | GiB | of the floor | convolution | logs differ |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in MONTAGES:
        _compare(name, pipes, arguments)
    for pipe in pipes.values():
        pipe.send(None)


def _compare(name: str, pipes: dict[Any, Any], arguments: argparse.Namespace) -> None:
    found: dict[Any, list[dict[str, Any]]] = {variant: [] for variant in pipes}
    for _ in range(WARM + arguments.rounds):
        for variant, pipe in pipes.items():
            pipe.send(name)
            found[variant].append(pipe.recv())
    reference = found[next(iter(found))]
    windows = MONTAGES[name][2]
    for (precision, places), rounds in found.items():
        timed = rounds[WARM:]
        faster = median(a["seconds"] / b["seconds"] for a, b in zip(reference[WARM:], timed, strict=True))
        share = median(one["floor"] / one["seconds"] for one in timed)
        apart = np.abs(rounds[0]["said"] - reference[0]["said"])
        print(
            f"| {name} | {precision} | {places} | {median(r['seconds'] for r in timed) / windows * 1e3:.1f} | "
            f"{faster:.2f} | {max(one['peak'] for one in rounds) / 2**30:.2f} | {share:.0%} | "
            f"{median(one['convolved'] / one['seconds'] for one in timed):.0%} | "
            f"{apart.max():.3f} (mean {apart.mean():.4f}) |",
            flush=True,
        )


def _serve(pipe: Any, precision: str, places: int, arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    config = _cut(recipe(arguments.size).model, arguments.layers)
    model = NeuroLM(config, decoders=False).eval()
    model.tokenizer.quantizer.initialised.fill_(True)
    if precision == "bfloat16":
        keep_in_bfloat16(model)
    convolved: list[float] = []
    convolution = model.tokenizer.encoder.convolution
    convolution.register_forward_pre_hook(lambda *_: convolved.append(-time.process_time()))
    convolution.register_forward_hook(lambda *_: convolved.append(time.process_time()))
    pipe.send("ready")
    while (name := pipe.recv()) is not None:
        samples = _samples(name)
        loaded = _reset_peak()
        convolved.clear()
        began = time.process_time()
        said = _answer(model, samples, places)
        seconds = time.process_time() - began
        answer = {"said": said, "seconds": seconds, "peak": _status("VmHWM") - loaded, "convolved": sum(convolved)}
        pipe.send(answer | {"floor": _floor(config, samples, precision)})


@torch.no_grad()
def _answer(model: NeuroLM, samples: list[Sample], places: int) -> np.ndarray:
    said = []
    for part in in_batches(samples, places=places, text=len(QUESTION) + sum(map(len, OPTIONS))):
        documents = [Document(sample=i, text=QUESTION) for i in range(len(part))]
        said.append(score_options(model, build_batch(part, documents, packed=False), OPTIONS).numpy())
    return np.concatenate(said)


def _samples(name: str) -> list[Sample]:
    electrodes, seconds, windows = MONTAGES[name]
    rng = np.random.default_rng(0)
    return [
        sample_from(rng.normal(0, 20, (seconds * 200, electrodes)).astype(np.float32), np.arange(electrodes))
        for _ in range(windows)
    ]


def _floor(config: ModelConfig, samples: list[Sample], precision: str) -> float:
    """Seconds of the blocks' products alone."""
    dtype = torch.float32 if precision == "float32" else torch.bfloat16
    seconds = 0.0
    for stack, text in ((config.tokenizer.encoder, 0), (config.language.transformer, len(QUESTION))):
        places, width = sum(len(sample.second) + text for sample in samples), stack.width
        x, weight = torch.randn(2048, width).to(dtype), torch.randn(4 * width, width).to(dtype)
        times = []
        for _ in range(4):
            began = time.process_time()
            torch.nn.functional.linear(x, weight)
            times.append((time.process_time() - began) / (len(x) * 4 * width * width))
        seconds += min(times) * 12 * width**2 * stack.layers * places
    return seconds


def _cut(config: ModelConfig, layers: int) -> ModelConfig:
    if not layers:
        return config
    encoder, language = config.tokenizer.encoder, config.language.transformer
    return replace(
        config,
        tokenizer=replace(config.tokenizer, encoder=replace(encoder, layers=min(layers, encoder.layers))),
        language=replace(config.language, transformer=replace(language, layers=min(layers, language.layers))),
    )


def _reset_peak() -> int:
    """Let VmHWM count from here; returns what is held."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="base", help="a recipe")
    parser.add_argument("--layers", type=int, default=0, help="cut every stack of blocks to so many, for a quick look")
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--places", type=int, nargs="+", default=[PLACES["cpu"]])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
