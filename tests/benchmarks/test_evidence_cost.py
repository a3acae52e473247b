"""What benchmarks/evidence_cost.py measures, and what benchmarks/readout.py lets people of other electrodes show."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from neurolm.ask import spectra
from neurolm.ask.explanation import without_electrode
from neurolm.batches.loader import read_sample
from neurolm.store.store import Store
from neurolm.tasks.card import load_task

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(BENCHMARKS / "evidence_cost.py"))


def test_windows_are_made_again_as_they_were_and_differ(script):
    windows = script["Windows"](5, 3, 2)
    assert len(list(windows)) == 5 and windows[0].channels == 3 and windows[0].seconds == 2
    np.testing.assert_array_equal(windows[4].patches, windows[4].patches)
    assert not np.allclose(windows[3].patches, windows[4].patches) and windows.spent > 0


def test_cost_is_of_all_features_and_windows(script):
    cost = script["measure"](3, 40, 4, 2)
    assert (cost.features, cost.fitted) == (spectra.count(3), 40)
    floats = cost.features * 4 + 2  # mean, scale and weights of two options, and offsets
    assert 4 * floats < cost.size * 1e6 < 4 * floats + 2000
    assert min(cost.describing, cost.fitting, cost.answer) > 0 and cost.memory > 50


@pytest.fixture(scope="module")
def montages():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from readout_studies import montages

        yield montages
    finally:
        sys.path.remove(str(BENCHMARKS))


def test_electrodes_that_are_not_seen_are_those_of_windows_without_them(montages, micro_store):
    windows = montages.Described.of(Store(micro_store), load_task("workload"))
    there = np.ones((len(windows.windows), 2), bool)
    there[3, 1] = False
    sample = read_sample(windows.store, windows.windows[3])
    electrodes = sorted(set(sample.channel.tolist()))
    expected = spectra.features([without_electrode(sample, electrodes[1])], electrodes)[0]
    found = montages.seen(windows, there).features
    np.testing.assert_allclose(found[3], expected, atol=1e-12)
    np.testing.assert_array_equal(np.delete(found, 3, axis=0), np.delete(windows.features, 3, axis=0))


def test_a_montage_for_each_label_says_nothing_where_the_eeg_says_nothing(montages, micro_store):
    windows = montages.Described.of(Store(micro_store), load_task("workload"))
    noise = np.random.default_rng(0).normal(size=windows.features.shape)
    blind = montages.replace(windows, features=noise)
    given = montages.seen(blind, np.array([[True, True], [True, False]])[blind.labels])
    answers = montages._answers(given, {"": given})[""]
    assert np.abs(np.log(answers[:, 0] / answers[:, 1])).mean() < 0.3
    assert len(list(montages.report(windows, 1))) == 7
