"""Leakage is an error: nothing is evaluated on what the model, or a baseline, could have learned from."""

import ast
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import neurolm
from neurolm.batches.splits import Split
from neurolm.checkpoint import Card, hashed, keys_of, load_neurolm, trained_on
from neurolm.core.errors import CheckpointError, ConfigError, StoreError
from neurolm.evaluation.evaluate import evaluate
from neurolm.evaluation.held_out import BY_CONTENT, held_out_windows, require_not_in
from neurolm.store.manifest import Label
from neurolm.store.shards import write_store as write_rows
from neurolm.store.store import Store
from neurolm.tasks.card import load_task
from neurolm.tasks.task import Task
from neurolm.train.run import open_run

PACKAGE = Path(neurolm.__file__).parent
TEST = ("s06", "s07")
CUTTING = ("windows", "labelled_windows", "unlabelled_windows")


@pytest.fixture(scope="module")
def card(micro_run) -> Card:
    return load_neurolm(micro_run.folder / "instruct")[1]


@pytest.fixture
def workload(micro_store) -> tuple[Task, Store, Split]:
    task, store = load_task("workload"), Store(micro_store)
    return task, store, task.split(store)


def changed(store: Store, folder: Path, **changes: dict[str, object]) -> Store:
    """A copy of a store in which some recordings' rows say something else."""
    rows = []
    for number, row in enumerate(store.rows):
        change = changes.get(row.recording.replace("-", "_"), {})
        rows.append((replace(row, **change), store.read(number, 0, row.samples)))
    write_rows(folder, rows)
    return Store(folder)


@pytest.mark.parametrize("part", ["test", "validation"])
def test_what_is_apart_is_handed_out(workload, card, part):
    task, store, split = workload
    assert held_out_windows(task, store, split, part, card) == task.windows(store, split, part) != []


@pytest.mark.parametrize(
    "leak", [{"train": ("s00", "s06")}, {"validation": ("s05", "s07")}, {"train": ("s00", "s05")}], ids=str
)
def test_a_subject_in_two_parts_is_refused(workload, card, leak):
    task, store, split = workload
    with pytest.raises(ConfigError, match=r"task workload: s0[567] in \w+ and in \w+: correct the split"):
        held_out_windows(task, store, replace(split, **leak), "test", card)


def test_a_subject_that_the_model_was_trained_on_is_refused(workload, card):
    task, store, split = workload
    known = {"s00", "s01", "s02", "s03", "s04", "s20"}
    assert trained_on(card, {row.subject for row in store.rows}, [store.fingerprint]) == known
    older = replace(card, subjects=(*sorted(known), "s07"), people="")  # ids in clear
    newer = replace(card, subjects=(*card.subjects, *hashed(["s07"], store.fingerprint)))
    for leaky in (older, newer):
        with pytest.raises(CheckpointError, match=r"the model was trained on s07, and the split of task workload"):
            held_out_windows(task, store, split, "test", leaky)


def test_people_are_known_where_the_run_is_though_the_store_has_grown(tmp_path, workload, card, micro_run):
    """By the key in the run's folder; a published model alone says that it cannot tell."""
    task, store, split = workload
    grown = changed(store, tmp_path / "s", workload_00={"licence": "another"})
    assert grown.fingerprint != store.fingerprint
    leaky = replace(card, subjects=(*card.subjects, *hashed(["s07"], store.fingerprint)))
    keys = keys_of(micro_run.folder / "instruct")
    assert keys == [store.fingerprint]
    with pytest.raises(CheckpointError, match="the model was trained on s07"):
        held_out_windows(task, grown, split, "test", leaky, keys=keys)
    assert held_out_windows(task, grown, split, "test", leaky)
    alone = tmp_path / "published"
    shutil.copytree(micro_run.folder / "instruct", alone)
    assert BY_CONTENT in evaluate(alone, grown.path, tasks=["workload"], baselines=[]).checks
    assert BY_CONTENT not in evaluate(alone, store.path, tasks=["workload"], baselines=[]).checks


def trials(*stretches: tuple[str, float, float, str]) -> dict[str, object]:
    return {"labels": tuple(Label("workload", label, start, stop, split) for label, start, stop, split in stretches)}


@pytest.mark.parametrize(("start", "refused"), [(5.995, True), (6, False)])
def test_windows_of_two_parts_that_share_a_sample_are_refused(tmp_path, workload, card, start, refused):
    """Where trials of one person train and test."""
    task, store, _ = workload
    store = changed(store, tmp_path / "s", workload_06=trials(("No", 0, 6, "train"), ("Yes", start, 12, "test")))
    task, split = replace(task, seconds=2, stride=2), Split(("s06",), (), ("s06",), by_trial=True)
    if refused:
        with pytest.raises(StoreError, match=r"workload-06: windows of task workload for train and for test overl"):
            held_out_windows(task, store, split, "test", card)
    else:
        assert [w.start for w in held_out_windows(task, store, split, "test", card)] == [1200, 1600, 2000]


def test_a_recording_of_training_under_another_name_is_refused(tmp_path, workload, card):
    task, store, split = workload
    digest = next(row.sha256 for row in store.rows if row.recording == "workload-00")
    copied = changed(store, tmp_path / "s", workload_07={"sha256": digest})
    with pytest.raises(StoreError, match=r"workload-00 is a copy of workload-07, which task workload keeps for test"):
        held_out_windows(task, copied, split, "test", card)


def test_a_recording_that_the_model_was_trained_on_is_refused_in_any_store(workload, card):
    """A store has other names for it, and other people."""
    task, store, split = workload
    digest = next(row.sha256 for row in store.rows if row.recording == "workload-07")
    assert len(card.recordings) > 5 and digest[:16] not in card.recordings
    with pytest.raises(CheckpointError, match="the model was trained on the content of workload-07, under whatever"):
        held_out_windows(task, store, split, "test", replace(card, recordings=(*card.recordings, digest[:16])))


def test_what_pretraining_saw_is_refused(tmp_path, workload):
    """The pretraining store has the test recordings under other names."""
    _, store, _ = workload
    rows = [
        (replace(row, recording=f"other/{n}", subject=f"p{n}", labels=()), store.read(n, 0, row.samples))
        for n, row in enumerate(store.rows)
        if row.subject in TEST
    ]
    write_rows(tmp_path / "other", rows)
    recordings = frozenset(row.recording for row in store.rows if row.subject in TEST)
    with pytest.raises(CheckpointError, match=r"other: holds what is to be tested on: .*there other/"):
        require_not_in([tmp_path / "other"], store, recordings, frozenset(TEST), jobs=1)
    require_not_in([store.path], store, recordings, frozenset(TEST), jobs=1)  # its own split holds


def test_evaluation_says_what_it_made_sure_of(micro_run, tmp_path):
    found = evaluate(micro_run.folder / "instruct", micro_run.store, baselines=[])
    assert found.checks[0].startswith("no subject is in two parts")
    assert all(result.baselines == () and result.baseline is None for result in found.results)


def test_training_never_asks_for_the_test_split():
    """``windows(…, "test")`` and the modules of evaluation do not occur in its sources."""
    found = []
    for path in sorted((PACKAGE / "train").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("neurolm.evaluation"):
                found.append((path.name, ast.unparse(node)))
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("windows", "labelled_windows"):
                found += [
                    (path.name, ast.unparse(node)) for a in (*node.args, *node.keywords) if "test" in ast.unparse(a)
                ]
    assert found == []


def test_training_reads_no_test_recording(monkeypatch, tmp_path, micro_store, micro_config, micro_texts):
    """Watched while all stages train: who is held out for a test is read only where another task trains on them."""
    from neurolm.train.instruct import train_instruct
    from neurolm.train.language import train_language
    from neurolm.train.pretrain import train_pretrain
    from neurolm.train.tokenizer import train_tokenizer

    read, whole = set(), Store.read

    def watched(self, index, *arguments, **options):
        read.add(self.rows[index].recording)
        return whole(self, index, *arguments, **options)

    monkeypatch.setattr(Store, "read", watched)
    run = open_run(tmp_path / "run", config=micro_config, store=micro_store, device="cpu")
    for train in (train_language, train_tokenizer, train_pretrain, train_instruct):
        train(run, texts=micro_texts)
    assert {"workload-00", "events-03"} <= read
    assert read & {"workload-06", "workload-07", "events-09", "events-10"} == set()
