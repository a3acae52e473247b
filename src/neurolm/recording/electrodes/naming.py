"""Which electrode each channel of a file is, by its name, by its cap, or because the user says so."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from neurolm.core.errors import RecordingError, argument, takes
from neurolm.core.montage import ELECTRODES, KINDS, channel_id, kind, pair, resolve
from neurolm.recording.channels import Channel
from neurolm.recording.electrodes import caps
from neurolm.recording.electrodes.coverage import Covered

_GRID = re.compile(r"(?:(?:EEG|POL)[ _.-]*)?([A-I]\d{1,3})(?:-REF)?")
_EXAMPLES = ("Fp1", "C3", "Cz", "O1", "Pz", "F7")  # electrodes that messages show
NO_NAME = "a difference of electrodes without a name in the official list"
_GRID_STRANGERS = 8  # so many contacts that are no electrode cannot be extra channels of a 10-20 cap


@dataclass
class Draft:
    """What has been decided about a file's channels."""

    channels: Sequence[Channel]
    source: str
    unknown: str
    notes: list[str] = field(default_factory=list)
    rows: dict[int, Covered] = field(default_factory=dict)
    named: dict[str, int] = field(default_factory=dict)
    """Electrode → index, for channels that are an electrode by name, cap or position."""
    unrecognised: list[int] = field(default_factory=list)
    """EEG channels that are no known electrode."""
    positions: dict[int, tuple[float, float, float]] = field(default_factory=dict)
    """Index of an unrecognised channel → its position in the frame of the file, or of its cap."""
    bad: dict[int, str] = field(default_factory=dict)
    """Index → why a channel cannot be used."""
    targets: list[str] = field(default_factory=list)
    """Electrodes to interpolate although a channel was near them."""

    def row(self, index: int, how: str, detail: str = "", electrode: str | None = None) -> None:
        channel = self.channels[index]
        found = detail if detail in KINDS else kind(channel.name)
        self.rows[index] = Covered(
            channel=channel.name, electrode=electrode, how=how, detail=detail, unit=channel.unit, rate=channel.rate,
            kind=found if found not in ("eeg", "unknown") else channel.kind,
        )  # fmt: skip

    def take(self, electrode: str, index: int, how: str, detail: str = "") -> None:
        self.named[electrode] = index
        self.row(index, how, detail, electrode)

    def leave(self, electrode: str, why: str) -> None:
        self.row(self.named.pop(electrode), "left out", why)


def name_channels(draft: Draft, cap: str | None) -> None:
    """Sort the channels into electrodes by name or cap, unrecognised ones, and those that are no EEG."""
    eeg = _leave_out_other_kinds(draft)
    names = [draft.channels[i].name for i in eeg]
    grid = _grid_contacts(draft)
    if cap is None and draft.unknown in ("nearest", "interpolate") and _without_position(draft, eeg, grid):
        cap = caps.recognise(names)
        if cap is not None:
            another = f"; {argument('cap')} says another" if takes("cap") else ""
            draft.notes.append(f"its names count the contacts of {cap}, whose positions are used{another}")
    fitted = caps.fit(cap, names) if cap is not None else caps.Cap("")
    repeated = []
    for i in eeg:
        name = draft.channels[i].name
        by_cap = fitted.electrodes.get(name)
        electrode = by_cap or (None if name in grid or name in fitted.positions else resolve(name))
        if electrode is None:
            draft.unrecognised.append(i)
            position = fitted.positions.get(name) or draft.channels[i].position
            if position is not None:
                draft.positions[i] = position
        elif electrode in draft.named:
            repeated.append(f"{name} (a second {electrode})")
            draft.row(i, "left out", f"a second {electrode}")
        else:
            exact = name.strip().upper() == electrode.upper()
            draft.take(electrode, i, "cap" if by_cap else "name" if exact else "alias", cap if by_cap and cap else "")
    if repeated:
        draft.notes.append(f"left out, duplicates: {', '.join(repeated)}")
    if 2 * sum(pair(electrode) is not None for electrode in draft.named) > len(draft.named):
        _leave_out_pairs(draft)


def _leave_out_pairs(draft: Draft) -> None:
    """In a bipolar montage, leave out the differences of electrodes that the official list has no name for."""
    pairs = [i for i in draft.unrecognised if pair(draft.channels[i].name)]
    draft.unrecognised = [i for i in draft.unrecognised if i not in pairs]
    for i in pairs:
        draft.row(i, "left out", NO_NAME)
    if pairs:
        draft.notes.append(f"left out, {NO_NAME}: {', '.join(draft.channels[i].name for i in pairs)}")


def _without_position(draft: Draft, eeg: Sequence[int], grid: set[str]) -> bool:
    """Whether channels are unknown by name and by position."""
    names = {i: draft.channels[i].name for i in eeg if draft.channels[i].position is None}
    return any(name in grid or resolve(name) is None for name in names.values())


def _leave_out_other_kinds(draft: Draft) -> list[int]:
    """Leave out what the file or the name says is no EEG; returns the indices of the rest."""
    eeg, left_out = [], []
    eyes = _eyes([channel.name for channel in draft.channels])
    for i, channel in enumerate(draft.channels):
        by_name = "eog" if channel.name in eyes else kind(channel.name)
        if channel.kind == "eeg" and by_name in ("eeg", "unknown"):
            eeg.append(i)
        else:
            what = by_name if by_name not in ("eeg", "unknown") else channel.kind
            left_out.append((what, channel.name))
            named = by_name == "eeg" and what == "other"  # as an electrode
            draft.row(i, "left out", f"{what}, by the file's unit or type" if named else what)
    for what in dict.fromkeys(what for what, _ in left_out):
        draft.notes.append(f"left out, {what}: {', '.join(name for found, name in left_out if found == what)}")
    return eeg


def _eyes(names: Sequence[str]) -> set[str]:
    """Return the names E1 and E2 where they are electrodes at the eyes (AASM), not contacts of a net (E1, E2, E3 …)."""
    numbered = {name: found[1] for name in names if (found := re.fullmatch(r"\s*E0*(\d+)(?:-REF)?\s*", name.upper()))}
    return set(numbered) if set(numbered.values()) <= {"1", "2"} else set()


def _grid_contacts(draft: Draft) -> set[str]:
    """Return the names that count the contacts of a grid, a net or a BioSemi cap (A1–A32, B1–B32 …).

    There, F3 is not the electrode F3. The names that are no electrode in any montage (A7, B3, E12) give it away.
    """
    names = (channel.name for channel in draft.channels if channel.kind == "eeg")
    contacts = {name: found[1] for name in names if (found := _GRID.fullmatch(name.strip().upper()))}
    strangers = [contact for contact in contacts.values() if resolve(contact) is None]
    return set(contacts) if len(strangers) >= _GRID_STRANGERS else set()


def present(wanted: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    """The part of a mapping that is about names of a file, each electrode once: the first name of two counts."""
    first: dict[str | None, str] = {}
    for name in wanted:
        if name in names:
            first.setdefault(resolve(wanted[name]), name)
    return {name: wanted[name] for name in first.values()}


def rename(draft: Draft, wanted: Mapping[str, str]) -> None:
    """The user says which channel is which electrode, whatever the file says."""
    source = draft.source
    own: dict[str, int] = {}
    for i, channel in enumerate(draft.channels):
        own.setdefault(channel.name, i)  # of two of one name the first, as without a mapping
    if missing := [name for name in wanted if name not in own]:
        raise RecordingError(
            f"{source}: {argument('channels')}: there is no {', '.join(missing)}; found: {listed(own)}"
        )
    if unrecognised := [electrode for electrode in wanted.values() if resolve(electrode) is None]:
        raise RecordingError(
            f"{source}: {argument('channels')}: no known electrode: {', '.join(unrecognised)}; known: {_known()}"
        )
    electrodes = [resolve(electrode) or "" for electrode in wanted.values()]
    if twice := [electrode for electrode, count in Counter(electrodes).items() if count > 1]:
        raise RecordingError(f"{source}: {argument('channels')}: given more than once: {', '.join(twice)}")
    if not wanted:
        raise RecordingError(f"{source}: {argument('channels')} is empty; found: {listed(own)}")
    for electrode, name in zip(electrodes, wanted, strict=True):
        draft.take(electrode, own[name], "given")
    if no_voltage := [draft.channels[i].name for i in draft.named.values() if draft.channels[i].unit is None]:
        raise RecordingError(f"{source}: {argument('channels')}: not a voltage in the file: {', '.join(no_voltage)}")
    rest = [(name, i) for name, i in own.items() if i not in draft.named.values()]
    for _, i in rest:
        draft.row(i, "left out", "not named in channels")
    if rest:
        draft.notes.append(f"left out, not named in channels: {', '.join(name for name, _ in rest)}")


def unknown_names(draft: Draft, names: Sequence[str]) -> str:
    grid = _grid_contacts(draft)
    lookalikes = [name for name in names if name in grid and resolve(name) is not None]
    why = f" (its names count contacts, so {lookalikes[0]} is not taken for the electrode)" if lookalikes else ""
    remedies = [f"leave them out with {argument(unknown='drop')}"] if draft.named else []
    nearest = f"take the nearest electrodes with {argument(unknown='nearest')}"
    if cap := caps.recognise(names):
        named = f", or say the cap with {argument(cap=cap)}" if takes("cap") else ""
        remedies.append(f"{nearest}, as contacts of the cap {cap!r}, as it seems{named}")
    elif draft.positions:
        remedies.append(f"{nearest}, by their positions")
    remedies += say_which(draft, names)
    return (
        f"{draft.source}: {len(names)} of {len(names) + len(draft.named)} EEG channels are no known electrodes: "
        f"{listed(names)}{why}; {', or '.join(remedies) or 'use another recording'}"
    )


def say_which(draft: Draft, names: Sequence[str]) -> list[str]:
    """What can be advised for names that nobody knows: to say which electrodes they are, or to rename them.

    The example has a name to call it by, is no difference of electrodes if there is another, and no electrode that is
    there already.
    """
    named = [name for name in names if re.search(r"\w", name)]
    name = next((name for name in named if pair(name) is None), named[0] if named else None)
    if name is None:
        return []
    meant = (pair(name) or (resolve(name.replace("0", "O")) or "",))[0]  # 01 may be O1, or the first of a grid
    if name in _grid_contacts(draft):
        meant = ""
    free = next((one for one in (meant, *_EXAMPLES) if one and resolve(one) not in draft.named), _EXAMPLES[0])
    which = "are to stand for" if pair(name) else "are"
    said = [f"say what they {which} with {argument(channels={name: free})}"] if takes("channels") else []
    return [*said, "rename them in the file"]


def listed(names: Iterable[str], most: int = 24) -> str:
    shown = list(names)
    rest = f" … and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + rest


def _known() -> str:
    return ", ".join(sorted(ELECTRODES, key=channel_id))
