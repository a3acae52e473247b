"""neurolm calibrate runs/mine --store store"""

from pathlib import Path
from typing import Literal

from neurolm.cli.values import Answering, instruct_folder, one_run
from neurolm.core.terminal import say


def calibrate(
    run: Path | None = None,
    *,
    model: Path | None = None,
    store: Path | str,
    evidence: Literal["auto", "fit", "none"] = "auto",
    machine: Answering,
) -> None:
    """Fit temperature and thresholds of a tuned model on the validation people, as training does last.

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
    """
    folder = instruct_folder(one_run(run, model))
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
