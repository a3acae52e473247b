"""What the columns of a table are, and which programs write such tables.

Known by their headers: Muse (muselsl, Mind Monitor), OpenBCI's GUI, BrainFlow, Emotiv. Sources: the programs' own
documentation, https://mind-monitor.com/FAQ.php, https://docs.openbci.com/Software/OpenBCISoftware/GUIDocs,
https://brainflow.readthedocs.io/en/stable/DataFormatDesc.html, https://emotiv.gitbook.io/emotivpro-v3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from neurolm.core.montage import kind, resolve
from neurolm.recording.formats.clock import CREDIBLE, SINCE_1970, parse_times, seconds_per
from neurolm.recording.formats.edf import UNSTATED, unit_of
from neurolm.recording.formats.text import MISSING, Form, is_number

_TIME = re.compile(
    r"(time|times|time ?stamps?|timestamps?|t|tiempo|temps|zeit|date ?time|unix( time)?|epoch|lsl ?time ?stamps?"
    r"|local ?time|seconds?|secs?|elapsed)( ?\((formatted)\)| (ns|us|µs|ms|s|secs?|seconds|milli\w*|micro\w*))?",
    re.IGNORECASE,
)
_COUNTER = re.compile(
    r"(unnamed: ?0|__index_level_0__|sample ?(index|number|nr|no|id|num)?|samples?|index|idx|id|row|n|nr|no|#"
    r"|seq(uence)?|counter|package ?num(ber)?|packet ?(num(ber)?|counter|index)?)\.?",
    re.IGNORECASE,
)
_MARKER = re.compile(
    r"(.*[ _.])?(markers?|triggers?|trig|stim(ulus)?|events?|codes?|annotations?|labels?)\d*", re.IGNORECASE
)
_BRACKETS = re.compile(r"(.*?)[ _]*[\[(]([^\[()\]]{1,12})[\])]")
_STATED = re.compile(
    r"\b(?:sampl[a-z]{0,9}[ _]?(?:rate|freq[a-z]{0,9})?|fs|srate|sfreq) ?(?:[\[(]?hz[\])]?)? ?[=:] ?(?:eeg_)?"
    r"(\d+(?:\.\d+)?)",
    re.IGNORECASE,
)
_UNIT = re.compile(r"\bunits? ?[:=] ?([^\s,;]{1,12})", re.IGNORECASE)
_OTHER = re.compile(
    r"(acc|gyro|mag|quat|aux|battery|temp|hsi|headband|digital|analog|not used|other|imu|ppg|optics)", re.I
)
_NO_VOLTAGE = ("g", "m/s2", "m/s^2", "deg", "dps", "hz", "s", "sec", "ms", "us", "%", "bpm", "ohm", "kohm", "°c")

MUSE = ("TP9", "AF7", "AF8", "TP10", "FP1", "FP2", "FPZ")
MUSE_RATES = (256.0, 220.0, 500.0)
"""Samples per second of Muse headbands: 2016 and later, 2014, 2014 by a research preset."""
BRAINFLOW = {15: (4, 13, (200.0,)), 24: (8, 22, (250.0,)), 32: (16, 30, (125.0, 250.0))}
"""Columns of a BrainFlow file → channels of EEG from the second column on, column of time, samples per second.

OpenBCI's Ganglion, Cyton, and Cyton with Daisy or BrainFlow's synthetic board."""
CYTON_COUNT = 4.5 / 24 / (2**23 - 1) * 1e6
"""Microvolts of a count of OpenBCI's Cyton at its gain of 24."""


@dataclass(frozen=True, kw_only=True)
class Signal:
    """A column of samples."""

    column: int
    name: str
    unit: str | None = UNSTATED
    """As in ``Channel``."""
    kind: str = "eeg"


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What the columns of a table are."""

    signals: tuple[Signal, ...]
    named: bool = True
    """Whether the names are the file's, and say something; else they only count."""
    program: str = ""
    """What wrote the table, where that is known."""
    rate: float | None = None
    """Samples per second as the file states them."""
    rates: tuple[float, ...] = ()
    """What they can be for this device."""
    time: int | None = None
    counter: int | None = None
    """A column that counts samples, and begins again where it comes to its end."""
    markers: tuple[int, ...] = ()
    """Columns of numbers that are not 0 where something happened."""
    events: int | None = None
    """A column of text about what happened."""
    sparse: bool = False
    """Whether rows without any sample stand between the others: other devices' rows, and events."""
    left_out: tuple[str, ...] = ()
    """Columns that are none of these."""
    scale: float = 1.0
    """What to multiply the numbers by, where they are counts of a known device."""
    notes: tuple[str, ...] = ()


def understand(form: Form) -> Columns:
    """Find out what the columns of a table are."""
    for known in (_emotiv, _openbci, _muse, _mind_monitor, _brainflow):
        found = known(form)
        if found is not None:
            return found
    return _any(form)


def is_eeg(form: Form) -> bool:
    """Return whether a table is EEG by its header: a known program's, or electrodes over a time that runs evenly."""
    found = understand(form)
    if found.program:
        return True
    if found.time is None or not found.named or not any(resolve(one.name) for one in found.signals):
        return False
    cells = form.column(found.time)
    texts = not all(is_number(cell, comma=form.comma) for cell in cells)
    times = parse_times(cells) if texts else np.array([_float(cell, form) for cell in cells])
    if len(times) < 3 or not np.isfinite(times).all():
        return False
    factor = 1.0 if texts else seconds_per(form.names[found.time] if form.names else "", times)
    return factor is not None and 0 < float(times[-1] - times[0]) * factor / (len(times) - 1) < 1 / CREDIBLE[0]


def is_samples(form: Form) -> bool:
    """Return whether a table may be samples, where somebody says what their rate is.

    One of more text than numbers, as a table of labels, is none unless a column has an electrode's name.
    """
    found = understand(form)
    texts = len(found.left_out) + (found.events is not None)
    return bool(found.signals) and (texts < len(found.signals) or any(resolve(one.name) for one in found.signals))


def stated_rate(lines: Sequence[str]) -> float | None:
    """Return the samples per second that lines above a table state."""
    for line in lines:
        if match := _STATED.search(line):
            return float(match[1]) or None
    return None


def stated_unit(lines: Sequence[str]) -> str | None:
    """Return the voltage that lines above a table state as the unit of its numbers."""
    found = (_UNIT.search(line) for line in lines)
    return next((unit for match in found if match and (unit := unit_of(match[1]))), None)


def _lower(form: Form) -> list[str]:
    return [name.strip().lower() for name in form.names or ()]


def _muse(form: Form) -> Columns | None:
    """muselsl: ``timestamps,TP9,AF7,AF8,TP10,Right AUX``, and columns ``Marker`` where there are such."""
    names = _lower(form)
    electrodes = [i for i, name in enumerate(names) if name.upper() in MUSE]
    if not names or names[0] not in ("timestamps", "timestamp") or len(electrodes) < 3:
        return None
    rest = [i for i in range(1, len(names)) if i not in electrodes]
    if not all(names[i].startswith(("marker", "right aux", "left aux", "aux")) for i in rest):
        return None
    signals = [Signal(column=i, name=(form.names or ())[i], unit="uV") for i in electrodes]
    signals += [
        Signal(column=i, name=(form.names or ())[i], unit="uV", kind="other") for i in rest if "aux" in names[i]
    ]
    markers = tuple(i for i in rest if names[i].startswith("marker"))
    return Columns(
        signals=tuple(signals), program="muselsl (Muse)", rates=MUSE_RATES, time=0,
        **_markers(form, markers),
    )  # fmt: skip


def _mind_monitor(form: Form) -> Columns | None:
    """Mind Monitor: ``TimeStamp,Delta_TP9,…,RAW_TP9,RAW_AF7,…,AUX_RIGHT,…,Elements``."""
    names = _lower(form)
    raw = [i for i, name in enumerate(names) if name.startswith("raw_") and resolve(name[4:]) is not None]
    if "timestamp" not in names or len(raw) < 2:
        return None
    signals = tuple(Signal(column=i, name=(form.names or ())[i][4:], unit="uV") for i in raw)
    return Columns(
        signals=signals, program="Mind Monitor (Muse)", rates=MUSE_RATES, time=names.index("timestamp"),
        events=names.index("elements") if "elements" in names else None, sparse=True,
    )  # fmt: skip


def _openbci(form: Form) -> Columns | None:
    """OpenBCI's GUI: ``%OpenBCI Raw EXG Data`` (before version 5 ``EEG Data``), and rates and boards in such lines."""
    said = [line for line in form.comments if "openbci" in line.lower()]
    names = _lower(form)
    channels = [i for i, name in enumerate(names) if re.fullmatch(r"e[xe]g channel \d+", name)]
    if not said and not (channels and names[0] == "sample index"):
        return None
    text = "\n".join(form.comments)
    notes: tuple[str, ...] = ()
    time = None
    if not channels:
        said_count = re.search(r"number of channels\s{0,9}=\s{0,9}(\d{1,4})", text, re.IGNORECASE)
        count = int(said_count[1]) if said_count else next((n for n in (16, 8, 4) if form.columns >= n + 4), 0)
        if not 0 < count < form.columns:
            return None
        channels = list(range(1, count + 1))
        last = [cell.replace(".", "", 1) for cell in form.column(form.columns - 1)]
        time = form.columns - 1 if all(cell.isdigit() and len(cell) > 12 for cell in last) else None
    elif "timestamp" in names:
        time = names.index("timestamp")
    counts = bool(re.search(r"\bcounts?\b|\bADC\b", text, re.IGNORECASE))
    if counts:
        notes = (f"counts of OpenBCI's Cyton at a gain of 24: {CYTON_COUNT:.5f} µV each",)
    own = form.names or tuple(f"EXG Channel {i - 1}" for i in range(form.columns))
    markers = tuple(i for i, name in enumerate(names) if name.startswith("marker"))
    return Columns(
        signals=tuple(Signal(column=i, name=own[i], unit="uV") for i in channels), named=False, program="OpenBCI",
        rate=stated_rate(form.comments), time=time, counter=0, scale=CYTON_COUNT if counts else 1.0, notes=notes,
        **_markers(form, markers),
    )  # fmt: skip


def _brainflow(form: Form) -> Columns | None:
    """BrainFlow: no header; the number of the package, channels, …, the time since 1970, a marker."""
    known = BRAINFLOW.get(form.columns)
    if known is None or form.names is not None:
        return None
    count, time, rates = known
    if any(not is_number(cell) for row in form.rows for cell in row):
        return None
    rows = np.array([[float(cell or "nan") for cell in row] for row in form.rows])
    package, stamps, marker = rows[:, 0], rows[:, time], rows[:, time + 1]
    whole = (package == np.round(package)).all() and package.min() >= 0 and package.max() < 256
    if not (whole and (stamps > 1e9).all() and (stamps < 1e10).all() and (marker == np.round(marker)).all()):
        return None
    signals = tuple(Signal(column=i, name=f"EXG Channel {i - 1}", unit="uV") for i in range(1, count + 1))
    return Columns(
        signals=signals, named=False, program="BrainFlow", rates=rates, time=time, markers=(time + 1,),
        notes=(f"{form.columns} columns without a header, as BrainFlow writes them: 2 to {count + 1} are channels",),
    )  # fmt: skip


def _emotiv(form: Form) -> Columns | None:
    """EmotivPRO (``Timestamp,EEG.Counter,EEG.Interpolated,EEG.AF3,…``) and TestBench (``labels:COUNTER … AF3 …``)."""
    said = next((line for line in form.comments if line.lower().startswith("title:")), "")
    names = list(form.names or ())
    old = re.search(r"\blabels:([^,;]+)", said)
    if old and not names:
        names = old[1].split()[: form.columns]
        names += [f"column {i + 1}" for i in range(len(names), form.columns)]
    lower = [name.strip().lower().removeprefix("eeg.") for name in names]
    if not (said and old) and not any(name.startswith("EEG.") for name in names):
        return None
    found = [i for i, name in enumerate(names) if (old or name.startswith("EEG.")) and resolve(_bare(name)) is not None]
    if len(found) < 2:
        return None
    time = next((lower.index(name) for name in ("timestamp", "time") if name in lower), None)
    marker = next((lower.index(name) for name in ("markervalueint", "marker") if name in lower), None)
    return Columns(
        signals=tuple(Signal(column=i, name=_bare(names[i]), unit="uV") for i in found), program="Emotiv",
        rate=stated_rate([said]), rates=(128.0, 256.0, 2048.0), time=time, sparse=True,
        counter=lower.index("counter") if "counter" in lower and time is None else None,
        **_markers(form, () if marker is None else (marker,)),
    )  # fmt: skip


def _bare(name: str) -> str:
    return name.strip().removeprefix("EEG.")


def _markers(form: Form, columns: Sequence[int]) -> dict:
    """Columns of markers, as numbers or as text."""
    numeric = [i for i in columns if all(is_number(cell) for cell in form.column(i))]
    texts = [i for i in columns if i not in numeric]
    return {"markers": tuple(numeric), "events": texts[0] if texts else None}


def _any(form: Form) -> Columns:
    """A table of anybody's: columns are told by their names, and where they have none by what is in them."""
    names = form.names or ("",) * form.columns
    found = Columns(signals=(), rate=stated_rate(form.comments), named=form.names is not None)
    signals, left_out, markers = [], [], []
    for column, name in enumerate(names):
        what = _what(form, column, name.strip(), found)
        if what == "time":
            if found.time is not None:
                left_out.append(names[found.time])
            found = replace(found, time=column)
        elif what == "counter":
            found = replace(found, counter=column)
        elif what == "events":
            found = replace(found, events=column)
        elif what == "marker":
            markers.append(column)
        elif what == "":
            left_out.append(name or f"column {column + 1}")
        else:
            signals.append(_signal(form, column, name.strip()))
    if volts := stated_unit(form.comments):
        signals = [replace(one, unit=volts) if one.unit == UNSTATED else one for one in signals]
    single = len(signals) == 1 and form.names is None
    if single:
        signals = [replace(signals[0], name="ch1")]
    return replace(found, signals=tuple(signals), left_out=tuple(left_out), markers=tuple(markers))


def _what(form: Form, column: int, name: str, so_far: Columns) -> str:
    """What a column is: time, counter, marker, events, samples, or nothing."""
    cells = [cell for cell in form.column(column) if cell.strip()]
    bare, _, unit = _split(name)
    if bare and _TIME.fullmatch(bare.replace("_", " ")) and (unit is None or unit in ("s", "sec", "ms", "us", "")):
        if _is_epoch(bare) and _counts(form, cells):
            return ""
        better = so_far.time is None or (_is_epoch((form.names or ())[so_far.time]) and not _is_epoch(bare))
        return "time" if better else ""
    numbers = bool(cells) and all(is_number(cell, comma=form.comma) for cell in cells)
    if not cells and bare and resolve(bare) is None and _MARKER.fullmatch(bare):
        return "events" if so_far.events is None else ""
    if not cells:
        return "" if not name or resolve(bare) is None else "samples"
    if bare and resolve(bare) is None and _MARKER.fullmatch(bare):
        return "marker" if numbers else "events" if so_far.events is None else ""
    if not numbers:
        mostly = sum(is_number(cell, comma=form.comma) for cell in cells) / len(cells)
        if so_far.time is None and not name and _is_clock(cells):
            return "time"
        return "samples" if mostly > 0.5 or resolve(bare) is not None else ""
    if bare and _COUNTER.fullmatch(bare.replace("_", " ")):
        return "counter" if so_far.counter is None else ""
    return _by_content(form, column, so_far) if not name else "samples"


def _is_epoch(name: str) -> bool:
    """Whether a column may be seconds since 1970 as well as the numbers of cut pieces: MNE's tables have the latter."""
    return name.strip().lower() == "epoch"


def _counts(form: Form, cells: Sequence[str]) -> bool:
    """Whether a column of numbers is too small to be a time since 1970."""
    if not all(is_number(cell, comma=form.comma) for cell in cells):
        return False
    return not cells or float(np.median([_float(cell, form) for cell in cells])) < SINCE_1970


def _is_clock(cells: Sequence[str]) -> bool:
    return all(re.search(r"\d{1,2}:\d{2}:\d{2}", cell) for cell in cells)


def _by_content(form: Form, column: int, so_far: Columns) -> str:
    """Whether a column without a name rises by the same step from row to row, which no EEG does."""
    values = np.array([_float(cell, form) for cell in form.column(column)])
    steps = np.diff(values)
    if len(steps) < 8 or not np.isfinite(steps).all() or form.columns == 1:
        return "samples"
    step = float(np.median(steps))
    if (steps == 1).all():
        return "counter" if so_far.counter is None else ""
    rises = step > 0 and (np.abs(steps - step) <= 0.5 * step + 1e-9 * np.abs(values[1:])).all()
    return "time" if rises and so_far.time is None else "samples"


def _float(cell: str, form: Form) -> float:
    text = cell.replace(",", ".") if form.comma else cell
    return np.nan if text.lower() in MISSING else float(text)


def _split(name: str) -> tuple[str, str | None, str | None]:
    """A column's name without its unit, and the unit: a voltage, and any."""
    match = _BRACKETS.fullmatch(name)
    if match is None:
        return name, None, None
    volts = unit_of(match[2])
    if volts:
        return match[1].strip(), volts, None
    other = match[2].strip().lower()
    return (match[1].strip(), None, other) if other in _NO_VOLTAGE else (name, None, None)


def _signal(form: Form, column: int, name: str) -> Signal:
    bare, volts, other = _split(name)
    if form.units is not None and volts is None and other is None:
        said = form.units[column].strip("[]()")
        volts = unit_of(said) or None
        other = said.lower() if said.lower() in _NO_VOLTAGE else None
    bare = bare or f"ch{column + 1}"
    if resolve(bare) is None and (other is not None or _OTHER.match(bare) or kind(bare) == "other"):
        return Signal(column=column, name=bare, unit=None, kind="other")
    return Signal(column=column, name=bare, unit=volts or UNSTATED)
