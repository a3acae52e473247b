"""SEED: emotions while watching film clips (Shanghai Jiao Tong University), 15 subjects.

Three sessions each.

``SEED_EEG/SEED_RAW_EEG/1_1.cnt`` is subject 1, session 1: Neuroscan, 1000 Hz, 62 electrodes with CB1 and CB2, and M1,
M2, VEO, HEO, which are left out. All sessions show the same 15 clips at the same times. The seconds are those of the
authors' preparation (``prepare_SEED.py`` of NeuroLM), the last one included: with them, windows of 4 s are the paper's
38,475. The data set's own ``time.txt`` cuts each clip some seconds shorter (27–262 s where they have 24–265 s, so that
theirs also hold the cue before a clip), which would give 37,890.

The samples are 32 bits wide; a reader that guesses takes some of the files for 16 bits.
Not verified on the real files, which are given on request only: names and times are those of public code that reads
them.
"""

from __future__ import annotations

import re
from pathlib import Path

from neurolm.core.errors import StoreError
from neurolm.corpora.layouts import NamedFiles
from neurolm.corpora.side_files import Within
from neurolm.corpora.source import Labels
from neurolm.store.store import Label

TASK = "seed"
STARTS = (24, 289, 550, 782, 1049, 1260, 1483, 1747, 1993, 2283, 2550, 2812, 3072, 3332, 3598)
LAST_SECONDS = (264, 526, 757, 1023, 1235, 1458, 1722, 1967, 2259, 2525, 2788, 3046, 3308, 3573, 3806)
EMOTIONS = (1, 0, -1, -1, 0, 1, -1, 0, 1, 1, 0, -1, 0, 1, -1)
ANSWERS = {1: "Positive", 0: "Neutral", -1: "Negative"}
SPLITS = ("train",) * 9 + ("validation",) * 3 + ("test",) * 3
ELECTRODES = (
    "FP1 FPZ FP2 AF3 AF4 F7 F5 F3 F1 FZ F2 F4 F6 F8 FT7 FC5 FC3 FC1 FCZ FC2 FC4 FC6 FT8 T7 C5 C3 C1 CZ C2 C4 C6 T8 "
    "TP7 CP5 CP3 CP1 CPZ CP2 CP4 CP6 TP8 P7 P5 P3 P1 PZ P2 P4 P6 P8 PO7 PO5 PO3 POZ PO4 PO6 PO8 CB1 O1 OZ O2 CB2"
)
LABELS = tuple(
    Label(TASK, ANSWERS[emotion], float(start), last + 1.0, split)
    for start, last, emotion, split in zip(STARTS, LAST_SECONDS, EMOTIONS, SPLITS, strict=True)
)
"""The same in every session."""


class Seed(NamedFiles):
    name = "seed"
    title = "SJTU Emotion EEG Dataset (SEED), 15 subjects"
    task = TASK
    licence = "On request from Shanghai Jiao Tong University, for academic research only"
    citation = (
        "Zheng and Lu 2015, IEEE Transactions on Autonomous Mental Development 7(3):162-175, "
        "doi:10.1109/TAMD.2015.2431497"
    )
    url = "https://bcmi.sjtu.edu.cn/home/seed/"
    hours = 48.0
    mains = 50.0
    counts = {"train": 22_815, "validation": 7_965, "test": 7_695}
    """38,475 in the paper; by split from the authors' times: 507, 177 and 171 windows in each of 45 sessions."""
    places = ("*.cnt", "SEED_RAW_EEG/*.cnt", "SEED_EEG/SEED_RAW_EEG/*.cnt", "SEED/SEED_EEG/SEED_RAW_EEG/*.cnt")
    pattern = re.compile(r"(1[0-5]|[1-9])_([123])\.cnt")
    example = "1_1.cnt … 15_3.cnt"
    how = {"channels": {name: name for name in ELECTRODES.split()}, "data_format": "int32"}

    def find(self, root: Path) -> list[tuple[Path, re.Match[str]]]:
        """Find the recordings, and refuse the folders of filtered ones that the data set also offers."""
        for folder in ("Preprocessed_EEG", "ExtractedFeatures"):
            if (root.name == folder or (root / folder).is_dir()) and not self.recognise(root):
                raise StoreError(
                    f"{root}: {folder} holds no raw recordings (its signals are filtered and cut); give the folder of "
                    f"SEED_RAW_EEG with {self.example}, which is part of the same download ({self.url})"
                )
        return super().find(root)

    def subject(self, match: re.Match[str]) -> str:
        return f"{int(match[1]):02}"

    def labels(self, path: Path, match: re.Match[str]) -> Labels:
        return Within(LABELS)


LAYOUT = Seed()
