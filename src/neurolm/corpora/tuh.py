"""What the corpora of Temple University Hospital have in common: names of files, electrodes, terms.

A recording is ``<subject>_s<session>_t<token>.edf``. Since the end of 2022 a subject is eight letters
(``edf/000/aaaaaaaa/s001_2015/01_tcp_ar/aaaaaaaa_s001_t000.edf``), before it was eight digits
(``edf/01_tcp_ar/027/00002729/s001_2006_04_12/00002729_s001_t000.edf``). Folders tell the reference: average
(``01_tcp_ar``, without ears ``03_tcp_ar_a``) or linked ears (``02_tcp_le``, ``04_tcp_le_a``), as do the names of the
channels (``EEG FP1-REF``, ``EEG FP1-LE``). Beside EEG there are channels such as ``PHOTIC-REF``, ``IBI``, ``BURSTS``,
``SUPPR``, ``EEG EKG1-REF``, ``DC1-DC`` and numbered ones (``EEG 26-REF``). Ferrell et al. 2020, The Temple University
Hospital EEG Corpus: Electrode Location and Channel Labels.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from neurolm.core.errors import ConfigError, StoreError
from neurolm.core.physics import RATE
from neurolm.core.small_files import LARGE, read_text
from neurolm.corpora.layouts import CorpusLayout
from neurolm.corpora.source import Extent
from neurolm.store.store import Label

CITATION = (
    "Obeid and Picone 2016, The Temple University Hospital EEG Data Corpus, Frontiers in Neuroscience 10:196, "
    "doi:10.3389/fnins.2016.00196"
)
ELECTRODES = (
    "FP1", "FP2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "F7", "F8", "T3", "T4", "T5", "T6", "A1", "A2", "FZ",
    "CZ", "PZ", "T1", "T2",
)  # fmt: skip
"""The 23 electrodes of the paper's TUH tasks. Recordings that lack one are left out there, and quarantined here."""
CHANNELS = {f"EEG {electrode}-REF": electrode for electrode in ELECTRODES}
"""The file's names for them. Recordings against linked ears have none of these, and are left out there, too."""
MONTAGES = ("01_tcp_ar", "02_tcp_le", "03_tcp_ar_a", "04_tcp_le_a")
SUBJECT = re.compile(r"[a-z]{8}|\d{8}")
SESSION = re.compile(r"s\d{3}_\d{4}.*")
PATTERN = re.compile(r"(?:.+_)?(?P<subject>[a-z]{8}|\d{8})_s\d{3}(?:_[at]\d{2,3})?\.edf")
_HALF = 0.5 / RATE
_ROUNDING = 1e-6  # samples


class TuhLayout(CorpusLayout):
    """What holds for all corpora of the hospital."""

    licence = "On request from the Neural Engineering Data Consortium, under its terms of use"
    citation = CITATION
    url = "https://isip.piconepress.com/projects/nedc/html/tuh_eeg/"
    mains = 60.0
    """Recorded in Philadelphia. The official preparation notches TUAB and TUEV at 50 Hz, TUEG and TUSL at 60 Hz."""


def edf_folder(root: Path) -> Path:
    """The folder ``edf`` of a corpus, whether the folder above it was given or it itself."""
    return root / "edf" if (root / "edf").is_dir() else root


def recordings(folder: Path) -> list[Path]:
    """All EDF files of a folder and those below it, but for hidden ones, sorted by path."""
    return sorted(p for p in folder.rglob("*.edf") if not any(x.startswith(".") for x in p.relative_to(folder).parts))


def subject_of(path: Path) -> str:
    """Return the subject that a recording's name tells.

    Raises
    ------
    ConfigError
        If the name is none of TUH's, or the file does not lie where its subject's files do.
    """
    match = PATTERN.fullmatch(path.name)
    if match is None:
        raise ConfigError(
            f"{path}: not the name of a TUH recording (aaaaaaaa_s001_t000.edf); give the tree as it was downloaded"
        )
    for folder, below in pairwise(path.parts[:-1]):
        if SESSION.fullmatch(below) and folder != match["subject"]:
            raise ConfigError(
                f"{path}: a recording of subject {match['subject']} in the folder of {folder}; restore the tree as it "
                "was downloaded"
            )
    return match["subject"]


def folders(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    """The folders in a folder whose name fits."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if pattern.fullmatch(path.name) and path.is_dir())


def parts(root: Path, title: str) -> dict[str | None, Path]:
    """Return the folders of a corpus with an official evaluation set, by what their labels say of the split.

    The subjects of ``train`` are split further by the task's card, so their labels say nothing.

    Raises
    ------
    StoreError
        If one is missing.
    """
    edf = edf_folder(root)
    found: dict[str | None, Path] = {None: edf / "train", "test": edf / "eval"}
    for path in found.values():
        if not path.is_dir():
            raise StoreError(
                f"{path}: no such folder; {title} has edf/train and the official test set edf/eval: give the folder of "
                "one version, with both"
            )
    return found


def apart(subjects: Iterable[tuple[Path, str, str | None]]) -> None:
    """Refuse a subject in two parts of the split.

    Parameters
    ----------
    subjects
        Per recording its path, subject, and part of the split.

    Raises
    ------
    ConfigError
        Naming the subject and a recording in each part.
    """
    first: dict[str, tuple[Path, str | None]] = {}
    for path, subject, split in subjects:
        other, before = first.setdefault(subject, (path, split))
        if before != split:
            raise ConfigError(
                f"{path}: subject {subject} is in the training set too ({other}); whoever trains cannot be tested: "
                "restore the tree as it was downloaded"
            )


def side_file(path: Path, suffix: str, holds: str) -> tuple[Path, list[tuple[int, str]]]:
    """Read the lines of the file beside a recording that holds its labels.

    Returns
    -------
    path, lines
        The side file; and its lines that are not empty, with their numbers.

    Raises
    ------
    StoreError
        If it is not there or cannot be read.
    """
    side = path.with_suffix(suffix)
    try:
        text = read_text(side, encoding="utf-8-sig", most=LARGE)
    except FileNotFoundError as error:
        raise StoreError(
            f"{side}: no such file, and it holds {holds} of {path.name}; copy the corpus again, with all its files"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{side}: cannot be read ({error}); copy the corpus again") from error
    return side, [(n, line.strip()) for n, line in enumerate(text.splitlines(), start=1) if line.strip()]


def at_sample(time: float) -> float:
    """The time of the first sample at 200 Hz that is not before a time: where the official preparation cuts."""
    return math.ceil(time * RATE - _ROUNDING) / RATE


@dataclass(frozen=True)
class Whole:
    """Labels a recording from its start to its end."""

    task: str
    label: str
    split: str | None

    def __call__(self, extent: Extent) -> tuple[Label, ...]:
        return (Label(self.task, self.label, 0.0, extent.seconds, self.split),)


@dataclass(frozen=True)
class Shifted:
    """Labels stretches of fixed length; one that reaches over an end of the recording is moved to lie inside."""

    where: str
    """The side file, for messages."""
    events: tuple[tuple[float, Label], ...]
    """For each, the time in seconds at which what is labelled begins, and the label."""

    def __call__(self, extent: Extent) -> tuple[Label, ...]:
        return tuple(self._inside(begin, label, extent.seconds) for begin, label in self.events)

    def _inside(self, begin: float, label: Label, length: float) -> Label:
        if (late := max(begin, label.start)) >= length + _HALF:
            raise ConfigError(
                f"{self.where}: {label.label!r} begins at {late:g} s, but the recording lasts {length:g} s; the file "
                "belongs to another recording, or the recording is cut: copy both again"
            )
        last = math.floor(length * RATE + _ROUNDING) / RATE  # the store keeps no part of a sample
        duration = label.stop - label.start
        start = max(0.0, min(label.start, last - duration))
        return replace(label, start=start, stop=min(start + duration, last))
