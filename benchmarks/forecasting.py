"""What forecasts of the coming seconds are worth: a causal model beside simple methods, on recordings

    python benchmarks/forecasting.py runs/causal --store runs/causal/store --recordings runs/causal/corpus
    python benchmarks/forecasting.py folds/fold-* --store store --recordings eegmat

Of people that none of the run's tasks trained or validated on: moments spread evenly over their recordings, of each of
which nothing after the moment is known, since it is cut off there before it is filtered. Means over the moments, with
the standard error of the difference to the last second again. With --part validation: the ways to make EEG of codes,
and the seconds that AR models are fitted to, for choosing. Nothing is written.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from causal import opened
from neurolm.recording.options import ReadingOptions
from neurolm.signals.forecast import AR, METHODS, MODEL, PERSISTENCE, Forecast, as_patches, forecast, simple_forecasts
from neurolm.signals.models import Opened, open_model
from neurolm.signals.paths import MAKINGS
from neurolm.signals.scores import ForecastScore, scores
from neurolm.train.run import Run

FITTED = (5, 10, 30)
"""Seconds to which AR models are fitted, of which one is chosen."""
MEASURES = {
    "log spectrum, RMSE dB": "spectrum_db", "band power, CRPS dB": "power_crps", "waveform, CRPS µV": "waveform_crps",
}  # fmt: skip
Found = dict[str, list[list[ForecastScore]]]
"""For each method, and each moment, the scores of its seconds."""


def people(run: Run, part: str) -> list[str]:
    """Who is tested by a task and trains or validates none; or who validates."""
    if part == "validation":
        return run.validation_subjects
    kept = {one for split in run.splits.values() for one in (*split.train, *split.validation)}
    return sorted({one for split in run.splits.values() for one in split.test} - kept)


def moments(run: Run, recordings: Path, part: str, count: int, seconds: int) -> Iterator[tuple[Path, float]]:
    """Files, and moments in them with half a minute before and some seconds after."""
    who = set(people(run, part))
    rows = [row for row in run.store.rows if row.subject in who]
    for number in range(count):
        row = rows[number * len(rows) // count]
        share = (number * 0.61803) % 1
        last = row.samples / 200 - seconds - 1
        yield recordings / row.source, round(30 + share * (last - 30))


def measured(model: Opened, file: Path, at: float, given: argparse.Namespace, seed: int) -> Iterator[tuple[str, list]]:
    """Each method and its scores."""
    assert model.language is not None

    def draw(making: str) -> Forecast:
        return forecast(
            model.language, model.card, file, at=at, seconds=given.seconds, count=given.samples, seed=seed,
            making=making, reading=ReadingOptions(unknown="nearest"), unseen="nearest",
        )  # fmt: skip

    if given.part == "test":
        found = draw(given.making)
        for method in METHODS:
            yield method, [one for one in found.scores if one.method == method]
        return
    for making in MAKINGS:
        found = draw(making)
        yield f"{MODEL}, {making}", [one for one in found.scores if one.method == MODEL]
    for method in METHODS[2:]:
        yield method, [one for one in found.scores if one.method == method]
    past, followed = as_patches(found.past), as_patches(found.followed)
    for fitted in FITTED:
        drawn = simple_forecasts(past, given.seconds, given.samples, np.random.default_rng(seed), fitted=fitted)
        yield f"{AR}, {fitted} s", list(scores(AR, drawn[AR], followed))


def table(found: Mapping[str, Sequence[Sequence[ForecastScore]]], measure: str, name: str) -> None:
    """Print the means of a measure for each second."""
    values = {method: np.array([[getattr(one, measure) for one in moment] for moment in each])
              for method, each in found.items()}  # fmt: skip
    seconds = range(1, next(iter(values.values())).shape[1] + 1)
    print(f"\n| {name} | {' | '.join(f'second {s}' for s in seconds)} | mean | less than {PERSISTENCE} |")
    print(f"|---|{'---|' * (len(seconds) + 2)}")
    for method, each in values.items():
        gained = (values[PERSISTENCE] - each).mean(axis=1)
        error = gained.std(ddof=1) / np.sqrt(len(gained))
        cells = " | ".join(f"{mean:.2f}" for mean in each.mean(axis=0))
        print(f"| {method} | {cells} | {each.mean():.2f} | {gained.mean():+.2f} ± {error:.2f} |")


def perplexities(found: Mapping[str, Sequence[Sequence[ForecastScore]]]) -> None:
    """Print the perplexity of the codes that followed, for each second."""
    print("\n| perplexity of the codes that followed | by second |\n|---|---|")
    for method, each in found.items():
        if each[0][0].code_perplexity is not None:
            nats = np.log([[one.code_perplexity for one in moment] for moment in each]).mean(axis=0)
            print(f"| {method} | {', '.join(f'{value:.1f}' for value in np.exp(nats))} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs of a causal recipe, as folds of one task")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--recordings", type=Path, required=True, help="folder of the recordings of the store")
    parser.add_argument("--part", choices=("test", "validation"), default="test")
    parser.add_argument("--moments", type=int, default=60, help="of each run")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--making", choices=MAKINGS, default=MAKINGS[0])
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    found: Found = defaultdict(list)
    who, count = set[str](), 0
    for folder in given.runs:
        run, model = opened(folder, given.store), open_model(folder, language=True, device="cpu")
        who |= set(people(run, given.part))
        for file, at in moments(run, given.recordings, given.part, given.moments, given.seconds):
            for method, each in measured(model, file, at, given, seed=count):
                found[method].append(each)
            count += 1
    print(
        f"\n{run.config.recipe}: {count} moments spread over {len(who)} {given.part} people, "
        f"{given.samples} samples of {given.seconds} s"
    )
    for name, measure in MEASURES.items():
        table(found, measure, name)
    perplexities(found)


if __name__ == "__main__":
    main()
