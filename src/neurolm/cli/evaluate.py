"""The verb evaluate: one run on its tasks, or several joined into one result."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from neurolm.cli.given import listed, needed, set_threads
from neurolm.core.errors import ConfigError

if TYPE_CHECKING:
    from jsonargparse import Namespace

    from neurolm.evaluation.results import Evaluation


def evaluate(arguments: Namespace) -> None:
    """Evaluate a run; or several, each as if alone, and join them."""
    runs = [*(arguments.runs or ()), *([arguments.model] if arguments.model else [])]
    set_threads(arguments.threads)
    if len(runs) > 1:
        _several([Path(run) for run in runs], arguments)
        return
    arguments.model = runs[0] if runs else None
    folder = needed(arguments, "model", "the folder of the run")
    out = arguments.out or _default(folder, arguments)
    _show(_evaluated(folder, arguments, out), arguments)
    print(out)


def instruct_folder(folder: Path) -> Path:
    """The instruct stage of a run; or the folder itself, where it is one."""
    return folder / "instruct" if (folder / "instruct").is_dir() else folder


def _default(folder: Path, arguments: Namespace) -> Path:
    """Where results go by default. Only a whole evaluation in the cards' own words takes the place of one."""
    from neurolm.evaluation.results import RESULTS

    model = instruct_folder(folder)
    part = [arguments.split] * (arguments.split != "test") + [arguments.wording] * (arguments.wording != "own")
    run_folder = model.parent if model.name == "instruct" else model
    return run_folder / "-".join((*part, *(_names(arguments.tasks) or ()), RESULTS))


def _names(names: str) -> list[str] | None:
    """Names as a list; None for all."""
    return None if names == "all" else [] if names == "none" else listed(names)


def _evaluated(folder: Path, arguments: Namespace, out: Path) -> Evaluation:
    store = needed(arguments, "store", "the store the run was trained on")

    from neurolm.core.device import choose_device
    from neurolm.evaluation.baselines.fit import BASELINES
    from neurolm.evaluation.evaluate import evaluate

    baselines = _names(arguments.baselines)
    plain = {name.lower().replace(" ", "-"): name for name in BASELINES}
    console = Console(stderr=True)
    return evaluate(
        instruct_folder(folder),
        store,
        split=arguments.split,
        tasks=_names(arguments.tasks),
        protocol=arguments.protocol,
        wording=arguments.wording,
        baselines=baselines and [plain.get(name.lower(), name) for name in baselines],
        robustness=arguments.robustness,
        pretrained_on=arguments.pretrained_on,
        device=choose_device(arguments.device),
        out=out,
        progress=lambda task: console.print(f"evaluating {task}", markup=False),
    )


def _show(evaluation: Evaluation, arguments: Namespace) -> None:
    from neurolm.evaluation.evaluate import OFFICIAL
    from neurolm.report import protocol_table, published_table, robustness_table, table

    Console().print(table(evaluation))
    if (beside := published_table([result.task for result in evaluation.results])) is not None:
        Console().print(beside)
    if arguments.protocol == OFFICIAL:
        Console().print(protocol_table(evaluation))
    if arguments.robustness:
        Console().print(robustness_table(evaluation))


def _several(runs: Sequence[Path], arguments: Namespace) -> None:
    """Join runs: evaluated now where there is a store, else as they were evaluated before."""
    from neurolm.evaluation.joined import JOINED, join, save_joined
    from neurolm.evaluation.results import RESULTS, load_evaluation
    from neurolm.report import joined_tables, published_table, write_joined_report

    console, found = Console(stderr=True), []
    for run in runs:
        results = _default(run, arguments)
        if arguments.store is not None:
            console.print(f"{run}", markup=False, soft_wrap=True)
            found.append(_evaluated(run, arguments, results))
        elif results.is_file():
            found.append(load_evaluation(results))
        else:
            raise ConfigError(f"{results}: no such file: give --store to evaluate the runs now")
    absolute = [run.absolute() for run in runs]
    common = Path(os.path.commonpath([run.parent for run in absolute]))
    joined = join(list(zip([str(run.relative_to(common)) for run in absolute], found, strict=True)))
    out = arguments.out or common / (_default(runs[0], arguments).name.removesuffix(RESULTS) + JOINED)
    save_joined(out, joined)
    for table in joined_tables(joined):
        Console().print(table)
    if (beside := published_table([task.task for task in joined.tasks])) is not None:
        Console().print(beside)
    print(out)
    print(write_joined_report(joined, found, out.with_suffix(".html")))
