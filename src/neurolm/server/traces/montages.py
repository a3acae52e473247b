"""Montages: which differences of channels a page shows

>>> derivations = derive("bipolar", channels)
>>> [one.name for one in derivations]
['FP1-F7', 'F7-T3', …]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from neurolm.core.errors import ConfigError
from neurolm.core.montage import SAME_PLACE, reference, resolve

RECORDED, AVERAGE, BIPOLAR, TRANSVERSE = "recorded", "average", "bipolar", "transverse"
TITLES = {
    RECORDED: "As recorded", AVERAGE: "Average reference", BIPOLAR: "Longitudinal bipolar",
    TRANSVERSE: "Transverse bipolar",
}  # fmt: skip
_CHAINS = {
    BIPOLAR: (
        "FP1 F7 T3 T5 O1", "FP1 F3 C3 P3 O1", "FZ CZ PZ", "FP2 F4 C4 P4 O2", "FP2 F8 T4 T6 O2",
    ),
    TRANSVERSE: ("FP1 FP2", "F7 F3 FZ F4 F8", "T3 C3 CZ C4 T4", "T5 P3 PZ P4 T6", "O1 O2"),
}  # fmt: skip
"""The double banana, left before right; and from left to right, front before back."""
_EARS = {"A1", "A2", "M1", "M2"}
MOST = 256
"""Traces of a montage of one's own."""
_NAMED = 40  # electrodes that an error lists

Channel = Mapping[str, Any]
"""A channel as ``traces.json`` describes it."""


@dataclass(frozen=True)
class Derivation:
    """One trace: a channel, minus another one or the average."""

    name: str
    plus: int
    """Place of the channel."""
    minus: int | None = None
    average: tuple[int, ...] = field(default=(), repr=False)
    """Places of channels whose average is subtracted."""

    @property
    def eeg(self) -> tuple[int, ...]:
        """Places of the channels that it consists of, the average left out."""
        return (self.plus,) if self.minus is None else (self.plus, self.minus)


def offered(channels: Sequence[Channel]) -> list[dict[str, Any]]:
    """Return the montages that a recording can be shown in: id, name, channels and which of these are bad."""
    found = []
    for name, title in TITLES.items():
        if name == AVERAGE and not _can_average(channels):
            continue
        if name in _CHAINS and not _pairs(name, channels):
            continue
        derivations = _known(name, channels, frozenset())
        bad = [why_bad(one, channels) for one in derivations]
        found.append({"id": name, "name": title, "channels": [one.name for one in derivations], "bad": bad})
    return found


def why_bad(one: Derivation, channels: Sequence[Channel]) -> str | None:
    """Return why a trace is bad, by the channels that it consists of."""
    whys = [f"{channels[i]['name']}: {channels[i]['bad']}" for i in one.eeg if channels[i]["bad"]]
    if one.minus is None and whys:
        return str(channels[one.plus]["bad"])
    return "; ".join(whys) or None


def derive(montage: str, channels: Sequence[Channel], bad: Sequence[str] = ()) -> list[Derivation]:
    """Return the traces of a montage.

    Parameters
    ----------
    montage
        ``recorded``, ``average``, ``bipolar``, ``transverse``, or one's own: channels with commas between them, each
        alone (``Cz``), against another (``Fp1-F7``) or against the average (``Cz-avg``).
    channels
        Those of the recording.
    bad
        Names of channels that the average leaves out besides those that are known to be bad.

    Raises
    ------
    ConfigError
        If there is no such channel, or nothing of the montage is there.
    """
    out = frozenset(_find(name.strip(), channels) for name in bad if name.strip())
    if montage not in TITLES:
        return _own(montage, channels, out)
    if montage == AVERAGE and not _can_average(channels):
        raise ConfigError(
            "montage=average: it takes two good electrodes of one reference or more; choose montage=recorded"
        )
    if montage in _CHAINS and not _pairs(montage, channels):
        raise ConfigError(f"montage={montage}: none of its pairs is among {_listed(channels)}; choose montage=recorded")
    return _known(montage, channels, out)


def mix(derivations: Sequence[Derivation]) -> tuple[list[int], np.ndarray | None]:
    """Return which channels are read, and the weights (traces, channels) that make traces of them; None for as is."""
    if all(one.minus is None and not one.average for one in derivations):
        return [one.plus for one in derivations], None
    picks = sorted({i for one in derivations for i in (*one.eeg, *one.average)})
    weights = np.zeros((len(derivations), len(picks)))
    at = {pick: place for place, pick in enumerate(picks)}
    for row, one in zip(weights, derivations, strict=True):
        row[at[one.plus]] += 1
        if one.minus is not None:
            row[at[one.minus]] -= 1
        for i in one.average:
            row[at[i]] -= 1 / len(one.average)
    return picks, weights


def combine(signal: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Make traces of channels; a trace has NaN where one of its own channels has, and others not."""
    if weights is None:
        return signal
    missing = np.isnan(signal)
    if not missing.any():
        return weights.astype(signal.dtype) @ signal
    found = weights.astype(signal.dtype) @ np.where(missing, 0, signal)
    found[(np.abs(weights) > 0).astype(np.float32) @ missing.astype(np.float32) > 0] = np.nan
    return found


def _known(montage: str, channels: Sequence[Channel], out: frozenset[int]) -> list[Derivation]:
    if montage == RECORDED:
        return [Derivation(one["name"], i) for i, one in enumerate(channels)]
    others = [Derivation(one["name"], i) for i, one in enumerate(channels) if one["kind"] != "eeg"]
    if montage == AVERAGE:
        mean = average(channels, out)
        eeg = [i for i, one in enumerate(channels) if one["kind"] == "eeg"]
        return [
            Derivation(f"{channels[i]['name']}-avg", i, average=mean) if _single(channels[i])
            else Derivation(channels[i]["name"], i)
            for i in eeg
        ] + others  # fmt: skip
    return [*_pairs(montage, channels), *others]


def _pairs(montage: str, channels: Sequence[Channel]) -> list[Derivation]:
    """The pairs of neighbours in chains that are there, of one reference; or as the file itself has them."""
    at = {one["electrode"]: i for i, one in reversed(list(enumerate(channels))) if one["electrode"]}
    found = []
    for chain in _CHAINS[montage]:
        electrodes = [name if name in at else SAME_PLACE.get(name, name) for name in chain.split()]
        for plus, minus in pairwise(electrodes):
            ready = resolve(f"{plus}-{minus}")
            if plus in at and minus in at:
                one, two = at[plus], at[minus]
                if reference(channels[one]["label"]) == reference(channels[two]["label"]):
                    found.append(Derivation(f"{plus}-{minus}", one, two))
            elif ready in at:
                found.append(Derivation(channels[at[ready]]["name"], at[ready]))
    return found


def average(channels: Sequence[Channel], out: frozenset[int] = frozenset()) -> tuple[int, ...]:
    """Places of the channels that the average reference is made of: good electrodes of the scalp."""
    known = any(one["electrode"] for one in channels)
    return tuple(
        i for i, one in enumerate(channels)
        if i not in out and one["kind"] == "eeg" and not one["bad"] and _single(one)
        and (one["electrode"] is not None or not known)
    )  # fmt: skip


def _single(channel: Channel) -> bool:
    """Whether a channel is one electrode of the scalp against a common reference."""
    electrode = channel["electrode"]
    return electrode is None or ("-" not in electrode and electrode not in _EARS)


def _can_average(channels: Sequence[Channel]) -> bool:
    good = average(channels)
    return len(good) > 1 and len({reference(channels[i]["label"]) for i in good}) == 1


def _own(montage: str, channels: Sequence[Channel], out: frozenset[int]) -> list[Derivation]:
    tokens = [token.strip() for token in montage.split(",") if token.strip()]
    if not tokens or len(tokens) > MOST:
        raise ConfigError(
            f"montage={montage[:80]!r}: give one of {', '.join(TITLES)}, or up to {MOST} traces as in Fp1-F7,Cz,O1-avg"
        )
    return [_trace(token, channels, out) for token in tokens]


def _trace(token: str, channels: Sequence[Channel], out: frozenset[int]) -> Derivation:
    whole = _place(token, channels)
    if whole is not None:
        return Derivation(channels[whole]["name"], whole)
    for at in (i for i, sign in enumerate(token) if sign == "-"):
        one, two = token[:at].strip(), token[at + 1 :].strip()
        plus, minus = _place(one, channels), _place(two, channels)
        if plus is not None and minus is not None:
            return Derivation(f"{channels[plus]['name']}-{channels[minus]['name']}", plus, minus)
        if plus is not None and two.lower() in ("avg", "average"):
            mean = average(channels, out)
            if not mean:
                raise ConfigError(f"montage: {token}: no good electrode is there to average; choose another reference")
            return Derivation(f"{channels[plus]['name']}-avg", plus, average=mean)
    unknown = [part for part in token.split("-") if _place(part.strip(), channels) is None and part.lower() != "avg"]
    raise ConfigError(f"montage: no channel {(unknown or [token])[0][:80]!r}; there are {_listed(channels)}")


def _find(name: str, channels: Sequence[Channel]) -> int:
    found = _place(name, channels)
    if found is None:
        raise ConfigError(f"bad: no channel {name[:80]!r}; there are {_listed(channels)}")
    return found


def _place(name: str, channels: Sequence[Channel]) -> int | None:
    """The place of a channel by its name, the file's name for it, its electrode, or another name of that."""
    wanted = name.casefold()
    for key in ("name", "label", "electrode"):
        for i, one in enumerate(channels):
            if (one[key] or "").casefold() == wanted and wanted:
                return i
    electrode = resolve(name) if "-" not in name else None
    other = SAME_PLACE | {new: old for old, new in SAME_PLACE.items()}
    for candidate in (electrode, other.get(electrode or "")):
        for i, one in enumerate(channels):
            if candidate is not None and one["electrode"] == candidate:
                return i
    return None


def _listed(channels: Sequence[Channel]) -> str:
    names = [one["name"] for one in channels]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
