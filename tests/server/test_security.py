"""Who may ask: other names, other sites and other machines may not, and every answer carries the headers of safety."""

from dataclasses import replace

import pytest

from neurolm.core.errors import ConfigError
from neurolm.server.app import create_app
from neurolm.server.security import CSP, require_safe

HEALTH, LIST = "/api/v1/health", "/api/v1/recordings"
TOKEN = "correct-horse-battery-staple"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8765", 200), ("localhost:8765", 200), ("LOCALHOST", 200), ("[::1]:8765", 200), ("localhost.", 200),
        ("attacker.example:8765", 421), ("127.0.0.1.attacker.example", 421), ("", 421), ("user@localhost", 421),
        ("localhost:99999", 421), ("192.168.1.5:8765", 421), ("localhost/attacker.example", 421),
        ("127.0.0.1?attacker.example", 421), ("127.0.0.1#attacker.example", 421),
    ],
)  # fmt: skip
def test_a_name_bound_to_this_machine_is_refused(client, host, status):
    for path in ("/", LIST, "/nothing"):
        found = client.get(path, headers={"Host": host})
        assert found.status_code == (404 if status == 200 and path == "/nothing" else status)
        assert found.headers["content-security-policy"] == CSP


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://127.0.0.1:8765"}, 200),
        ({"Origin": "http://localhost:8765", "Host": "localhost:8765"}, 200),
        ({"Origin": "http://127.0.0.1:3000"}, 403),
        ({"Origin": "http://localhost:8765"}, 403),
        ({"Origin": "https://attacker.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:8765.attacker.example"}, 403),
        ({"Origin": "http://[::1"}, 403),
        ({"Origin": "http://attacker.example@127.0.0.1:8765"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_pages_of_others_are_refused(client, headers, status):
    assert client.get(LIST, headers=headers).status_code == status
    posted = client.post(f"{LIST}", headers=headers, files=[("files", ("x.edf", b"x"))])
    assert posted.status_code == (201 if status == 200 else status)


def test_two_origins_are_none_of_ours(client):
    own, other = ("Origin", "http://127.0.0.1:8765"), ("Origin", "https://attacker.example")
    assert client.get(LIST, headers=[own]).status_code == 200
    assert client.get(LIST, headers=[other, own]).status_code == 403


def test_cors_is_closed(client):
    own = {"Origin": "http://127.0.0.1:8765", "Access-Control-Request-Method": "POST"}
    for headers in (own, own | {"Origin": "https://attacker.example"}):
        found = client.options(LIST, headers=headers)
        assert found.status_code in (403, 405)
        assert not [name for name in found.headers if name.lower().startswith("access-control")]


def test_a_link_from_elsewhere_opens_the_page_and_nothing_else(client):
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200
    assert client.get(LIST, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200), ("GET", HEALTH, 200), ("GET", LIST, 200), ("GET", "/nothing", 404), ("PUT", LIST, 405),
        ("GET", "/assets/../app.py", 404), ("GET", "/assets/%2e%2e/app.py", 404), ("GET", f"{LIST}/x/inspection", 404),
        ("PUT", f"{LIST}/x/reading", 422), ("GET", "/api/v1/openapi.json", 200), ("GET", "/docs", 404),
    ],
)  # fmt: skip
def test_every_answer_has_the_headers(client, method, path, status):
    found = client.request(method, path)
    assert found.status_code == status
    for name, value in {
        "content-security-policy": CSP, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin", "cross-origin-resource-policy": "same-origin",
        "x-frame-options": "DENY",
    }.items():  # fmt: skip
        assert found.headers.get_list(name) == [value]
    assert "frame-ancestors 'none'" in CSP and "unsafe" not in CSP
    assert found.headers["cache-control"] == ("no-store" if path.startswith("/api/") else "no-cache")
    if status >= 400:
        assert set(found.json()) == {"error"} and set(found.json()["error"]) == {"kind", "message"}


def test_a_fault_tells_nobody_what_it_was_about(make_client, server_settings, monkeypatch, capsys):
    client = make_client(server_settings, raise_server_exceptions=True)

    def broken(*_):
        raise RuntimeError("anna.edf of Anna Schmidt")

    monkeypatch.setattr(client.app.state.service.library, "entries", broken)
    found = client.get(LIST)
    assert found.status_code == 500 and found.headers["content-security-policy"] == CSP
    said = capsys.readouterr().err
    assert "Anna" not in said + found.text and "anna" not in said + found.text
    id = found.json()["error"]["message"].split("log has as ")[1].split(";")[0]
    assert f"fault {id}: GET" in said and "RuntimeError at" in said and "recordings.py" in said


@pytest.mark.parametrize(
    "given", ["", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", "Bearer ", "Bearer ü"]
)
def test_without_the_token_only_page_and_health_are_open(make_client, server_settings, given):
    client = make_client(replace(server_settings, token=TOKEN))
    headers = {"Authorization": given.encode()} if given else {}
    for path, status in (
        ("/", 200),
        (HEALTH, 200),
        (LIST, 401),
        ("/api/v1/metrics", 401),
        ("/api/v1/openapi.json", 401),
    ):
        found = client.get(path, headers=headers)
        assert found.status_code == status
        if status == 401:
            assert found.headers["www-authenticate"] == "Bearer" and TOKEN not in found.text
    assert client.get(LIST, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "eeg.example.org"])
def test_another_address_needs_a_token_that_cannot_be_guessed(server_settings, host):
    with pytest.raises(ConfigError, match="needs a token"):
        create_app(replace(server_settings, host=host))
    with pytest.raises(ConfigError, match="4 characters can be guessed"):
        require_safe(replace(server_settings, host=host, token="1234"))
    require_safe(replace(server_settings, host=host, token=TOKEN))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
def test_this_machine_needs_none(server_settings, host):
    require_safe(replace(server_settings, host=host))


def test_names_of_a_proxy_in_front_are_taken(make_client, server_settings):
    client = make_client(replace(server_settings, names=("eeg.example.org",)))
    assert client.get(LIST, headers={"Host": "eeg.example.org"}).status_code == 200
    assert client.get(LIST, headers={"Origin": "https://eeg.example.org"}).status_code == 200
    assert client.get(LIST, headers={"Origin": "http://eeg.example.org"}).status_code == 403
    assert client.get(LIST, headers={"Host": "other.example.org"}).status_code == 421


def test_at_every_address_numbers_are_names(make_client, server_settings):
    client = make_client(replace(server_settings, host="0.0.0.0", token=TOKEN))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert client.get(LIST, headers=headers | {"Host": "192.168.1.5:8765"}).status_code == 200
    assert client.get(LIST, headers=headers | {"Host": "attacker.example:8765"}).status_code == 421


def test_a_request_that_is_no_upload_is_small(client):
    id = client.get(LIST).json()[0]["id"]
    found = client.put(f"{LIST}/{id}/reading", content=b" " * (2 << 20), headers={"Content-Type": "application/json"})
    assert found.status_code == 413 and found.json()["error"]["kind"] == "TooLarge"
