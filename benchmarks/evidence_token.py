"""Should the language model read the evidence, or should the evidence be multiplied into its answers?

    python benchmarks/evidence_token.py SCRATCH/fold-* --store STORE --out OUT
    python benchmarks/evidence_token.py runs/demo --store runs/demo/store --out OUT
    python benchmarks/evidence_token.py --out OUT

From a finished run's pretrained model, instruction tuning is done once more with one token before the question that
holds the readout's log-odds: on training windows those learned from other people, elsewhere those of the whole readout.
Compared are the run's language model alone, the product (weight × its log-likelihood + evidence, as the package
answers), the model that reads the token, and both at once; where a run has several tasks, also a token that holds the
log-odds of all readouts, whatever is asked. Without runs, it prints the tables of all that OUT has. Begun again, it
goes on where it stopped.

The decision was put down before any test figure was looked at, and the tables come in its order. **The product is kept
unless, on most tasks, the mean log-likelihood of the validation people's windows is higher with the token by more than
its spread**: the difference is averaged over windows, then over the runs in which a person validates, and its spread is
the standard error over people. Weight and temperature with which a person's windows are scored are fitted on the other
validation people. All choices of both models (the best of several validations while tuning) rest on the same people.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import softmax

from neurolm.ask import calibration
from neurolm.ask.prompt import contributions
from neurolm.ask.question import find_question
from neurolm.batches.text import read_texts
from neurolm.checkpoint import load_neurolm
from neurolm.core.decode import load_json
from neurolm.core.files import write_text
from neurolm.tasks.card import load_task
from neurolm.tasks.metrics import interval, resampled_scores, score
from neurolm.tasks.task import Task
from neurolm.train.calibrate import stretch
from neurolm.train.evidence import fit_weight
from neurolm.train.instruct import train_instruct
from neurolm.train.run import Run, RunFile, open_run
from reading.token import asked, material, read, tune

LANGUAGE, EVIDENCE, PRODUCT = "language model", "evidence", "product"
OWN, ALL, BOTH = "token", "token of all tasks", "token and product"
ARMS = (LANGUAGE, EVIDENCE, PRODUCT, OWN, ALL, BOTH)
FIGURES = "figures.json"
_WORK = (
    ("Is this person doing mental arithmetic?", {"yes": ("Yes",), "no": ("No",)}),
    ("What is the person doing?", {"calculating": ("Yes",), "resting": ("No",)}),
)
FREE = {
    "eegmat": _WORK,
    "workload": _WORK,
    "sleep": (
        ("Is this person asleep?", {"yes": ("NREM-1", "NREM-2", "NREM-3", "REM"), "no": ("Wake",)}),
        ("Is this deep sleep?", {"yes": ("NREM-3",), "no": ("Wake", "NREM-1", "NREM-2", "REM")}),
    ),
    "events": (
        ("Is this EEG abnormal?", {"yes": ("epileptiform", "slowing"), "no": ("background",)}),
        ("Are there epileptic spikes?", {"yes": ("epileptiform",), "no": ("background", "slowing")}),
    ),
}
"""Questions that no training asked, with options of their own and the labels that each is true of."""


def prepared(source: Path, store: Path, out: Path, seed: int | None) -> Run:
    """Copy a run up to its pretraining, and its instruction tuning too where the seed is its own."""
    begun = load_json(RunFile, source / "run.json")
    own = begun.config.instruct.seed
    seed = own if seed is None else seed
    folder = out / (source.name if seed == own else f"{source.name}-seed-{seed}")
    for stage in ("language", "tokenizer", "pretrain", *(("instruct",) if seed == own else ())):
        if not (folder / stage).exists():
            shutil.copytree(source / stage, folder / stage)
    config = replace(begun.config, instruct=replace(begun.config.instruct, seed=seed))
    return open_run(folder, config=config, store=store, tasks=begun.tasks, fold=begun.fold, device="cpu")


def compare(run: Run) -> None:
    """Tune with tokens, and leave the scores of all ways of answering in the run's folder."""
    if (run.folder / FIGURES).exists():
        return
    texts = read_texts(None)
    train_instruct(run, texts=texts)
    told = material(run)
    language, _, text = load_neurolm(run.folder / "instruct", stage="instruct", decoders=False)
    readers = {OWN: tune(run, told, texts, all_tasks=False)}
    if len(run.tasks) > 1:
        readers[ALL] = tune(run, told, texts, all_tasks=True)

    def scores(task: Task, known: Task, part: str) -> dict[str, list]:
        """What each says of a part, asked in the words of ``task``; the windows are those of ``known``."""
        prompt, windows = asked(task, run, text), told[known.name, part]
        found = {LANGUAGE: contributions(language, prompt, windows.samples, device=run.device)[0]}
        if task.labels == known.labels:
            found[EVIDENCE] = windows.held[:, windows.own]
        found |= {arm: read(reader, prompt, windows) for arm, reader in readers.items()}
        return {arm: np.round(values, 5).tolist() for arm, values in found.items()}

    parts, others = [], []
    for task in run.tasks:
        for part in ("validation", "test"):
            windows = told[task.name, part].windows
            parts.append({
                "task": task.name, "part": part, "labels": told[task.name, part].labels.tolist(),
                "people": [window.subject for window in windows], "stretches": list(map(stretch, windows)),
                "scores": scores(task, task, part),
            })  # fmt: skip
        labels = [str(window.label) for window in told[task.name, "test"].windows]
        for number, words in enumerate(task.held_out_phrasings):
            said = scores(task.reworded(number, held_out=True), task, "test")
            others.append({"task": task.name, "question": words, "labels": [task.index(x) for x in labels],
                           "scores": said})  # fmt: skip
        for words, options in FREE.get(task.name, ()):
            question = find_question(words, list(options), (), calibration=None, ranges=None).task
            truth = [next(i for i, true in enumerate(options.values()) if label in true) for label in labels]
            others.append({"task": task.name, "question": words, "options": list(options), "labels": truth,
                           "scores": scores(question, task, "test")})  # fmt: skip
    found = {"seed": run.config.instruct.seed, "parts": parts, "others": others}
    write_text(run.folder / FIGURES, json.dumps(found))


@dataclass(frozen=True)
class Part:
    """Windows of a part of a task, as a run answers them."""

    task: str
    labels: np.ndarray
    people: np.ndarray
    stretches: np.ndarray
    scores: dict[str, np.ndarray]

    def only(self, kept: np.ndarray) -> Part:
        scores = {arm: values[kept] for arm, values in self.scores.items()}
        return Part(self.task, self.labels[kept], self.people[kept], self.stretches[kept], scores)

    def temperature(self, values: np.ndarray) -> float:
        task = load_task(self.task)
        overlap = max(1.0, task.seconds / task.stride)
        return calibration.fit(self.task, values, self.labels, stretches=self.stretches.tolist(),
                               subjects=self.people.tolist(), overlap=overlap).temperature  # fmt: skip


@dataclass(frozen=True)
class Answers:
    """What a run's figures hold."""

    seed: int
    validation: list[Part]
    test: list[Part]
    others: list[dict]

    @classmethod
    def load(cls, file: Path) -> Answers:
        found = json.loads(file.read_text(encoding="utf-8"))
        parts: dict[str, list[Part]] = {"validation": [], "test": []}
        for one in found["parts"]:
            scores = {arm: np.array(values) for arm, values in one["scores"].items()}
            parts[one["part"]].append(Part(one["task"], np.array(one["labels"]), np.array(one["people"]),
                                           np.array(one["stretches"]), scores))  # fmt: skip
        return cls(found["seed"], parts["validation"], parts["test"], found["others"])

    def known(self, task: str) -> Part:
        """The validation windows of a task."""
        return next(part for part in self.validation if part.task == task)

    def arms(self, task: str) -> list[str]:
        part = next(part for part in self.test if part.task == task)
        return [arm for arm in ARMS if arm in part.scores or arm in (PRODUCT, BOTH)]


def weight(known: Part, arm: str) -> float:
    """Of a language model's log-likelihood beside the evidence, fitted on validation windows."""
    return fit_weight(known.scores[arm], known.scores[EVIDENCE], known.labels, known.people.tolist())


def combined(scores: dict[str, np.ndarray], arm: str, known: Part) -> np.ndarray:
    """Scores of a way of answering, whose weight is fitted on ``known``."""
    if arm not in (PRODUCT, BOTH):
        return scores[arm]
    said = LANGUAGE if arm == PRODUCT else OWN
    return weight(known, said) * scores[said] + scores[EVIDENCE]


def likelihood_by_person(answers: Answers, task: str, arm: str) -> dict[str, float]:
    """Mean log-likelihood of each validation person's windows by what is fitted on the others."""
    found = {}
    own = answers.known(task)
    for person in np.unique(own.people):
        known, asked_of = own.only(own.people != person), own.only(own.people == person)
        heat = known.temperature(combined(known.scores, arm, known))
        given = softmax(combined(asked_of.scores, arm, known) / heat, axis=1)
        found[str(person)] = float(np.log(given[np.arange(len(given)), asked_of.labels]).mean())
    return found


def calibrated(answers: Answers, task: str, arm: str) -> tuple[Part, np.ndarray]:
    """Test windows of a task and the probabilities of their options, calibrated on the validation people."""
    known, test = answers.known(task), next(part for part in answers.test if part.task == task)
    heat = known.temperature(combined(known.scores, arm, known))
    return test, softmax(combined(test.scores, arm, known) / heat, axis=1)


def decision(runs: Sequence[Answers], tasks: Sequence[str]) -> Iterator[str]:
    yield f"| task | runs | people | {' | '.join(ARMS)} | {OWN} − {PRODUCT} | by more than its spread |"
    yield f"|{'---|' * (len(ARMS) + 5)}"
    won = 0
    for task in tasks:
        own = [answers for answers in runs if any(part.task == task for part in answers.test)]
        means = {}
        for arm in own[0].arms(task):
            found: dict[str, list[float]] = {}
            for answers in own:
                for person, value in likelihood_by_person(answers, task, arm).items():
                    found.setdefault(person, []).append(value)
            means[arm] = np.array([np.mean(found[person]) for person in sorted(found)])
        difference = means[OWN] - means[PRODUCT]
        spread = difference.std(ddof=1) / np.sqrt(len(difference))
        won += bool(difference.mean() > spread)
        cells = " | ".join(f"{means[arm].mean():.3f}" if arm in means else "" for arm in ARMS)
        yield (
            f"| {task} | {len(own)} | {len(difference)} | {cells} | {difference.mean():+.3f} ± {spread:.3f} | "
            f"{'yes' if difference.mean() > spread else 'no'} |"
        )
    kept = OWN if won > len(tasks) / 2 else PRODUCT
    yield ""
    yield f"The token is better by more than its spread on {won} of {len(tasks)} tasks: the {kept} is kept."


def tested(runs: Sequence[Answers], tasks: Sequence[str]) -> Iterator[str]:
    """Means over seeds; a seed's folds are scored together, out of fold, and a seed that lacks folds is left out."""
    yield f"| task | seeds | people | answered by | balanced accuracy | AUROC | ECE | less {PRODUCT} |"
    yield f"|{'---|' * 8}"
    for task in tasks:
        own = [answers for answers in runs if any(part.task == task for part in answers.test)]
        by_seed = [[answers for answers in own if answers.seed == seed] for seed in sorted({a.seed for a in own})]
        whole = [folds for folds in by_seed if len(folds) == max(map(len, by_seed))]
        found = {arm: [out_of_fold(folds, task, arm) for folds in whole] for arm in own[0].arms(task)}
        for arm, seeds in found.items():
            figures = {name: np.mean([one[name] for one in seeds]) for name in ("balanced_accuracy", "auroc", "ece")}
            moved = [one["balanced_accuracy"] - base["balanced_accuracy"]
                     for one, base in zip(seeds, found[PRODUCT], strict=True)]  # fmt: skip
            drawn = [one["drawn"] - base["drawn"] for one, base in zip(seeds, found[PRODUCT], strict=True)]
            between = interval(np.mean(drawn, axis=0))
            less = "" if arm == PRODUCT else f"{np.mean(moved):+.3f} [{between.low:+.3f}, {between.high:+.3f}]"
            cells = " | ".join(f"{value:.3f}" for value in figures.values())
            yield f"| {task} | {len(seeds)} | {seeds[0]['people']} | {arm} | {cells} | {less} |"


def out_of_fold(folds: Sequence[Answers], task: str, arm: str) -> dict[str, Any]:
    """Scores of all folds' test windows together, and the balanced accuracy of resampled people."""
    found = [calibrated(answers, task, arm) for answers in folds]
    labels, people = (np.concatenate([getattr(part, name) for part, _ in found]) for name in ("labels", "people"))
    given = np.concatenate([rows for _, rows in found])
    assert len(np.unique(people)) == sum(len(np.unique(part.people)) for part, _ in found), "somebody is tested twice"
    drawn = resampled_scores(labels, given, people.tolist(), options=given.shape[1])["balanced_accuracy"]
    scores = asdict(score(labels, given, options=given.shape[1]))
    return scores | {"drawn": drawn, "people": len(np.unique(people))}


def in_other_words(runs: Sequence[Answers], tasks: Sequence[str]) -> Iterator[str]:
    """Means over runs; below, how tokens change the AUROC of questions with options of their own."""
    yield f"| task | question | options | {' | '.join(ARMS)} |"
    yield f"|{'---|' * (len(ARMS) + 3)}"
    gained: dict[str, list[float]] = {OWN: [], ALL: []}
    for task in tasks:
        found: dict[tuple[str, str], dict[str, list[tuple[float, float]]]] = {}
        for answers in runs:
            for one in answers.others:
                if one["task"] == task:
                    cells = found.setdefault((one["question"], ", ".join(one.get("options", ["the task's"]))), {})
                    for arm, figures in asked_otherwise(one, answers.known(task)).items():
                        cells.setdefault(arm, []).append(figures)
        for (question, options), cells in found.items():
            means = {arm: np.mean(figures, axis=0) for arm, figures in cells.items()}
            if EVIDENCE not in means:
                for arm in gained.keys() & means:
                    gained[arm].append(means[arm][1] - means[LANGUAGE][1])
            shown = ("{:.3f} / {:.3f}".format(*means[arm]) if arm in means else "" for arm in ARMS)
            yield f"| {task} | {question} | {options} | {' | '.join(shown)} |"
    yield ""
    for arm, gains in gained.items():
        if gains:
            better = sum(gain > 0 for gain in gains)
            yield (
                f"Options of one's own, {arm}: AUROC {np.mean(gains):+.3f} beside the language model alone, higher in "
                f"{better} of {len(gains)} questions."
            )


def asked_otherwise(one: dict[str, Any], known: Part) -> dict[str, tuple[float, float]]:
    """Balanced accuracy and AUROC of a question in other words, by every way of answering that can speak to it."""
    scores = {arm: np.array(values) for arm, values in one["scores"].items()}
    labels, figures = np.array(one["labels"]), {}
    for arm in (*scores, *((PRODUCT, BOTH) if EVIDENCE in scores else ())):
        given = softmax(combined(scores, arm, known), axis=1)
        found = score(labels, given, options=given.shape[1])
        assert found.auroc is not None, "test windows of all options"
        figures[arm] = found.balanced_accuracy, found.auroc
    return figures


def report(out: Path) -> None:
    """Print all tables, the decision first."""
    runs = [Answers.load(file) for file in sorted(out.glob(f"*/{FIGURES}"))]
    tasks = sorted({part.task for answers in runs for part in answers.test})
    for title, section in (
        ("Validation people: mean log-likelihood, nats a window", decision),
        ("Test people, per window", tested),
        ("Test windows in words of no training: balanced accuracy / AUROC, temperature 1", in_other_words),
    ):
        print(f"\n### {title}\n", *section(runs, tasks), sep="\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*", help="finished runs, of one store")
    parser.add_argument("--store", type=Path, help="the store that they were trained on")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, help="tune with another seed than the run's, the language model alone too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for source in arguments.runs:
        compare(prepared(source, arguments.store, arguments.out, arguments.seed))
        print(f"# {source}", flush=True)
    if not arguments.runs:
        report(arguments.out)


if __name__ == "__main__":
    main()
