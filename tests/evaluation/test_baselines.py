"""Baselines on rhythms with a known answer; nothing of the test subjects may reach a fit."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from neurolm.batches.splits import Split
from neurolm.batches.windows import Window
from neurolm.core.errors import ConfigError, StoreError
from neurolm.core.physics import RATE
from neurolm.evaluation.baselines.classical import Classical
from neurolm.evaluation.baselines.convnet import shallow_conv_net
from neurolm.evaluation.baselines.covariances import filter_bank, tangent_space
from neurolm.evaluation.baselines.fit import choose_baselines, fit_baselines
from neurolm.evaluation.baselines.linear import BANDS, band_power, band_powers, linear_probe, majority
from neurolm.evaluation.baselines.material import STRENGTHS, Fitted, Material, logistic
from neurolm.evaluation.results import BAND_POWER, BASELINES, CLASSICAL, CONVNET, FILTER_BANK, FOREST, PROBE, TANGENT
from neurolm.model.tokenizer import NeuralTokenizer
from neurolm.store.store import Label, Outline, Row, Store
from neurolm.tasks.card import load_task
from neurolm.tasks.metrics import score
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
        self.outlines = tuple(
            Outline(row.recording, row.subject, row.samples, row.channels, row.labels) for row in rows
        )

    @staticmethod
    def row(recording: str, subject: str, label: str) -> Row:
        return Row(
            recording=recording, corpus="made", source=recording, sha256="", subject=subject, channels=CHANNELS,
            samples=SECONDS * RATE, scale=(0.1,) * 3, clipped=0, mains=50, band=(0.1, 75), unit="uV", version="0",
            licence="", labels=(Label("rhythm", label, 0, SECONDS),), notes=(), shard="", offset=0,
        )  # fmt: skip

    def microvolts(self, index: int, start: int, count: int) -> np.ndarray:
        return self.signals[index][start : start + count]

    def read(self, index: int, start: int, count: int) -> np.ndarray:
        return np.round(self.microvolts(index, start, count) / 0.1).astype(np.int16)

    def scale(self, index: int) -> np.ndarray:
        return np.array(self.rows[index].scale, np.float32)

    def change(self, index: int, **fields: object) -> None:
        rows = list(self.rows)
        rows[index] = replace(rows[index], **fields)  # type: ignore[arg-type]
        self.rows = tuple(rows)
        self.outlines = tuple(
            Outline(row.recording, row.subject, row.samples, row.channels, row.labels) for row in rows
        )


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


WINDOWS = (SECONDS - 4) // 2 + 1
FITS: dict[str, Callable[[Material], Fitted]] = {
    BAND_POWER: band_powers,
    TANGENT: tangent_space,
    FILTER_BANK: filter_bank,
    CLASSICAL: lambda material: Classical().logistic(material),
    FOREST: lambda material: Classical().forest(material),
    CONVNET: shallow_conv_net,
}


def material(store: MadeStore, *, task: Task = TASK, split: Split = SPLIT) -> tuple[Material, list[Window]]:
    """What a baseline learns from, and the test windows."""
    train, validation, test = (task.windows(store, split, part) for part in ("train", "validation", "test"))
    return Material.of(store, task, train, validation, test), test


@pytest.fixture
def tokenizer(micro_config) -> NeuralTokenizer:
    torch.manual_seed(0)
    return NeuralTokenizer(micro_config.model.tokenizer).eval()


@pytest.mark.parametrize("name", FITS)
def test_baselines_learn_the_rhythms(name: str) -> None:
    made, test = material(MadeStore())
    fitted = FITS[name](made)
    assert fitted.fitted_on == f"{4 * 3 * WINDOWS} windows of 4 training subjects"
    for windows in (made.validation, test):
        found = fitted.answer(windows)
        assert found.shape == (2 * 3 * WINDOWS, 3)
        assert found.sum(axis=1) == pytest.approx(1)
        truth = made.labels(windows)
        if name == TANGENT:  # covariances over all frequencies tell that there is a rhythm, not which
            truth, found = (truth == 2).astype(int), np.stack([found[:, :2].sum(axis=1), found[:, 2]], axis=1)
        assert score(truth, found, options=found.shape[1]).auroc > 0.97


@pytest.mark.parametrize("name", FITS)
def test_test_subjects_cannot_change_the_fit(name: str) -> None:
    """Other signals and labels of the test subjects leave what is said about validation as it was, to the bit."""
    made, test = material(MadeStore())
    store = MadeStore()
    for index, row in enumerate(store.rows):
        if row.subject in SPLIT.test:
            store.signals[index] = 50 * store.signals[index]
            store.change(index, labels=(Label("rhythm", "none", 0, SECONDS),))
    other, others = material(store)
    one, two = FITS[name](made), FITS[name](other)
    assert one.chosen == two.chosen
    assert np.array_equal(one.answer(made.validation), two.answer(other.validation))
    assert not np.array_equal(one.answer(test), two.answer(others))


@pytest.mark.parametrize("name", FITS)
def test_a_fit_can_be_repeated(name: str) -> None:
    made, test = material(MadeStore())
    state = torch.get_rng_state()
    assert np.array_equal(FITS[name](made).answer(test), FITS[name](made).answer(test))
    assert torch.equal(torch.get_rng_state(), state)


def test_majority_gives_the_shares_of_the_training_labels() -> None:
    store = MadeStore()
    store.change(0, labels=())  # an alpha recording of a training subject
    made, test = material(store)
    assert majority(made).answer(test) == pytest.approx(np.tile(np.array([3, 4, 4]) / 11, (len(test), 1)))


def test_the_regularisation_is_what_is_best_on_the_validation_subjects() -> None:
    """Features that mislead: with weak regularisation they decide, and only the training subjects bear them out."""
    made, _ = material(MadeStore())

    def features(windows: list[Window]) -> np.ndarray:
        truth, rng = np.eye(3)[made.labels(windows)], np.random.default_rng(len(windows))
        noise = rng.standard_normal((len(windows), 400))
        return np.hstack([truth + 0.7 * rng.standard_normal(truth.shape), noise])

    found = {}
    for strength in STRENGTHS:
        alone = logistic(made, features, strengths=(strength,))
        found[strength] = score(
            made.labels(made.validation), alone.answer(made.validation), options=3
        ).balanced_accuracy
    assert len(set(found.values())) > 1
    best = max(STRENGTHS, key=lambda strength: found[strength])
    assert logistic(made, features).chosen.startswith(f"C = {best:g} of ")


def test_more_features_than_windows_fit_as_scikit_learn_would() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    made, test = material(MadeStore())
    rng = np.random.default_rng(0)
    table = {w: rng.standard_normal(300) + 0.3 * made.labels([w]) for w in (*made.train, *made.validation, *test)}

    def features(windows: list[Window]) -> np.ndarray:
        return np.stack([table[w] for w in windows])

    fitted = logistic(made, features)
    strength = float(fitted.chosen.split()[2])
    scaler = StandardScaler().fit(features(made.train))
    whole = LogisticRegression(C=strength, class_weight="balanced", max_iter=5000, tol=1e-8)
    whole.fit(scaler.transform(features(made.train)), made.labels(made.train))
    assert fitted.answer(test) == pytest.approx(whole.predict_proba(scaler.transform(features(test))), abs=2e-3)


def test_the_filter_bank_sees_what_goes_together_where_band_power_sees_nothing() -> None:
    """A rhythm at two electrodes, in phase or in opposition: powers are the same."""
    store = MadeStore()
    time = np.arange(SECONDS * RATE) / RATE
    for index, row in enumerate(store.rows):
        rng = np.random.default_rng(SUBJECTS.index(row.subject))  # the same noise in all recordings of a person
        signal = 10 * rng.standard_normal((SECONDS * RATE, len(CHANNELS)))
        hertz = 20 if row.labels[0].label == "none" else 10
        signal[:, :2] += 15 * np.sin(2 * np.pi * (hertz * time + rng.random()))[:, None]
        signal[:, 1] *= -1 if row.labels[0].label == "beta" else 1
        store.signals[index] = signal.astype(np.float32)
    made, test = material(store)
    truth = made.labels(test)
    assert score(truth, filter_bank(made).answer(test), options=3).balanced_accuracy == 1
    two = truth < 2
    powers = band_powers(made).answer(test)
    assert powers[truth == 0] == pytest.approx(powers[truth == 1])
    assert score(truth[~two], powers[~two], options=3).balanced_accuracy == 1


def test_validation_subjects_have_no_part_where_training_people_choose() -> None:
    made, _ = material(MadeStore())
    assert "by the likelihood of training subjects left out" in filter_bank(made).chosen
    store = MadeStore()
    for index, row in enumerate(store.rows):
        if row.subject in SPLIT.validation:
            store.signals[index] = 50 * store.signals[index][:, ::-1]
    other, _ = material(store)
    windows = made.train[:20]
    assert np.array_equal(filter_bank(made).answer(windows), filter_bank(other).answer(windows))
    alone, _ = material(MadeStore(), split=replace(SPLIT, train=SPLIT.train[:1]))
    assert filter_bank(alone).chosen.endswith("by validation balanced accuracy")  # nobody to leave out


def test_training_people_choose_a_strength_that_serves_the_next_one() -> None:
    """What tells the training people apart tells nothing of others: with it, strong regularisation is better."""
    made, _ = material(MadeStore())
    strengths = (1e-4, 1e2)

    def features(windows: list[Window], misled: float) -> np.ndarray:
        truth, rng = np.eye(3)[made.labels(windows)], np.random.default_rng(len(windows))
        own = np.array([SUBJECTS.index(w.subject) for w in windows])
        sides = np.stack([np.random.default_rng(n).standard_normal((3, 40)) for n in range(len(SUBJECTS))])
        noise = rng.standard_normal((len(windows), 3))
        return np.hstack([truth + 0.5 * noise, misled * sides[own, truth.argmax(axis=1)]])

    for misled, best in ((0, 1e2), (1, 1e-4)):
        fitted = logistic(made, lambda w, m=misled: features(w, m), strengths=strengths, nested=True)
        assert fitted.chosen.startswith(f"C = {best:g} of ")


def test_blocks_of_features_weigh_the_same_however_many_they_are() -> None:
    made, test = material(MadeStore())
    rng = np.random.default_rng(0)
    table = {w: rng.standard_normal(40) + 0.5 * made.labels([w]) for w in (*made.train, *made.validation, *test)}

    def features(windows: list[Window]) -> np.ndarray:
        return np.stack([table[w] for w in windows])

    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    fitted = logistic(made, features, strengths=(0.01,), blocks=(30, 10))
    scaler, size = StandardScaler().fit(features(made.train)), np.sqrt([20 / 30] * 30 + [20 / 10] * 10)
    whole = LogisticRegression(C=0.01, class_weight="balanced")
    whole.fit(scaler.transform(features(made.train)) * size, made.labels(made.train))
    assert fitted.answer(test) == pytest.approx(whole.predict_proba(scaler.transform(features(test)) * size), abs=1e-3)


def test_the_probe_takes_means_over_time_of_the_channels_shared(tokenizer: NeuralTokenizer) -> None:
    """Whatever the order of the electrodes in a recording: the encoder is told which is which."""
    made, test = material(MadeStore())
    plain = linear_probe(made, tokenizer, torch.device("cpu")).answer(test)
    assert plain.shape == (len(test), 3)
    assert plain.sum(axis=1) == pytest.approx(1)
    store = MadeStore()
    store.signals[5] = store.signals[5][:, ::-1]
    store.change(5, channels=CHANNELS[::-1])
    assert linear_probe(material(store)[0], tokenizer, torch.device("cpu")).answer(test) == pytest.approx(
        plain, abs=1e-3
    )


def test_order_of_channels_in_a_recording_does_not_matter() -> None:
    made, test = material(MadeStore())
    store = MadeStore()
    store.signals[5] = store.signals[5][:, ::-1]
    store.change(5, channels=CHANNELS[::-1])
    other, _ = material(store)
    for fit in (band_powers, tangent_space, filter_bank):
        assert fit(other).answer(test) == pytest.approx(fit(made).answer(test), abs=1e-4)


@pytest.mark.parametrize("name", (BAND_POWER, FILTER_BANK, CLASSICAL, FOREST))
def test_class_without_training_windows_has_probability_zero(name: str) -> None:
    store = MadeStore()
    for index, row in enumerate(store.rows):
        if row.subject in SPLIT.train and row.labels[0].label == "none":
            store.change(index, labels=())
    made, test = material(store)
    found = FITS[name](made).answer(test)
    assert (found[:, 2] == 0).all()
    assert found.sum(axis=1) == pytest.approx(1)


def test_numbers_are_labels_by_their_ranges() -> None:
    bins = (0.0, 10.0, 20.0, 30.0)
    names = ("0 to 10", "10 to 20", "20 to 30")
    task = replace(TASK, options=tuple(Option(label=name, text=name) for name in names), bins=bins)
    store = MadeStore()
    ages = {"alpha": "3", "beta": "14.5", "none": "30"}
    for index, row in enumerate(store.rows):
        store.change(index, labels=(Label("rhythm", ages[row.labels[0].label], 0, SECONDS),))
    made, test = material(store, task=task)
    plain, same = material(MadeStore())
    assert np.array_equal(band_powers(made).answer(test), band_powers(plain).answer(same))


def test_only_channels_that_all_recordings_have_are_used() -> None:
    store = MadeStore()
    store.change(20, channels=("C3", "C4", "O2"))
    made, _ = material(store)
    assert made.channels == ("C3", "C4")
    assert band_powers(made).fitted_on.endswith("on 2 channels that all recordings share")
    store.change(21, channels=("FZ", "CZ", "PZ"))
    with pytest.raises(StoreError, match="recordings of task rhythm share no channel"):
        material(store)


def test_missing_windows_and_labels_are_named() -> None:
    with pytest.raises(StoreError, match="no labelled windows of task rhythm in the validation subjects"):
        material(MadeStore(), split=replace(SPLIT, validation=("made/9",)))
    store = MadeStore()
    store.change(0, labels=(Label("rhythm", "theta", 0, SECONDS),))
    with pytest.raises(ConfigError, match="no label 'theta': its labels are alpha, beta, none"):
        material(store)
    for index in range(len(store.rows)):
        store.change(index, labels=(Label("rhythm", "beta", 0, SECONDS),))
    with pytest.raises(StoreError, match="all training windows of task rhythm are 'beta'"):
        material(store)


def test_names_are_taken_in_the_order_of_the_table() -> None:
    assert choose_baselines(None) == BASELINES
    assert choose_baselines([PROBE, BAND_POWER]) == (BAND_POWER, PROBE)
    assert choose_baselines([]) == ()
    with pytest.raises(ConfigError, match="unknown baseline 'svm': choose one of majority, band power"):
        choose_baselines(["svm"])


def test_answers_are_kept_and_fitted_anew_where_anything_differs(tmp_path: Path, micro_store: Path, tokenizer) -> None:
    store, task = Store(micro_store), load_task("workload")
    split = task.split(store)
    windows, told = task.windows(store, split, "test"), []
    given = {"tokenizer": tokenizer, "device": torch.device("cpu"), "cache": tmp_path, "progress": told.append}

    def fit(windows: list[Window]) -> object:
        told.clear()
        return fit_baselines((BAND_POWER, PROBE), store, task, split, windows, **given)

    first = fit(windows)
    assert told == ["workload: band power", "workload: linear probe"]
    assert fit(windows) == first and not told
    assert fit(windows[1:]) != first and len(told) == 2
    with torch.no_grad():
        next(tokenizer.encoder.parameters()).add_(1)
    fit(windows)
    assert told == ["workload: linear probe"]  # another encoder; band power has none


def test_what_needs_a_package_that_is_not_there_says_so_and_is_tried_again(
    tmp_path: Path, micro_store: Path, tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, task = Store(micro_store), load_task("workload")
    split = task.split(store)
    windows = task.windows(store, split, "test")
    given = {"tokenizer": tokenizer, "device": torch.device("cpu"), "cache": tmp_path}
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "antropy", None)
        (missing,) = fit_baselines((CLASSICAL,), store, task, split, windows, **given)
        assert missing.missing == "classical features need antropy: pip install 'neurolm[baselines]'"
    (found,) = fit_baselines((CLASSICAL,), store, task, split, windows, **given)
    assert len(found.probabilities) == len(windows)
