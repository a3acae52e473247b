"""Electrode names, aliases and positions: the only list of electrodes in the project.

A channel's id is its index in ``NAMES``, the electrode order of the official implementation (MIT, 935963004/NeuroLM),
so that the authors' channel embeddings fit. It keeps old and new 10-20 names apart: T3 and T7 are two electrodes.
"""

from __future__ import annotations

import functools
import re

REACH = 40.0
"""Millimetres within which one electrode stands for another: a step of the 10-10 system. On the template neighbours
there lie up to 39 mm apart (C1 and C3, FCZ and FZ); the 10-20 system's, which are different electrodes to everybody,
56 mm and more."""

# fmt: off
NAMES = (
    "FP1", "FPZ", "FP2", "AF9", "AF7", "AF5", "AF3", "AF1", "AFZ", "AF2", "AF4", "AF6", "AF8", "AF10", "F9", "F7",
    "F5", "F3", "F1", "FZ", "F2", "F4", "F6", "F8", "F10", "FT9", "FT7", "FC5", "FC3", "FC1", "FCZ", "FC2", "FC4",
    "FC6", "FT8", "FT10", "T9", "T7", "C5", "C3", "C1", "CZ", "C2", "C4", "C6", "T8", "T10", "TP9", "TP7", "CP5",
    "CP3", "CP1", "CPZ", "CP2", "CP4", "CP6", "TP8", "TP10", "P9", "P7", "P5", "P3", "P1", "PZ", "P2", "P4", "P6",
    "P8", "P10", "PO9", "PO7", "PO5", "PO3", "PO1", "POZ", "PO2", "PO4", "PO6", "PO8", "PO10", "O1", "OZ", "O2",
    "O9", "CB1", "CB2", "IZ", "O10", "T3", "T5", "T4", "T6", "M1", "M2", "A1", "A2", "CFC1", "CFC2", "CFC3", "CFC4",
    "CFC5", "CFC6", "CFC7", "CFC8", "CCP1", "CCP2", "CCP3", "CCP4", "CCP5", "CCP6", "CCP7", "CCP8", "T1", "T2",
    "FTT9h", "TTP7h", "TPP9h", "FTT10h", "TPP8h", "TPP10h", "FP1-F7", "F7-T7", "T7-P7", "P7-O1", "FP2-F8", "F8-T8",
    "T8-P8", "P8-O2", "FP1-F3", "F3-C3", "C3-P3", "P3-O1", "FP2-F4", "F4-C4", "C4-P4", "P4-O2", "pad", "I1", "I2",
)
# fmt: on
"""Official electrode names; a channel's id is its index here."""

PAD = NAMES.index("pad")
"""Id of the channel that marks padding."""
ELECTRODES = tuple(name for name in NAMES if name != "pad")
"""The names a recording's channel can have."""
_IDS = {name: index for index, name in enumerate(NAMES)}


def channel_id(name: str) -> int:
    """Return the id of a canonical electrode name, as in ``NAMES``.

    Raises
    ------
    KeyError
        If the name is not canonical: resolve a recording's own names with ``resolve`` first.
    """
    return _IDS[name]


TCP = (
    ("FP1", "F7"), ("F7", "T3"), ("T3", "T5"), ("T5", "O1"), ("FP2", "F8"), ("F8", "T4"), ("T4", "T6"), ("T6", "O2"),
    ("A1", "T3"), ("T3", "C3"), ("C3", "CZ"), ("CZ", "C4"), ("C4", "T4"), ("T4", "A2"), ("FP1", "F3"), ("F3", "C3"),
    ("C3", "P3"), ("P3", "O1"), ("FP2", "F4"), ("F4", "C4"), ("C4", "P4"), ("P4", "O2"),
)  # fmt: skip
"""The transverse-central-parietal montage of the TUH EEG corpus (``01_tcp_ar``): first electrode minus second.

``03_tcp_ar_a``, for recordings without ears, lacks A1-T3 and T4-A2. The central chain (A1-T3 … T4-A2) has no names in
``NAMES``, so the model knows 16 of the 22."""
SAME_PLACE = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
"""Old 10-20 names → names of the 10-10 system for the same places."""

# How a recording's own channel names become electrodes. Sources: TUH EEG corpus (`EEG FP1-REF`, `EEG T3-LE`), EEGMMIDB
# (`Fc5.`), EEGMAT (`EEG Fp1`), HMC (`EEG F4-M1`), CHB-MIT (`FP1-F7`), Nihon Kohden exports (`POL Fp1`), BioSemi.
ALIASES = {
    "F7-T3": "F7-T7", "T3-T5": "T7-P7", "T5-O1": "P7-O1", "F8-T4": "F8-T8", "T4-T6": "T8-P8", "T6-O2": "P8-O2",
}  # fmt: skip
"""Other names, in capitals → names in ``NAMES``; what a recorder writes is added here. Those that are here: bipolar
channels are in ``NAMES`` by their new names only, so that the old ones can mean nothing else."""
_CANONICAL = {name.upper(): name for name in ELECTRODES} | ALIASES
_EARS = {"A1", "A2", "M1", "M2"}
_REFERENCES = _EARS | {
    "REF", "REFERENCE", "LE", "LER", "AVG", "AV", "AVE", "AVERAGE", "AR", "CAR", "AA", "A1A2", "A1+A2", "A12", "M1M2",
    "M1+M2", "M12", "LM", "COM", "VREF", "G2",
}  # fmt: skip
_PREFIX = re.compile(r"^(?:EEG|POL)(?![A-Z]{3})[\s_:.-]*")
_MADE_UNIQUE = re.compile(r"-\d+$")  # MNE appends a running number to names that occur more than once
_KINDS = (
    ("reference", r"(?:[AM][12]) ?- ?(?:[AM][12])|(?:RE)?REF|REFERENCE|V ?REF|GND|GROUND|CMS|DRL"),
    ("stimulus", r"STI(?:M|MULUS)? ?\d*|STATUS|TRIG(?:GER)?S? ?\d*|MARKERS?|MKR|EVENTS?|DIN ?\d*|PHOTIC|PHO|TTL ?\d*"),
    ("ecg", r".*(?:ECG|EKG).*"),
    ("eog", r".*EOG.*|[HV]EO[LRUD]?|[LR][OUL]C|E[12] ?- ?[AM][12]|.*\bEYE.*"),
    ("emg", r".*EMG.*|.*\bCHIN.*|.*\b(?:LEG|ARM)\b.*|[LR]AT ?\d*|.*\bTIB.*|MASSETER.*"),
    (
        "other",
        r"EDF ANNOTATIONS|BDF ANNOTATIONS|RESP.*|ABD.*|THO(?:R|RAX).*|CHEST.*|.*\bFLOW.*|NASAL.*|THERM.*|SNORE.*|"
        r"S[PA]O2.*|OSAT|O2 ?SAT|PULSE.*|PLETH.*|PPG.*|HR|HEART.*|TEMP(?:ERATURE)?\d*|GSR\d*|EDA\d*|BODY.*|"
        r"POS(?:ITION)?|ACC.*|GYRO.*|MAG[XYZ]|LIGHT|DC ?\d+(?:-DC)?|IBI|BURSTS|SUPPR|E?T?CO2.*|AUX ?\d*|MISC ?\d*|"
        r"BATTERY.*|PACKET.*|COUNTER.*|SAMPLE ?(?:INDEX|COUNTER)?|IMP(?:EDANCE)?.*|EXG ?\d|PG[12]|SP[12]|BP ?\d*|"
        r"TIME(?:STAMP)?",
    ),
)
_KIND_PATTERNS = tuple((kind, re.compile(pattern)) for kind, pattern in _KINDS)
KINDS = ("eeg", "eog", "ecg", "emg", "reference", "stimulus", "other", "unknown")
"""What ``kind`` can return."""


def resolve(name: str) -> str | None:
    """Return the canonical electrode name of a recording's channel name, None if it names no known electrode.

    Case, the prefixes ``EEG`` and ``POL``, padding dots, a common reference (``Fp1-REF``, ``FP1-LE``, ``C4-M1``,
    ``Fp1-AVG``) and the running number that MNE gives to duplicates (``T8-P8-1``) are ignored. Bipolar names resolve
    when they are in ``NAMES`` (``Fp1-F7``; ``F7-T3`` is F7-T7). Old and new names of electrodes are kept apart, as in
    the official list: T3 is not T7.
    """
    label = _label(name)
    for candidate in (label, _MADE_UNIQUE.sub("", label)):
        if candidate in _CANONICAL:
            return _CANONICAL[candidate]
        electrode, dash, reference = candidate.rpartition("-")
        if dash and electrode in _CANONICAL and reference in _REFERENCES:
            # The difference of two ears is a derived signal, not an electrode.
            return None if electrode in _EARS and reference in _EARS else _CANONICAL[electrode]
    return None


def reference(name: str) -> str | None:
    """Return the common reference that a channel's name states: ``M1`` of ``C4-M1``, None where it states none.

    What means the same (``REF`` and ``LE``, say, in different files) is not made equal.
    """
    _, dash, stated = _MADE_UNIQUE.sub("", _label(name)).rpartition("-")
    return stated if dash and stated in _REFERENCES else None


def kind(name: str) -> str:
    """Tell what a channel records by its name alone: one of ``KINDS``.

    ``eeg`` is a name that resolves or says EEG, ``other`` a name known to be something else (breathing, temperature,
    counters, nasopharyngeal and sphenoidal electrodes), ``unknown`` a name that says nothing.
    """
    label = _label(name)
    bare = re.sub(r" ?-(?:REF|LE|AVG|AR)$", "", _MADE_UNIQUE.sub("", label))
    for found, pattern in _KIND_PATTERNS:
        if pattern.fullmatch(label) or pattern.fullmatch(bare):
            return found
    if resolve(name) is not None or _PREFIX.match(_tidy(name)):
        return "eeg"
    return "unknown"


def _tidy(name: str) -> str:
    """Upper case, plain dashes, single spaces, no padding dots."""
    text = re.sub(r"[‐-―−]", "-", name.upper())
    return re.sub(r"\s+", " ", text).strip(" .\0")


def _label(name: str) -> str:
    """The name without its prefix, with ``-`` between electrode and reference."""
    text = _PREFIX.sub("", _tidy(name)) or _tidy(name)
    return re.sub(r"\s*[-_:]\s*", "-", text).strip(" .-")


@functools.cache
def template_positions() -> dict[str, tuple[float, float, float]]:
    """Return the positions of the electrodes in metres, in MNE's head coordinates.

    From MNE's template ``colin27_1005`` (``standard_1005`` before MNE 1.13), moved to head coordinates (origin between
    the ears, x to the right, y to the nose), the frame in which MNE keeps a recording's own positions. Electrodes and
    bipolar channels without a place in the template are left out.
    """
    import mne  # slow to import

    template = mne.channels.make_standard_montage("colin27_1005")
    in_head = mne.channels.transform_to_head(template).get_positions()["ch_pos"]
    placed = {name.upper(): (float(x), float(y), float(z)) for name, (x, y, z) in in_head.items()}
    return {name: placed[name.upper()] for name in ELECTRODES if name.upper() in placed}
