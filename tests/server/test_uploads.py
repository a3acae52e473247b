"""Uploads: streamed, counted, by names of our own, whole or not there, found again, deleted in time."""

import errno
import os
import shutil
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from neurolm.recording.recording import open_recording
from neurolm.server import multipart, naming
from neurolm.server.library import SWEEP, Library
from neurolm.server.naming import main_of, name_on_disk, rename_within, shown_name
from neurolm.server.settings import ServerSettings
from neurolm.server.uploads import Uploads

LIST = "/api/v1/recordings"


def parts(*files: tuple[str, bytes]) -> list:
    return [("files", (name, content)) for name, content in files]


def uploads_of(settings: ServerSettings) -> list[Path]:
    return sorted(path.parent for path in settings.uploads.glob("service-*/*/manifest.json"))


@pytest.fixture
def edf(eeg_folder) -> bytes:
    return (eeg_folder / "anna.edf").read_bytes()


def test_an_upload_is_there_byte_for_byte_under_a_name_of_ours(client, server_settings, edf):
    found = client.post(LIST, files=parts(("../../Änna\x1b[31m\u202e.EDF", edf)))
    assert found.status_code == 201
    entry = found.json()
    assert entry["origin"] == "upload" and entry["bytes"] == len(edf)
    assert "\x1b" not in entry["name"] and "\u202e" not in entry["name"] and entry["name"].startswith("Änna")
    (folder,) = uploads_of(server_settings)
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "recording.edf", "scratch"]
    assert (folder / "recording.edf").read_bytes() == edf
    for path in [folder.parent, folder, *folder.iterdir()]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    listed = client.get(LIST).json()
    assert listed[0] == entry and entry["expires"] == pytest.approx(time.time() + server_settings.keep, abs=60)
    assert client.delete(f"{LIST}/{entry['id']}").status_code == 204
    assert uploads_of(server_settings) == [] and not folder.exists()
    assert client.delete(f"{LIST}/{entry['id']}").status_code == 404


def test_recordings_of_the_folder_cannot_be_deleted(client, eeg_folder):
    id = client.get(LIST).json()[0]["id"]
    assert client.delete(f"{LIST}/{id}").status_code == 422
    assert (eeg_folder / "anna.edf").is_file()


FORMATS = {
    "brainvision": ("test.vhdr", "test.eeg", "test.vmrk"),
    "eeglab": ("eeglab_data.set", "eeglab_data.fdt"),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_files_of_one_recording_find_each_other_by_other_names(client, shared, kind):
    folder = shared / "eeg" / "formats" / kind
    expected = open_recording(folder / FORMATS[kind][0], reading=client.app.state.service.library.entries()[0].reading)
    renamed = [(f"Sitzung 7{Path(name).suffix.upper()}", (folder / name).read_bytes()) for name in FORMATS[kind]]
    for order in (renamed, renamed[::-1]):
        entry = client.post(LIST, files=parts(*order)).json()
        found = client.get(f"{LIST}/{entry['id']}/inspection").json()
        assert entry["name"] == f"Sitzung 7{Path(FORMATS[kind][0]).suffix.upper()}"
        assert found["usable"], found["problems"]
        assert found["electrodes"] == list(expected.channels) and found["seconds"] == expected.seconds
        assert not any("recording." in text for text in (*found["notes"], *found["problems"]))
        stored = client.app.state.service.library.get(entry["id"])
        opened = open_recording(stored.path, reading=stored.reading)
        assert (opened.read(0, 5) == expected.read(0, 5)).all()


def test_what_is_missing_is_named_as_the_user_knows_it(client, shared):
    header = (shared / "eeg" / "formats" / "brainvision" / "test.vhdr").read_bytes()
    entry = client.post(LIST, files=parts(("Anna.vhdr", header))).json()
    (problem,) = client.get(f"{LIST}/{entry['id']}/inspection").json()["problems"]
    assert "no Anna.eeg" in problem and "recording" not in problem and "/" not in problem


WFDB = (
    b"s01/../x 2 250 1000\n../../etc/secret.dat 16 200/uV 16 0 0 0 0 C3\n/tmp/other.dat 16 200/uV 16 0 0 0 0 O1\n"
    b"# s01.dat\n"
)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("recording.vhdr", b"DataFile=/etc/passwd\r\nMarkerFile=..\\x.vmrk\r\n",
         b"DataFile=recording\r\nMarkerFile=recording.vmrk\r\n"),
        ("recording.vhdr", b"datafile = a/b.EEG\n", b"datafile = recording.eeg\n"),
        ("recording.vhdr", "DataFile=Müller.eeg\r\n".encode("utf-16"), "DataFile=recording.eeg\r\n".encode("utf-16")),
        ("recording.lay", b"[FileInfo]\nFile=C:\\eeg\\x.dat\nFileType=Interleaved\n",
         b"[FileInfo]\nFile=recording.dat\nFileType=Interleaved\n"),
        ("recording.hea", WFDB.replace(b"s01/../x", b"s01"),
         b"recording 2 250 1000\nrecording.dat 16 200/uV 16 0 0 0 0 C3\n"
         b"recording.dat 16 200/uV 16 0 0 0 0 O1\n# s01.dat\n"),
    ],
)  # fmt: skip
def test_headers_name_files_of_their_upload_and_no_others(tmp_path, name, before, after):
    (tmp_path / "recording.vmrk").touch()
    (tmp_path / name).write_bytes(before)
    files = {one: one for one in (name, "recording.eeg", "recording.vmrk", "recording.dat")}
    if name.endswith("vhdr"):
        files.pop("recording.dat")
    rename_within(tmp_path, files)
    assert (tmp_path / name).read_bytes() == after


def test_a_record_of_several_segments_is_refused(client):
    found = client.post(LIST, files=parts(("x.hea", WFDB), ("x.dat", b"12")))
    assert found.status_code == 422 and "several segments" in found.json()["error"]["message"]


def test_a_wfdb_record_is_read(client):
    samples = b"".join(int(40 * ((i % 25) - 12)).to_bytes(2, "little", signed=True) * 2 for i in range(5000))
    header = b"s01 2 250 5000\ns01.dat 16 1/uV 16 0 0 0 0 C3\ns01.dat 16 1/uV 16 0 0 0 0 O1\n"
    entry = client.post(LIST, files=parts(("s01.hea", header), ("s01.dat", samples))).json()
    found = client.get(f"{LIST}/{entry['id']}/inspection").json()
    assert found["electrodes"] == ["C3", "O1"] and found["seconds"] == 20.0


@pytest.mark.parametrize(
    ("given", "shown", "kept"),
    [
        ("a/b\\c.EDF", "c.EDF", "recording.edf"), ("x.fif.gz", "x.fif.gz", "recording.fif.gz"),
        ("x.cdt.dpa", "x.cdt.dpa", "recording.cdt.dpa"), (".edf", ".edf", "recording.edf"),
        ("\u202egnp.edf", "�gnp.edf", "recording.edf"), ("a" * 400 + ".bdf", "a" * 146 + ".bdf", "recording.bdf"),
    ],
)  # fmt: skip
def test_names_on_disk_are_ours(given, shown, kept):
    assert shown_name(given) == shown and name_on_disk(given) == kept


@pytest.mark.parametrize(
    ("files", "status", "said"),
    [
        (parts(("x.exe", b"MZ")), 422, "no reader for the suffix '.exe'"),
        (parts(("x", b"1")), 422, "no reader"),
        (parts(("x.mff", b"1")), 422, "folders, which cannot be uploaded"),
        (parts(("a.edf", b"1"), ("b.edf", b"2")), 422, "two files of one kind"),
        (parts(("a.edf", b"1"), ("b.bdf", b"2")), 422, "a.edf, b.bdf: several recordings"),
        (parts(("a.fdt", b"1")), 422, "give the .set file"),
        (parts(*((f"a{s}", b"1") for s in (".vhdr", ".eeg", ".vmrk", ".set", ".fdt", ".lay", ".dat", ".hea", ".mat"))),
         413, "more than 8 files"),
        ([("other", ("x.edf", b"1"))], 422, "parts named 'files'"),
        ([("files", (None, b"1"))], 422, "parts named 'files'"),
    ],
)  # fmt: skip
def test_what_is_no_upload_is_refused_and_leaves_nothing(client, server_settings, files, status, said):
    found = client.post(LIST, files=files)
    assert found.status_code == status and said in found.json()["error"]["message"]
    assert list(server_settings.uploads.glob("service-*/*")) == [
        one for one in server_settings.uploads.glob("service-*/*") if one.name in ("lock", "folder")
    ]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "multipart/form-data; boundary=x"),
        (b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.edf"\r\n\r\n1',
         "multipart/form-data; boundary=x"),
        (b"nonsense", "multipart/form-data; boundary=x"),
        (b"{}", "application/json"),
        (b"x", "multipart/form-data"),
        (b"--x--\r\n", "multipart/form-data; boundary=x"),
        (b"x", f"multipart/form-data; boundary={'x' * 500}"),
    ],
)  # fmt: skip
def test_what_is_not_understood_or_not_whole_is_refused(client, server_settings, content, kind):
    assert client.post(LIST, content=content, headers={"Content-Type": kind}).status_code == 422
    assert uploads_of(server_settings) == []


def test_too_large_is_said_before_anything_is_read(make_client, server_settings):
    client = make_client(replace(server_settings, most_bytes=1000))

    def never():
        yield b""
        raise AssertionError("it was read")

    found = client.post(
        LIST, content=never(), headers={"Content-Length": "100000000", "Expect": "100-continue",
                                        "Content-Type": "multipart/form-data; boundary=x"}
    )  # fmt: skip
    assert found.status_code == 413


def test_too_large_is_found_while_it_comes(make_client, server_settings):
    client = make_client(replace(server_settings, most_bytes=3 << 20))

    def body():
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.edf"\r\n\r\n'
        for _ in range(5):
            yield bytes(1 << 20)
        yield b"\r\n--x--\r\n"

    found = client.post(LIST, content=body(), headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert found.status_code == 413 and "0.00315 GB" in found.json()["error"]["message"]
    assert uploads_of(server_settings) == []
    assert client.post(LIST, files=parts(("a.npy", bytes(3 << 20)))).status_code == 201  # exactly as much is taken


def test_too_long_is_refused_and_deleted(make_client, server_settings, edf):
    client = make_client(replace(server_settings, most_seconds=20))
    found = client.post(LIST, files=parts(("anna.edf", edf)))
    assert found.status_code == 413 and found.json()["error"]["message"].startswith(
        "anna.edf: 30 s long, and this service takes at most 20 s"
    )
    assert uploads_of(server_settings) == []


def test_a_full_disk_is_said_and_nothing_stays(client, server_settings, edf, monkeypatch):
    written = os.write

    def full(file, data):
        if len(data) > 1000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return written(file, data)

    monkeypatch.setattr(multipart.os, "write", full)
    found = client.post(LIST, files=parts(("anna.edf", edf)))
    monkeypatch.undo()
    assert found.status_code == 507 and "full" in found.json()["error"]["message"]
    assert uploads_of(server_settings) == []
    assert client.post(LIST, files=parts(("anna.edf", edf))).status_code == 201


def test_an_example_for_which_there_is_no_room_is_507(client, monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("neurolm.server.example.shutil.copyfile", full)
    found = client.post(f"{LIST}/example")
    assert found.status_code == 507 and found.json()["error"]["kind"] == "DiskFull"


def test_an_upload_whose_client_hangs_up_is_no_fault(client, server_settings, capsys):
    coming = iter([{"type": "http.request", "body": b"--B\r\n", "more_body": True}, {"type": "http.disconnect"}])

    async def receive():
        return next(coming)

    async def send(message):
        raise AssertionError(message)

    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"multipart/form-data; boundary=B")]
    scope = {"type": "http", "method": "POST", "path": LIST, "headers": headers, "query_string": b"", "root_path": ""}
    client.portal.call(client.app, scope, receive, send)
    assert uploads_of(server_settings) == [] and not capsys.readouterr().err
    assert 'status="499"} 1.0' in client.get("/api/v1/metrics").text


def test_a_header_that_would_fill_memory_is_refused(client, edf, monkeypatch):
    monkeypatch.setattr(naming, "MOST_HEADER", 1000)
    found = client.post(LIST, files=parts(("anna.lay", b"[FileInfo]\nFile=anna.dat\n" + b";" * 1000)))
    assert found.status_code == 422 and "it is no header" in found.json()["error"]["message"]


def test_no_room_is_said_before_anything_is_read(client, edf, monkeypatch):
    monkeypatch.setattr(multipart, "_free", lambda _: 1000)
    assert client.post(LIST, files=parts(("anna.edf", edf))).status_code == 507


def test_uploads_expire_after_their_last_use(server_settings, edf):
    library = Library(replace(server_settings, keep=100.0))
    ids = []
    for _ in range(2):
        with library.coming() as (id, folder):
            (folder / "recording.edf").write_bytes(edf)
            ids.append(library.add(id, folder, folder / "recording.edf", {"recording.edf": "x.edf"}, "upload").id)
    old = time.time() + 90
    library._uploads[ids[0]] = replace(library.get(ids[0]), used=old)
    library.sweep(now=old + SWEEP + 1)
    assert [one.id for one in library.entries() if one.origin == "upload"] == [ids[0]]
    assert [path.name for path in uploads_of(server_settings)] == [ids[0]]
    library.close()


def died(library: Library) -> None:
    """What the death of a service's process does."""
    library._on_disk._lock.close()


def test_a_second_service_leaves_the_first_alone_and_takes_over_from_the_dead(tmp_path, edf):
    settings = ServerSettings(models=(), uploads=tmp_path)
    first, second = Library(settings), Library(settings)
    with first.coming() as (id, folder):
        (folder / "recording.edf").write_bytes(edf)
        entry = first.add(id, folder, folder / "recording.edf", {"recording.edf": "x.edf"}, "upload")
        with first.coming() as (_, unfinished):
            (unfinished / "recording.edf").write_bytes(edf)
            third = Library(settings)  # while the first is alive
            assert second.entries() == third.entries() == [] and unfinished.is_dir()
    read = first.read_as(entry.id, replace(entry.reading, unit="mV", channels={"E1": "Cz"}))
    died(first)
    (first._on_disk.folder / "coming-0123").mkdir()
    fourth = Library(settings)
    (found,) = fourth.entries()
    assert (found.id, found.name, found.reading) == (read.id, "x.edf", read.reading)
    assert found.path.read_bytes() == edf
    assert not first._on_disk.folder.exists() and second._on_disk.folder.exists()
    assert list(fourth._on_disk.folder.glob("coming-*")) == []
    for library in (second, third, fourth):
        library.close()


def test_uploads_end_with_the_service_but_in_a_folder_that_was_given(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    own = Uploads(None)
    assert own.folder.parent == tmp_path / f"neurolm-{os.geteuid()}"
    assert stat.S_IMODE(own.root.stat().st_mode) == 0o700
    own.close()
    assert list(own.root.glob("service-*")) == []
    shutil.rmtree(own.root)
    own.root.symlink_to(tmp_path)  # somebody was here before
    with pytest.raises(Exception, match="not this user's alone"):
        Uploads(None)


def test_a_killed_service_loses_nothing_that_it_acknowledged(service_process, edf):
    first = service_process()
    ids = [
        requests.post(f"{first.api}/recordings", files=parts((f"{n}.edf", edf)), timeout=60).json()["id"]
        for n in range(3)
    ]
    first.process.kill()
    first.process.wait()
    second = service_process()
    assert "Traceback" not in "".join(first.said)
    found = [one["id"] for one in requests.get(f"{second.api}/recordings", timeout=10).json()]
    assert set(ids) <= set(found)
    assert requests.get(f"{second.api}/recordings/{ids[0]}/inspection", timeout=60).json()["file"] == "0.edf"
    assert second.end() == 0


def test_main_of_needs_one(tmp_path):
    for name in ("recording.vhdr", "recording.eeg"):
        (tmp_path / name).touch()
    assert main_of(tmp_path, {"recording.eeg": "a.eeg", "recording.vhdr": "a.vhdr"}) == tmp_path / "recording.vhdr"
