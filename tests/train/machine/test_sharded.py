"""A model spread over processes trains as one process does, and its states are read by any number of processes."""

import json
import pickle
import shutil
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

import neurolm
from neurolm.core.config import ConfigError
from neurolm.core.recipes import recipe
from neurolm.train.figures.history import read_log
from neurolm.train.machine.sharded_state import METADATA, load_shards, save_shards
from neurolm.train.machine.state import forget_states, states

STEPS = 8
CHANGES = {
    "steps": STEPS, "evaluate_every": 4, "save_every": 3, "eeg_batch": 4, "text_batch": 4, "samples_at_once": 1,
    "clip": 0.5, "average": 0.9,
}  # fmt: skip


def job(describe, out, stage, world, *, double=True, changes=None, **options) -> dict:
    changes = CHANGES | {"shard": world > 1} | (changes or {})
    return describe(out, stage, world, double=double, changes=changes, **options)


@pytest.fixture(scope="module")
def jobs(describe, launch, tmp_path_factory) -> dict:
    """All of them in one go, since starting costs more than the steps."""
    folder = tmp_path_factory.mktemp("sharded")

    def job(name, stage, world, *, double=True, changes=None, **options):
        changes = CHANGES | {"shard": world > 1} | (changes or {})
        return describe(folder / name, stage, world, double=double, changes=changes, **options)

    half = [str(folder / "parts" / f".state-{99:09d}.partial")]
    described = {
        "pretrain": job("pretrain", "pretrain", 1),
        "pretrain, 2": job("pretrain-2", "pretrain", 2, changes={"checkpointing": True}),
        "instruct": job("instruct", "instruct", 1),
        "instruct, 4": job("parts", "instruct", 4, what="SIGTERM", to_rank=3, at=1, left=half),
        "going on, 2": job("parts", "instruct", 2, what="SIGTERM", to_rank=1, at=3),
        "going on, 1": job("parts", "instruct", 1, what="SIGTERM", to_rank=0, at=5),
        "to the end, 2": job("parts", "instruct", 2),
        "whole": job("whole", "pretrain", 2, double=False),
        "killed": job("killed", "pretrain", 2, double=False, what="SIGKILL", to_rank=0, at=7),
        "damaged": job(
            "killed", "pretrain", 2, double=False, damaged=[str(folder / "killed" / "state-000000006" / "__1_0.distcp")]
        ),
        "full": job("full", "pretrain", 2, what="full", to_rank=1, at=4),
        "odd": job("odd", "pretrain", 2, changes={"eeg_batch": 3}),
    }
    return dict(zip(described, launch(list(described.values())), strict=True))


def test_spread_over_processes_the_curves_are_those_of_one(jobs):
    alone, spread = jobs["pretrain"], jobs["pretrain, 2"]
    assert [outcome["error"] for outcome in spread.outcomes] == [None] * 2, spread.outcomes
    assert len({outcome["digest"] for outcome in spread.outcomes}) == 1
    for name in ("loss", "gradient_norm", "text"):
        np.testing.assert_allclose(spread.curve(name), alone.curve(name), rtol=1e-9, err_msg=name)
    for name in ("text", "eeg"):
        validated = alone.curve(name, "validation")
        np.testing.assert_allclose(spread.curve(name, "validation"), validated, rtol=1e-9, err_msg=name)
    assert [path.is_dir() for path in states(spread.out)] == [True, True]


def test_saved_by_four_it_goes_on_in_two_in_one_and_in_two_again(jobs):
    alone, last = jobs["instruct"], jobs["to the end, 2"]
    for name, world, after in (("instruct, 4", 4, 2), ("going on, 2", 2, 4), ("going on, 1", 1, 6)):
        assert [outcome["error"] for outcome in jobs[name].outcomes] == ["Stopped"] * world, jobs[name].outcomes
        assert f"saved after step {after} of {STEPS}" in jobs[name].outcomes[0]["message"]
    assert [(outcome["error"], outcome["from"]) for outcome in last.outcomes] == [(None, 6)] * 2, last.outcomes
    assert len({outcome["digest"] for outcome in last.outcomes}) == 1
    assert [row["step"] for row in read_log(last.out)] == [row["step"] for row in read_log(alone.out)]
    for kind, names in (("training", ("loss", "gradient_norm")), ("validation", ("score", "text"))):
        for name in names:
            np.testing.assert_allclose(last.curve(name, kind), alone.curve(name, kind), rtol=1e-9, err_msg=name)
    best, expected = (torch.load(job.out / "best.pt", weights_only=True) for job in (last, alone))
    assert best.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(best[name], value, rtol=1e-9, atol=1e-12)
    assert (last.out / ".state-000000099.partial").exists()
    forget_states(last.out)
    assert not list(last.out.glob("*state*"))


def test_instruction_tuning_in_several_processes_ends_with_evidence_and_calibration(
    describe, launch, micro_run, tmp_path
):
    """The main one's, from the whole weights: the evidence of one process, and a model that answers by it."""
    settings = {"changes": {"steps": 2, "shard": True, "evidence": True}, "finished": True}
    runs = {world: micro_run.copy(tmp_path / f"run-{world}", without=["instruct"]) for world in (1, 2)}
    described = [
        describe(tmp_path / f"job-{world}", "instruct", world, **settings) | {"run": str(run)}
        for world, run in runs.items()
    ]
    for job in launch(described):
        assert {outcome["error"] for outcome in job.outcomes} == {None}, job.outcomes
    alone, spread = (neurolm.load(run) for run in runs.values())
    assert list(spread.evidence.tasks) == ["events", "workload"] and spread.calibration is not None
    for name, (known, readout) in alone.evidence.tasks.items():
        same, other = spread.evidence.tasks[name]
        assert replace(same, weight=1.0) == replace(known, weight=1.0)
        assert same.weight == pytest.approx(known.weight, rel=1e-4)  # of language models that were rounded differently
        np.testing.assert_array_equal(other.weights, readout.weights)


def test_a_lost_process_or_a_damaged_part_costs_the_steps_since_the_last_whole_state(jobs):
    killed, resumed, whole = jobs["killed"], jobs["damaged"], jobs["whole"]
    assert killed.statuses == [-9, 0] and killed.outcomes[0]["error"] == "ProcessLost", killed.outcomes
    assert [(outcome["error"], outcome["from"]) for outcome in resumed.outcomes] == [(None, 3)] * 2, resumed.outcomes
    assert read_log(resumed.out) == read_log(whole.out)
    assert {outcome["digest"] for outcome in resumed.outcomes} == {whole.outcomes[0]["digest"]}


def test_a_disk_that_is_full_for_one_process_ends_all_and_leaves_the_earlier_state(jobs):
    full = jobs["full"]
    assert [outcome["error"] for outcome in full.outcomes] == ["WriteError"] * 2, full.outcomes
    assert "state-000000006: cannot be written (process 1: " in full.outcomes[0]["message"]
    assert "free space" in full.outcomes[0]["message"]
    assert [path.name for path in full.out.glob("*state*")] == ["state-000000003"]


def test_a_batch_that_cannot_be_dealt_out_evenly_is_refused(jobs):
    assert [outcome["error"] for outcome in jobs["odd"].outcomes] == ["ConfigError"] * 2
    assert (
        "eeg_batch=3 with shard=true must be a multiple of the number of processes, 2: choose 4"
        in (jobs["odd"].outcomes[0]["message"])
    )


def test_only_stages_of_the_language_model_can_be_sharded():
    config = recipe("xl")
    assert config.pretrain.shard and config.instruct.shard
    with pytest.raises(ConfigError, match=r"tokenizer\.shard: only pretrain and instruct"):
        replace(config, tokenizer=config.pretrain)


CONTENT = {"module": {"a": torch.zeros(2)}, "average": {}, "optimizer": {"state": {}}, "best": 1.0}


class Harm:
    """Pickled, it removes a folder when it is read."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (shutil.rmtree, (str(self.target),))


@pytest.fixture
def state(tmp_path):
    """A resume state of one process."""
    path = tmp_path / "state-000000001"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
        save_shards(path, 1, CONTENT | {"module": {"a": torch.tensor([1.0, 2.0])}})
    return path


def edited(path, change) -> None:
    """Change the description of a state."""
    found = json.loads((path / METADATA).read_text())
    change({entry["name"]: entry for entry in found["tensors"]})
    (path / METADATA).write_text(json.dumps(found))


def test_a_state_is_described_in_json_and_read_back(state):
    assert sorted(p.name for p in state.iterdir()) == ["__0_0.distcp", METADATA]
    content = {**CONTENT, "module": {"a": torch.zeros(2)}}
    assert load_shards(state, content)["step"] == 1
    assert content["module"]["a"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("name", [".metadata", METADATA])
def test_a_planted_pickle_is_not_run(state, tmp_path, name):
    planted = tmp_path / "planted"
    planted.mkdir()
    (state / METADATA).unlink()
    (state / name).write_bytes(pickle.dumps(Harm(planted)))
    with pytest.raises(ValueError, match=r"metadata\.json|utf-8"):
        load_shards(state, CONTENT)
    assert planted.is_dir()


def test_a_planted_pickle_in_place_of_a_tensor_is_not_run(state, tmp_path):
    planted = tmp_path / "planted"
    planted.mkdir()
    (part,) = state.glob("*.distcp")
    torch.save(Harm(planted), part)
    size = part.stat().st_size
    edited(state, lambda tensors: tensors["module.a"]["chunks"][0].update(bytes=[0, size]))
    with pytest.raises(ValueError):
        load_shards(state, CONTENT)
    assert planted.is_dir()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("file", "../__0_0.distcp", "is no file of a resume state"),
        ("file", "/etc/hostname", "is no file of a resume state"),
        ("file", "__1_0.distcp", "No such file"),
        ("bytes", [0, 10**9], "not a file of at least 1000000000 bytes"),
        ("bytes", [-1, 10], "are no sizes"),
        ("sizes", [3], "do not make up its size"),
        ("sizes", [1], "do not make up its size"),
        ("offsets", [1], "do not make up its size"),
        ("offsets", "x", "are no sizes"),
    ],
)
def test_a_description_that_leads_elsewhere_is_refused(state, key, value, said):
    edited(state, lambda tensors: tensors["module.a"]["chunks"][0].update({key: value}))
    with pytest.raises((ValueError, OSError), match=said):
        load_shards(state, CONTENT)


def test_a_link_in_place_of_a_part_is_refused(state, tmp_path):
    (part,) = state.glob("*.distcp")
    part.replace(tmp_path / "elsewhere")
    part.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"__0_0\.distcp: not a file"):
        load_shards(state, CONTENT)


@pytest.mark.parametrize("dtype", ["load", "os.system", "BytesStorageMetadata", 3])
def test_only_tensors_are_read(state, dtype):
    edited(state, lambda tensors: tensors["module.a"].update(dtype=dtype))
    with pytest.raises(ValueError, match="is no type of tensors"):
        load_shards(state, CONTENT)
