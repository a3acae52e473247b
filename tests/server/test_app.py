"""The frame of the service: its parts are there, and errors are JSON."""

import threading
from concurrent.futures import ThreadPoolExecutor


def test_health_and_list(client):
    found = client.get("/api/v1/health").json()
    assert found["status"] == "ok" and found["models"] == ["run"]
    assert [one["name"] for one in client.get("/api/v1/recordings").json()] == ["anna.edf", "night/bert.edf"]


def test_health_is_said_while_all_threads_are_at_work(client, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(client.app.state.service.library, "entries", lambda: [][: go_on.wait(60)])
    with ThreadPoolExecutor(61) as threads:
        lists = [threads.submit(client.get, "/api/v1/recordings") for _ in range(60)]
        try:
            assert threads.submit(client.get, "/api/v1/health").result(20).json()["status"] == "ok"
            assert threads.submit(client.get, "/api/v1/metrics").result(20).status_code == 200
            assert not any(one.done() for one in lists)
        finally:
            go_on.set()
        assert all(one.result(60).json() == [] for one in lists)


def test_what_is_not_there_is_404_as_json(client):
    for path in ("/api/v1/recordings/none/inspection", "/api/v1/nothing", "/nothing"):
        found = client.get(path)
        assert found.status_code == 404
        assert found.json()["error"].keys() == {"kind", "message"}


def test_an_inspection_is_that_of_the_command(client, eeg_folder):
    from neurolm.recording.inspect import inspect
    from neurolm.recording.options import ReadingOptions

    first = client.get("/api/v1/recordings").json()[0]
    found = client.get(f"/api/v1/recordings/{first['id']}/inspection").json()
    expected = inspect(eeg_folder / "anna.edf", reading=ReadingOptions(unknown="nearest"))
    assert found["usable"] and found["seconds"] == expected.seconds and found["rate"] == expected.rate
    assert found["electrodes"] == list(expected.electrodes)
    assert str(eeg_folder) not in str(found)
