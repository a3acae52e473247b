"""Uploads and requests of people who mean no good: each is answered, none leaves anything, the service stays well."""

import contextlib
import http.client
import os
import socket
import time
import zipfile
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
import requests

STEERING = set(map(chr, [*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]))
NAMES = {
    "../../escaped.edf": "escaped.edf", "/etc/passwd.edf": "passwd.edf", "C:\\windows\\x.edf": "x.edf",
    "a" * 300 + ".edf": None, "<script>alert(1)</script>.edf": None, "\u202efde.exe.edf": None,
    "a\x1b[31mred.edf": None, "..edf": None, "con.edf": "con.edf", "a\r\nX-Injected: 1.edf": None,
}  # fmt: skip
"""What a request may call a file → what it is shown as, where that is plain."""


@pytest.fixture(scope="module")
def service(evidence_run, eeg_folder, served, tmp_path_factory):
    """A running service, and the folder of its uploads."""
    uploads = tmp_path_factory.mktemp("hostile") / "uploads"
    with served("--model", evidence_run, "--folder", eeg_folder, "--uploads", uploads) as found:
        yield SimpleNamespace(api=found.api, address=found.address, uploads=uploads, process=found.process)


@pytest.fixture(scope="module")
def sound(write_edf, tmp_path_factory) -> bytes:
    """A small recording that the micro run can be asked about."""
    path = tmp_path_factory.mktemp("sound") / "x.edf"
    write_edf(path, seed=3, names=("C3", "O1"))
    return path.read_bytes()


@pytest.fixture(autouse=True)
def stays_well(service):
    """After each test the service answers at once, and every file in its folder belongs to an upload that it lists."""
    yield
    assert requests.get(f"{service.api}/health", timeout=5).json()["status"] == "ok"
    for entry in requests.get(f"{service.api}/recordings", timeout=5).json():
        if entry["origin"] == "upload":
            requests.delete(f"{service.api}/recordings/{entry['id']}", timeout=5)
    deadline = time.monotonic() + 10
    while (found := left(service)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not found


def left(service) -> list[Path]:
    """Files of uploads that are on disk."""
    found = [Path(folder) / name for folder, _, names in os.walk(service.uploads) for name in names]
    return [path for path in found if path.name not in ("lock", ".lock") and "folder" not in path.parts]


def send(service, name: str, content: bytes, **more) -> requests.Response:
    return requests.post(f"{service.api}/recordings", files=[("files", (name, content))], timeout=60, **more)


def hostile_files(shared: Path) -> list[Path]:
    folders = shared / "eeg/formats/broken", shared / "cases/hostile"
    return sorted(path for folder in folders for path in folder.iterdir() if path.is_file())


def test_broken_and_hostile_files_cost_themselves_alone(service, shared, subtests):
    for path in hostile_files(shared):
        with subtests.test(path.name):
            require_answered(service, path.name, path.read_bytes())


def require_answered(service, name: str, content: bytes) -> None:
    """Upload a file and ask all that can be asked of it: every answer is what it should be or says what is wrong."""
    answer = send(service, name, content)
    assert answer.status_code in (201, 413, 422), answer.text
    require_plain(service, answer)
    if answer.status_code != 201:
        assert name in answer.json()["error"]["message"]
        return
    at = f"{service.api}/recordings/{answer.json()['id']}"
    inspection = requests.get(f"{at}/inspection", timeout=60)
    assert inspection.status_code in (200, 422), inspection.text
    require_plain(service, inspection)
    for _ in range(100):
        view = requests.get(f"{at}/view", timeout=60)
        if view.status_code != 202:
            break
        time.sleep(0.1)
    assert view.status_code in (200, 422), view.text
    require_plain(service, view)
    asked = requests.post(f"{at}/ask", json={"question": "Is this EEG segment of high workload?"}, timeout=60)
    assert asked.status_code in (200, 422), asked.text
    require_plain(service, asked)


def require_plain(service, answer: requests.Response) -> None:
    """An answer is JSON without the service's own paths; only this message may be shown as it is."""
    assert answer.headers["content-type"].startswith("application/json")
    assert str(service.uploads) not in answer.text and "service-" not in answer.text
    error = answer.json().get("error") if isinstance(answer.json(), dict) else None
    if error:
        assert not STEERING & set(error["message"])


@pytest.mark.parametrize("name", NAMES)
def test_no_name_of_a_request_touches_the_disk(service, sound, name):
    before = {path for path in service.uploads.parent.rglob("*") if service.uploads not in path.parents}
    body = (
        b'--cut\r\nContent-Disposition: form-data; name="files"; filename="'
        + name.encode().replace(b"\\", b"\\\\").replace(b'"', b"%22").replace(b"\r", b"%0D").replace(b"\n", b"%0A")
        + b'"\r\n\r\n' + sound + b"\r\n--cut--\r\n"
    )  # fmt: skip
    answer = requests.post(
        f"{service.api}/recordings",
        data=body,
        headers={"Content-Type": "multipart/form-data; boundary=cut"},
        timeout=30,
    )
    assert {path for path in service.uploads.parent.rglob("*") if service.uploads not in path.parents} == before
    assert "X-Injected" not in answer.headers
    if answer.status_code != 201:
        assert answer.status_code == 422 and answer.json()["error"]["message"]
        return
    shown = answer.json()["name"]
    assert not STEERING & set(shown) and "/" not in shown and len(shown) <= 200
    assert NAMES[name] in (None, shown)
    for path in left(service):
        assert path.name.isascii() and len(path.name) < 40 and "escaped" not in path.name


@pytest.mark.parametrize("suffix", [".exe", ".zip", "", ".edf.gz", ".npy", ".mat", ".csv"])
def test_wrong_suffixes_are_refused_or_read_as_what_they_are(service, suffix):
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("recording.edf", bytes(50 << 20))
    require_answered(service, f"it{suffix}", packed.getvalue())
    require_answered(service, f"it{suffix}", b"\x80\x04c__main__\n<script>alert(1)</script>")


def test_an_upload_of_nothing_or_of_too_much_is_refused(service, sound):
    post = f"{service.api}/recordings"
    many = [("files", (f"{number}.edf", sound[:1000])) for number in range(200)]
    for body in (
        {"data": b""}, {"json": {"files": ["x"]}}, {"files": [("other", ("x.edf", sound))]}, {"files": many},
        {"data": {"files": "text"}}, {"data": sound, "headers": {"Content-Type": "multipart/form-data"}},
        {"data": b"--cut", "headers": {"Content-Type": "multipart/form-data; boundary=cut"}},
    ):  # fmt: skip
        answer = requests.post(post, timeout=30, **body)
        assert answer.status_code in (400, 413, 422), answer.text
        assert answer.json()["error"]["message"]


def test_a_header_of_a_part_takes_no_memory(service):
    before = memory(service.process.pid)

    def body():
        yield b'--cut\r\nContent-Disposition: form-data; name="files"; filename="'
        for _ in range(300):
            yield b"x" * (1 << 20)

    headers = {"Content-Type": "multipart/form-data; boundary=cut"}
    try:
        answer = requests.post(f"{service.api}/recordings", data=body(), headers=headers, timeout=60)
        assert answer.status_code in (400, 413, 422), answer.text
    except requests.ConnectionError:
        pass  # closed while it was sent
    assert memory(service.process.pid) - before < 100


def memory(pid: int) -> float:
    """MiB that a process holds."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def test_a_promise_of_much_is_refused_before_it_comes(service, sound):
    with contextlib.closing(http.client.HTTPConnection(urlsplit(service.api).netloc, timeout=20)) as connection:
        connection.putrequest("POST", "/api/v1/recordings")
        connection.putheader("Content-Length", str(1 << 50))
        connection.putheader("Content-Type", "multipart/form-data; boundary=cut")
        connection.endheaders()
        connection.send(b"--cut\r\n")
        assert connection.getresponse().status == 413


def test_a_client_that_goes_in_the_middle_leaves_nothing(service, sound):
    head = b'--cut\r\nContent-Disposition: form-data; name="files"; filename="x.edf"\r\n\r\n'
    for sent in (b"", head, head + sound[:5000], head + bytes(3 << 20)):
        with socket.create_connection(urlsplit(service.api).netloc.split(":")) as raw:
            length = len(head) + (8 << 20)
            raw.sendall(
                f"POST /api/v1/recordings HTTP/1.1\r\nHost: {urlsplit(service.api).netloc}\r\nContent-Length: {length}"
                "\r\nContent-Type: multipart/form-data; boundary=cut\r\n\r\n".encode()
                + sent
            )
    deadline = time.monotonic() + 10
    while left(service) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left(service)


def test_many_slow_clients_keep_nobody_else_out(service, sound):
    where = urlsplit(service.api).netloc
    slow = [socket.create_connection(where.split(":")) for _ in range(100)]
    for number, one in enumerate(slow):
        if number % 2:
            one.sendall(b"GET /api/v1/health HTTP/1.1\r\nHost: ")
        else:
            one.sendall(
                f"POST /api/v1/recordings HTTP/1.1\r\nHost: {where}\r\nContent-Length: 100000\r\n"
                "Content-Type: multipart/form-data; boundary=cut\r\n\r\n--cut\r\n".encode()
            )
    began = time.monotonic()
    assert send(service, "x.edf", sound).status_code == 201
    assert time.monotonic() - began < 10
    for one in slow:
        one.close()


@pytest.mark.parametrize(
    "path",
    ["/assets/../app.py", "/assets/%2e%2e/app.py", "/assets/..%2fapp.py", "/assets/%2e%2e%2f%2e%2e%2fcheckpoint.py",
     "/assets//etc/passwd", "/assets/%00", "/..%2f..%2fetc%2fpasswd", "/api/v1/recordings/..%2f..%2fx/inspection",
     "/api/v1/recordings/%00/inspection", "/api/v1/recordings/" + "a" * 5000 + "/inspection"],
)  # fmt: skip
def test_no_path_leads_out_of_the_page(service, path):
    with contextlib.closing(http.client.HTTPConnection(urlsplit(service.api).netloc, timeout=10)) as connection:
        connection.request("GET", path)  # as it is: other clients tidy it first
        answer = connection.getresponse()
        assert answer.status in (404, 405, 414, 422)
        assert b"import" not in answer.read()


def test_other_names_and_other_sites_are_refused(service):
    port = urlsplit(service.api).port
    for host in (
        "evil.example",
        f"evil.example:{port}",
        "127.0.0.1.evil.example",
        "",
        f"127.0.0.1:{port}@evil.example",
    ):
        answer = requests.get(f"{service.api}/recordings", headers={"Host": host}, timeout=10)
        assert answer.status_code in (400, 421), host
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{port}.evil.example", "http://localhost:1"):
        answer = requests.post(f"{service.api}/recordings/example", headers={"Origin": origin}, timeout=10)
        assert answer.status_code == 403, origin
        assert "access-control-allow-origin" not in answer.headers
    for host in (f"localhost:{port}", f"127.0.0.1:{port}"):
        assert requests.get(f"{service.api}/recordings", headers={"Host": host}, timeout=10).status_code == 200


def test_forty_uploads_leave_no_memory_threads_or_files_open(service, sound):
    def state():
        process = Path(f"/proc/{service.process.pid}")
        return memory(service.process.pid), *(len(list((process / part).iterdir())) for part in ("task", "fd"))

    def round_trip() -> None:
        id = send(service, "x.edf", sound).json()["id"]
        assert requests.get(f"{service.api}/recordings/{id}/inspection", timeout=30).status_code == 200
        assert requests.delete(f"{service.api}/recordings/{id}", timeout=10).status_code == 204

    for _ in range(8):
        round_trip()
    before = state()
    for _ in range(30):
        round_trip()
    after = state()
    assert after[0] - before[0] < 20, (before, after)
    assert after[1] <= before[1] + 4 and after[2] <= before[2] + 4, (before, after)
