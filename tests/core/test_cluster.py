"""A cluster's workers write the same bytes as one process, also when one of them is killed."""

import math
import os
import signal
import warnings
from functools import partial
from operator import call
from pathlib import Path

import pytest

from neurolm.core.cluster import Cluster, examine
from neurolm.core.errors import ConfigError, StoreError
from neurolm.core.workers import Crash
from neurolm.prepare.prepare import PrepareProgress, prepare
from neurolm.store.store import Store

distributed = pytest.importorskip("distributed")
RECORDINGS = 8


@pytest.fixture(scope="module")
def scheduler():
    """Two worker processes that share this machine; a task that kills its worker is given up at once."""
    import dask

    quiet = {"distributed.scheduler.allowed-failures": 0, "distributed.logging": {"distributed": "critical"}}
    with warnings.catch_warnings(), dask.config.set(quiet):
        warnings.simplefilter("ignore")
        cluster = distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        )
        yield cluster
        cluster.close()


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def recordings(tmp_path, write_edf) -> Path:
    for number in range(RECORDINGS):
        write_edf(tmp_path / "raw" / f"{number}.edf", seed=number, seconds=20)
    (tmp_path / "raw" / "broken.edf").write_bytes((tmp_path / "raw" / "0.edf").read_bytes()[:700])
    return tmp_path / "raw"


@pytest.mark.filterwarnings("ignore")  # of the cluster's own making, when a worker dies
def test_a_killed_worker_changes_nothing(scheduler, recordings, tmp_path):
    prepare(recordings, tmp_path / "alone", jobs=1)
    pids = [worker.pid for worker in scheduler.workers.values()]

    def kill(progress: PrepareProgress) -> None:
        if progress.done == RECORDINGS // 2:
            os.kill(pids[0], signal.SIGKILL)

    report = prepare(recordings, tmp_path / "cluster", scheduler=scheduler.scheduler_address, progress=kill)
    assert (report.recordings, report.quarantined) == (RECORDINGS, 1)
    assert content(tmp_path / "cluster") == content(tmp_path / "alone")
    assert not list((tmp_path / "cluster").rglob("*.partial"))
    Store(tmp_path / "cluster").verify()


@pytest.mark.filterwarnings("ignore")
def test_an_item_that_kills_costs_itself_alone(scheduler):
    with Cluster(scheduler.scheduler_address) as cluster:
        items = [partial(math.sqrt, 4.0), partial(os._exit, 3), partial(math.sqrt, 9.0)]
        assert dict(cluster.each(call, items)) == dict(zip(items, [2.0, Crash(None), 3.0], strict=True))
        with pytest.raises(ValueError, match="math domain error"):
            list(cluster.each(math.sqrt, [1.0, -1.0]))
    with pytest.raises(StoreError, match=r"does not see /nowhere;.*the same paths"):
        Cluster(scheduler.scheduler_address, [Path("/nowhere")])


def test_wrong_schedulers_are_refused(recordings, tmp_path, monkeypatch):
    monkeypatch.setattr("neurolm.core.cluster.PATIENCE", 1)
    with pytest.raises(ConfigError, match=r"scheduler='tcp://127\.0\.0\.1:9': no Dask scheduler answers"):
        prepare(recordings, tmp_path / "s", scheduler="tcp://127.0.0.1:9")
    with pytest.raises(ConfigError, match=r"jobs=2 is for this machine.*scheduler='x'"):
        prepare(recordings, tmp_path / "s", scheduler="x", jobs=2)
    assert examine([str(recordings), "/nowhere"])[1] == ("/nowhere",)
    assert not (tmp_path / "s").exists()
