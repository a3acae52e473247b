"""neurolm report runs/mine"""

from pathlib import Path

from neurolm.cli.settings import begun_store
from neurolm.cli.values import one_run
from neurolm.core.errors import CheckpointError
from neurolm.core.terminal import say


def report(
    run: Path | None = None, *, model: Path | None = None, store: Path | str | None = None, out: Path | None = None
) -> None:
    """Write a run's figures as one HTML page.

    Parameters
    ----------
    run
        The folder of the run.
    model
        Another way to name it.
    store
        The store the run was trained on; by default RUN/store, else where it lay when the last stage began.
    out
        HTML file; by default report.html in the run.
    """
    from neurolm.report import write_report

    folder = one_run(run, model)
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder; give the folder of a run")
    found = store or begun_store(folder)
    written = write_report(folder, out=out or folder / "report.html", store=found)
    if found is None:
        say("note: without --store, the data, the use of codes and reconstructed EEG are left out of the page")
    say(written)
