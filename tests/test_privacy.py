"""Who a recording is of stays in the recording: nothing of its header or of its free text goes further."""

import contextlib
import datetime
import io
import json
from dataclasses import replace
from pathlib import Path

import edfio
import numpy as np
import pytest

import neurolm
from neurolm.cli import main
from neurolm.evaluation.evaluate import evaluate
from neurolm.evaluation.results import RESULTS
from neurolm.prepare.prepare import prepare
from neurolm.store.store import SOURCES, Store
from neurolm.train.instruct import train_instruct
from neurolm.train.language import train_language
from neurolm.train.pretrain import train_pretrain
from neurolm.train.run import open_run
from neurolm.train.tokenizer import train_tokenizer

PLANTED = (
    "Hildegard", "Rosenzweig", "MRN-7719-X", "1961", "61-07", "07.61", "JUL", "Dr_Weissmueller", "ADM-4242", "schizo",
    "headbox-99", "called_her_sister",
)  # fmt: skip
"""What is planted in every header, and texts that would be left of it."""
HEADER = "file,start,stop,task,label,subject\n"


def write(path: Path, signal: np.ndarray) -> None:
    """An EDF+ file that says all that one can say of a person."""
    edfio.Edf(
        [edfio.EdfSignal(one, 200, label=f"EEG {name}", physical_dimension="uV", transducer_type="headbox-99")
         for name, one in zip(("C3", "O1"), signal.T, strict=True)],
        patient=edfio.Patient(code="MRN-7719-X", sex="F", birthdate=datetime.date(1961, 7, 13),
                              name="Hildegard_Rosenzweig", additional=("schizo",)),
        recording=edfio.Recording(startdate=datetime.date(2020, 3, 2), hospital_administration_code="ADM-4242",
                                  investigator_technician_code="Dr_Weissmueller", equipment_code="headbox-99"),
        annotations=[edfio.EdfAnnotation(3.0, None, "Hildegard called_her_sister")],
    ).write(path)  # fmt: skip


def found_in(folder: Path) -> dict[str, list[str]]:
    """What is planted and found, by file; names of files included."""
    needles = [text.encode().lower() for text in PLANTED]
    hits = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if path.name.endswith((".safetensors", "tokenizer.json", ".bin", ".npz")) or path.parent.name == "shards":
            continue  # numbers and English
        content = str(path.relative_to(folder)).encode() + b"\n" + path.read_bytes()
        if found := [needle.decode() for needle in needles if needle in content.lower()]:
            hits[str(path.relative_to(folder))] = found
    return hits


@pytest.fixture(scope="module")
def data(tmp_path_factory, rhythm) -> Path:
    folder = tmp_path_factory.mktemp("private") / "ward"
    folder.mkdir()
    lines = []
    for number in range(6):
        signal = np.concatenate([rhythm(label, 12, 2, (number, k)) for k, label in enumerate(("No", "Yes"))])
        write(folder / f"n{number}.edf", signal)
        lines += [f"n{number}.edf,0,12,workload,No,p{number}", f"n{number}.edf,12,24,workload,Yes,p{number}"]
    (folder / "labels.csv").write_text(HEADER + "\n".join(lines) + "\n")
    whole = (folder / "n0.edf").read_bytes()
    (folder / "cut.edf").write_bytes(whole[:-1000])
    (folder / "odd.edf").write_bytes(whole[:168] + b"99.99.61" + whole[176:])
    (folder / "labels.csv").write_text((folder / "labels.csv").read_text() + "cut.edf,,,,,p0\nodd.edf,,,,,p0\n")
    return folder


@pytest.fixture(scope="module")
def store(data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("private") / "store"
    report = prepare(data, out, jobs=1)
    assert report.recordings >= 6 and report.quarantined >= 1
    return out


def test_what_is_planted_is_in_the_recordings(data):
    assert {text for texts in found_in(data).values() for text in texts} >= {
        "hildegard", "rosenzweig", "mrn-7719-x", "1961", "jul", "adm-4242", "schizo", "called_her_sister"
    }  # fmt: skip


def test_nothing_of_it_is_in_the_store(store):
    assert found_in(store) == {}


def test_nothing_of_it_is_in_a_run_or_what_is_published_of_it(store, micro_config, micro_texts, tmp_path):
    folder = tmp_path / "run"
    run = open_run(folder, config=micro_config, store=store, tasks=["workload"], device="cpu")
    for train in (train_language, train_tokenizer, train_pretrain, train_instruct):
        train(run, texts=micro_texts)
    evaluate(folder / "instruct", store, baselines=[], out=folder / RESULTS)
    assert found_in(folder) == {}
    published = neurolm.load(folder, device="cpu").save_pretrained(tmp_path / "published")
    assert found_in(published) == {}
    subjects = {row.subject.partition("/")[2] for row in Store(store).rows}
    for file in published.iterdir():
        if file.suffix in (".json", ".md") and file.name != "tokenizer.json":
            assert not [one for one in subjects if f"/{one}" in file.read_text()], file


def test_a_look_at_a_recording_does_not_tell_who_it_is(data):
    for arguments in (["inspect", str(data / "n0.edf")], ["inspect", str(data / "n0.edf"), "--json"]):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            main(arguments)
        said = out.getvalue().lower()
        assert "c3" in said
        assert [text for text in PLANTED if text.lower() in said.replace("hildegard called_her_sister", "")] == []


def test_annotations_are_kept_only_where_labels_come_from_them(tmp_path, data):
    """EEGMMIDB's labels do. Where they were not kept and are needed, the recording is prepared again."""
    folder = tmp_path / "eegmmidb" / "S001"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).normal(0, 20, (3, 160 * 12))
    signals = [
        edfio.EdfSignal(one, 160, label=name, physical_dimension="uV")
        for name, one in zip(("C3..", "C4..", "O1.."), noise, strict=True)
    ]
    marks = [edfio.EdfAnnotation(onset, 4.0, text) for onset, text in ((0.0, "T0"), (4.0, "T1"), (8.0, "T2"))]
    edf = edfio.Edf(signals, annotations=marks)
    edf.write(folder / "S001R03.edf")
    out = tmp_path / "store"
    prepare(tmp_path / "eegmmidb", out, corpus="eegmmidb", jobs=1)
    (journal,) = (out / SOURCES).glob("*.jsonl")
    entry = json.loads(journal.read_text())
    assert [mark["text"] for mark in entry["annotations"]] == ["T0", "T1", "T2"]
    assert prepare(tmp_path / "eegmmidb", out, corpus="eegmmidb", jobs=1).skipped == 1
    rows = list(Store(out).rows)
    journal.write_text(json.dumps(entry | {"annotations": None}) + "\n")
    assert prepare(tmp_path / "eegmmidb", out, corpus="eegmmidb", jobs=1).skipped == 0
    assert [replace(row) for row in Store(out).rows] == rows
    assert json.loads(journal.read_text()) == entry
