"""neurolm simulate corpus"""

from pathlib import Path

from neurolm.cli.show import Display
from neurolm.core.amounts import many
from neurolm.core.terminal import say


def simulate(out: Path, *, subjects: int = 30, seed: int = 0, jobs: int = 0) -> None:
    """Write a small labelled corpus of simulated EEG as EDF files.

    Parameters
    ----------
    out
        Folder for the EDF files and their table of labels.
    subjects
        How many people.
    seed
        The same seed gives the same bytes.
    """
    from neurolm.corpora.simulated.simulate import simulate

    with Display() as display:
        simulate(out, subjects=subjects, seed=seed, jobs=jobs, progress=display.count("simulating recordings"))
    say(f"{out}: {many(len(list(out.glob('*.edf'))), 'recording')} of {many(subjects, 'person')}")
    say(f"next: neurolm prepare {out} --out STORE")
