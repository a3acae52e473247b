"""One bad item never stops a preparation: it is named, and the others are prepared."""

import json
import os
import shutil

import numpy as np
import pytest

from neurolm.prepare.prepare import prepare
from neurolm.recording.options import ReadingOptions
from neurolm.store.store import QUARANTINE, Label, Store

HEADER = "file,start,stop,task,label,subject\n"


def reasons(store):
    return {one["source"]: one["reason"] for one in map(json.loads, (store / QUARANTINE).read_text().splitlines())}


def test_a_label_that_is_not_for_its_recording_costs_that_recording(tmp_path, write_edf):
    data, out = tmp_path / "clinic", tmp_path / "store"
    for number, name in enumerate(("anna", "bea")):
        write_edf(data / f"{name}.edf", seed=number)
    table = data / "labels.csv"
    table.write_text(HEADER + "anna.edf,0,12.5,t,x,anna\nbea.edf,0,60,t,y,bea\n")
    report = prepare(data, out, jobs=1)
    assert (report.recordings, report.quarantined) == (1, 1)
    assert "line 3: the label 'y' (0 to 60 s) is outside of bea.edf, which lasts 12 s" in reasons(out)["bea.edf"]
    (row,) = Store(out).rows
    assert row.labels == (Label("t", "x", 0.0, 12.0),)
    cut = "labels cut off at the end of the recording: 1, up to 12.5 s where it lasts 12 s"
    assert cut in row.notes
    assert any(note.startswith(cut) for note in report.notes)
    table.write_text(HEADER + "anna.edf,0,12,t,x,anna\nbea.edf,0,12,t,y,bea\n")  # corrected
    report = prepare(data, out, jobs=1)
    assert (report.recordings, report.skipped, report.quarantined) == (2, 1, 0)
    assert not any(note.startswith("labels cut off") for row in Store(out).rows for note in row.notes)


def test_labels_to_the_promised_end_of_a_truncated_recording_are_cut(tmp_path, write_edf):
    data, out = tmp_path / "clinic", tmp_path / "store"
    write_edf(data / "a.edf", seed=1)
    whole = (data / "a.edf").read_bytes()
    (data / "a.edf").write_bytes(whole[:-5000])
    (data / "labels.csv").write_text(HEADER + "a.edf,0,6,t,x,a\na.edf,6,12,t,y,a\n")
    prepare(data, out, jobs=1, reading=ReadingOptions(truncated="accept"))
    (row,) = Store(out).rows
    assert row.labels == (Label("t", "x", 0.0, 6.0), Label("t", "y", 6.0, row.seconds))
    assert row.seconds < 12
    assert any("up to 12 s" in note for note in row.notes)


def test_names_that_are_not_utf8_are_named_and_passed_over(tmp_path, write_edf):
    data, out = tmp_path / "clinic", tmp_path / "store"
    write_edf(data / "s1" / "a.edf", seed=1)
    folder = data / os.fsdecode(b"S\xe9")
    folder.mkdir()
    shutil.copyfile(data / "s1" / "a.edf", folder / os.fsdecode(b"Se\xf1or.edf"))
    report = prepare(data, out, jobs=1)
    assert (report.recordings, report.quarantined) == (1, 1)
    assert reasons(out) == {
        "S\\xe9/Se\\xf1or.edf": "its name is not in UTF-8, as a store's must be: rename the file or its folder"
    }
    "\n".join(report.notes).encode()  # can be printed


def test_pipes_and_links_in_circles_are_named_and_passed_over(tmp_path, write_edf):
    data, out = tmp_path / "clinic", tmp_path / "store"
    write_edf(data / "s1" / "a.edf", seed=1)
    os.mkfifo(data / "s1" / "pipe.edf")
    (data / "s1" / "loop.edf").symlink_to("loop.edf")
    (data / "s1" / "up").symlink_to(data)
    report = prepare(data, out, jobs=1)
    assert (report.recordings, report.quarantined) == (1, 0)
    assert {note for note in report.notes if "passed over" in note} == {
        "pipes, sockets and devices, passed over: s1/pipe.edf",
        "links that lead in a circle, passed over: s1/loop.edf",
        "links to folders, which are not followed, passed over: s1/up",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_folders_that_may_not_be_read_are_named(tmp_path, write_edf):
    data = tmp_path / "clinic"
    write_edf(data / "s1" / "a.edf", seed=1)
    (data / "s2").mkdir()
    (data / "s2").chmod(0)
    report = prepare(data, tmp_path / "store", jobs=1)
    (data / "s2").chmod(0o700)
    assert "folders that may not be read, passed over: s2" in report.notes


def test_people_who_may_be_one_are_said(tmp_path, write_edf):
    data = tmp_path / "clinic"
    lines = []
    for number, subject in enumerate(("S01", "s01", "1", "01", "10")):
        write_edf(data / f"{number}.edf", seed=number)
        lines.append(f"{number}.edf,,,,,{subject}\n")
    (data / "labels.csv").write_text(HEADER + "".join(lines))
    notes = prepare(data, tmp_path / "store", jobs=1).notes
    assert [note.split(",")[0] for note in notes if note.startswith("subjects ")] == [
        "subjects clinic/01 and clinic/1 count as 2 people",
        "subjects clinic/S01 and clinic/s01 count as 2 people",
    ]


def test_files_that_may_be_recordings_but_are_none_as_they_are_are_said(tmp_path, write_edf):
    data = tmp_path / "clinic"
    write_edf(data / "s1" / "a.edf", seed=1)
    for name in ("x.h5", "s1/y.H5", "z.pkl", "s1/a.mat", "s1/a.zip", ".hidden.h5", "README.txt", "events.json"):
        (data / name).write_bytes(b"")
    (data / "store.zarr").mkdir()
    (data / "store.zarr" / "part.h5").write_bytes(b"")
    np.save(data / "s1" / "w.npy", np.zeros((4, 1000)))
    (note,) = [n for n in prepare(data, tmp_path / "store", jobs=1).notes if "as they are" in n]
    counts, _, remedies = note.partition(" (.npy: ")
    assert counts == "5 files are no recordings as they are: .h5 (2), .npy (1), .pkl (1), .zarr (1)"
    assert "rate=250" in remedies and "h5py" in remedies
    (data / "corpus.json").write_text('{"rate": 250, "unit": "uV"}')
    (note,) = [n for n in prepare(data, tmp_path / "other", jobs=1).notes if "as they are" in n]
    assert note.startswith("4 files are no recordings as they are: .h5 (2), .pkl (1), .zarr (1)")


def test_a_folder_of_recordings_alone_has_no_such_note(tmp_path, write_edf):
    write_edf(tmp_path / "clinic" / "s1" / "a.edf", seed=1)
    assert not [n for n in prepare(tmp_path / "clinic", tmp_path / "store", jobs=1).notes if " as it is" in n]
