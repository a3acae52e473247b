"""Folders of tables and arrays become stores: by flags, by corpus.json, by a table of labels, and beside EEG files."""

import json
from pathlib import Path

import numpy as np
import pytest

from neurolm.cli import main
from neurolm.core.errors import StoreError
from neurolm.prepare.prepare import prepare
from neurolm.recording.options import ReadingOptions
from neurolm.store.store import Store

NAMES = ("Fp1", "Cz", "O2")
SIGNAL = np.random.default_rng(3).normal(0, 20, (3, 4000))


def table(path: Path, *, times: bool = True, names: bool = True, signal: np.ndarray = SIGNAL) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [",".join([*(["time"] if times else []), *NAMES])] if names else []
    lines += [
        ",".join([*([f"{i / 250:.3f}"] if times else []), *(f"{value:.4f}" for value in values)])
        for i, values in enumerate(signal.T)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def rows(store: Path) -> dict[str, tuple[tuple[str, ...], int, str]]:
    return {row.source: (row.channels, row.samples, row.unit) for row in Store(store).rows}


def test_flags_make_recordings_of_a_folder_of_arrays(tmp_path):
    data, out = tmp_path / "data", tmp_path / "store"
    table(data / "a" / "r.txt", times=False, names=False)
    (data / "b").mkdir()
    np.save(data / "b" / "r.npy", SIGNAL)
    (data / "notes.txt").write_text("of one evening\n")
    with pytest.raises(StoreError, match=r"no EEG recordings in this folder; .* it holds 2 \.txt, 1 \.npy .*rate=250"):
        prepare(data, out, jobs=1)
    reading = ReadingOptions(rate=250, unit="uV", channels=NAMES)
    prepare(data, out, reading=reading, jobs=1)
    expected = (("FP1", "CZ", "O2"), 3200, "uV")
    assert rows(out) == {"a/r.txt": expected, "b/r.npy": expected}
    with pytest.raises(StoreError, match=r"were prepared with rate=250, not 256"):
        prepare(data, out, reading=ReadingOptions(rate=256, unit="uV", channels=NAMES), jobs=1)


def test_corpus_json_says_what_the_files_do_not(tmp_path):
    data, out = tmp_path / "data", tmp_path / "store"
    table(data / "a.csv", times=False)
    np.savez(data / "b.npz", eeg=SIGNAL.T)
    about = {"rate": 250, "unit": "uV", "channels": {"ch1": "Fp1", "ch2": "Cz", "ch3": "O2"}}
    (data / "corpus.json").write_text(json.dumps(about))
    prepare(data, out, jobs=1)
    expected = (("FP1", "CZ", "O2"), 3200, "uV")
    assert rows(out) == {"a.csv": expected, "b.npz": expected}  # the former has names of its own
    (data / "corpus.json").write_text(json.dumps(about | {"rate": 0}))
    with pytest.raises(Exception, match="rate must be above 0"):
        prepare(data, tmp_path / "other", jobs=1)


def test_labels_beside_tables_are_no_recordings_and_name_some(tmp_path, write_edf):
    data, out = tmp_path / "data", tmp_path / "store"
    table(data / "s1" / "muse.csv")
    table(data / "s2" / "plain.txt", times=False)
    write_edf(data / "s3" / "a.edf", seed=1, names=NAMES)
    (data / "participants.tsv").write_text("participant_id\tage\ns1\t30\n")
    lines = ["file,start,stop,task,label,subject"]
    lines += [f"{file},0,8,eyes,open,{file[:2]}" for file in ("s1/muse.csv", "s2/plain.txt", "s3/a.edf")]
    (data / "labels.csv").write_text("\n".join(lines) + "\n")
    (data / "corpus.json").write_text('{"rate": 250, "unit": "uV"}')
    prepare(data, out, jobs=1)
    assert {source: channels for source, (channels, *_) in rows(out).items()} == dict.fromkeys(
        ("s1/muse.csv", "s2/plain.txt", "s3/a.edf"), ("FP1", "CZ", "O2")
    )


def test_a_table_prepares_as_an_edf_does(tmp_path, write_edf):
    from neurolm.recording.recording import open_recording

    write_edf(tmp_path / "edf" / "a.edf", seed=2, names=NAMES)
    table(tmp_path / "csv" / "a.csv", signal=open_recording(tmp_path / "edf" / "a.edf").read())
    for kind in ("edf", "csv"):
        prepare(tmp_path / kind, tmp_path / f"{kind}-store", reading=ReadingOptions(unit="uV", mains=50), jobs=1)
    (edf,), (csv,) = Store(tmp_path / "edf-store").rows, Store(tmp_path / "csv-store").rows
    assert (edf.channels, edf.samples, edf.band) == (csv.channels, csv.samples, csv.band)
    np.testing.assert_allclose(edf.scale, csv.scale, rtol=1e-3)


def test_events_of_tables_need_neither_unit_nor_electrodes(tmp_path, capsys):
    lines = ["ch_a,ch_b,trigger"]
    lines += [f"{a:.3f},{b:.3f},{5 * (i % 1000 == 500)}" for i, (a, b, _) in enumerate(SIGNAL.T)]
    (tmp_path / "r.csv").write_text("\n".join(lines) + "\n")
    assert main(["tasks", "table", str(tmp_path / "r.csv"), "--rate", "250"]) == 0
    assert "4  5" in capsys.readouterr().out
    labels = ["--events", "5=go", "--to", "2", "--task", "moves", "--out", str(tmp_path / "labels.csv")]
    assert main(["tasks", "table", str(tmp_path / "r.csv"), "--rate", "250", *labels]) == 0
    first = (tmp_path / "labels.csv").read_text().splitlines()[1].split(",")
    assert first[:3] == ["r.csv", "2", "4"]
