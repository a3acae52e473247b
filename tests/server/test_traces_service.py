"""Traces as the service keeps them: made once, in another process, and what happens when that goes wrong."""

import errno
import importlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from neurolm.core.errors import RecordingError, WriteError
from neurolm.recording import isolation
from neurolm.recording.options import ReadingOptions
from neurolm.server.traces import build, pyramid
from neurolm.server.traces import traces as service
from neurolm.server.traces.page import Request
from neurolm.server.traces.pyramid import Writer
from neurolm.server.traces.traces import NotReady, Traces
from neurolm.server.traces.view import _is_sleep


@dataclass
class Entry:
    """What the library has of a recording."""

    path: Path
    scratch: Path
    id: str = "a"
    name: str = "shown name.edf"
    reading: ReadingOptions = field(default_factory=lambda: ReadingOptions(unknown="nearest"))


@pytest.fixture
def entry(tmp_path, write_edf) -> Entry:
    path = tmp_path / "secret" / "file.edf"
    write_edf(path, seed=1, seconds=20)
    (tmp_path / "scratch").mkdir()
    return Entry(path, tmp_path / "scratch")


@pytest.fixture
def readers(tmp_path, monkeypatch):
    """A module, which other processes can import, of readers that go wrong."""
    (tmp_path / "readers_gone_wrong.py").write_text(
        "import os, time\ndef crash(*_): os._exit(9)\ndef hang(*_): time.sleep(60)\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("readers_gone_wrong")
    del sys.modules["readers_gone_wrong"]


@pytest.fixture
def traces():
    made = Traces(builds=1)
    yield made
    made.close()


def ready(traces: Traces, entry: Entry) -> dict:
    for _ in range(400):
        found = traces.view(entry)
        if found["ready"]:
            return found
        time.sleep(0.02)
    raise AssertionError(found)


def test_many_who_ask_at_once_wait_for_one_pyramid(traces, entry, monkeypatch):
    made = []
    monkeypatch.setattr(Traces, "_make", lambda self, *what, true=Traces._make: made.append(what) or true(self, *what))
    with ThreadPoolExecutor(8) as threads:
        views = list(threads.map(lambda _: ready(traces, entry), range(8)))
    assert len(made) == 1 and all(view == views[0] for view in views)
    again = Traces(builds=1)
    try:
        assert again.view(entry) == views[0]  # at once: the files are there
    finally:
        again.close()
    assert len(made) == 1


def test_a_page_before_its_pyramid_says_how_far_it_is(traces, entry, monkeypatch):
    monkeypatch.setattr(service, "AT_ONCE", 0.0)
    with pytest.raises(NotReady) as later:
        traces.page(entry, Request(0, 5, 100))
    assert 0 <= later.value.progress < 1
    ready(traces, entry)
    assert traces.page(entry, Request(0, 5, 100))[:4] == traces.overview(entry, 10)[:4] == b"NLT1"


def test_read_otherwise_it_is_made_anew_and_the_old_one_goes(traces, entry):
    before = ready(traces, entry)
    after = ready(traces, entry_mv := replace(entry, reading=ReadingOptions(unknown="nearest", unit="mV")))
    assert before["version"] != after["version"]
    assert after["channels"][0]["baseline"] == pytest.approx(1000 * before["channels"][0]["baseline"], rel=1e-3)
    assert len(list(entry_mv.scratch.iterdir())) == 1


def test_what_cannot_be_read_says_so_by_its_shown_name_each_time(traces, entry):
    entry.path.write_bytes(b"no recording" * 100)
    for _ in range(2):
        with pytest.raises(RecordingError, match=r"shown name\.edf: not an EDF") as error:
            ready(traces, entry)
        assert str(entry.path.parent) not in str(error.value)


def test_a_reader_that_crashes_or_hangs_costs_its_recording_alone(readers, entry, monkeypatch):
    traces = Traces(builds=1)
    begin = build.begin
    monkeypatch.setattr(build, "begin", readers.crash)
    with pytest.raises(RecordingError, match=r"shown name\.edf: .* crashed \(exit status 9\)"):
        ready(traces, entry)
    monkeypatch.setattr(build, "begin", readers.hang)
    monkeypatch.setattr(service, "patience", lambda _path: 2.0)
    with pytest.raises(RecordingError, match="did not answer in time"):
        ready(traces, replace(entry, id="b", scratch=entry.scratch / "b"))
    monkeypatch.setattr(build, "begin", begin)
    monkeypatch.setattr(service, "patience", lambda _path: 60.0)
    assert ready(traces, replace(entry, id="c", scratch=entry.scratch / "c"))["seconds"] == 20
    traces.close()


def test_what_crashed_is_tried_again_after_a_pause_that_grows(traces, entry, readers, monkeypatch):
    now, begin = [100.0], build.begin
    monkeypatch.setattr(service, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(build, "begin", readers.crash)
    begun = []
    monkeypatch.setattr(
        Traces, "_make", lambda self, made, *what, true=Traces._make: begun.append(now[0]) or true(self, made, *what)
    )
    while now[0] < 120:  # a page that asks every second
        with pytest.raises(RecordingError, match="crashed"):
            ready(traces, entry)
        now[0] += 1
    assert begun == [100, 102, 106, 114]
    monkeypatch.setattr(build, "begin", begin)
    now[0] = 130
    assert ready(traces, entry)["seconds"] == 20


def test_a_header_of_strangers_shows_no_file_from_elsewhere(traces, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "uploads" / "a").mkdir(parents=True)
    np.arange(4000, dtype="<i2").tofile(tmp_path / "elsewhere" / "private.eeg")
    header = tmp_path / "uploads" / "a" / "recording.vhdr"
    header.write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n\n[Common Infos]\nCodepage=UTF-8\n"
        f"DataFile={tmp_path / 'elsewhere' / 'private.eeg'}\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\n"
        "NumberOfChannels=2\nSamplingInterval=5000\n\n[Binary Infos]\nBinaryFormat=INT_16\n\n[Channel Infos]\n"
        "Ch1=C3,,0.1,µV\nCh2=C4,,0.1,µV\n",
        encoding="utf-8",
    )
    assert ready(traces, Entry(header, tmp_path / "one"))["seconds"] == 10  # whoever owns both may
    monkeypatch.setattr(isolation, "_confined", (tmp_path / "uploads",))
    with pytest.raises(RecordingError):
        ready(traces, Entry(header, tmp_path / "two", id="b"))


def test_a_full_disk_is_said_and_tried_again_later(tmp_path, monkeypatch):
    def full(*_arguments: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Writer(tmp_path, 1, 100, np.ones(1), np.zeros(1)) as writer:
        monkeypatch.setattr(pyramid.os, "pwrite", full)
        with pytest.raises(WriteError, match="free space there"):
            writer.add(0, [([0], np.zeros((1, pyramid.CHUNK), np.int16), True)])


def test_a_removed_recording_is_forgotten(traces, entry, monkeypatch):
    ready(traces, entry)
    for file in sorted(entry.scratch.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    entry.scratch.rmdir()
    other = replace(entry, id="b", scratch=entry.scratch.with_name("b"))
    ready(traces, other)
    assert [folder.parent for folder in traces._open] == [other.scratch]
    traces.forget("b")
    traces.forget("b")


def test_closing_ends_processes_at_once(readers, entry, monkeypatch):
    traces = Traces(builds=1)
    monkeypatch.setattr(build, "begin", readers.hang)
    monkeypatch.setattr(service, "AT_ONCE", 0.5)
    assert traces.view(entry)["ready"] is False
    workers = [*traces._busy]
    began = time.monotonic()
    traces.close()
    assert time.monotonic() - began < 5 and workers and not any(worker.usable for worker in workers)


@pytest.mark.parametrize(
    ("hours", "kinds", "texts", "sleep"),
    [
        (8, ["eeg", "eog"], [], True), (8, ["eeg"], ["Sleep stage W", "Lights off"], True), (8, ["eeg"], ["N2"], True),
        (8, ["eeg", "ecg"], ["eyes closed", "no response"], False), (1, ["eeg", "emg"], ["Sleep stage R"], False),
    ],
)  # fmt: skip
def test_long_nights_with_eyes_or_stages_are_sleep(hours, kinds, texts, sleep):
    meta = {"channels": [{"kind": kind} for kind in kinds], "annotations": [{"text": text} for text in texts]}
    assert _is_sleep(meta, hours * 3600) is sleep
