"""Siena scalp EEG database (PhysioNet): 14 people with epilepsy, 41 recordings with 47 seizures.

``PN00/PN00-1.edf`` (29 electrodes ``EEG Fp1``, 512 Hz, among ECG, SpO2, heart rate and unnamed channels, which are left
out) and ``PN00/Seizures-list-PN00.txt``, written by hand, with times of the clock. What its lists are known for, and
what is done about it:

- separators ``.`` and ``:``, also mixed (``16:13.23``), blanks (``1 6.49.25``), ``Start time`` for ``Seizure start
  time``;
- file names with typing errors (``PNO6-1.edf``, ``PN11-.edf``, ``PN01.edf``): letters O are zeros, and where a folder
  has one recording, the list can only mean that one;
- several seizures of one recording, the later ones without times of the registration;
- the start of a registration is wrong (PN14-3: three hours, PN05-3: ten seconds): the clock in the recording's own
  header counts, which is the first sample's;
- two times for one event (PN10): the one called ELECTRIC, else the first;
- an end beyond the end of the recording by the hour alone (PN00-3): the hour before is meant.

Labels: ``seizure`` and ``no seizure``, between them the whole recording. In the paper's list of corpora the hours are
31: it used a part.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from neurolm.core.errors import ConfigError
from neurolm.corpora.layouts import NamedFiles
from neurolm.corpora.side_files import read_side_file
from neurolm.corpora.source import Extent, RecordingSource
from neurolm.store.store import Label

TASK = "siena"
URL = "https://physionet.org/content/siena-scalp-eeg/1.0.0/"
_LINE = re.compile(r"(file name|(?:seizure )?start time|(?:seizure )?end time)\s*:(.*)", re.IGNORECASE)
_CLOCK = re.compile(r"(?<!\d)(\d{1,2})\s*[.:]\s*(\d{2})\s*[.:]\s*(\d{2})(?!\d)([^\d]*)")
_TORN_HOUR = re.compile(r"(?<!\d)(\d) (\d)(?=[.:]\d\d[.:]\d\d)")


class Siena(NamedFiles):
    name = "siena"
    title = "Siena scalp EEG database, 14 people with epilepsy"
    task = TASK
    licence = "CC BY 4.0: Siena Scalp EEG Database 1.0.0, PhysioNet"
    citation = "Detti et al. 2020, Processes 8(7):846, doi:10.3390/pr8070846; data: doi:10.13026/5d4a-j060"
    url = URL
    hours = 128.0
    mains = 50.0
    places = ("PN*.edf", "PN*/PN*.edf")
    pattern = re.compile(r"(PN\d\d)-[\d.]+\.edf")
    example = "PN00/PN00-1.edf … with PN00/Seizures-list-PN00.txt"
    how = {"unknown": "drop"}

    def sources(self, root: Path) -> list[RecordingSource]:
        """List the recordings, and read the lists of seizures: every recording has some."""
        of_subject: dict[tuple[Path, str], list[Path]] = defaultdict(list)
        for path, match in self.find(root):
            of_subject[path.parent, match[1]].append(path)
        found = []
        for (folder, subject), paths in of_subject.items():
            table = folder / f"Seizures-list-{subject}.txt"
            seizures = _read(table, paths)
            for path in paths:
                if not seizures[path]:
                    raise ConfigError(
                        f"{table}: no seizure of {path.name} in the list, but every recording has one; is its name "
                        f"written correctly there?"
                    )
                labels = partial(_labels, path=path, seizures=tuple(seizures[path]))
                found.append(self.source(path, subject, labels, **self.how))
        return found


LAYOUT = Siena()


SEIZURE, NONE = "seizure", "no seizure"
DAY, HOUR = 86_400.0, 3600.0


@dataclass(frozen=True)
class Seizure:
    """A seizure as the list has it."""

    where: str
    """The list and the line of the start, for messages."""
    start: float
    """Seconds since midnight."""
    end: float


def _read(table: Path, paths: list[Path]) -> dict[Path, list[Seizure]]:
    text = read_side_file(table, f"the seizures of {paths[0].parent.name}", URL)
    by_name = {_plain(path.name): path for path in paths}
    found: dict[Path, list[Seizure]] = {path: [] for path in paths}
    recording: Path | None = None
    start: tuple[str, float] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        match = _LINE.match(line.strip())
        if match is None:  # the registration's times, the electrodes, headings
            continue
        what, value, where = match[1].lower(), match[2], f"{table}, line {number}"
        if what == "file name":
            recording = by_name.get(_plain(value), paths[0] if len(paths) == 1 else None)
            start = None
        elif what.endswith("start time"):
            start = (where, _clock(where, value))
        elif start is None:
            raise ConfigError(f"{where}: the end of a seizure that has no start; correct the list")
        else:
            if recording is not None:  # else it is of a recording that is not here
                found[recording].append(Seizure(start[0], start[1], _clock(where, value)))
            start = None
    return found


def _plain(name: str) -> str:
    """A file's name without what is typed in more than one way."""
    return re.sub(r"[^a-z0-9]", "", name.lower()).replace("o", "0")


def _clock(where: str, text: str) -> float:
    """Seconds since midnight."""
    times = _CLOCK.findall(_TORN_HOUR.sub(r"\1\2", text))
    if not times:
        raise ConfigError(f"{where}: expected a time of the clock such as 19.58.36, not {text.strip()!r}; correct it")
    chosen = next((time for time in times if "electric" in time[3].lower()), times[0])
    hours, minutes, seconds = (int(part) for part in chosen[:3])
    if hours > 23 or minutes > 59 or seconds > 59:
        raise ConfigError(f"{where}: {text.strip()!r} is no time of the clock; correct it")
    return HOUR * hours + 60.0 * minutes + seconds


def _labels(extent: Extent, *, path: Path, seizures: tuple[Seizure, ...]) -> tuple[Label, ...]:
    with path.open("rb") as file:
        file.seek(176)  # EDF: when the recording began, hh.mm.ss
        begun = _clock(str(path), file.read(8).decode("latin-1"))
    spans = sorted(_span(seizure, begun, extent.seconds) for seizure in seizures)
    labels, last = [], 0.0
    for start, stop in spans:
        if start > last:
            labels.append(Label(TASK, NONE, last, start))
        labels.append(Label(TASK, SEIZURE, max(start, last), stop))
        last = stop
    if last < extent.seconds:
        labels.append(Label(TASK, NONE, last, extent.seconds))
    return tuple(label for label in labels if label.start < label.stop)


def _span(seizure: Seizure, begun: float, seconds: float) -> tuple[float, float]:
    start = (seizure.start - begun) % DAY
    stop = start + (seizure.end - seizure.start) % DAY
    if stop > seconds and stop - start > HOUR:
        stop -= HOUR
    if not start < stop <= seconds:
        raise ConfigError(
            f"{seizure.where}: a seizure from {start:g} to {stop:g} s after the recording began, which lasts "
            f"{seconds:g} s; correct the list, or download the recording again"
        )
    return start, stop
