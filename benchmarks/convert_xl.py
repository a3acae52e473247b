"""Peak memory of converting a checkpoint of the paper's largest size, with random weights.

    python benchmarks/convert_xl.py --folder SCRATCH

Needs about 24 GB of disk (15 GB without --round_trip) in SCRATCH, which is emptied afterwards. Prints JSON; exits 1 if
the conversion took more than the limit.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

from neurolm.core.recipes import recipe
from neurolm.model.neurolm import NeuroLM
from neurolm.official.convert import LANGUAGE_FILES, TOKENIZER_FILE, from_official, to_official
from neurolm.official.file import TENSORS
from neurolm.official.weights import official_names

GIB = 2**30


def write_official(name: str, folder: Path) -> int:
    """Write random weights of a recipe's size as the authors' two files; returns how many numbers the larger holds."""
    with torch.device("meta"):
        model = NeuroLM(recipe(name).model)
    generator = torch.Generator().manual_seed(0)

    def random(module: NeuroLM | torch.nn.Module) -> dict[str, torch.Tensor]:
        own = module.state_dict()
        names = official_names(module)  # type: ignore[arg-type]
        shapes = {official: tuple(own[ours].shape) or (1,) for official, ours in names.items()}
        return {key: torch.empty(shape).normal_(std=0.02, generator=generator) for key, shape in shapes.items()}

    language = random(model)
    tokenizer = random(model.tokenizer)
    for key, value in language.items():
        if key.startswith("tokenizer."):
            tokenizer[key.replace("tokenizer.", "VQ.encoder.", 1)] = value
    tokenizer["VQ.quantize.embedding.initted"] = torch.ones(1)
    tokenizer["wte.weight"] = torch.empty(50_257, 768).normal_(generator=generator)
    heads = model.config.language.transformer.heads
    torch.save(
        {TENSORS: tokenizer, "encoder_args": {"n_head": 12}, "decoder_args": {"n_head": 12}}, folder / TOKENIZER_FILE
    )
    torch.save({TENSORS: language, "model_args": {"n_head": heads}}, folder / LANGUAGE_FILES[name])
    return sum(value.numel() for value in language.values())


def convert(name: str, folder: Path) -> None:
    """From the authors' files to ours."""
    done = from_official(folder / TOKENIZER_FILE, folder / LANGUAGE_FILES[name], folder / "ours")
    assert done.recipe == name


def convert_back(name: str, folder: Path) -> None:
    """From our folder to the authors' files."""
    to_official(folder / "ours", folder / "back")


def compare(name: str, folder: Path) -> None:
    """Check that every tensor came back to the bit."""
    for file in (TOKENIZER_FILE, LANGUAGE_FILES[name]):
        before, after = (torch.load(f / file, weights_only=True, mmap=True)[TENSORS] for f in (folder, folder / "back"))
        expected = {key for key in before if "embedding.cluster_size" not in key and "embed_avg" not in key}
        assert expected <= after.keys()
        assert all(torch.equal(before[key], after[key]) for key in expected)


def measured(work: Callable[[str, Path], object], name: str, folder: Path) -> tuple[object, dict[str, float]]:
    """Do something and return its result, its seconds and the peak memory of this process, mapped files included."""
    start = time.perf_counter()
    result = work(name, folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return result, {"seconds": round(time.perf_counter() - start, 1), "peak_gib": round(peak / GIB, 2)}


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", choices=sorted(LANGUAGE_FILES), default="xl")
    parser.add_argument("--folder", type=Path, default=None, help="scratch folder (the system's temporary one)")
    parser.add_argument("--limit_gib", type=float, default=12.0)
    parser.add_argument("--round_trip", action="store_true", help="convert back as well, and compare every bit")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=given.folder))

    def alone(work: Callable[[str, Path], object]) -> tuple[object, dict[str, float]]:
        spawn = multiprocessing.get_context("spawn")  # a process of its own, so that its peak is its own
        with ProcessPoolExecutor(1, mp_context=spawn) as pool:
            return pool.submit(measured, work, given.recipe, folder).result()

    try:
        numbers, written = alone(write_official)
        figures: dict[str, object] = {"recipe": given.recipe, "numbers": numbers, "write": written}
        figures["convert"] = converted = alone(convert)[1]
        if given.round_trip:
            figures["convert_back"] = alone(convert_back)[1]
            figures["compare"] = alone(compare)[1]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(figures, indent=2))
    return int(converted["peak_gib"] > given.limit_gib)


if __name__ == "__main__":
    sys.exit(main())
