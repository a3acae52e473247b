"""The annotations of an EDF+ or BDF+ file, whose texts may hold tabs and line breaks

>>> found = read_annotations(path, read_header(path))
>>> found.marks                     # (5.0, 30.0, "seizure\\nleft temporal"), …

MNE 1.13 drops annotations whose text has a line break, which EDF+ allows, and those that write their duration a little
otherwise. Format: Kemp & Olivan 2003, https://www.edfplus.info/specs, section 2.2
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from neurolm.core.errors import RecordingError
from neurolm.core.stretches import Stretch
from neurolm.recording.formats.edf import Header, SignalHeader

# A time-stamped list: onset, perhaps a duration, and texts, each closed by 0x14; 0x00 ends it. Texts may be anything
# else, so that a line break ends nothing.
_LIST = re.compile(rb"\s*([^\x14\x15]*)(?:\x15([^\x14]*))?(?:\x14(.*))?", re.DOTALL)
_NUMBER = re.compile(rb"[+-]?(\d+[.,]?\d*|[.,]\d+)")  # some programs write decimal commas
_ONSET = re.compile(rb"[+-]\d+\.?\d*")  # a record's own time, with which its annotations begin
_OVERLAP = 1.0  # seconds by which a clock that was set back may let a record begin before the one before has ended
_DRIFT = 0.1  # seconds by which the times of records may differ from the time of their samples, unsaid
_SHOWN = 40
"""Bytes of an unreadable annotation that are shown."""


@dataclass(frozen=True)
class Found:
    """What annotations a file has."""

    marks: tuple[tuple[float, float, str], ...]
    """Seconds from the first sample, seconds, text; sorted by time."""
    notes: tuple[str, ...]
    """What could not be taken as it stands."""
    onsets: tuple[float, ...] = ()
    """Seconds at which each data record begins; NaN where it does not say so."""


def read_annotations(path: Path, header: Header, labels: Collection[str] = ()) -> Found:
    """Read the annotations of a file: only their bytes, however long the recording is.

    Parameters
    ----------
    path
        The file.
    header
        What ``edf.read_header`` returned.
    labels
        Labels of the file's signals: a text that ends in ``@@`` and one of them concerns that signal only, and is
        returned without.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    if not header.annotations:
        return Found((), ())
    lists = list(_lists(path, header))
    times = [_ONSET.match(record) for record in lists[: len(lists) // len(header.annotations)]]
    return replace(parse(lists, labels), onsets=tuple(float(time[0]) if time else math.nan for time in times))


def record_stretches(
    path: Path, onsets: Sequence[float], duration: float, signal: SignalHeader
) -> tuple[tuple[Stretch, ...], tuple[str, ...]]:
    """Find the stretches of a signal that nothing interrupts, by the times of the data records.

    Files that say that they have gaps (EDF+D) and others are looked at alike: some recorders do not say it. Where a
    clock runs slower than the samples, a stretch ends whenever it has fallen behind by ``_DRIFT``.

    Parameters
    ----------
    path
        The file, for messages.
    onsets
        Seconds at which each data record begins; NaN where it does not say so.
    duration
        Seconds of a data record.
    signal
        One of the file's.

    Returns
    -------
    stretches, notes
        Without stretches, nothing is interrupted.

    Raises
    ------
    RecordingError
        If a record begins before the one before it has ended.
    """
    known = [record for record, onset in enumerate(onsets) if math.isfinite(onset)]
    if duration <= 0 or not known:
        return (), ()
    each, origin = signal.per_record, onsets[known[0]] - known[0] * duration
    starts, moments, begun, late, early = [0], [0], origin, 0.0, 0.0
    for record in known:
        before, late = late, onsets[record] - begun - (record - starts[-1]) * duration
        early = min(early, late)
        if abs(late - before) <= max(1e-3, 0.01 * duration) and late <= _DRIFT:
            continue
        moment = round((onsets[record] - origin) * signal.rate)
        end = moments[-1] + (record - starts[-1]) * each
        if moment < end - _OVERLAP * signal.rate:
            raise RecordingError(
                f"{path}: data record {record + 1:,} begins at {onsets[record]:g} s, before the one before it has "
                f"ended ({end / signal.rate + origin:g} s): the times in the file are damaged; export it again"
            )
        starts.append(record)
        moments.append(max(moment, end))
        begun, late = onsets[record], 0.0
    notes: tuple[str, ...] = ()
    if early < -_DRIFT:
        notes = (f"its clock runs faster than its samples, by {-early:.3g} s: labels by the clock are off by as much",)
    if len(starts) == 1:
        return (), notes
    return tuple(
        Stretch(moment, (stop - start) * each, start * each)
        for moment, start, stop in zip(moments, starts, [*starts[1:], len(onsets)], strict=True)
    ), notes


def parse(lists: Iterable[bytes], labels: Collection[str] = ()) -> Found:
    """Understand the annotations of one data record after the other; the first begins with the time of its start."""
    marks: list[tuple[float, float, str]] = []
    of_signals = set()  # the same of several signals counts once
    wrong: Counter[str] = Counter()
    first: dict[str, bytes] = {}
    origin = 0.0
    for number, raw in enumerate(one for record in lists for one in _split(record)):
        match = _LIST.fullmatch(raw)
        onset = _number(match[1]) if match else math.nan
        if match is None or not math.isfinite(onset):
            wrong["cannot be read"] += 1
            first.setdefault("cannot be read", raw)
            continue
        said = match[3] or b""
        texts = [text for text in said.split(b"\x14") if text]
        length = _number(match[2]) if match[2] and match[2].strip() else 0.0
        if not length >= 0:
            wrong["without a length that is one"] += len(texts)
            first.setdefault("without a length that is one", raw)
            length = 0.0
        if number == 0 and said[:1] in (b"", b"\x14"):
            origin = onset  # the first record's own time: it begins a fraction of a second after the header's
        for text in map(_text, texts):
            alone, at, signal = text.partition("@@")
            if not at or signal not in labels:
                marks.append((onset - origin, length, text))
            elif (onset - origin, length, alone) not in of_signals:
                marks.append((onset - origin, length, alone))
                of_signals.add(marks[-1])
    notes = [f"annotations {what}: {count}, the first {first[what][:_SHOWN]!r}" for what, count in wrong.items()]
    return Found(tuple(sorted(marks, key=lambda mark: mark[:2])), tuple(notes))


def _lists(path: Path, header: Header) -> Iterator[bytes]:
    """The bytes of annotations, signal by signal, record by record."""
    with path.open("rb", buffering=0) as file:
        whole = (file.seek(0, 2) - header.header_bytes) // header.record_bytes
        records = min(whole, header.records) if header.records > 0 else whole
        for start, stop in header.annotations:
            for record in range(records):
                file.seek(header.header_bytes + record * header.record_bytes + start)
                yield _exactly(file, stop - start)


def _exactly(file, count: int) -> bytes:
    """Read so many bytes, which a file on a network may give in parts."""
    parts = bytearray()
    while len(parts) < count:
        part = file.read(count - len(parts))
        if not part:
            raise OSError(f"{file.name} ends {count - len(parts):,} bytes before the end of its last data record")
        parts += part
    return bytes(parts)


def _split(record: bytes) -> Iterator[bytes]:
    """The lists of a record, without what ends them; nothing but zeros follows the last."""
    return (one for part in record.split(b"\x14\x00") if (one := part.strip(b"\x00")))


def _number(raw: bytes) -> float:
    raw = raw.strip()
    return float(raw.replace(b",", b".")) if _NUMBER.fullmatch(raw) else math.nan


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")  # EDF+ wants UTF-8; many programs write Latin-1
