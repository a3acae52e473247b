"""`neurolm prepare --filters causal`: the store says it, and so does whatever is made of it."""

import json

import numpy as np
import pytest

from neurolm.core.errors import ConfigError, StoreError
from neurolm.core.recipes import recipe
from neurolm.corpora import source
from neurolm.demo import _filters
from neurolm.prepare.prepare import prepare
from neurolm.recording.preprocess import preprocess
from neurolm.store.info import store_info
from neurolm.store.store import MANIFEST, SETTINGS, Store
from neurolm.train.run import open_run


@pytest.fixture(scope="module")
def recordings(tmp_path_factory, write_edf):
    """Recordings of four people, at rest and not."""
    root = tmp_path_factory.mktemp("input") / "clinic"
    lines = ["file,start,stop,task,label,subject"]
    for n in range(5):
        write_edf(root / f"{n}.edf", seed=n)
        lines += [f"{n}.edf,0,6,workload,No,s{n}", f"{n}.edf,6,12,workload,Yes,s{n}"]
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    (root / "corpus.json").write_text('{"licence": "CC0", "mains": 50}')
    return root


@pytest.fixture(scope="module")
def causal(recordings, tmp_path_factory):
    """The store of causal filters."""
    out = tmp_path_factory.mktemp("stores") / "causal"
    prepare(recordings, out, jobs=1, filters="causal")
    return out


def test_the_store_holds_causally_filtered_eeg_and_says_so(recordings, causal):
    store = Store(causal)
    assert store.filters == store.rows[2].filters == store_info(causal).filters == "causal"
    expected = preprocess(source.open_recording(recordings / "2.edf"), mains=50.0, filters="causal").signal
    np.testing.assert_allclose(store.microvolts(2, 0, 2400), expected, atol=0.0501)
    assert json.loads((causal / SETTINGS).read_text())["corpora"]["clinic"]["filters"] == "causal"


def test_a_store_that_does_not_say_it_is_zero_phase(recordings, causal, tmp_path):
    prepare(recordings, tmp_path / "s", jobs=1)
    store = Store(tmp_path / "s")
    assert store.filters == "zero-phase" and store.fingerprint != Store(causal).fingerprint
    for name in (MANIFEST, SETTINGS, "sources/clinic.jsonl"):
        assert "filters" not in (tmp_path / "s" / name).read_text()
        assert "filters" in (causal / name).read_text()


def test_a_store_has_filters_of_one_kind(recordings, causal, tmp_path, write_edf):
    with pytest.raises(StoreError, match="'clinic' in this store were prepared with filters='causal', not 'zero-"):
        prepare(recordings, causal, jobs=1)
    write_edf(tmp_path / "other" / "a.edf", seed=7)
    with pytest.raises(StoreError, match=r"'clinic' in this store were prepared .*'causal'.*another folder"):
        prepare(tmp_path / "other", causal, jobs=1)
    with pytest.raises(ConfigError, match="filters='both': choose one of zero-phase, causal"):
        prepare(recordings, tmp_path / "s", jobs=1, filters="both")
    assert prepare(recordings, causal, jobs=1, filters="causal").skipped == 5


def test_a_run_takes_it_from_its_store(causal, recordings, micro_config, tmp_path):
    run = open_run(tmp_path / "run", config=micro_config, store=causal, device="cpu")
    assert run.card("tokenizer", 3).filters == "causal"
    prepare(recordings, tmp_path / "s", jobs=1)
    run = open_run(tmp_path / "other", config=micro_config, store=tmp_path / "s", device="cpu")
    assert run.card("tokenizer", 3).filters == "zero-phase"


def test_the_demo_filters_as_its_recipe_needs_unless_it_has_begun(causal, recordings, tmp_path):
    assert _filters(tmp_path / "none", recipe("causal-tiny")) == "causal"
    assert _filters(tmp_path / "none", recipe("tiny")) == "zero-phase"
    assert _filters(causal, recipe("tiny")) == "causal"
    prepare(recordings, tmp_path / "s", jobs=1)
    assert _filters(tmp_path / "s", recipe("causal-tiny")) == "zero-phase"
