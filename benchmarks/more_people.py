"""More people than the demo tests, beside baselines that learned from the same people

    neurolm simulate corpus --subjects 120      # the first 30 are those of the demo
    neurolm prepare corpus --out many
    python benchmarks/more_people.py runs/demo --store many

Eight people leave wide intervals. Here everybody beyond those who trained or validated in the demo is tested; model,
evidence, temperature and what baselines are fitted on stay those of the demo.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from neurolm.batches.splits import subjects_of
from neurolm.checkpoint import load_card
from neurolm.cli import main as neurolm
from neurolm.core.files import dump_json, write_text
from neurolm.store.store import Store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--store", type=Path, required=True)
    arguments = parser.parse_args()
    trained = Store(arguments.run / "store")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run" / "instruct"
        shutil.copytree(arguments.run / "instruct", folder)
        shutil.copy(arguments.run / "run.json", folder.parent)
        card, tasks = load_card(folder, stage="instruct"), []
        for task in card.tasks:
            split, people = task.split(trained), sorted(set(subjects_of(Store(arguments.store), task.name)))
            first = (len(split.train), len(split.validation))
            if tuple(people[: sum(first)]) != (*split.train, *split.validation):
                parser.error(f"{arguments.store}: its first people are not those whom {arguments.run} was trained on")
            counts = (*first, len(people) - sum(first))
            tasks.append(replace(task, split_counts=counts, split_fractions=None, split_rule=None))
        write_text(folder / "config.json", dump_json(replace(card, tasks=tuple(tasks))))
        neurolm(["evaluate", str(folder.parent), "--store", str(arguments.store)])


if __name__ == "__main__":
    main()
