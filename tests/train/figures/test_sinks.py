"""Where figures go besides the files: read back from TensorBoard's, and as calls of the services' libraries."""

import importlib.util
import struct
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pytest

from neurolm.core.errors import ConfigError
from neurolm.train.figures.sinks import IDENTITY, SINKS, Origin, Sinks, require_sinks


def origin(folder, first=0):
    return Origin(folder=folder / "mine" / "pretrain", first=first, settings={"learning_rate": 1e-3})


def scalars(folder) -> list[tuple[str, int, float]]:
    """What TensorBoard would show of a folder: events in order of writing, without those a later session purged."""
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    found: list[tuple[str, int, float]] = []
    for path in sorted(folder.glob("events*"), key=lambda p: int(p.suffix[1:])):
        data = path.read_bytes()
        while data:  # a record: length and its checksum, the event and its checksum
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            if event.session_log.status == SessionLog.START:
                found = [one for one in found if one[1] < event.step]
            found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
    return found


def test_tensorboard_shows_each_step_once_also_after_an_interruption(tmp_path):
    sinks = Sinks(["tensorboard"], origin(tmp_path))
    for step in range(5):
        sinks.write(step, "training", {"loss": 5.0 - step, "lr": 0.5})
    sinks.write(4, "validation", {"loss": 2.5})
    sinks.close()
    resumed = Sinks(["tensorboard"], origin(tmp_path, first=3))
    for step in range(3, 6):
        resumed.write(step, "training", {"loss": 5.0 - step, "lr": 0.5})
    resumed.close()
    board = tmp_path / "mine" / "pretrain" / "tensorboard"
    training = scalars(board / "training")
    assert [(s, v) for tag, s, v in training if tag == "pretrain/loss"] == [(s, 5.0 - s) for s in range(6)]
    assert [(s, v) for tag, s, v in training if tag == "pretrain/lr"] == [(s, 0.5) for s in range(6)]
    assert scalars(board / "validation") == [("pretrain/loss", 4, 2.5)]


class Recorded:
    """Stands for a service's run: writes down the calls."""

    def __init__(self, calls: list, fails: bool = False) -> None:
        self.calls, self.fails = calls, fails

    def define_metric(self, *names, **options):
        self.calls.append(("define_metric", names, options))

    def log(self, *figures, **options):
        if self.fails:
            raise ConnectionError("no route to host")
        self.calls.append(("log", figures, options))

    def finish(self):
        self.calls.append(("finish",))


@pytest.fixture
def service(monkeypatch):
    """Puts a library that writes down its calls in the place of a service's."""

    def put(name: str, *, fails: bool = False, refuses: bool = False) -> list:
        calls: list = []

        def init(**options):
            if refuses:
                raise PermissionError("no API key configured")
            calls.append(("init", options))
            return Recorded(calls, fails)

        module = ModuleType(name)
        module.init = init  # type: ignore[attr-defined]
        module.__spec__ = SimpleNamespace(name=name)  # type: ignore[assignment]
        monkeypatch.setitem(sys.modules, name, module)
        return calls

    return put


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_service_gets_every_figure_and_a_resumed_run_is_the_same_run_there(tmp_path, service, name):
    calls = service(name)
    for first in (0, 1):
        sinks = Sinks([name], origin(tmp_path, first=first))
        sinks.write(first, "training", {"loss": 2.0})
        sinks.close()
    begun = [options for call, *rest in calls if call == "init" for options in rest]
    identity = (tmp_path / "mine" / "pretrain" / IDENTITY).read_text().strip()
    assert identity.startswith("mine-pretrain-")
    assert [options["id" if name == "wandb" else "name"] for options in begun] == [identity, identity]
    assert all(o["resume"] == "allow" and o["config"] == {"learning_rate": 1e-3} for o in begun)
    logged = [call for call in calls if call[0] == "log"]
    if name == "wandb":
        assert logged == [("log", ({"step": step, "training/loss": 2.0},), {}) for step in (0, 1)]
        assert ("define_metric", ("*",), {"step_metric": "step"}) in calls
    else:
        assert logged == [("log", ({"training/loss": 2.0},), {"step": step}) for step in (0, 1)]
    assert [call[0] for call in calls].count("finish") == 2


def test_a_service_that_fails_is_switched_off_and_the_others_go_on(tmp_path, service):
    failing, working = service("wandb", fails=True), service("trackio")
    sinks = Sinks(["wandb", "trackio"], origin(tmp_path))
    with pytest.warns(
        UserWarning, match=r"--log-to wandb stopped \(ConnectionError: no route to host\); training goes"
    ):
        sinks.write(0, "training", {"loss": 2.0})
    sinks.write(1, "training", {"loss": 1.0})
    sinks.close()
    assert [call[0] for call in failing if call[0] != "define_metric"] == ["init"]
    assert [call[0] for call in working] == ["init", "log", "log", "finish"]


def test_what_cannot_be_started_is_said_before_training(tmp_path, service):
    service("wandb", refuses=True)
    with pytest.raises(ConfigError, match=r"--log-to wandb: cannot be started \(PermissionError: no API key.*log in"):
        Sinks(["wandb"], origin(tmp_path))


def test_unknown_or_missing_sinks_name_what_to_do(monkeypatch):
    with pytest.raises(ConfigError, match=r"--log-to mlflow: unknown: choose one of tensorboard, wandb, trackio"):
        require_sinks(["tensorboard", "mlflow"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name in SINKS:
        with pytest.raises(ConfigError, match=rf"is not installed; pip install 'neurolm\[{name}\]'"):
            require_sinks([name])


def test_nothing_is_imported_or_written_unless_asked_for(tmp_path):
    code = (
        "import sys; from pathlib import Path; from neurolm.train.figures.sinks import Origin, Sinks\n"
        f"sinks = Sinks([], Origin(folder=Path({str(tmp_path)!r}), first=0, settings={{}}))\n"
        "sinks.write(0, 'training', {'loss': 1.0}); sinks.close()\n"
        "print([m for m in ('tensorboardX', 'wandb', 'trackio', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]" and list(tmp_path.iterdir()) == []
