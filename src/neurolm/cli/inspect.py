"""neurolm inspect recording.edf"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurolm.cli.show import print_json
from neurolm.core.amounts import duration, many
from neurolm.core.errors import ConfigError, RecordingError
from neurolm.core.terminal import say
from neurolm.recording.options import ReadingOptions

if TYPE_CHECKING:
    from neurolm.recording.electrodes.coverage import Covered
    from neurolm.recording.inspect import Inspection

SHOWN = 12
"""Texts of annotations printed; ``--json`` has all."""
_HEAD = ("recording", "usable", "electrodes", "Hz", "length", "unit", "µV", "mains", "problems")
_LEFT = (0, 1, 5)  # columns of text
_COVERAGE = ("channel", "electrode", "how", "unit", "Hz", "µV", "detail")


def inspect(
    files: Sequence[Path],
    *,
    reading: ReadingOptions,
    brief: bool = False,
    json: bool = False,
    plot: Path | None = None,
) -> None:
    """Say what is in recordings, and what neurolm would do with them.

    The exit status is 0 if all recordings can be used as they are, 2 if one cannot.

    Parameters
    ----------
    files
        Recordings, or folders of them, read as their corpus.json says.
    brief
        A line for each recording, no table of its channels.
    plot
        PNG of traces and spectra.
    """
    from neurolm.recording.inspect import inspect

    given = [(one, as_said(one, reading)) for one in files]
    passed: list[str] = []
    found_files = [(file, how) for one, how in given for file in recordings(one, passed, arrays=how.rate is not None)]
    pictures = plots(plot, [file for file, _ in found_files])
    every = []
    for number, (file, how) in enumerate(found_files):
        found = inspect(file, reading=how, partly=len(found_files) > 1 or how != reading)
        if not json and not brief:
            say(*([""] if number else []), *lines(found))
        if pictures:
            _draw(found, pictures[number], quiet=json)
        every.append(dataclasses.replace(found, recording=None))  # which holds the file open
    if json:
        print_json([as_dict(found) for found in every])
    elif len(every) > 1 or brief:
        say(*([] if brief else [""]), *summary(every, reasons=brief))
    if passed and not json:
        say(*([] if brief else [""]), *(f"note: {note}" for note in passed))
    refused = [found for found in every if not found.usable]
    if refused:
        what = (
            f"{refused[0].file} cannot be used as it is"
            if len(every) == 1
            else (f"{len(refused)} of {many(len(every), 'recording')} cannot be used as they are")
        )
        raise RecordingError(f"{what}: the problems above say why, and what to do")


def as_said(given: Path, reading: ReadingOptions) -> ReadingOptions:
    """The options, with what a folder's ``corpus.json`` says where they leave it open.

    Raises
    ------
    ConfigError
        If that file is not valid.
    """
    from neurolm.corpora.about import read_about

    return read_about(given).reading(reading) if given.is_dir() else reading


def recordings(given: Path, passed: list[str], *, arrays: bool = False) -> list[Path]:
    """The file, or the recordings in a folder.

    Parameters
    ----------
    passed
        Gets notes of what might be a recording in the folder and was not looked at.
    arrays
        As for ``find_recordings``.

    Raises
    ------
    ConfigError
        If there are none in a folder.
    """
    from neurolm.recording.suffixes import suffix_of, walk
    from neurolm.recording.unread import contents

    if not given.is_dir() or suffix_of(given) is not None:
        return [given]
    found = walk(given, arrays=arrays)
    notes = [f"{given}: {note}" for note in found.notes(given)]
    if not found.recordings:
        raise ConfigError(
            f"{given}: no recordings in this folder; give files, or the folder that holds them{contents(given)}"
            + "".join(f"; {note.removeprefix(f'{given}: ')}" for note in notes)
        )
    passed += notes
    return list(found.recordings)


def plots(plot: Path | None, files: Sequence[Path]) -> list[Path]:
    """Where the picture of each recording goes: the given file, or one for each of several recordings."""
    if plot is None:
        return []
    if plot.suffix.lower() != ".png":
        raise ConfigError(f"--plot {plot}: give the name of a PNG file, as traces.png")
    if len(files) == 1:
        return [plot]
    names = [file.name for file in files]
    return [
        plot.with_name(f"{plot.stem}-{number}-{name}.png" if names.count(name) > 1 else f"{plot.stem}-{name}.png")
        for number, name in enumerate(names, 1)
    ]


def _draw(found: Inspection, picture: Path, *, quiet: bool) -> None:
    from neurolm.report.drawings.recording import write_picture

    if found.recording is None:
        said = f"{picture}: not drawn, no signal of {found.file} can be read"
    else:
        write_picture(found, picture)
        said = f"{picture}: traces and spectra of {found.file.name}"
    if not quiet:
        say(said)


def lines(found: Inspection) -> Iterator[str]:
    """Write what was found in a recording for a terminal."""
    size = "" if found.size is None else f"  ({_bytes(found.size)})"
    yield f"{found.file}{size}"
    if found.coverage:
        yield from ("", *coverage(found.coverage), "")
    yield from (f"{name:<12} {value}" for name, value in _facts(found) if value)
    for note in found.notes:
        yield f"{'note':<12} {note}"
    for problem in found.problems:
        yield f"{'problem':<12} {problem}"
    yield f"{'verdict':<12} {verdict(found)}"


def coverage(rows: Sequence[Covered]) -> Iterator[str]:
    """Write how each channel was understood, and how many electrodes came of it."""
    from neurolm.recording.checks import readable
    from neurolm.recording.electrodes.coverage import HOW

    table = [
        (
            row.channel or "–",
            row.electrode or "–",
            row.how,
            "?" if row.unit == "" else (row.unit or "–"),
            "" if row.rate is None else f"{row.rate:g}",
            "" if row.amplitude is None else readable(row.amplitude),
            row.detail,
        )
        for row in rows
    ]
    yield from _aligned([_COVERAGE, *table], left=range(len(_COVERAGE)))
    electrodes = sum(row.electrode is not None and row.how != "source" for row in rows)
    counts = Counter(row.how for row in rows)
    ways = ", ".join(f"{counts[how]} {how}" for how in HOW if counts[how])
    yield f"{many(electrodes, 'electrode')} from {many(sum(bool(row.channel) for row in rows), 'channel')}: {ways}"


def _aligned(table: Sequence[Sequence[str]], left: Container[int]) -> Iterator[str]:
    """Write rows with columns as wide as their widest text, those of ``left`` flush left."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (
            text.ljust(width) if column in left else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


def _facts(found: Inspection) -> Iterator[tuple[str, str]]:
    if found.seconds is not None:
        rate = "" if found.rate is None else f" at {found.rate:g} Hz"
        exact = f" ({found.seconds:,.7g} s)" if found.seconds >= 60 else ""
        yield "length", f"{_length(found.seconds)}{exact}{rate}"
    if len(found.stretches) > 1:
        parts = [f"{start:,.7g}–{stop:,.7g} s" for start, stop in found.stretches[:SHOWN]]
        more = f" and {len(found.stretches) - SHOWN:,} more" if len(found.stretches) > SHOWN else ""
        yield "usable", f"{len(found.stretches):,} parts: {', '.join(parts)}{more}"
    if found.unit is not None:
        declared = list(dict.fromkeys(row.unit or "none" for row in found.coverage if row.amplitude is not None))
        yield "unit", f"{found.unit} (the file declares {', '.join(declared)})"
    if found.amplitude is not None:
        from neurolm.recording.checks import PLAUSIBLE, readable

        values = [row.amplitude for row in found.coverage if row.amplitude]
        yield (
            "amplitude",
            (
                f"{readable(found.amplitude)} µV typically, {readable(min(values))} to {readable(max(values))} "
                f"(EEG: {PLAUSIBLE[0]:g} to {PLAUSIBLE[1]:g})"
            ),
        )
    if found.mains is not None:
        yield "mains", found.mains_how.removeprefix("mains ")
    if found.band is not None:
        yield "band", f"{found.band[0]:g} to {found.band[1]:g} Hz"
    if found.rate is not None:
        yield "annotations", _annotations(found)


def _annotations(found: Inspection) -> str:
    texts = [f"{text} × {count:,}" for text, count in list(found.annotations.items())[:SHOWN]]
    rest = len(found.annotations) - SHOWN
    inside = ", ".join(texts) + (f" and {rest:,} other texts" if rest > 0 else "")
    return (inside or "none") + (f"; outside the recording: {found.outside:,}" if found.outside else "")


def verdict(found: Inspection) -> str:
    """What neurolm would do with a recording."""
    if found.planned is None:
        count = len(found.problems)
        return f"refused, for {count} reason{'s' if count > 1 else ''}"
    planned = found.planned
    windows = f"{planned.windows} window{'s' if planned.windows != 1 else ''}" if planned.windows else "no window"
    return (
        f"usable: neurolm prepare would store {planned.seconds:,.6g} s × {many(len(found.electrodes), 'electrode')} "
        f"({_bytes(planned.bytes)}): {planned.patches:,} patches of 1 s, {windows} of up to {planned.window_seconds} s "
        f"for pretraining"
    )


def summary(every: Sequence[Inspection], *, reasons: bool) -> Iterator[str]:
    """Write a line for each recording, and below them the reasons why some are refused."""
    from neurolm.recording.checks import readable

    table = [_HEAD]
    for found in every:
        table.append(
            (
                str(found.file),
                "yes" if found.usable else "no",
                str(len(found.electrodes)) if found.usable else "–",
                "–" if found.rate is None else f"{found.rate:g}",
                "–" if found.seconds is None else _length(found.seconds),
                found.unit or "–",
                "–" if found.amplitude is None else readable(found.amplitude),
                "–" if found.mains is None else f"{found.mains:g}",
                str(len(found.problems) or ""),
            )
        )
    yield from _aligned(table, left=_LEFT)
    if reasons:
        for found in every:
            for problem in found.problems:
                yield f"{found.file}: {problem}"


def as_dict(found: Inspection) -> dict[str, Any]:
    """Everything that was found, as JSON has it."""
    values = {name: value for name, value in vars(found).items() if name != "recording"}
    return {"usable": found.usable} | values | {"file": str(found.file)}


def _length(seconds: float) -> str:
    return duration(seconds) if seconds >= 60 else f"{seconds:.3g} s"


def _bytes(count: int) -> str:
    return f"{count / 1e6:,.3g} MB" if count >= 1e5 else f"{count:,} bytes"
