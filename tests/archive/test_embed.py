"""Tables of features: every level is a mean of the model's own arrays, and a bad file costs itself alone."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch
from edfio import Edf, EdfSignal

import neurolm
from neurolm.archive import archive as engine
from neurolm.archive.embed import embed_archive
from neurolm.ask.vectors import METADATA
from neurolm.cli import main
from neurolm.core.errors import ConfigError, RecordingError, StoreError
from neurolm.core.workers import Workers

CUT = {"seconds": 4, "stride": 3.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, rhythm) -> Path:
    """Three recordings of two people, and a file that breaks off in its header."""
    place = tmp_path_factory.mktemp("embed")
    for number, length in enumerate((13, 9, 16)):
        path = place / f"study/sub-{number // 2}/ses-{number % 2}/eeg/sub-{number // 2}_ses-{number % 2}_eeg.edf"
        path.parent.mkdir(parents=True)
        pairs = zip(rhythm(("Yes", "No")[number % 2], length, 2, (number,)).T, ("C3", "O1"), strict=True)
        signals = [EdfSignal(x, 200, label=name, physical_dimension="uV") for x, name in pairs]
        Edf(signals, data_record_duration=1).write(path)
    (path.parent / "broken.edf").write_bytes(path.read_bytes()[:300])
    return place


@pytest.fixture
def here(folder, monkeypatch):
    """In that folder, working in this process, whose number of threads is as before afterwards."""
    threads = torch.get_num_threads()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(engine, "Workers", lambda jobs, apart: Workers(1))
    yield folder
    torch.set_num_threads(threads)


def rows(path: Path) -> list[dict]:
    return parquet.read_table(path).to_pylist()


def test_every_level_is_a_mean_of_the_features_of_the_model(here, micro_run, tmp_path):
    found = {}
    for level in ("recording", "window", "second", "patch"):
        report = embed_archive("study", model=micro_run.folder, out=tmp_path / f"{level}.parquet", level=level, **CUT)
        assert (report.recordings, report.quarantined, report.skipped) == (3, 1, 0)
        found[level] = rows(report.table)
        assert report.rows == len(found[level])
    model = neurolm.load(micro_run.folder, device="cpu")
    for name in dict.fromkeys(row["recording"] for row in found["recording"]):
        features = model.embed(name, **CUT)
        own = {level: [row for row in each if row["recording"] == name] for level, each in found.items()}
        windows, seconds, electrodes, width = features.features.shape
        expected = {
            "recording": features.features.mean(axis=(1, 2)).mean(axis=0, keepdims=True),
            "window": features.features.mean(axis=(1, 2)),
            "second": features.features.mean(axis=2),
            "patch": features.features,
        }
        for level, array in expected.items():
            got = np.array([row["vector"] for row in own[level]], np.float32)
            np.testing.assert_allclose(got, array.reshape(-1, width), atol=1e-5)
        assert [row["start"] for row in own["window"]] == features.starts.tolist() == [3.0 * n for n in range(windows)]
        assert [row["stop"] - row["start"] for row in own["window"]] == [4.0] * windows
        last = own["patch"][-1]
        assert (last["window"], last["second"], last["electrode"]) == (windows - 1, 3, "O1")
        assert (last["start"], last["stop"]) == (features.starts[-1] + 3, features.starts[-1] + 4)
        assert len(own["patch"]) == windows * seconds * electrodes
        (whole,) = own["recording"]
        assert (whole["start"], whole["stop"]) == (0.0, features.starts[-1] + 4)
        assert [whole[column] for column in ("window", "second", "electrode")] == [None] * 3
    assert [(row["subject"], row["session"]) for row in found["recording"]][-1] == ("sub-1", "ses-0")
    (bad,) = rows(report.quarantine)
    assert (
        bad["recording"].endswith("broken.edf")
        and bad["subject"] == "sub-1"
        and bad["reason"].startswith("truncated: 300 bytes")
    )


def test_a_table_is_the_same_bytes_by_one_worker_and_by_two(folder, micro_run, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    made = [
        embed_archive("study", model=micro_run.folder, out=tmp_path / f"{jobs}/e.parquet", jobs=jobs) for jobs in (1, 2)
    ]
    assert made[0].table.read_bytes() == made[1].table.read_bytes()
    assert made[0].quarantine.read_bytes() == made[1].quarantine.read_bytes()
    next(made[1].parts.glob("*.parquet")).unlink()  # as if killed before it was there
    again = embed_archive("study", model=micro_run.folder, out=made[1].table, jobs=1)
    assert again.skipped == 2 and again.table.read_bytes() == made[0].table.read_bytes()
    about = json.loads(parquet.read_schema(again.table).metadata[METADATA])
    assert (about["level"], about["seconds"]) == ("window", 4) and len(about["model"]) == 64
    with pytest.raises(StoreError, match=r"e.embedded: holds features of a run with level window, not second"):
        embed_archive("study", model=micro_run.folder, out=made[1].table, level="second")


def test_damaged_features_are_made_anew_in_the_same_run(here, micro_run, tmp_path):
    how = {"model": micro_run.folder, "out": tmp_path / "f.parquet", **CUT}
    first = embed_archive("study", **how)
    before, parts = first.table.read_bytes(), sorted(first.parts.glob("*.parquet"))
    assert len(parts) == 3
    contents = [part.read_bytes() for part in parts]
    for damaged in (contents[0][:-20], b"", contents[1]):  # cut short, nothing, another recording's
        parts[0].write_bytes(damaged)
        parts[2].write_bytes(b"PAR1")
        report = embed_archive("study", **how)
        assert (report.recordings, report.skipped, report.quarantined) == (3, 1, 1)
        assert report.notes[-1].startswith("features that were damaged, and made anew: of 2 recordings, the first of ")
        assert report.table.read_bytes() == before and [part.read_bytes() for part in parts] == contents


def test_a_store_gives_its_subjects_and_the_labels_that_hold_all_of_a_window(here, micro_run, tmp_path):
    out = tmp_path / "e.parquet"
    report = embed_archive(micro_run.store, model=micro_run.folder, out=out, seconds=4, stride=4)
    mine = [row for row in rows(report.table) if row["recording"].endswith("workload-03")]
    assert {row["subject"] for row in mine} == {"s03"}
    assert [row["labels"] for row in mine] == [["workload: No"]] * 3 + [["workload: Yes"]] * 3
    kind = parquet.read_schema(out).field("vector").type
    assert (kind.list_size, str(kind.value_type)) == (16, "float")


def test_what_cannot_be_is_refused_before_any_recording_is_read(here, micro_run, tmp_path):
    how = {"model": micro_run.folder, "out": tmp_path / "e.parquet"}
    with pytest.raises(ConfigError, match="tables of features are Parquet"):
        embed_archive("study", **how | {"out": tmp_path / "e.csv"})
    with pytest.raises(ConfigError, match="this model reads windows of 1 to"):
        embed_archive("study", seconds=1000, **how)
    with pytest.raises(ConfigError, match="stride=0"):
        embed_archive("study", stride=0, **how)
    with pytest.raises(ConfigError, match="level='hour'"):
        embed_archive("study", level="hour", **how)
    with pytest.raises(RecordingError, match="none of the recordings could be embedded"):
        embed_archive("study/sub-1/ses-0/eeg/broken.edf", **how)
    assert not how["out"].exists()


def test_the_command_says_what_it_wrote(here, micro_run, tmp_path, capsys):
    out, model = tmp_path / "e.parquet", ["--model", str(micro_run.folder)]
    assert main(["embed", "study", "--out", str(out), "--level", "second", "--jobs", "1", *model]) == 1
    printed = capsys.readouterr().out
    assert f"{out}: a vector for each of {len(rows(out))} seconds of 3 recordings" in printed
    assert "1 could not be embedded" in printed
    assert re.search(r"^  study/\S+/broken\.edf: .+", printed, flags=re.MULTILINE)
    assert main(["embed", "study", "--out", str(tmp_path / "e.npz"), *model]) == 2
    assert "let --out end in .parquet" in capsys.readouterr().err
    one = next(Path("study").rglob("*_eeg.edf"))
    assert main(["embed", str(one), "--out", str(tmp_path / "e.npz"), "--level", "patch", *model]) == 2
    assert "--level patch is for tables" in capsys.readouterr().err
