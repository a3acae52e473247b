"""Any BIDS data set with EEG, through mne-bids: ``pip install 'neurolm[bids]'``.

Channels, units and positions come from ``channels.tsv`` and ``electrodes.tsv`` when a recording is opened, the mains
frequency and the licence from ``*_eeg.json`` and ``dataset_description.json``. Only the data set itself is listed, not
its ``derivatives`` or ``sourcedata``. It has no labels unless a ``corpus.json`` in its root says which::

    {"task": "eyes", "labels": {"eyes_closed": "closed", "eyes_open": "open"}}

``task`` is the name of a task card, ``labels`` the label for each value of a column of ``events.tsv`` (``column``,
``trial_type`` unless said otherwise); events of other values carry none. A label lasts as long as its event, or
``seconds`` from its onset. ``split`` names a column of ``participants.tsv`` with train, validation, test.
https://bids-specification.readthedocs.io
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurolm.core.errors import ConfigError, StoreError
from neurolm.core.physics import RATE
from neurolm.core.small_files import LARGE, parse_json, read_small
from neurolm.core.text import decode
from neurolm.corpora.about import About, read_about
from neurolm.corpora.layouts import CorpusLayout
from neurolm.corpora.side_files import SHORTEST, end_of_window, seconds_of
from neurolm.corpora.source import Extent, Labels, RecordingSource, terms
from neurolm.corpora.table import LabelLine, Stretches
from neurolm.store.manifest import SPLITS
from neurolm.store.store import Label

if TYPE_CHECKING:
    from mne_bids import BIDSPath

DESCRIPTION = "dataset_description.json"
EXTENSIONS = [".edf", ".bdf", ".vhdr", ".set"]
"""Formats that BIDS allows for EEG."""
COLUMN = "trial_type"
PARTICIPANTS = "participants.tsv"
RESTING = "rest"
"""What the BIDS task of a recording without events begins with."""
_MISSING = ("", "n/a")


class Bids(CorpusLayout):
    name = "bids"
    title = "any BIDS data set with EEG"

    def recognise(self, root: Path) -> bool:
        """Whether a folder is the root of a BIDS data set with EEG."""
        return (root / DESCRIPTION).is_file() and any(root.glob("sub-*/**/eeg/*_eeg.*"))

    def sources(self, root: Path) -> list[RecordingSource]:
        """List a data set's recordings, and read their events where ``corpus.json`` says what they mean."""
        try:
            import mne_bids
        except ImportError as error:
            raise StoreError(f"{root}: BIDS data sets need mne-bids: pip install 'neurolm[bids]'") from error
        paths = mne_bids.find_matching_paths(root, datatypes="eeg", suffixes="eeg", extensions=EXTENSIONS)
        paths += [mne_bids.get_bids_path_from_fname(path) for path in _not_fetched(root)]
        own = sorted(
            (path for path in paths if Path(path.root).resolve() == root.resolve()), key=lambda path: path.fpath
        )
        if not own:
            raise StoreError(
                f"{root}: no EEG recordings of a BIDS data set (sub-01/eeg/sub-01_task-rest_eeg{'|'.join(EXTENSIONS)})"
                f"; give the folder with {DESCRIPTION}"
            )
        about, description = read_about(root), _json(root / DESCRIPTION)
        if bool(about.task) != bool(about.labels):
            raise ConfigError(
                f"{about.path}: give task and labels (the label for each value of {about.column or COLUMN}), or neither"
            )
        licence = terms(
            about.licence or _said(description, "License") or self.licence, about.citation or _citation(description)
        )
        splits = _splits(root, about) if about.split else {}
        lines = {
            path.fpath: tuple(_lines(path, about, splits.get(f"sub-{path.subject}"))) if about.labels else ()
            for path in own
        }
        _require_used(about, {line.label for of_path in lines.values() for line in of_path})
        return [
            self.source(
                path.fpath,
                f"sub-{path.subject}",
                _labelled(lines[path.fpath], about),
                **about.facts | {"licence": licence, "mains": about.mains or _mains(path)},
            )
            for path in own
        ]


LAYOUT = Bids()


def _not_fetched(root: Path) -> list[Path]:
    """Recordings that are links to nothing, as in a fresh clone of a DataLad data set: mne-bids passes them over."""
    links = (path for path in root.glob("sub-*/**/eeg/*_eeg.*") if path.suffix in EXTENSIONS and path.is_symlink())
    return sorted(path for path in links if not path.exists())


@dataclass(frozen=True)
class Clipped:
    """Stretches of fixed length; one that reaches over the end of the recording is cut there."""

    lines: tuple[LabelLine, ...]

    def __call__(self, extent: Extent) -> tuple[Label, ...]:
        cut = (replace(line, stop=min(line.stop or extent.seconds, extent.seconds)) for line in self.lines)
        return Stretches(tuple(cut))(extent)


def _labelled(lines: tuple[LabelLine, ...], about: About) -> Labels:
    named = tuple(replace(line, label=about.labels[line.label]) for line in lines if line.label in about.labels)
    if not named:
        return ()
    return Stretches(named) if about.seconds is None else Clipped(named)


def _require_used(about: About, found: set[str]) -> None:
    """Refuse a value that labels nothing: a misspelt one would leave its class out unseen."""
    if unused := [value for value in about.labels if value not in found]:
        raise ConfigError(
            f"{about.path}: {unused[0]!r} under labels occurs in no events.tsv; the column {about.column or COLUMN} "
            f"has {', '.join(sorted(found)) or 'no values'}"
        )


def _lines(path: BIDSPath, about: About, split: str | None) -> Iterator[LabelLine]:
    """The events of a recording, with the value of the column in place of the label."""
    file = path.find_matching_sidecar(suffix="events", extension=".tsv", on_error="ignore")
    if file is None:
        if (path.task or "").lower().startswith(RESTING):
            return
        missing = path.fpath.with_name(path.fpath.name.replace(f"_eeg{path.extension}", "_events.tsv"))
        raise StoreError(
            f"{missing}: no such file, and it holds the labels of {path.fpath.name}; add it (only a task that begins "
            f"with {RESTING!r} needs none)"
        )
    column = about.column or COLUMN
    for where, row in _table(Path(file), ("onset", "duration", column)):
        if row["onset"] in _MISSING or row[column] in _MISSING:
            continue
        onset = seconds_of(where, "onset", row["onset"])
        duration = 0.0 if row["duration"] in _MISSING else seconds_of(where, "duration", row["duration"])
        if row[column] in about.labels and about.seconds is None and duration <= 0:
            raise ConfigError(
                f"{where}: the event {row[column]!r} has no duration, so its label has no end; say how long it lasts "
                f'with "seconds" in {about.path}'
            )
        stop = onset + (about.seconds or duration)
        if about.overlap or (about.seconds or 0.0) >= SHORTEST:
            stop = end_of_window(onset, stop)
        name, subject = path.fpath.name, f"sub-{path.subject}"
        event = onset if about.overlap else None
        yield LabelLine(where, name, onset, stop, about.task or "", row[column], subject, split, event)


def _splits(root: Path, about: About) -> dict[str, str]:
    """The part of the split of each participant."""
    assert about.split is not None
    found = {}
    for where, row in _table(root / PARTICIPANTS, ("participant_id", about.split)):
        if row[about.split] not in (*_MISSING, *SPLITS):
            raise ConfigError(f"{where}: {about.split} must be one of {', '.join(SPLITS)}, not {row[about.split]!r}")
        found[row["participant_id"]] = row[about.split]
    return {subject: part for subject, part in found.items() if part not in _MISSING}


def _table(file: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a BIDS table, each with its place for messages."""
    try:
        stream = io.StringIO(decode(read_small(file, most=LARGE)), newline="")
        reader = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        header = reader.fieldnames or ()
        if missing := [column for column in columns if column not in header]:
            found = ", ".join(header) or "nothing"
            raise ConfigError(f"{file}, line 1: the column {', '.join(missing)} is missing; found {found}")
        for row in reader:
            where = f"{file}, line {reader.line_num}"
            if None in row or None in row.values():
                raise ConfigError(f"{where}: not as many values as columns; values are set apart by tabs")
            yield where, {column: str(row[column]).strip() for column in columns}
    except FileNotFoundError as error:
        raise StoreError(f"{file}: no such file; restore the data set as it was downloaded") from error
    except (OSError, csv.Error) as error:
        raise StoreError(f"{file}: cannot be read as a table ({error}); restore it") from error


def _json(file: Path) -> dict[str, Any]:
    try:
        said = parse_json(decode(read_small(file, most=LARGE)))
    except FileNotFoundError as error:
        raise StoreError(f"{file}: no such file; every BIDS data set has one: give the root of the data set") from error
    except (OSError, ValueError) as error:
        raise StoreError(f"{file}: not valid JSON ({error}); restore it") from error
    if not isinstance(said, dict):
        raise StoreError(f"{file}: expected an object, found {type(said).__name__}; restore it")
    return said


def _said(description: Mapping[str, Any], key: str) -> str:
    value = description.get(key)
    return value.strip() if isinstance(value, str) and value.strip() not in _MISSING else ""


def _citation(description: Mapping[str, Any]) -> str:
    return _said(description, "HowToAcknowledge") or _said(description, "DatasetDOI") or _said(description, "Name")


def _mains(path: BIDSPath) -> float | None:
    """Mains frequency that the recording's side file states."""
    file = path.find_matching_sidecar(suffix="eeg", extension=".json", on_error="ignore")
    value = _json(Path(file)).get("PowerLineFrequency") if file is not None else None
    return float(value) if isinstance(value, int | float) and 0 < value < RATE / 2 else None
