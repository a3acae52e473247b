"""The manifest as a Parquet file, for those who look at it with pandas, Polars, DuckDB or Spark.

``shard`` and ``offset`` are among the columns: with them, the signals of ``shards/`` can be read by anything.
"""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from neurolm.core.errors import ConfigError
from neurolm.core.files import atomic_file
from neurolm.store.store import Store

ROWS = 10_000
"""Rows held in memory."""


def export_parquet(path: Path | str, out: Path) -> int:
    """Write the rows of a store's manifest into a Parquet file.

    Parameters
    ----------
    path
        Folder or URL of the store.
    out
        The file. The columns are the fields of `neurolm.store.store.Row`; labels are a list of structures.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    ConfigError
        If pyarrow is missing.
    StoreError
        If there is no store, or the file cannot be written.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError("Parquet files need pyarrow: pip install 'neurolm[parquet]'") from error
    store = Store(path)
    schema = _schema(pyarrow)
    rows = iter(store.rows)
    with atomic_file(out) as temporary, pyarrow.parquet.ParquetWriter(temporary, schema) as writer:
        while some := [asdict(row) for row in islice(rows, ROWS)]:
            writer.write_table(pyarrow.Table.from_pylist(some, schema=schema))
    return len(store)


def _schema(pa: Any) -> Any:
    text, whole, real = pa.string(), pa.int64(), pa.float64()
    label = pa.struct([("task", text), ("label", text), ("start", real), ("stop", real), ("split", text)])
    stretch = pa.struct([("start", whole), ("samples", whole), ("first", whole)])
    kinds = {
        "recording": text, "corpus": text, "source": text, "sha256": text, "subject": text,
        "channels": pa.list_(text), "samples": whole, "scale": pa.list_(real), "clipped": whole, "mains": real,
        "band": pa.list_(real), "unit": text, "version": text, "licence": text, "labels": pa.list_(label),
        "notes": pa.list_(text), "shard": text, "offset": whole,
        "interrupted": pa.list_(stretch), "filters": text,
    }  # fmt: skip
    return pa.schema(list(kinds.items()))
