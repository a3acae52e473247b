"""Tables of samples, as text or Parquet: columns, clock and markers put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from neurolm.core.errors import RecordingError, argument
from neurolm.recording.formats import clock
from neurolm.recording.formats.columns import Columns, is_samples, understand
from neurolm.recording.formats.matrix import Matrix, spooled
from neurolm.recording.formats.text import Form, is_number, read_blocks, sniff

_BATCH = 1 << 16  # rows of a Parquet file at a time
_NAMED = 4  # places that a note names at most
_SLOW = 0.01  # relative difference between a rate that is given and the measured one above which a note is made


def read_table(path: Path, rate: float | None = None) -> Matrix:
    """Read a table of text.

    Parameters
    ----------
    path
        The file.
    rate
        Samples per second, where they are given.

    Raises
    ------
    RecordingError
        If it is no table of samples, or a cell is no number.
    """
    form = sniff(path)
    found = understand(form)
    if not is_samples(form):
        raise RecordingError(
            f"{path}: no columns of samples in it; its columns: {', '.join(form.names or ()) or form.columns}"
        )
    time = found.time
    clock_text = time is not None and not all(is_number(cell, comma=form.comma) for cell in form.column(time))
    numeric = [one.column for one in found.signals]
    extra = [c for c in (None if clock_text else time, found.counter, *found.markers) if c is not None]
    texts = [c for c in (time if clock_text else None, found.events) if c is not None]
    taken = _Taken(path, form, found, len(numeric), clock_text)
    numbers = spooled(path, taken.rows(read_blocks(path, form, [*numeric, *extra], texts)), len(numeric) + len(extra))
    if taken.cut:
        taken.notes.append("its last line breaks off and was left out")
    return _matrix(
        path, found, numbers, extra, taken, rate, name=form.names[time] if form.names and time is not None else ""
    )


class _Taken:
    """What is gathered from a table of text while its numbers go by."""

    def __init__(self, path: Path, form: Form, found: Columns, signals: int, clock_text: bool) -> None:
        self.path, self.form, self.found, self.signals = path, form, found, signals
        self.clock_text = clock_text
        self.times: list[np.ndarray] = []
        self.marks: list[tuple[int, str]] = []
        self.notes: list[str] = []
        self.cut = False
        self.count = 0
        self._last = ""

    def rows(self, blocks: Iterator) -> Iterator[np.ndarray]:
        """Yield the numbers of rows that are samples; the texts of the others are marks."""
        left_out = 0
        for block in blocks:
            self.cut |= block.cut
            keep = np.ones(len(block.numbers), bool)
            if self.found.sparse:
                keep = ~block.empty[:, : self.signals].all(axis=1)
                left_out += int((~keep).sum())
            texts = list(block.texts)
            if self.clock_text:
                self.times.append(clock.parse_times(texts.pop(0))[keep])
            if texts:
                self._mark(texts[0], keep)
            self.count += int(keep.sum())
            yield block.numbers[keep]
        if left_out:
            self.notes.append(f"rows without any sample left out: {left_out:,}")

    def _mark(self, texts: Sequence[str], keep: np.ndarray) -> None:
        """Note the texts that are new, at the sample that comes next."""
        places = self.count + np.cumsum(keep) - keep
        for text, place, kept in zip(texts, places.tolist(), keep.tolist(), strict=True):
            said = "" if text.lower() in ("0", "nan", "none", "n/a") else text
            if said and (said != self._last or not kept):
                self.marks.append((place, said))
            if kept:
                self._last = said


def _matrix(
    path: Path, found: Columns, numbers: np.ndarray, extra: list[int], taken: _Taken, rate: float | None, name: str
) -> Matrix:
    count = len(found.signals)
    beside = {column: count + place for place, column in enumerate(extra)}
    notes = [*found.notes, *taken.notes]
    if found.program:
        notes.insert(0, f"a table of {found.program}")
    if found.left_out:
        notes.append(f"columns left out, neither samples nor times: {', '.join(found.left_out[:24])}")
    times = None
    if found.time is not None:
        times = (
            clock.unwrap_days(np.concatenate([np.empty(0), *taken.times]))
            if taken.clock_text
            else np.array(numbers[:, beside[found.time]])
        )
    counter = np.array(numbers[:, beside[found.counter]]) if found.counter is not None else None
    told, gaps = read_time(path, found, times, counter, rate, notes, name=name, seconds=taken.clock_text)
    marks = list(taken.marks)
    for column in found.markers:
        marks += marked(np.array(numbers[:, beside[column]]))
    return Matrix(
        numbers=numbers, what=_what(count, len(numbers)), gaps=gaps, rate=told,
        names=tuple(one.name for one in found.signals), named=found.named, columns=tuple(range(count)),
        units=tuple(one.unit for one in found.signals), kinds=tuple(one.kind for one in found.signals),
        scale=found.scale, marks=tuple(sorted(marks)), notes=notes, counts=_whole(numbers[:, :count]),
    )  # fmt: skip


def _what(columns: int, rows: int) -> str:
    return f"{columns} column{'s' if columns > 1 else ''} of samples × {rows:,} row{'s' if rows > 1 else ''}"


def _whole(numbers: np.ndarray) -> bool:
    some = numbers[:4096]
    some = some[np.isfinite(some)]
    return bool(some.size) and bool((some == np.round(some)).all())


def marked(values: np.ndarray) -> list[tuple[int, str]]:
    """Return where a column of markers becomes another number than 0, and which."""
    values = np.nan_to_num(values)
    new = np.flatnonzero((values != 0) & (values != np.concatenate([[0.0], values[:-1]])))
    return [(int(at), f"{values[at]:g}") for at in new]


def read_time(
    path: Path,
    found: Columns,
    times: np.ndarray | None,
    counter: np.ndarray | None,
    rate: float | None,
    notes: list[str],
    *,
    name: str = "",
    seconds: bool = False,
) -> tuple[float | None, tuple[tuple[int, int], ...]]:
    """Tell the rate and what is missing from what a table has of times; says in the notes what was found.

    Parameters
    ----------
    path, found
        The table, and its columns.
    times, counter
        float64 of shape (samples,), where there are such columns.
    rate
        Samples per second, where they are given.
    notes
        What is to be said; is added to.
    name
        Name of the column of times.
    seconds
        Whether the times are in seconds for certain.

    Raises
    ------
    RecordingError
        If the times jump everywhere, and no rate is given.
    """
    given = rate or found.rate
    gaps: tuple[tuple[int, int], ...] = ()
    if times is not None and len(times) > 1:
        factor = 1.0 if seconds else clock.seconds_per(name, times)
        if factor is None:
            notes.append(f"the column {name or 'of times'} only counts samples")
            counter = times if counter is None else counter
        else:
            try:
                told = clock.read_clock((times - times[0]) * factor, rate=given, rates=found.rates)
            except clock.NoClock as error:
                if given is None:
                    raise RecordingError(
                        f"{path}: the column of times ({name or 'without a name'}) tells no rate: {error}; say it "
                        f"with {argument(rate=250)}"
                    ) from error
                notes.append(f"the column of times ({name or 'without a name'}) is not used: {error}")
            else:
                _say_time(told, rate, found.rate, notes)
                given, gaps = told.rate, told.gaps
    counted = clock.counted_gaps(counter, gaps) if counter is not None and found.counter is not None else None
    return given, gaps if counted is None else counted


def _say_time(told: clock.Clock, rate: float | None, stated: float | None, notes: list[str]) -> None:
    if rate is not None and abs(told.measured / rate - 1) > _SLOW:
        notes.append(f"taken as {rate:g} Hz, as given, though its times say {told.measured:.5g} samples per second")
    elif rate is None and stated is not None and abs(told.measured / stated - 1) > _SLOW:
        notes.append(f"taken as {stated:g} Hz, as stated in it, though its times say {told.measured:.5g}")
    elif rate is None and stated is None:
        notes.append(f"{told.rate:.6g} Hz, by its times ({told.measured:.5g} samples per second)")
    if told.disorder:
        places = ", ".join(f"{at:,}" for at in told.disorder[:_NAMED])
        more = f" and {len(told.disorder) - _NAMED:,} others" if len(told.disorder) > _NAMED else ""
        notes.append(f"times that jump and come back, at samples {places}{more}: nothing is missing there")
    if told.restarts:
        places = ", ".join(f"{at:,}" for at in told.restarts[:_NAMED])
        notes.append(f"its times begin anew at samples {places}: what lies between is not known")


def read_parquet(path: Path, rate: float | None = None) -> Matrix:
    """Read a Parquet file whose columns are channels; as ``read_table``.

    Raises
    ------
    RecordingError
        If it has no columns of numbers.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        kept = [i for i, field in enumerate(schema) if _is_numbers(pa, field.type) or pa.types.is_timestamp(field.type)]
        text = [schema.names[i] for i in range(len(schema)) if i not in kept]
        if not kept or not file.metadata.num_rows:
            raise RecordingError(f"{path}: no columns of numbers in it; its columns: {', '.join(schema.names)}")
        names = [schema.names[i] for i in kept]
        scales = [_stamp(schema.field(i).type, pa) for i in kept]

        def rows() -> Iterator[np.ndarray]:
            for batch in file.iter_batches(_BATCH, columns=names):
                yield np.column_stack([_numbers(batch.column(i), scales[i], pa) for i in range(len(names))])

        numbers = spooled(path, rows(), len(names))
    form = Form(
        separator=",", comma=False, columns=len(names), names=tuple(names), units=None, comments=(), first=0,
        rows=tuple(tuple(repr(float(value)) for value in row) for row in numbers[:256]),
    )  # fmt: skip
    found = understand(form)
    if not found.signals:
        raise RecordingError(f"{path}: no column of samples in it; its columns: {', '.join(schema.names)}")
    found = replace(found, left_out=(*found.left_out, *text))
    return _of_columns(path, found, numbers, rate, names, stamps=[i for i, one in enumerate(scales) if one])


def _of_columns(
    path: Path, found: Columns, numbers: np.ndarray, rate: float | None, names: list[str], stamps: list[int]
) -> Matrix:
    """A table all of whose columns are in an array."""
    notes = [f"columns left out, neither samples nor times: {', '.join(found.left_out[:24])}"] if found.left_out else []
    if found.program:
        notes.insert(0, f"a table of {found.program}")
    column = found.time
    times = None if column is None else np.array(numbers[:, column])
    counter = None if found.counter is None else np.array(numbers[:, found.counter])
    name = names[column] if column is not None else ""
    told, gaps = read_time(path, found, times, counter, rate, notes, name=name, seconds=column in stamps)
    marks = [mark for one in found.markers for mark in marked(np.array(numbers[:, one]))]
    columns = tuple(one.column for one in found.signals)
    return Matrix(
        numbers=numbers, what=_what(len(columns), len(numbers)), gaps=gaps, rate=told,
        names=tuple(one.name for one in found.signals), named=found.named, columns=columns,
        units=tuple(one.unit for one in found.signals), kinds=tuple(one.kind for one in found.signals),
        scale=found.scale, marks=tuple(sorted(marks)), notes=notes, counts=_whole(numbers[:, list(columns)]),
    )  # fmt: skip


def _is_numbers(pa, kind) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _stamp(kind, pa) -> float | None:
    """Seconds in the unit of a column of moments; None for any other."""
    if not pa.types.is_timestamp(kind):
        return None
    return {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}[kind.unit]


def _numbers(column, scale: float | None, pa) -> np.ndarray:
    if scale is not None:
        whole = column.cast(pa.int64()).to_numpy(zero_copy_only=False)
        return np.asarray(whole, np.float64) * scale
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
