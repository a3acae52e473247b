"""The baseline on rhythms with a known answer; nothing of the test subjects may reach the fit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neurolm.data.splits import Split
from neurolm.data.store import Label, Outline, Row
from neurolm.errors import StoreError
from neurolm.evaluation.baselines import BANDS, STRENGTHS, band_power, band_power_baseline
from neurolm.metrics import score
from neurolm.montage import RATE
from neurolm.tasks.task import Option, Task

SECONDS = 24
CHANNELS = ("C3", "C4", "O1")
TASK = Task(
    name="rhythm",
    description="",
    question="Which rhythm?",
    options=tuple(Option(label=name, text=name) for name in ("alpha", "beta", "none")),
    seconds=4,
    stride=2,
    split_fractions=(0.6, 0.2, 0.2),
    metrics=("balanced_accuracy",),
    licence="",
    citation="",
)
SUBJECTS = [f"made/{number}" for number in range(8)]
SPLIT = Split(tuple(SUBJECTS[:4]), tuple(SUBJECTS[4:6]), tuple(SUBJECTS[6:]))


class MadeStore:
    """Two recordings per subject and class, each with its rhythm at O1."""

    path = Path("made")

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        time = np.arange(SECONDS * RATE) / RATE
        self.signals, rows = [], []
        for subject in SUBJECTS:
            for label, hertz in (("alpha", 10), ("beta", 22), ("none", 0)):
                signal = 10 * generator.standard_normal((SECONDS * RATE, len(CHANNELS)))
                signal[:, 2] += 8 * np.sin(2 * np.pi * hertz * time)
                self.signals.append(signal.astype(np.float32))
                rows.append(self.row(f"{subject}-{label}", subject, label))
        self.rows = tuple(rows)
        self.outlines = tuple(Outline(row.subject, row.samples, len(row.channels), row.labels) for row in rows)

    @staticmethod
    def row(recording: str, subject: str, label: str) -> Row:
        return Row(
            recording=recording, corpus="made", source=recording, sha256="", subject=subject, channels=CHANNELS,
            samples=SECONDS * RATE, scale=(0.1,) * 3, clipped=0, mains=50, band=(0.1, 75), unit="uV", version="0",
            licence="", labels=(Label("rhythm", label, 0, SECONDS),), notes=(),
        )  # fmt: skip

    def microvolts(self, index: int, start: int, count: int) -> np.ndarray:
        return self.signals[index][start : start + count]

    def change(self, index: int, **fields: object) -> None:
        rows = list(self.rows)
        rows[index] = replace(rows[index], **fields)  # type: ignore[arg-type]
        self.rows = tuple(rows)
        self.outlines = tuple(Outline(row.subject, row.samples, len(row.channels), row.labels) for row in rows)


def test_band_power_finds_a_rhythm_in_its_band_and_channel() -> None:
    time = np.arange(4 * RATE) / RATE
    for band, hertz in zip(BANDS, (2, 6, 9, 11, 16, 25, 35), strict=True):
        signal = np.random.default_rng(0).standard_normal((4 * RATE, 2))
        quiet = band_power(signal)
        signal[:, 1] += 20 * np.sin(2 * np.pi * hertz * time)
        rise = band_power(signal) - quiet
        assert rise[:, 0] == pytest.approx(0)  # the other channel
        assert list(BANDS)[int(rise[:, 1].argmax())] == band


def test_band_power_is_a_density_in_microvolts() -> None:
    noise = 20 * np.random.default_rng(0).standard_normal((600 * RATE, 1))
    assert band_power(noise) == pytest.approx(np.log(20**2 / (RATE / 2)), abs=0.1)
    assert np.isfinite(band_power(np.zeros((RATE, 1)))).all()


def test_baseline_learns_the_rhythms() -> None:
    baseline = band_power_baseline(MadeStore(), TASK, SPLIT, seed=0)
    windows = (SECONDS - 4) // 2 + 1
    assert baseline.train_windows == 4 * 3 * windows
    assert baseline.strength in STRENGTHS
    for part, subjects in ((baseline.validation, SPLIT.validation), (baseline.test, SPLIT.test)):
        assert sorted(set(part.subjects)) == list(subjects)
        assert part.probabilities.shape == (2 * 3 * windows, 3)
        assert score(part.labels, part.probabilities, options=3).balanced_accuracy > 0.95


def test_test_subjects_cannot_change_the_fit() -> None:
    """Other signals and labels of the test subjects leave what is said about validation as it was, to the bit."""
    plain = band_power_baseline(MadeStore(), TASK, SPLIT)
    store = MadeStore()
    for index, row in enumerate(store.rows):
        if row.subject in SPLIT.test:
            store.signals[index] = 50 * store.signals[index]
            store.change(index, labels=(Label("rhythm", "none", 0, SECONDS),))
    other = band_power_baseline(store, TASK, SPLIT)
    assert np.array_equal(plain.validation.probabilities, other.validation.probabilities)
    assert plain.strength == other.strength
    assert not np.array_equal(plain.test.probabilities, other.test.probabilities)


def test_order_of_channels_in_a_recording_does_not_matter() -> None:
    plain = band_power_baseline(MadeStore(), TASK, SPLIT)
    store = MadeStore()
    store.signals[5] = store.signals[5][:, ::-1]
    store.change(5, channels=CHANNELS[::-1])
    other = band_power_baseline(store, TASK, SPLIT)
    assert other.test.probabilities == pytest.approx(plain.test.probabilities)


def test_class_without_training_windows_has_probability_zero() -> None:
    store = MadeStore()
    for index, row in enumerate(store.rows):
        if row.subject in SPLIT.train and row.labels[0].label == "none":
            store.change(index, labels=())
    baseline = band_power_baseline(store, TASK, SPLIT)
    assert (baseline.test.probabilities[:, 2] == 0).all()
    assert baseline.test.probabilities.sum(axis=1) == pytest.approx(1)


def test_recording_with_other_channels_is_named() -> None:
    store = MadeStore()
    store.change(20, channels=("C3", "C4", "O2"))
    with pytest.raises(StoreError, match=r"made/6-none has the channels C3, C4, O2, and the first training recording"):
        band_power_baseline(store, TASK, SPLIT)


def test_missing_windows_and_labels_are_named() -> None:
    with pytest.raises(StoreError, match=r"task rhythm in the test subjects \(made/9\)"):
        band_power_baseline(MadeStore(), TASK, replace(SPLIT, test=("made/9",)))
    store = MadeStore()
    store.change(0, labels=(Label("rhythm", "theta", 0, SECONDS),))
    with pytest.raises(StoreError, match="no label 'theta': its labels are alpha, beta, none"):
        band_power_baseline(store, TASK, SPLIT)
    for index in range(len(store.rows)):
        store.change(index, labels=(Label("rhythm", "beta", 0, SECONDS),))
    with pytest.raises(StoreError, match="all training windows of task rhythm are 'beta'"):
        band_power_baseline(store, TASK, SPLIT)
