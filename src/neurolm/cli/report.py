"""neurolm report runs/mine --store store"""

from pathlib import Path

from neurolm.core.errors import CheckpointError
from neurolm.core.terminal import say


def report(run: Path, *, store: Path | None = None, out: Path | None = None) -> None:
    """Write a run's figures as one HTML page.

    Parameters
    ----------
    run
        The folder of the run.
    store
        The store the run was trained on; by default RUN/store.
    out
        HTML file; by default report.html in the run.
    """
    from neurolm.report import write_report

    if not run.is_dir():
        raise CheckpointError(f"{run}: no such folder; give the folder of a run")
    say(write_report(run, out=out or run / "report.html", store=store))
