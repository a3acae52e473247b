"""The readout beside the language model by itself: how it was chosen, what it bears, what misleads it.

    python benchmarks/readout.py nested --store STORE --task eegmat     # forms of it; which the training people choose
    python benchmarks/readout.py robust --store STORE --task eegmat     # electrodes missing, other gains
    python benchmarks/readout.py swapped --store STORE --task eegmat --draws 6      # labels swapped: guessing?
    python benchmarks/readout.py halves --store STORE --task eegmat     # learned from one half of each recording
    python benchmarks/readout.py amplitudes --store STORE --task eegmat             # amplitudes matched
    python benchmarks/readout.py montages --store STORE --task eegmat   # other electrodes for people, or for labels
    python benchmarks/readout.py people --store STORE --task eegmat --sizes 5,10,15,20,24,30
    python benchmarks/readout.py classes --store STORE --task sleep     # probabilities class by class

STORE is a prepared one. No language model is asked and nothing is trained but readouts, in seconds each, on one core.
Everybody is answered by what other people showed; intervals are over people.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from joblib import parallel_config

sys.path.insert(0, str(Path(__file__).parent))
from neurolm.store.store import Store
from neurolm.tasks.card import load_task
from readout_studies import classes, controls, montages, nested, people, robust
from readout_studies.windows import Described

STUDIES: dict[str, Callable[[Described, int], Iterator[str]]] = {
    "nested": nested.report,
    "robust": robust.report,
    "swapped": controls.swapped,
    "halves": controls.halves,
    "amplitudes": controls.amplitudes,
    "classes": classes.report,
    "montages": montages.report,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=[*STUDIES, "people"])
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--draws", type=int, default=3, help="of electrodes left out, people, and labels swapped")
    parser.add_argument("--sizes", default="10,24,36,100", help="how many people to learn from")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.sizes.split(",")]
    study = STUDIES.get(arguments.study, partial(people.report, sizes=sizes))
    windows = Described.of(Store(arguments.store), load_task(arguments.task))
    with parallel_config(n_jobs=arguments.jobs):
        for part in study(windows, arguments.draws):
            print(part, end="\n\n", flush=True)


if __name__ == "__main__":
    main()
