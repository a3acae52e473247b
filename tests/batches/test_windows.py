"""Windows and splits: the counts of the published EEGMAT protocol, boundaries, and order."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neurolm.batches.splits import split_subjects, subjects_of
from neurolm.batches.windows import Window, labelled_windows, second_of, stretches, unlabelled_windows
from neurolm.core.errors import ConfigError, StoreError
from neurolm.core.stretches import Stretch
from neurolm.corpora import eegmat
from neurolm.store.shards import write_store
from neurolm.store.store import Label, Row, Store


def row(recording: str, *, seconds: float, channels: int = 2, subject: str = "c/s", labels=()) -> Row:
    return Row(
        recording=recording, corpus="c", source=recording, sha256="", subject=subject,
        channels=tuple(f"C{n}" for n in range(channels)), samples=round(seconds * 200), scale=(0.1,) * channels,
        clipped=0, mains=50.0, band=(0.1, 75.0), unit="uV", version="0", licence="", labels=tuple(labels), notes=(),
        shard="", offset=0,
    )  # fmt: skip


def store(folder: Path, *rows: Row) -> Store:
    """A store whose signals are zero."""
    write_store(folder, [(one, np.zeros((one.samples, len(one.channels)), np.int16)) for one in rows])
    return Store(folder)


def test_eegmat_gives_the_published_numbers_of_windows(tmp_path, shared):
    sources = eegmat.LAYOUT.sources(shared / "eeg" / "eegmat")
    rows = []
    for source in sources:
        with source.path.open("rb") as stream:  # EDF header: number and duration of the records
            stream.seek(236)
            count, duration = float(stream.read(8)), float(stream.read(8))
        extent = type("Extent", (), {"seconds": count * duration, "annotations": ()})()
        rows.append(
            row(source.path.name, seconds=extent.seconds, subject=source.subject, labels=source.labelled(extent))
        )
    opened = store(tmp_path, *rows)
    split = split_subjects(subjects_of(opened, "eegmat"), counts=(26, 5, 5))
    assert split.validation == tuple(f"Subject{n}" for n in range(26, 31))
    counts = [
        len(labelled_windows(opened, task="eegmat", seconds=4, stride=2, subjects=part))
        for part in (split.train, split.validation, split.test)
    ]
    assert counts == [1508, 290, 290]
    windows = labelled_windows(opened, task="eegmat", seconds=4, stride=2)
    assert [w.label for w in windows].count("Yes") == 1044
    last = [w for w in windows if rows[w.recording].recording == "Subject00_1.edf"][-1]
    assert last.start + 800 == rows[0].samples


def test_a_window_lies_in_one_stretch(tmp_path):
    labels = [Label("t", "b", 5.0, 9.9), Label("t", "a", 0.5, 5.0), Label("other", "x", 0.0, 20.0)]
    windows = labelled_windows(store(tmp_path, row("r", seconds=20, labels=labels)), task="t", seconds=2, stride=0.5)
    assert [w.start for w in windows if w.label == "a"] == [100, 200, 300, 400, 500, 600]
    assert [w.start for w in windows if w.label == "b"] == [1000, 1100, 1200, 1300, 1400, 1500]
    assert [w.start for w in windows] == sorted(w.start for w in windows)


def test_boundaries_between_samples_belong_to_no_window(tmp_path):
    labels = [Label("t", "a", 0.0, 2.0026), Label("t", "b", 2.0026, 4.1)]  # the boundary is at sample 400.52
    windows = labelled_windows(store(tmp_path, row("r", seconds=4.1, labels=labels)), task="t", seconds=2, stride=0.005)
    assert [w.start for w in windows if w.label == "a"] == [0]
    assert [w.start for w in windows if w.label == "b"] == list(range(401, 421))


def test_binary_rounding_loses_no_window(tmp_path):
    labels = [Label("t", "a", 0.1 + 0.2, 0.3 + 2)]  # 0.30000000000000004 is sample 60
    windows = labelled_windows(store(tmp_path, row("r", seconds=3, labels=labels)), task="t", seconds=2, stride=1)
    assert [w.start for w in windows] == [60]


def test_a_label_after_the_last_sample_is_cut(tmp_path):
    labels = [Label("t", "a", 0.0, 4.002)]  # the recording lost its last samples to rounding
    windows = labelled_windows(store(tmp_path, row("r", seconds=3.99, labels=labels)), task="t", seconds=2, stride=2)
    assert [w.start for w in windows] == [0]


def test_unlabelled_windows_cover_a_recording_once(tmp_path):
    opened = store(tmp_path, row("long", seconds=25.7, channels=3, subject="c/a"), row("short", seconds=3))
    windows = unlabelled_windows(opened, max_patches=32, max_seconds=64, subjects={"c/a"})
    assert windows == [
        Window(0, 0, 10, None, "c/a", (0, 5140)),
        Window(0, 2000, 10, None, "c/a", (0, 5140)),
        Window(0, 4000, 5, None, "c/a", (0, 5140)),
    ]
    assert [w.seconds for w in unlabelled_windows(opened, max_patches=32, max_seconds=8, subjects={"c/a"})] == [8, 8, 8]
    assert unlabelled_windows(opened, max_patches=32, max_seconds=8, subjects={"c/s"}) == []  # under SHORTEST
    with pytest.raises(ConfigError, match=r"long: .* 3 channels .* max_patches \(2\)"):
        unlabelled_windows(opened, max_patches=2, max_seconds=8)


def test_splits_are_in_order_and_complete():
    subjects = [f"c/{n:02}" for n in (3, 1, 2, 0, 4, 3)]
    split = split_subjects(subjects, counts=(3, 1, 1))
    assert split.train == ("c/00", "c/01", "c/02")
    assert (split.validation, split.test) == (("c/03",), ("c/04",))
    many = [f"{n:03}" for n in range(24)]
    by_share = split_subjects(many, fractions=(0.6, 0.2, 0.2))
    assert [len(part) for part in (by_share.train, by_share.validation, by_share.test)] == [14, 5, 5]
    assert [*by_share.train, *by_share.validation, *by_share.test] == many


@pytest.mark.parametrize("subjects", [3, 4, 5, 7])
@pytest.mark.parametrize("fractions", [(0.8, 0.1, 0.1), (0.1, 0.45, 0.45), (0.34, 0.33, 0.33)])
def test_every_part_gets_a_subject(subjects, fractions):
    split = split_subjects([str(n) for n in range(subjects)], fractions=fractions)
    assert min(len(part) for part in (split.train, split.validation, split.test)) >= 1


def test_a_part_without_share_is_empty():
    assert split_subjects(["a", "b"], fractions=(0.5, 0.0, 0.5)).validation == ()


def test_wrong_splits_and_windows_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="26/5/5 is for 36 subjects, but there are 2"):
        split_subjects(["a", "b"], counts=(26, 5, 5))
    with pytest.raises(ConfigError, match="add up to 1"):
        split_subjects(["a", "b"], fractions=(0.5, 0.5, 0.5))
    with pytest.raises(ConfigError, match="only 2"):
        split_subjects(["a", "b"], fractions=(0.6, 0.2, 0.2))
    with pytest.raises(ConfigError, match="either"):
        split_subjects(["a"])
    opened = store(tmp_path, row("r", seconds=9, labels=[Label("sleep", "Wake", 0, 9)]))
    with pytest.raises(StoreError, match=r"'workload'.*sleep"):
        labelled_windows(opened, task="workload", seconds=2, stride=1)
    for stride in (0.0, 0.0011):
        with pytest.raises(ConfigError, match="stride"):
            labelled_windows(opened, task="sleep", seconds=2, stride=stride)


def test_no_window_reaches_over_a_gap_and_labels_are_in_the_recordings_time(tmp_path):
    labels = [Label("t", "a", 2.0, 14.0), Label("t", "b", 20.0, 21.0)]
    stored = replace(  # 5 s, of which the recording went on after 5 s more
        row("r", seconds=9.0, labels=labels), interrupted=(Stretch(0, 1000, 0), Stretch(2000, 800, 1000))
    )
    opened = store(tmp_path, stored)
    windows = labelled_windows(opened, task="t", seconds=2, stride=1)
    assert [(w.start, w.span) for w in windows] == [
        (400, (400, 1000)), (600, (400, 1000)),
        (1000, (1000, 1800)), (1200, (1000, 1800)), (1400, (1000, 1800)),
    ]  # fmt: skip
    assert [second_of(opened.outlines[0], w.start) for w in windows] == [2.0, 3.0, 10.0, 11.0, 12.0]
    unlabelled = unlabelled_windows(opened, max_patches=100, max_seconds=4)
    assert [(w.start, w.seconds) for w in unlabelled] == [(0, 4), (1000, 4)]
    parts = stretches(opened, task="t", parts=[None])
    assert parts == {0: [(400, 1000), (1000, 1800)]}
    rest = unlabelled_windows(opened, max_patches=100, max_seconds=4, without=parts)
    assert [(w.start, w.seconds) for w in rest] == []  # two seconds are left, too few for a window
    parts[0][0] = (800, 1000)
    rest = unlabelled_windows(opened, max_patches=100, max_seconds=4, without=parts)
    assert [(w.start, w.seconds) for w in rest] == [(0, 4)]
    assert Store(tmp_path).rows[0] == opened.rows[0] and opened.rows[0].interrupted == stored.interrupted
