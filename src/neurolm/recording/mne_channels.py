"""What the channels of an MNE object are, and what one of their file's own numbers is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from neurolm.core.montage import resolve
from neurolm.recording.channels import Channel
from neurolm.recording.formats import edf
from neurolm.recording.formats.edf import MICROVOLTS

if TYPE_CHECKING:
    import mne

_MNE_TYPES = {"eeg": "eeg", "stim": "stimulus", "eog": "eog", "ecg": "ecg", "emg": "emg", "ref_meg": "reference"}


def describe_channels(raw: mne.io.BaseRaw) -> tuple[tuple[Channel, ...], list[float]]:
    """Describe the channels of an MNE object.

    Returns
    -------
    channels, volts
        The channels as their file has them; and for each, what MNE makes of 1 in the unit of the file, in volts.
    """
    types = raw.get_channel_types()
    worth = [(_unit_worth(volts), volts) for volts in _volts_per_number(raw)]
    units = [unit or "V" for unit, _ in worth]
    volts = [factor if unit else 1.0 for unit, factor in worth]
    if _microvolts_as_volts(raw):
        units = ["uV"] * len(units)
    without_scale = _without_scale(raw)
    declared = getattr(raw, "_orig_units", None) or {}
    no_voltage = {i for i, name in enumerate(raw.ch_names) if name in declared and not edf.unit_of(declared[name])}
    channels = tuple(
        Channel(
            name=name,
            kind="eeg" if _is_misjudged(raw, name) else _MNE_TYPES.get(types[i], "other"),
            unit=None if i in no_voltage and types[i] != "eeg" else units[i],
            rate=float(raw.info["sfreq"]),
            position=_position(raw.info["chs"][i]["loc"]),
            bad=name in raw.info["bads"],
            uncalibrated=without_scale.get(i),
        )
        for i, name in enumerate(raw.ch_names)
    )
    return channels, volts


def _volts_per_number(raw: mne.io.BaseRaw) -> list[float]:
    """The volts that MNE makes of one unit of the file's own number, for each channel.

    MNE keeps this privately. For formats that declare no unit the numbers are taken as volts (FIF) or microvolts
    (EEGLAB), as MNE does.
    """
    count = len(raw.ch_names)
    extras = (getattr(raw, "_raw_extras", None) or [None])[0]
    factors = extras.get("units") if isinstance(extras, dict) else None
    if factors is not None and np.size(factors) == count:  # EDF, BDF, GDF
        return [float(factor) for factor in factors]
    units = getattr(raw, "_orig_units", None) or {}
    if units:  # BrainVision, Curry, MEF …
        known = {name: edf.unit_of(unit) for name, unit in units.items()}
        return [MICROVOLTS.get(known.get(name) or "V", 1e6) * 1e-6 for name in raw.ch_names]
    return [1e-6 if type(raw).__name__ == "RawEEGLAB" else 1.0] * count


def _without_scale(raw: mne.io.BaseRaw) -> dict[int, str]:
    """Index → why nobody can tell what a channel's numbers are worth; MNE takes a range of nothing for 1."""
    found = {int(i): "a resolution of 0: amplitude unknown" for i in np.flatnonzero(np.asarray(raw._cals) == 0)}
    extras = (getattr(raw, "_raw_extras", None) or [None])[0]
    for name in ("digital", "physical"):  # EDF, BDF, GDF
        ends = [extras.get(f"{name}_{end}") for end in ("min", "max")] if isinstance(extras, dict) else [None]
        if all(end is not None and np.size(end) == len(raw.ch_names) for end in ends):
            same = np.flatnonzero(np.equal(*ends))
            found |= dict.fromkeys(same.tolist(), f"no {name} range: amplitude unknown")
    return found


def _is_misjudged(raw: mne.io.BaseRaw, name: str) -> bool:
    """Whether this is an electrode of a Nihon Kohden file: for their Z, MNE 1.13 takes FZ, CZ, PZ for miscellaneous."""
    return type(raw).__name__ == "RawNihon" and resolve(name) is not None


def _microvolts_as_volts(raw: mne.io.BaseRaw) -> bool:
    """Whether MNE 1.13 gives a format's microvolts out as volts.

    It does so with eXimia's (0.0763 per digit are ±2,500 over 16 bits), and with EGI's simple binary files that state
    the amplifier's range, which is in microvolts (EEGLAB's ``readegi`` converts it so).
    """
    reader = type(raw).__name__
    extras = (getattr(raw, "_raw_extras", None) or [None])[0]
    ranged = isinstance(extras, dict) and bool(extras.get("value_range")) and bool(extras.get("bits"))
    return reader == "RawEximia" or (reader == "RawEGI" and ranged)


def _unit_worth(volts: float) -> str | None:
    """The name of the unit that is worth so many volts."""
    return next((unit for unit, factor in MICROVOLTS.items() if np.isclose(factor * 1e-6, volts, rtol=1e-9)), None)


def _position(loc: np.ndarray) -> tuple[float, float, float] | None:
    x, y, z = (float(v) for v in loc[:3])
    return (x, y, z) if np.isfinite([x, y, z]).all() and any((x, y, z)) else None
