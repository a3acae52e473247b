"""neurolm tasks"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from neurolm.cli.inspect import as_said, recordings
from neurolm.cli.show import print_json, print_table
from neurolm.cli.values import entries, missing, names, with_arguments_of
from neurolm.core.amounts import many
from neurolm.core.errors import ConfigError, NeuroLMError
from neurolm.core.files import write_text
from neurolm.core.names import readable
from neurolm.core.table import Cell, Column, Table, columns
from neurolm.core.terminal import say
from neurolm.recording.options import ReadingOptions, Truncated

if TYPE_CHECKING:
    from neurolm.corpora.events import Found
    from neurolm.tasks.status import Fit
    from neurolm.tasks.task import Task

_NAMED = 5  # files that a note names at most


def events(text: str) -> dict[str, str]:
    """Read ``33025=13 Hz,33026=21 Hz``; there may be commas in the names of events."""
    found = entries(text)
    if not found or not all(name and label for name, label in found):
        raise ConfigError("give the label of every event, as 33025=13 Hz,33026=21 Hz")
    return dict(found)


def shares(text: str) -> tuple[float, float, float]:
    """Read ``0.6,0.2,0.2``."""
    try:
        train, validation, test = map(float, names(text))
    except ValueError as error:
        raise ConfigError("give shares for train, validation and test, as 0.6,0.2,0.2") from error
    return train, validation, test


def tasks() -> None:
    """List the questions that can be trained, check one against a store, or make one of your own."""


def tasks_list(
    tasks: Sequence[str] = (), *, store: Sequence[Path | str] = (), below: Path = Path(), json: bool = False
) -> None:
    """List the questions that can be trained, and the stores that have labels of them.

    Parameters
    ----------
    tasks
        Tasks or cards to list; by default all that ship.
    store
        Stores whose labels to count.
    below
        Folder in which stores are looked for where none is given.
    """
    from neurolm.store.store import Store
    from neurolm.tasks.card import all_tasks, load_task
    from neurolm.tasks.status import check_fit, find_stores

    chosen = [load_task(name) for name in tasks] or list(all_tasks().values())
    fits = {task.name: [check_fit(task, Store(one)) for one in store] for task in chosen}
    for one in () if store else find_stores(below):
        try:
            opened = Store(one)
        except NeuroLMError:  # one that is half prepared or damaged is not what was asked about
            continue
        for task in chosen:
            fits[task.name].append(check_fit(task, opened))
    held = {name: [fit for fit in of_task if fit.recordings] for name, of_task in fits.items()}
    if json:
        print_json([asdict(task) | {"stores": held[task.name]} for task in chosen])
        return
    print_table(_table(chosen, held))
    say("neurolm tasks show NAME prints a card as the model reads it; neurolm tasks new NAME writes one of your own")


def _table(tasks: Sequence[Task], held: dict[str, list[Fit]]) -> Table:
    rows = [
        (
            task.name,
            task.question,
            ", ".join(option.text for option in task.options),
            _windows(task),
            _split(task),
            "\n".join(_status(fit) for fit in held[task.name]) or "no store here",
        )
        for task in tasks
    ]
    heads = (Column(head="task", whole=True), *columns("question", "options", "windows", "split", "data"))
    return Table(columns=heads, groups=[rows])


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
    labels: Counter[str] = Counter()
    for part in fit.parts:
        labels.update(part.windows)
    counts = "".join(f", {label} {count:,}" for label, count in labels.items())
    told = f"{fit.store}: {many(fit.subjects, 'subject')}, {many(fit.recordings, 'recording')}{counts}"
    return told if fit.fits else f"{told}; does not fit (neurolm tasks check says why)"


def tasks_show(task: str, *, store: Sequence[Path | str] = ()) -> None:
    """Print a card as the model reads it.

    Parameters
    ----------
    task
        The name of a task or the path of a card.
    store
        Stores whose labels to count.
    """
    from neurolm.store.store import Store
    from neurolm.tasks.card import load_task
    from neurolm.tasks.status import check_fit

    card = load_task(task)
    say(*_details(card))
    for one in store:
        say("")
        _print_fit(check_fit(card, Store(one)))


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


def tasks_check(task: str, *, store: Sequence[Path | str], json: bool = False) -> bool:
    """Say whether a card and a store fit, by the exit status too.

    Parameters
    ----------
    task
        The name of a task or the path of a card.
    store
        The stores that `neurolm prepare` wrote.
    """
    from neurolm.store.store import Store
    from neurolm.tasks.card import load_task
    from neurolm.tasks.status import check_fit

    card = load_task(task)
    fits = [check_fit(card, Store(one)) for one in store]
    if json:
        print_json(fits)
    else:
        for fit in fits:
            _print_fit(fit)
    return all(fit.fits for fit in fits)


def _print_fit(fit: Fit) -> None:
    whose = f"{many(fit.recordings, 'recording')} of {many(fit.subjects, 'person')}"
    say(f"{fit.store}: task {fit.task}, {whose} with labels")
    if fit.parts:
        labels: list[tuple[Cell, ...]] = [
            (label, *(part.windows[label] for part in fit.parts)) for label in fit.parts[0].windows
        ]
        people: list[tuple[Cell, ...]] = [("people", *(part.subjects for part in fit.parts))]
        heads = (*columns("windows"), *columns(*(part.part for part in fit.parts), form=","))
        print_table(Table(columns=heads, groups=[labels, people]))
    for note in fit.notes:
        say(f"note: {note}")
    for problem in fit.problems:
        say(f"problem: {problem}")
    say("the card and the store " + ("fit" if fit.fits else "do not fit"))


@with_arguments_of("neurolm.tasks.new:new_card")
def tasks_new(name: str, *, out: Path | None = None, **how: Any) -> None:
    """Write a card of your own.

    Parameters
    ----------
    name
        The name of the new task.
    out
        File to write; by default NAME.toml.
    """
    from neurolm.tasks.card import load_task
    from neurolm.tasks.new import new_card

    out = out or Path(f"{name}.toml")
    if out.exists():
        raise ConfigError(f"{out}: exists already; choose another --out, or delete it")
    write_text(out, new_card(name, **how))
    try:
        task = load_task(out)
    except ConfigError:
        out.unlink()
        raise
    say(f"{out}: {task.question} {', '.join(option.text for option in task.options)}")
    say(f"next: read it and change what is not right, then neurolm tasks show {out}")


def tasks_table(
    files: Sequence[Path],
    *,
    events: Annotated[dict[str, str], events] | None = None,
    from_path: str | None = None,
    out: Path | None = None,
    task: str | None = None,
    from_: float | None = None,
    to: float | None = None,
    subject: str | None = None,
    split: Annotated[tuple[float, float, float], shares] | None = None,
    channels: Sequence[str] | Mapping[str, str] | None = None,
    cap: str | None = None,
    stream: str | int | None = None,
    rate: float | None = None,
    truncated: Truncated = "refuse",
) -> None:
    """Make a table of labels from the events in recordings, or from the names of their files and folders.

    Parameters
    ----------
    files
        Recordings or folders of them.
    events
        Events and their labels, as 33025=13 Hz,33026=21 Hz; by default all are listed and no table is made. With
        --from-path, what is found in the paths and its labels, as EO=open,EC=closed; by default each is its own label.
    from_path
        Label whole recordings by their paths below the folder: an expression whose group is the label, such as
        '_(EO|EC)_' or '^(rest|task)/'.
    out
        File to write: labels.csv in the folder of the recordings.
    task
        Name of the task.
    from_
        Seconds after the event, or the start of a recording labelled by its path, at which its stretch begins.
    to
        And at which it ends; by default as long as the event says, or the end of the recording. Stretches with an end
        may overlap; shorter ones than a second are extended to a second.
    subject
        Whose recordings: a name, or an expression such as 'S(\\d+)'; by default each file's is a person of its own.
    split
        Divide each person's trials among training, validation and test, as 0.6,0.2,0.2.
    channels
        Electrodes, or which electrodes the files' own names stand for (EEG=C4), as for neurolm prepare. No electrode is
        needed: where channels have several rates and lengths, those of these count.
    cap
        MNE's name of the cap whose contacts the channels count, as for neurolm prepare.
    stream
        XDF: name or number of the stream whose times count; by default the longest of type EEG. MATLAB, .npz: the
        variable.
    rate
        Samples per second of tables and arrays (CSV, NumPy, MATLAB …) that do not say it.
    truncated
        Whether to take (accept) what is there of a file that ends too early.
    """
    from neurolm.corpora.events import count_events, find_trials, label_paths
    from neurolm.corpora.trials import divide, write_table

    reading = ReadingOptions(channels=channels, cap=cap, stream=stream, rate=rate, truncated=truncated)
    for one in files:
        reading = as_said(one, reading)
    found_files, empty = _recordings(files, arrays=reading.rate is not None)
    if events is None and from_path is None:
        _list_events(count_events(found_files, reading=reading), empty)
        return
    if from_path is not None:
        below = out.parent if out is not None else files[0] if files[0].is_dir() else files[0].parent
        found = label_paths(found_files, from_path, below=below, labels=events, start=from_, stop=to, reading=reading)
        if out is None and task is None:
            _list_events(found, empty, "--from-path")
            return
    out = out or missing("--out", "labels.csv in the folder of the recordings")
    task = task or missing("--task", "the name of the task")
    if events is not None and from_path is None:
        found = find_trials(found_files, events, start=from_ or 0.0, stop=to, reading=reading)
    trials = found.trials if split is None else divide(found.trials, split)
    write_table(out, trials, task=task, subject=subject)
    say(f"{out}: {len(trials)} stretches in {many(len({trial.file for trial in trials}), 'recording')}")
    for note in (*empty, *_notes(found, divided=len(found.trials) - len(trials))):
        say(f"note: {note}")
    say(f"next: neurolm prepare {out.parent} --out STORE")


def _recordings(given: Sequence[Path], *, arrays: bool) -> tuple[list[Path], list[str]]:
    """The recordings among files and folders, and notes of what was passed over, unless there is none at all."""
    found: list[Path] = []
    passed: list[str] = []
    notes: list[str] = []
    for one in given:
        try:
            inside = recordings(one, notes, arrays=arrays)
        except NeuroLMError as error:
            passed.append(f"passed over: {error}")
            continue
        for file in inside:
            if readable(name := str(file.relative_to(one) if file != one else file.name)) == name:
                found.append(file)
            else:
                passed.append(f"passed over: {readable(str(file))}: its name is not in UTF-8, as a table's must be: "
                              "rename the file or its folder")  # fmt: skip
    if not found:
        raise ConfigError(passed[0].removeprefix("passed over: "))
    return found, passed + notes


def _list_events(found: Found, empty: Sequence[str], by: str = "--events") -> None:
    """Print what was found and how often, what was not, and what to do next."""
    for event, count in found.counts.most_common():
        say(f"{count:>8,}  {event}")
    for note in (*empty, *_notes(found)):
        say(f"note: {note}")
    if by == "--from-path":
        say("next: the same with --task NAME --out FOLDER/labels.csv; --events FOUND=LABEL,… gives other labels")
    elif found.counts:
        say("next: the same with --events EVENT=LABEL,EVENT=LABEL --to SECONDS --task NAME --out FOLDER/labels.csv")
    else:
        say("next: where the names of files or folders say the labels, --from-path EXPRESSION; else write the table")


def _notes(found: Found, divided: int = 0) -> Iterator[str]:
    """Say what was not found, not taken or not taken as it is."""
    for file, reason in found.passed_over.items():
        yield f"passed over: {reason if str(file) in reason else f'{file}: {reason}'}"
    if found.without:
        yield f"{found.lacking} in {len(found.without):,} of {found.files:,} files: {_named(found.without)}"
    said: dict[str, list[Path]] = {}
    for file, notes in found.notes.items():
        for note in notes:
            said.setdefault(note, []).append(file)
    for note, files in said.items():
        yield f"{note} ({_named(files)})"
    yield from found.changes
    if divided:
        yield f"{divided} stretches share time with one of another part of the split and were left out"


def _named(files: Sequence[Path]) -> str:
    rest = len(files) - _NAMED
    return ", ".join(file.name for file in files[:_NAMED]) + (f" and {rest:,} more" if rest > 0 else "")
