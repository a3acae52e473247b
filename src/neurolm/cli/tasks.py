"""What the verb tasks does: list, show, check and write cards, and make tables from events."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from neurolm.cli.inspect import recordings
from neurolm.core.errors import ConfigError, NeuroLMError
from neurolm.core.files import write_text

if TYPE_CHECKING:
    from jsonargparse import Namespace

    from neurolm.tasks.status import Fit
    from neurolm.tasks.task import Task

FLAGS = {
    "list": ("store", "below", "json"),
    "show": ("store",),
    "check": ("store", "json"),
    "new": ("out", "table", "question", "seconds", "stride"),
    "table": ("out", "events", "from", "to", "task", "subject", "split"),
}
"""Flags of each action."""
WIDE = 400
"""Columns where there is no terminal, so that every task stays on a line for grep and cut."""


def tasks(arguments: Namespace) -> bool | None:
    """Do what is asked; returns False where a card and a store do not fit."""
    action = arguments.action
    for flag in sorted({flag for flags in FLAGS.values() for flag in flags} - set(FLAGS[action])):
        if arguments[flag] not in (None, False):
            raise ConfigError(f"neurolm tasks {action} takes no --{flag}: it takes {_flags(action)}")
    doing: dict[str, Callable[[Namespace], bool | None]] = {
        "list": _list, "show": _show, "check": _check, "new": _new, "table": _table,
    }  # fmt: skip
    return doing[action](arguments)


def _flags(action: str) -> str:
    return ", ".join(f"--{flag}" for flag in FLAGS[action])


def _one(arguments: Namespace, what: str) -> str:
    if len(arguments.names or ()) != 1:
        raise ConfigError(f"neurolm tasks {arguments.action}: give {what} after it")
    return arguments.names[0]


def _list(arguments: Namespace) -> None:
    from neurolm.store.store import Store
    from neurolm.tasks.card import all_tasks, load_task
    from neurolm.tasks.status import check_fit, find_stores

    chosen = [load_task(name) for name in arguments.names or ()] or list(all_tasks().values())
    stores = list(arguments.store or ())
    fits = {task.name: [check_fit(task, Store(store)) for store in stores] for task in chosen}
    for store in () if stores else find_stores(arguments.below or Path()):
        try:
            opened = Store(store)
        except NeuroLMError:  # one that is half prepared or damaged is not what was asked about
            continue
        for task in chosen:
            fits[task.name].append(check_fit(task, opened))
    held = {name: [fit for fit in of_task if fit.recordings] for name, of_task in fits.items()}
    if arguments.json:
        print(
            json.dumps([asdict(task) | {"stores": [asdict(f) for f in held[task.name]]} for task in chosen], indent=2)
        )
        return
    Console(width=None if Console().is_terminal else WIDE).print(_rows(chosen, held))
    print("neurolm tasks show NAME prints a card as the model reads it; neurolm tasks new NAME writes one of your own")


def _rows(tasks: Sequence[Task], held: dict[str, list[Fit]]) -> Table:
    rows = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("task", "question", "options", "windows", "split", "data"):
        rows.add_column(name, overflow="fold", no_wrap=name == "task")
    for task in tasks:
        data = "\n".join(_status(fit) for fit in held[task.name]) or "no store here"
        options = ", ".join(option.text for option in task.options)
        rows.add_row(task.name, task.question, options, _windows(task), _split(task), data)
    return rows


def _windows(task: Task) -> str:
    return f"{task.seconds} s" if task.stride == task.seconds else f"{task.seconds} s every {task.stride:g} s"


def _split(task: Task) -> str:
    if task.split_counts is not None:
        return "subjects " + "/".join(map(str, task.split_counts))
    shares = "/".join(f"{100 * share:g}" for share in task.split_fractions or () if share)
    if task.split_rule is None:
        return f"subjects {shares} %"
    said = "trials as labelled" if task.split_by_trial else "as labelled"
    return f"{said}, others {shares} %" if shares else said


def _status(fit: Fit) -> str:
    labels: dict[str, int] = {}
    for part in fit.parts:
        for label, count in part.windows.items():
            labels[label] = labels.get(label, 0) + count
    counts = ", ".join(f"{label} {count:,}" for label, count in labels.items())
    told = f"{fit.store}: {fit.subjects:,} subjects, {fit.recordings:,} recordings" + (f", {counts}" if counts else "")
    return told if fit.fits else f"{told}; does not fit (neurolm tasks check says why)"


def _show(arguments: Namespace) -> None:
    from neurolm.tasks.card import load_task

    task = load_task(_one(arguments, "the name of a task, or the path of a card"))
    print("\n".join(_details(task)))
    if arguments.store:
        print()
        for store in arguments.store:
            _print_fit(_fit(task, store))


def _details(task: Task) -> Iterator[str]:
    yield f"{task.name}: {task.description}"
    yield f"windows: {_windows(task)}"
    yield f"split: {_split(task)}" + (f" ({task.split_rule})" if task.split_rule else "")
    yield f"metrics: {', '.join(task.metrics)}"
    yield f"licence: {task.licence}"
    yield f"cite: {task.citation}"
    yield ""
    yield "what the model reads after the EEG, and the answers it may give:"
    yield f"  {task.prompt}"
    yield from (
        f"  {answer}" + ("" if option.text == option.label else f"    for the label {option.label}")
        for answer, option in zip(task.answers, task.options, strict=True)
    )
    for title, words in (("in other words", task.phrasings), ("held out of training", task.held_out_phrasings)):
        if words:
            yield f"{title}:"
            yield from (f"  {question}" for question in words)


def _fit(task: Task, store: Path | str) -> Fit:
    from neurolm.store.store import Store
    from neurolm.tasks.status import check_fit

    return check_fit(task, Store(store))


def _check(arguments: Namespace) -> bool:
    from neurolm.tasks.card import load_task

    task = load_task(_one(arguments, "the name of a task, or the path of a card"))
    if not arguments.store:
        raise ConfigError("--store is missing: give the folder that `neurolm prepare` wrote")
    fits = [_fit(task, store) for store in arguments.store]
    if arguments.json:
        print(json.dumps([asdict(fit) for fit in fits], indent=2))
    else:
        for fit in fits:
            _print_fit(fit)
    return all(fit.fits for fit in fits)


def _print_fit(fit: Fit) -> None:
    print(f"{fit.store}: task {fit.task}, {fit.recordings:,} recordings of {fit.subjects:,} people with labels")
    width = max((len(label) for part in fit.parts for label in part.windows), default=0)
    if fit.parts:
        print(f"  {'windows':<{width}}" + "".join(f"{part.part:>12}" for part in fit.parts))
        for label in fit.parts[0].windows:
            print(f"  {label:<{width}}" + "".join(f"{part.windows[label]:>12,}" for part in fit.parts))
        print(f"  {'people':<{width}}" + "".join(f"{part.subjects:>12,}" for part in fit.parts))
    for note in fit.notes:
        print(f"note: {note}")
    for problem in fit.problems:
        print(f"problem: {problem}")
    print("the card and the store " + ("fit" if fit.fits else "do not fit"))


def _new(arguments: Namespace) -> None:
    from neurolm.tasks.card import load_task
    from neurolm.tasks.new import new_card

    name = _one(arguments, "the name of the new task")
    out = arguments.out or Path(f"{name}.toml")
    if out.exists():
        raise ConfigError(f"{out}: exists already; choose another --out, or delete it")
    asked = {key: arguments[key] for key in ("table", "question", "seconds", "stride")}
    write_text(out, new_card(name, **asked))
    try:
        task = load_task(out)
    except ConfigError:
        out.unlink()
        raise
    print(f"{out}: {task.question} {', '.join(option.text for option in task.options)}")
    print(f"next: read it and change what is not right, then neurolm tasks show {out}")


def _table(arguments: Namespace) -> None:
    from neurolm.corpora.events import count_events, divide, find_trials, write_table

    if not arguments.names:
        raise ConfigError("neurolm tasks table: give recordings, or folders of them, after it")
    files = [file for name in arguments.names for file in recordings(Path(name))]
    if arguments.events is None:
        for event, count in count_events(files).items():
            print(f"{count:>8,}  {event}")
        print("next: the same with --events EVENT=LABEL,EVENT=LABEL --to SECONDS --task NAME --out FOLDER/labels.csv")
        return
    for flag, what in (("out", "labels.csv in the folder of the recordings"), ("task", "the name of the task")):
        if arguments[flag] is None:
            raise ConfigError(f"--{flag} is missing: give {what}")
    found = find_trials(files, _pairs(arguments.events), start=arguments["from"] or 0.0, stop=arguments.to)
    trials = found.trials if arguments.split is None else divide(found.trials, _shares(arguments.split))
    write_table(arguments.out, trials, task=arguments.task, subject=arguments.subject)
    print(f"{arguments.out}: {len(trials)} stretches in {len(files)} recordings")
    if found.left_out:
        print(f"note: {found.left_out} events are too near to an end of their recording and were left out")
    print(f"next: neurolm prepare {arguments.out.parent} --out STORE")


def _pairs(text: str) -> dict[str, str]:
    pairs = [part.rsplit("=", 1) for part in text.split(",") if part.strip()]
    if not pairs or any(len(pair) != 2 or not pair[0].strip() or not pair[1].strip() for pair in pairs):
        raise ConfigError(f"--events {text}: give the label of every event, as 33025=13 Hz,33026=21 Hz")
    return {event.strip(): label.strip() for event, label in pairs}


def _shares(text: str) -> tuple[float, float, float]:
    try:
        train, validation, test = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--split {text}: give shares for train, validation and test, as 0.6,0.2,0.2") from error
    return train, validation, test
