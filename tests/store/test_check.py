"""Damage of every kind is named; a store that was repaired as told is the one it was; sums and exports are right."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import fsspec
import numpy as np
import pytest

from neurolm.cli import main
from neurolm.core.errors import ConfigError, StoreError
from neurolm.prepare.prepare import prepare
from neurolm.store.check import check_store
from neurolm.store.export import export_parquet
from neurolm.store.index import INDEX, MANIFEST
from neurolm.store.info import store_info
from neurolm.store.store import QUARANTINE, SETTINGS, SHARDS, SOURCES, Label, Store


@pytest.fixture(scope="module")
def recordings(tmp_path_factory, write_edf) -> Path:
    folder = tmp_path_factory.mktemp("check_store") / "raw"
    for number in range(6):
        write_edf(folder / f"s{number // 2}" / f"{number}.edf", seed=number, seconds=3)
    return folder


@pytest.fixture(scope="module")
def whole(recordings) -> Path:
    prepare(recordings, recordings.parent / "store", jobs=1)
    return recordings.parent / "store"


@pytest.fixture
def store(whole, tmp_path) -> Path:
    return shutil.copytree(whole, tmp_path / "store")


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def change(file: Path, place: int) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= 4
    file.write_bytes(data)


def test_a_whole_store_is_whole(whole):
    seen = []
    found = check_store(whole, jobs=2, progress=lambda *done: seen.append(done))
    assert (found.damaged, found.notes, found.recordings) == ((), (), 6)
    assert found.bytes == sum(p.stat().st_size for p in (whole / SHARDS).iterdir())
    assert seen == [(n, 6) for n in range(1, 7)]
    remote = fsspec.filesystem("memory")
    remote.put(str(whole), "/check_store", recursive=True)
    assert check_store("memory://check_store") == found


def test_every_damage_is_named(store):
    row = Store(store).rows[3]
    change(store / SHARDS / row.shard, row.offset + 11)
    (problem,) = check_store(store).damaged
    assert row.shard in problem and f"signal of {row.recording} (bytes {row.offset:,} to" in problem
    (store / SHARDS / row.shard).unlink()
    (problem,) = check_store(store).damaged
    assert problem.startswith(f"{SHARDS}/{row.shard}: is missing, with the signals of")


@pytest.mark.parametrize(
    ("file", "spoil", "says"),
    [
        (MANIFEST, lambda f: f.write_text(f.read_text().replace('"samples":600', '"samples":"x"', 1)), "line 1"),
        (MANIFEST, lambda f: f.write_text("".join(f.read_text().splitlines(True)[::-1])), "not in its place"),
        (
            MANIFEST,
            lambda f: f.write_text(f.read_text().replace("not stated", "not STATED", 1)),
            "not that of manifest",
        ),
        (INDEX, lambda f: f.write_bytes(f.read_bytes()[:-50]), f"{INDEX}: damaged"),
        (SETTINGS, lambda f: f.write_text('{"format": 2}'), f"{SETTINGS}: damaged"),
        (QUARANTINE, lambda f: f.write_text("{}\n{"), f"{QUARANTINE}, line 2: damaged"),
        (
            SHARDS,
            lambda f: [p.write_bytes(p.read_bytes() + b"xy") for p in sorted(f.iterdir())[:1]],
            "bytes instead of",
        ),
    ],
)
def test_every_file_is_looked_at(store, file, spoil, says):
    spoil(store / file)
    assert any(says in problem for problem in check_store(store).damaged)


def test_what_is_strange_is_a_note(store):
    (store / INDEX).unlink()
    (store / SHARDS / "raw-0000000000000000.i16").write_bytes(b"old")
    sorted((store / SOURCES).iterdir())[0].unlink()
    found = check_store(store)
    assert not found.damaged
    assert [note.split(":")[0] for note in found.notes] == [
        f"there is no {INDEX}",
        "files of a preparation that was interrupted or is under way",
        "nothing is known about the sources of raw",
    ]


def test_the_remedy_works(store, whole, recordings, capsys):
    row = Store(store).rows[0]
    change(store / SHARDS / row.shard, row.offset)
    assert main(["store", "check", str(store)]) == 2
    printed = capsys.readouterr()
    assert printed.out.startswith(f"damaged: {SHARDS}/{row.shard}: the signal of {row.recording}")
    assert "1 damaged" in printed.err and "Delete these files" in printed.err
    (store / SHARDS / row.shard).unlink()
    report = prepare(recordings, store, jobs=1)
    assert report.skipped == 5
    assert content(store) == content(whole)
    assert main(["store", "check", str(store)]) == 0
    assert "whole: 6 recordings" in capsys.readouterr().out


def test_the_summary_counts_what_is_there(tmp_path, write_store, capsys):
    labels = (Label("sleep", "Wake", 0, 5), Label("sleep", "REM", 5, 9, "test"))
    signal = np.ones((3600, 2))
    write_store(
        tmp_path,
        {
            "micro/a": ("micro/p", ("C3", "C4"), labels, signal),
            "micro/b": ("micro/p", ("C3", "O1"), (), signal),
            "micro/c": ("micro/q", ("C3", "O1"), labels[:1], signal),
        },
    )
    found = store_info(tmp_path)
    hours = 18 / 3600
    assert (found.recordings, found.subjects, found.bytes) == (3, 2, 3 * signal.size * 2)
    assert found.hours == pytest.approx(3 * hours)
    assert found.channels == pytest.approx({"C3": 3 * hours, "O1": 2 * hours, "C4": hours})
    assert list(found.subjects_hours) == ["micro/p", "micro/q"]
    assert found.corpora["micro"].licences == ("free",)
    counted = {(of.label, of.split): (of.stretches, of.subjects, of.hours * 3600) for of in found.labels}
    assert counted == {("Wake", None): (2, 2, pytest.approx(10)), ("REM", "test"): (1, 1, pytest.approx(4))}
    assert main(["store", "info", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["corpora"]["micro"]["subjects"] == 2
    assert main(["store", "info", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("3 recordings of 2 subjects, 0.01 h")
    for word in ("micro", "free", "sleep", "REM", "hours by electrode", "O1", "hours by subject", "micro/q"):
        assert word in printed


def test_parquet_holds_the_manifest(whole, tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("neurolm.store.export.ROWS", 4)
    assert main(["store", "export", str(whole), "--parquet", str(tmp_path / "m.parquet")]) == 0
    rows = parquet.read_table(tmp_path / "m.parquet").to_pylist()
    as_json = [json.loads(json.dumps(asdict(row))) for row in Store(whole).rows]
    assert rows == as_json
    # Whoever has the table can read the signals without us.
    row = rows[4]
    with (whole / SHARDS / row["shard"]).open("rb") as stream:
        counts = np.fromfile(stream, "<i2", row["samples"] * len(row["channels"]), offset=row["offset"])
    np.testing.assert_array_equal(counts.reshape(row["samples"], -1), Store(whole).read(4, 0, row["samples"]))
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"pip install 'neurolm\[parquet\]'"):
        export_parquet(whole, tmp_path / "m.parquet")


def test_wrong_requests_are_refused(tmp_path, capsys):
    assert main(["store", "info", str(tmp_path)]) == 2
    assert main(["store", "export", str(tmp_path)]) == 2
    assert main(["store", "info", str(tmp_path), "--parquet", "x"]) == 2
    assert "not a store" in (errors := capsys.readouterr().err) and "--parquet is missing" in errors
    (tmp_path / SETTINGS).write_text('{"format": 1, "corpora": {}}')
    with pytest.raises(StoreError, match="format 1"):
        check_store(tmp_path)


def test_a_negative_number_of_jobs_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"jobs=-2: give 0 \(all cores\)"):
        check_store(tmp_path, jobs=-2)
