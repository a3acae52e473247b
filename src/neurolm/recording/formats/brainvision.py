"""BrainVision headers and markers as their specification has them, whatever program wrote them.

Found in the field, and refused or misread by MNE 1.13: markers in Latin-1, headers in UTF-16, Greek mu and other
spellings of microvolts, decimal commas, and names of files that were renamed. What a header says is not changed, only
how it says it. Format: BrainVision Core Data Format 1.0, https://www.brainproducts.com
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from tempfile import TemporaryDirectory

from neurolm.core.errors import RecordingError
from neurolm.core.small_files import LARGE, UnfitFile, read_small, require_regular
from neurolm.core.text import decode
from neurolm.recording.formats.edf import unit_of
from neurolm.recording.links import require_content

_KNOWN = ("V", "mV", "µV", "uV", "nV")
"""Units that MNE knows."""
_DATA, _MARKERS = (".eeg", ".dat", ".avg", ".seg"), (".vmrk", ".amrk")
"""Suffixes of what lies beside a header."""
_CODEPAGE = re.compile(r"(?mi)^Codepage=(.*)$")


@contextmanager
def as_specified(path: Path, notes: list[str]) -> Iterator[Path]:
    """Give a header that MNE can read: the file itself, or for the time of reading a copy that says the same.

    Parameters
    ----------
    path
        The header (``.vhdr``, ``.ahdr``).
    notes
        Gets what has to be said.

    Raises
    ------
    RecordingError
        If its file of data is not there.
    """
    header, plain = _read(path)
    lines = list(_lines(header))
    data = _data_file(path, header, notes)
    markers = _marker_file(path, header, notes)
    marks, marks_plain = _read(markers) if markers is not None else ("", True)
    as_named = [_named(header, "DataFile"), _named(header, "MarkerFile")]
    if plain and marks_plain and lines == header.split("\n"):
        there = [data.name, markers.name if markers is not None else None]
        if as_named == there or (markers is None and as_named == [data.name, ""]):
            yield path
            return
    with TemporaryDirectory(prefix="neurolm-") as folder:
        copy = Path(folder) / path.name
        files = {"datafile": str(data.absolute()), "markerfile": ""}
        if markers is not None:
            own = copy.with_suffix(markers.suffix)
            own.write_text(_CODEPAGE.sub("Codepage=UTF-8", marks), encoding="utf-8")
            files["markerfile"] = own.name
        copy.write_text(_CODEPAGE.sub("Codepage=UTF-8", _with_files(lines, files)), encoding="utf-8")
        yield copy


def _read(path: Path) -> tuple[str, bool]:
    """A file's text with the line ends of Unix, and whether MNE can read it as it is."""
    raw = read_small(path, most=LARGE)
    said = _CODEPAGE.search(raw.decode("ascii", "ignore").replace("\r", ""))
    codepage = said[1].strip() if said else "cp1252"
    text = decode(raw, "cp1252" if codepage.upper() in ("ANSI", "UTF-8", "UTF8") else codepage)
    plain = raw == text.encode() and (said is None or codepage.upper() == "UTF-8")
    return re.sub(r"\r\n?", "\n", text), plain


def _lines(header: str) -> Iterator[str]:
    """A header's lines as MNE understands them."""
    section = ""
    for line in header.split("\n"):
        found = re.fullmatch(r"\s*\[([^\]]*)\]\s*", line)
        section = found[1].strip().lower() if found else section
        if section == "channel infos" and (channel := re.fullmatch(r"(?i)(Ch\d+\s*=)(.*)", line)):
            yield channel[1] + ",".join(_channel(channel[2].split(",")))
        elif section == "common infos" and re.match(r"(?i)SamplingInterval\s*=\s*\d+,\d+\s*$", line):
            yield line.replace(",", ".")
        else:
            yield line


def _channel(fields: list[str]) -> list[str]:
    """Name, reference, resolution, unit, with a decimal point and the unit as MNE knows it."""
    if len(fields) > 4 and fields[2].isdigit() and fields[3].isdigit() and unit_of(fields[4]):
        fields = [*fields[:2], f"{fields[2]}.{fields[3]}", *fields[4:]]
    if len(fields) > 2:
        fields[2] = fields[2].replace(r"\1", ".")
    if len(fields) > 3 and fields[3] not in _KNOWN and (unit := unit_of(fields[3])):
        fields[3] = unit
    return fields


def _named(header: str, what: str) -> str | None:
    """What a header calls one of its files."""
    found = re.search(rf"(?mi)^{what}[ \t]*=(.*)$", header)
    return found[1].strip().strip('"') if found else None


def _data_file(path: Path, header: str, notes: list[str]) -> Path:
    named = _named(header, "DataFile")
    if not named:
        raise RecordingError(f"{path}: names no file of data (DataFile=): it is damaged; copy or export it again")
    named = named.replace("$b", path.stem)
    if (odd := _no_file(path.parent / named)) is not None:
        raise RecordingError(f"{path}: DataFile= names {named}, which is {odd}; correct the line")
    found = find_beside(path, named, _DATA)
    if found is None:
        raise RecordingError(
            f"{path}: DataFile= names {named}, which is not there, and no {path.stem}.eeg either; copy it beside the "
            f"header, or correct the line"
        )
    require_content(found)
    require_regular(found)
    if found != path.parent / named:
        notes.append(f"DataFile= names {named}, which is not there; {found.name} was taken, which is")
    return found


def _marker_file(path: Path, header: str, notes: list[str]) -> Path | None:
    named = _named(header, "MarkerFile")
    named = (named or "").replace("$b", path.stem)
    found = find_beside(path, named or f"{path.stem}.vmrk", _MARKERS)
    odd = _no_file(path.parent / named) if named else None
    said = (
        f"MarkerFile= names {named}, which is {odd or 'not there'}" if named else "the header names no file of markers"
    )
    if found is None:
        notes.append(f"{said}: no annotations")
        return None
    require_content(found)
    if found != path.parent / named:
        notes.append(f"{said}; {found.name} was taken, which is")
    return found


def _no_file(path: Path) -> str | None:
    """What a name stands for that is there and no file: a pipe, a device."""
    try:
        require_regular(path)
    except UnfitFile as error:
        return error.strerror
    except (OSError, ValueError):
        pass
    return None


def find_beside(path: Path, named: str, suffixes: tuple[str, ...]) -> Path | None:
    """The file that a header names; else what lies beside it by that name in other case, or by the header's own."""
    there = path.parent / named
    if there.is_file() or there.is_symlink():
        return there
    name = PureWindowsPath(named).name  # of a path on somebody's own disk too
    own = PureWindowsPath(name).suffix
    wanted = [name, *(path.stem + suffix for suffix in dict.fromkeys((own, *suffixes)) if suffix)]
    files = {file.name.casefold(): file for file in path.parent.iterdir() if file.is_file() or file.is_symlink()}
    files |= {file.name: file for file in files.values()}
    found = (files.get(each) or files.get(each.casefold()) for each in wanted)
    return next((file for file in found if file is not None and file.name != path.name), None)


def _with_files(lines: list[str], files: dict[str, str]) -> str:
    """The header with the places of its files."""
    left = dict(files)
    out = []
    for line in lines:
        key = line.partition("=")[0].strip().lower()
        value = left.pop(key, None)
        out.append(line if value is None else f"{line.partition('=')[0]}={value}")
        if re.fullmatch(r"(?i)\s*\[common infos\]\s*", line) and not any(
            re.match(r"(?i)MarkerFile\s*=", each) for each in lines
        ):
            out.append(f"MarkerFile={left.pop('markerfile')}")
    return "\n".join(out)
