"""The whole of neurolm in one command, from a corpus to a trained model, an answer and a report.

    neurolm demo
    neurolm demo --corpus eegmat --data DIR --out runs/eegmat

Every part skips what is already done, so the same command goes on after it was killed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from neurolm.api.model import load
from neurolm.ask.answer import Answer
from neurolm.batches.splits import split_folds, split_subjects
from neurolm.batches.text import read_texts
from neurolm.core.config import STAGES, RunConfig, to_json
from neurolm.core.errors import ConfigError, argument
from neurolm.core.files import write_text
from neurolm.core.names import choose
from neurolm.core.physics import Filters
from neurolm.corpora import LAYOUTS
from neurolm.corpora.simulated.simulate import simulate
from neurolm.evaluation.baselines.fit import QUICK
from neurolm.evaluation.evaluate import evaluate
from neurolm.evaluation.results import RESULTS, Evaluation, load_evaluation
from neurolm.prepare.journal import read_settings
from neurolm.prepare.prepare import PrepareProgress, prepare
from neurolm.prepare.worker import require_folder
from neurolm.report import results_table, write_report
from neurolm.report.run_page import ANSWER, REPORT, STORE
from neurolm.report.tables import seeds_table
from neurolm.store.store import MANIFEST, SOURCES, Store
from neurolm.tasks.card import load_task
from neurolm.train.instruct import train_instruct
from neurolm.train.language import train_language
from neurolm.train.loop import TrainingProgress
from neurolm.train.pretrain import train_pretrain
from neurolm.train.run import Run, open_run
from neurolm.train.tokenizer import train_tokenizer

CORPORA = ("simulated", "eegmat")
CORPUS = "corpus"
"""Folder of the simulated recordings in a run's."""


def demo(
    out: Path,
    *,
    corpus: str = "simulated",
    data: Path | None = None,
    config: RunConfig,
    seeds: Sequence[int] = (0,),
    fold: tuple[int, int] | None = None,
    text: Path | None = None,
    gpt2: str | None = None,
    jobs: int = 0,
    device: str = "auto",
    console: Console,
    progress: Callable[[TrainingProgress], None] | None = None,
    count: Callable[[str], Callable[[int, int, str], None]] | None = None,
) -> list[Evaluation]:
    """Run everything, for one or several seeds; the first seed's run lies in ``out`` itself.

    Parameters
    ----------
    corpus
        ``simulated``, or ``eegmat`` with the folder of its recordings in ``data``.
    seeds
        Each seed trains a model of its own on the same store and split.
    fold
        Which fold of how many tests, instead of the card's split.
    progress, count
        Displays: ``progress`` is told every training step; ``count(what)`` returns what is told every file.

    Raises
    ------
    ConfigError
        If the corpus is unknown, its data is not given, ``out`` is a file or holds the demo of another corpus or of
        other recordings, or there are too few or too many people for the split: before anything is written.
    """
    if corpus not in CORPORA:
        raise ConfigError(f"{argument(corpus=corpus)}{choose(corpus, CORPORA)}")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: a file, not a folder; choose another --out")
    if corpus != "simulated" and data is None:
        raise ConfigError(f"{argument(corpus=corpus)} needs the folder of its recordings: give {argument(data='DIR')}")
    _require_same_corpus(out, corpus)
    if data is not None:
        _require_fitting(out, corpus, data, fold)
    began = time.perf_counter()
    if data is None:
        with _part(console, "simulate recordings"):
            data = simulate(out / CORPUS, jobs=jobs, progress=count and count("simulating recordings"))
    with _part(console, "prepare the store"):
        shown = count and count("preparing recordings")

        def told(step: PrepareProgress) -> None:
            if shown:
                shown(step.done, step.total, step.source)

        layout = "table" if corpus == "simulated" else corpus
        prepare(data, out / STORE, corpus=layout, filters=_filters(out / STORE, config), jobs=jobs, progress=told)
    texts = read_texts(text)
    evaluations = []
    for seed in seeds:
        folder = out if seed == seeds[0] else out / f"seed-{seed}"
        run = open_run(folder, config=_seeded(config, seed), store=out / STORE, fold=fold, device=device)
        evaluations.append(_train(run, texts, gpt2, console, progress))
    for evaluation in evaluations:
        console.print(results_table(evaluation))
    if len(seeds) > 1:
        console.print(seeds_table(evaluations))
    answer, generated = _ask(out, data, evaluations[0], device)
    said = f"{Path(answer.recording).name}: {answer.answer} ({answer.probability:.2f})"
    console.print(f"[bold]{escape(answer.question)}[/bold] {escape(said)}")
    with _part(console, "write the report"):
        report = write_report(out, out=out / REPORT, answer=answer, generated=generated)
    console.print(f"{report}   all in {time.perf_counter() - began:.0f} s", markup=False)
    return evaluations


def _require_same_corpus(out: Path, corpus: str) -> None:
    """Refuse a folder with the demo of another corpus: one store for both would spoil that one's run."""
    others = {path.stem for path in (out / STORE / SOURCES).glob("*.jsonl")} - {corpus}
    if others or (corpus != "simulated" and (out / CORPUS).exists()):
        there = ", ".join(sorted(others)) or "simulated"
        raise ConfigError(f"{out}: holds a demo of another corpus, {there}; choose another --out for {corpus}")


def _require_fitting(out: Path, corpus: str, data: Path, fold: tuple[int, int] | None) -> None:
    """Refuse recordings of too few people, or others than those that the run was begun with."""
    require_folder(data)
    sources = LAYOUTS[corpus].sources(data)
    task = load_task(corpus)
    people = [source.subject for source in sources]
    try:
        if fold is None:
            split_subjects(people, counts=task.split_counts, fractions=task.split_fractions)
        else:
            split_folds(people, fold)
    except ConfigError as error:
        raise ConfigError(f"{data}: {error}") from error
    if not any((out / stage).exists() for stage in STAGES) or not (out / STORE / MANIFEST).is_file():
        return
    given = {f"{source.corpus}/{source.path.relative_to(data).as_posix()}" for source in sources}
    begun = {row.recording for row in Store(out / STORE).outlines}
    if gone := sorted(begun - given):
        raise ConfigError(
            f"{out}: this run was begun with other recordings ({gone[0]} is not in {data}, nor are {len(gone) - 1} "
            "others); give their folder, or choose another --out"
        )


def _filters(store: Path, config: RunConfig) -> Filters:
    """Causal ones for a causal recipe; those that a store was begun with stay."""
    begun = {settings.filters for settings in read_settings(store).values()} if store.is_dir() else set()
    return begun.pop() if begun else config.model.tokenizer.filters


def _train(
    run: Run, texts: list[str], gpt2: str | None, console: Console, progress: Callable[[TrainingProgress], None] | None
) -> Evaluation:
    stages: dict[str, Callable[..., object]] = {
        "train the language model": partial(train_language, gpt2=gpt2),
        "train the tokenizer": train_tokenizer,
        "pretrain": train_pretrain,
        "instruct": train_instruct,
    }
    for name, train in stages.items():
        with _part(console, name):
            train(run, texts=texts, progress=progress)
    results = run.folder / RESULTS
    if results.exists():
        return load_evaluation(results)
    with _part(console, "evaluate on held-out subjects"):
        return evaluate(run.folder / "instruct", run.store.path, baselines=QUICK, device=run.device, out=results)


def _seeded(config: RunConfig, seed: int) -> RunConfig:
    stages: dict[str, Any] = {name: replace(config.stage(name), seed=seed) for name in STAGES}
    return replace(config, **stages)


def _ask(out: Path, data: Path, evaluation: Evaluation, device: str) -> tuple[Answer, str]:
    """Ask the question of the last task about the last test recording of it, and let the model write freely."""
    result = evaluation.results[-1]
    rows = Store(out / STORE).rows
    recording = data / next(row.source for row in rows if row.recording == result.predictions.recordings[-1])
    model = load(out, device=device)
    answer = model.ask(recording, result.question)
    write_text(out / ANSWER, to_json(answer))
    return answer, model.generate(recording, f"Question: {result.question} Answer:")


@contextmanager
def _part(console: Console, name: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    console.print(f"[green]✓[/green] {name} [dim]({time.perf_counter() - began:.0f} s)[/dim]")
