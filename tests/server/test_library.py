"""The recordings of a service: those of its folder, by ids that stay, and nothing outside it."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from scipy.io import savemat

from neurolm.core.errors import ConfigError
from neurolm.server.errors import NoSuch
from neurolm.server.library import Library, as_shown
from neurolm.server.settings import ServerSettings

LIST = "/api/v1/recordings"
HEADERS = {
    ".vhdr": "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nDataFile=Anna.eeg\n"
    "DataFormat=BINARY\nDataOrientation=MULTIPLEXED\nNumberOfChannels=1\nSamplingInterval=2000\n"
    "[Binary Infos]\nBinaryFormat=INT_16\n"
    "[Channel Infos]\nCh1=C3,,0.1\n",
    ".lay": "[FileInfo]\nFile=Anna.dat\nFileType=Interleaved\nSamplingRate=100\nCalibration=1\nWaveformCount=1\n"
    "DataType=0\n[ChannelMap]\nC3=1\n",
    ".hea": "Anna 1 100 1000\nAnna.dat 16 200 16 0 0 0 0 C3\n",
}
"""Headers whose samples are in a file of their own."""


@pytest.fixture
def folder(tmp_path, eeg_folder):
    return shutil.copytree(eeg_folder, tmp_path / "folder")


@pytest.fixture
def library(folder, tmp_path):
    found = Library(ServerSettings(models=(), folder=folder, uploads=tmp_path / "uploads"))
    yield found
    found.close()


def names(library):
    library._stale = 0.0
    return [one.name for one in library.entries()]


def test_ids_stay_and_the_list_is_looked_at_again(library, folder, tmp_path):
    first = {one.name: one.id for one in library.entries()}
    assert list(first) == ["anna.edf", "night/bert.edf"]
    shutil.copy(folder / "anna.edf", folder / "new.edf")
    assert names(library) == ["anna.edf", "new.edf", "night/bert.edf"]
    again = Library(ServerSettings(models=(), folder=folder, uploads=tmp_path / "others"))
    assert {one.name: one.id for one in again.entries()}.items() >= first.items()
    again.close()
    (folder / "new.edf").unlink()
    assert names(library) == ["anna.edf", "night/bert.edf"]


def test_a_file_that_was_written_anew_has_a_new_scratch(library, folder):
    before = library.entries()[0]
    os.utime(folder / "anna.edf", (1, 1))
    names(library)
    after = library.entries()[0]
    assert (before.id, before.path) == (after.id, after.path) and before.scratch != after.scratch


def test_links_out_of_the_folder_are_not_there(library, folder, tmp_path, eeg_folder):
    (folder / "inside.edf").symlink_to(folder / "anna.edf")
    (folder / "outside.edf").symlink_to(eeg_folder / "anna.edf")
    (folder / "up").symlink_to(tmp_path)
    (folder / "nothing.edf").symlink_to(folder / "none.edf")
    (folder / "device.edf").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.edf")
    assert names(library) == ["anna.edf", "inside.edf", "night/bert.edf"]
    (folder / "anna.edf").unlink()  # one becomes a link after it was listed
    (folder / "anna.edf").symlink_to(eeg_folder / "anna.edf")
    entry = next(one for one in library._folder.values() if one.name == "anna.edf")
    with pytest.raises(NoSuch):
        library.get(entry.id)


@pytest.mark.parametrize("id", ["..", "../anna.edf", "anna.edf", "%2e%2e", "0" * 32, "x" * 5000])
def test_what_is_no_id_is_not_found(client, id):
    for path in (f"{LIST}/{id}/inspection", f"{LIST}/{id}/inspection/"):
        assert client.get(path).status_code in (404, 307)


def test_names_in_the_list_steer_nothing(library, folder):
    shutil.copy(folder / "anna.edf", folder / "x\x1b[31m\u202e<b>.edf")
    assert "x�[31m�<b>.edf" in names(library)


def test_how_a_recording_is_read_is_kept_and_inspected_anew(client):
    id = client.get(LIST).json()[0]["id"]
    first = client.get(f"{LIST}/{id}/inspection").json()
    assert first["reading"]["unknown"] == "nearest" and first["unit"] == "uV"
    found = client.put(f"{LIST}/{id}/reading", json={"unit": "mV", "channels": ["C3", "O1"], "mains": 60})
    assert found.status_code == 200
    told = found.json()
    assert told["unit"] == "mV" and told["electrodes"] == ["C3", "O1"] and told["mains"] == 60.0
    assert told["amplitude"] == pytest.approx(1000 * first["amplitude"], rel=0.2)
    assert client.get(f"{LIST}/{id}/inspection").json() == told
    assert client.app.state.service.library.get(id).reading.unit == "mV"


@pytest.mark.parametrize(
    "body", [{"unit": "kV"}, {"mains": -1}, {"rate": "fast"}, {"unknown": "x"}, {"other": 1}, {"channels": 3}, []]
)
def test_ways_of_reading_that_are_none_are_refused(client, body):
    id = client.get(LIST).json()[0]["id"]
    found = client.put(f"{LIST}/{id}/reading", json=body)
    assert found.status_code == 422 and found.json()["error"]["message"]
    assert client.app.state.service.library.get(id).reading.unit is None


def test_messages_call_files_as_they_are_shown():
    files = {"recording.vhdr": "Anna.vhdr", "recording.eeg": "Anna b.eeg"}
    text = "recording.vhdr: names recording.eeg and recording.vmrk. In this recording. A recording.edf too"
    told = as_shown(text, files)
    assert told == "Anna.vhdr: names Anna b.eeg and Anna.vmrk. In this recording. A Anna.edf too"


@pytest.mark.parametrize("name", ["Anna.vhdr", "Anna.lay", "Anna.hea", "Anna.set"])
def test_a_header_alone_is_told_to_be_uploaded_with_its_data(client, tmp_path, name):
    path = tmp_path / name
    if path.suffix == ".set":
        savemat(path, {"EEG": {
            "data": "Anna.fdt", "nbchan": 2, "pnts": 1000, "trials": 1, "srate": 100.0, "xmin": 0.0, "xmax": 9.99,
            "chanlocs": [], "event": [], "setname": "", "icawinv": [], "icaweights": [], "icasphere": [],
        }})  # fmt: skip
    else:
        path.write_text(HEADERS[path.suffix])
    entry = client.post(LIST, files=[("files", (name, path.read_bytes()))]).json()
    found = client.get(f"{LIST}/{entry['id']}/inspection").json()
    (problem,) = found["problems"]
    assert not found["usable"] and Path(name).stem in problem
    assert problem.endswith("together with the file that names it: choose or drop them all at once")
    assert "copy" not in problem and "download" not in problem


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no such folder"):
        Library(ServerSettings(models=(), folder=tmp_path / "none", uploads=tmp_path))


def test_the_example_is_simulated_and_can_be_used(client):
    entry = client.post(f"{LIST}/example").json()
    assert entry["origin"] == "example" and "simulated" in entry["name"]
    found = client.get(f"{LIST}/{entry['id']}/inspection").json()
    assert found["usable"] and found["seconds"] == 120.0 and len(found["electrodes"]) == 19


def test_what_was_counted_names_nobody(client, eeg_folder):
    content = (eeg_folder / "anna.edf").read_bytes()
    client.post(LIST, files=[("files", ("Anna Schmidt.edf", content))])
    client.post(LIST, files=[("files", ("x.exe", content))])
    client.get(f"{LIST}/none/inspection")
    found = client.get("/api/v1/metrics")
    assert found.headers["content-type"].startswith("text/plain")
    for line in (
        'neurolm_uploads_total{outcome="kept"} 1.0',
        'neurolm_uploads_total{outcome="refused"} 1.0',
        f"neurolm_upload_bytes_total {float(len(content))}",
        'status="404"} 1.0',
        "neurolm_requests_running 1.0",
    ):
        assert line in found.text
    assert "Anna" not in found.text and "none" not in found.text and "{id}" in found.text


def test_settings_of_others_are_not_shared(server_settings):
    first = Library(server_settings)
    other = Library(replace(server_settings, uploads=None))
    assert other._on_disk.root != first._on_disk.root
    other.close()
    first.close()


def test_what_is_derived_of_a_recording_in_use_is_kept(folder, tmp_path):
    library = Library(ServerSettings(models=(), folder=folder, uploads=tmp_path / "others", keep=100.0))
    used, other = library.entries()
    for one in (used, other):
        (one.scratch / "traces").mkdir()
        os.utime(one.scratch, (1e9, 1e9))
    library.touch(used.id)
    library.sweep()
    assert (used.scratch / "traces").exists() and not other.scratch.exists()
    library.touch(other.id)  # asked about again, it has a place for what is made of it
    assert other.scratch.is_dir()
    library.close()
