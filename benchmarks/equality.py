"""Whether a device gives the numbers of a CPU in float32: losses, codes and answers

    python benchmarks/equality.py --device cuda [--recipe base] [--out FILE.json]

Same random weights, EEG and text on both, no dropout. Compared are the losses of a batch of every stage that trains on
EEG, the codes of its patches, and the log-likelihoods of a task's options; on CUDA also with compiled blocks. The exit
status is 1 where a difference is larger than `ALLOWED`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
from neurolm.ask.prompt import Prompt, contributions
from neurolm.batches.loader import Sample, sample_from
from neurolm.batches.text import TextTokenizer, shipped_text
from neurolm.core.batch import PADDING
from neurolm.core.montage import channel_id
from neurolm.core.physics import RATE
from neurolm.model.neurolm import NeuroLM
from neurolm.model.precision import keep_in_bfloat16
from neurolm.tasks.card import load_task
from neurolm.train.machine.execution import precision, set_execution, width_of
from training import stages
from training.corpus import MONTAGES
from training.stages import Settings

STAGES = ("tokenizer", "pretrain", "instruct")
ALLOWED = {
    "float32": {"loss": 1e-4, "codes": 0.002, "answers": 2e-3},
    "bfloat16": {"loss": 1e-2, "codes": 0.05, "answers": 0.1},
}
"""Largest relative difference of a loss, share of codes that are others, and difference of a log-likelihood in nats. In
float32 sums are taken in another order; bfloat16 keeps 8 bits of a product's factors."""
WINDOWS, SECONDS = 8, 4


@dataclass(frozen=True)
class Difference:
    """How far a device is from the CPU in float32."""

    of: str
    stage: str
    precision: str
    compiled: bool
    found: float
    allowed: float

    @property
    def holds(self) -> bool:
        """Whether it is as small as it has to be; NaN never is."""
        return self.found <= self.allowed

    def __str__(self) -> str:
        how = f"{self.precision}{', compiled' if self.compiled else ''}"
        verdict = "yes" if self.holds else "**no**"
        return f"| {self.stage} | {self.of} | {how} | {self.found:.2g} | {self.allowed:g} | {verdict} |"


def main() -> int:
    arguments = _arguments()
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False  # PyTorch's default rounds a convolution's factors to 10 bits
    found = []
    print("| stage | what | precision | difference | allowed | holds |", "|---|---|---|---|---|---|", sep="\n")
    with tempfile.TemporaryDirectory() as folder:
        for difference in differences(arguments, folder):
            found.append(difference)
            print(difference, flush=True)
            if arguments.out:  # whatever happens to the rest
                rows = [asdict(one) | {"holds": one.holds} for one in found]
                arguments.out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 0 if all(one.holds for one in found) else 1


def differences(arguments: argparse.Namespace, folder: str) -> Iterator[Difference]:
    """Compare everything in every precision, and compiled where the device compiles."""
    ways = [(name, False) for name in ALLOWED] + [("bfloat16", True)] * (arguments.device == "cuda")
    for stage in STAGES:
        settings = Settings(recipe=arguments.recipe, stage=stage, folder=folder, layers=arguments.layers,
                            eeg_batch=arguments.eeg_batch, text_batch=1, text_length=64)  # fmt: skip
        exact = numbers(settings)
        for kind, compiled in ways:
            how = replace(settings, device=arguments.device, precision=kind, compile=compiled)
            for name, value in numbers(how).items():
                apart = _apart(name, exact[name], value)
                yield Difference(name, stage, kind, compiled, apart, ALLOWED[kind][name])


def _apart(name: str, exact: np.ndarray, found: np.ndarray) -> float:
    if name == "codes":
        return float((exact != found).mean())
    difference = float(np.abs(exact - found).max())
    return difference / float(np.abs(exact).max()) if name == "loss" else difference


def numbers(settings: Settings) -> dict[str, np.ndarray]:
    """Loss of a batch, codes and answers of windows: of the same weights, wherever they are."""
    device = torch.device(settings.device)
    stage = stages.build(replace(settings, device="cpu"))  # random numbers are the device's, so weights are made here
    stage.steps, stage.device, module = stages.STEPS, device, stage.module.to(device).eval()
    if settings.stage == "tokenizer":
        stage.words = stage.words.to(device)
    set_execution(module, stage.config, device)
    batch = stages.batch(stage, 0)
    with torch.no_grad(), precision(stage.config, device, width=width_of(module)):
        total = sum(float(losses.total) for losses in _losses(stage, batch))
        found = {"loss": np.array([total])}
        if settings.stage == "tokenizer":
            parts = [(patches.document != PADDING, patches.to(device)) for patches in batch.patches]
            codes = [module.tokenize(patches).codes.cpu()[real] for real, patches in parts]
            found["codes"] = torch.cat(codes).numpy()
    if settings.stage == "instruct":
        found["answers"] = _answers(module, settings)
    return found


def _losses(stage: Any, batch: Any) -> Iterator[Any]:
    return stage.losses(0, batch, stage.loss)


def _answers(module: NeuroLM, settings: Settings) -> np.ndarray:
    """Log-likelihoods of a task's options for random windows, as answering computes them."""
    if settings.precision == "bfloat16":
        keep_in_bfloat16(module)
    task = load_task("eegmat")
    text = TextTokenizer.train(shipped_text(), stages.TEXT_VOCABULARY)
    prompt = Prompt.of(task, text, module.vocabulary.separator)
    said, _ = contributions(module, prompt, _windows(), device=torch.device(settings.device))
    return said


def _windows() -> list[Sample]:
    channels = np.array([channel_id(name) for name in MONTAGES["eegmat"]])
    made = np.random.default_rng(0).normal(0, 20, (WINDOWS, SECONDS * RATE, len(channels))).astype(np.float32)
    return [sample_from(window, channels) for window in made]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--recipe", choices=("tiny", "base", "large", "xl"), default="base")
    parser.add_argument("--layers", type=int, default=0, help="cut every stack of blocks to so many, for a quick look")
    parser.add_argument("--eeg-batch", type=int, default=2)
    parser.add_argument("--out", type=Path, help="JSON file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
