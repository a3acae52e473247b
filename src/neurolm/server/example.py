"""An example to look at and to ask about: simulated EEG of calculating and resting by turns"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from neurolm.corpora.simulated.simulate import simulate_one
from neurolm.server.naming import STEM

NAME = "example (simulated).edf"
TASK = "workload"
SEED = 2025
"""Of nobody in the corpus on which the demo's model is trained."""


def make_example(folder: Path) -> dict[str, str]:
    """Write the example into a folder.

    Returns
    -------
    dict of str to str
        Its name on disk → as it is shown.
    """
    with tempfile.TemporaryDirectory(prefix="neurolm-") as place:
        shutil.copyfile(simulate_one(place, TASK, seed=SEED), folder / f"{STEM}.edf")
    return {f"{STEM}.edf": NAME}
