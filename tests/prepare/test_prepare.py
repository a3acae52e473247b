"""Preparation: the same bytes whatever happens on the way, and every fault of the input is said."""

import json
import multiprocessing
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neurolm.core.errors import ConfigError, StoreError
from neurolm.corpora import source
from neurolm.prepare import worker
from neurolm.prepare.prepare import prepare
from neurolm.prepare.report import summary
from neurolm.recording import spectral
from neurolm.recording.options import ReadingOptions
from neurolm.recording.preprocess import preprocess
from neurolm.store.store import EXCLUDED, MANIFEST, QUARANTINE, SETTINGS, Label, Store


@pytest.fixture(scope="module")
def recordings(tmp_path_factory, write_edf) -> Path:
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
    notes = [
        ("a.edf", ("7.5 s long: short", "mains 50 Hz: 3 times")),
        ("b.edf", ("12 s long: short", "mains 50 Hz: 3 times")),
        ("c.edf", ("other",)),
    ]
    assert list(summary(notes)) == [
        "12 s long: short (2 recordings, alike; this one b.edf)",
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
import os, signal
from pathlib import Path
from neurolm.prepare.prepare import prepare

data, out, jobs, moment, left = {arguments!r}

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
    prepare(data, out, jobs=jobs)
"""
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["neurolm.prepare.prepare", "mne.io", "scipy.signal"])


def start(folder: Path, data: Path, out: Path, jobs: int, moment: str = "never", left: int = 0):
    """Prepare in a process of its own, which may kill itself at one of its writes."""
    script = folder / "killed.py"
    script.write_text(SCRIPT.format(arguments=(str(data), str(out), jobs, moment, left)))
    if jobs > 1:  # its workers are processes that begin as it began
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen([sys.executable, script], env=environment)
    process = FORKS.Process(target=runpy.run_path, args=(str(script),), kwargs={"run_name": "__main__"})
    process.start()
    return process


@pytest.mark.parametrize(("moment", "left"), [("before", 2), ("after", 2)])
def test_a_kill_at_every_write_changes_nothing(recordings, uninterrupted, tmp_path, moment, left):
    out, kills = tmp_path / "s", 0
    while kills < 40:  # each run gets at least one write further: settings, shard …, journal, manifest, index
        process = start(tmp_path, recordings, out, 1, moment, left)
        process.join(250)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        kills += 1
        if (out / MANIFEST).exists():
            Store(out).verify()
        else:
            with pytest.raises(StoreError, match=r"not finished|not a store"):
                Store(out)
    assert 6 <= kills < 40
    assert content(out) == content(uninterrupted)


def test_killed_with_workers_none_stay(recordings, uninterrupted, tmp_path):
    out = tmp_path / "s"
    process = start(tmp_path, recordings, out, 2)
    workers = []
    deadline = time.monotonic() + 120
    while not list(out.rglob("*.json")) or not workers:
        assert time.monotonic() < deadline
        children = Path(f"/proc/{process.pid}/task").glob("*/children")  # of each thread
        workers = [pid for thread in children for pid in thread.read_text().split()]
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
    monkeypatch.setattr(worker, "preprocess_blocks", None)
    report = prepare(data, out, jobs=1)
    assert (report.skipped, report.quarantined) == (5, 0)
    row = Store(out).rows[4]
    assert (row.subject, row.labels[1]) == ("clinic/s7", Label("sleep", "NREM-2", 6.0, 11.0))
    table.write_text(text.replace("night4.edf,6,12", "night4.edf,5,12"))
    with pytest.raises(ConfigError, match=r"labels\.csv, line 11: .*'REM' from 5 s, but 'Wake' lasts until 6 s"):
        prepare(data, out, jobs=1)
    assert Store(out).rows[4] == row


def test_a_changed_recording_is_prepared_again(tmp_path, write_edf):
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


def test_corpora_live_side_by_side(tmp_path, recordings, uninterrupted, write_edf):
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


def test_what_is_left_out_and_what_is_double_is_said(tmp_path, write_edf):
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
    with pytest.raises(StoreError, match=r"prepared without unit=, not 'mV'; prepare without unit= again, or into"):
        prepare(recordings, uninterrupted, jobs=1, reading=ReadingOptions(unit="mV"))
    with pytest.raises(StoreError, match="prepared with corpus='table', not 'folder'"):
        prepare(recordings, uninterrupted, jobs=1, corpus="folder")
    assert content(uninterrupted) == before


def test_nothing_readable_is_an_error_that_leaves_nothing(tmp_path, write_edf):
    data, out = tmp_path / "raw", tmp_path / "s"
    for n in range(5):
        write_edf(data / f"{n}.edf", seed=n, microvolts=3000.0)
    with pytest.raises(StoreError, match=r"none of the 5 recordings could be prepared:\n  0\.edf: [\s\S]*and 2 more"):
        prepare(data, out, jobs=1)
    assert not out.exists()
    assert (
        prepare(data, out, jobs=1, reading=ReadingOptions(unit="nV")).recordings == 5
    )  # so that another try is not refused


def test_a_wrong_table_stops_before_the_work(tmp_path, recordings):
    data, out = tmp_path / "clinic", tmp_path / "s"
    shutil.copytree(recordings, data)
    with (data / "labels.csv").open("a") as stream:
        stream.write("night0.edf,11,12,sleep,Wake,s0\n")
    with pytest.raises(ConfigError, match=r"labels\.csv, line 13: "):
        prepare(data, out, jobs=2)
    assert not out.exists()


def test_wrong_arguments_are_refused(tmp_path, recordings, write_edf):
    out = tmp_path / "s"
    with pytest.raises(StoreError, match="no such folder"):
        prepare(tmp_path / "none", out)
    with pytest.raises(StoreError, match=r"night0\.edf: is a file"):
        prepare(recordings / "night0.edf", out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="no EEG recordings"):
        prepare(tmp_path / "empty", out)
    for name, value in {"jobs": -1, "corpus": "tuh"}.items():
        with pytest.raises(ConfigError, match=f"{name}.*{value}"):
            prepare(recordings, out, **{name: value})
    with pytest.raises(ConfigError, match=r"data_format='int16': there is no Neuroscan file \(\.cnt\) in"):
        prepare(recordings, out, reading=ReadingOptions(data_format="int16"))
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


def test_a_failing_disk_under_one_recording_costs_that_recording_alone(tmp_path, recordings, monkeypatch):
    real = spectral.filter_short

    def failing(signal, design):
        if np.array_equal(signal, wrong):
            raise OSError(5, "Input/output error")
        return real(signal, design=design)

    opened = source.open_recording(recordings / "night1.edf")
    wrong = opened.read_finite(0, opened.samples)
    monkeypatch.setattr(spectral, "filter_short", failing)
    report = prepare(recordings, tmp_path / "s", jobs=1)
    assert (report.recordings, report.quarantined) == (4, 2)
    assert "Input/output error" in (tmp_path / "s" / QUARANTINE).read_text()


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


def excluding(file: Path, *entries: dict[str, str]) -> Path:
    """Write an exclusion list."""
    empty = {"recording": "", "subject": "", "content": "", "reason": "test set"}
    file.write_text("".join(json.dumps(empty | entry) + "\n" for entry in entries))
    return file


def test_excluded_recordings_people_and_signals_are_left_out(recordings, uninterrupted, tmp_path):
    rows, out = Store(uninterrupted).rows, tmp_path / "s"
    prepare(recordings, out, jobs=1)
    chosen = excluding(
        tmp_path / "list.jsonl",
        {"recording": rows[0].recording},
        {"subject": rows[2].subject},
        {"content": rows[4].sha256, "recording": "elsewhere/x.edf"},
    )
    for folder in (out, tmp_path / "anew"):  # in the store already, and not yet
        report = prepare(recordings, folder, jobs=1, exclude=chosen)
        assert (report.recordings, report.excluded, report.quarantined) == (1, 4, 1)
        assert [row.recording for row in Store(folder).rows] == ["clinic/night1.edf"]
        assert any(note.startswith("excluded: clinic/night0.edf, clinic/night2.edf") for note in report.notes)
        assert not any("no longer in" in note for note in report.notes)
        left = [json.loads(line) for line in (folder / EXCLUDED).read_text().splitlines()]
        assert [entry["recording"] for entry in left] == [f"clinic/night{n}.edf" for n in (0, 2, 3, 4)]
    with pytest.raises(StoreError, match=r"left out of this store on demand.*give the exclusion list again"):
        prepare(recordings, out, jobs=1)
    write_list = excluding(tmp_path / "none.jsonl", {"recording": "elsewhere/x.edf"})
    assert prepare(recordings, out, jobs=1, exclude=write_list).excluded == 0
    assert content(out) == content(uninterrupted)
    with pytest.raises(StoreError, match=r"6 are excluded and .*none is left"):
        everybody = excluding(chosen, *({"subject": f"clinic/s{n}"} for n in range(10)))
        prepare(recordings, tmp_path / "t", jobs=1, exclude=everybody)


def test_the_store_can_be_read_while_more_is_prepared(recordings, tmp_path, write_edf):
    out = tmp_path / "s"
    prepare(recordings, out, jobs=1)
    before = Store(out)
    write_edf(tmp_path / "raw" / "a.edf", seed=1)
    seen = []
    prepare(tmp_path / "raw", out, jobs=1, progress=lambda _: seen.append(Store(out).fingerprint))
    assert seen == [before.fingerprint]
    assert len(Store(out)) == 6
    before.verify()


def test_a_store_of_another_format_is_refused(recordings, tmp_path):
    out = tmp_path / "s"
    out.mkdir()
    (out / SETTINGS).write_text(json.dumps({"format": 1, "corpora": {}}))
    with pytest.raises(StoreError, match=r"format 1, and this version reads format 2.*new folder"):
        prepare(recordings, out, jobs=1)


def test_killed_at_ten_random_moments_it_ends_the_same(recordings, uninterrupted, tmp_path):
    """benchmarks/kill.py does it with more recordings and with workers."""
    out, moments = tmp_path / "s", np.random.default_rng(0)
    begun = time.monotonic()
    start(tmp_path, recordings, out, 1).join()
    whole, kills = time.monotonic() - begun, 0
    while kills < 10:
        if (out / MANIFEST).exists():  # it had ended before it was killed
            prepare(recordings, out, jobs=1)
            assert content(out) == content(uninterrupted)
            shutil.rmtree(out)
        process = start(tmp_path, recordings, out, 1)
        process.join(moments.uniform(0, whole))
        process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
    prepare(recordings, out, jobs=1)
    assert content(out) == content(uninterrupted)


def test_a_truncated_recording_is_quarantined_or_taken_as_far_as_it_goes(tmp_path, write_edf):
    folder = tmp_path / "recordings"
    cut = folder / "b.edf"
    write_edf(folder / "a.edf", seed=0)
    write_edf(cut, seed=1)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 3 // 4])
    refused = prepare(folder, tmp_path / "refused", jobs=1)
    assert (refused.recordings, refused.quarantined) == (1, 1)
    line = json.loads((tmp_path / "refused" / QUARANTINE).read_text())
    assert line["source"] == "b.edf" and "truncated='accept'" in line["reason"]
    taken = prepare(folder, tmp_path / "taken", jobs=1, reading=ReadingOptions(truncated="accept"))
    assert (taken.recordings, taken.quarantined) == (2, 0)
    a, b = Store(tmp_path / "taken").rows
    assert b.samples < a.samples and any(note.startswith("truncated:") for note in b.notes)
    with pytest.raises(StoreError, match="truncated='accept', not 'refuse'"):
        prepare(folder, tmp_path / "taken", jobs=1)
