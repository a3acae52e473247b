"""What benchmarks/protocols.py makes of texts that cannot be parsed."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neurolm.evaluation.official_protocol import UNPARSED, score_hard
from neurolm.evaluation.results import load_evaluation

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "protocols.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("benchmark_protocols", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def result(micro_run):
    """A task of two options whose every answer was written as it should have been."""
    found = load_evaluation(micro_run.folder / "evaluation.json").results[1]
    labels = found.predictions.labels
    return replace(found, official=score_hard(labels, labels, options=2))


def test_so_many_answers_fail_and_the_others_stay(script, result):
    found = np.array(script.failing(result, 0.25))
    failed = found == UNPARSED
    assert failed.sum() == 5 and len(found) == 20
    assert (found[~failed] == np.array(result.predictions.labels)[~failed]).all()


def test_failures_cost_their_share_and_the_script_is_credited_for_no(script, result):
    (rows,) = script.failure_table([result]).texts()
    assert [row[1] for row in rows] == ["0/20", "1/20", "2/20", "4/20"]
    assert rows[0][2:] == ("1.000",) * 6
    answers, labels = np.array(script.failing(result, 0.2)), np.array(result.predictions.labels)
    wrong = np.mean([(answers[labels == c] == c).mean() for c in (0, 1)])
    credited = np.mean([(answers[labels == 0] == 0).mean(), 1.0])  # a failure counts as the last class, "No"
    assert rows[3][2:4] == (f"{wrong:.3f}", f"{credited:.3f}") and credited > wrong
