"""Downloads from a miniature of PhysioNet: a web server in this process that can cut, delay, refuse and corrupt."""

import hashlib
import threading
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from neurolm.core.errors import ConfigError, DownloadError, WriteError
from neurolm.corpora import LAYOUTS
from neurolm.corpora.download import download as module
from neurolm.corpora.download import transfer
from neurolm.corpora.download.download import RECORDS, SUMS, DownloadReport, download, parse_sums
from neurolm.corpora.download.sites import SITES

LICENCE = b"# ODC Attribution License (ODC-By)\n\nThe Open Data Commons\nAttribution License is a license agreement.\n"


class Mirror:
    """What the server has, how it misbehaves, and what it was asked for."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.files = {f"S001/S001R0{n}.edf": rng.bytes(40_000 + n) for n in range(1, 4)}
        self.files |= {"S002/a b #1.edf": rng.bytes(1000), "LICENSE.txt": LICENCE, "empty.txt": b""}
        self.files["RECORDS"] = "".join(f"{name}\n" for name in self.files if name.startswith("S001")).encode()
        self.sums = "".join(f"{hashlib.sha256(data).hexdigest()} {name}\n" for name, data in self.files.items())
        self.asked: list[tuple[str, str | None]] = []
        self.cut: dict[str, int] = {}
        """Bytes after which a connection is closed, for each of which that many connections."""
        self.cuts_left: Counter[str] = Counter()
        self.corrupt: Counter[str] = Counter()
        """How often a file is sent with a wrong byte."""
        self.statuses: dict[str, list[int]] = {}
        """Answers before the right one."""
        self.asks_to_wait = 0
        """Seconds, with those answers."""
        self.ranges = True

    def count(self, name: str) -> int:
        return sum(asked == name for asked, _ in self.asked)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, mirror: Mirror, *args) -> None:
        self.mirror = mirror
        super().__init__(*args)

    def log_message(self, *_args) -> None:
        pass

    def do_GET(self) -> None:
        from urllib.parse import unquote

        mirror, name = self.mirror, unquote(self.path).removeprefix("/files/mini/1.0.0/")
        asked = self.headers.get("Range")
        mirror.asked.append((name, asked))
        data = mirror.sums.encode() if name == SUMS else mirror.files.get(name)
        if mirror.statuses.get(name):
            return self.answer(mirror.statuses[name].pop(0), b"later", {"Retry-After": str(mirror.asks_to_wait)})
        if data is None:
            return self.answer(404, b"not found", {})
        if mirror.corrupt[name] > 0:
            mirror.corrupt[name] -= 1
            data = b"X" + data[1:]
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked and mirror.ranges else 0
        if first and first >= len(data):
            return self.answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        part = {"Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"} if first else {}
        self.answer(206 if first else 200, data[first:], part, cut=self.limit(name))

    def limit(self, name: str) -> int | None:
        if self.mirror.cuts_left[name] <= 0:
            return None
        self.mirror.cuts_left[name] -= 1
        return self.mirror.cut[name]

    def answer(self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None) -> None:
        self.send_response(status)
        for key, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body[:cut])
        if cut is not None:
            self.close_connection = True


@pytest.fixture
def mirror(monkeypatch):
    monkeypatch.setattr(transfer, "BLOCK", 5000)
    monkeypatch.setattr(transfer, "PAUSE", 0.001)
    mirror = Mirror()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, mirror))
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
    thread.start()
    mirror.url = f"http://127.0.0.1:{server.server_port}/files/mini/1.0.0"
    yield mirror
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def get(mirror, tmp_path):
    """Download eegmat from the mirror into a folder."""
    return partial(download, "eegmat", tmp_path / "data", base_url=mirror.url)


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def everything(mirror):
    return mirror.files | {SUMS: mirror.sums.encode()}


def test_everything_is_fetched_once(mirror, get, tmp_path):
    calls = []
    report = get(progress=lambda *call: calls.append(call))
    assert content(tmp_path / "data") == everything(mirror)
    assert report == DownloadReport(
        files=7, recordings=3, gigabytes=sum(map(len, mirror.files.values())) / 1e9, fetched=7,
        licence=tmp_path / "data" / "LICENSE.txt", notes=(),
    )  # fmt: skip
    assert [done for done, _, _ in calls] == list(range(1, 8))
    before = len(mirror.asked)
    assert get().fetched == 0
    assert [name for name, _ in mirror.asked[before:]] == [SUMS]


def test_a_cut_connection_is_resumed(mirror, get, tmp_path):
    name = "S001/S001R01.edf"
    mirror.cut[name], mirror.cuts_left[name] = 15_000, 2
    assert get().fetched == 7
    assert content(tmp_path / "data") == everything(mirror)
    assert [asked for file, asked in mirror.asked if file == name] == [None, "bytes=15000-", "bytes=30000-"]


def test_a_server_without_ranges_sends_all_again(mirror, get, tmp_path):
    name = "S001/S001R01.edf"
    mirror.ranges = False
    mirror.cut[name], mirror.cuts_left[name] = 15_000, 2
    get()
    assert content(tmp_path / "data") == everything(mirror)


def test_a_connection_that_is_always_cut_is_given_up_and_gone_on_with_later(mirror, get, tmp_path):
    name = "S001/S001R01.edf"
    mirror.cut[name], mirror.cuts_left[name] = 0, 100
    with pytest.raises(DownloadError, match=r"S001R01.*after 6 attempts") as error:
        get()
    assert "1 of 7 files are missing; the same command fetches only those" in str(error.value)
    assert mirror.count(name) == 6
    left = {name for name in content(tmp_path / "data") if not name.endswith(".part")}
    assert left == everything(mirror).keys() - {name}
    mirror.cuts_left.clear()
    assert get().fetched == 1
    assert content(tmp_path / "data") == everything(mirror)


def test_a_run_that_was_killed_goes_on_from_its_part(mirror, get, tmp_path):
    name = "S001/S001R02.edf"
    part = tmp_path / "data" / "S001" / ".S001R02.edf.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(mirror.files[name][:12_345])
    get()
    assert [asked for file, asked in mirror.asked if file == name] == ["bytes=12345-"]
    assert content(tmp_path / "data") == everything(mirror)


@pytest.mark.parametrize("left", ["complete", "too long", "another file's"])
def test_what_an_earlier_run_left_is_not_trusted(mirror, get, tmp_path, left):
    name = "S001/S001R02.edf"
    data = mirror.files[name]
    part = tmp_path / "data" / "S001" / ".S001R02.edf.part"
    part.parent.mkdir(parents=True)
    part.write_bytes({"complete": data, "too long": data + b"more", "another file's": b"\0" * 999}[left])
    get()
    assert content(tmp_path / "data") == everything(mirror)


def test_a_file_corrupted_once_is_fetched_again(mirror, get, tmp_path):
    mirror.corrupt["S001/S001R01.edf"] = 1
    get()
    assert mirror.count("S001/S001R01.edf") == 2
    assert content(tmp_path / "data") == everything(mirror)


def test_a_file_that_stays_corrupted_is_refused_and_the_others_are_kept(mirror, get, tmp_path):
    name = "S001/S001R01.edf"
    mirror.corrupt[name] = 100
    with pytest.raises(DownloadError, match=r"S001R01.edf: fetched twice.*checksums.*mirror"):
        get()
    assert content(tmp_path / "data").keys() == everything(mirror).keys() - {name}
    assert mirror.count(name) == 2


def test_a_damaged_file_of_the_folder_is_repaired(mirror, get, tmp_path):
    get()
    damaged = tmp_path / "data" / "S001" / "S001R03.edf"
    damaged.write_bytes(b"damaged")
    assert get().fetched == 1
    assert content(tmp_path / "data") == everything(mirror)


def test_a_busy_server_is_asked_again(mirror, get, tmp_path):
    mirror.statuses = {"S001/S001R01.edf": [503, 429], SUMS: [502]}
    get()
    assert content(tmp_path / "data") == everything(mirror)


def test_a_server_that_stays_busy_is_given_up(mirror, get):
    mirror.statuses = {"S001/S001R01.edf": [503] * 99}
    with pytest.raises(DownloadError, match=r"S001R01.edf: the server answered 503 .*busy \(after 6 attempts\)"):
        get()
    assert mirror.count("S001/S001R01.edf") == 6


@pytest.mark.parametrize(("status", "says"), [(404, "mirror complete"), (403, "no access")])
def test_a_refusal_is_not_repeated(mirror, get, status, says):
    mirror.statuses = {"S001/S001R01.edf": [status] * 9}
    with pytest.raises(DownloadError, match=f"{status} .*{says}"):
        get()
    assert mirror.count("S001/S001R01.edf") == 1


def test_a_part_can_be_asked_for(mirror, get, tmp_path):
    report = get(include=["S001/*R0[12].edf"])
    assert content(tmp_path / "data").keys() == {
        SUMS, RECORDS, "LICENSE.txt", "S001/S001R01.edf", "S001/S001R02.edf"
    }  # fmt: skip
    assert (report.files, report.recordings) == (4, 2)
    with pytest.raises(ConfigError, match=r"no file of eegmat fits; paths are such as S001/S001R01.edf"):
        get(include=["S9*"])


def test_other_terms_must_be_accepted(mirror, get, tmp_path):
    mirror.files["LICENSE.txt"] = b"All rights reserved."
    mirror.sums = "".join(f"{hashlib.sha256(d).hexdigest()}  {n}\n" for n, d in mirror.files.items())
    with pytest.raises(DownloadError, match=r"Open Data Commons Attribution License.*accept_licence="):
        get()
    assert content(tmp_path / "data").keys() == {SUMS, RECORDS, "LICENSE.txt"}
    assert get(accept_licence=True).files == 7


def test_without_a_network_it_says_what_to_fetch_by_hand(tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "PAUSE", 0.001)
    with pytest.raises(DownloadError) as error:
        download("eegmat", tmp_path / "data", base_url="http://127.0.0.1:9/files")
    message = str(error.value)
    assert "-nH --cut-dirs=3 https://physionet.org/files/eegmat/1.0.0/" in message
    assert "s3://physionet-open/eegmat/1.0.0/" in message
    assert "about 0.18 GB" in message
    assert list((tmp_path / "data").iterdir()) == []


def test_a_folder_fetched_by_hand_is_compared_without_a_network(mirror, get, tmp_path):
    get()
    offline = partial(download, "eegmat", tmp_path / "data", base_url="http://127.0.0.1:9/files")
    report = offline()
    assert report.fetched == 0 and report.files == 7
    assert "cannot be reached" in report.notes[0]
    for name in ("S001/S001R01.edf", "S001/S001R02.edf"):
        (tmp_path / "data" / name).unlink()
    with pytest.raises(DownloadError, match=r"(?s)2 of 7 files are missing.*On a machine with a network"):
        offline()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<html>Please log in</html>", "line 1: not a checksum and a path.*login page"),
        ("", "is empty"),
        (f"{'0' * 64} ../../etc/passwd\n", "leads out of the folder"),
        (f"{'0' * 64} /etc/passwd\n", "leads out of the folder"),
        (f"{'0' * 64} C:\\windows\n", "leads out of the folder"),
    ],
)
def test_a_list_of_checksums_that_is_none_is_refused(mirror, get, tmp_path, text, says):
    get()
    mirror.sums = text
    before = content(tmp_path / "data")
    with pytest.raises(DownloadError, match=says):
        get()
    assert content(tmp_path / "data") == before


def test_lists_of_checksums(tmp_path):
    file = tmp_path / SUMS
    file.write_text(f"{'a' * 64} one file.edf\n\n{'B' * 64}  b/c.edf\n{'0' * 64} *d.edf\n{'0' * 64} {SUMS}\n")
    assert parse_sums(file) == {"one file.edf": "a" * 64, "b/c.edf": "b" * 64, "d.edf": "0" * 64}


def test_a_full_disk_is_foreseen(mirror, get, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10**6}))
    with pytest.raises(WriteError, match=r"about 0.2 GB are still to come, but 0.0 GB are free"):
        get()


def test_an_interruption_stops_all(mirror, get, tmp_path):
    def interrupt(done, *_):
        if done > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(progress=interrupt)
    get()
    assert content(tmp_path / "data") == everything(mirror)


def test_an_interruption_waits_for_no_busy_server(mirror, get):
    mirror.statuses, mirror.asks_to_wait = {"S001/S001R01.edf": [503] * 99}, 25

    def interrupt(done, *_):
        if done > 3:
            raise KeyboardInterrupt

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        get(progress=interrupt)
    assert time.monotonic() - begun < 20


def test_wrong_arguments_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="choose one of eegmat, hmc, eegmmidb, siena, sleep-edf"):
        download("tuab", tmp_path)
    with pytest.raises(ConfigError, match="base_url"):
        download("eegmat", tmp_path, base_url="file:///etc")
    with pytest.raises(ConfigError, match="connections"):
        download("eegmat", tmp_path, connections=0)


@pytest.mark.parametrize("name", SITES)
def test_sites_are_complete(name):
    site = SITES[name]
    assert site.url.startswith("https://") and site.url.endswith("/")
    assert site.depth == 3
    layout = LAYOUTS[name]
    assert site.url.replace("/files/", "/content/") == layout.url
    assert layout.licence.startswith("ODC-By" if "commons attribution license" in site.licence else "CC BY 4.0")


class Hostile(BaseHTTPRequestHandler):
    """Answers as no server should."""

    protocol_version = "HTTP/1.1"

    def __init__(self, mirror, *args) -> None:
        self.mirror = mirror
        super().__init__(*args)

    def log_message(self, *_args) -> None:
        pass

    def do_GET(self) -> None:
        name = self.path.removeprefix("/files/mini/1.0.0/")
        how = self.mirror.how.get(name)
        if how is None:
            data = self.mirror.files[name]
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            return
        status, headers, endless = how
        self.send_response(*status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.close_connection = True
        try:
            for _ in range(1 << 12 if endless else 1):
                self.mirror.sent += self.wfile.write(bytes(1 << 16))
        except OSError:
            self.mirror.broken = True


class HostileMirror:
    def __init__(self) -> None:
        self.files = {"a.edf": b"x" * 1000, "LICENSE.txt": LICENCE, "RECORDS": b"a.edf\n"}
        self.files[SUMS] = "".join(
            f"{hashlib.sha256(data).hexdigest()} {name}\n" for name, data in self.files.items()
        ).encode()
        self.how: dict[str, tuple] = {}
        self.sent, self.broken = 0, False


@pytest.fixture
def hostile(monkeypatch, tmp_path):
    monkeypatch.setattr(transfer, "PAUSE", 0.001)
    monkeypatch.setattr(module, "SMALL", 1 << 20)
    monkeypatch.setattr(transfer.Transfer.fetch, "__kwdefaults__", {"most": 1 << 20})
    mirror = HostileMirror()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hostile, mirror))
    server.daemon_threads = True
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
    thread.start()
    monkeypatch.setitem(SITES, "mini", replace(SITES["eegmat"], gigabytes=0.001))
    url = f"http://127.0.0.1:{server.server_port}/files/mini/1.0.0"
    mirror.get = lambda **how: download("mini", tmp_path / "mini", base_url=url, **{"attempts": 2} | how)
    yield mirror
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("name", [SUMS, "LICENSE.txt", "a.edf"])
@pytest.mark.parametrize("headers", [{}, {"Content-Length": str(1 << 40)}, {"Content-Length": "-1"},
                                     {"Content-Encoding": "identity", "Connection": "close"}])  # fmt: skip
def test_a_file_without_end_is_given_up(hostile, tmp_path, name, headers):
    hostile.how[name] = ((200,), headers, True)
    with pytest.raises(DownloadError, match=r"more than 1,048,576 bytes came|empty|none"):
        hostile.get()
    assert hostile.sent < 20 << 20
    assert not list((tmp_path / "mini").rglob("*.part"))


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ((200,), {"Content-Length": "5, 6"}),
        ((200,), {"Content-Length": "x"}),
        ((206,), {"Content-Range": "bytes 0-9/9999999999999999999999"}),
        ((206,), {"Content-Range": "\xff" * 1000}),
        ((200,), {"Content-Encoding": "gzip"}),
        ((302,), {"Location": "file:///etc/passwd", "Content-Length": "0"}),
        ((404, "\x1b[2Jgone"), {"Content-Length": "0"}),
    ],
)
def test_odd_headers_are_an_error_of_the_download(hostile, tmp_path, status, headers):
    hostile.how["a.edf"] = (status, headers, False)
    with pytest.raises(DownloadError, match=r"a\.edf"):
        hostile.get()
    assert not (tmp_path / "mini" / "a.edf").exists()


@pytest.mark.parametrize("planted", [".a.edf.part", ".SHA256SUMS.txt.new", "..SHA256SUMS.txt.new.part", "a.edf"])
@pytest.mark.parametrize("hard", [False, True])
def test_a_planted_link_is_not_followed(hostile, tmp_path, planted, hard):
    private = tmp_path / "private"
    private.write_text("mine")
    (tmp_path / "mini").mkdir()
    link = tmp_path / "mini" / planted
    link.hardlink_to(private) if hard else link.symlink_to(private)
    assert hostile.get().files == 3
    assert private.read_text() == "mine"
    assert (tmp_path / "mini" / "a.edf").read_bytes() == hostile.files["a.edf"]
    assert not (tmp_path / "mini" / "a.edf").is_symlink()


def test_a_linked_folder_is_not_left(hostile, tmp_path):
    hostile.files["S/b.edf"] = b"y"
    hostile.files[SUMS] += f"{hashlib.sha256(b'y').hexdigest()} S/b.edf\n".encode()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "mini").mkdir()
    (tmp_path / "mini" / "S").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DownloadError, match="a link that leads out of"):
        hostile.get()
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("name", ["../x", "/etc/x", ".ssh/keys", "a/.b", "a\\b", "C:x", "a\x1b[2J", "a\u202eb"])
def test_names_that_leave_the_folder_or_hide_are_refused(tmp_path, name):
    (tmp_path / "sums").write_text(f"{'0' * 64} {name}\n", encoding="utf-8")
    with pytest.raises(DownloadError, match="trust no such site"):
        parse_sums(tmp_path / "sums")
