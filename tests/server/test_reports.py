"""The report of the service: the file of the command, which no browser lets act in the service's name."""

import re

import pytest

from neurolm.server.routes import reports


@pytest.fixture
def client(make_client, server_settings):
    return make_client(server_settings)


@pytest.fixture
def recording(client) -> dict:
    return client.get("/api/v1/recordings").json()[0]


def test_a_page_and_a_print_are_files_of_their_own(client, recording, eeg_folder):
    address = f"/api/v1/recordings/{recording['id']}/report"
    page = client.get(address, params={"risk": 0.4})
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and policy.endswith("sandbox") and "script" not in policy
    assert page.headers["content-disposition"].startswith('attachment; filename="anna.report.html"')
    assert "Here the risk is 0.4" in page.text and "anna.edf" in page.text
    assert str(eeg_folder) not in page.text
    assert re.findall(r"<script|https?://", page.text) == []


def test_a_print_is_pdf(client, recording, monkeypatch):
    asked = []

    def made(model, source, kinds, **how):
        asked.append((kinds, how["name"], how["reading"].unknown))
        return dict.fromkeys(kinds, b"%PDF-1.4")

    monkeypatch.setattr(reports, "recording_report", made)
    printed = client.get(f"/api/v1/recordings/{recording['id']}/report", params={"format": "pdf"})
    assert printed.headers["content-type"] == "application/pdf" and printed.content.startswith(b"%PDF-")
    assert asked == [(("pdf",), "anna.edf", "nearest")]
    assert 'filename="anna.report.pdf"' in printed.headers["content-disposition"]


def test_what_cannot_be_reported_is_an_error_as_json(client, recording):
    address = f"/api/v1/recordings/{recording['id']}/report"
    for parameters, status in (({"format": "docx"}, 422), ({"risk": 2}, 422), ({"model": "none"}, 404)):
        found = client.get(address, params=parameters)
        assert found.status_code == status and found.json()["error"]["message"]
    assert client.get("/api/v1/recordings/none/report").status_code == 404


def test_more_reports_than_places_are_told_when_to_come_again(client, recording):
    for _ in range(reports.AT_ONCE):
        reports._PLACES.acquire()
    try:
        found = client.get(f"/api/v1/recordings/{recording['id']}/report")
    finally:
        for _ in range(reports.AT_ONCE):
            reports._PLACES.release()
    assert found.status_code == 429 and int(found.headers["retry-after"]) >= 1
    assert found.json()["error"]["kind"] == "Busy"


def test_names_of_files_are_plain_and_whole():
    said = reports._as_file('night "1";\r\nx: ü/ä é.edf', "pdf")
    plain = re.fullmatch(r"attachment; filename=\"([\w.-]+)\"; filename\*=UTF-8''([\w.%-]+)", said)
    assert plain and plain[1].endswith(".report.pdf")
    assert reports._as_file("…", "html").startswith('attachment; filename="recording.report.html"')
