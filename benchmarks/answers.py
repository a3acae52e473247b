"""How answers are best read out of a model, and what their probabilities are worth.

    python benchmarks/answers.py --model runs/demo --store runs/demo/store

Prints, for every task of the model: the time of scoring; plain, length-normalised and prior-corrected likelihoods;
temperature and pooling, chosen on validation people and measured on test people; answers withheld for a stated risk;
warnings about unlike input. Where the corpus is the simulated one, also whether leaving out electrodes and seconds
finds the person's epileptic focus. Choices rest on the validation people alone, each predicted from the others; the
figures of the test people are printed beside them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy.special import softmax

from neurolm.ask import calibration, engine, novelty
from neurolm.ask.calibration import TaskCalibration, fit, pool_stretches
from neurolm.ask.explanation import log_odds, occlude, without_second
from neurolm.ask.prompt import Prompt, likelihoods
from neurolm.batches.loader import Document, Sample, build_batch, read_sample
from neurolm.batches.windows import Window
from neurolm.checkpoint import load_neurolm
from neurolm.core.montage import channel_id
from neurolm.corpora.simulated.physiology import REGIONS
from neurolm.corpora.simulated.synthesis import make_person
from neurolm.store.store import Store
from neurolm.tasks.metrics import score
from neurolm.tasks.task import Task
from neurolm.train.calibrate import stretch, training_range
from neurolm.train.run import Run

CPU = torch.device("cpu")
RISKS = (0.05, 0.1, 0.2)
REPEATS = 3


@dataclass(frozen=True)
class Part:
    """Validation or test windows of a task, and what the model makes of them."""

    windows: list[Window]
    samples: list[Sample]
    found: np.ndarray
    labels: np.ndarray
    subjects: np.ndarray
    stretches: np.ndarray

    def without(self, subject: str) -> Part:
        return self.only(self.subjects != subject)

    def only(self, kept: np.ndarray) -> Part:
        index = np.flatnonzero(kept)
        return Part(
            [self.windows[i] for i in index], [self.samples[i] for i in index], self.found[kept], self.labels[kept],
            self.subjects[kept], self.stretches[kept],
        )  # fmt: skip

    def fitted(self, task: Task) -> TaskCalibration:
        overlap = max(1.0, task.seconds / task.stride)
        return fit(task.name, self.found, self.labels, stretches=self.stretches.tolist(),
                   subjects=self.subjects.tolist(), overlap=overlap)  # fmt: skip

    def pooled(self, fitted: TaskCalibration) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities of the stretches, and their labels."""
        _, first, number = np.unique(self.stretches, return_index=True, return_inverse=True)
        logs = fitted.log_probabilities(self.found)
        return pool_stretches(logs, number, correlation=fitted.correlation), self.labels[first]


def nll(probabilities: np.ndarray, labels: np.ndarray) -> float:
    return float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)).mean())


def three(probabilities: np.ndarray, labels: np.ndarray) -> str:
    """Balanced accuracy, negative log-likelihood and calibration error."""
    scores = score(labels, probabilities, options=probabilities.shape[1])
    return f"{scores.balanced_accuracy:.3f} | {nll(probabilities, labels):.3f} | {scores.ece:.3f}"


class Bench:
    """One model and the store it was trained on."""

    def __init__(self, folder: Path, store: Path) -> None:
        self.module, self.card, self.text = load_neurolm(folder / "instruct", stage="instruct")
        self.store = Store(store)
        splits = {task.name: task.split(self.store) for task in self.card.tasks}
        self.run = Run(folder=folder, config=self.card.run, store=self.store, tasks=self.card.tasks, splits=splits,
                       device=CPU)  # fmt: skip
        self.parts = {(t.name, p): self.part(t, p) for t in self.card.tasks for p in ("validation", "test")}

    def prompt(self, task: Task) -> Prompt:
        return Prompt.of(task, self.text, self.card.run.model.vocabulary.separator)

    def part(self, task: Task, part: str) -> Part:
        windows = task.windows(self.store, self.run.splits[task.name], part)
        samples = [read_sample(self.store, window) for window in windows]
        return Part(
            windows,
            samples,
            likelihoods(self.module, self.prompt(task), samples, device=CPU),
            np.array([task.index(str(window.label)) for window in windows]),
            np.array([window.subject for window in windows]),
            np.array([stretch(window) for window in windows]),
        )

    def priors(self, task: Task, part: Part) -> dict[str, np.ndarray]:
        """Log-likelihoods that say what the options get whatever the EEG: three ways to ask for them."""
        prompt = self.prompt(task)
        batch = build_batch([], [Document(text=prompt.question)], packed=False)
        text = engine.score_options(self.module, batch, [list(ids) for ids in prompt.answers])[0].double().numpy()
        silent = replace(part.samples[0], patches=np.zeros_like(part.samples[0].patches))
        return {
            "question without EEG": text,
            "silent EEG": likelihoods(self.module, prompt, [silent], device=CPU)[0],
            "mean over validation": np.log(softmax(part.found, axis=1).mean(axis=0)),
        }


def speed(bench: Bench) -> Iterator[str]:
    yield "| task | options × tokens | one pass for all options, s | a pass for each, s | EEG and question alone, s |"
    yield "|---|---|---|---|---|"
    for task in bench.card.tasks:
        prompt, samples = bench.prompt(task), bench.parts[task.name, "validation"].samples[:64]
        options = [list(ids) for ids in prompt.answers]
        halves = [samples[i : i + 32] for i in range(0, len(samples), 32)]
        batches = [build_batch(h, [prompt.document(i) for i in range(len(h))], packed=False) for h in halves]

        def each(batches=batches, options=options) -> None:
            with torch.no_grad():
                for batch in batches:
                    prefix = engine.read_prefix(bench.module, batch, room=max(map(len, options)) - 1)
                    for option in options:
                        engine.score_after(bench.module, prefix, [option])

        def together(batches=batches, options=options) -> None:
            for batch in batches:
                engine.score_options(bench.module, batch, options)

        def prefix_alone(batches=batches) -> None:
            with torch.no_grad():
                for batch in batches:
                    engine.read_prefix(bench.module, batch)

        times = [least_time(call) for call in (together, each, prefix_alone)]
        shape = f"{len(options)} × {max(map(len, options))}"
        yield f"| {task.name} | {shape} | " + " | ".join(f"{t:.2f}" for t in times) + " |"


def least_time(call: Callable[[], None]) -> float:
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)


def variants(bench: Bench) -> Iterator[str]:
    yield "| task | likelihood | left-out validation people: NLL | test: balanced accuracy | NLL | calibration error |"
    yield "|---|---|---|---|---|---|"
    for task in bench.card.tasks:
        known, test = (bench.parts[task.name, part] for part in ("validation", "test"))
        shifts = {"plain": np.zeros(len(task.options))}
        shifts |= {f"÷ {name}": -prior for name, prior in bench.priors(task, known).items()}
        for name, shift in shifts.items():
            left_out = []
            for subject in np.unique(known.subjects):
                others, own = known.without(subject), known.only(known.subjects == subject)
                prior = shift
                if name.endswith("mean over validation"):
                    prior = -np.log(softmax(others.found, axis=1).mean(axis=0))
                fitted = replace(others, found=others.found + prior).fitted(task)
                left_out.append(nll(fitted.probabilities(own.found + prior), own.labels))
            fitted = replace(known, found=known.found + shift).fitted(task)
            figures = three(fitted.probabilities(test.found + shift), test.labels)
            yield f"| {task.name} | {name} | {np.mean(left_out):.3f} | {figures} |"


def words(bench: Bench) -> Iterator[str]:
    """Tasks with letters, asked without them: options of several lengths in a form that no training has seen."""
    yield "| task | tokens of the options | likelihood | test: balanced accuracy | NLL | calibration error |"
    yield "|---|---|---|---|---|---|"
    for task in bench.card.tasks:
        if task.options[0].letter is None:
            continue
        free = replace(task, options=tuple(replace(option, letter=None) for option in task.options))
        prompt, test = bench.prompt(free), bench.parts[task.name, "test"]
        lengths = np.array([len(ids) for ids in prompt.answers])
        found = likelihoods(bench.module, prompt, test.samples, device=CPU)
        for name, values in (("plain", found), ("per token", found / lengths)):
            shown = ", ".join(map(str, lengths))
            yield f"| {task.name} | {shown} | {name} | {three(softmax(values, axis=1), test.labels)} |"


def calibrated(bench: Bench) -> Iterator[str]:
    yield "| task | temperature | ρ | answers of | how | test: balanced accuracy | NLL | calibration error |"
    yield "|---|---|---|---|---|---|---|---|"
    for task in bench.card.tasks:
        known, test = (bench.parts[task.name, part] for part in ("validation", "test"))
        fitted = known.fitted(task)
        head = f"| {task.name} | {fitted.temperature:.2f} | {fitted.correlation:.2f}"
        yield f"{head} | windows | temperature 1 | {three(softmax(test.found, axis=1), test.labels)} |"
        yield f"{head} | windows | fitted | {three(fitted.probabilities(test.found), test.labels)} |"
        _, first, number = np.unique(test.stretches, return_index=True, return_inverse=True)
        labels, shares = test.labels[first], softmax(test.found, axis=1)
        mean = np.array([shares[number == i].mean(axis=0) for i in range(len(first))])
        yield f"{head} | stretches | mean probability | {three(mean, labels)} |"
        for name, rho in (("mean log-odds", 1.0), ("sum of log-odds", 0.0), ("fitted", fitted.correlation)):
            pooled, labels = test.pooled(replace(fitted, correlation=rho))
            yield f"{head} | stretches | {name} | {three(pooled, labels)} |"


def constants(bench: Bench) -> Iterator[str]:
    """What the constants of the fits are chosen by: NLL of validation people who were left out."""
    yield "| task | temperature 1 | spread .1 | .2 | .3 | no prior | ρ = 1 | ρ fitted | ρ = 0 |"
    yield "|---|---|---|---|---|---|---|---|---|"
    own_spread, own_least = calibration.TEMPERATURE_SPREAD, calibration.LEAST_STRETCHES
    for task in bench.card.tasks:
        known = bench.parts[task.name, "validation"]
        columns: dict[object, list[float]] = {}  # in the order of the heading
        for subject in np.unique(known.subjects):
            others, own = known.without(subject), known.only(known.subjects == subject)
            columns.setdefault("1", []).append(nll(softmax(own.found, axis=1), own.labels))
            for spread in (0.1, 0.2, 0.3, 100.0):
                calibration.TEMPERATURE_SPREAD = spread
                columns.setdefault(spread, []).append(nll(others.fitted(task).probabilities(own.found), own.labels))
            calibration.TEMPERATURE_SPREAD, calibration.LEAST_STRETCHES = own_spread, 2
            fitted = others.fitted(task)
            calibration.LEAST_STRETCHES = own_least
            for name, rho in (("all alike", 1.0), ("fitted", fitted.correlation), ("independent", 0.0)):
                columns.setdefault(name, []).append(nll(*own.pooled(replace(fitted, correlation=rho))))
        yield f"| {task.name} | " + " | ".join(f"{np.mean(column):.3f}" for column in columns.values()) + " |"


def risks(bench: Bench) -> Iterator[str]:
    yield "| task | answers of | independent validation answers | risk | threshold | test: answered | wrong of those |"
    yield "|---|---|---|---|---|---|---|"
    for task in bench.card.tasks:
        known, test = (bench.parts[task.name, part] for part in ("validation", "test"))
        fitted = known.fitted(task)
        for name, points, (shares, labels) in (
            ("windows", fitted.per_window, (fitted.probabilities(test.found), test.labels)),
            ("stretches", fitted.pooled, test.pooled(fitted)),
        ):
            for risk in RISKS:
                threshold = points.threshold(risk)
                end = f"none | 0% | (without any error: risk {points.least_risk:.2f})"
                if threshold is not None:
                    given = shares.max(axis=1) >= threshold
                    wrong = (shares.argmax(axis=1) != labels)[given].mean() if given.any() else 0.0
                    end = f"{threshold:.2f} | {given.mean():.0%} | {wrong:.3f}"
                yield f"| {task.name} | {name} | {points.observations:.0f} | {risk:g} | {end} |"


def unlike(bench: Bench) -> Iterator[str]:
    rng = np.random.default_rng(0)
    changes: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "as recorded": lambda p: p,
        "× 2": lambda p: p * 2,
        "× 3": lambda p: p * 3,
        "÷ 3": lambda p: p / 3,
        "+ 10 µV noise": lambda p: p + 0.1 * rng.standard_normal(p.shape),
        "+ 20 µV noise": lambda p: p + 0.2 * rng.standard_normal(p.shape),
    }
    yield "| task | " + " | ".join(changes) + " |"
    yield "|---|" + "---|" * len(changes)
    for task in bench.card.tasks:
        known = training_range(bench.run, task)
        assert known is not None
        test = bench.parts[task.name, "test"]
        recordings = np.array([window.recording for window in test.windows])
        cells = []
        for change in changes.values():
            warned = 0
            for recording in np.unique(recordings):
                own = test.only(recordings == recording).samples
                changed = [replace(s, patches=change(s.patches).astype(np.float32)) for s in own]
                warned += novelty.compare(known, novelty.describe(changed)).warning is not None
            cells.append(f"{warned} of {len(np.unique(recordings))}")
        yield f"| {task.name} | " + " | ".join(cells) + " |"


def found_focus(bench: Bench) -> Iterator[str]:
    """Explanations of epileptiform windows of the simulated corpus, whose focus the simulator knows."""
    task = next(task for task in bench.card.tasks if task.name == "events")
    prompt, test = bench.prompt(task), bench.parts["events", "test"]
    option = task.labels.index("epileptiform")
    yield "| person | focus | electrodes there | rank of the first | its effect | median of the others |"
    yield "|---|---|---|---|---|---|"
    for subject in np.unique(test.subjects):
        focus = make_person((0, int(subject[-3:]) - 1, 0)).focus
        own = test.only((test.subjects == subject) & (test.labels == option)).samples[:6]
        found = occlude(bench.module, prompt, own, option=option, device=CPU).electrodes.mean(axis=0)
        channels = own[0].channel[own[0].second == 0]
        true = [channel_id(name.upper()) for name in REGIONS[focus].electrodes]
        order = [int(channels[i]) for i in np.argsort(-found)]
        rank = 1 + min(order.index(channel) for channel in true if channel in order)
        others = np.median(np.abs(found[~np.isin(channels, true)]))
        places = ", ".join(REGIONS[focus].electrodes)
        yield f"| {subject} | {focus} | {places} | {rank} | {found.max():.2f} | {others:.2f} |"
    ways: dict[str, Callable[[Sample, int], Sample]] = {"left out": without_second, "copy of a neighbour": _copied}
    for name, change in ways.items():
        hits, elsewhere = [], []
        for subject in np.unique(test.subjects):
            calm = test.only((test.subjects == subject) & (test.labels == task.labels.index("background"))).samples[:6]
            wild = test.only((test.subjects == subject) & (test.labels == option)).samples[:6]
            for rest, event in zip(calm, wild, strict=False):
                loudest = int(np.argmax([np.abs(event.patches[event.second == t]).max() for t in range(task.seconds)]))
                patches = np.where((rest.second == loudest)[:, None], event.patches, rest.patches)
                planted = replace(rest, patches=patches)
                changed = [planted, *(change(planted, t) for t in range(task.seconds))]
                odds = log_odds(likelihoods(bench.module, prompt, changed, device=CPU), option)
                falls = odds[0] - odds[1:]
                hits.append(int(falls.argmax()) == loudest)
                elsewhere.append(np.median(np.abs(np.delete(falls, loudest))))
        yield ""
        yield (
            f"One second of a discharge put into a window of background, seconds {name}: found in "
            f"{np.mean(hits):.0%} of {len(hits)} windows; median effect of the other seconds "
            f"{np.mean(elsewhere):.2f} nats."
        )


def _copied(sample: Sample, second: int) -> Sample:
    patches = sample.patches.copy()
    patches[sample.second == second] = sample.patches[sample.second == (second - 1 if second else 1)]
    return replace(sample, patches=patches)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of a run")
    parser.add_argument("--store", type=Path, required=True, help="the store it was trained on")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(arguments.model, arguments.store)
    print("##", ", ".join(bench.card.corpora), flush=True)
    sections = [
        ("Scoring 64 windows", speed),
        ("Plain and prior-corrected likelihood, with a fitted temperature", variants),
        ("Without letters: length", words),
        ("The constants of the fits: NLL of left-out validation people", constants),
        ("Temperature and pooling", calibrated),
        ("Answers withheld for a risk", risks),
        ("Test recordings that are warned about", unlike),
    ]
    if "simulated" in bench.card.corpora:
        sections.append(("Where the explanation points", found_focus))
    for title, section in sections:
        lines = list(section(bench))
        if len(lines) > 2:
            print(f"\n### {title}\n", *lines, sep="\n", flush=True)


if __name__ == "__main__":
    main()
