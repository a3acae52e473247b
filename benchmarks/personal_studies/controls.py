"""What is no state: two minutes of one recording at rest, called by the names of two"""

from __future__ import annotations

from dataclasses import replace

from neurolm.api.model import Model
from neurolm.batches.windows import Window
from neurolm.core.physics import RATE
from neurolm.store.store import Store
from personal_studies.people import Windows, of_windows, task_of

MINUTE = 60 * RATE


def minutes_of_one_recording(model: Model, store: Store, name: str, *, turned: bool) -> Windows:
    """The first minute of each test person's rest, and the last, as if they were the task's two options.

    Parameters
    ----------
    turned
        Whether the first minute gets the second option's name.
    """
    task = task_of(model, name)
    names = task.labels[::-1] if turned else task.labels
    people = task.split(store).test
    windows = []
    for number, row in enumerate(store.rows):
        resting = any(label.task == task.name and label.label == task.labels[1] for label in row.labels)
        if row.subject not in people or not resting or row.samples < 3 * MINUTE:
            continue
        for label, first in zip(names, (0, row.samples - MINUTE), strict=True):
            starts = range(first, first + MINUTE - task.seconds * RATE + 1, round(task.stride * RATE))
            span = (first, first + MINUTE)
            windows += [Window(number, start, task.seconds, label, row.subject, span) for start in starts]
    found = of_windows(model, store, windows, task.name)
    return replace(found, subjects=found.subjects + (" turned" if turned else ""))
