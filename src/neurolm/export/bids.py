"""Answers as BIDS derivatives: a table of events for each recording, and what its columns mean

``derivatives/neurolm/sub-01/eeg/sub-01_task-rest_desc-neurolm_events.tsv``, with a sidecar of the same name. Names are
the recording's own BIDS entities; a recording without them is named after its file. A table that is there gains the new
answers and keeps those to other questions.
"""

from __future__ import annotations

import csv
import re
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any

from neurolm import __version__
from neurolm.ask.answer import Answer
from neurolm.ask.verdict import verdict
from neurolm.core.errors import ConfigError, argument
from neurolm.core.files import atomic_file, dump_json
from neurolm.core.small_files import parse_json, read_small
from neurolm.core.terminal import printable
from neurolm.export.stretches import stretches_of
from neurolm.export.words import NO_DIAGNOSIS
from neurolm.recording.suffixes import suffix_of

DESCRIPTION, BIDS_VERSION = "dataset_description.json", "1.10.0"
NOTHING = "n/a"
"""An empty cell of BIDS."""
_ENTITY = re.compile(r"([a-z]+)-([A-Za-z0-9+]+)")
_COLUMNS = {
    "onset": {"Description": "Start of the stretch, from the start of the recording", "Units": "s"},
    "duration": {
        "Description": "Its length; where windows overlap, a moment belongs to the window whose centre is nearest",
        "Units": "s",
    },
    "trial_type": {
        "LongName": "Answer",
        "Description": "The likeliest option; 'undecided' where it is less likely than the stated risk allows",
    },
    "question": {"Description": "What was asked"},
    "probability": {"Description": "Probability of the likeliest option; n/a for a guess, which has none"},
    "decided": {"Description": "Whether the probability is high enough for the stated risk; false for a guess"},
    "unlike": {
        "Description": "Whether more windows of the recording are unlike the training data than needs no warning"
    },
}
"""The columns that all tables have, as their sidecar describes them."""
Row = dict[str, str]


def write_derivatives(answers: Sequence[Answer], out: Path, *, merge: bool = False) -> Path:
    """Write answers about one recording into a BIDS derivative data set, which is made where there is none.

    Parameters
    ----------
    out
        Folder of the data set; ``neurolm`` is made in a folder of the name ``derivatives``. A name that ends in .zip
        becomes an archive of a data set with this recording alone.
    merge
        Whether neighbouring windows with the same answer become one row.

    Returns
    -------
    Path
        The table; the archive, for one.

    Raises
    ------
    ConfigError
        If the folder is another data set, or the table there is of another recording.
    WriteError
        If it cannot be written.
    """
    if out.suffix.lower() == ".zip":
        return _zipped(answers, out, merge=merge)
    root = out / "neurolm" if out.name == "derivatives" else out
    _describe_dataset(root)
    table = root / name_of(answers[0].recording)
    sidecar = table.with_suffix(".json")
    said = _json_of(sidecar)
    recording = printable(PurePath(answers[0].recording).name, line=True)
    if said.get("Recording", recording) != recording:
        raise ConfigError(
            f"{argument(export=f'bids:{out}')}: {table.name} is there, of {said['Recording']}; choose another folder "
            f"for {recording}"
        )
    asked = {printable(answer.question, line=True) for answer in answers}
    rows = [row for row in _read(table) if row["question"] not in asked]
    described = {name: about for name, about in said.items() if name.startswith("probability_")}
    kept = {one["question"]: one for one in said.get("Answers", ()) if one["question"] not in asked}
    for answer in answers:
        names = _option_columns(answer.options)
        described |= {
            name: {"Description": f"Probability of the option {printable(option, line=True)}"}
            for option, name in names.items()
        }
        rows += _rows(answer, names, merge=merge)
        kept[printable(answer.question, line=True)] = _about(answer)
    rows.sort(key=lambda row: (float(row["onset"]), row["question"]))
    with atomic_file(table) as temporary:
        _write(temporary, [*_COLUMNS, *described], rows)
    about = _COLUMNS | described | {"Recording": recording, "Answers": list(kept.values())}
    with atomic_file(sidecar) as temporary:
        temporary.write_text(dump_json(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return table


def name_of(recording: str) -> Path:
    """Return the path of the table of a recording below its data set."""
    path = PurePath(recording)
    stem = path.name.removesuffix(suffix_of(Path(path.name)) or path.suffix)
    matches = [_ENTITY.fullmatch(part) for part in stem.split("_")]
    found = {match[1]: match[2] for match in matches if match}
    if "sub" in found:
        entities = {name: value for name, value in found.items() if name != "desc"}
    else:
        entities = {"sub": re.sub(r"[^A-Za-z0-9]", "", stem) or "unnamed"}
    entities = {name: entities[name] for name in ("sub", "ses") if name in entities} | {"task": "unknown"} | entities
    folders = [f"{name}-{entities[name]}" for name in ("sub", "ses") if name in entities]
    words = [f"{name}-{value}" for name, value in entities.items()]
    return Path(*folders, "eeg", "_".join([*words, "desc-neurolm", "events.tsv"]))


def _describe_dataset(root: Path) -> None:
    """Make the description of the data set, or see that the one there is of derivatives."""
    file = root / DESCRIPTION
    if not file.exists():
        about = {
            "Name": "Answers of neurolm",
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": "derivative",
            "GeneratedBy": [
                {
                    "Name": "neurolm",
                    "Version": __version__,
                    "Description": f"Questions about EEG, answered by a model; {NO_DIAGNOSIS}",
                }
            ],
        }
        with atomic_file(file) as temporary:
            temporary.write_text(dump_json(about, indent=2) + "\n", encoding="utf-8")
    elif _json_of(file).get("DatasetType") != "derivative":
        raise ConfigError(
            f"{argument(export=f'bids:{root}')}: a data set of its own, not of derivatives; give its folder for these, "
            f"bids:{root / 'derivatives'}"
        )


def _json_of(file: Path) -> dict[str, Any]:
    """What a JSON file says; nothing where there is none, or another thing."""
    if not file.exists():
        return {}
    try:
        found = parse_json(read_small(file))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: no JSON ({error}); repair or remove it, or choose another folder") from error
    return found if isinstance(found, dict) else {}


def _option_columns(options: Sequence[str]) -> dict[str, str]:
    """Option → the column of its probability."""
    names: dict[str, str] = {}
    for option in options:
        base = name = f"probability_{re.sub(r'[^a-z0-9]+', '_', option.casefold()).strip('_') or 'option'}"
        number = 2
        while name in names.values():
            name, number = f"{base}_{number}", number + 1
        names[option] = name
    return names


def _rows(answer: Answer, columns: dict[str, str], *, merge: bool) -> Iterator[Row]:
    truth = {True: "true", False: "false", None: NOTHING}
    for one in stretches_of(answer, merge=merge):
        size = f"{one.probability:.6g}" if answer.trained else NOTHING
        row = {
            "onset": f"{one.start:.10g}",
            "duration": f"{one.duration:.10g}",
            "trial_type": printable(one.answer, line=True),
            "question": printable(answer.question, line=True),
            "probability": size,
            "decided": truth[answer.trained and one.answer in answer.options],
            "unlike": truth[answer.unlike],
        }
        if answer.trained:
            pairs = zip(columns.values(), one.probabilities, strict=True)
            row |= {column: f"{probability:.6g}" for column, probability in pairs}
        yield row


def _about(answer: Answer) -> dict[str, Any]:
    """What the sidecar says of the answer over the whole recording."""
    return {
        "question": printable(answer.question, line=True),
        "verdict": verdict(answer),
        "options": answer.options,
        "trained": answer.trained,
        "calibrated": answer.calibrated,
        "risk": answer.risk,
        "electrodes": answer.electrodes,
        "notes": [printable(note, line=True) for note in answer.notes],
    }


def _read(table: Path) -> list[Row]:
    """The rows of a table that is there."""
    if not table.exists():
        return []
    with table.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if row.get("question")]


def _write(file: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    lines = ["\t".join(columns), *("\t".join(row.get(column) or NOTHING for column in columns) for row in rows)]
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="")


def _zipped(answers: Sequence[Answer], out: Path, *, merge: bool) -> Path:
    with tempfile.TemporaryDirectory() as folder:
        write_derivatives(answers, Path(folder) / "neurolm", merge=merge)
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        with atomic_file(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                archive.write(path, path.relative_to(folder).as_posix())
    return out
