"""neurolm calibrate runs/mine --store store"""

import shlex
from pathlib import Path
from typing import Literal

from neurolm.cli.ask import NEAREST
from neurolm.cli.values import Answering, as_flags, instruct_folder, missing, one_run
from neurolm.core.errors import ConfigError
from neurolm.core.terminal import say
from neurolm.recording.options import ReadingOptions, Unseen


def calibrate(
    run: Path | None = None,
    *,
    model: Path | None = None,
    store: Path | str | None = None,
    evidence: Literal["auto", "fit", "none"] = "auto",
    labels: Path | None = None,
    person: Path | None = None,
    reading: ReadingOptions = NEAREST,
    unseen: Unseen = "nearest",
    machine: Answering,
) -> None:
    """Fit temperature and thresholds of a tuned model on the validation people, as training does last.

    With --labels and --person instead of --store, adapt its answers to one person by a labelled minute or two; the
    model stays as it is, and neurolm ask --person takes what was fitted.

    Parameters
    ----------
    run
        The folder of the run, or of its instruct stage.
    model
        Another way to name it.
    store
        The store the run was trained on.
    evidence
        Log power of electrodes and pairs, read out beside the language model: fit it; answer without (none); or fit it
        where the run's settings say so or the model has some (auto).
    labels
        Table of one person's labelled recordings (labels.csv), as neurolm tasks table writes it.
    person
        Folder for what is fitted on them.
    unseen
        What to do with electrodes that the model never saw.
    """
    folder = instruct_folder(one_run(run, model))
    if labels is not None or person is not None:
        if store is not None or evidence != "auto":
            raise ConfigError("--labels and --person leave the model as it is: give no --store and no --evidence")
        _person(
            folder,
            labels or missing("--labels", "a table of one person's labelled recordings (labels.csv)"),
            person or missing("--person", "a folder for what is fitted for the person"),
            reading=reading,
            unseen=unseen,
            machine=machine,
        )
        return
    if store is None:
        missing("--store", "the store the run was trained on; or --labels and --person, to calibrate for one person")
    machine.set_threads()

    from neurolm.ask.calibration import Calibration
    from neurolm.ask.evidence import EvidenceFile
    from neurolm.ask.novelty import Ranges
    from neurolm.checkpoint import load_card
    from neurolm.core.device import choose_device
    from neurolm.evaluation.results import RESULTS
    from neurolm.hub.model_card import FILE
    from neurolm.train.calibrate import calibrate

    wanted = None if evidence == "auto" else evidence == "fit"
    done = calibrate(folder, store, evidence=wanted, precision=machine.precision, device=choose_device(machine.device))
    beside = EvidenceFile.load(folder)
    if beside is not None:
        say(*beside.described, folder / EvidenceFile.FILE)
    say(*done.described, folder / Calibration.FILE, folder / Ranges.FILE)
    known = [] if beside is None else [task.task for task in beside.tasks]
    for task in load_card(folder).tasks if wanted or known else ():
        if task.name not in known:
            say(f"note: no evidence for {task.name}: its training windows have too few labels, people or electrodes")
    if beside is None and evidence == "none":
        say("without evidence: the language model answers alone")
    if (evaluated := folder.parent / RESULTS).is_file():
        say(f"note: {evaluated} is of the answers before: neurolm evaluate {folder.parent} --store {store} renews it")
    if (folder / FILE).is_file():
        say(f"note: {folder / FILE} says how answers were read before: model.save_pretrained writes it anew")


def _person(
    folder: Path, labels: Path, person: Path, *, reading: ReadingOptions, unseen: Unseen, machine: Answering
) -> None:
    """Adapt a model's answers to one person, and keep what was fitted in a folder of its own."""
    machine.set_threads()

    from neurolm.api.model import load
    from neurolm.ask.personal import PersonFile
    from neurolm.core.files import require_writable

    require_writable(person / PersonFile.FILE)
    opened = load(folder, device=machine.device, precision=machine.precision)
    found = opened.calibrate(labels, reading=reading, unseen=unseen)
    found.save(person)
    say(*found.described, person / PersonFile.FILE)
    question = next(task.question for task in opened.card.tasks if task.name in found.tasks)
    how = ["--model", str(folder), *as_flags(reading, NEAREST), "--person", str(person)]
    say(f"next: {shlex.join(['neurolm', 'ask', 'RECORDING', question, *how])}")
