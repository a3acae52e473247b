"""What benchmarks/service.py measures: many clients of a real service, and what it counts as wrong."""

import runpy
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

import neurolm

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script() -> dict:
    return runpy.run_path(str(ROOT / "benchmarks" / "service.py"))


def test_eight_clients_get_their_own_answers(script, evidence_run, write_edf, tmp_path):
    folder = tmp_path / "recordings"
    electrodes = (("C3", "O1"), ("Fz", "C4", "Pz"), ("T3", "C3", "C4", "O1"))
    for seed, names in enumerate(electrodes):
        write_edf(folder / f"{seed}.edf", seed=seed, names=names, seconds=20 + 10 * seed, microvolts=10.0 * (1 + seed))
    given = script["arguments"](["--model", str(evidence_run), "--folder", str(folder), "--clients", "8"])
    files = sorted(folder.glob("*.edf"))
    with script["served"](evidence_run, folder, tmp_path) as (process, url):
        with closing(neurolm.connect(url)) as remote:
            asked = script["questions"](neurolm.load(evidence_run, device="cpu"), files, folder, remote)
        assert len(asked) == 3 * 5
        found = script["load"](url, asked, clients=8, seconds=4)
        assert found.errors == [] and (found.wrong, found.mixed) == (0, 0) and len(found.seconds) >= 8
        page = script["page"](given, asked, found, found, (1.0, 1.0))
        assert f"| answers | {len(found.seconds):,} | {len(found.seconds):,} |" in page
        swapped = [replace(one, known=other.known) for one, other in zip(asked, asked[5:] + asked[:5], strict=True)]
        mixed = script["load"](url, swapped, clients=1, seconds=1)
        assert mixed.wrong == mixed.mixed == len(mixed.seconds) > 0
        before = script["memory"](process.pid)
        first, last = script["uploads"](url, process.pid, files[0], 40)
        assert 100 < first <= last + 32 and last < before + 256
    assert process.returncode == 0
