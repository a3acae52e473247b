"""Answers about a recording as a file of another program, by the name's suffix

>>> export_answer(answer, Path("answers.edf"), start=recording.start)    # EDF+ annotations
>>> export_answer([stages, workload], Path("derivatives"), format="bids")
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, get_args

from neurolm.ask.answer import Answer
from neurolm.ask.rows import Outcome, WindowRow, window_rows
from neurolm.ask.table_files import CSV, PARQUET, require_pyarrow, table_file
from neurolm.core.errors import ConfigError, QuestionError, argument
from neurolm.core.files import atomic_file, dump_json
from neurolm.core.names import choose
from neurolm.export.bids import write_derivatives
from neurolm.export.edf_annotations import write_annotations
from neurolm.export.stretches import stretches_of
from neurolm.export.words import NOT_SCORED, stage_of, stages

Format = Literal["csv", "json", "edf", "bids", "hypnogram"]
"""A table of the windows, all fields as ``neurolm ask --json`` prints them, EDF+ annotations, BIDS derivatives, or a
sleep stage a line for each epoch."""
BIDS = "bids:"
"""Stands before a folder for BIDS derivatives."""
EPOCH = 30.0
"""Seconds of an epoch of sleep (AASM)."""
UNSCORED = "UNS"
"""What YASA calls an epoch without a stage."""
_BY_SUFFIX: dict[str, Format] = {".edf": "edf", ".json": "json", ".txt": "hypnogram"}
_BY_SUFFIX |= dict.fromkeys((*CSV, *PARQUET), "csv")


def target(given: str) -> tuple[Path, Format]:
    """Return the file or folder that ``--export`` names, and its format.

    Raises
    ------
    ConfigError
        If no format has such a name, or pyarrow is missing for Parquet.
    """
    if given.startswith(BIDS):
        return Path(given.removeprefix(BIDS) or "."), "bids"
    found = _BY_SUFFIX.get(Path(given).suffix.lower())
    if found is None:
        raise ConfigError(
            f"{argument(export=given)}: no format of that name; let it end in .edf (annotations), .csv, .tsv or "
            f".parquet (windows), .json, or .txt (hypnogram), or give {BIDS}FOLDER for BIDS derivatives"
        )
    if Path(given).suffix.lower() in PARQUET:
        require_pyarrow()
    return Path(given), found


def export_answer(
    answer: Answer | Sequence[Answer],
    out: Path,
    *,
    format: Format,
    start: datetime | None = None,
    merge: bool | None = None,
) -> Path:
    """Write one or several answers about one recording.

    Parameters
    ----------
    answer
        One, or several to different questions.
    out
        File; for ``bids`` the folder of the data set, or a .zip file.
    format
        Whatever the name of ``out`` is; but windows become CSV, TSV or Parquet by its suffix.
    start
        When the recording began (``Recording.start``), for EDF+ to be laid over it.
    merge
        Whether neighbouring windows with the same answer become one annotation or event; by default in EDF+ alone.

    Returns
    -------
    Path
        What was written: ``out``; of BIDS the table of events in it.

    Raises
    ------
    ConfigError
        If there is no such format, or what is at ``out`` must not be replaced.
    QuestionError
        If a hypnogram is asked for of what is no sleep staging.
    WriteError
        If it cannot be written.
    """
    answers = [answer] if isinstance(answer, Answer) else list(answer)
    if format not in get_args(Format):
        raise ConfigError(f"{argument(format=format)}: no such format{choose(format, get_args(Format))}")
    if not answers:
        raise QuestionError("there is no answer to export: ask a question first")
    if format == "bids":
        return write_derivatives(answers, out, merge=bool(merge))
    if format == "edf":
        write_annotations(answers, out, start=start, merge=merge is not False)
    elif format == "csv":
        outcome = Outcome(recording=answers[0].recording, answers=tuple(answers))
        with table_file(out, WindowRow) as write:
            for row in window_rows(outcome):
                write(row)
    else:
        text = (
            _hypnogram(answers)
            if format == "hypnogram"
            else dump_json(answers[0] if isinstance(answer, Answer) else answers, indent=2)
        )
        with atomic_file(out) as temporary:
            temporary.write_text(f"{text}\n", encoding="utf-8", newline="\n")
    return out


def hypnogram(answer: Answer) -> list[str]:
    """Return the stage of every epoch of 30 s from the start of the recording to the last window, as YASA reads it.

    An epoch has the stage of its middle; ``UNS`` where that is undecided or was not recorded.

    Raises
    ------
    QuestionError
        If the options are no sleep stages, or the answer is a guess.
    """
    known = stages(answer)
    if known is None:
        raise QuestionError(
            f"{answer.question!r} is no sleep staging by a model that was tuned on it: only such answers make a "
            "hypnogram; let the name end in .csv or .edf"
        )
    found = stretches_of(answer)
    epochs = round(found[-1].stop / EPOCH)
    epochs_of, place = [], 0
    for middle in (EPOCH * (number + 0.5) for number in range(epochs)):
        while place + 1 < len(found) and found[place].stop <= middle:
            place += 1
        within = found[place].start <= middle < found[place].stop
        stage = stage_of(found[place], known) if within else NOT_SCORED
        epochs_of.append(UNSCORED if stage == NOT_SCORED else stage)
    return epochs_of


def _hypnogram(answers: Sequence[Answer]) -> str:
    if len(answers) > 1:
        raise QuestionError("a hypnogram is of one answer: ask the question about sleep alone")
    return "\n".join(hypnogram(answers[0]))
