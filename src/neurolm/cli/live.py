"""neurolm live lsl:ActiChamp "Is this EEG segment of high workload?" --model runs/mine"""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from neurolm.cli.answers import bar_characters
from neurolm.cli.ask import NEAREST, asked, load_model
from neurolm.cli.show import as_json, terminal
from neurolm.cli.values import Answering, as_flags
from neurolm.core.amounts import duration, likely, many
from neurolm.core.errors import ConfigError, QuestionError, argument
from neurolm.core.terminal import say
from neurolm.recording.options import ReadingOptions, Unseen

if TYPE_CHECKING:
    from rich.console import RenderableType

    from neurolm.api.model import Model
    from neurolm.live.session import Session
    from neurolm.live.state import State

CONTEXT = 60.0
"""Seconds that an answer is about, as `live.context` has it, which is slow to import."""
BAR = 32
"""Characters of a bar of probability."""
NO_ANSWER = ("unlike the training", "undecided", "bad contact")
"""States in which there is EEG, and no answer to act on."""
UNLED = ("file:", "synthetic:")
"""Sources in which nobody does what they are told."""
SHOWN = 5
"""Notes that stay in view."""


def live(
    source: str,
    question: str | None = None,
    *,
    model: Path | None = None,
    options: Sequence[str] | None = None,
    stride: float | None = None,
    context: float = CONTEXT,
    risk: float | None = None,
    for_: float | None = None,
    reading: ReadingOptions = NEAREST,
    unseen: Unseen = "nearest",
    record: Path | None = None,
    markers: Sequence[str] | None = None,
    outlet: str | None = None,
    person: Path | None = None,
    calibrate: Path | None = None,
    json: bool = False,
    machine: Answering,
) -> None:
    """Answer a question about EEG that is still coming in, once a second.

    Other examples: neurolm live "file:night.edf?speed=max" QUESTION --json answers about a recording as fast as it can;
    neurolm live "synthetic:?task=workload" QUESTION --context 10 about simulated EEG; neurolm live lsl:ActiChamp
    QUESTION --calibrate persons/anna leads a person through labelled blocks. --risk and --person exclude each other.

    Parameters
    ----------
    source
        lsl:NAME or lsl:NAME@SOURCE_ID (a stream of the Lab Streaming Layer), file:PATH?speed=8 (a recording, replayed),
        synthetic:?task=workload (simulated EEG) or brainflow:ID?port=PORT (a board); settings after ? may be left out,
        and need quotes in a shell. See docs/live_sources.md for all.
    stride
        Seconds from the start of a window to that of the next; by default as in training.
    context
        Seconds up to now that an answer is about.
    risk
        Largest share of wrong answers, such as 0.1; else the answer is undecided. Not with --person.
    for_
        Seconds of EEG after which to end; by default when the source does, or at Ctrl-C.
    unseen
        What to do with electrodes that the model never saw.
    record
        Write what is received there, as NAME.vhdr, for neurolm ask.
    markers
        Names of the LSL streams whose markers are taken along; by default all of the EEG's machine.
    outlet
        Send probabilities and status on, as streams of the Lab Streaming Layer with this name.
    person
        Folder of the calibration for the person, as --calibrate or neurolm calibrate --person writes it.
    calibrate
        Lead a person through labelled blocks instead, and calibrate for them: a new folder for the recording and for
        what is fitted, which --person takes.
    json
        Print every state as a line of JSON.
    """
    opened = load_model(model, machine)
    if calibrate is not None:
        if options or person or record or markers or outlet or for_ or json or risk is not None:
            raise ConfigError(
                "--calibrate takes no --options, --person, --record, --markers, --outlet, --for, --risk and --json"
            )
        text = asked(question, opened)
        lead(source, text, opened, calibrate, reading=reading, unseen=unseen)
        how = ["--model", str(model)] * (model is not None) + ["--unseen", unseen] * (unseen != "nearest")
        how += ["--stride", f"{stride:g}"] if stride is not None else []
        how += ["--context", f"{context:g}"] * (context != CONTEXT)
        how += [*as_flags(reading, NEAREST), *as_flags(machine, Answering()), "--person", str(calibrate)]
        say(f"next: {shlex.join(['neurolm', 'live', source, text, *how])}")
        return
    from neurolm.live.session import Policy

    looking(source, error=json)
    policy = Policy(stride=stride, context=context, risk=risk, seconds=for_)
    session = opened.live(
        source, asked(question, opened), options=options, policy=policy, reading=reading, unseen=unseen, record=record,
        markers=markers, outlet=outlet, person=person,
    )  # fmt: skip
    watch(session, json=json)


def watch(session: Session, *, json: bool) -> None:
    """Show the states of a session until it ends or is interrupted, then what it was."""
    view = AsJson() if json else InTerminal() if terminal().is_terminal else AsLines()
    counts: Counter[str] = Counter()
    last: State | None = None
    try:
        with view:
            for state in session:
                counts[state.status] += 1
                last = state if state.status == "answer" else last
                view.show(state)
    except KeyboardInterrupt:
        pass
    finally:
        session.close()
    say(*summary(session, counts, last), error=json)


def lead(source: str, question: str, model: Model, folder: Path, *, reading: ReadingOptions, unseen: Unseen) -> None:
    """Lead a person through the options of a question, and fit what is adapted to them."""
    from neurolm.ask.personal import PersonFile
    from neurolm.live.guided import SECONDS, guide, schedule
    from neurolm.live.sources.open_source import open_source

    if (person := folder / PersonFile.FILE).exists():
        raise ConfigError(f"{person}: is there already; give {argument('calibrate')} a new folder")
    one = model.asked(question)
    task = one.question.task
    if one.prompt.beside is None:  # before anybody sits through it
        raise QuestionError(
            f"{task.question!r}: the model has no evidence for this question that could be adapted to a person; "
            "`neurolm calibrate RUN --store STORE --evidence fit` adds it"
        )
    if source.startswith(UNLED):
        say(f"note: nobody follows the words in {source}: what is fitted on it is of no use but to try the command")
    looking(source, error=False)
    blocks = schedule(task.labels, seconds=max(SECONDS, task.seconds + 5.0))
    say(
        f"The question is: {task.question}",
        "Each block names an answer: be in the state in which it is the right one, from 'now' until 'stop'.",
    )
    table = guide(open_source(source, reading=reading), blocks, folder, task=task.name, prompt=say)
    found = model.calibrate(table, reading=reading, unseen=unseen)
    found.save(folder)
    say(*found.described, folder / PersonFile.FILE)


class AsJson:
    """A line of JSON for every state."""

    def __enter__(self) -> AsJson:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def show(self, state: State) -> None:
        """Print a state."""
        say(as_json(state, indent=None))


class AsLines(AsJson):
    """A plain line for every state, where nobody watches a terminal."""

    def show(self, state: State) -> None:
        """Print what there is to say, and the state."""
        said = "" if state.probabilities is None or state.status == "ended" else f"  {_pooled(state)}"
        notes = [*(f"note: {note}" for note in state.notes), *(f"marker: {text}" for _, text in state.markers)]
        say(*notes, f"{duration(state.time):>8}  {state.status}{said}")


class InTerminal(AsJson):
    """A view of the newest state, which stays in its place."""

    def __init__(self) -> None:
        from rich.live import Live

        self.characters = bar_characters(sys.stdout.encoding)
        self.notes: list[str] = []
        self.live = Live(console=terminal(), auto_refresh=False, transient=False)

    def __enter__(self) -> InTerminal:
        self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.live.stop()

    def show(self, state: State) -> None:
        """Show a state in place of the one before."""
        self.notes = [*self.notes, *state.notes][-SHOWN:]
        self.live.update(self._drawn(state), refresh=True)

    def _drawn(self, state: State) -> RenderableType:
        from rich.text import Text

        width = max(map(len, state.options))
        lines = [state.question, f"{duration(state.time)}  {state.status.upper()}", ""]
        for option, probability in zip(state.options, state.probabilities or [0.0] * len(state.options), strict=True):
            filled = round(BAR * probability)
            bar = self.characters[0] * filled + self.characters[1] * (BAR - filled)
            shown = likely(probability) if state.probabilities else ""
            lines.append(f"  {option:<{width}}  {bar}  {shown}")
        lines += ["", *details(state), *(f"note: {note}" for note in self.notes)]
        return Text("\n".join(lines))


def details(state: State) -> list[str]:
    """What an answer rests on, and how late it is."""
    out = []
    if state.windows and state.since is not None:
        out.append(f"{many(state.windows, 'window')} of the last {state.time - state.since:.0f} s")
    if state.window is not None:
        best = max(range(len(state.options)), key=state.window.probabilities.__getitem__)
        out.append(f"newest window: {state.options[best]} {likely(state.window.probabilities[best])}")
    faults = ", ".join(f"{name} ({why})" for name, why in state.faults.items())
    out.append(many(len(state.electrodes), "electrode") + (f"; bad contact: {faults}" if faults else ""))
    late = f"newest sample {1000 * state.age:.0f} ms old, computing {state.latency:.0f} ms"
    return [*out, f"{late}, filters {1000 * state.delay:.0f} ms"]


def _pooled(state: State) -> str:
    """The probabilities of all options."""
    each = zip(state.options, state.probabilities or (), strict=True)
    return "  ".join(f"{option} {likely(probability)}" for option, probability in each)


def looking(source: str, *, error: bool) -> None:
    """Say what is looked for, which may take seconds."""
    kind, _, name = source.partition(":")
    if kind == "lsl":
        say(f"looking for {name or 'a stream of type EEG'} …", error=error)


def summary(session: Session, counts: Counter[str], last: State | None) -> list[str]:
    """What a session was: how long, in which states, and what the last state that was an answer said."""
    counts.pop("ended", None)
    said = ", ".join(f"{status} {count:,} ×" for status, count in counts.most_common())
    out = [f"{duration(session.received)} of EEG; {said or 'nothing came'}"]
    others = [status for status, _ in counts.most_common() if status in NO_ANSWER]
    if last is not None:
        out.append(
            f"last answer: {last.answer}; {_pooled(last)}; {many(last.windows, 'window')} up to {duration(last.time)}"
        )
    elif others:
        out.append(f"no answer: all of it was {' or '.join(others)}")
    elif counts:
        out.append("no answer: no window was whole")
    if session.recorder is not None:
        out += [f"{path}: recorded; `neurolm ask` answers it again" for path in session.recorder.parts]
    return out
