"""What an electrode made from the others is worth: splines, the model, and what needs neither

    python benchmarks/imputing.py runs/demo --store runs/demo/store

Of people that none of the run's tasks trained or validated on (--part validation: for choosing), windows as long as
the tokenizer's training: each third electrode in turn is taken away, made from the others, and compared with what was
recorded. Means over windows and electrodes, with the standard error of the difference to splines over people. The
spectrum of the other electrodes stands in for the model's in one row, so that what the model adds can be seen. Nothing
is written.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from causal import opened
from forecasting import people
from neurolm.batches.loader import Sample, read_sample
from neurolm.batches.windows import spread, unlabelled_windows
from neurolm.core.montage import NAMES, template_positions
from neurolm.core.physics import PATCH
from neurolm.model.encoder import FLOOR, SPECTRUM
from neurolm.model.tokenizer import NeuralTokenizer
from neurolm.recording.electrodes.positions import spline_weights
from neurolm.signals.impute import score, towards_decoded
from neurolm.signals.models import open_model
from neurolm.signals.scores import amplitudes

SPLINES = "splines"
MEASURES = {"correlation": "correlation", "share of variance": "variance", "log spectrum, RMSE dB": "spectrum_db"}


def made(tokenizer: NeuralTokenizer, sample: Sample, out: int) -> Iterator[tuple[str, np.ndarray]]:
    """Each way to make an electrode, by its place: float (seconds, 200)."""
    channel, positions = sample.channel[: sample.channels], template_positions()
    patches = sample.patches.reshape(sample.seconds, -1, PATCH).astype(float)
    keep = np.delete(np.arange(len(channel)), out)
    places = np.array([positions[NAMES[one]] for one in channel])
    splines = np.einsum("k,skt->st", spline_weights(places[keep], places[[out]])[0], patches[:, keep])
    yield SPLINES, splines
    ids = np.array([*channel[keep], channel[out]])
    yield "model", towards_decoded(tokenizer, patches[:, keep], splines[:, None], ids)[:, 0]
    spectra = np.fft.rfft(splines)[:, :SPECTRUM]
    others = np.exp(np.log(amplitudes(patches[:, keep]) + FLOOR).mean(axis=1)) - FLOOR
    half = np.sqrt(np.maximum(others, 0) / np.maximum(np.abs(spectra), 1e-9))
    yield "splines halfway to the mean spectrum of the others", np.fft.irfft(spectra * half, PATCH)
    yield "nearest electrode", patches[:, keep[np.linalg.norm(places[keep] - places[out], axis=1).argmin()]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs, as folds of one task")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--part", choices=("test", "validation"), default="test")
    parser.add_argument("--windows", type=int, default=24, help="of each run")
    parser.add_argument("--every", type=int, default=3, help="of how many electrodes one is taken away")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    found: dict[str, dict[str, list[tuple[float, ...]]]] = defaultdict(lambda: defaultdict(list))
    for folder in given.runs:
        run, model = opened(folder, given.store), open_model(folder, language=False, device="cpu")
        windows = unlabelled_windows(
            run.store, max_patches=model.seconds[0], max_seconds=model.seconds[1], subjects=people(run, given.part)
        )
        for window in spread(windows, given.windows):
            sample = read_sample(run.store, window)
            person = run.store.outlines[window.recording].subject
            for out in range(0, sample.channels, given.every):
                recorded = sample.patches.reshape(sample.seconds, -1, PATCH)[:, out].astype(float)
                for name, patches in made(model.tokenizer, sample, out):
                    one = score("", patches, recorded)
                    found[name][person].append(tuple(getattr(one, key) or 0.0 for key in MEASURES.values()))
    means = {name: np.array([np.mean(each, axis=0) for each in people.values()]) for name, people in found.items()}
    count = sum(map(len, found[SPLINES].values()))
    print(f"\n{run.config.recipe}: {count} electrodes taken away, of {len(found[SPLINES])} {given.part} people\n")
    print(f"| made by | {' | '.join(f'{name} | more than splines' for name in MEASURES)} |")
    print(f"|---|{'---|---|' * len(MEASURES)}")
    for name, each in means.items():
        gained = each - means[SPLINES]
        error = gained.std(axis=0, ddof=1) / np.sqrt(len(each))
        cells = (f"{m:.2f} | {g:+.3f} ± {e:.3f}" for m, g, e in zip(each.mean(0), gained.mean(0), error, strict=True))
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
