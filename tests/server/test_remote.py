"""The client in Python: answers as of a model of this process, and errors that say what is wrong."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

import neurolm
from neurolm.api.connection import RemoteError
from neurolm.ask.answer import Progress
from neurolm.core.errors import CheckpointError, ConfigError, QuestionError, RecordingError
from neurolm.recording.options import ReadingOptions

QUESTION = "Is this EEG segment of high workload?"

HEADER = """Brain Vision Data Exchange Header File Version 1.0
[Common Infos]
Codepage=UTF-8
DataFile=net é.eeg
DataFormat=BINARY
DataOrientation=MULTIPLEXED
NumberOfChannels=2
SamplingInterval=5000
[Binary Infos]
BinaryFormat=IEEE_FLOAT_32
[Channel Infos]
Ch1=E36,,1,µV
Ch2=E70,,1,µV
"""


@pytest.fixture(scope="module")
def service(served, evidence_run, eeg_folder, tmp_path_factory):
    uploads = tmp_path_factory.mktemp("uploads")
    with served("--model", evidence_run, "--folder", eeg_folder, "--uploads", uploads, "--device", "cpu") as found:
        yield found


@pytest.fixture
def remote(service):
    remote = neurolm.connect(service.address)
    yield remote
    remote.close()


@pytest.fixture(scope="module")
def model(evidence_run):
    return neurolm.load(evidence_run, device="cpu")


def same(found, wanted):
    for one, other in zip(found.timeline, wanted.timeline, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
        assert (one.start, one.stop, one.decided, one.unlike) == (other.start, other.stop, other.decided, other.unlike)
    for name in ("answer", "notes", "electrodes", "options", "question", "threshold", "outside", "trained", "worth"):
        assert getattr(found, name) == getattr(wanted, name)
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, atol=1e-5)
    assert found.contributions.evidence == pytest.approx(wanted.contributions.evidence, abs=1e-4)


@pytest.mark.parametrize("how", [{}, {"risk": 0.3}, {"options": ["asleep", "awake"]}])
def test_an_answer_is_that_of_the_model(remote, model, eeg_folder, how):
    question = "Is it asleep?" if "options" in how else QUESTION
    file = eeg_folder / "night" / "bert.edf"
    wanted = model.ask(file, question, **how)
    before = remote.recordings
    same(remote.ask(file, question, **how), wanted)
    assert remote.recordings == before  # what was sent is deleted again
    id = next(one.id for one in before if one.name == "night/bert.edf")
    *steps, answer = remote.ask_stream(id, question, **how)
    same(answer, wanted)
    assert all(isinstance(step, Progress) for step in steps) and steps[-1].done == len(wanted.timeline)
    assert remote.questions == model.questions and remote.models[0]["name"]


def test_an_explanation_is_that_of_the_model(remote, model, eeg_folder):
    wanted = model.explain(eeg_folder / "anna.edf", QUESTION, windows=2)
    found = remote.explain(eeg_folder / "anna.edf", QUESTION, windows=2)
    assert (found.option, found.electrodes, found.starts, found.notes) == (
        wanted.option, wanted.electrodes, wanted.starts, wanted.notes,
    )  # fmt: skip
    for one, other in (
        (found.electrode_effects, wanted.electrode_effects),
        (found.second_effects, wanted.second_effects),
    ):
        np.testing.assert_allclose([e.mean for e in one], [e.mean for e in other], atol=1e-4)
        assert [e.windows for e in one] == [e.windows for e in other]


def test_a_recording_of_several_files_is_sent_whole_and_read_as_asked(remote, model, tmp_path, rhythm):
    path = tmp_path / "net é.vhdr"
    rhythm("Yes", 12, 2, (4,)).astype("<f4").tofile(path.with_suffix(".eeg"))
    path.write_text(HEADER, encoding="utf-8")
    reading = ReadingOptions(channels={"E36": "C3", "E70": "O1"})
    same(remote.ask(path, QUESTION, reading=reading), model.ask(path, QUESTION, reading=reading))
    with pytest.raises(RecordingError):
        remote.ask(path, QUESTION, reading=ReadingOptions(channels=["Fp1"]))
    assert {one.origin for one in remote.recordings} == {"folder"}


def test_errors_are_those_of_the_model(remote, service, eeg_folder, tmp_path, write_edf):
    with pytest.raises(QuestionError, match=r"'Who\?'.*high workload"):
        remote.ask(eeg_folder / "anna.edf", "Who?")
    with pytest.raises(RecordingError, match=r"none\.edf: no such file"):
        remote.ask(tmp_path / "none.edf", QUESTION)
    with pytest.raises(RecordingError, match="no such file"):
        remote.ask("anna.edf", QUESTION)  # a name of the service's folder is no id
    write_edf(tmp_path / "loud.edf", seed=3, names=("C3", "O1"), microvolts=5000.0)
    with pytest.raises(RecordingError, match=r"^loud\.edf: "):
        remote.ask(tmp_path / "loud.edf", QUESTION)
    with pytest.raises(RemoteError, match="no such recording"):
        remote.ask("0" * 32, QUESTION)
    with pytest.raises(ConfigError, match="reading="):
        remote.ask("0" * 32, QUESTION, reading=ReadingOptions(unit="mV"))
    with pytest.raises(RemoteError, match="other"):
        neurolm.connect(service.address, model="other").ask(eeg_folder / "anna.edf", QUESTION)
    with pytest.raises(ConfigError, match="no such model"):
        print(neurolm.connect(service.address, model="other").questions)


@pytest.mark.parametrize("url", ["127.0.0.1:8765", "ftp://127.0.0.1", "http://"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(ConfigError, match="give the address of a service"):
        neurolm.connect(url)


def test_where_no_service_is_the_address_is_named():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(RemoteError, match=rf"{url}: no service answers there.*neurolm serve"):
        neurolm.connect(url)


class _Scripted(BaseHTTPRequestHandler):
    """Answers with what is next, and notes what was asked."""

    script: list
    asked: list

    def do_GET(self):
        self.asked.append((self.path, self.headers.get("Authorization")))
        status, headers, body = self.script.pop(0)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def scripted():
    """The function that starts a service that says what it is told to."""
    servers = []

    def start(*script):
        handler = type("_", (_Scripted,), {"script": list(script), "asked": []})
        servers.append(HTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}", handler

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


BUSY = (429, {"Retry-After": "0"}, b'{"error": {"kind": "Busy", "message": "64 questions"}}')


def test_a_busy_service_is_asked_again_but_not_for_ever(scripted):
    url, handler = scripted(BUSY, BUSY, (200, {}, b"[]"))
    assert neurolm.connect(url, token="secret").url == url
    assert handler.asked == [("/api/v1/recordings", "Bearer secret")] * 3
    url, handler = scripted(*[BUSY] * 100)
    with pytest.raises(RemoteError, match="64 questions"):
        neurolm.connect(url, patience=0.5)
    assert 2 <= len(handler.asked) <= 4


@pytest.mark.parametrize(
    ("answer", "kind", "why"),
    [
        ((401, {}, b'{"error": {"kind": "Unauthorized", "message": "the token is missing"}}'), RemoteError, "token"),
        ((422, {}, b'{"error": {"kind": "CheckpointError", "message": "damaged"}}'), CheckpointError, "^damaged$"),
        ((404, {}, b"<html>"), RemoteError, "is it neurolm's service"),
        ((200, {}, b"<html>"), RemoteError, "right address"),
        ((200, {}, b'[{"id": 3, "name": "x", "origin": "y", "bytes": 1}]'), RemoteError, "another version: id"),
        ((302, {"Location": "http://192.0.2.1/"}, b""), RemoteError, "302"),
    ],
)
def test_what_a_service_says_wrongly_is_an_error(scripted, answer, kind, why):
    url, _ = scripted(answer)
    with pytest.raises(kind, match=why):
        neurolm.connect(url)


def test_a_stream_that_breaks_off_is_an_error(scripted):
    stream = (
        b'event: begin\ndata: {}\n\n: still here\n\nevent: windows\ndata: {"windows": [], "done": 1, "total": 2}\n\n'
    )
    url, _ = scripted((200, {}, b"[]"), (200, {"Content-Type": "text/event-stream"}, stream))
    steps = neurolm.connect(url).ask_stream("0" * 32, QUESTION)
    assert next(steps) == Progress(windows=(), done=1, total=2)
    with pytest.raises(RemoteError, match="broke off"):
        next(steps)
