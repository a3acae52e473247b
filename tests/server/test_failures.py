"""What goes wrong around the service: a full disk, killed processes, clients that leave, two services at once."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

QUESTION = {"question": "Is this EEG segment of high workload?"}


@pytest.fixture(scope="module")
def long_recording(write_edf, tmp_path_factory) -> Path:
    """Ten minutes, so that a question takes a moment."""
    path = tmp_path_factory.mktemp("long") / "long.edf"
    write_edf(path, seed=4, names=("C3", "O1", "Fz", "C4"), seconds=600)
    return path


def send(api: str, path: Path) -> requests.Response:
    with path.open("rb") as file:
        return requests.post(f"{api}/recordings", files=[("files", (path.name, file))], timeout=60)


def uploads_of(api: str) -> dict[str, str]:
    """Ids of uploads, with their names."""
    listed = requests.get(f"{api}/recordings", timeout=60).json()
    return {entry["id"]: entry["name"] for entry in listed if entry["origin"] == "upload"}


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of four megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    try:
        made = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount here")
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_said_and_nothing_is_left(evidence_run, served, small_disk, write_edf, tmp_path):
    large, small = tmp_path / "large.edf", tmp_path / "small.edf"
    write_edf(large, seed=5, names=("C3", "O1", "Fz", "C4"), seconds=4000)
    write_edf(small, seed=6, names=("C3", "O1"))
    assert large.stat().st_size > 6e6

    def used() -> set[Path]:
        return {path for path in small_disk.rglob("*") if path.is_file() and path.name.startswith("recording")}

    with served("--model", evidence_run, "--uploads", small_disk / "uploads") as service:
        refused = send(service.api, large)
        assert refused.status_code == 507, refused.text
        assert str(small_disk) not in refused.text and used() == set()

        def piecewise() -> Iterator[bytes]:
            """An upload that does not say how long it is."""
            yield b'--cut\r\nContent-Disposition: form-data; name="files"; filename="x.edf"\r\n\r\n'
            yield from (large.read_bytes()[start : start + 65536] for start in range(0, large.stat().st_size, 65536))
            yield b"\r\n--cut--\r\n"

        headers = {"Content-Type": "multipart/form-data; boundary=cut"}
        refused = requests.post(f"{service.api}/recordings", data=piecewise(), headers=headers, timeout=60)
        assert refused.status_code == 507, refused.text
        assert used() == set() and uploads_of(service.api) == {}

        taken = send(service.api, small)
        assert taken.status_code == 201
        filler = small_disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(bytes(4096))
                file.flush()
        at = f"{service.api}/recordings/{taken.json()['id']}"
        for answer in (send(service.api, small), requests.get(f"{at}/view", timeout=60)):
            assert answer.status_code in (200, 202, 507), answer.text
        assert send(service.api, small).status_code == 507
        filler.unlink()
        assert send(service.api, small).status_code == 201
        assert requests.get(f"{at}/inspection", timeout=60).json()["usable"]


def test_an_upload_that_was_acknowledged_outlives_a_crash(evidence_run, served, write_edf, tmp_path):
    path, uploads = tmp_path / "anna.edf", tmp_path / "uploads"
    write_edf(path, seed=7, names=("C3", "O1"))
    flags = ("--model", evidence_run, "--uploads", uploads)
    with served(*flags) as first, served(*flags) as second:
        mine, theirs = send(first.api, path).json(), send(second.api, path).json()
        assert mine["id"] in uploads_of(first.api) and theirs["id"] in uploads_of(second.api)
        reading = {"unit": "mV", "unknown": "drop"}
        put = requests.put(f"{first.api}/recordings/{mine['id']}/reading", json=reading, timeout=60)
        assert put.status_code == 200, put.text
        first.end(signal.SIGKILL)
        assert theirs["id"] in uploads_of(second.api)  # it goes on
        with served(*flags) as third:
            assert uploads_of(third.api)[mine["id"]] == "anna.edf"
            assert theirs["id"] not in uploads_of(third.api)  # its service lives
            found = requests.get(f"{third.api}/recordings/{mine['id']}/inspection", timeout=60).json()
            assert found["reading"]["unit"] == "mV"
        assert requests.get(f"{second.api}/recordings/{theirs['id']}/inspection", timeout=60).json()["usable"]


def children(pid: int) -> list[int]:
    """Processes that a process has started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(status.read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(status.parent.name))
    return found


def test_readers_that_are_killed_cost_one_answer_at_most(running, long_recording, subtests):
    entry = send(running.api, long_recording).json()
    at = f"{running.api}/recordings/{entry['id']}"
    for name, call in (
        ("inspection", lambda: requests.get(f"{at}/inspection", timeout=60)),
        ("view", lambda: requests.get(f"{at}/view", timeout=60)),
        ("ask", lambda: requests.post(f"{at}/ask", json=QUESTION, timeout=60)),
    ):
        with subtests.test(name):
            answers: list[requests.Response] = []
            asking = threading.Thread(target=lambda call=call, to=answers: to.append(call()))
            asking.start()
            killed = 0
            while asking.is_alive() and killed < 3:
                for pid in children(running.process.pid):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        killed += 1
                time.sleep(0.02)
            asking.join(60)
            assert answers and answers[0].status_code in (200, 202, 422, 503), answers and answers[0].text
            assert answers[0].headers["content-type"].startswith("application/json")
    deadline = time.monotonic() + 120  # traces are tried again after a pause that grows with each death
    while (view := requests.get(f"{at}/view", timeout=60)).status_code != 200 and time.monotonic() < deadline:
        assert view.status_code == 202 or "crashed" in view.text, view.text
        time.sleep(0.1)
    assert view.status_code == 200, view.text
    asked = requests.post(f"{at}/ask", json=QUESTION, timeout=60)
    assert asked.status_code == 200 and asked.json()["timeline"], asked.text


def test_clients_that_leave_in_the_middle_of_an_answer_hold_nothing(running, long_recording):
    id = send(running.api, long_recording).json()["id"]
    ask = f"{running.api}/recordings/{id}/ask"
    for _ in range(8):
        with requests.post(ask, json=QUESTION, headers={"Accept": "text/event-stream"}, stream=True, timeout=60) as got:
            assert got.status_code == 200, got.text
            next(got.iter_lines())
    began = time.monotonic()
    done = requests.post(ask, json=QUESTION, timeout=60)
    assert done.status_code == 200 and len(done.json()["timeline"]) > 100
    assert time.monotonic() - began < 20
    text = requests.get(f"{running.address}/api/v1/metrics", timeout=60).text
    assert "neurolm" in text
