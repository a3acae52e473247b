"""The whole of neurolm in one command, from a corpus to a trained model, an answer and a report.

    neurolm demo
    neurolm demo --corpus eegmat --data DIR --out runs/eegmat

Every part skips what is already done, so the same command goes on after it was killed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from neurolm.api import Answer, load
from neurolm.batches.text import read_texts
from neurolm.core.config import STAGES, RunConfig, to_json
from neurolm.core.errors import ConfigError
from neurolm.core.files import write_text
from neurolm.corpora.simulated.simulate import simulate
from neurolm.evaluation.baselines.fit import QUICK
from neurolm.evaluation.evaluate import evaluate
from neurolm.evaluation.results import RESULTS, Evaluation, load_evaluation
from neurolm.prepare.prepare import PrepareProgress, prepare
from neurolm.report import table, write_report
from neurolm.report.tables import accuracy_text
from neurolm.store.store import Store
from neurolm.train.instruct import train_instruct
from neurolm.train.language import train_language
from neurolm.train.loop import TrainingProgress
from neurolm.train.pretrain import train_pretrain
from neurolm.train.run import Run, open_run
from neurolm.train.tokenizer import train_tokenizer

CORPORA = ("simulated", "eegmat")
ANSWER, REPORT = "answer.json", "report.html"


def demo(
    out: Path,
    *,
    corpus: str = "simulated",
    data: Path | None = None,
    config: RunConfig,
    seeds: Sequence[int] = (0,),
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
    progress, count
        Displays: ``progress`` is told every training step; ``count(what)`` returns what is told every file.

    Raises
    ------
    ConfigError
        If the corpus is unknown, its data is not given, or ``out`` is a file.
    """
    if corpus not in CORPORA:
        raise ConfigError(f"corpus={corpus!r}: choose one of {', '.join(CORPORA)}")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: a file, not a folder; choose another --out")
    if corpus != "simulated" and data is None:
        raise ConfigError(f"corpus={corpus!r} needs the folder of its recordings: give --data DIR")
    began = time.perf_counter()
    if data is None:
        with _part(console, "simulate recordings"):
            data = simulate(out / "corpus", jobs=jobs, progress=count and count("simulating recordings"))
    with _part(console, "prepare the store"):
        layout = "table" if corpus == "simulated" else corpus
        shown = count and count("preparing recordings")

        def told(step: PrepareProgress) -> None:
            if shown:
                shown(step.done, step.total, step.source)

        prepare(data, out / "store", corpus=layout, jobs=jobs, progress=told)
    texts = read_texts(text)
    evaluations = []
    for seed in seeds:
        folder = out if seed == seeds[0] else out / f"seed-{seed}"
        evaluations.append(
            _one_seed(folder, out / "store", _seeded(config, seed), texts, gpt2, device, console, progress)
        )
    for evaluation in evaluations:
        console.print(table(evaluation))
    if len(seeds) > 1:
        console.print(_over_seeds(evaluations))
    answer, generated = _ask(out, Store(out / "store"), data, evaluations[0], device)
    console.print(
        f"[bold]{answer.question}[/bold] {Path(answer.recording).name}: {answer.answer} ({answer.probability:.2f})"
    )
    with _part(console, "write the report"):
        report = write_report(out, out=out / REPORT, answer=answer, generated=generated)
    console.print(f"{report}   all in {time.perf_counter() - began:.0f} s")
    return evaluations


def _one_seed(
    folder: Path,
    store: Path,
    config: RunConfig,
    texts: list[str],
    gpt2: str | None,
    device: str,
    console: Console,
    progress: Callable[[TrainingProgress], None] | None,
) -> Evaluation:
    run: Run = open_run(folder, config=config, store=store, device=device)
    with _part(console, "train the language model"):
        train_language(run, texts=texts, gpt2=gpt2, progress=progress)
    with _part(console, "train the tokenizer"):
        train_tokenizer(run, texts=texts, progress=progress)
    with _part(console, "pretrain"):
        train_pretrain(run, texts=texts, progress=progress)
    with _part(console, "instruct"):
        train_instruct(run, texts=texts, progress=progress)
    if (folder / RESULTS).exists():
        return load_evaluation(folder / RESULTS)
    with _part(console, "evaluate on held-out subjects"):
        return evaluate(folder / "instruct", store, baselines=QUICK, device=run.device, out=folder / RESULTS)


def _seeded(config: RunConfig, seed: int) -> RunConfig:
    stages: dict[str, Any] = {name: replace(config.stage(name), seed=seed) for name in STAGES}
    return replace(config, **stages)


def _ask(out: Path, store: Store, data: Path, evaluation: Evaluation, device: str) -> tuple[Answer, str]:
    """Ask the question of the last task about the last test recording of it, and let the model write freely."""
    result = evaluation.results[-1]
    source = data / next(r.source for r in store.rows if r.recording == result.predictions.recordings[-1])
    model = load(out, device=device)
    answer = model.ask(source, result.question)
    write_text(out / ANSWER, to_json(answer))
    return answer, model.generate(source, f"Question: {result.question} Answer:")


def _over_seeds(evaluations: Sequence[Evaluation]) -> Table:
    rows = Table(title=f"over {len(evaluations)} seeds: mean ± SD", box=SIMPLE_HEAD)
    for name in ("task", "balanced accuracy", "calibration error", "baseline", "chance"):
        rows.add_column(name)
    for results in zip(*(e.results for e in evaluations), strict=True):
        accuracy = [r.scores.balanced_accuracy for r in results]
        error = [r.scores.ece for r in results]
        rows.add_row(
            results[0].task,
            f"{statistics.mean(accuracy):.3f} ± {statistics.stdev(accuracy):.3f}",
            f"{statistics.mean(error):.3f} ± {statistics.stdev(error):.3f}",
            accuracy_text(results[0].baseline),
            f"{results[0].chance:.3f}",
        )
    return rows


@contextmanager
def _part(console: Console, name: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    console.print(f"[green]✓[/green] {name} [dim]({time.perf_counter() - began:.0f} s)[/dim]")
