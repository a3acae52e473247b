"""Disturbances do what they say, of the strength they say, the same every time."""

import numpy as np
import pytest
from scipy.signal import welch

from neurolm.ask.calibration import Calibration
from neurolm.ask.prompt import Prompt, option_probabilities
from neurolm.batches.loader import read_sample
from neurolm.checkpoint import load_neurolm
from neurolm.core.physics import RATE
from neurolm.evaluation.evaluate import evaluate
from neurolm.evaluation.robustness import LENGTHS, MAINS, NOISE, RATES, SHARES, disturbances, robustness_curves
from neurolm.store.store import Store
from neurolm.tasks.metrics import score

NAMES = ["FP1", "FP2", "C3", "CZ", "C4", "T7", "T8", "O1", "O2", "PZ"]
KNOWN = [*NAMES, "F3", "F4"]


def disturbed(name: str, severity: str, signal: np.ndarray) -> tuple[np.ndarray, list[str]]:
    found = next(d for d in disturbances(KNOWN) if d.name == name)
    change = dict(found.severities)[severity]
    return change(signal, list(NAMES), np.random.default_rng(0))


@pytest.fixture
def signal() -> np.ndarray:
    return 20 * np.random.default_rng(1).standard_normal((8 * RATE, len(NAMES)))


@pytest.mark.parametrize(("share", "lost"), [("1", 1), ("25", 2), ("50", 5)])
def test_channels_are_dropped_flattened_and_renamed(signal, share, lost):
    kept, names = disturbed("dropped channels", share, signal)
    assert len(names) == kept.shape[1] == len(NAMES) - lost
    assert all(np.array_equal(kept[:, n], signal[:, NAMES.index(name)]) for n, name in enumerate(names))
    flat, names = disturbed("flat channels", share, signal)
    assert names == NAMES
    assert (flat == 0).all(axis=0).sum() == lost and (flat == signal).all(axis=0).sum() == len(NAMES) - lost
    same, names = disturbed("unknown electrodes", share, signal)
    assert np.array_equal(same, signal)
    assert len(set(names)) == len(NAMES) and len(set(names) - set(KNOWN)) == lost


@pytest.mark.parametrize("name", ["white noise", "pink noise", "mains 50 Hz", "mains 60 Hz"])
@pytest.mark.parametrize("decibel", ["20", "0"])
def test_noise_has_its_power_and_spectrum(signal, name, decibel):
    added = disturbed(name, decibel, signal)[0] - signal
    assert 10 * np.log10(signal.var() / added.var()) == pytest.approx(float(decibel), abs=0.01)
    hertz, power = welch(added, fs=RATE, nperseg=2 * RATE, axis=0)
    power = power.mean(axis=1)
    if name.startswith("mains"):
        assert hertz[power.argmax()] == float(name.split()[1])
        assert np.ptp(added, axis=1).max() < 1e-9  # the same everywhere
    else:
        slope = np.polyfit(np.log(hertz[4:150]), np.log(power[4:150]), 1)[0]
        assert slope == pytest.approx(-1 if name == "pink noise" else 0, abs=0.15)


@pytest.mark.parametrize("rate", [str(rate) for rate in RATES])
def test_resampled_signals_keep_what_the_rate_can_carry(rate):
    time = np.arange(8 * RATE) / RATE
    low, high = (np.sin(2 * np.pi * hertz * time)[:, None] * np.ones(len(NAMES)) for hertz in (10, 70))
    middle = slice(RATE, -RATE)
    assert disturbed("resampled", rate, low)[0][middle] == pytest.approx(low[middle], abs=0.02)
    left = disturbed("resampled", rate, high)[0][middle].std() / high.std()
    assert left < 0.01 if rate == "100" else left > 0.9 if int(rate) >= 256 else True


def test_windows_get_shorter_by_whole_seconds(signal):
    for share, seconds in zip(LENGTHS, (6, 4, 2), strict=True):
        assert np.array_equal(disturbed("shorter windows", f"{100 * share:g}", signal)[0], signal[: seconds * RATE])
    assert len(disturbed("shorter windows", "25", signal[:RATE])[0]) == RATE


def test_references_are_subtracted(signal):
    average = disturbed("other reference", "common average", signal)[0]
    assert average.mean(axis=1) == pytest.approx(0, abs=1e-12)
    pair = disturbed("other reference", "temporal pair", signal)[0]
    assert pair[:, 5] == pytest.approx(-pair[:, 6])
    electrode = disturbed("other reference", "Cz", signal)[0]
    assert not electrode[:, 3].any() and electrode[:, 0] == pytest.approx(signal[:, 0] - signal[:, 3])


def test_curves_begin_with_the_answers_to_the_undisturbed_windows(micro_run):
    model, card, text = load_neurolm(micro_run.folder / "instruct")
    store, task = Store(micro_run.store), card.tasks[0]
    fitted = Calibration.load(micro_run.folder / "instruct").of(task.name)
    windows = task.windows(store, task.split(store), "test")
    prompt, cpu = Prompt.of(task, text, card.run.model.vocabulary.separator), next(model.parameters()).device
    curves = robustness_curves(model, prompt, store, task, windows, card, cpu, calibration=fitted)
    plain = option_probabilities(
        model, prompt, [read_sample(store, w) for w in windows], device=cpu, calibration=fitted
    )
    wanted = score(np.array([task.index(w.label) for w in windows]), plain, options=len(task.options))
    counts = {"white noise": len(NOISE), "mains 50 Hz": len(MAINS), "dropped channels": len(SHARES)}
    for curve in curves:
        first = curve.points[0]
        assert (first.severity, curve.windows) == ("none", len(windows))
        assert (first.balanced_accuracy, first.ece) == pytest.approx((wanted.balanced_accuracy, wanted.ece), abs=1e-5)
        assert len(curve.points) == 1 + counts.get(curve.disturbance, len(curve.points) - 1)
    assert len(curves) == 10
    again = evaluate(micro_run.folder / "instruct", store.path, tasks=[task.name], baselines=[], robustness=True)
    assert again.results[0].robustness == curves
