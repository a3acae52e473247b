"""Which channels of a file are EEG, and which electrodes they are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from neurolm.data.readers import Channel
from neurolm.errors import RecordingError
from neurolm.montage import ELECTRODES, channel_id, kind, positions, resolve

UNKNOWN_POLICIES = ("error", "drop", "nearest")
"""What can be done with an EEG channel whose name is no known electrode."""
FARTHEST = 30.0
"""Millimetres beyond which an electrode does not stand for another: about the spacing of the 10-10 system."""
_SAME_PLACE = 1.0  # millimetres: T3 and T7 have one place, so a recording with T7 cannot have a T3 as well
_ANCHORS = 4  # electrodes of known name needed to move a file's positions onto the template's
_SPHERE = 16  # positions needed to fit a sphere to them
_OFF_THE_SPHERE = ("A1", "A2", "M1", "M2")
_GRID = re.compile(r"[A-I]\d{1,3}")
_GRID_STRANGERS = 8  # so many contacts that are no electrode cannot be extra channels of a 10-20 cap


@dataclass(frozen=True)
class Choice:
    """The chosen channels of a file."""

    indices: tuple[int, ...]
    """Index of each among the file's channels."""
    electrodes: tuple[str, ...]
    """Canonical name of each."""
    notes: tuple[str, ...]


def choose(
    channels: Sequence[Channel], *, source: str, unknown: str, wanted: Sequence[str] | Mapping[str, str] | None
) -> Choice:
    """Choose the EEG channels of a file and name their electrodes.

    Parameters
    ----------
    channels
        What the file has.
    source
        The file, for messages.
    unknown
        One of ``UNKNOWN_POLICIES``.
    wanted
        Electrodes to take, in this order; or a mapping from the file's names to electrodes; or None for all.

    Raises
    ------
    RecordingError
        If there is no EEG, an electrode is unknown or wanted but missing, or the rates differ.
    """
    if isinstance(wanted, Mapping):
        return _renamed(channels, source, wanted)
    notes: list[str] = []
    eeg = _leave_out_other_kinds(channels, notes)
    grid = _grid_contacts([channels[i].name for i in eeg])
    named, strange = {}, []
    repeated = []
    for i in eeg:
        electrode = None if channels[i].name in grid else resolve(channels[i].name)
        if electrode is None:
            strange.append(i)
        elif electrode in named:
            repeated.append(f"{channels[i].name} (a second {electrode})")
        else:
            named[electrode] = i
    if repeated:
        notes.append(f"left out, duplicates: {', '.join(repeated)}")
    if wanted is not None:
        named = _only(named, wanted, source)
    elif strange:
        named |= _settle(channels, named, strange, source, unknown, notes, grid)
    if not named:
        raise RecordingError(_no_eeg(channels, source, notes))
    named = _one_rate(channels, named, source, unknown, notes)
    return Choice(tuple(named.values()), tuple(named), tuple(notes))


def _leave_out_other_kinds(channels: Sequence[Channel], notes: list[str]) -> list[int]:
    """Leave out what the file or the name says is no EEG; returns the indices of the rest."""
    eeg, left_out = [], []
    for i, channel in enumerate(channels):
        by_name = kind(channel.name)
        if channel.kind == "eeg" and by_name in ("eeg", "unknown"):
            eeg.append(i)
        else:
            left_out.append((by_name if by_name not in ("eeg", "unknown") else channel.kind, channel.name))
    for what in dict.fromkeys(what for what, _ in left_out):
        notes.append(f"left out, {what}: {', '.join(name for found, name in left_out if found == what)}")
    return eeg


def _grid_contacts(names: Sequence[str]) -> set[str]:
    """Return the names that count the contacts of a grid, a net or a BioSemi cap (A1–A32, B1–B32 …).

    There, F3 is not the electrode F3. The names that are no electrode in any montage (A7, B3, E12) give it away.
    """
    contacts = {name for name in names if _GRID.fullmatch(name.strip().upper())}
    return contacts if sum(resolve(name) is None for name in contacts) >= _GRID_STRANGERS else set()


def _only(named: Mapping[str, int], wanted: Sequence[str], source: str) -> dict[str, int]:
    electrodes = {name: resolve(name) for name in wanted}
    if missing := [name for name, electrode in electrodes.items() if electrode not in named]:
        raise RecordingError(
            f"{source}: channels={list(wanted)}: there is no {', '.join(missing)}; found: {', '.join(named) or 'none'}"
        )
    return {electrode: named[electrode] for electrode in electrodes.values() if electrode is not None}


def _renamed(channels: Sequence[Channel], source: str, wanted: Mapping[str, str]) -> Choice:
    """The user says which channel is which electrode, whatever the file says."""
    own = {channel.name: i for i, channel in enumerate(channels)}
    if missing := [name for name in wanted if name not in own]:
        raise RecordingError(f"{source}: channels=: there is no {', '.join(missing)}; found: {_listed(own)}")
    if strange := [electrode for electrode in wanted.values() if resolve(electrode) is None]:
        raise RecordingError(f"{source}: channels=: no known electrode: {', '.join(strange)}; known: {_known()}")
    electrodes = [resolve(electrode) or "" for electrode in wanted.values()]
    if twice := [electrode for electrode, count in Counter(electrodes).items() if count > 1]:
        raise RecordingError(f"{source}: channels=: given more than once: {', '.join(twice)}")
    if not wanted:
        raise RecordingError(f"{source}: channels= is empty; found: {_listed(own)}")
    named = {electrode: own[name] for electrode, name in zip(electrodes, wanted, strict=True)}
    if no_voltage := [channels[i].name for i in named.values() if channels[i].unit is None]:
        raise RecordingError(f"{source}: channels=: not a voltage in the file: {', '.join(no_voltage)}")
    named = _one_rate(channels, named, source, "error", [])
    rest = [name for name, i in own.items() if i not in named.values()]
    notes = (f"left out, not named in channels=: {', '.join(rest)}",) if rest else ()
    return Choice(tuple(named.values()), tuple(named), notes)


def _settle(
    channels: Sequence[Channel],
    named: Mapping[str, int],
    strange: Sequence[int],
    source: str,
    unknown: str,
    notes: list[str],
    grid: set[str],
) -> dict[str, int]:
    """Apply the policy for channels whose names are no known electrodes."""
    names = [channels[i].name for i in strange]
    if unknown == "error":
        lookalikes = [name for name in names if name in grid and resolve(name) is not None]
        why = f" (its names count contacts, so {lookalikes[0]} is not taken for the electrode)" if lookalikes else ""
        raise RecordingError(
            f"{source}: {len(names)} of {len(names) + len(named)} EEG channels are no known electrodes: "
            f"{_listed(names)}{why}. Choose unknown='drop' to leave them out, unknown='nearest' to take the nearest "
            f"electrode where the file has positions, or say what they are with channels={{{names[0]!r}: 'Fp1', …}}"
        )
    taken: dict[str, int] = {}
    if unknown == "nearest":
        placed = {i: place for i in strange if (place := channels[i].position) is not None}
        moved = _onto_template(placed, {e: channels[i].position for e, i in named.items()})
        matches = _nearest_free(moved, tuple(named))
        taken = {electrode: i for i, (electrode, _) in matches.items()}
        if matches:
            said = [f"{channels[i].name} → {electrode} ({mm:.0f} mm)" for i, (electrode, mm) in matches.items()]
            notes.append(f"taken for the nearest electrode: {', '.join(said)}")
    if dropped := [channels[i].name for i in strange if i not in taken.values()]:
        why = "unknown electrode"
        if unknown == "nearest":
            why += f" with no free electrode within {FARTHEST:g} mm of its position, or without one"
        notes.append(f"left out, {why}: {', '.join(dropped)}")
    return taken


def _onto_template(
    places: Mapping[int, Sequence[float]], anchors: Mapping[str, Sequence[float] | None]
) -> dict[int, np.ndarray]:
    """Move a file's positions to where the template has the electrodes of known name.

    Files put their origin in the middle of a sphere, between the ears, or elsewhere, and heads differ in size: the
    similarity transform (Kabsch 1976, Umeyama 1991) that fits the known electrodes is applied to all. Nets without
    known electrodes are moved by fitting a sphere to them and to the template instead.
    """
    template = positions()
    pairs = [(place, template[e]) for e, place in anchors.items() if place is not None and e in template]
    if len(pairs) < _ANCHORS:
        if len(places) < _SPHERE:
            return {i: np.array(place) for i, place in places.items()}
        middle, radius = _sphere(np.array(list(places.values())))
        their_middle, their_radius = _sphere(np.array([p for e, p in template.items() if e not in _OFF_THE_SPHERE]))
        return {i: (np.array(p) - middle) * their_radius / radius + their_middle for i, p in places.items()}
    own, theirs = (np.array(side, float) for side in zip(*pairs, strict=True))
    own_middle, their_middle = own.mean(axis=0), theirs.mean(axis=0)
    left, sizes, right = np.linalg.svd((theirs - their_middle).T @ (own - own_middle))
    handed = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = left @ np.diag(handed) @ right
    scale = (sizes * handed).sum() / ((own - own_middle) ** 2).sum()
    return {i: scale * rotation @ (np.array(place) - own_middle) + their_middle for i, place in places.items()}


def _sphere(places: np.ndarray) -> tuple[np.ndarray, float]:
    """Middle and radius of the sphere that fits places of shape (n, 3), by linear least squares."""
    solution = np.linalg.lstsq(np.c_[2 * places, np.ones(len(places))], (places**2).sum(axis=1), rcond=None)[0]
    return solution[:3], float(np.sqrt(solution[3] + solution[:3] @ solution[:3]))


def _nearest_free(places: Mapping[int, np.ndarray], present: Sequence[str]) -> dict[int, tuple[str, float]]:
    """Give each place the nearest electrode that is free, the closest pairs first: index → (electrode, mm)."""
    template = positions()
    occupied = np.array([template[e] for e in present if e in template]).reshape(-1, 3)
    free = [e for e in ELECTRODES if e in template and e not in present]
    spots = np.array([template[e] for e in free])
    to_occupied = 1000 * np.linalg.norm(spots[:, None] - occupied[None], axis=2)
    usable = ~(to_occupied < _SAME_PLACE).any(axis=1)
    indices = list(places)
    if not indices:
        return {}
    distance = 1000 * np.linalg.norm(np.array([places[i] for i in indices])[:, None] - spots[None], axis=2)
    distance[:, ~usable] = np.inf
    found: dict[int, tuple[str, float]] = {}
    while distance.min() <= FARTHEST:
        row, column = np.unravel_index(np.argmin(distance), distance.shape)
        found[indices[row]] = (free[column], float(distance[row, column]))
        distance[row] = np.inf
        distance[:, np.linalg.norm(spots - spots[column], axis=1) * 1000 < _SAME_PLACE] = np.inf
    return dict(sorted(found.items()))


def _one_rate(
    channels: Sequence[Channel], named: dict[str, int], source: str, unknown: str, notes: list[str]
) -> dict[str, int]:
    """Keep the channels of one sampling rate: resampling some of them unasked would hide what they lack."""
    rates = Counter(channels[i].rate for i in named.values())
    if len(rates) == 1:
        return named
    main = max(rates, key=lambda rate: (rates[rate], rate))
    slow = [f"{e} ({channels[i].rate:g} Hz)" for e, i in named.items() if channels[i].rate != main]
    if unknown == "error":
        raise RecordingError(
            f"{source}: electrodes sampled at different rates: most at {main:g} Hz, but {_listed(slow)}; name those of "
            f"one rate (channels=), or choose unknown='drop', which keeps those at {main:g} Hz"
        )
    notes.append(f"left out, not sampled at {main:g} Hz: {', '.join(slow)}")
    return {e: i for e, i in named.items() if channels[i].rate == main}


def _no_eeg(channels: Sequence[Channel], source: str, notes: Sequence[str]) -> str:
    details = "; ".join(note if len(note) <= 200 else f"{note[:200]} …" for note in notes)
    first = channels[0].name if channels else "name"
    return (
        f"{source}: no EEG electrode among its {len(channels)} channels ({details}). If some of them are electrodes, "
        f"say which with channels={{{first!r}: 'Fp1', …}}"
    )


def _listed(names: Sequence[str] | Mapping[str, int], most: int = 24) -> str:
    shown = list(names)
    rest = f" … and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + rest


def _known() -> str:
    return ", ".join(sorted(ELECTRODES, key=channel_id))
