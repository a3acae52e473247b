"""The service as a process: it says where it is, ends when asked, and says why where it cannot be."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time

import pytest
import requests

from neurolm.cli import main
from neurolm.cli import serve as verb
from neurolm.server import demo_model as demos

LIST = "/api/v1/recordings"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(service_process, number):
    found = service_process()
    requests.get(f"{found.api}/recordings", timeout=20)
    began = time.monotonic()
    assert found.end(number) == 0
    assert time.monotonic() - began < 20
    assert len(found.said) == 2 and "Traceback" not in "".join(found.said), found.said
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{found.api}/health", timeout=5)


def test_an_upload_that_is_coming_does_not_hold_it(service_process, tmp_path):
    found = service_process("--uploads", tmp_path / "own")
    host, port = found.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(
            b"POST /api/v1/recordings HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
        )
        time.sleep(0.5)
        assert found.end() == 0
    assert "Traceback" not in "".join(found.said)
    assert list((tmp_path / "own").glob("service-*/coming-*")) == []


def test_a_taken_port_is_said_at_once(evidence_run, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--model", str(evidence_run), "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert f"--port {port}: another program listens there" in said and f"--port {port + 1}" in said


def test_a_taken_port_is_said_before_a_model_is_made_for_the_demo(monkeypatch, capsys):
    monkeypatch.setattr(demos, "demo_model", lambda _told: pytest.fail("a model was made"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["serve", "--demo", "--port", str(taken.getsockname()[1])]) == 2
    assert "another program listens there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "needs a token"),
        (["--host", "0.0.0.0", "--token", "1234"], "can be guessed"),
        (["--host", "203.0.113.7", "--token", "correct-horse-battery"], "cannot listen there"),
        (["--tls-cert", "x.pem"], "--tls-cert and --tls-key belong together"),
        (["--keep", "0"], "--keep 0: give a number above 0"),
        (["--folder", "/no/such"], "--folder /no/such: no such folder"),
        (["--demo"], "--demo brings its own model"),
    ],
)
def test_what_cannot_be_is_refused_before_it_starts(evidence_run, capsys, words, said):
    assert main(["serve", "--model", str(evidence_run), "--port", "0", *words]) == 2
    assert said in capsys.readouterr().err


def test_the_token_of_the_environment_counts_and_is_in_no_log(service_process):
    token = "correct-horse-battery-staple"
    found = service_process(NEUROLM_TOKEN=token)
    assert requests.get(f"{found.api}/recordings", timeout=10).status_code == 401
    headers = {"Authorization": f"Bearer {token}"}
    assert requests.get(f"{found.api}/recordings", timeout=10, headers=headers).status_code == 200
    assert token not in "".join(found.said)


def test_tls_with_a_certificate_of_ones_own(service_process, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    found = service_process("--tls-cert", cert, "--tls-key", key)
    assert found.address.startswith("https://")
    assert requests.get(f"{found.api}/health", timeout=10, verify=str(cert)).json()["status"] == "ok"
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{found.api}/health", timeout=10)
    context = ssl.create_default_context(cafile=str(cert))
    port = int(found.address.rsplit(":", 1)[1])
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped,
    ):
        assert wrapped.version() in ("TLSv1.2", "TLSv1.3")
    assert found.end() == 0


def test_a_certificate_that_is_none_is_said(evidence_run, tmp_path, capsys):
    (tmp_path / "x.pem").write_text("none")
    words = ["--port", "0", "--tls-cert", str(tmp_path / "x.pem"), "--tls-key", str(tmp_path / "x.pem")]
    assert main(["serve", "--model", str(evidence_run), *words]) == 2
    assert "no certificate with its key" in capsys.readouterr().err


def test_models_have_names_of_their_own(make_client, server_settings, evidence_run, tmp_path):
    from dataclasses import replace

    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "run").symlink_to(evidence_run)
    same = tmp_path / "copy"
    same.symlink_to(evidence_run)
    client = make_client(replace(server_settings, models=(evidence_run, evidence_run / "instruct", same)))
    assert client.get("/api/v1/health").json()["models"] == ["run", "run-2", "run-3"]


def test_a_package_that_is_missing_is_named_with_its_extra(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve"]) == 2
    assert "the service needs uvicorn: pip install 'neurolm[serve]'" in capsys.readouterr().err


def test_the_demo_takes_the_run_that_is_there(evidence_run, tmp_path):
    said = []
    assert demos.demo_model(said.append, demo=evidence_run, cache=tmp_path) == evidence_run
    assert len(said) == 1 and list(tmp_path.iterdir()) == []


def test_the_demo_makes_a_model_once(tmp_path, monkeypatch, micro_run):
    made = []

    def make(run, _told):
        made.append(micro_run.copy(run))

    monkeypatch.setattr(demos, "_make", make)
    for _ in range(2):
        said = []
        run = demos.demo_model(said.append, demo=tmp_path / "none", cache=tmp_path)
        assert "its answers mean nothing" in said[-1]
    assert made == [run] and run.parent == tmp_path / "demo"


def test_an_own_browser_is_opened_with_the_token(monkeypatch, evidence_run):
    import threading

    opened, there = [], threading.Event()
    monkeypatch.setattr(verb.webbrowser, "open", lambda address: (opened.append(address), there.set()))
    monkeypatch.setattr("neurolm.server.run.run", lambda _settings, told: told("http://127.0.0.1:8765"))
    monkeypatch.setenv("NEUROLM_TOKEN", "a b#c")
    assert main(["serve", "--model", str(evidence_run), "--open"]) == 0
    assert there.wait(10) and opened == ["http://127.0.0.1:8765/#token=a%20b%23c"]


def test_no_request_of_the_frameworks_own_leaves_the_machine(client):
    assert json.dumps(client.get("/api/v1/openapi.json").json())
    assert "http" not in client.get("/").text.replace("http://www.w3.org", "")
    assert os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") is None


def test_when_it_ends_no_question_begins(client):
    id = client.get(LIST).json()[0]["id"]
    question = {"question": "Is this EEG segment of high workload?"}
    assert client.post(f"{LIST}/{id}/ask", json=question).status_code == 200
    client.app.state.service.end()
    found = client.post(f"{LIST}/{id}/ask", json=question)
    assert found.status_code >= 400 and "the service is ending" in found.json()["error"]["message"]
