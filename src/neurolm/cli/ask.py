"""neurolm ask recording.edf "Is this EEG segment of high workload?" --model runs/mine"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurolm.archive.inputs import is_input, is_one_file
from neurolm.cli.answers import answer_lines, bar_characters, short_lines
from neurolm.cli.show import Display, as_json, end_of_archive, print_json
from neurolm.cli.values import Answering, names
from neurolm.core.amounts import many
from neurolm.core.errors import CheckpointError, ConfigError, QuestionError, RecordingError
from neurolm.core.terminal import say
from neurolm.recording.links import require_content
from neurolm.recording.options import ReadingOptions, Unseen

if TYPE_CHECKING:
    from neurolm.api.model import Model
    from neurolm.ask.answer import Answer
    from neurolm.export.export import Format

NEAREST = ReadingOptions(unknown="nearest")
MODEL_VARIABLE = "NEUROLM_MODEL"
"""Environment variable that names the model to ask."""
RUNS = Path("runs")
"""Where models are looked for."""


def ask(
    files: Sequence[str],
    *,
    questions: str | None = None,
    model: Path | None = None,
    options: Sequence[str] | None = None,
    reading: ReadingOptions = NEAREST,
    unseen: Unseen = "nearest",
    risk: float | None = None,
    generate: str | None = None,
    person: Path | None = None,
    export: str | None = None,
    out: Path | None = None,
    jobs: int = 0,
    scheduler: str | None = None,
    json: bool = False,
    machine: Answering,
) -> bool:
    """Ask a question about a recording, or about thousands.

    Of one recording, the whole answer is printed; of several, a line each. With --out, the answers go into tables, and
    the same command goes on after an interruption.

    Parameters
    ----------
    files
        A recording in any format that MNE reads, several, folders, patterns in quotes ('archive/**/*.edf'), or - for a
        list from standard input; then the question, in English.
    questions
        Several, by the names of their tasks, as workload,sleep; or all that the model was tuned on.
    unseen
        What to do with electrodes that the model never saw.
    risk
        Largest share of wrong answers, such as 0.1; else the answer is undecided.
    generate
        Continue this text freely as well.
    person
        Folder of the calibration for the person who was recorded, as neurolm calibrate --person writes it.
    export
        File for other programs, by its ending: .edf (annotations), .csv, .tsv or .parquet (windows), .json, .txt
        (hypnogram); or bids:FOLDER for BIDS derivatives. For one recording.
    out
        Table of the answers, ending in .parquet, .csv, .tsv or .jsonl; others and a page lie beside it.
    jobs
        Worker processes for several recordings; 0: as many as there are cores.
    scheduler
        Address of a Dask scheduler, whose workers do the work instead; with --out.
    """
    recordings, question = apart(files, question_follows=questions is None)
    if question is None and generate is None and options is not None:
        raise QuestionError("--options are answers to a question: give the question after the file")
    how: dict[str, Any] = {"options": options, "reading": reading, "unseen": unseen, "risk": risk}
    if out is None and len(recordings) == 1 and is_one_file(recordings[0]):
        _ask_one(
            Path(recordings[0]), question, questions, generate, model, machine, json=json, person=person,
            export=export, **how,
        )  # fmt: skip
        return True
    if export is not None:
        raise ConfigError(f"--export {export} is for one recording: of several, --out answers.csv makes tables")
    if person is not None:
        raise QuestionError("--person is for one recording of that person: give a single file, and no --out")
    if generate is not None:
        raise QuestionError("--generate continues a text after one recording: give a single file, and no --out")
    how |= {"model": find_model(model), "questions": _several(question, questions), "device": machine.device}
    how["precision"] = machine.precision
    if out is not None:
        if json:
            raise ConfigError(f"--json is for answers that are printed; for a file, let --out {out} end in .jsonl")
        return _into_tables(recordings, out, jobs=jobs, scheduler=scheduler, **how)
    if scheduler is not None:
        raise ConfigError("--scheduler is for answers that go into a table: give --out answers.parquet")
    return _as_lines(recordings, jobs=jobs, json=json, **how)


def apart(words: Sequence[str], *, question_follows: bool) -> tuple[list[str], str | None]:
    """Tell the recordings of a command from the question behind them."""
    if question_follows and len(words) > 1 and not is_input(words[-1]):
        return list(words[:-1]), words[-1]
    return list(words), None


def _several(question: str | None, questions: str | None) -> str | list[str]:
    """What several recordings are asked."""
    if questions is not None:
        return names(questions)
    if question is None:
        raise QuestionError("what is the question? Give it after the recordings, or --questions all")
    return question


def _ask_one(
    file: Path,
    question: str | None,
    questions: str | None,
    generate: str | None,
    model: Path | None,
    machine: Answering,
    *,
    json: bool,
    options: Sequence[str] | None,
    export: str | None,
    **how: Any,
) -> None:
    """Print the answers about one recording, and export them."""
    into = None if export is None else _place_of(export, file, asks=question is not None or questions is not None)
    opened = open_model(file, model, machine)
    values: Any = {}
    answers: list[Answer] = []
    if questions is not None:
        from neurolm.archive.request import meant

        if options is not None or generate is not None:
            raise QuestionError("--questions are the model's own: leave out --options and --generate")
        answers += opened.ask_all(file, meant(names(questions), opened.card), **how)
        values = [asdict(answer) for answer in answers]
    elif question is not None or generate is None:
        answers.append(opened.ask(file, asked(question, opened), options=options, **how))
        values = asdict(answers[0])
    characters = bar_characters(sys.stdout.encoding)
    blocks = [answer_lines(answer, characters=characters) for answer in answers]
    if generate is not None:
        for name in ("risk", "person"):
            how.pop(name)
        values["generated"] = opened.generate(file, generate, **how)
        blocks.append([f"{generate.strip()} {values['generated']}"])
    if into is not None:
        written = _exported(answers, into, file, how["reading"])
        blocks.append([f"{written}: for other programs"])
    print_json(values) if json else say(*(line for i, block in enumerate(blocks) for line in ([""] * (i > 0) + block)))


def _place_of(export: str, recording: Path, *, asks: bool) -> tuple[Path, Format]:
    """Where answers go, and in which format: before the model is loaded, since some places cannot be."""
    from neurolm.export.export import target

    into = target(export)
    if not asks:
        raise QuestionError(f"--export {export}: there is no answer without a question: give one after the file")
    if into[0].resolve() == recording.resolve():
        raise ConfigError(f"--export {export}: this is the recording itself; choose another name")
    return into


def _exported(answers: Sequence[Answer], into: tuple[Path, Format], file: Path, reading: ReadingOptions) -> Path:
    """Write answers for other programs; returns the file."""
    from neurolm.export.export import export_answer
    from neurolm.recording.readers import open_raw

    path, format = into
    start = open_raw(file, reading).start if format == "edf" else None
    return export_answer(answers[0] if len(answers) == 1 else answers, path, format=format, start=start)


def _as_lines(recordings: Sequence[str], *, jobs: int, json: bool, **how: Any) -> bool:
    """Print a line for each recording; returns whether all were answered."""
    from neurolm.archive.archive import ask_many

    whole = True
    for outcome in ask_many(recordings, jobs=jobs, **how):
        whole = whole and outcome.failure is None
        if outcome.failure is not None:
            say(f"{outcome.recording}: {outcome.failure}", error=True)
        elif json:
            say(as_json(outcome.answers[0] if len(outcome.answers) == 1 else outcome.answers, indent=None))
        else:
            say(*short_lines(outcome))
    return whole


def _into_tables(recordings: Sequence[str], out: Path, **how: Any) -> bool:
    """Write the answers about many recordings into tables; returns whether all were answered."""
    from neurolm.archive.archive import ask_archive

    with Display() as display:
        report = ask_archive(recordings, out=out, **how, progress=display.answering)
    before = f", {report.skipped:,} of them before" if report.skipped else ""
    say(f"{out}: {many(report.recordings, 'recording')} answered{before}; each window: {report.tables.windows}")
    say(f"{report.page}: all of it as a page, what deserves a look first")
    return end_of_archive(report, "answered", report.tables.quarantine)


def open_model(file: Path, model: Path | None, machine: Answering) -> Model:
    """Load the model that is to be asked about a recording, after looking whether there is one.

    Raises
    ------
    RecordingError
        If there is no such recording.
    CheckpointError
        If there is no model.
    """
    require_content(file)
    if not file.exists():
        raise RecordingError(f"{file}: no such file; give the path of a recording")
    return load_model(model, machine)


def load_model(model: Path | None, machine: Answering) -> Model:
    """Load the model that is to be asked.

    Raises
    ------
    CheckpointError
        If there is none.
    """
    folder = find_model(model)
    machine.set_threads()

    with _without_collecting():
        from neurolm.api.model import load

        return load(folder, device=machine.device, precision=machine.precision)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """What imports make stays: looking through it for garbage over and over takes a tenth of their time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def asked(question: str | None, model: Model) -> str:
    """Return the question, if there is one.

    Raises
    ------
    QuestionError
        If there is none, with those that the model knows.
    """
    if question is None:
        raise QuestionError(f"what is the question? The model knows: {'; '.join(model.questions)}")
    return question


def find_model(given: Path | None, *, runs: Path = RUNS) -> Path:
    """Return the folder of the model to ask: as given, by the environment, or the newest finished run.

    Raises
    ------
    CheckpointError
        If none is given and there is no finished run.
    """
    if given is not None:
        return given
    if os.environ.get(MODEL_VARIABLE):
        return Path(os.environ[MODEL_VARIABLE])
    finished = [*runs.glob("*/instruct/config.json"), *runs.glob("*/*/instruct/config.json")]
    if not finished:
        raise CheckpointError(
            f"no model: give the folder of a run with --model or in ${MODEL_VARIABLE}; there is no finished run in "
            f"{runs}/ either (`neurolm demo` makes one)"
        )
    newest = max(finished, key=lambda file: (file.stat().st_mtime, str(file))).parent.parent
    say(f"model: {newest}, the newest finished run in {runs}/ (--model chooses another)", error=True)
    return newest
