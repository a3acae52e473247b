"""Several processes train what one trains: the same losses, weights and codes, also after one of them was lost."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from neurolm.batches.loader import share
from neurolm.core import distributed
from neurolm.core.config import ConfigError
from neurolm.train.figures.history import read_log
from neurolm.train.run import open_run
from neurolm.train.shared import training_windows

STAGES = ("tokenizer", "pretrain", "instruct")
STEPS = 12
"""Of the everyday test; ``benchmarks/processes.py`` has 50 of them."""
WORLDS = {
    ("tokenizer", True): (1, 2, 4),
    ("tokenizer", False): (1, 2),
    ("pretrain", True): (1, 4),
    ("pretrain", False): (1, 2),
    ("instruct", True): (1, 2),
    ("instruct", False): (1, 2),
}
"""Numbers of processes by stage and whether in float64; ``benchmarks/processes.py`` has all of them."""
COMPARED = {True: (1e-6, ("loss", "gradient_norm")), False: (1e-3, ("loss",))}
"""Relative difference, and of what, in float64 and in float32, in which a code may flip."""


@pytest.fixture(scope="module")
def curves(describe, launch, tmp_path_factory) -> dict:
    """Every stage in both precisions with every number of processes."""
    folder = tmp_path_factory.mktemp("curves")
    changes = {"steps": STEPS, "evaluate_every": 6, "save_every": 100, "samples_at_once": 2}
    keys = [(stage, double, world) for (stage, double), worlds in WORLDS.items() for world in worlds]
    jobs = [
        describe(folder / f"{stage}-{double}-{world}", stage, world, double=double, changes=changes)
        for stage, double, world in keys
    ]
    return dict(zip(keys, launch(jobs), strict=True))


@pytest.mark.parametrize("double", [True, False], ids=["float64", "float32"])
@pytest.mark.parametrize("stage", STAGES)
def test_any_number_of_processes_has_the_same_curves(curves, stage, double):
    alone = curves[stage, double, 1]
    for world in WORLDS[stage, double][1:]:
        job = curves[stage, double, world]
        assert [outcome["error"] for outcome in job.outcomes] == [None] * world, job.outcomes
        loss = alone.curve("loss")
        assert len(loss) == STEPS and loss[-1] != loss[0]
        tolerance, names = COMPARED[double]
        for name in (*names, "raw" if stage == "tokenizer" else "text"):
            np.testing.assert_allclose(job.curve(name), alone.curve(name), rtol=tolerance, err_msg=name)
            if name in ("raw", "text"):
                validated = alone.curve(name, "validation")
                assert len(validated) == 2
                np.testing.assert_allclose(job.curve(name, "validation"), validated, rtol=tolerance, err_msg=name)
        for name in ("codes_used",) if stage == "tokenizer" and double else ():
            assert job.curve(name).tolist() == alone.curve(name).tolist()


@pytest.mark.parametrize("stage", STAGES)
def test_all_processes_have_the_same_weights_and_codes_to_the_bit(curves, stage):
    for double in (True, False):
        for world in WORLDS[stage, double]:
            assert len({outcome["digest"] for outcome in curves[stage, double, world].outcomes}) == 1


def test_the_module_is_as_it_was_when_the_training_is_over(curves):
    assert curves["tokenizer", True, 1].outcomes[0]["names"] == curves["tokenizer", True, 2].outcomes[0]["names"]


def test_losing_a_process_ends_the_job_and_it_goes_on_with_as_many_or_more(tmp_path, describe, launch):
    changes = {"steps": 12, "evaluate_every": 6, "save_every": 3}

    def job(name, world, **options):
        return describe(tmp_path / name, "tokenizer", world, changes=changes, **options)

    whole, killed = launch([job("whole", 2), job("parts", 2, what="SIGKILL", to_rank=1, at=7)])
    assert killed.statuses == [0, -9]
    assert killed.outcomes[0]["error"] == "ProcessLost", killed.outcomes
    assert "goes on from the last saved step" in killed.outcomes[0]["message"]
    assert (killed.out / "state-000000006.pt").exists()
    shutil.copytree(killed.out, tmp_path / "more")
    resumed, more = launch([job("parts", 2), job("more", 4)])
    assert len({outcome["digest"] for outcome in (*whole.outcomes, *resumed.outcomes)}) == 1
    assert read_log(resumed.out) == read_log(whole.out)
    assert [outcome["error"] for outcome in more.outcomes] == [None] * 4, more.outcomes
    np.testing.assert_allclose(more.curve("loss"), whole.curve("loss"), rtol=1e-3)


def test_what_happens_to_one_process_stops_all_at_the_same_step(tmp_path, describe, launch):
    changes = {"steps": 12, "evaluate_every": 6, "save_every": 5}

    def job(name, **options):
        return describe(tmp_path / name, "tokenizer", 2, changes=changes, **options)

    spoilt, asked, small, late = launch(
        [
            job("nan", what="nan", to_rank=1, at=3),
            job("term", what="SIGINT SIGTERM", to_rank=1, at=3),
            job("small") | {"changes": changes | {"eeg_batch": 1}},
            describe(tmp_path / "late", "instruct", 2, changes=changes | {"steps": 2}, slow_disk=0.5),
        ],
    )
    assert [outcome["error"] for outcome in spoilt.outcomes] == ["TrainingStopped"] * 2, spoilt.outcomes
    first, second = (outcome["message"] for outcome in spoilt.outcomes)
    assert first == second and "step 3: the loss is nan" in first and "The batch held" in first
    assert [outcome["error"] for outcome in asked.outcomes] == ["Stopped"] * 2, asked.outcomes
    assert all("saved after step 4 of 12" in outcome["message"] for outcome in asked.outcomes)
    assert [path.name for path in asked.out.glob("state-*")] == ["state-000000004.pt"]
    assert [outcome["error"] for outcome in small.outcomes] == ["ConfigError"] * 2
    # No process takes the best weights before the main one has written them.
    assert [outcome["error"] for outcome in late.outcomes] == [None] * 2, late.outcomes
    # Threads left to whatever lets go of them last have kept a job from ending.
    assert all(outcome["threads"] == [] for job in (spoilt, asked, small) for outcome in job.outcomes)
    assert "eeg_batch=1 is the batch of all processes together, and there are 2" in small.outcomes[0]["message"]


def test_workers_change_nothing_in_any_stage_also_after_an_interruption(tmp_path, describe, launch):
    changes = {"steps": 6, "evaluate_every": 3, "save_every": 100, "samples_at_once": 2, "average": 0.5, "dropout": 0.1}
    described = []
    for stage in STAGES:
        for name, options in (
            ("whole", {"workers": 0}),
            ("parts", {"workers": 3, "what": "SIGTERM", "to_rank": 0, "at": 2}),
            ("parts", {"workers": 1}),
        ):
            described.append(describe(tmp_path / f"{stage}-{name}", stage, 1, changes=changes, **options))
    done = iter(launch(described))
    for _ in STAGES:
        whole, asked, resumed = next(done), next(done), next(done)
        assert asked.outcomes[0]["error"] == "Stopped" and resumed.outcomes[0]["from"] == 3
        assert resumed.outcomes[0]["digest"] == whole.outcomes[0]["digest"]
        assert read_log(resumed.out) == read_log(whole.out)


def test_each_process_has_windows_of_its_own_and_every_epoch_another_order(micro_run, monkeypatch):
    run = open_run(micro_run.folder, config=micro_run.config, store=micro_run.store, device="cpu")
    config = replace(micro_run.config.tokenizer, eeg_batch=5)
    windows = training_windows(run, config)
    all_at_once = {step: [s.source for s in windows.step(step)] for step in range(8)}

    def shares(step: int) -> list[list[str]]:
        found = []
        for rank in range(3):
            monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
            found.append([s.source for s in windows.step(step)])
        return found

    monkeypatch.setattr(distributed, "world", lambda: 3)
    for step, whole in all_at_once.items():
        places = [windows.places(step) for _ in range(2)]
        assert places[0] == places[1]
        assert sorted(source for one in shares(step) for source in one) == sorted(whole)
    count = len(windows.windows)
    order = [int(i) for step in range(-(-2 * count // 5)) for i in windows.sampler.step(step)]
    assert sorted(order[:count]) == sorted(order[count : 2 * count]) == list(range(count))
    assert order[:count] != order[count : 2 * count]


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 7])
def test_shares_are_disjoint_complete_and_even(ranks):
    sizes = np.random.default_rng(0).integers(1, 1000, 37).tolist()
    shares = [share(sizes, rank, ranks) for rank in range(ranks)]
    assert sorted(i for one in shares for i in one) == list(range(37))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert all(one == sorted(one) for one in shares)
    work = [sum(sizes[i] for i in one) for one in shares]
    assert max(work) - min(work) <= max(sizes)


def test_alone_nothing_is_joined_and_sums_are_what_they_were(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with distributed.joined(cuda=False):
        assert (distributed.rank(), distributed.world(), distributed.is_main()) == (0, 1, True)
        assert distributed.totals({"a": 1.5}) == {"a": 1.5}
        assert distributed.largest(3) == 3 and distributed.gather("x") == ["x"]
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in distributed.VARIABLES[:2] + distributed.VARIABLES[3:]:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=r"WORLD_SIZE=2, but RANK, LOCAL_RANK, MASTER_ADDR, MASTER_PORT is not set"):
        distributed.announced()
