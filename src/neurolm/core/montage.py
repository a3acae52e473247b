"""Electrode names, aliases and positions: the only list of electrodes in the project.

A channel's id is its index in ``NAMES``, the electrode order of the official implementation (MIT, 935963004/NeuroLM),
so that the authors' channel embeddings fit. It keeps old and new 10-20 names apart: T3 and T7 are two electrodes.
"""

from __future__ import annotations

import functools
import re
import unicodedata

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
# (`Fc5.`), EEGMAT (`EEG Fp1`), HMC (`EEG F4-M1`), CHB-MIT (`FP1-F7`, `C3-CS2`), MASS (`EEG C3-CLE`, `EEG C3-LER`),
# UCDDB (`C3A2`), Nihon Kohden exports (`POL Fp1`, `EEG Fp1-Org`), Mobita (`T7/T3`), BioSemi.
ALIASES = {
    "F7-T3": "F7-T7", "T3-T5": "T7-P7", "T5-O1": "P7-O1", "F8-T4": "F8-T8", "T4-T6": "T8-P8", "T6-O2": "P8-O2",
}  # fmt: skip
"""Other names, in capitals → names in ``NAMES``; what a recorder writes is added here. Those that are here: bipolar
channels are in ``NAMES`` by their new names only, so that the old ones can mean nothing else."""
_CANONICAL = {name.upper(): name for name in ELECTRODES} | ALIASES
_EARS = {"A1", "A2", "M1", "M2"}
_REFERENCES = _EARS | {
    "REF", "REFERENCE", "RF", "LE", "LER", "CLE", "CE", "LINKEDEARS", "LINKEDEAR", "LINKEDMASTOIDS", "LINKEDMASTOID",
    "EARS", "MASTOIDS", "A1A2", "A1+A2", "A12", "A2A1", "A2+A1", "M1M2", "M1+M2", "M12", "M2M1", "M2+M1", "LM", "AVG",
    "AV", "AVE", "AVERAGE", "AVREF", "AVGREF", "AVERAGEREF", "AVERAGEREFERENCE", "AAV", "AR", "CAR", "AA", "COM",
    "COMMON", "VREF", "VX", "V", "0V", "BN", "ORG", "G2", "G19", "CS", "CS1", "CS2", "CMS", "NOSE",
}  # fmt: skip
"""What may stand after an electrode's name and is no scalp electrode, but for signs in it: ``(A1+A2)/2`` is A1+A2. The
difference of two scalp electrodes is a bipolar channel, and none of the two."""
_ONE = r"[A-Z]{1,3}(?:Z|\d{1,2}H?)"  # an electrode's name
_AGAINST = re.compile(rf"({_ONE}) ?(?:[-/]|(?=\()) ?(.+)")  # C3-A2, C3/A2, C3 (A2)
_GLUED = re.compile(rf"({_ONE}) ?((?:[AM][12]){{1,2}}|[AM]12|REF|AVG|LE)")  # C3A2, C3 A2
_TWO_NAMES = re.compile(rf"({_ONE}) ?[/(] ?({_ONE})\)?")  # T7/T3, T7 (T3)
_PREFIX = re.compile(r"^(?:EEG|POL)(?![A-Z]{3})[\s_:.-]*")
_POLYGRAPH = re.compile(r"POL(?:[\s_:.-]|$)")
_COUNTED = re.compile(r"^CH(?:AN(?:NEL)?)? ?\d+ ?[-: ] ?(?=[A-Z])")  # Ch1: Fp1
_IN_VOLTS = re.compile(r" ?[\[(] ?[UMN]?V ?[\])]$")  # Fp1 [uV]; a micro sign looks like M
_QUOTED = re.compile(r"""^(['"])(.*)\1$""")
_LONGEST = 200  # signs of a name that are looked at
_MADE_UNIQUE = re.compile(r"-\d+$")  # MNE appends a running number to names that occur more than once
_LOOKALIKES = str.maketrans("АВЕКМНОРСТУХІаеорсухі" + "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧμο", "ABEKMHOPCTYXIaeopcyxi" + "ABEZHIKMNOPTYXuo")
"""Cyrillic and Greek letters that look like Latin ones, as keyboards make them: ``С3`` may be in either. Small letters
only where they too look alike: a small т is no t."""
_TRANSLATED = {"ЭЭГ": "EEG", "ЭКГ": "ECG", "ЭОГ": "EOG", "ЭМГ": "EMG"}
_KINDS = (
    (
        "reference",
        r"[AM][12] ?[-+/]? ?[AM][12]|(?:RE)?REF|REFERENCE|V ?REF|GND|GROUND|(?:CHAN )?(?:CMS|DRL)|NASION|NAS|[LR]PA",
    ),
    (
        "stimulus",
        r"STI(?:M|MULUS)?[ -]?(?:CODE|CH(?:ANNEL)?)? ?\d*|STATUS|MKIDX|MARK ?\d*|MARKER.*|"
        r"(?:(?:EDF|EXT|DIG(?:ITAL)?|HW|TTL)[ -]?)?TRI?G(?:GER)?S?(?:-?(?:IN|OUT|EVENT|CODE|CH))? ?\d*(?: .*)?|"
        r"(?:HARDWARE|SOFTWARE|EVENT) ?MARKER.*|MKR|"
        r"EVENTS?(?: .*)?|DIN ?\d*|DI|DIGITAL ?IN.*|PHOTIC|PHO(?:TO)?|TTL ?\d*|SYNC(?: .*)?|BUTTON ?\d*",
    ),
    ("ecg", r".*(?:ECG|EKG).*|LUE RAE|RAE LUE"),
    (
        "eog",
        r".*EOG.*|[HV]EO[LRUD]?|[LR][OUL]C(?: [LR][OUL]C)?|E[12] ?[-/]? ?(?:[AME][12]|FPZ)|[LR]IO|[ILS]O[12]|.*\bEYE.*|"
        r"(?:[LR]|LEFT|RIGHT)EYE|(?:Œ|OE)IL.*",
    ),
    (
        "emg",
        r".*EMG.*|.*\b[LRC]?CHIN.*|KINN.*|.*\b(?:LEG|ARM)S?\b.*|(?:[LR]|LEFT|RIGHT)LEG.*|LEG ?[\dLR]\b.*|"
        r"BEIN.*|[LR]AT ?\d*|.*\bTIB.*|PLM.*|[DS]X ?\d [DS]X ?\d|MASSETER.*|.*\bSUBMENTAL.*|MENTALIS.*|"
        r"DELTOID.*|.*INTERCOSTAL.*",
    ),
    (
        "other",
        # breathing and sleep
        r"RESP.*|ABD.*|AD+OM.*|THO(?:R.*)?|TORAC.*|V(?:TH|AB)|CHEST.*|RIB ?CAGE.*|RIP(?: .*)?|EFFORT.*|BELT.*|"
        r"SUM(?: .*)?|.*FLOW.*|.*\bFLUX.*|.*\bAIR|NASAL.*|NAS PRES.*|NAF\w*|ORAL.*|.*CANNULA.*|PTAF.*|"
        r"PRES(?:S|SURE)?(?: .*)?|[CX]?PAP(?: .*)?|LEAK.*|TID ?VOL.*|TH?ERM.*|.*SNOR[EI].*|"
        r"MIC(?:RO|ROPHONE)?(?: .*)?|SOUND.*|AUDIO.*|S[PA]O2.*|SAT(?:URATION.*)?|CAPNO.*|OSAT|O2 ?(?:SAT|STAT).*|"
        r"OX(?:Y|I)?(?:METER|METRY)? ?STAT.*|STAT|(?:E?T|TC)?P?CO2.*|PULSE.*|POULS|PLET.*|PPG.*|PTT|PAT|D?H ?R|PR|"
        r"R ?R|H ?RATE|HEART.*|IBI|TEMP(?!OR).*|GSR.*|EDA.*|SCR|BODY.*|B?POS(?: .*)?|POSITION.*|LIGHTS?|"
        r"LUM(?:I[EÈ]RE|INOSITY)?|ACTI(?:VITY|METRY|GRAPHY).*|ELEVATION|GRAVITY.*|DIF ?[56]|TAG|EPMS|VNS|MASK.*|"
        r"MOVE.*|VIBRATION.*|LUX|OXIM.*|OXY|HYP(?:NOGRAM)?|STAGES?|(?:N?I)?BP|ICP|ABP|CVP|BIS|SEF|BSR|SQI|.*\bOFF|"
        # amplifiers and headsets
        r"(?:[EB]DF )?ANNOTATIONS?|ERG ?\d|ANA ?\d|DC ?\d+(?:[- ]DC)?|B[PN] ?\d*|X\d+ BP\d+|PG[12]|SP[12]|BURSTS|"
        r"SUPPR|EXG ?\d|MISC ?\d*|(?:(?:RIGHT|LEFT) )?AUX ?(?:\d*|[LR]|LEFT|RIGHT)|ANALOG.*|ACC.*|GYRO.*|MAG ?[XYZ]|"
        r"[XYZ] DIR|BATTERY.*|PACKET.*|COUNTER.*|SAMPLE ?(?:INDEX|COUNTER)?|TIME|.*TIME ?STAMP.*|IMP(?:EDANCE)?.*|"
        r"INTERPOLATED?|RAW ?CQ.*|(?:[CE]Q|POW|MOT|PM|FE|MC) [A-Z].*|FUNC (?:ID|VALUE)|HEAD ?BAND.*|OPTICS.*|"
        r"(?:.* )?QUALITY",
    ),
)
"""What names say that are no electrodes: of sleep laboratories (SHHS, MESA, CAP, UCDDB, DREAMS), of Nihon Kohden,
BioSemi, Emotiv and Muse. Signs that are no letters or digits may be spaces: ``H.R.`` is also tried as H R."""
_KIND_PATTERNS = tuple((kind, re.compile(pattern)) for kind, pattern in _KINDS)
KINDS = ("eeg", "eog", "ecg", "emg", "reference", "stimulus", "other", "unknown")
"""What ``kind`` can return."""


def resolve(name: str) -> str | None:
    """Return the canonical electrode name of a recording's channel name, None if it names no known electrode.

    Case, the prefixes ``EEG`` and ``POL``, padding dots, a unit in brackets, a common reference (``Fp1-REF``,
    ``C3-CLE``, ``C4-M1``, ``C3A2``, ``C3/A2``, ``Fp1-(A1+A2)/2``) and the running number that MNE gives to duplicates
    (``T8-P8-1``) are ignored, and letters of other alphabets that look the same are read as Latin ones. Bipolar names
    resolve when they are in ``NAMES`` (``Fp1-F7``; ``F7-T3`` is F7-T7), and only then: the difference of two scalp
    electrodes is none of them. Old and new names of electrodes are kept apart, as in the official list: T3 is not T7;
    of two names of one place (``T7/T3``) the first counts.
    """
    label = _label(name)
    for candidate in (label, _MADE_UNIQUE.sub("", label)):
        if candidate in _CANONICAL:
            return _CANONICAL[candidate]
        two = _TWO_NAMES.fullmatch(candidate)
        if two and two[1] in _CANONICAL and SAME_PLACE.get(two[1], two[1]) == SAME_PLACE.get(two[2], two[2]):
            return _CANONICAL[two[1]]
        electrode, against = _apart(candidate)
        if against and electrode in _CANONICAL:
            # The difference of two ears is a derived signal, not an electrode.
            return None if electrode in _EARS and against in _EARS else _CANONICAL[electrode]
    return None


def reference(name: str) -> str | None:
    """Return the common reference that a channel's name states: ``M1`` of ``C4-M1``, None where it states none.

    What means the same (``REF`` and ``LE``, say, in different files) is not made equal.
    """
    return _apart(_MADE_UNIQUE.sub("", _label(name)))[1] or None


def pair(name: str) -> tuple[str, str] | None:
    """Return the two scalp electrodes whose difference a name states (``FZ-CZ``), whether or not it resolves."""
    one, _, other = _MADE_UNIQUE.sub("", _label(name)).partition("-")
    if one not in _CANONICAL or other not in _CANONICAL or {one, other} & _EARS:
        return None
    return _CANONICAL[one], _CANONICAL[other]


def kind(name: str) -> str:
    """Tell what a channel records by its name alone: one of ``KINDS``.

    ``eeg`` is a name that resolves or says EEG, ``other`` a name known to be something else (breathing, temperature,
    counters, nasopharyngeal and sphenoidal electrodes, a dash or dot in the place of a name), ``unknown`` a name that
    says nothing.
    """
    if name.strip("\0 ") and not re.search(r"\w", _MADE_UNIQUE.sub("", name)):
        return "other"  # placeholders, as in the montages of CHB-MIT
    label = _label(name)
    bare = _apart(_MADE_UNIQUE.sub("", label))[0]
    forms = dict.fromkeys((label, bare, *(re.sub(r"[\W_]+", " ", text).strip() for text in (label, bare))))
    for found, pattern in _KIND_PATTERNS:
        if any(pattern.fullmatch(form) for form in forms):
            return found
    if resolve(name) is not None:
        return "eeg"
    if _POLYGRAPH.match(_tidy(name)) or label.startswith(("$", "*")):
        return "other"  # Nihon Kohden's inputs beside the electrodes, whose names begin with EEG
    return "eeg" if _PREFIX.match(_tidy(name)) else "unknown"


def _tidy(name: str) -> str:
    """Upper case, Latin letters, plain dashes, single spaces, no padding dots, quotes or units."""
    text = "".join(
        sign for sign in unicodedata.normalize("NFKC", name[:_LONGEST]) if unicodedata.category(sign) != "Cf"
    )
    text = text.translate(_LOOKALIKES).upper()
    for other, latin in _TRANSLATED.items():
        text = text.replace(other.translate(_LOOKALIKES), latin)
    text = re.sub(r"[‐-―−]", "-", text)
    text = _QUOTED.sub(r"\2", re.sub(r"\s+", " ", text).strip(" .;,\0"))
    return _IN_VOLTS.sub("", text).strip(" .;,\0")


def _label(name: str) -> str:
    """The name without its prefix, with ``-`` between electrode and reference."""
    text = _PREFIX.sub("", _tidy(name)) or _tidy(name)
    return re.sub(r"\s*[-_:]\s*", "-", _COUNTED.sub("", text)).strip(" .-")


def _apart(label: str) -> tuple[str, str]:
    """A label without the reference that it states, and that reference, empty where it states none."""
    for pattern in (_AGAINST, _GLUED):
        if (found := pattern.fullmatch(label)) and (stated := _plain(found[2])) in _REFERENCES:
            return found[1], stated
    before, dash, after = label.rpartition("-")
    return (before, _plain(after)) if dash and _plain(after) in _REFERENCES else (label, "")


def _plain(stated: str) -> str:
    """A reference without signs, and without saying that the mean of two is half their sum."""
    return re.sub(r"[^A-Z0-9+]", "", stated.removesuffix("/2"))


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
