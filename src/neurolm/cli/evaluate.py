"""neurolm evaluate runs/mine --store store"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from neurolm.cli.show import below_common, print_table, terminal
from neurolm.cli.values import Answering, instruct_folder, missing, names
from neurolm.core.errors import ConfigError
from neurolm.core.files import require_writable
from neurolm.core.terminal import say

if TYPE_CHECKING:
    from neurolm.evaluation.results import Evaluation


def some(text: str) -> list[str] | None:
    """Read ``a,b``, ``none`` or ``all``, which is None."""
    return None if text == "all" else [] if text == "none" else names(text)


def baselines(text: str) -> list[str] | None:
    """Read ``majority,band-power`` as the names that they have in tables."""
    from neurolm.evaluation.results import BASELINES

    plain = {name.lower().replace(" ", "-"): name for name in BASELINES}
    chosen = some(text)
    return chosen and [plain.get(name.lower(), name) for name in chosen]


def evaluate(
    runs: Sequence[Path] = (),
    *,
    model: Path | None = None,
    store: Path | str | None = None,
    split: Literal["test", "validation"] = "test",
    tasks: Annotated[Sequence[str], some] | None = None,
    baselines: Annotated[Sequence[str], baselines, "neurolm.evaluation.results:BASELINES"] | None = None,
    robustness: bool = False,
    wording: Annotated[str, "neurolm.evaluation.results:WORDINGS"] = "own",
    pretrained_on: Sequence[Path | str] = (),
    protocol: Annotated[str, "neurolm.evaluation.results:PROTOCOLS"] = "likelihood",
    out: Path | None = None,
    machine: Answering,
) -> None:
    """Answer all tasks on held-out subjects, beside baselines.

    Parameters
    ----------
    runs
        Folders of runs, or of their instruct stages; several, seeds or folds, are joined into one result.
    model
        Another way to name a run.
    store
        The store the run was trained on; several runs that were evaluated before need none.
    split
        Whose subjects.
    tasks
        Some of those the model was tuned on, as a,b; by default all.
    baselines
        Some, as majority,band-power, or none; by default all.
    robustness
        Disturb the input of some windows, too.
    wording
        held-out: in words never used in training.
    pretrained_on
        Stores that the model has seen besides: refuse what is tested on and is in them.
    protocol
        official: show also what the authors' way of reading answers gives.
    out
        JSON file; by default evaluation.json in the run, or joined-evaluation.json in the folder of several.
    """
    folders = [*runs, *([model] if model else [])]
    run = folders[0] if folders else missing("RUN", "the folder of the run, as a word or by --model")
    machine.set_threads()
    part = [split] * (split != "test") + [wording] * (wording != "own") + list(tasks or ())
    how = {
        "split": split, "tasks": tasks, "baselines": baselines, "robustness": robustness, "wording": wording,
        "pretrained_on": pretrained_on, "protocol": protocol, "device": machine.device, "precision": machine.precision,
    }  # fmt: skip
    if len(folders) > 1:
        _several(folders, store, out, part=part, how=how)
        return
    out = out or _default(run, part)
    _show(_evaluated(run, store or missing("--store", "the store the run was trained on"), out, how), how)
    say(out)


def _default(run: Path, part: Sequence[str]) -> Path:
    """Where results go by default. Only a whole evaluation in the cards' own words takes the place of one."""
    from neurolm.evaluation.results import RESULTS

    model = instruct_folder(run)
    return (model.parent if model.name == "instruct" else model) / "-".join((*part, RESULTS))


def _evaluated(run: Path, store: Path | str, out: Path, how: dict[str, Any]) -> Evaluation:
    from neurolm.core.device import choose_device
    from neurolm.evaluation.evaluate import evaluate

    console = terminal(stderr=True)
    return evaluate(
        instruct_folder(run),
        store,
        out=out,
        progress=lambda task: console.print(f"evaluating {task}", markup=False),
        **how | {"device": choose_device(how["device"])},
    )


def _show(evaluation: Evaluation, how: dict[str, Any]) -> None:
    from neurolm.evaluation.results import OFFICIAL
    from neurolm.report import protocol_table, published_table, results_table, robustness_table

    print_table(results_table(evaluation))
    if evaluation.precision != "float32":
        say(f"note: answered in {evaluation.precision}")
    if (beside := published_table([result.task for result in evaluation.results])) is not None:
        print_table(beside)
    if how["protocol"] == OFFICIAL and (protocol := protocol_table(evaluation)) is not None:
        print_table(protocol)
    if how["robustness"] and (disturbed := robustness_table(evaluation)) is not None:
        print_table(disturbed)


def _several(
    runs: Sequence[Path], store: Path | str | None, out: Path | None, *, part: Sequence[str], how: dict[str, Any]
) -> None:
    """Join runs: evaluated now where there is a store, else as they were evaluated before."""
    from neurolm.evaluation.joined import JOINED, join, save_joined
    from neurolm.evaluation.results import RESULTS, load_evaluation
    from neurolm.report import joined_tables, published_table, write_joined_report

    folders = [instruct_folder(run).resolve() for run in runs]
    if len(set(folders)) < len(folders):
        raise ConfigError(f"{', '.join(map(str, runs))}: give two or more runs, each once, to join their evaluations")
    common, names = below_common(runs)
    out = out or common / (_default(runs[0], part).name.removesuffix(RESULTS) + JOINED)
    require_writable(out)
    console, found = terminal(stderr=True), []
    for run in runs:
        results = _default(run, part)
        if store is not None:
            console.print(f"{run}", markup=False, soft_wrap=True)
            found.append(_evaluated(run, store, results, how))
        elif results.is_file():
            found.append(load_evaluation(results))
        else:
            raise ConfigError(f"{results}: no such file: give --store to evaluate the runs now")
    joined = join(list(zip(names, found, strict=True)))
    save_joined(out, joined)
    for table in joined_tables(joined):
        print_table(table)
    if (beside := published_table([task.task for task in joined.tasks])) is not None:
        print_table(beside)
    say(out)
    say(write_joined_report(joined, found, out.with_suffix(".html")))
