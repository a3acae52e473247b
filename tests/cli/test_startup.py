"""What verbs that answer load, and what they leave alone: what is not used takes longer to import than all they do."""

import gc
import subprocess
import sys

import numpy as np
import pytest
from edfio import Edf, EdfSignal

from neurolm.cli import ask

NEVER = {"sklearn", "pyriemann", "matplotlib", "pandas", "mne", "jinja2", "huggingface_hub", "requests", "sympy",
         "peft", "transformers", "torch._dynamo", "torch._inductor", "torch.nn.attention.flex_attention",
         "scipy.signal", "scipy.stats", "scipy.optimize", "scipy.linalg", "scipy.sparse", "scipy.io"}  # fmt: skip
"""What nothing needs that reads an EDF file and asks a model about it."""
CODE = """
import sys
from neurolm.cli import main
never, *arguments = sys.argv[1:]
status = main(arguments)
print(status, sorted(set(never.split()) & set(sys.modules)), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory, rhythm):
    """A recording at 250 Hz, so that all of filtering and resampling is needed."""
    signal = np.concatenate([rhythm("Yes", 14, 2, (1,)), rhythm("No", 14, 2, (2,))])
    path = tmp_path_factory.mktemp("startup") / "a.edf"
    pairs = zip(signal.T[:, : len(signal) // 250 * 250], ("C3", "O1"), strict=True)
    Edf([EdfSignal(x, 250, label=n, physical_dimension="uV") for x, n in pairs], data_record_duration=1).write(path)
    return path


def loaded(arguments, never=NEVER) -> str:
    """Exit status of a command in a process of its own, and which of some modules it loaded."""
    words = [sys.executable, "-c", CODE, " ".join(sorted(never)), *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=250)
    return done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    "words", [["ask", "Is this EEG segment of high workload?"], ["embed", "--out", "e.npz"]], ids=lambda words: words[0]
)
def test_answering_loads_what_it_uses(words, evidence_run, file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    verb, *others = words
    assert loaded([verb, file, *others, "--model", evidence_run]) == "0 []"


def test_inspecting_loads_no_torch(file):
    assert loaded(["inspect", file], NEVER | {"torch"}) == "0 []"


def test_garbage_is_collected_again_after_a_model_was_loaded():
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError), ask._without_collecting():
        assert not gc.isenabled()
        raise ZeroDivisionError
    assert gc.isenabled()
