"""Simulated people whom nobody has seen, recorded twice: calibrated in one session, asked in the other"""

from __future__ import annotations

from itertools import groupby

import mne
import numpy as np

from neurolm.api.model import Model
from neurolm.ask.recording import read_recording
from neurolm.core.physics import RATE
from neurolm.corpora.simulated.head import make_head
from neurolm.corpora.simulated.simulate import _HEAD, _PERSON, PROTOCOLS, record
from neurolm.corpora.simulated.synthesis import make_person
from neurolm.recording.options import ReadingOptions
from personal_studies.people import Windows, heard

SEED, FIRST = 0, 1000
"""Of the simulation; and the number of the first person, which no corpus of the demo's size has."""
BLOCK = 20
"""Seconds of a block of one class, in turn."""


def session(model: Model, task: str, subject: int, number: int, blocks: int) -> Windows:
    """A person's session of so many blocks of each class, in random order."""
    protocol = next(one for one in PROTOCOLS if one.task == task)
    card = next(one for one in model.card.tasks if one.name == task)
    rng = np.random.default_rng((SEED, subject, 7, number))
    names = [name for _ in range(blocks) for name in rng.permutation(list(protocol.states))]
    scenes = [name for name in names for _ in range(BLOCK // protocol.scene_seconds)]
    head, person = make_head((SEED, subject, _HEAD)), make_person((SEED, subject, _PERSON))
    signal = record(protocol, head, person, scenes, rng)
    info = mne.create_info([name for name, _ in protocol.channels], protocol.rate, "eeg")
    raw = mne.io.RawArray(signal * 1e-6, info, verbose="error")
    recording = read_recording(raw, model.card, reading=ReadingOptions(mains=50), unseen="nearest")
    starts, labels, at, place = [], [], [], 0
    seen = dict.fromkeys(names, 0)
    for name, group in groupby(names):
        length = BLOCK * len(list(group))
        for first in np.arange(0, length - card.seconds + 1e-9, card.stride):
            starts.append(round((place + first) * RATE))
            labels.append(card.index(name))
            at.append(seen[name] + first)
        place, seen[name] = place + length, seen[name] + length
    samples = list(recording.samples(starts, card.seconds))
    before, scaled, own = heard(model, model.asked(card.question), samples)
    return Windows(before=before, scaled=scaled, own=own, labels=np.array(labels), at=np.array(at),
                   subjects=np.full(len(starts), f"simulated/{subject}"))  # fmt: skip
