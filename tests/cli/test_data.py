"""The verbs download, plan and overlap, from the command line."""

import functools
import json
import re

import numpy as np
import pytest

import neurolm.prepare.plan
from neurolm.cli import DIFFERS, FAILED, main
from neurolm.prepare.plan import EstimatedRange as Range
from neurolm.prepare.plan import Measured, Plan
from neurolm.store.store import Label


@pytest.fixture(scope="module")
def stores(tmp_path_factory, write_store):
    """A pretraining store with a cut copy of a downstream recording, and a clean one."""
    folder = tmp_path_factory.mktemp("stores")
    rng = np.random.default_rng(0)

    def signal(seconds: int) -> np.ndarray:
        return 10 * np.cumsum(rng.standard_normal((seconds * 200, 2)), axis=0) % 400 - 200

    tested = signal(120)
    label = [Label("t", "Yes", 0, 100, split="test")]
    for name, recordings in {
        "downstream": {"a": ("p/a", ("CZ", "O1"), label, tested)},
        "pretraining": {
            "copy": ("q/x", ("O1", "CZ"), (), tested[4000:, ::-1]),
            "more": ("q/x", ("CZ", "O1"), (), signal(90)),
            "other": ("q/y", ("CZ", "O1"), (), signal(90)),
        },
        "clean": {"other": ("q/y", ("CZ", "O1"), (), signal(90))},
    }.items():
        (folder / name).mkdir()
        write_store(folder / name, recordings)
    return folder


def test_overlap_lists_what_to_leave_out(stores, tmp_path, capsys):
    out = tmp_path / "list.jsonl"
    given = ["overlap", str(stores / "pretraining"), "--against", str(stores / "downstream"), "--jobs", "1"]
    assert main([*given, "--out", str(out), "--split", "test"]) == DIFFERS
    printed = capsys.readouterr().out
    assert re.search(
        r"copy is a of .*downstream: 0:2\d – 1:5\d there, shifted by \+20.00 s, correlation 1.000", printed
    )
    assert "2 recordings to leave out" in printed
    assert f"--exclude {out}" in printed
    assert [json.loads(line)["recording"] for line in out.read_text().splitlines()] == ["copy", "more"]


def test_overlap_of_a_store_with_itself(stores, tmp_path, capsys):
    out = tmp_path / "list.jsonl"
    assert main(["overlap", str(stores / "clean"), "--out", str(out), "--jobs", "1"]) == 0
    said = capsys.readouterr().out
    assert "compared with each other" in said and f"no recording is in {stores / 'clean'} under two people" in said


def test_overlap_of_nothing_is_a_success(stores, tmp_path, capsys):
    out = tmp_path / "list.jsonl"
    given = ["overlap", str(stores / "clean"), "--against", str(stores / "downstream"), "--out", str(out)]
    assert main(given) == 0
    assert "nothing of" in capsys.readouterr().out
    assert out.read_text() == ""


def test_overlap_needs_something_to_compare_with(stores, capsys):
    assert main(["overlap", str(stores / "clean"), "--against", str(stores / "none")]) == FAILED
    assert "no such store" in capsys.readouterr().err


def test_download_explains_itself_without_a_network(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("neurolm.corpora.download.transfer.PAUSE", 0.001)
    given = ["download", "eegmat", str(tmp_path / "data"), "--base-url", "http://127.0.0.1:9/x"]
    assert main(given) == FAILED
    captured = capsys.readouterr()
    assert "ODC-By 1.0" in captured.out and "Zyma et al. 2019" in captured.out
    assert "wget" in captured.err and "(--base-url)" in captured.err
    assert main(["download", "tuab", str(tmp_path)]) == FAILED
    assert "eegmmidb" in capsys.readouterr().err


def test_plan_is_printed(tmp_path, capsys, monkeypatch):
    asked = {}

    @functools.wraps(neurolm.prepare.plan.plan)
    def plan(**how):
        asked.update(how)
        return Plan(
            recordings=0, source_bytes=Range(1.06e12, 1.06e12, 1.06e12), hours=Range(25e3, 25e3, 25e3),
            store_bytes=Range(8.28e11, 8.0e11, 8.5e11), core_hours=Range(9.5, 8.5, 11.6), peak_memory=2**28,
            cores=4, measured=(Measured("a.edf", 10**6, 0.5, 23, 10**6, 0.5, 2**28),),
            failed=("b.edf: truncated",),
        )  # fmt: skip

    monkeypatch.setattr("neurolm.prepare.plan.plan", plan)
    assert main(["plan", str(tmp_path), "--hours", "25000", "--jobs", "4", "--unknown", "drop"]) == 0
    assert (asked["data"], asked["hours"], asked["jobs"], asked["reading"].unknown) == ([tmp_path], 25000, 4, "drop")
    printed = capsys.readouterr().out
    assert "828 GB (800 to 850)" in printed
    assert "9.5 core-hours (8.5 to 11.6)" in printed
    assert "about 2 h 22 min, if the disk delivers 124 MB/s" in printed
    assert "256 MiB per worker, 1.0 GiB on 4 cores" in printed
    assert "left out of the sums: b.edf: truncated" in printed
    monkeypatch.undo()
    assert main(["plan"]) == FAILED
    assert "(--hours)" in capsys.readouterr().err
