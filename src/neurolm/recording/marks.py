"""The events of a recording, whatever its channels are: no electrode has to be known

>>> found = read_marks("cap_of_letters.bdf")
>>> found.annotations, found.seconds
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from neurolm.core.errors import RecordingError
from neurolm.recording.channels import Channel, RawRecording, Signal
from neurolm.recording.electrodes.coverage import Covered
from neurolm.recording.electrodes.naming import present
from neurolm.recording.electrodes.selection import Selection, select_electrodes
from neurolm.recording.options import BELIEVED, ReadingOptions
from neurolm.recording.readers import as_one_of_many, open_raw
from neurolm.recording.recording import Recording, assemble
from neurolm.recording.triggers import Mark


def read_marks(path: Path, more: Sequence[Mark] = (), *, reading: ReadingOptions = BELIEVED) -> Recording:
    """Open a recording for its annotations and its length.

    Parameters
    ----------
    path
        The file.
    more
        Annotations from elsewhere, which count as the file's own.
    reading
        How to read it, where the file alone does not say it, as one of many: what is not for it is passed over.

    Returns
    -------
    Recording
        Of the electrodes that are known; where none is, of channels by the file's own names, in any unit.

    Raises
    ------
    RecordingError
        If the file cannot be read.
    """
    # Of tables and arrays neither unit nor electrodes are asked for where they are not needed.
    opened = open_raw(path, replace(as_one_of_many(path, reading), unit=reading.unit or "uV", unknown="drop"))
    wanted = reading.channels
    if isinstance(wanted, Mapping):
        wanted = present(wanted, [channel.name for channel in opened.channels]) or None
    try:
        chosen = select_electrodes(opened.channels, source=opened.name, unknown="drop", wanted=wanted, cap=reading.cap)
    except RecordingError:
        chosen = _by_own_names(opened.channels)
    return assemble(_with(opened, more) if more else opened, chosen, None)


def _by_own_names(channels: Sequence[Channel]) -> Selection:
    """The channels of the most frequent rate."""
    rate, _ = Counter(channel.rate for channel in channels).most_common(1)[0]
    picks = tuple(i for i, channel in enumerate(channels) if channel.rate == rate)
    rows = tuple(Covered(channel=one.name, electrode=None, how="left out", unit=one.unit) for one in channels)
    return Selection(picks, tuple(channels[i].name for i in picks), None, rows, ())


def _with(opened: RawRecording, more: Sequence[Mark]) -> RawRecording:
    def load(indices: Sequence[int]) -> Signal:
        signal = opened.load(indices)
        return replace(signal, annotations=tuple(sorted((*signal.annotations, *more), key=lambda mark: mark[:2])))

    return replace(opened, load=load)
