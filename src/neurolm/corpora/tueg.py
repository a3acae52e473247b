"""TUEG: the TUH EEG Corpus, clinical EEG without labels, for pretraining.

Versions 1 and 2, all references.

The paper leaves out recordings against linked ears (``EEG FP1-LE``) and the last 10 s of every recording; both are kept
here. The layout fits other TUH corpora whose labels are not wanted (TUSZ, TUAR, TUEP), when it is asked for by name.
Subjects have the same ids in all of them: see ``neurolm overlap``.
"""

from __future__ import annotations

import re
from pathlib import Path

from neurolm.core.errors import StoreError
from neurolm.corpora import tuh
from neurolm.corpora.source import RecordingSource

_NUMBERED = re.compile(r"\d{3}")
_MONTAGE = re.compile("|".join(tuh.MONTAGES))


class Tueg(tuh.TuhLayout):
    name = "tueg"
    title = "TUH EEG Corpus (TUEG), about 15,000 patients"
    hours = 24_000.0
    """Those that the paper uses."""

    def recognise(self, root: Path) -> bool:
        """Whether a folder has TUEG's tree, of version 2 or 1; TUSL's version 1 differs from it by its side files."""
        edf = tuh.edf_folder(root)
        if any(tuh.folders(folder, tuh.SUBJECT) for folder in tuh.folders(edf, _NUMBERED)):
            return True
        return any(tuh.folders(folder, _NUMBERED) for folder in first_version(root)) and not has_slowing_labels(root)

    def sources(self, root: Path) -> list[RecordingSource]:
        """List the recordings. EDF files of other names are left out."""
        paths = [path for path in tuh.recordings(tuh.edf_folder(root)) if tuh.PATTERN.fullmatch(path.name)]
        if not paths:
            raise StoreError(
                f"{root}: no recordings of TUEG in this folder (edf/000/aaaaaaaa/s001_2015/01_tcp_ar/"
                f"aaaaaaaa_s001_t000.edf); give the folder of one version. Apply for it at {self.url}"
            )
        return [self.source(path, tuh.subject_of(path), unknown="drop") for path in paths]


LAYOUT = Tueg()


def first_version(root: Path) -> list[Path]:
    """The folders of the references, which are the uppermost in version 1."""
    return tuh.folders(tuh.edf_folder(root), _MONTAGE)


def has_slowing_labels(root: Path) -> bool:
    """Whether the labels of TUSL lie beside the first recording that is found."""
    first = next(tuh.edf_folder(root).rglob("*.edf"), None)
    return first is not None and first.with_suffix(".tse_agg").is_file()
