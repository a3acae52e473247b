"""BIDS data sets: the real one, simulated ones with labels, and ones that are wrong."""

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from edfio import Edf, EdfSignal

from neurolm.core.errors import ConfigError, RecordingError, StoreError
from neurolm.corpora import LAYOUTS, layout_of
from neurolm.store.store import Label

pytest.importorskip("mne_bids")
MINUTE = SimpleNamespace(seconds=60.0, annotations=())
EVENTS = (
    "onset\tduration\ttrial_type\tvalue\n0.5\t10\topen\t1\n11\t10\tclosed\t2\n30\t0\tblink\tn/a\n40\tn/a\tn/a\tn/a\n"
)
LABELS = {"task": "eyes", "labels": {"open": "No", "closed": "Yes"}}


@pytest.fixture
def tiny(shared, tmp_path) -> Path:
    return Path(shutil.copytree(shared / "eeg" / "formats" / "bids" / "tiny_bids", tmp_path / "tiny_bids"))


def recording(path: Path, seconds: int = 60) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).normal(0, 20, (3, seconds * 200))
    names = zip(("Fp1", "Cz", "VEOG"), noise, strict=True)
    Edf([EdfSignal(x, 200, label=n, physical_dimension="uV", physical_range=(-500, 500)) for n, x in names]).write(path)


def data_set(root: Path, about: dict | None = LABELS) -> Path:
    """Two subjects with a task, one with a resting state that has no events."""
    root.mkdir(exist_ok=True)
    (root / "dataset_description.json").write_text(
        json.dumps({"Name": "Eyes", "BIDSVersion": "1.8.0", "License": "CC0", "DatasetDOI": "doi:10.1/x"})
    )
    (root / "participants.tsv").write_text("participant_id\tgroup\nsub-01\ttrain\nsub-02\ttest\nsub-03\tn/a\n")
    for name in ("sub-01_task-eyes", "sub-02_task-eyes", "sub-03_task-rest"):
        stem = root / name.partition("_")[0] / "eeg" / name
        recording(Path(f"{stem}_eeg.edf"))
        Path(f"{stem}_eeg.json").write_text('{"TaskName": "x", "PowerLineFrequency": 50}')
        Path(f"{stem}_channels.tsv").write_text("name\ttype\tunits\nFp1\tEEG\tuV\nCz\tEEG\tuV\nVEOG\tVEOG\tuV\n")
        if "rest" not in name:
            Path(f"{stem}_events.tsv").write_text(EVENTS)
    if about is not None:
        (root / "corpus.json").write_text(json.dumps(about))
    return root


def test_the_real_data_set(tiny):
    for copy in ("derivatives/pipeline", "sourcedata"):  # mne-bids lists these too
        shutil.copytree(tiny / "sub-01", tiny / copy / "sub-01")
    assert layout_of(tiny) == "bids"
    (source,) = LAYOUTS["bids"].sources(tiny)
    assert source.path == tiny / "sub-01/ses-eeg/eeg/sub-01_ses-eeg_task-rest_eeg.vhdr"
    assert (source.corpus, source.subject, source.mains) == ("tiny_bids", "sub-01", 60.0)
    assert (source.licence, source.labels) == ("not stated; tiny_bids", ())


def test_labels_of_the_real_data_set_are_its_events_as_mne_bids_reads_them(tiny):
    import mne_bids

    about = {"task": "t", "labels": {"start_experiment": "a", "show_stimulus": "b"}, "seconds": 0.2}
    (tiny / "corpus.json").write_text(json.dumps(about))
    (source,) = LAYOUTS["bids"].sources(tiny)
    raw = mne_bids.read_raw_bids(mne_bids.get_bids_path_from_fname(source.path), verbose="error")
    found = source.labelled(SimpleNamespace(seconds=raw.n_times / raw.info["sfreq"], annotations=()))
    assert [(label.start, {"a": "start_experiment", "b": "show_stimulus"}[label.label]) for label in found] == [
        (pytest.approx(a["onset"]), a["description"].rpartition("/")[0] or a["description"]) for a in raw.annotations
    ]  # fmt: skip
    assert [label.stop for label in found] == pytest.approx([0.2, 0.4])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_simulated_data_set(tmp_path, monkeypatch):
    root = data_set(tmp_path / "eyes")
    assert layout_of(root) == "bids"
    one, two, rest = LAYOUTS["bids"].sources(root)
    assert [source.subject for source in (one, two, rest)] == ["sub-01", "sub-02", "sub-03"]
    assert (one.corpus, one.licence, one.mains) == ("eyes", "CC0; doi:10.1/x", 50.0)
    assert one.labelled(MINUTE) == (Label("eyes", "No", 0.5, 10.5), Label("eyes", "Yes", 11.0, 21.0))
    assert two.labelled(MINUTE) == one.labelled(MINUTE) and rest.labelled(MINUTE) == ()
    opened = one.open_recording()
    assert (opened.channels, opened.seconds) == (("FP1", "CZ"), 60.0)
    monkeypatch.chdir(root)
    assert [source.path for source in LAYOUTS["bids"].sources(Path())] == [
        x.path.relative_to(root) for x in (one, two, rest)
    ]


def test_corpus_json_says_name_terms_lengths_and_split(tmp_path):
    about = {"name": "own", "licence": "CC BY", "citation": "Doe", "mains": 60, "task": "eyes", "column": "value"}
    about |= {"labels": {"1": "No", "2": "Yes"}, "seconds": 55, "split": "group"}
    root = data_set(tmp_path / "eyes", about)
    for events in root.rglob("*_events.tsv"):
        events.write_text("onset\tduration\tvalue\n0.5\tn/a\t1\n")
    with pytest.raises(ConfigError, match=r"'2' under labels occurs in no events\.tsv; the column value has 1"):
        LAYOUTS["bids"].sources(root)
    (root / "corpus.json").write_text(json.dumps(about | {"labels": {"1": "No"}}))
    one, two, _ = LAYOUTS["bids"].sources(root)
    assert (one.corpus, one.licence, one.mains) == ("own", "CC BY; Doe", 60.0)
    assert one.labelled(MINUTE) == (Label("eyes", "No", 0.5, 55.5, "train"),)
    assert two.labelled(SimpleNamespace(seconds=20.0, annotations=())) == (Label("eyes", "No", 0.5, 20.0, "test"),)


def change(name: str, old: str, new: str):
    """An edit of a file of the data set; without a new text the file is taken away."""

    def edit(root: Path) -> None:
        (path,) = root.rglob(name)
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new)) if old else path.unlink()

    return edit


@pytest.mark.parametrize(
    ("edit", "error", "message"),
    [
        (change("sub-01*_events.tsv", "", ""), StoreError, r"sub-01_task-eyes_events\.tsv: no such file, and it holds"),
        (change("dataset_desc*", "", ""), StoreError, r"dataset_description\.json: no such file; every BIDS data set"),
        (change("dataset_desc*", "{", ""), StoreError, r"dataset_description\.json: not valid JSON"),
        (change("participants.tsv", "", ""), StoreError, r"participants\.tsv: no such file"),
        (change("participants.tsv", "group", "grp"), ConfigError, r"line 1: the column group is missing; found parti"),
        (change("participants.tsv", "test", "eval"), ConfigError, r"line 3: group must be one of train, .*'eval'"),
        (change("sub-02*_events.tsv", "trial_type", "type"), ConfigError, r"line 1: the column trial_type is missing"),
        (change("sub-02*_events.tsv", "0.5\t10", "x\t10"), ConfigError, r"events\.tsv, line 2: onset must be .*'x'"),
        (change("sub-02*_events.tsv", "0.5\t10", "0.5\tn/a"), ConfigError, r"line 2: the event 'open' has no duration"),
        (change("sub-02*_events.tsv", "\topen", "open"), ConfigError, r"line 2: not as many values as columns"),
        (change("corpus.json", '"open"', '"opne"'), ConfigError, r"corpus\.json: 'opne' under labels occurs in no"),
        (change("corpus.json", '"task": "eyes", ', ""), ConfigError, r"corpus\.json: give task and labels"),
    ],
)
def test_a_wrong_data_set_is_refused(tmp_path, edit, error, message):
    root = data_set(tmp_path / "eyes", LABELS | {"split": "group"})
    LAYOUTS["bids"].sources(root)
    edit(root)
    with pytest.raises(error, match=message):
        LAYOUTS["bids"].sources(root)


def test_labels_that_overlap_or_reach_too_far_are_named(tmp_path):
    one, *_ = LAYOUTS["bids"].sources(data_set(tmp_path / "eyes"))
    with pytest.raises(
        RecordingError, match=r"events\.tsv, line 3: the label 'Yes' \(11 to 21 s\) is outside of sub-01_task"
    ):
        one.labelled(SimpleNamespace(seconds=15.0, annotations=()))
    one, *_ = LAYOUTS["bids"].sources(data_set(tmp_path / "longer", LABELS | {"seconds": 20}))
    with pytest.raises(ConfigError, match=r"line 3: .* labelled 'Yes' from 11 s, but 'No' lasts until 20.5 s"):
        one.labelled(MINUTE)
    more = LABELS | {"seconds": 20, "overlap": True}
    one, *_ = LAYOUTS["bids"].sources(data_set(tmp_path / "locked", more))
    assert [(x.label, x.start, x.stop) for x in one.labelled(MINUTE)] == [("No", 0.5, 20.5), ("Yes", 11.0, 31.0)]


def test_what_is_no_data_set_is_refused(tmp_path, monkeypatch):
    with pytest.raises(StoreError, match=r"no EEG recordings of a BIDS data set .* give the folder with dataset_desc"):
        LAYOUTS["bids"].sources(tmp_path)
    monkeypatch.setitem(sys.modules, "mne_bids", None)
    with pytest.raises(StoreError, match=r"pip install 'neurolm\[bids\]'"):
        LAYOUTS["bids"].sources(tmp_path)


def test_tables_in_a_code_page_of_windows(tmp_path):
    root = data_set(tmp_path, LABELS | {"labels": {"geöffnet": "No", "zu": "Yes"}, "split": "Gruppe ä"})
    events = EVENTS.replace("open", "geöffnet").replace("closed", "zu")
    for file in root.glob("sub-*/eeg/*_events.tsv"):
        file.write_bytes(events.encode("cp1252"))
    for file in root.glob("sub-*/eeg/*_channels.tsv"):
        file.write_bytes(file.read_text().replace("\tuV", "\tµV").encode("latin-1"))
    (root / "participants.tsv").write_bytes(
        "participant_id\tGruppe ä\nsub-01\ttrain\nsub-02\ttest\nsub-03\tn/a\n".encode("latin-1")
    )
    first, *_ = LAYOUTS["bids"].sources(root)
    assert [(label.label, label.split) for label in first.labelled(MINUTE)] == [("No", "train"), ("Yes", "train")]
    assert first.open_recording().channels == ("FP1", "CZ")


def test_recordings_that_were_not_fetched_are_listed_so_that_they_are_named(tmp_path):
    root = data_set(tmp_path, about=None)
    file = root / "sub-01" / "eeg" / "sub-01_task-eyes_eeg.edf"
    file.unlink()
    file.symlink_to("../../.git/annex/objects/xx/yy/MD5E-s1--ab.edf/MD5E-s1--ab.edf")
    first, *others = LAYOUTS["bids"].sources(root)
    assert (first.path, first.subject, len(others)) == (file, "sub-01", 2)
    with pytest.raises(RecordingError, match=r"a link to a file that is not there .*datalad get"):
        first.open_recording()
