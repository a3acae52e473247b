"""Which channels of a file are EEG, and which electrodes they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from neurolm.core.errors import RecordingError, argument, takes
from neurolm.core.montage import REACH, resolve, template_positions
from neurolm.recording.channels import Channel
from neurolm.recording.electrodes import derivations
from neurolm.recording.electrodes.coverage import Covered
from neurolm.recording.electrodes.naming import Draft, listed, name_channels, rename, say_which, unknown_names
from neurolm.recording.electrodes.positions import nearest_free, onto_template


@dataclass(frozen=True)
class Selection:
    """The chosen channels of a file and what is made of them."""

    indices: tuple[int, ...]
    """Index of each channel to read, among the file's channels."""
    electrodes: tuple[str, ...]
    """Canonical names of the result."""
    weights: np.ndarray | None
    """float64 of shape (electrodes, indices): what is made of the channels; None where they are taken as they are."""
    coverage: tuple[Covered, ...]
    """A row for each channel of the file, then one for each electrode that was made from others."""
    notes: tuple[str, ...]

    @property
    def labels(self) -> list[str]:
        """What messages call each channel that is read: its electrode, or its own name."""
        return [self.coverage[i].electrode or self.coverage[i].channel for i in self.indices]


def select_electrodes(
    channels: Sequence[Channel],
    *,
    source: str,
    unknown: str = "error",
    wanted: Sequence[str] | Mapping[str, str] | None = None,
    montage: str | None = None,
    cap: str | None = None,
    bad: Mapping[int, str] | None = None,
) -> Selection:
    """Choose the EEG channels of a file and name their electrodes.

    Parameters
    ----------
    channels
        What the file has.
    source
        The file, for messages.
    unknown
        One of ``options.Unknown``.
    wanted
        Electrodes to take, in this order; or a mapping from the file's names to electrodes; or None for all.
    montage
        One of ``derivations.MONTAGES`` to derive, or None.
    cap
        MNE's name of the cap whose contacts the channels are, or None.
    bad
        Index → why a channel cannot be used, where its signal was looked at.

    Raises
    ------
    RecordingError
        If there is no EEG, an electrode is unknown or wanted but missing, or the rates differ.
    """
    draft = Draft(channels, source, unknown)
    if isinstance(wanted, Mapping):
        rename(draft, wanted)
    else:
        name_channels(draft, cap)
    asked = None if wanted is None or isinstance(wanted, Mapping) else _asked(draft, wanted)
    if asked is not None and len(asked) == 1 and len(draft.unrecognised) == 1 and not draft.named:
        _take_only(draft, *asked)
    pairs = _pairs(draft, asked) if montage is not None else []
    needed: list[str] | None = None
    if montage is not None:
        needed = list(dict.fromkeys(end for pair in pairs for end in pair[1:]))
    elif asked is not None:
        needed = list(asked)
    if needed is not None:
        _seek(draft, needed)
        if unknown != "interpolate":
            _only(
                draft, {e: name for e, name in (asked or {}).items() if montage is None}, [p[0] for p in pairs], needed
            )
    elif draft.unrecognised:
        _settle(draft)
    _set_bad_aside(draft, bad or {})
    if not draft.named:
        raise RecordingError(_no_eeg(draft))
    _one_rate(draft, needed if needed is not None else list(draft.named) if isinstance(wanted, Mapping) else None)
    mixes = _mixes(draft, needed, must=asked is not None and montage is None)
    if montage is not None:
        mixes = _derive(draft, mixes, pairs, asked is not None)
    return _selection(draft, mixes)


def _pairs(draft: Draft, asked: Mapping[str, str] | None) -> list[tuple[str, str, str]]:
    """The bipolar channels to derive."""
    pairs = derivations.tcp_pairs(list(draft.named))
    if asked is None:
        return pairs
    names = [name for name, _, _ in pairs]
    if unrecognised := [name for electrode, name in asked.items() if electrode not in names]:
        raise RecordingError(
            f"{draft.source}: {argument('channels')}: montage='tcp' has no {', '.join(unrecognised)}; it has "
            f"{', '.join(names)}"
        )
    return [pair for pair in pairs if pair[0] in asked]


def _asked(draft: Draft, wanted: Sequence[str]) -> dict[str, str]:
    """The electrodes that are asked for → the names by which they are."""
    electrodes = {name: resolve(name) for name in wanted}
    if nobody := [name for name, electrode in electrodes.items() if electrode is None]:
        found = ", ".join(draft.named) or "none"
        raise RecordingError(
            f"{draft.source}: {argument(channels=list(wanted))}: there is no {', '.join(nobody)}, which is no known "
            f"electrode; found: {found}"
        )
    return {electrode: name for name, electrode in electrodes.items() if electrode is not None}


def _take_only(draft: Draft, electrode: str) -> None:
    """The only channel that may be EEG is the only electrode that is asked for, whatever its name is."""
    (index,) = draft.unrecognised
    draft.unrecognised.clear()
    draft.take(electrode, index, "given")
    draft.notes.append(f"its only channel, {draft.channels[index].name}, is taken for {electrode}, as asked for")


def _seek(draft: Draft, asked: Sequence[str]) -> None:
    """Look for channels near electrodes that are asked for by name and are not there."""
    missing = [electrode for electrode in asked if electrode not in draft.named]
    if draft.unknown == "nearest" and missing:
        others = {i: e for e, i in draft.named.items() if e not in asked}
        template = template_positions()
        near = _moved(draft) | {i: np.array(template[e]) for i, e in others.items() if e in template}
        matches = nearest_free(dict(sorted(near.items())), (), among=missing)
        for i, (electrode, distance) in matches.items():
            draft.named = {e: index for e, index in draft.named.items() if index != i}
            draft.take(electrode, i, "position", f"{distance:.0f} mm")
        _say_nearest(draft, matches)
    for i in draft.unrecognised:
        if i not in draft.named.values():
            draft.row(i, "left out", "unknown electrode, not asked for")


def _only(draft: Draft, asked: Mapping[str, str], bipolar: Sequence[str], needed: Sequence[str]) -> None:
    """Keep what was asked for, which must be there, or what a montage needs."""
    if missing := [name for electrode, name in asked.items() if electrode not in draft.named]:
        raise RecordingError(
            f"{draft.source}: {argument(channels=list(asked.values()))}: there is no {', '.join(missing)}; found: "
            f"{', '.join(draft.named) or 'none'}. {argument(unknown='nearest')} takes a neighbour, 'interpolate' "
            "computes it"
        )
    kept = [electrode for electrode in (*needed, *bipolar) if electrode in draft.named]
    for electrode in [electrode for electrode in draft.named if electrode not in kept]:
        draft.leave(electrode, "not asked for" if asked else "not part of the montage")
    draft.named = {electrode: draft.named[electrode] for electrode in kept}


def _settle(draft: Draft) -> None:
    """Apply the policy for channels whose names are no known electrodes."""
    names = [draft.channels[i].name for i in draft.unrecognised]
    if draft.unknown == "error":
        raise RecordingError(unknown_names(draft, names))
    matches: dict[int, tuple[str, float]] = {}
    if draft.unknown in ("nearest", "interpolate"):
        matches = nearest_free(_moved(draft), tuple(draft.named))
        for i, (electrode, distance) in matches.items():
            draft.take(electrode, i, "position", f"{distance:.0f} mm")
        if draft.unknown == "nearest":
            _say_nearest(draft, matches)
        else:
            draft.targets = [electrode for electrode, _ in matches.values()]
    why = "unknown electrode"
    if draft.unknown != "drop":
        why += f" with no free electrode within {REACH:g} mm of its position, or without one"
    if dropped := [i for i in draft.unrecognised if i not in matches]:
        for i in dropped:
            draft.row(i, "left out", why)
        draft.notes.append(f"left out, {why}: {', '.join(draft.channels[i].name for i in dropped)}")


def _moved(draft: Draft) -> dict[int, np.ndarray]:
    """Positions of the unrecognised channels on the template."""
    return onto_template(draft.positions, {e: draft.channels[i].position for e, i in draft.named.items()})


def _say_nearest(draft: Draft, matches: Mapping[int, tuple[str, float]]) -> None:
    if matches:
        said = [f"{draft.channels[i].name} → {electrode} ({mm:.0f} mm)" for i, (electrode, mm) in matches.items()]
        draft.notes.append(f"taken for the nearest electrode: {', '.join(said)}")


def _set_bad_aside(draft: Draft, bad: Mapping[int, str]) -> None:
    """Mark what cannot be used; under ``interpolate`` also what the file marks as bad."""
    draft.bad = dict(bad)
    if draft.unknown == "interpolate":
        for i, channel in enumerate(draft.channels):
            if channel.bad:
                draft.bad.setdefault(i, "marked as bad in the file")
        return
    left = {electrode: draft.bad[i] for electrode, i in draft.named.items() if i in draft.bad}
    for electrode, why in left.items():
        draft.leave(electrode, why)
    if kept := [draft.channels[i].name for i in draft.named.values() if draft.channels[i].bad]:
        draft.notes.append(f"marked as bad in the file, but kept: {', '.join(kept)}")
    for why in dict.fromkeys(left.values()):
        draft.notes.append(f"left out, {why}: {', '.join(e for e, found in left.items() if found == why)}")


def _one_rate(draft: Draft, needed: Sequence[str] | None) -> None:
    """Keep the channels of one sampling rate: resampling some of them unasked would hide what they lack."""
    rates = Counter(draft.channels[i].rate for e, i in draft.named.items() if needed is None or e in needed)
    rates = rates or Counter(draft.channels[i].rate for i in draft.named.values())
    main = max(rates, key=lambda rate: (rates[rate], rate))
    slow = {e: draft.channels[i].rate for e, i in draft.named.items() if draft.channels[i].rate != main}
    if not slow:
        return
    said = [f"{electrode} ({rate:g} Hz)" for electrode, rate in slow.items()]
    if draft.unknown == "error" or any(electrode in slow for electrode in needed or ()):
        remedy = f"name those of one rate ({argument('channels')}), or " if takes("channels") else ""
        raise RecordingError(
            f"{draft.source}: electrodes sampled at different rates: most at {main:g} Hz, but {listed(said)}; {remedy}"
            f"choose {argument(unknown='drop')}, which keeps those at {main:g} Hz"
        )
    for electrode, rate in slow.items():
        draft.leave(electrode, f"{rate:g} Hz, not {main:g}")
    draft.notes.append(f"left out, not sampled at {main:g} Hz: {', '.join(said)}")


def _mixes(draft: Draft, needed: Sequence[str] | None, *, must: bool) -> dict[str, dict[int, float]]:
    """What each electrode is made of: a channel, or splines over others."""
    wanted = list(draft.named) if needed is None else list(needed)
    mixes: dict[str, dict[int, float]] = {
        e: {draft.named[e]: 1.0}
        for e in wanted
        if e in draft.named and draft.named[e] not in draft.bad and e not in draft.targets
    }
    targets = [e for e in wanted if e not in mixes]
    if draft.unknown != "interpolate" or not targets:
        return mixes
    template = template_positions()
    rate = draft.channels[next(iter(draft.named.values()))].rate
    positions = {i: np.array(template[e]) for e, i in draft.named.items() if e in template and e not in draft.targets}
    sources = {
        i: position.tolist()
        for i, position in (_moved(draft) | positions).items()
        if i not in draft.bad and draft.channels[i].rate == rate
    }
    derivations.refuse_mixed_references([draft.channels[i].name for i in sources], draft.source, "interpolating")
    made = derivations.splines(targets, sources)
    why = {e: draft.bad.get(draft.named.get(e, -1), "no channel there") for e in targets}
    for electrode in targets:
        if electrode in made:
            mixes[electrode], detail = made[electrode]
            draft.rows[-1 - len(draft.rows)] = Covered(
                channel="", electrode=electrode, how="interpolated", detail=f"{why[electrode]}; {detail}"
            )
    if done := [f"{e} ({why[e]}; {made[e][1]})" for e in targets if e in made]:
        draft.notes.append(f"interpolated by spherical splines: {', '.join(done)}")
    if failed := [e for e in targets if e not in made]:
        if must:
            raise RecordingError(
                f"{draft.source}: {argument('channels')}: there is no {', '.join(failed)}, and too few channels near "
                f"enough to interpolate it; found: {listed(list(draft.named))}"
            )
        said = [f"{electrode} ({why[electrode]})" for electrode in failed]
        draft.notes.append(f"left out, cannot be interpolated: {', '.join(said)}")
    return {e: mixes[e] for e in wanted if e in mixes}


def _derive(
    draft: Draft,
    base: Mapping[str, dict[int, float]],
    pairs: Sequence[tuple[str, str, str]],
    asked: bool,
) -> dict[str, dict[int, float]]:
    """The bipolar channels of the TCP montage, as differences of electrodes or as the file has them."""
    mixes: dict[str, dict[int, float]] = {}
    missing: dict[str, list[str]] = {}
    derived = False
    for name, plus, minus in pairs:
        own = draft.named.get(name)
        if own is not None and own not in draft.bad:
            mixes[name] = {own: 1.0}
        elif lacking := [end for end in (plus, minus) if end not in base]:
            missing[name] = lacking
        else:
            mixes[name] = derivations.difference(base[plus], base[minus])
            pair = [draft.channels[i].name for i in mixes[name]]
            derivations.refuse_mixed_references(pair, draft.source, f"montage='tcp' ({name})")
            derived = True
            draft.rows[-1 - len(draft.rows)] = Covered(
                channel="", electrode=name, how="derived", detail=f"{plus} minus {minus}"
            )
    if not mixes or (missing and (draft.unknown == "error" or asked)):
        lacking = list(dict.fromkeys(end for ends in missing.values() for end in ends))
        raise RecordingError(
            f"{draft.source}: montage='tcp' needs {', '.join(lacking)} for {', '.join(missing)}; found: "
            f"{listed(list(draft.named))}; {argument(unknown='drop')} leaves such channels out"
        )
    if missing:
        said = [f"{name} ({', '.join(lacking)})" for name, lacking in missing.items()]
        draft.notes.append(f"left out, electrodes missing: {', '.join(said)}")
    if derived:
        unnamed = derivations.tcp_without_names()
        draft.notes.append(
            f"bipolar channels derived: {', '.join(mixes)}; without a name in the official list: {', '.join(unnamed)}"
        )
    return mixes


def _selection(draft: Draft, mixes: Mapping[str, Mapping[int, float]]) -> Selection:
    single = all(list(mix.values()) == [1.0] for mix in mixes.values())
    used = list(dict.fromkeys(i for mix in mixes.values() for i in mix))
    weights = None
    if not single:
        column = {index: number for number, index in enumerate(used)}
        weights = np.zeros((len(mixes), len(used)))
        for row, mix in enumerate(mixes.values()):
            weights[row, [column[i] for i in mix]] = list(mix.values())
    for i in range(len(draft.channels)):
        current = draft.rows.get(i)
        if current is None:
            draft.row(i, "left out", "not used")
        elif current.electrode is not None and mixes.get(current.electrode) != {i: 1.0}:
            draft.rows[i] = _unlike_itself(draft, i, current, used)
        elif current.how == "left out" and i in used:
            draft.rows[i] = replace(current, how="source", detail="")
    own = [draft.rows[i] for i in range(len(draft.channels))]
    made = [row for i, row in draft.rows.items() if i < 0]
    return Selection(tuple(used), tuple(mixes), weights, (*own, *made), tuple(draft.notes))


def _unlike_itself(draft: Draft, index: int, row: Covered, used: Sequence[int]) -> Covered:
    """The row of a channel that is a known electrode, but not one of the recording's."""
    if index in used:
        return replace(row, how="source")
    return replace(row, electrode=None, how="left out", detail=draft.bad.get(index, "not asked for"))


def _no_eeg(draft: Draft) -> str:
    details = "; ".join(note if len(note) <= 200 else f"{note[:200]} …" for note in draft.notes)
    maybe = [
        channel.name for i, channel in enumerate(draft.channels) if i in draft.rows and draft.rows[i].kind == "eeg"
    ]
    remedies = say_which(draft, maybe)
    if takes("unit") and any(c.kind == "other" and c.unit is None and resolve(c.name) for c in draft.channels):
        remedies = [*remedies, f"say their unit, which the file does not ({argument(unit='uV')})"]
    remedy = f". If some of them are electrodes, {', or '.join(remedies)}" if remedies else "; use another recording"
    return f"{draft.source}: no EEG electrode among its {len(draft.channels)} channels ({details}){remedy}"
