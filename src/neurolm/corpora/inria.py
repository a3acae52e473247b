"""Inria BCI Challenge (Kaggle, NER 2015): errors of a P300 speller, 26 subjects, five sessions each.

``train/Data_S02_Sess01.csv`` and ``test/Data_S01_Sess01.csv``: ``Time``, 56 electrodes, ``EOG`` and ``FeedBackEvent``
at 200 Hz; ``PO8`` is misspelt ``P08``. ``TrainLabels.csv`` (``IdFeedBack,Prediction``, ``S02_Sess01_FB001,1``) says
whether the speller had the letter that was meant. Labels, in training sessions only: ``correct`` or ``wrong``, for 1.3
s from each feedback on. The test sessions have no labels here.

The numbers are taken as µV. Not verified on the real files: names, header and the misspelt electrode are those of
public code that reads them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neurolm.core.errors import ConfigError, RecordingError
from neurolm.corpora.arrays import as_raw, csv_header, csv_numbers
from neurolm.corpora.layouts import NamedFiles
from neurolm.corpora.side_files import read_side_file, table_rows
from neurolm.corpora.source import Extent, Labels, RecordingSource
from neurolm.store.store import Label

if TYPE_CHECKING:
    import mne

TASK = "inria"
URL = "https://www.kaggle.com/c/inria-bci-challenge/data"
RATE = 200.0
ANSWERS = {"1": "correct", "0": "wrong"}
SECONDS = 1.3
MISSPELT = {"P08": "PO8"}
TRAIN_LABELS = "TrainLabels.csv"


class Inria(NamedFiles):
    name = "inria"
    title = "Inria BCI Challenge (NER 2015), 26 subjects"
    task = TASK
    licence = "The rules of the competition on Kaggle"
    citation = "Perrin et al. 2012, Advances in Human-Computer Interaction 2012:578295, doi:10.1155/2012/578295"
    url = URL
    hours = 30.0
    mains = 50.0
    places = ("*.csv", "train/*.csv", "test/*.csv", "data/train/*.csv", "data/test/*.csv")
    pattern = re.compile(r"Data_((S\d\d)_Sess\d\d)\.csv")
    example = "train/Data_S02_Sess01.csv …, test/Data_S01_Sess01.csv …"

    def sources(self, root: Path) -> list[RecordingSource]:
        """List the recordings, and read the labels of the training sessions."""
        named = self.find(root)
        training = [path for path, _ in named if path.parent.name == "train"]
        answers = _answers(_beside(root, training[0])) if training else {}
        found = []
        for path, match in named:
            labels: Labels = ()
            if path.parent.name == "train":
                if match[1] not in answers:
                    raise ConfigError(
                        f"{_beside(root, path)}: no line for {match[1]} ({path.name}); download it from {URL}"
                    )
                labels = partial(_labels, path=path, answers=tuple(answers[match[1]]))
            found.append(self.source(path, match[2], labels, open=read_csv))
        return found


LAYOUT = Inria()


TIME, EOG, FEEDBACK = "Time", "EOG", "FeedBackEvent"


def _beside(root: Path, training: Path) -> Path:
    places = (root / TRAIN_LABELS, training.parent.parent / TRAIN_LABELS, training.parent / TRAIN_LABELS)
    return next((place for place in places if place.is_file()), root / TRAIN_LABELS)


def _answers(table: Path) -> dict[str, list[str]]:
    """Session → answers in the order of its feedback."""
    text = read_side_file(table, "the labels of the training sessions", URL)
    answers: dict[str, list[str]] = defaultdict(list)
    for where, (key, value) in table_rows(table, text, ("IdFeedBack", "Prediction")):
        session, dash, feedback = key.rpartition("_FB")
        if not dash or not feedback.isdecimal() or value not in ANSWERS:
            raise ConfigError(
                f"{where}: expected IdFeedBack,Prediction such as S02_Sess01_FB001,1, found {key!r},{value!r}; "
                f"download it from {URL}"
            )
        if int(feedback) != len(answers[session]) + 1:
            raise ConfigError(f"{where}: {key} is out of order; download it from {URL}")
        answers[session].append(ANSWERS[value])
    return answers


def read_csv(path: Path) -> mne.io.RawArray:
    """Read one session; its feedback becomes annotations."""
    header = csv_header(path)
    if header[:1] != [TIME] or header[-2:] != [EOG, FEEDBACK]:
        raise RecordingError(
            f"{path}: the columns must be {TIME}, the electrodes, {EOG}, {FEEDBACK}, not {', '.join(header[:3])} … "
            f"{', '.join(header[-2:])}; download it again"
        )
    numbers = csv_numbers(path, range(1, len(header)), header=True)
    names = [MISSPELT.get(name, name) for name in header[1:-1]]
    marks = [(sample / RATE, 0.0, FEEDBACK) for sample in np.flatnonzero(numbers[-1] == 1).tolist()]
    return as_raw(numbers[:-1], names, RATE, marks=marks)


def _labels(extent: Extent, *, path: Path, answers: tuple[str, ...]) -> tuple[Label, ...]:
    feedback = [mark.onset for mark in extent.annotations if mark.text == FEEDBACK]
    if len(feedback) != len(answers):
        raise ConfigError(
            f"{path}: {len(feedback)} feedbacks, but {len(answers)} labels in {TRAIN_LABELS}; download both again"
        )
    return tuple(
        Label(TASK, answer, onset, min(onset + SECONDS, extent.seconds))
        for onset, answer in zip(feedback, answers, strict=True)
    )
