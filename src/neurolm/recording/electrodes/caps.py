"""Dense caps and nets whose channels are only counted: which one it is, and where its contacts lie.

The positions are those of MNE's built-in montages. Sources of the conventions: Geodesic sensor nets count E1, E2, …,
and the last number is the vertex reference; BioSemi's amplifiers count A1–A32, B1–B32, …, in the order of its caps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from neurolm.core.errors import ConfigError, NeuroLMError, RecordingError, argument
from neurolm.core.montage import resolve

_NETS = {32: "GSN-HydroCel-32", 64: "GSN-HydroCel-64_1.0", 128: "GSN-HydroCel-128", 256: "GSN-HydroCel-256"}
_NETS_WITH_VERTEX = {64: "GSN-HydroCel-65_1.0", 128: "GSN-HydroCel-129", 256: "GSN-HydroCel-257"}
_BANKS = {1: "biosemi32", 2: "biosemi64", 4: "biosemi128", 5: "biosemi160", 8: "biosemi256"}
_BANK = 32  # contacts of a BioSemi bank
_ENOUGH = 0.75  # of a net's contacts that must be there to recognise it: bad ones are sometimes deleted
_VERTEX = ("VREF", "VERTEX REFERENCE", "VERTEX", "CZ")


@dataclass(frozen=True)
class Cap:
    """A cap that was recognised or named."""

    name: str
    """As MNE calls it."""
    electrodes: Mapping[str, str] = field(default_factory=dict)
    """A file's channel name → the electrode it is by the cap's own table."""
    positions: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    """A file's channel name → x, y, z in metres in head coordinates, for channels that are no named electrode."""


def recognise(names: Sequence[str]) -> str | None:
    """Return MNE's name of the cap that counts its contacts like this, None if there is none.

    Parameters
    ----------
    names
        Names of a file's EEG channels.
    """
    upper = [name.strip().upper() for name in names]
    contacts = {name for name in upper if re.fullmatch(r"[A-H]([1-9]|[12]\d|3[0-2])", name)}
    banks = {name[0] for name in contacts}
    if len(contacts) == _BANK * len(banks) and banks == set("ABCDEFGH"[: len(banks)]):
        return _BANKS.get(len(banks))
    numbers = {int(match[1]) for name in upper if (match := re.fullmatch(r"E0*(\d{1,3})", name))}
    for size in sorted(_NETS):
        if banks <= {"E"} and numbers and max(numbers) <= size + 1 and len(numbers) >= _ENOUGH * size:
            with_vertex = size + 1 in numbers or any(name in _VERTEX for name in upper)
            return _NETS_WITH_VERTEX.get(size, _NETS[size]) if with_vertex else _NETS[size]
    return None


def require_cap(cap: str, *, error: type[NeuroLMError] = ConfigError) -> None:
    """Refuse the name of a cap that MNE does not know, listing those that it does."""
    import mne

    known = mne.channels.get_builtin_montages()
    if cap not in known:
        raise error(f"{argument(cap=cap)}: no such cap; MNE has {', '.join(known)}")


def fit(cap: str, names: Sequence[str]) -> Cap:
    """Say which of a file's channels lies where in a cap.

    Parameters
    ----------
    cap
        A name of ``mne.channels.get_builtin_montages``.
    names
        Names of the file's EEG channels.

    Raises
    ------
    RecordingError
        If MNE knows no such cap, or none of the names is in it.
    """
    import mne

    require_cap(cap, error=RecordingError)
    template = mne.channels.make_standard_montage(cap)
    if len(template.get_positions()["ch_pos"]) and template.get_positions()["nasion"] is not None:
        template = mne.channels.transform_to_head(template)
    spots = {name.upper(): tuple(map(float, xyz)) for name, xyz in template.get_positions()["ch_pos"].items()}
    electrodes: dict[str, str] = {}
    positions: dict[str, tuple[float, float, float]] = {}
    for name in names:
        spot = _contact(cap, name, template.ch_names)
        if spot is None or spot.upper() not in spots:
            continue
        electrode = resolve(spot) if not cap.startswith(("biosemi128", "biosemi160", "biosemi256")) else None
        if electrode is not None:
            electrodes[name] = electrode
        else:
            x, y, z = spots[spot.upper()]
            positions[name] = (x, y, z)
    if not electrodes and not positions:
        raise RecordingError(
            f"{argument(cap=cap)}: none of the file's channels is in it: {', '.join(list(names)[:12])} …"
        )
    return Cap(cap, electrodes, positions)


def _contact(cap: str, name: str, contacts: Sequence[str]) -> str | None:
    """The cap's name of a contact that a file calls by its own."""
    upper = re.sub(r"^EEG[ _.-]+(?=[A-Z])|-REF$", "", name.strip().upper())
    listed = {contact.upper(): contact for contact in contacts}
    if upper in listed:
        return listed[upper]
    bank = re.fullmatch(r"([AB])([1-9]|[12]\d|3[0-2])", upper)
    if cap in ("biosemi32", "biosemi64") and bank:
        number = _BANK * "AB".index(bank[1]) + int(bank[2]) - 1
        return contacts[number] if number < len(contacts) else None
    numbered = re.fullmatch(r"(?:E(?:EG)? ?|CH(?:AN(?:NEL)?)? ?)?0*(\d{1,3})", upper)
    if numbered:
        if (contact := f"E{numbered[1]}") in listed:
            return listed[contact]
        return "Cz" if "CZ" in listed and int(numbered[1]) == len(contacts) and cap.startswith("GSN") else None
    return listed.get("CZ") if upper in _VERTEX else None
