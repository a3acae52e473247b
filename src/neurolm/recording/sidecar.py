"""BIDS files beside a recording: what its channels are, their units, and where its electrodes lie.

``sub-01_task-rest_eeg.edf`` has ``sub-01_task-rest_channels.tsv`` and ``sub-01_electrodes.tsv`` beside it or above it
(inheritance principle). Format: https://bids-specification.readthedocs.io, EEG and Appendix "Coordinate systems".
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from neurolm.core.errors import RecordingError
from neurolm.core.small_files import LARGE, parse_json, read_small
from neurolm.core.text import decode
from neurolm.recording.channels import Channel, RawRecording
from neurolm.recording.formats.edf import UNSTATED, unit_of
from neurolm.recording.links import require_content

_LEVELS = 4  # folders upwards to the root of the data set: datatype, session, subject, root
_METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}
_TYPES = {
    "EEG": "eeg", "EOG": "eog", "VEOG": "eog", "HEOG": "eog", "ECG": "ecg", "EMG": "emg", "REF": "reference",
    "TRIG": "stimulus",
}  # fmt: skip
"""Types of BIDS → kinds of ``montage.kind``; every other type is ``other``."""


@dataclass(frozen=True)
class Sidecar:
    """What the files beside a recording say."""

    channels: dict[str, dict[str, str]] = field(default_factory=dict)
    """Channel → the columns of ``channels.tsv``."""
    positions: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    """Electrode → x, y, z in metres."""
    files: tuple[Path, ...] = ()


def read_sidecar(path: Path) -> Sidecar:
    """Read the side files of a recording with a BIDS name; empty for any other recording.

    Raises
    ------
    RecordingError
        If a side file cannot be read as what it should be.
    """
    stem = path.name.partition(".")[0]
    if not re.match(r"sub-[^_]+_.*eeg$", stem):
        return Sidecar()
    entities = frozenset(stem.split("_")[:-1])
    listed = _nearest(path.parent, entities, "channels.tsv")
    placed = _nearest(path.parent, entities, "electrodes.tsv")
    channels = {row["name"]: row for row in _rows(listed, ("name", "type", "units"))} if listed else {}
    positions = dict(_positions(placed)) if placed else {}
    return Sidecar(channels, positions, tuple(file for file in (listed, placed) if file is not None))


def with_sidecar(source: RawRecording) -> RawRecording:
    """Add what the side files say to an opened recording: kinds, units that it does not state, positions, bad channels.

    Raises
    ------
    RecordingError
        If a side file cannot be read, or ``channels.tsv`` is about other channels.
    """
    if source.path is None:
        return source
    said = read_sidecar(source.path)
    if not said.files:
        return source
    notes = [f"used beside it: {', '.join(file.name for file in said.files)}"]
    names = {channel.name for channel in source.channels}
    if said.channels and not names & said.channels.keys():
        raise RecordingError(
            f"{said.files[0]}: none of its channels is in {source.path.name} ({', '.join(sorted(names)[:8])} …); "
            f"repair it, or move it away"
        )
    channels = tuple(_with(channel, said, notes) for channel in source.channels)
    source.notes.extend(notes)  # the same list: loading may add to it
    return replace(source, channels=channels)


def _with(channel: Channel, said: Sidecar, notes: list[str]) -> Channel:
    row = said.channels.get(channel.name)
    if row is not None:
        kind = _TYPES.get(row["type"].strip().upper(), "other")
        unit, stated = channel.unit, unit_of(row["units"])
        if stated and unit == UNSTATED:
            unit = stated
        elif stated and unit and stated != unit:
            notes.append(f"{channel.name}: channels.tsv says {row['units']}, the file {unit}, which is believed")
        if unit is None and kind == "eeg":
            kind = channel.kind  # a table cannot make a voltage of what the file measures in other units
        channel = replace(channel, kind=kind, unit=unit, bad=row.get("status", "").strip().lower() == "bad")
    if channel.name in said.positions:
        channel = replace(channel, position=said.positions[channel.name])
    return channel


def _nearest(folder: Path, entities: frozenset[str], ending: str) -> Path | None:
    """The nearest side file upwards whose entities all belong to the recording; ``space-`` may be any."""
    for _ in range(_LEVELS):
        fitting = []
        for file in sorted(folder.glob(f"*{ending}")):
            own = {part for part in file.name.split("_")[:-1] if not part.startswith("space-")}
            if own <= entities:
                fitting.append((-len(own), file.name.count("space-"), file.name, file))
        if fitting:
            return min(fitting)[-1]
        if (folder / "dataset_description.json").exists():
            return None
        folder = folder.parent
    return None


def _rows(file: Path, needed: tuple[str, ...]) -> list[dict[str, str]]:
    require_content(file)
    try:
        lines = io.StringIO(decode(read_small(file, most=LARGE)), newline="")
        rows = [dict(row) for row in csv.DictReader(lines, delimiter="\t")]
    except (OSError, csv.Error) as error:
        raise RecordingError(f"{file}: cannot be read as a table: {error}; repair it, or move it away") from error
    if any(row.get(column) is None for row in rows for column in needed):
        raise RecordingError(f"{file}: a row lacks one of the columns {', '.join(needed)}; repair it, or move it away")
    return rows


def _positions(file: Path) -> Iterator[tuple[str, tuple[float, float, float]]]:
    system = file.with_name(file.name.replace("electrodes.tsv", "coordsystem.json"))
    unit = "m"
    if system.exists():
        try:
            unit = str(parse_json(decode(read_small(system))).get("EEGCoordinateUnits", "m"))
        except (OSError, ValueError, AttributeError) as error:
            raise RecordingError(f"{system}: not a JSON object: {error}; repair it, or move it away") from error
    if unit not in _METRES:
        return  # positions in pixels or without a unit are of no use
    for row in _rows(file, ("name", "x", "y", "z")):
        try:
            x, y, z = (float(row[axis]) * _METRES[unit] for axis in "xyz")
        except ValueError:
            continue  # n/a: not measured
        if all(math.isfinite(value) for value in (x, y, z)):
            yield row["name"], (x, y, z)
