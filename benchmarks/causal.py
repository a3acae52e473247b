"""What can be forecast: the next second's codes, by causal and faithful models and by simple methods

    python benchmarks/causal.py runs/causal runs/demo --store runs/demo/store

For each run, on people that none of its tasks trained or validated on: cross-entropy of each electrode's next code by
the model after pretraining, as it is trained (its encoder reads whole windows) and with an encoder that is given the
seconds so far alone; by counts of training people; and by an AR model of the electrode, whose next second is drawn and
tokenised, and whose code is then counted by. All of them forecast the same codes, those of whole windows. Codebooks
differ between models: compare the nats gained on the unigram.
Then the accuracy of the runs' answers, as `neurolm evaluate` left it in them. Nothing is written.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from forecasts.tables import AR, METHODS, Targets, score, tested
from neurolm.batches.loader import Document, Sample, build_batch, build_patches, read_sample
from neurolm.batches.windows import Window, spread
from neurolm.checkpoint import load_neurolm
from neurolm.core.decode import load_json
from neurolm.evaluation.results import BAND_POWER, PARTS, RESULTS, load_evaluation
from neurolm.model.neurolm import NeuroLM
from neurolm.signals.autoregression import go_on
from neurolm.store.store import Store
from neurolm.tasks.card import load_task
from neurolm.tasks.task import in_fold
from neurolm.train.run import Run, RunFile
from neurolm.train.shared import eeg_windows

SEED, EVERY = 0, 10**9


def opened(folder: Path, store: Path) -> Run:
    """A run and who is held out, without a lock on it."""
    begun = load_json(RunFile, folder / "run.json")
    if (found := Store(store)).fingerprint != begun.store:
        raise SystemExit(f"{folder}: was trained on another store than {store}")
    tasks = [load_task(name) for name in begun.tasks]
    if begun.fold is not None:
        tasks = [in_fold(task, begun.fold) for task in tasks]
    splits = {task.name: task.split(found) for task in tasks}
    return Run(folder=folder, config=begun.config, store=found, tasks=tuple(tasks), splits=splits,
               device=torch.device("cpu"))  # fmt: skip


def read(run: Run, part: str, most: int) -> Iterator[Sample]:
    """Evenly spread windows of two seconds and more of a part's people; of the test, none who trains or validates."""
    tested_people = {s for split in run.splits.values() for s in split.test}
    kept = {s for split in run.splits.values() for s in split.validation}
    people = {"train": run.training_subjects, "validation": run.validation_subjects,
              "test": sorted(tested_people - kept)}[part]  # fmt: skip
    windows: list[Window] = [w for w in eeg_windows(run, run.config.pretrain, people) if w.seconds > 1]
    for window in spread(windows, most):
        yield read_sample(run.store, window)


def cut(sample: Sample, seconds: int) -> Sample:
    """The first seconds of a window."""
    end = seconds * sample.channels
    return Sample(patches=sample.patches[:end], channel=sample.channel[:end], second=sample.second[:end])


def codes_of(model: NeuroLM, samples: Sequence[Sample]) -> list[np.ndarray]:
    """Codes of samples, int64 (seconds, channels) each."""
    patches, starts = build_patches(samples, packed=False)
    codes = model.tokenizer.tokenize(patches).codes.flatten().numpy()
    return [
        codes[start : start + len(sample.second)].reshape(sample.seconds, sample.channels)
        for start, sample in zip(starts, samples, strict=True)
    ]


def continued(sample: Sample, seconds: int, rng: np.random.Generator) -> Sample:
    """The first seconds of a window, and another one that AR models of its electrodes draw."""
    longer, channels = cut(sample, seconds + 1), sample.channels
    so_far = longer.patches[: seconds * channels].reshape(seconds, channels, -1).transpose(1, 0, 2)
    signal = so_far.reshape(channels, -1).astype(np.float64)
    patches = longer.patches.copy()
    patches[seconds * channels :] = go_on(signal, patches.shape[1], rng)
    return replace(longer, patches=patches)


def targets(model: NeuroLM, samples: Iterable[Sample], *, draw: bool) -> Targets:
    """The codes of all seconds but the first, with what is known before each."""
    rng, parts = np.random.default_rng(SEED), []
    for sample in samples:
        (code,) = codes_of(model, [sample])
        electrode = np.broadcast_to(sample.channel[: sample.channels], code[1:].shape)
        drawn = np.zeros_like(code[1:])
        if draw:
            going_on = [continued(sample, seconds, rng) for seconds in range(1, sample.seconds)]
            drawn = np.stack([found[-1] for found in codes_of(model, going_on)])
        parts.append([part.ravel() for part in (code[1:], electrode, code[:-1], drawn)])
    code, electrode, previous, drawn = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Targets(code=code, electrode=electrode, previous=previous, drawn=drawn if draw else None)


def next_codes(model: NeuroLM, sample: Sample, *, honest: bool) -> Tensor:
    """log p of all codes for the seconds after the first, float32 ((seconds − 1) · channels, codes).

    Parameters
    ----------
    honest
        Whether the encoder is given the seconds so far alone; else the window.
    """
    channels, last = sample.channels, sample.seconds - 1
    given = [cut(sample, seconds) for seconds in range(1, last + 1)] if honest else [sample]
    hidden = model(build_batch(given, [Document(sample=i) for i in range(len(given))], packed=False))
    if honest:
        ends = [len(one.second) for one in given]
        places = torch.cat([hidden[row, end - channels : end] for row, end in enumerate(ends)])
    else:
        places = hidden[0, : last * channels]
    return F.linear(places, model.eeg_rows).float().log_softmax(-1)


def of_model(model: NeuroLM, samples: Sequence[Sample], code: np.ndarray, *, honest: bool) -> tuple[float, float]:
    """Cross-entropy in nats, and share right, of the codes that follow."""
    nats = right = 0.0
    wanted = torch.from_numpy(code)
    for sample in samples:
        chances = next_codes(model, sample, honest=honest)
        own, wanted = wanted[: len(chances)], wanted[len(chances) :]
        nats -= float(chances.gather(1, own[:, None]).sum())
        right += float((chances.argmax(1) == own).sum())
    return nats / len(code), right / len(code)


@torch.no_grad()
def forecasts(run: Run, given: argparse.Namespace) -> None:
    """Print the table of one run."""
    model, card, _ = load_neurolm(run.folder / "pretrain", stage="pretrain")
    codes = card.run.model.tokenizer.codes
    samples = list(read(run, "test", given.windows))
    test = targets(model, samples, draw=True)
    found = {
        "model, encoder reads the window": of_model(model, samples, test.code, honest=False),
        "model, encoder reads the past": of_model(model, samples, test.code, honest=True),
    }
    part = {
        name: list(read(run, name, most)) for name, most in (("train", given.fitted), ("validation", given.windows))
    }
    train, validation = (targets(model, part[name], draw=True) for name in ("train", "validation"))
    every = targets(model, read(run, "train", 10**9), draw=False)
    for method in METHODS:
        found[method] = tested(method, train if method == AR else every, validation, test, codes, every=every)
    share = np.bincount(test.code, minlength=codes) / len(test.code)
    found["their own frequencies (entropy)"] = score(np.tile(share, (len(test.code), 1)), test.code)
    attention = card.run.model.tokenizer.attention
    print(
        f"\n{card.run.recipe} (attention {attention}): {len(test.code):,} codes of {len(samples)} windows of test "
        f"people; counts from {len(every.code):,} codes of training people, for the AR model {len(train.code):,}\n\n"
        "| forecast of the next second by | nats | perplexity | gained on the unigram, nats | right |\n"
        "|---|---|---|---|---|"
    )
    for name, (nats, right) in found.items():
        print(f"| {name} | {nats:.3f} | {math.exp(nats):.1f} | {found[METHODS[0]][0] - nats:+.3f} | {right:.3f} |")


def answers(runs: Sequence[Run]) -> None:
    """Print the balanced accuracy of each run's answers on test people."""
    rows: dict[str, list[str]] = {}
    for run in runs:
        if not (run.folder / RESULTS).is_file():
            print(f"\n{run.folder}: not evaluated yet: neurolm evaluate {run.folder} --store STORE")
            continue
        for result in load_evaluation(run.folder / RESULTS).results:
            alone = {b.name: b.scores.balanced_accuracy for b in result.baselines if b.scores is not None}
            values = [result.scores.balanced_accuracy, *(alone.get(name, math.nan) for name in (*PARTS, BAND_POWER))]
            rows.setdefault(result.task, []).append(
                f"| {result.task} | {run.config.recipe} | " + " | ".join(f"{value:.3f}" for value in values) + " |"
            )
    print(f"\n| task | recipe | model | {' | '.join((*PARTS, BAND_POWER))} |\n|---|---|---|---|---|---|")
    for lines in rows.values():
        print("\n".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs on the same store")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--windows", type=int, default=200, help="of test people, and of validation people")
    parser.add_argument("--fitted", type=int, default=400, help="windows of training people, for the AR model")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    runs = [opened(folder, given.store) for folder in given.runs]
    for run in runs:
        if (run.folder / "pretrain" / "config.json").is_file():
            forecasts(run, given)
        else:
            print(f"\n{run.folder}: pretraining is not finished")
    answers(runs)


if __name__ == "__main__":
    main()
