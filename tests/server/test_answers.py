"""Questions over HTTP: as events and at once, at other risks, exported, explained; and what is refused."""

import errno
import io
import json
import threading
import time
import zipfile
from contextlib import contextmanager
from dataclasses import replace

import mne
import numpy as np
import pytest
import requests
import uvicorn

import neurolm
from neurolm.ask.answer import Answer
from neurolm.core.decode import decode
from neurolm.server import kept
from neurolm.server.app import create_app
from neurolm.server.kinds import kind_of, on_disk, place_of
from neurolm.server.run import bound
from neurolm.server.settings import ServerSettings
from neurolm.tasks.card import load_task

QUESTION = "Is this EEG segment of high workload?"
MORE = {"answer_id", "verdict", "kind", "simulated", "unlike"}
"""What is sent beside the fields of an answer."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_edf):
    folder = tmp_path_factory.mktemp("recordings")
    write_edf(folder / "anna.edf", seed=1, names=("C3", "O1", "Fz", "C4"), seconds=40)
    write_edf(folder / "long.edf", seed=2, names=("C3", "O1", "Fz", "C4"), seconds=3600)
    write_edf(folder / "loud.edf", seed=3, names=("C3", "O1"), seconds=20, microvolts=5000.0)
    return folder


@pytest.fixture(scope="module")
def model(evidence_run):
    return neurolm.load(evidence_run, device="cpu")


@pytest.fixture(scope="module")
def app(evidence_run, folder, tmp_path_factory):
    settings = ServerSettings(models=(evidence_run,), folder=folder, uploads=tmp_path_factory.mktemp("uploads"),
                              device="cpu", readers=1, waiting=2)  # fmt: skip
    return create_app(settings)


@pytest.fixture(scope="module")
def api(app):
    """The address of a service in this process."""
    with bound("127.0.0.1", 0) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/api/v1"
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def ids(api):
    return {one["name"]: f"{api}/recordings/{one['id']}" for one in requests.get(f"{api}/recordings").json()}


@contextmanager
def listening(address, **body):
    """Events of a question, as they come."""
    headers = {"Accept": "text/event-stream"}
    with requests.post(f"{address}/ask", json=body, headers=headers, stream=True, timeout=30) as response:
        assert response.status_code == 200 and response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-accel-buffering"] == "no"

        def events():
            name = ""
            for line in response.iter_lines(chunk_size=1, decode_unicode=True):
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    yield name, json.loads(line.removeprefix("data: "))

        yield events()


def same(found, wanted):
    for one, other in zip(found.timeline, wanted.timeline, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
        assert (one.start, one.stop, one.decided, one.unlike) == (other.start, other.stop, other.decided, other.unlike)
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, atol=1e-5)
    for name in ("answer", "notes", "electrodes", "options", "question", "threshold", "outside", "trained"):
        assert getattr(found, name) == getattr(wanted, name)


def plain(body):
    return decode(Answer, {name: value for name, value in body.items() if name not in MORE})


def test_models_say_what_they_can_be_asked(api, model):
    (found,) = requests.get(f"{api}/models").json()
    assert (found["default"], found["simulated"], found["calibrated"]) == (True, False, True)
    assert found["electrodes"] == list(model.card.electrodes)
    assert {task["question"]: (task["kind"], task["options"]) for task in found["tasks"]} == {
        QUESTION: ("yes_no", ["Yes", "No"]),
        "Which type does this EEG segment belong to?": ("events", ["background", "epileptiform", "slowing"]),
    }
    assert [kind_of(load_task(name)) for name in ("hmc", "seed", "tuev", "eyes")][:3] == ["sleep", "classes", "events"]


@pytest.mark.parametrize("how", [{}, {"risk": 0.3}, {"options": ["asleep", "awake"]}])
def test_an_answer_is_that_of_the_model(ids, model, folder, how):
    question = "Is it asleep?" if "options" in how else QUESTION
    wanted = model.ask(folder / "anna.edf", question, **how)
    body = requests.post(f"{ids['anna.edf']}/ask", json={"question": question, **how}).json()
    found = plain(body)
    same(found, wanted)
    assert found.recording == "anna.edf" and body["unlike"] == wanted.unlike and wanted.answer in body["verdict"]
    with listening(ids["anna.edf"], question=question, **how) as events:
        (begin, begun), *steps, (name, last) = list(events)
    assert (begin, name) == ("begin", "answer") and {one for one, _ in steps} == {"windows"}
    same(plain(last), wanted)
    assert {key: begun[key] for key in ("windows", "length", "seconds", "trained", "options")} == {
        "windows": len(wanted.timeline), "length": 4, "seconds": 40.0, "trained": wanted.trained,
        "options": list(wanted.options),
    }  # fmt: skip
    assert begun["answer_id"] == last["answer_id"] != body["answer_id"]
    windows = [window for _, step in steps for window in step["windows"]]
    assert [w["probabilities"] for w in windows] == [w["probabilities"] for w in last["timeline"]]
    assert steps[-1][1]["done"] == steps[-1][1]["total"] == len(windows)


def test_the_risk_can_change_without_the_model(ids, model, folder):
    id = requests.post(f"{ids['anna.edf']}/ask", json={"question": QUESTION}).json()["answer_id"]
    for risk in (0.01, 0.3, 0.6):
        found = requests.get(f"{ids['anna.edf']}/answers/{id}", params={"risk": risk}).json()
        same(plain(found), model.ask(folder / "anna.edf", QUESTION, risk=risk))
        assert found["risk"] == risk and found["answer_id"] == id
    assert requests.get(f"{ids['anna.edf']}/answers/{id}").json()["risk"] is None
    for wrong in ("0" * 32, "..%2f..%2fmodel", "x"):
        assert requests.get(f"{ids['anna.edf']}/answers/{wrong}").status_code == 404
    assert requests.get(f"{ids['loud.edf']}/answers/{id}").status_code == 404  # it is another recording's


def test_answers_leave_as_files(app, ids, tmp_path):
    body = requests.post(f"{ids['anna.edf']}/ask", json={"question": QUESTION}).json()

    def export(format):
        found = requests.get(f"{ids['anna.edf']}/answers/{body['answer_id']}/export", params={"format": format})
        assert found.status_code == 200
        return found

    assert export("json").json()["probabilities"] == body["probabilities"]
    rows = export("csv").text.splitlines()
    assert len(rows) == 1 + len(body["timeline"]) and rows[0].startswith("recording,")
    assert 'filename="anna.answer.edf"' in export("edf").headers["content-disposition"], "not the recording's name"
    assert 'filename="anna.answer.zip"' in export("bids").headers["content-disposition"]
    assert any(name.endswith("events.tsv") for name in zipfile.ZipFile(io.BytesIO(export("bids").content)).namelist())
    (tmp_path / "answers.edf").write_bytes(export("edf").content)
    annotations = mne.read_annotations(tmp_path / "answers.edf")
    assert len(annotations) and all(QUESTION[:20] in text for text in annotations.description)
    (scratch,) = [entry.scratch for entry in app.state.service.library.entries() if entry.name == "anna.edf"]
    until = time.monotonic() + 10
    while list(scratch.glob("export-*")) and time.monotonic() < until:  # deleted after it was sent
        time.sleep(0.05)
    assert not list(scratch.glob("export-*"))
    wrong = requests.get(f"{ids['anna.edf']}/answers/{body['answer_id']}/export", params={"format": "doc"})
    assert wrong.status_code == 422 and "csv" in wrong.json()["error"]["message"]


def test_an_explanation_is_that_of_the_model(ids, model, folder):
    body = requests.post(f"{ids['anna.edf']}/explain", json={"question": QUESTION, "windows": 3}).json()
    wanted = model.explain(folder / "anna.edf", QUESTION, windows=3)
    assert (body["option"], body["notes"]) == (wanted.option, list(wanted.notes))
    assert body["log_odds"] == pytest.approx(wanted.log_odds, abs=1e-4)
    assert [one["name"] for one in body["electrodes"]] == list(wanted.electrodes)
    np.testing.assert_allclose(
        [(one["effect"], one["spread"]) for one in body["electrodes"]],
        [(one.mean, one.spread) for one in wanted.electrode_effects], atol=1e-4,
    )  # fmt: skip
    np.testing.assert_allclose([one["effect"] for one in body["seconds"]],
                               [one.mean for one in wanted.second_effects], atol=1e-4)  # fmt: skip
    assert [one["start"] for one in body["seconds"]] == list(wanted.seconds)
    for wrong, why in (({"option": "Perhaps"}, "Yes, No"), ({"start": 39}, "no window of 4 s")):
        found = requests.post(f"{ids['anna.edf']}/explain", json={"question": QUESTION} | wrong)
        assert found.status_code == 422 and why in found.json()["error"]["message"]


def test_features_are_those_of_the_model(ids, model, folder):
    found = requests.post(f"{ids['anna.edf']}/embed", json={"seconds": 3, "stride": 2.5, "evidence": True})
    with np.load(io.BytesIO(found.content)) as arrays:
        wanted = model.embed(folder / "anna.edf", seconds=3, stride=2.5, evidence=True)
        for name, array in wanted.arrays.items():
            np.testing.assert_allclose(arrays[name], array, atol=1e-5)


def test_electrodes_lie_on_the_drawing_as_on_the_head():
    """By MNE's own projection for topographies, up to its scale; the nose is up, the left ear left."""
    placed = on_disk()
    names = ["FP1", "FPZ", "F7", "F3", "FZ", "T3", "C3", "CZ", "C4", "T4", "P3", "PZ", "T6", "O1", "OZ"]
    montage = mne.channels.make_standard_montage("colin27_1005")
    same_names = {name.upper(): name for name in montage.ch_names}
    info = mne.create_info([same_names[name] for name in names], 100.0, "eeg")
    info.set_montage(montage)
    layout = mne.channels.layout._find_topomap_coords(info, range(len(names)))
    found = np.array([placed[name] for name in names])
    for axis in (0, 1):
        assert np.corrcoef(found[:, axis], layout[:, axis])[0, 1] > 0.99
    assert all(np.hypot(*place) <= 1.001 for place in placed.values())
    assert np.hypot(*placed["CZ"]) < 0.1 and placed["T3"][0] < -0.7 and placed["FPZ"][1] > 0.7
    assert place_of("FP1-F7") == pytest.approx(np.mean([placed["FP1"], placed["F7"]], axis=0), abs=1e-3)
    assert place_of("X9") == (None, None)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "question"), ({"question": ""}, "question"), ({"question": "x" * 501}, "500"),
        ({"question": QUESTION, "risk": 1}, "risk"), ({"question": QUESTION, "risk": "nan"}, "risk"),
        ({"question": QUESTION, "options": ["a"]}, "options"), ({"question": "x", "options": ["a"] * 27}, "26"),
        ({"question": "x", "options": ["a", "b" * 201]}, "200"), ({"question": QUESTION, "rsk": 0.1}, "rsk"),
        ({"question": "Who?"}, "was not tuned"), ({"question": "x", "options": ["a", "a"]}, "two different"),
    ],
)  # fmt: skip
def test_what_is_no_question_is_refused(ids, body, why):
    found = requests.post(f"{ids['anna.edf']}/ask", json=body)
    assert found.status_code == 422 and why in found.json()["error"]["message"]


def test_what_cannot_be_answered_says_why(api, ids, folder):
    found = requests.post(f"{ids['loud.edf']}/ask", json={"question": QUESTION})
    assert found.status_code == 422 and found.json()["error"]["kind"] == "RecordingError"
    with listening(ids["loud.edf"], question=QUESTION) as events:
        ((name, error),) = events
    assert name == "error" and error == found.json()["error"]
    assert error["message"].startswith("loud.edf: ") and str(folder) not in error["message"]
    assert requests.post(f"{api}/recordings/none/ask", json={"question": QUESTION}).status_code == 404
    other = requests.post(f"{ids['anna.edf']}/ask", json={"question": QUESTION, "model": "other"})
    assert other.status_code == 404 and "other" in other.json()["error"]["message"]


def test_who_leaves_is_left_and_who_is_too_many_is_told_when_to_come(app, ids):
    engine = app.state.service.engine
    with listening(ids["long.edf"], question=QUESTION) as one, listening(ids["long.edf"], question=QUESTION) as two:
        assert next(one)[0] == next(two)[0] == "begin"
        assert next(one)[0] == "windows"
        refused = requests.post(f"{ids['anna.edf']}/ask", json={"question": QUESTION})
        assert refused.status_code == 429 and refused.json()["error"]["kind"] == "Busy"
        assert 1 <= int(refused.headers["retry-after"]) <= 600
        assert engine.waiting == 2
    left = time.monotonic()
    while engine.waiting and time.monotonic() - left < 5:
        time.sleep(0.01)
    assert time.monotonic() - left < 2
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.post(f"{ids['long.edf']}/ask", json={"question": QUESTION}, timeout=0.5)
    while engine.waiting and time.monotonic() - left < 10:
        time.sleep(0.01)
    assert engine.waiting == 0
    assert requests.post(f"{ids['anna.edf']}/ask", json={"question": QUESTION}).status_code == 200


def test_when_the_service_ends_streams_end_with_an_error(app, ids):
    with listening(ids["long.edf"], question=QUESTION) as events:
        assert next(events)[0] == "begin"
        app.state.service.ending.set()
        began = time.monotonic()
        try:
            name, error = list(events)[-1]
        finally:
            app.state.service.ending.clear()
    assert (name, error["kind"]) == ("error", "Ending") and time.monotonic() - began < 3


def test_metrics_count_questions_and_batches(api, ids):
    requests.post(f"{ids['anna.edf']}/ask", json={"question": QUESTION})
    lines = dict(line.rsplit(" ", 1) for line in requests.get(f"{api}/metrics").text.splitlines() if line[0] != "#")
    assert float(lines['neurolm_questions_total{outcome="answered"}']) >= 1
    assert float(lines["neurolm_questions_waiting"]) == 0
    assert float(lines["neurolm_batch_windows_sum"]) >= 19 > 0 < float(lines["neurolm_batch_questions_count"])


def test_an_answer_that_cannot_be_kept_is_told_all_the_same(app, ids, monkeypatch):
    def full(*_args, **_how):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr("neurolm.server.kept.np.savez_compressed", full)
    body = requests.post(f"{ids['anna.edf']}/ask", json={"question": QUESTION}).json()
    assert body["answer"] in ("Yes", "No")
    assert requests.get(f"{ids['anna.edf']}/answers/{body['answer_id']}").status_code == 404


def test_nothing_is_kept_of_a_recording_that_is_gone(tmp_path, app, ids):
    (entry,) = [one for one in app.state.service.library.entries() if one.name == "anna.edf"]
    gone = replace(entry, scratch=tmp_path / "gone" / "scratch")
    id = requests.post(f"{ids['anna.edf']}/ask", json={"question": QUESTION}).json()["answer_id"]
    kept.keep(gone, id, kept.find(entry, id))
    assert list(tmp_path.iterdir()) == []


def test_answers_that_are_kept_are_limited(monkeypatch, ids):
    monkeypatch.setattr("neurolm.server.kept.MOST", 3)
    given = [requests.post(f"{ids['anna.edf']}/ask", json={"question": QUESTION}).json() for _ in range(5)]
    status = [requests.get(f"{ids['anna.edf']}/answers/{one['answer_id']}").status_code for one in given]
    assert status == [404, 404, 200, 200, 200]
