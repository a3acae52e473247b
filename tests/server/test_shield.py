"""The crash shield: what is wrong with a recording costs that recording an error, and nothing else."""

import os
import threading
import time

import numpy as np
import pytest
import scipy.io

from neurolm.core.errors import RecordingError
from neurolm.server import shield as shields
from neurolm.server.errors import Busy
from neurolm.server.shield import Shield

LIST = "/api/v1/recordings"


@pytest.fixture
def shield():
    found = Shield(1)
    yield found
    found.close()


def test_what_is_called_there_comes_back(shield, eeg_folder):
    path = eeg_folder / "anna.edf"
    assert shield.call(path, os.path.basename, str(path)) == "anna.edf"
    there = shield.call(path, os.getpid)
    assert there != os.getpid() and shield.call(path, os.getpid) == there  # one after the other in the same process


def test_a_crash_a_hang_and_a_bomb_cost_one_error_each(shield, eeg_folder, monkeypatch):
    path = eeg_folder / "anna.edf"
    with pytest.raises(RecordingError, match="made its reader crash"):
        shield.call(path, os._exit, 11)
    with pytest.raises(RecordingError, match="memory"):
        shield.call(path, bytearray, 200 << 30)
    monkeypatch.setattr(shields, "patience", lambda _: 1.0)
    began = time.monotonic()
    with pytest.raises(RecordingError, match="not read within 1 s"):
        while True:  # a process that is only starting is late as well
            shield.call(path, time.sleep, 60)
    assert time.monotonic() - began < 30
    monkeypatch.undo()
    assert shield.call(path, os.path.basename, "x") == "x"


def test_who_waits_too_long_is_told_to_come_again(shield, eeg_folder, monkeypatch):
    monkeypatch.setattr(shields, "WAIT", 0.05)
    assert shield._free.acquire(timeout=60)
    with pytest.raises(Busy):
        shield.call(eeg_folder / "anna.edf", os.getpid)
    shield._free.release()


def test_who_would_wait_behind_many_is_told_at_once(shield, eeg_folder, monkeypatch):
    monkeypatch.setattr(shield, "_places", threading.Semaphore(1))
    assert shield._places.acquire(timeout=60)
    began = time.monotonic()
    with pytest.raises(Busy):
        shield.call(eeg_folder / "anna.edf", os.getpid)
    assert time.monotonic() - began < shields.WAIT / 10
    shield._places.release()
    assert shield.call(eeg_folder / "anna.edf", os.path.basename, "x") == "x"


def eeglab(data: str) -> dict:
    """A data set of EEGLAB's whose samples lie in another file."""
    places = np.array([("C3",), ("O1",)], dtype=[("labels", object)])
    return {"EEG": {"setname": "x", "nbchan": 2, "pnts": 5000, "trials": 1, "srate": 250.0, "xmin": 0.0, "xmax": 19.996,
                    "data": data, "chanlocs": places, "event": np.array([]), "epoch": np.array([]), "icawinv": [],
                    "icaweights": [], "icasphere": []}}  # fmt: skip


def test_an_upload_reads_no_file_but_its_own(client, tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "secret.fdt").write_bytes(rng.normal(0, 20, (2, 5000)).astype("<f4").tobytes())
    for named, usable in ((str(tmp_path / "secret.fdt"), False), ("x.fdt", True)):
        scipy.io.savemat(tmp_path / "x.set", eeglab(named), appendmat=False)
        files = [("files", ("x.set", (tmp_path / "x.set").read_bytes()))]
        if usable:
            files.append(("files", ("x.fdt", (tmp_path / "secret.fdt").read_bytes())))
        id = client.post(LIST, files=files).json()["id"]
        found = client.get(f"{LIST}/{id}/inspection").json()
        assert found["usable"] is usable, found["problems"]
        if not usable:
            assert found["electrodes"] == [] and "none of its own" in found["problems"][0]
            assert str(tmp_path) not in str(found["notes"])
            for path in ("view", "traces?start=0&seconds=2&columns=100"):  # nor does what draws, or answers
                until = time.monotonic() + 60
                while (drawn := client.get(f"{LIST}/{id}/{path}")).status_code == 202 and time.monotonic() < until:
                    time.sleep(0.1)
                assert drawn.status_code == 422 and "none of its own" in drawn.json()["error"]["message"]
            question = {"question": "Is this EEG segment of high workload?"}
            asked = client.post(f"{LIST}/{id}/ask", json=question)
            assert asked.status_code == 422 and "none of its own" in asked.json()["error"]["message"]


@pytest.mark.parametrize("kind", ["link", "external", "virtual", "own"])
def test_data_of_hdf5_that_lie_elsewhere_are_refused(client, tmp_path, kind):
    h5py = pytest.importorskip("h5py")
    (tmp_path / "secret").write_bytes(bytes(8000))
    with h5py.File(tmp_path / "x.mat", "w") as file:
        group = file.create_group("a")
        group["again"] = h5py.SoftLink("/a")  # leads in a circle
        if kind == "link":
            group["eeg"] = h5py.ExternalLink(str(tmp_path / "secret"), "/eeg")
        elif kind == "external":
            group.create_dataset("eeg", (1000,), "f8", external=[(str(tmp_path / "secret"), 0, 8000)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout((1000,), "f8")
            layout[:] = h5py.VirtualSource(str(tmp_path / "secret"), "eeg", (1000,))
            group.create_virtual_dataset("eeg", layout)
        else:
            group["eeg"] = np.zeros(1000)
    found = client.post(LIST, files=[("files", ("x.mat", (tmp_path / "x.mat").read_bytes()))])
    if kind == "own":
        assert found.status_code == 201
    else:
        assert found.status_code == 422
        assert found.json()["error"]["message"] == "x.mat: its 'eeg' lies in another file; save it as one file"


def test_broken_uploads_are_told_apart_and_the_service_goes_on(client, shared):
    folder = shared / "eeg" / "formats" / "broken"
    for path in sorted(folder.iterdir()):
        found = client.post(LIST, files=[("files", (path.name, path.read_bytes()))])
        assert found.status_code == 201
        told = client.get(f"{LIST}/{found.json()['id']}/inspection").json()
        assert not told["usable"] and told["problems"] and told["file"] == path.name
    assert client.get("/api/v1/health").json()["status"] == "ok"
