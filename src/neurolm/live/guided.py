"""Leading a person through labelled blocks, and what is recorded: for a calibration of their own

>>> blocks = schedule(("Yes", "No"), seed=1)
>>> table = guide(open_source("lsl:ActiChamp"), blocks, Path("anna"), task="workload", prompt=print)
>>> model.calibrate(table).save(Path("anna"))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from neurolm.core.amounts import in_words
from neurolm.core.errors import ConfigError, QuestionError, RecordingError, argument
from neurolm.corpora.table import TABLE
from neurolm.corpora.trials import Trial, write_table
from neurolm.live.recorder import SUFFIX, Recorder
from neurolm.live.source import Chunk, Source

SECONDS, ROUNDS = 20.0, 2
"""Length of a block, and how often each option has its turn: of two options, 80 seconds."""
READY = 4.0
"""Seconds to get ready before a block."""
SETTLED = 1.0
"""Seconds after the word is given from which on the label counts."""
LAST = 5.0
"""Seconds before the end of a block at which it is said to be near."""
NAME = "calibration"
"""Of the recording."""


@dataclass(frozen=True)
class Block:
    """What a person is asked to do, and when; seconds since the recording began."""

    label: str
    ready: float
    """When the next option is named."""
    start: float
    """When the word is given."""
    stop: float


def schedule(
    options: Sequence[str],
    *,
    seconds: float = SECONDS,
    rounds: int = ROUNDS,
    ready: float = READY,
    seed: int | None = None,
) -> tuple[Block, ...]:
    """Plan blocks: in every round each option once, in random order, so that no option is always first or last.

    No option comes twice in a row, so that every block begins with a change.

    Parameters
    ----------
    options
        Of the question.
    seconds, rounds
        Length of a block, and how many each option has.
    ready
        Seconds before each block.
    seed
        Of the order; by default another one each time.

    Raises
    ------
    QuestionError
        If there is nothing to plan.
    """
    if len(options) < 2 or rounds < 1 or not seconds > SETTLED or not ready >= 0:
        raise QuestionError(
            f"{argument(seconds=seconds, rounds=rounds)} for the options {', '.join(options)}: two options, one round "
            f"and more than {SETTLED:g} s are the least"
        )
    rng = np.random.default_rng(seed)
    order: list[str] = []
    for _ in range(rounds):
        turn = [str(option) for option in rng.permutation(list(options))]
        if order and turn[0] == order[-1]:
            turn.append(turn.pop(0))
        order += turn
    assert all(one != other for one, other in pairwise(order))
    length = ready + seconds
    return tuple(
        Block(label, number * length, number * length + ready, (number + 1) * length)
        for number, label in enumerate(order)
    )


def guide(source: Source, blocks: Sequence[Block], folder: Path, *, task: str, prompt: Callable[[str], object]) -> Path:
    """Lead a person through blocks while their EEG is recorded, and write down which parts have which label.

    Parameters
    ----------
    source
        Where the EEG comes from; closed at the end.
    blocks
        As `schedule` plans them; the clock is that of the samples.
    folder
        For ``calibration.vhdr``, the recording, and ``labels.csv``, the table that ``Model.calibrate`` takes; called as
        the person is.
    task
        Of which the labels are options.
    prompt
        Tells the person what to do.

    Returns
    -------
    Path
        The table.

    Raises
    ------
    RecordingError
        If the source ends before the last block does, or its channels or rate change.
    ConfigError, WriteError
        If there is a recording or a table already, or nothing can be written there.
    """
    if (table := folder / TABLE).exists():
        raise ConfigError(f"{table}: is there already; begin with a new folder")
    recorder = Recorder(folder / f"{NAME}{SUFFIX}", source.layout)
    end = blocks[-1].stop
    words = _words(blocks)
    prompt(f"{len(blocks)} blocks, {in_words(end)} in all")
    now = 0.0
    try:
        for event in source:
            if isinstance(event, Chunk):
                recorder.write(event)
                now = recorder.samples / recorder.layout.rate
            elif event.layout is not None:
                raise RecordingError(f"{source.layout.name}: {event.text}; begin anew, with another folder")
            elif event.kind == "ended":
                break
            else:
                prompt(f"note: {event.text}")
                recorder.interrupt(event)
            while words and words[0][0] <= now:
                prompt(words.pop(0)[1])
            if now >= end:
                break
    finally:
        source.close()
        recorder.close()
    if now < end:
        raise RecordingError(
            f"{source.layout.name}: ended after {now:.0f} s, and the blocks last {end:.0f} s; begin anew, with another "
            "folder"
        )
    trials = [
        Trial(file=recorder.path, start=block.start + SETTLED, stop=block.stop, label=block.label) for block in blocks
    ]
    write_table(table, trials, task=task, subject=folder.resolve().name.replace("(", "_"))
    return table


def _words(blocks: Sequence[Block]) -> list[tuple[float, str]]:
    """What is said, and when."""
    said: list[tuple[float, str]] = []
    for number, block in enumerate(blocks, start=1):
        said.append(
            (block.ready, f"{number} of {len(blocks)}: get ready for {block.label!r}, and stay so until 'stop'")
        )
        said.append((block.start, f"    now {block.label!r}, {block.stop - block.start:g} s"))
        if block.stop - LAST > block.start:
            said.append((block.stop - LAST, f"    {LAST:g} s more"))
        said.append((block.stop, "    stop"))
    return [*said, (blocks[-1].stop, "done, thank you")]
