"""Channels of a stream of the Lab Streaming Layer, as XDF files and live streams describe them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from neurolm.recording.formats.edf import UNSTATED, unit_of

_KINDS = {"": "eeg", "EEG": "eeg", "STIM": "stimulus", "TRIGGER": "stimulus", "TRIG": "stimulus", "MARKER": "stimulus"}
"""Types of channels that a stream may state → kinds of ``montage.kind``; every other type is ``other``."""
_POWERS = {"0": "V", "-3": "mV", "-6": "uV", "-9": "nV"}
"""Powers of ten of a volt, which MNE-LSL writes where the unit belongs."""


def describe_channels(listed: Sequence[Mapping[str, str]], count: int) -> tuple[list[str], list[str], list[str | None]]:
    """Return names, kinds and units of the channels; a stream need not have them: ``ch1`` …, ``eeg``, unstated.

    Parameters
    ----------
    listed
        Label, type and unit of each channel, as far as the stream has them.
    count
        How many channels there are.
    """
    names, kinds, units = [], [], []
    for i in range(count):
        entry = listed[i] if i < len(listed) else {}
        label, kind, unit = (entry.get(key) or "" for key in ("label", "type", "unit"))
        names.append(label or f"ch{i + 1}")
        kinds.append(_KINDS.get(kind.upper(), "other"))
        units.append(_POWERS.get(unit.strip()) or unit_of(unit) if unit else UNSTATED)
    repeated = {name for name, count in Counter(names).items() if count > 1}
    return [f"{name}-{i}" if name in repeated else name for i, name in enumerate(names)], kinds, units
