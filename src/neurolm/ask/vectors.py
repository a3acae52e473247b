"""Features of recordings as rows of a table: a vector for each recording, window, second or patch

A patch is one second of one electrode, of which the encoder gives a vector. The vector of a second is the mean over its
electrodes, that of a window the mean over its seconds and electrodes, and that of a recording the mean over its
windows, each of which counts the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from neurolm.ask.embedding import Embedding, Embeddings
from neurolm.ask.table_files import require_pyarrow
from neurolm.core.errors import StoreError
from neurolm.core.files import atomic_file
from neurolm.core.small_files import parse_json
from neurolm.store.store import Label

Level = Literal["recording", "window", "second", "patch"]
"""What has a vector."""
METADATA = b"neurolm"
"""Key under which a table says, in JSON, what its vectors are."""
ROWS, BYTES = 20_000, 32 << 20
"""Most rows of a row group, and about how many bytes of vectors."""


@dataclass(frozen=True, kw_only=True)
class About:
    """What is said of a recording in each of its rows."""

    recording: str
    subject: str | None = None
    session: str | None = None
    labels: tuple[Label, ...] = ()
    """Those of a store."""

    def labels_of(self, start: float, stop: float) -> list[str]:
        """``TASK: LABEL`` of the labelled stretches that hold all between two moments."""
        held = (one for one in self.labels if one.start <= start and stop <= one.stop)
        return list(dict.fromkeys(f"{one.task}: {one.label}" for one in held))


def schema(width: int) -> Any:
    """Return the columns of the table: a ``pyarrow.Schema``.

    Parameters
    ----------
    width
        Of a vector.
    """
    pa = require_pyarrow()
    return pa.schema(
        [
            pa.field("recording", pa.string(), nullable=False),
            pa.field("subject", pa.string()),
            pa.field("session", pa.string()),
            pa.field("labels", pa.list_(pa.field("item", pa.string(), nullable=False)), nullable=False),
            pa.field("window", pa.int64()),
            pa.field("second", pa.int64()),
            pa.field("electrode", pa.string()),
            pa.field("start", pa.float64(), nullable=False),
            pa.field("stop", pa.float64(), nullable=False),
            pa.field("vector", pa.list_(pa.field("item", pa.float32(), nullable=False), width), nullable=False),
        ]
    )


def vectors(found: Embeddings, level: Level, about: About) -> Iterator[Any]:
    """Make the rows of a recording, some windows at a time.

    Parameters
    ----------
    found
        Its features, made as they are asked for.

    Yields
    ------
    pyarrow.Table
        Rows in the order of windows, seconds and electrodes.
    """
    at, total = 0, np.zeros(found.shape[-1])
    spans = found.windows.spans
    for part in found:
        if level == "recording":
            total += part.features.mean(axis=(1, 2)).sum(axis=0, dtype=np.float64)
        else:
            yield _rows(part, level, about, first=at)
        at += len(part.starts)
    if level == "recording":
        mean = (total / len(spans)).astype(np.float32)
        span = (spans[0][0], max(stop for _, stop in spans))
        yield _table(about, mean[None], [None], [None], [None], [span])


def _rows(part: Embedding, level: Level, about: About, *, first: int) -> Any:
    """Rows of some windows, the first of which has this number in the recording."""
    windows, seconds, electrodes, width = part.features.shape
    numbers, starts = range(first, first + windows), part.starts.tolist()
    if level == "window":
        ends = [(start, start + seconds) for start in starts]
        none = [None] * windows
        return _table(about, part.features.mean(axis=(1, 2)), numbers, none, none, ends)
    times = electrodes if level == "patch" else 1  # rows of a second
    found = part.features if level == "patch" else part.features.mean(axis=2)
    places = [(number, start, second) for number, start in zip(numbers, starts, strict=True)
              for second in range(seconds) for _ in range(times)]  # fmt: skip
    return _table(
        about,
        found.reshape(-1, width),
        [number for number, _, _ in places],
        [second for _, _, second in places],
        list(part.electrodes) * (windows * seconds) if level == "patch" else [None] * len(places),
        [(start + second, start + second + 1) for _, start, second in places],
    )


def _table(
    about: About,
    found: np.ndarray,
    windows: Sequence[int | None],
    seconds: Sequence[int | None],
    electrodes: Sequence[str | None],
    spans: Sequence[tuple[float, float]],
) -> Any:
    pa = require_pyarrow()
    columns, count = schema(found.shape[1]), len(found)
    flat = pa.array(np.ascontiguousarray(found, np.float32).reshape(-1))
    arrays = [
        *(pa.array([said] * count, pa.string()) for said in (about.recording, about.subject, about.session)),
        pa.array([about.labels_of(*span) for span in spans], columns.field("labels").type),
        pa.array(windows, pa.int64()),
        pa.array(seconds, pa.int64()),
        pa.array(electrodes, pa.string()),
        pa.array([start for start, _ in spans], pa.float64()),
        pa.array([stop for _, stop in spans], pa.float64()),
        pa.FixedSizeListArray.from_arrays(flat, type=columns.field("vector").type),
    ]
    return pa.Table.from_arrays(arrays, schema=columns)


def write_vectors(path: Path, tables: Iterable[Any], *, about: dict[bytes, bytes] | None = None) -> int:
    """Write rows into a Parquet file, which is there when all are; returns how many there are.

    The bytes of the file depend on the rows alone, not on the pieces in which they come.

    Parameters
    ----------
    tables
        At least one, all with the same columns.
    about
        What else the file says of itself.

    Raises
    ------
    WriteError
        If it cannot be written.
    """
    pa = require_pyarrow()
    held: list[Any] = []
    rows, writer = 0, None
    with atomic_file(path) as temporary:
        try:
            for table in tables:
                columns = table.schema.with_metadata(about)
                if writer is None:
                    texts = [field.name for field in columns if field.type == pa.string()]
                    writer = pa.parquet.ParquetWriter(temporary, columns, use_dictionary=texts)
                held.append(table.cast(columns))
                rows += len(table)
                group = min(ROWS, max(1, BYTES // (4 * columns.field("vector").type.list_size)))
                while sum(map(len, held)) >= group:
                    whole = pa.concat_tables(held)
                    writer.write_table(whole.slice(0, group).combine_chunks(), row_group_size=group)
                    held = [whole.slice(group)]
            assert writer is not None, "there are rows"
            if any(map(len, held)):
                writer.write_table(pa.concat_tables(held).combine_chunks())
        finally:
            if writer is not None:
                writer.close()
    return rows


def read_part(path: Path) -> Iterator[Any]:
    """Read a file of rows, a row group at a time, as ``pyarrow.Table``.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    pa = require_pyarrow()
    try:
        with pa.parquet.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{error}") from error


def read_rows(table: str | Path) -> Iterator[tuple[Any, np.ndarray]]:
    """Read a table of features a part at a time, in its order.

    Yields
    ------
    pyarrow.Table, numpy.ndarray
        Some rows without their vectors, and these: float32 (rows, width).

    Raises
    ------
    StoreError
        If it is no table of features.
    """
    with _table_file(table) as file:
        for group in range(file.num_row_groups):
            part = file.read_row_group(group)
            found = part["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
            yield part.drop_columns(["vector"]), found.astype(np.float32, copy=False).reshape(len(part), -1)


def about_table(table: str | Path) -> dict[str, Any]:
    """Return what a table of features says its vectors are of: ``model`` (a digest), ``level``, ``seconds`` …

    Raises
    ------
    StoreError
        If it is no table of features, or says nothing.
    """
    with _table_file(table) as file:
        said = (file.schema_arrow.metadata or {}).get(METADATA)
    if said is None:
        raise StoreError(f"{table}: does not say which model its vectors are of; write it with `neurolm embed`")
    try:
        return parse_json(said)
    except ValueError as error:
        raise StoreError(f"{table}: damaged ({error}); write it with `neurolm embed` again") from error


@contextmanager
def _table_file(table: str | Path) -> Iterator[Any]:
    pa = require_pyarrow()
    if not Path(table).is_file():
        raise StoreError(f"{table}: no such file; give a table that `neurolm embed … --out features.parquet` wrote")
    wrong = f"{table}: no table of features; give one that `neurolm embed … --out features.parquet` wrote"
    try:
        with pa.parquet.ParquetFile(table) as file:
            if not {"recording", "start", "stop", "vector"} <= set(file.schema_arrow.names):
                raise StoreError(wrong)
            yield file
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{wrong} ({error})") from error
