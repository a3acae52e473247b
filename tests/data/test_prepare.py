"""Preparation: the same bytes whatever happens on the way, and every fault of the input is said."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import edfio
import numpy as np
import pytest

from neurolm.data import stage
from neurolm.data.corpora import source
from neurolm.data.notes import summary
from neurolm.data.prepare import prepare
from neurolm.data.preprocess import preprocess
from neurolm.data.store import MANIFEST, QUARANTINE, Label, Store
from neurolm.errors import ConfigError, StoreError

ELECTRODES = ("Fp1", "Cz", "O2")
RATE = 250


def write_edf(path: Path, *, seed: int, seconds: int = 12, names=ELECTRODES, microvolts: float = 20.0) -> None:
    """A short recording of noise."""
    noise = np.random.default_rng(seed).normal(0, microvolts, (len(names), seconds * RATE)).cumsum(axis=1)
    noise -= noise.mean(axis=1, keepdims=True)
    noise *= microvolts / noise.std()
    path.parent.mkdir(parents=True, exist_ok=True)
    edfio.Edf(
        [
            edfio.EdfSignal(one, RATE, label=f"EEG {name}", physical_dimension="uV")
            for name, one in zip(names, noise, strict=True)
        ]
    ).write(path)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> Path:
    """Five recordings of three subjects with labels, and one that is broken."""
    root = tmp_path_factory.mktemp("input") / "clinic"
    lines = ["file,start,stop,task,label,subject"]
    for n in range(5):
        write_edf(root / f"night{n}.edf", seed=n)
        lines += [f"night{n}.edf,0,6,sleep,Wake,s{n // 2}", f"night{n}.edf,6,12,sleep,REM,s{n // 2}"]
    (root / "broken.edf").write_bytes((root / "night0.edf").read_bytes()[:700])
    lines.append("broken.edf,,,sleep,Wake,s9")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    (root / "corpus.json").write_text('{"licence": "CC0", "mains": 50}')
    return root


@pytest.fixture(scope="module")
def uninterrupted(recordings, tmp_path_factory) -> Path:
    """The store of one quiet run in one process."""
    out = tmp_path_factory.mktemp("store") / "store"
    prepare(recordings, out, jobs=1)
    return out


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_store_holds_what_the_table_says(recordings, uninterrupted):
    opened = Store(uninterrupted)
    opened.verify()
    assert [row.recording for row in opened.rows] == [f"clinic/night{n}.edf" for n in range(5)]
    assert [row.subject for row in opened.rows] == [f"clinic/s{n}" for n in (0, 0, 1, 1, 2)]
    row = opened.rows[3]
    assert row.labels == (Label("sleep", "Wake", 0.0, 6.0), Label("sleep", "REM", 6.0, 12.0))
    assert (row.channels, row.samples, row.mains, row.licence) == (("FP1", "CZ", "O2"), 2400, 50.0, "CC0")
    assert (row.source, row.unit, row.clipped) == ("night3.edf", "uV", 0)
    recording = source.open_recording(recordings / "night3.edf")
    expected = preprocess(recording, mains=50.0).signal
    np.testing.assert_allclose(opened.microvolts(3, 0, 2400), expected, atol=0.0501)
    (bad,) = [json.loads(line) for line in (uninterrupted / QUARANTINE).read_text().splitlines()]
    assert bad["source"] == "broken.edf"
    assert "truncated" in bad["reason"]
    assert "broken.edf" not in bad["reason"]


def test_paths_and_times_of_this_machine_stay_out(recordings, uninterrupted):
    for name in (MANIFEST, QUARANTINE):
        assert str(recordings.parent) not in (uninterrupted / name).read_text()


def test_the_report_counts(recordings, tmp_path):
    seen = []
    report = prepare(recordings, tmp_path / "s", jobs=1, progress=seen.append)
    assert (report.recordings, report.quarantined, report.skipped) == (5, 1, 0)
    assert report.hours == pytest.approx(5 * 12 / 3600)
    assert [(step.done, step.total) for step in seen] == [(n, 6) for n in range(1, 7)]
    assert {step.source for step in seen} == {p.name for p in recordings.glob("*.edf")}
    last = seen[-1]
    assert (last.failures, last.seconds_left) == (1, 0)
    assert last.hours == pytest.approx(report.hours)
    assert last.rate == pytest.approx(last.hours / last.seconds)
    assert any(note.endswith("(5 recordings)") for note in report.notes)
    assert any(note.startswith("quarantined: broken.edf: ") for note in report.notes)


def test_many_workers_write_the_same_bytes(recordings, uninterrupted, tmp_path):
    prepare(recordings, tmp_path / "s", jobs=2)
    assert content(tmp_path / "s") == content(uninterrupted)


def test_notes_alike_are_summed_up():
    notes = [("12 s long: short", "mains 50 Hz: 3 times"), ("7.5 s long: short", "mains 50 Hz: 3 times"), ("other",)]
    assert list(summary(notes)) == [
        "12 s long: short (2 recordings, alike)",
        "mains 50 Hz: 3 times (2 recordings)",
        "other (1 recording)",
    ]


def test_a_second_run_does_nothing(recordings, uninterrupted, monkeypatch):
    before = {p: p.stat().st_mtime_ns for p in uninterrupted.rglob("*") if p.is_file() and p.name != ".lock"}
    opened = []
    real = source.open_recording
    monkeypatch.setattr(source, "open_recording", lambda path, **kw: opened.append(path.name) or real(path, **kw))
    report = prepare(recordings, uninterrupted, jobs=1)
    assert (report.recordings, report.skipped, report.quarantined) == (5, 5, 1)
    assert set(opened) == {"broken.edf"}  # which may be readable today: a missing reader may have been installed
    assert {p: p.stat().st_mtime_ns for p in before} == before


SCRIPT = """
import os, signal, sys
from pathlib import Path
from neurolm.data import stage
from neurolm.data.prepare import prepare
from neurolm.data.preprocess import preprocess

data, out, jobs, moment, count = sys.argv[1:]
left = int(count)

def die(*args):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

def around(real, before, after):
    def call(*args, **kwargs):
        before()
        result = real(*args, **kwargs)
        after()
        return result
    return call

nothing = lambda: None
if moment == "before":
    os.fsync = around(os.fsync, die, nothing)
if moment == "after":
    Path.replace = around(Path.replace, nothing, die)
if __name__ == "__main__":
    prepare(data, out, jobs=int(jobs))
"""


def start(tmp_path: Path, *arguments: object) -> subprocess.Popen:
    script = tmp_path / "killed.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, script, *map(str, arguments)], env=environment)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_at_any_write_changes_nothing(recordings, uninterrupted, tmp_path, moment):
    out = tmp_path / "s"
    kills = 0
    for count in (1, 2, 3, 4, 20):  # settings, signal, row …: each run gets a little further
        code = start(tmp_path, recordings, out, 1, moment, count).wait(timeout=120)
        assert code in (0, -signal.SIGKILL)
        kills += code == -signal.SIGKILL
        if code:
            with pytest.raises(StoreError):
                Store(out)
    assert kills >= 4
    prepare(recordings, out, jobs=1)
    assert content(out) == content(uninterrupted)


def test_killed_with_workers_none_stay(recordings, uninterrupted, tmp_path):
    out = tmp_path / "s"
    process = start(tmp_path, recordings, out, 2, "never", 0)
    workers = []
    deadline = time.monotonic() + 120
    while not list(out.rglob("*.json")) or not workers:
        assert time.monotonic() < deadline
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        workers = children.read_text().split() if children.exists() else ["unknown"]
        time.sleep(0.005)
    process.kill()
    process.wait()
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    prepare(recordings, out, jobs=2)
    assert content(out) == content(uninterrupted)


def test_two_cannot_write_at_once(recordings, tmp_path):
    def second(*_):
        with pytest.raises(StoreError, match="another process"):
            prepare(recordings, tmp_path / "s", jobs=1)

    prepare(recordings, tmp_path / "s", jobs=1, progress=second)


def test_changed_labels_do_not_cost_the_signals_again(recordings, tmp_path, monkeypatch):
    data, out = tmp_path / "clinic", tmp_path / "s"
    shutil.copytree(recordings, data)
    (data / "broken.edf").unlink()
    table = data / "labels.csv"
    text = "".join(line for line in table.read_text().splitlines(True) if not line.startswith("broken"))
    table.write_text(text)
    prepare(data, out, jobs=1)
    table.write_text(
        text.replace("night4.edf,6,12,sleep,REM,s2", "night4.edf,6,11,sleep,NREM-2,s7").replace("s2", "s7")
    )
    monkeypatch.setattr(stage, "preprocess_blocks", None)
    report = prepare(data, out, jobs=1)
    assert (report.skipped, report.quarantined) == (5, 0)
    row = Store(out).rows[4]
    assert (row.subject, row.labels[1]) == ("clinic/s7", Label("sleep", "NREM-2", 6.0, 11.0))
    table.write_text(text.replace("night4.edf,6,12", "night4.edf,6,13"))
    with pytest.raises(ConfigError, match=r"labels\.csv, line 11: .*6 to 13 s.*lasts 12 s"):
        prepare(data, out, jobs=1)
    assert Store(out).rows[4] == row


def test_a_changed_recording_is_prepared_again(tmp_path):
    data, out = tmp_path / "raw", tmp_path / "s"
    write_edf(data / "a.edf", seed=1)
    write_edf(data / "b.edf", seed=2)
    prepare(data, out, jobs=1)
    before = Store(out).rows
    write_edf(data / "b.edf", seed=3, seconds=14)
    (data / "b.edf").touch()
    report = prepare(data, out, jobs=1)
    after = Store(out).rows
    assert (report.recordings, report.skipped) == (2, 1)
    assert replace(after[0], shard="") == replace(before[0], shard="")
    assert (after[1].samples, before[1].samples) == (2800, 2400)


def test_corpora_live_side_by_side(tmp_path, recordings, uninterrupted):
    out = tmp_path / "s"
    write_edf(tmp_path / "raw" / "a.edf", seed=1)
    write_edf(tmp_path / "raw" / "gone.edf", seed=2)
    prepare(tmp_path / "raw", out, jobs=1)
    prepare(recordings, out, jobs=1)
    (tmp_path / "raw" / "gone.edf").unlink()
    report = prepare(tmp_path / "raw", out, jobs=1)
    assert report.recordings == 1
    assert any("no longer in" in note and "raw/gone.edf" in note for note in report.notes)
    assert [row.corpus for row in Store(out).rows] == ["clinic"] * 5 + ["raw"]
    assert (out / QUARANTINE).read_bytes() == (uninterrupted / QUARANTINE).read_bytes()


def test_what_is_left_out_and_what_is_double_is_said(tmp_path):
    data = tmp_path / "raw"
    for n in range(2):
        write_edf(data / f"Subject0{n}_1.edf", seed=n)
    (data / "Subject02_1.edf").write_bytes((data / "Subject01_1.edf").read_bytes())
    write_edf(data / "other.edf", seed=9)
    notes = prepare(data, tmp_path / "s", jobs=1).notes
    assert "not part of the corpus 'eegmat', left out: other.edf" in notes
    assert "the same signal under different subjects: eegmat/Subject01_1.edf, eegmat/Subject02_1.edf" in notes


def test_other_settings_are_refused(recordings, uninterrupted):
    before = content(uninterrupted)
    with pytest.raises(StoreError, match=r"prepared with unit=None, not 'mV'; use unit=None, or prepare into another"):
        prepare(recordings, uninterrupted, jobs=1, unit="mV")
    with pytest.raises(StoreError, match="prepared with layout='table', not 'folder'"):
        prepare(recordings, uninterrupted, jobs=1, corpus="folder")
    assert content(uninterrupted) == before


def test_nothing_readable_is_an_error_that_leaves_nothing(tmp_path):
    data, out = tmp_path / "raw", tmp_path / "s"
    for n in range(5):
        write_edf(data / f"{n}.edf", seed=n, microvolts=3000.0)
    with pytest.raises(StoreError, match=r"none of the 5 recordings could be prepared:\n  0\.edf: [\s\S]*and 2 more"):
        prepare(data, out, jobs=1)
    assert not out.exists()
    assert prepare(data, out, jobs=1, unit="nV").recordings == 5  # so that another try is not refused


def test_a_wrong_table_stops_before_the_work(tmp_path, recordings):
    data, out = tmp_path / "clinic", tmp_path / "s"
    shutil.copytree(recordings, data)
    with (data / "labels.csv").open("a") as stream:
        stream.write("night0.edf,12,13,sleep,Wake,s0\n")
    with pytest.raises(ConfigError, match=r"labels\.csv, line 13: "):
        prepare(data, out, jobs=2)
    assert not out.exists()


def test_wrong_arguments_are_refused(tmp_path, recordings):
    out = tmp_path / "s"
    with pytest.raises(StoreError, match="no such folder"):
        prepare(tmp_path / "none", out)
    with pytest.raises(StoreError, match=r"night0\.edf: is a file"):
        prepare(recordings / "night0.edf", out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="no EEG recordings"):
        prepare(tmp_path / "empty", out)
    for name, value in {"unit": "volts", "unknown": "guess", "mains": 0.0, "jobs": -1, "corpus": "tuh"}.items():
        with pytest.raises(ConfigError, match=f"{name}.*{value}"):
            prepare(recordings, out, **{name: value})
    (tmp_path / "corpus.json").write_text('{"name": "../up"}')
    write_edf(tmp_path / "a.edf", seed=0)
    (tmp_path / "labels.csv").write_text("file,start,stop,task,label,subject\na.edf,,,,,s\n")
    with pytest.raises(ConfigError, match=r"'\.\./up'"):
        prepare(tmp_path, out)
    assert not out.exists()


def test_only_stores_are_written_into(tmp_path, recordings):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(StoreError, match="other things than a store"):
        prepare(recordings, tmp_path, jobs=1)
    with pytest.raises(StoreError, match="cannot be a folder"):
        prepare(recordings, tmp_path / "letter.txt", jobs=1)
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


def test_a_full_disk_is_not_the_recordings_fault(tmp_path, recordings, monkeypatch, uninterrupted):
    out = tmp_path / "s"
    real, calls = os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == 4:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"cannot be written \(No space left on device\)"):
        prepare(recordings, out, jobs=1)
    prepare(recordings, out, jobs=1)
    assert content(out) == content(uninterrupted)


def test_real_recordings(shared, tmp_path):
    data = tmp_path / "eegmat"
    data.mkdir()
    for name in ("Subject00_1.edf", "Subject00_2.edf"):
        (data / name).symlink_to(shared / "eeg" / "eegmat" / name)
    report = prepare(data, tmp_path / "s", jobs=1)
    rest, arithmetic = Store(tmp_path / "s").rows
    assert rest.labels == (Label("eegmat", "No", rest.seconds - 60, rest.seconds),)
    assert arithmetic.labels == (Label("eegmat", "Yes", arithmetic.seconds - 60, arithmetic.seconds),)
    assert len(rest.channels) == 19
    assert any("A2-A1" in note and "(2 recordings)" in note for note in report.notes)
