"""Every block of Python in the pages runs as it stands, one after the other, in a folder that has what they name."""

import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

import pytest
from edfio import Edf, EdfSignal

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
PAGES = [
    path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if BLOCK.search(path.read_text())
]
CLUSTERS = ("dask_jobqueue", "dask_kubernetes", "dask_kubernetes.operator")
"""Modules that talk to a cluster, which a test has not."""
ADDRESS = "http://127.0.0.1:8765"


@pytest.fixture
def place(tmp_path, monkeypatch, micro_run, evidence_run, rhythm) -> Path:
    """A folder with a run, its store and two recordings, one of a net whose numbers are millivolts."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(evidence_run)
    (tmp_path / "store").symlink_to(micro_run.store)
    for name, electrodes, worth in (("recording", ("C3", "O1"), 1.0), ("net", ("E36", "E70"), 1e-3)):
        signals = [
            EdfSignal(column * worth, 200, label=electrode, physical_dimension="uV")
            for column, electrode in zip(rhythm("Yes", 20, 2, (3,)).T, electrodes, strict=True)
        ]
        Edf(signals, data_record_duration=1).write(tmp_path / f"{name}.edf")
    for name in CLUSTERS:
        module = ModuleType(name)
        module.SLURMCluster = module.KubeCluster = MagicMock()
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@contextmanager
def service() -> Iterator[str]:
    """The address of a service of the run in this folder."""
    import uvicorn

    from neurolm.server.app import create_app
    from neurolm.server.run import bound
    from neurolm.server.settings import ServerSettings

    settings = ServerSettings(models=(Path("runs/demo"),), uploads=Path("uploads"), readers=1, device="cpu")
    with bound("127.0.0.1", 0) as listening:
        server = uvicorn.Server(uvicorn.Config(create_app(settings), log_config=None, lifespan="on"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_blocks_of_a_page_run(page, place, capsys):
    names, there = {"__name__": page.stem}, {"s3://bucket/store": "store"}
    with service() if page.name == "service.md" else nullcontext(ADDRESS) as address:
        there[ADDRESS] = address
        for block in BLOCK.findall(page.read_text(encoding="utf-8")):
            for name, real in there.items():
                block = block.replace(name, real)
            exec(compile(block, page.name, "exec"), names)
    if page.name == "answers.md":
        assert (place / "picture.png").read_bytes().startswith(b"\x89PNG")
        assert names["answer"].electrodes == ("C3", "O1") and "C3" in names["explanation"].leading
        assert names["found"].evidence_columns == ("workload: Yes", "workload: No")
    if page.name == "service.md":
        assert names["answer"].electrodes == ("C3", "O1") and names["answer"].recording == "recording.edf"
    if page.name == "archive.md":
        tables = [(place / name).read_text(encoding="utf-8") for name in ("answers.csv", "answers.windows.csv")]
        windows = len(names["outcomes"][0].answers[0].timeline)
        assert [table.count("recording.edf") for table in tables] == [1, windows] and windows > 1
        assert "recording.edf" in (place / "answers.html").read_text(encoding="utf-8")
    if page.name == "prepare.md":
        store = names["store"]
        first = store.read(0, 0, store.rows[0].samples)
        assert (names["counts"].reshape(first.shape) == first).all() and "(200, " in capsys.readouterr().out
