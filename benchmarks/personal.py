"""Personal calibration: what a labelled minute or two of a new person changes about their answers.

    python benchmarks/personal.py choose --store STORE --task eegmat --seconds 20,80 --apart 42   # training people
    python benchmarks/personal.py test RUNS… --store STORE --task eegmat --seconds 20,40,80 --apart 42
    python benchmarks/personal.py controls RUNS… --store STORE --task eegmat --seconds 20,40,80 --apart 42
    python benchmarks/personal.py simulated RUN --store STORE --task workload --seconds 20,40,80,160 --people 24

RUNS are folds or another run with evidence and calibration, STORE the one that they were trained on. Labelled seconds
are those of all classes together, from the beginning of each class in a person's recordings; asked is what begins
``--apart`` seconds into each class, the same windows for every number. Nothing is chosen by test people.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import neurolm
from neurolm.core.table import Cell, Table, columns
from neurolm.store.store import Store
from neurolm.tasks.card import load_task
from neurolm.tasks.task import Task
from personal_studies import simulated
from personal_studies.controls import minutes_of_one_recording
from personal_studies.methods import (
    FORMS,
    REGULARISATION,
    REPEATED,
    SHIPPED,
    Method,
    anybody,
    band_power_alone,
    band_power_with,
    likelihood,
)
from personal_studies.people import Windows, divided, learned, of_split, together
from personal_studies.tables import compare, table
from readout_studies.folds import folds
from readout_studies.windows import Described

ANYBODY, PERSONAL = "neurolm, for anybody", "neurolm, personal"
ALONE, WITH = "band power, these windows alone", "band power, these windows and the population's"
Pairs = list[tuple[Windows, Windows]]
"""Each person's labelled windows, and those that are asked."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=["choose", "test", "controls", "simulated"])
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--seconds", default="20,40,80")
    parser.add_argument(
        "--apart", type=float, default=42.0, help="where in each class the windows begin that are asked"
    )
    parser.add_argument("--people", type=int, default=24, help="simulated")
    arguments = parser.parse_args()
    seconds = [int(one) for one in arguments.seconds.split(",")]
    store, task = Store(arguments.store), load_task(arguments.task)
    if arguments.study == "choose":
        found = choose(store, task, seconds, arguments.apart)
    elif arguments.study == "test":
        found = test(arguments.runs, store, task, seconds, arguments.apart)
    elif arguments.study == "controls":
        found = controls(arguments.runs, store, task, seconds, arguments.apart)
    else:
        found = of_simulated(arguments.runs[0], store, task, seconds, arguments.people)
    for part in found:
        print(part, end="\n\n", flush=True)


def worth(task: Task) -> float:
    """New windows that a window is worth."""
    return min(1.0, task.stride / task.seconds)


def choose(store: Store, task: Task, seconds: Sequence[int], apart: float) -> Iterator[str]:
    """Every form on training people of six folds, each taken for a new one; without a language model."""
    people = [one for train, _, _ in folds(Described.of(store, task)) for one in learned(train).people]
    rows: list[list[Cell]] = []
    for form in FORMS:
        row: list[Cell] = [form.name]
        for part in seconds:
            pairs = [divided(one, part, apart, task.seconds) for one in people]
            row.append(likelihood(*_answered(pairs, form.method(worth(task)))))
        rows.append(row)
    nothing = [divided(one, seconds[0], apart, task.seconds) for one in people]
    rows.insert(0, ["nothing", *[likelihood(*_answered(nothing, anybody))] * len(seconds)])
    heads = columns("what is adapted"), columns(*(f"{part} s" for part in seconds), form=".3f")
    yield Table(columns=[*heads[0], *heads[1]], groups=[rows]).markdown()


def _answered(pairs: Pairs, method: Method) -> tuple[list[np.ndarray], list[Windows]]:
    return [method(known, asked) for known, asked in pairs], [asked for _, asked in pairs]


def test(runs: Sequence[Path], store: Store, task: Task, seconds: Sequence[int], apart: float) -> Iterator[str]:
    """Test people of all runs, once."""
    parts = {part: {name: [] for name in (ANYBODY, PERSONAL, ALONE, WITH)} for part in seconds}
    asked: list[Windows] = []
    for run in runs:
        model = neurolm.load(run, precision="float32")
        people = of_split(model, store, task.name, "test").people
        train = of_split(model, store, task.name, "train", asked=False)
        validation = of_split(model, store, task.name, "validation", asked=False).people
        for part in seconds:
            pairs = [divided(one, part, apart, task.seconds) for one in people]
            tried = [divided(one, part, apart, task.seconds) for one in validation]
            for name, method in _methods(task, train, tried).items():
                parts[part][name] += _answered(pairs, method)[0]
        asked += [divided(one, seconds[0], apart, task.seconds)[1] for one in people]
    yield _table(asked, parts, beside=ANYBODY)


def _methods(task: Task, train: Windows, validation: Pairs) -> dict[str, Method]:
    """What is compared; how band power is learned is chosen by validation people."""
    alone = max((band_power_alone(c) for c in REGULARISATION), key=lambda m: likelihood(*_answered(validation, m)))
    both = (band_power_with(train, c, times) for c in REGULARISATION[1:4] for times in REPEATED)
    return {
        ANYBODY: anybody,
        PERSONAL: SHIPPED.method(worth(task)),
        ALONE: alone,
        WITH: max(both, key=lambda method: likelihood(*_answered(validation, method))),
    }


def _table(asked: Sequence[Windows], parts: Mapping[int, Mapping[str, Sequence[np.ndarray]]], *, beside: str) -> str:
    groups = {f"{part} s": compare(asked, found, beside=beside) for part, found in parts.items()}
    return table(groups, beside=beside).markdown()


def controls(runs: Sequence[Path], store: Store, task: Task, seconds: Sequence[int], apart: float) -> Iterator[str]:
    """Labels swapped; and two minutes of one recording at rest, called by two names."""
    swapped: dict[int, dict[str, list[np.ndarray]]] = {part: {ANYBODY: [], PERSONAL: []} for part in seconds}
    minutes: dict[int, dict[str, list[np.ndarray]]] = {part: {ANYBODY: [], PERSONAL: [], ALONE: []} for part in seconds}
    asked: list[Windows] = []
    asked_minutes: list[Windows] = []
    for run in runs:
        model = neurolm.load(run, precision="float32")
        people = of_split(model, store, task.name, "test").people
        named = [one for turned in (False, True)
                 for one in minutes_of_one_recording(model, store, task.name, turned=turned).people]  # fmt: skip
        for part in seconds:
            pairs = [divided(one, part, apart, task.seconds) for one in people]
            turned = [(known.swapped(), later) for known, later in pairs]
            both = [divided(one, part, apart, task.seconds) for one in named]
            personal = SHIPPED.method(worth(task))
            swapped[part][ANYBODY] += _answered(pairs, anybody)[0]
            swapped[part][PERSONAL] += _answered(turned, personal)[0]
            for name, method in ((ANYBODY, anybody), (PERSONAL, personal), (ALONE, band_power_alone(0.01))):
                minutes[part][name] += _answered(both, method)[0]
        asked += [divided(one, seconds[0], apart, task.seconds)[1] for one in people]
        asked_minutes += [divided(one, seconds[0], apart, task.seconds)[1] for one in named]
    yield "labels swapped in the calibration:\n\n" + _table(asked, swapped, beside=ANYBODY)
    yield "two minutes of one recording at rest:\n\n" + _table(asked_minutes, minutes, beside=ANYBODY)


def of_simulated(run: Path, store: Store, task: Task, seconds: Sequence[int], people: int) -> Iterator[str]:
    """New simulated people, calibrated in one session and asked in another."""
    model = neurolm.load(run, precision="float32")
    train = of_split(model, store, task.name, "train", asked=False)
    validation = of_split(model, store, task.name, "validation", asked=False).people
    options = len(task.labels)
    blocks = -(-max(seconds) // (options * simulated.BLOCK))
    first, second = (
        [simulated.session(model, task.name, simulated.FIRST + number, which, many) for number in range(people)]
        for which, many in ((0, blocks), (1, 3))
    )
    parts: dict[int, dict[str, list[np.ndarray]]] = {}
    for part in seconds:
        limit = min(part, 40 * options)  # validation people have a minute of each class
        tried = [divided(one, limit, 40.0, task.seconds) for one in validation]
        pairs = [(divided(one, part, part, task.seconds)[0], later) for one, later in zip(first, second, strict=True)]
        parts[part] = {name: _answered(pairs, method)[0] for name, method in _methods(task, train, tried).items()}
    yield f"{people} people, {len(together(second).labels):,} windows\n\n" + _table(second, parts, beside=ANYBODY)


if __name__ == "__main__":
    main()
