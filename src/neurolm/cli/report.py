"""neurolm report recording.edf --model runs/mine"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Literal

from neurolm.cli.ask import NEAREST, find_model, open_model
from neurolm.cli.settings import begun_store
from neurolm.cli.values import Answering, as_flags, names, one_run
from neurolm.core.errors import CheckpointError, ConfigError
from neurolm.core.names import readable
from neurolm.core.terminal import printable, say
from neurolm.recording.options import ReadingOptions, Unseen
from neurolm.recording.suffixes import FOLDERS, suffix_of

Shown = Literal["show", "hide"]
"""What can be done with the texts of annotations."""


def report(
    source: Path | None = None,
    *,
    model: Path | None = None,
    questions: str | None = None,
    reading: ReadingOptions = NEAREST,
    unseen: Unseen = "nearest",
    risk: float | None = None,
    annotations: Shown = "show",
    store: Path | str | None = None,
    out: Path | None = None,
    machine: Answering,
) -> None:
    """Write the report of a recording, to read or to print, or a run's figures as a page.

    Of a recording: what it is, how good its signal is, its spectra, what the model answers to its questions, how sure
    it is and why, as NAME.report.html and NAME.report.pdf.

    Parameters
    ----------
    source
        A recording in any format that is read; or the folder of a run.
    model
        Folder of the run that answers; by default $NEUROLM_MODEL, else the newest in runs/. Alone, the run to report.
    questions
        Of the model's questions, those to ask, by the names of their tasks, as workload,sleep; by default all.
    unseen
        What to do with electrodes that the model never saw.
    risk
        Largest share of wrong answers, such as 0.1; else the answer is undecided.
    annotations
        Whether the texts of the file's annotations, which may name people, are shown.
    store
        Of a run: the store it was trained on; by default RUN/store, else where it lay when the last stage began.
    out
        File ending in .html or .pdf, or a folder for both; by default the current one. Of a run: an HTML file; by
        default report.html in the run.
    """
    if source is None or _is_run(source):
        given = {"--questions": questions is None, "--risk": risk is None, "--annotations": annotations == "show",
                 "how recordings are read": reading == NEAREST and unseen == "nearest"}  # fmt: skip
        if wrong := [name for name, default in given.items() if not default]:
            raise ConfigError(f"{wrong[0]}: for the report of a recording, and none is named; give its file")
        _of_run(one_run(source, model), store, out)
        return
    if store is not None:
        raise ConfigError(f"--store {store}: for the report of a run, and {source} is a recording; leave it out")
    from neurolm.report.recording import kind_of, write_recording_report

    files = _files(source, out)
    for file in files:
        kind_of(file)
    opened = open_model(source, model, machine)
    from neurolm.archive.request import meant

    words = ["neurolm", "report", readable(source.name), "--model", str(find_model(model)) if model else opened.folder]
    words += [] if questions is None else ["--questions", questions]
    words += [*as_flags(reading, NEAREST), *([] if unseen == "nearest" else ["--unseen", unseen])]
    words += [] if risk is None else ["--risk", f"{risk:g}"]
    words += [] if annotations == "show" else ["--annotations", annotations]
    written = write_recording_report(
        opened, source, files, reading=reading, unseen=unseen, risk=risk,
        questions=None if questions is None else meant(names(questions), opened.card),
        annotations=annotations == "show", command=shlex.join(map(str, words)),
    )  # fmt: skip
    say(*written)


def _is_run(source: Path) -> bool:
    """Whether a word names a run rather than a recording: a folder, or what is neither there nor called as one."""
    if source.is_dir():
        return not source.name.lower().endswith(FOLDERS)
    return not source.exists() and suffix_of(source) is None


def _of_run(folder: Path, store: Path | str | None, out: Path | None) -> None:
    """Write a run's figures."""
    from neurolm.report import write_report

    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder; give the folder of a run, or the file of a recording")
    found = store or begun_store(folder)
    written = write_report(folder, out=out or folder / "report.html", store=found)
    if found is None:
        say("note: without --store, the data, the use of codes and reconstructed EEG are left out of the page")
    say(written)


def _files(source: Path, out: Path | None) -> list[Path]:
    """The files to write: as given, or one of each kind, called as the recording."""
    from neurolm.report.recording import KINDS

    if out is not None and not out.is_dir():
        return [out]
    name = printable(readable(source.name[: len(source.name) - len(suffix_of(source) or "")]), line=True)
    return [(out or Path()) / f"{name}.report.{kind}" for kind in KINDS]
