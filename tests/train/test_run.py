"""A run: who is held out, what a folder was begun with, and that killed stages go on to the very same weights."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from neurolm.core.config import STAGES
from neurolm.core.device import choose_device
from neurolm.core.errors import CheckpointError, ConfigError, StoreError
from neurolm.core.files import PARTIAL, hold
from neurolm.evaluation.baselines.fit import QUICK
from neurolm.evaluation.evaluate import evaluate
from neurolm.evaluation.results import RESULTS
from neurolm.store.shards import write_store as write_rows
from neurolm.store.store import Label, Store
from neurolm.train.figures.history import SPEED, read_log
from neurolm.train.instruct import _examples, train_instruct
from neurolm.train.language import train_language
from neurolm.train.loop import LOCK, TrainingProgress, TrainingStopped
from neurolm.train.machine.state import states
from neurolm.train.pretrain import train_pretrain
from neurolm.train.run import RUN, open_run
from neurolm.train.shared import training_windows
from neurolm.train.tokenizer import train_tokenizer

TRAIN = dict(zip(STAGES, (train_language, train_tokenizer, train_pretrain, train_instruct), strict=True))


class Killed(Exception):
    """Stands for the end of the process."""


def begin(micro_run, folder: Path, **changes):
    """Open a run on the micro store."""
    return open_run(folder, **({"config": micro_run.config, "store": micro_run.store, "device": "cpu"} | changes))


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and time of change of every file."""
    files = [p for p in folder.rglob("*") if p.is_file()]
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


def later(stage: str) -> list[str]:
    """A stage and those after it."""
    return list(STAGES[STAGES.index(stage) :])


def test_one_recording_under_two_people_stops_the_first_training(micro_run, tmp_path, write_store, rhythm):
    labels = [Label("workload", "Yes", 0, 12), Label("workload", "No", 12, 24)]
    recordings = {f"c/r{n}": (f"s{n}", ("CZ",), labels, rhythm("Yes", 24, 1, (min(n, 8),))) for n in range(10)}
    store = write_store(tmp_path / "store", recordings)  # r8 and r9 have the same signal
    with pytest.raises(ConfigError, match="c/r8 of s8 and c/r9 of s9 are the same recording under two people"):
        begin(micro_run, tmp_path / "run", store=store, fold=(1, 10))
    assert not (tmp_path / "run").exists()


def test_a_stage_is_trained_once_at_a_time(micro_run, tmp_path):
    folder = micro_run.copy(tmp_path / "run", without=["pretrain", "instruct"])
    run = begin(micro_run, folder)
    (folder / "pretrain").mkdir()
    with (
        hold(folder / "pretrain" / LOCK, "another"),
        pytest.raises(
            StoreError, match=rf"pretrain: another process is training this stage \(process {os.getpid()} on"
        ),
    ):
        train_pretrain(run, texts=micro_run.texts)
    assert list((folder / "pretrain").iterdir()) == []
    (folder / "pretrain" / LOCK).write_text("1 on a machine that lost its power")
    train_pretrain(run, texts=micro_run.texts)
    assert not (folder / "pretrain" / LOCK).exists()


def test_who_is_held_out_by_one_task_is_in_no_training_data(micro_run):
    run = begin(micro_run, micro_run.folder)
    assert [task.name for task in run.tasks] == ["events", "workload"]
    assert run.splits["workload"].validation == ("s05",) and run.splits["workload"].test == ("s06", "s07")
    assert run.splits["events"].validation == ("s08",) and run.splits["events"].test == ("s09", "s10")
    assert {"s05", "s06", "s07"} < set(run.splits["events"].train)  # what makes this store a test
    assert run.held_out == {"s05", "s06", "s07", "s08", "s09", "s10"}
    assert run.training_subjects == ["s00", "s01", "s02", "s03", "s04", "s20"]
    assert run.validation_subjects == ["s05", "s08"]


def test_a_subject_tested_by_one_task_does_not_validate_for_another(micro_run):
    run = begin(micro_run, micro_run.folder)
    swapped = replace(run.splits["events"], validation=("s06", "s08"))
    assert replace(run, splits=run.splits | {"events": swapped}).validation_subjects == ["s05", "s08"]


TRIALS = """
name = "trials"
description = "Two rhythms, by trials."
question = "Is this EEG segment fast?"
seconds = 4
stride = 4
metrics = ["balanced_accuracy"]
licence = "free"
citation = "nobody"
split = { rule = "the labels say it", unit = "trial" }
options = [{ text = "Yes" }, { text = "No" }]
"""


def test_a_task_split_by_trials_holds_out_trials_instead_of_subjects(tmp_path, micro_config, write_store, rhythm):
    """Every subject has trials in all parts; what they hold out is in no training data of any task or stage."""
    recordings = {}
    parts = {"train": (0, 16), "validation": (16, 24), "test": (28, 40)}
    for subject in range(5):
        signal = np.concatenate([rhythm(x, 8, 2, (subject, n)) for n, x in enumerate(["Yes", "No"] * 4)])
        labels = [
            Label("trials", x, start + 4 * n, start + 4 * n + 4, part)
            for part, (start, stop) in parts.items()
            for n, x in enumerate(["Yes", "No", "Yes"][: (stop - start) // 4])
        ]
        labels += [Label("workload", "Yes", 20, 26), Label("workload", "No", 40, 50), Label("workload", "Yes", 50, 60)]
        recordings[f"r{subject}"] = (f"s{subject}", ("C3", "O1"), labels, signal)
    (tmp_path / "trials.toml").write_text(TRIALS)
    store = write_store(tmp_path / "store", recordings)
    run = open_run(
        tmp_path / "run", config=micro_config, store=store, tasks=[str(tmp_path / "trials.toml"), "workload"],
        device="cpu",
    )  # fmt: skip
    assert run.splits["trials"].train == run.splits["trials"].test == ("s0", "s1", "s2", "s3", "s4")
    assert run.held_out == {"s3", "s4"} and run.training_subjects == ["s0", "s1", "s2"]  # by the other task
    spans = sorted((start / 200, stop / 200) for start, stop in run.held_out_stretches[0])
    assert spans == [(16, 20), (20, 24), (28, 32), (32, 36), (36, 40)]

    seen = set()
    for example in _examples(run):
        window, task = example.window, run.tasks[example.task].name
        assert window.subject in run.training_subjects
        seen.add((task, window.start / 200, window.seconds, window.label))
        assert (example.first, example.last + 4 * 200) == window.span
    workload = {
        ("workload", start, 4, x) for first, x in ((40, "No"), (50, "Yes")) for start in range(first, first + 7, 2)
    }
    assert seen == workload | {("trials", 0, 4, "Yes"), ("trials", 4, 4, "No"), ("trials", 8, 4, "Yes")}

    windows = training_windows(run, micro_config.tokenizer)
    assert {(w.start / 200, w.seconds) for w in windows.windows} == {(0, 12), (12, 4), (24, 4), (40, 12), (52, 12)}
    for step in range(20):
        for sample in windows.step(step):
            first = float(sample.source.partition("@")[2].removesuffix("s"))
            assert all(first + sample.seconds <= a or b <= first for a, b in spans)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("killed_after", [1, 3, 6])
def test_a_killed_stage_goes_on_to_the_same_weights(tmp_path, micro_run, stage, killed_after):
    """Killed before the first save, between saves, and after the last step but before the checkpoint."""
    folder = micro_run.copy(tmp_path / "run", without=(*later(stage), RESULTS))

    def kill(progress: TrainingProgress) -> None:
        if progress.step == killed_after:
            raise Killed

    with pytest.raises(Killed):
        TRAIN[stage](begin(micro_run, folder), texts=micro_run.texts, progress=kill)
    assert not (folder / stage / "config.json").exists()
    assert bool(states(folder / stage)) == (killed_after > 2)
    (folder / stage / f".state-000000009.pt.1{PARTIAL}").write_text("of a killed process")
    steps = []
    TRAIN[stage](begin(micro_run, folder), texts=micro_run.texts, progress=lambda p: steps.append(p.step))
    assert steps[0] == {1: 1, 3: 3, 6: 5}[killed_after]  # it goes on from the last save, steps 2 and 4
    whole, resumed = tree(micro_run.folder / stage), tree(folder / stage)
    assert resumed.keys() == whole.keys()
    assert all(resumed[n][0] == content for n, (content, _) in whole.items() if n != SPEED)  # it holds times


def test_a_finished_run_does_nothing_and_changes_no_file(tmp_path, micro_run):
    folder = micro_run.copy(tmp_path / "run")
    before = tree(folder)
    run = begin(micro_run, folder)
    for train in TRAIN.values():
        train(run, texts=micro_run.texts, progress=lambda p: pytest.fail(f"trained step {p.step}"))
    assert tree(folder) == before


def test_the_same_run_again_gives_the_same_bytes_and_another_seed_does_not(tmp_path, micro_run):
    folder = micro_run.copy(tmp_path / "run", without=("instruct", RESULTS))
    train_instruct(begin(micro_run, folder), texts=micro_run.texts)
    evaluate(folder / "instruct", micro_run.store, baselines=QUICK, out=folder / RESULTS)
    assert (folder / RESULTS).read_bytes() == (micro_run.folder / RESULTS).read_bytes()
    other = micro_run.copy(tmp_path / "other", without=("instruct", RESULTS, RUN))
    changed = replace(micro_run.config, instruct=replace(micro_run.config.instruct, seed=1))
    train_instruct(begin(micro_run, other, config=changed), texts=micro_run.texts)
    weights = "instruct/model.safetensors"
    assert (other / weights).read_bytes() != (micro_run.folder / weights).read_bytes()


def test_the_log_of_every_stage_has_each_step_once(micro_run):
    for stage in STAGES:
        rows = read_log(micro_run.folder / stage)
        assert [row["step"] for row in rows if row["kind"] == "training"] == list(range(6))
        assert [row["step"] for row in rows if row["kind"] == "validation"] == [3, 6]
        assert all(np.isfinite([v for v in row.values() if not isinstance(v, str)]).all() for row in rows)


def test_a_run_begun_otherwise_names_what_differs(tmp_path, micro_run, micro_config):
    folder = micro_run.copy(tmp_path / "run")
    before = tree(folder)
    changed = replace(micro_config, pretrain=replace(micro_config.pretrain, steps=7))
    with pytest.raises(ConfigError, match=r"another config \(config\.pretrain\.steps 6 then, 7 now\)"):
        begin(micro_run, folder, config=changed)
    with pytest.raises(ConfigError, match=r"another tasks"):
        begin(micro_run, folder, tasks=["workload"])
    assert tree(folder) == before


def test_a_fold_splits_instead_of_the_cards(tmp_path, micro_run):
    runs = [begin(micro_run, tmp_path / str(i), tasks=["workload"], fold=(i, 4)) for i in range(1, 5)]
    people = {s for part in ("train", "validation", "test") for s in getattr(runs[0].splits["workload"], part)}
    assert sorted(s for run in runs for s in run.splits["workload"].test) == sorted(people)
    assert all(run.splits["workload"] == run.tasks[0].split(run.store) for run in runs)  # the checkpoint's task knows
    (tmp_path / "1" / "language").mkdir()
    begin(micro_run, tmp_path / "1", tasks=["workload"], fold=(1, 4))
    with pytest.raises(ConfigError, match=r"another fold"):
        begin(micro_run, tmp_path / "1", tasks=["workload"], fold=(2, 4))


def test_a_run_on_another_store_is_refused(tmp_path, micro_run):
    folder = micro_run.copy(tmp_path / "run")
    rows = [json.loads(line) for line in (micro_run.store / "manifest.jsonl").read_text().splitlines()]
    other = tmp_path / "store"
    other.mkdir()
    (other / "shards").symlink_to(micro_run.store / "shards")
    rows[0]["subject"] = "s99"
    (other / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ConfigError, match="another store"):
        begin(micro_run, folder, store=other)


def test_settings_may_change_until_a_stage_has_started(tmp_path, micro_run, micro_config):
    """A first try that failed before any work must not bind the folder to its settings."""
    folder = tmp_path / "run"
    begin(micro_run, folder)
    changed = replace(micro_config, pretrain=replace(micro_config.pretrain, steps=7))
    assert begin(micro_run, folder, config=changed).config == changed
    (folder / "language").mkdir()
    with pytest.raises(ConfigError, match="7 then, 6 now"):
        begin(micro_run, folder)


def test_a_resumed_run_keeps_its_number_of_threads(tmp_path, micro_run):
    folder = micro_run.copy(tmp_path / "run")
    begun = json.loads((folder / RUN).read_text())
    threads = torch.get_num_threads()
    (folder / RUN).write_text(json.dumps(begun | {"threads": threads + 1}))
    try:
        begin(micro_run, folder)
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)


def test_nothing_is_written_where_the_arguments_are_wrong(tmp_path, micro_run, write_store):
    folder = tmp_path / "run"
    with pytest.raises(StoreError, match="no such store"):
        begin(micro_run, folder, store=tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="has labels of events, workload, not of sleep: "):
        begin(micro_run, folder, tasks=["sleep"])
    with pytest.raises(ConfigError, match="no such task card"):
        begin(micro_run, folder, tasks=["slep"])
    with pytest.raises(ConfigError, match="device='tpu': choose auto, cpu or cuda"):
        begin(micro_run, folder, device="tpu")
    unlabelled = write_store(
        tmp_path / "store", {"a": ("s", ("C3",), (), np.random.default_rng(0).normal(size=(900, 1)))}
    )
    with pytest.raises(ConfigError, match="has no labels, not of a task whose card ships"):
        begin(micro_run, folder, store=unlabelled)
    labels = [Label("workload", "Yes", 0, 4)]
    small = write_store(tmp_path / "small", {"a": ("s", ("C3",), labels, np.ones((900, 1)))})
    with pytest.raises(ConfigError, match="only 1"):
        begin(micro_run, folder, store=small)
    assert not folder.exists()


def test_a_file_is_no_run_folder(tmp_path, micro_run):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(StoreError, match=r"run: a file, not a folder; choose another --out"):
        begin(micro_run, tmp_path / "run")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_named():
    assert choose_device("auto").type == "cpu"
    with pytest.raises(ConfigError, match="'cuda': torch sees no CUDA device"):
        choose_device("cuda")


@pytest.mark.parametrize("stage", STAGES[1:])
def test_a_stage_says_which_stage_it_needs(tmp_path, micro_run, stage):
    before = STAGES[STAGES.index(stage) - 1]
    folder = micro_run.copy(tmp_path / "run", without=(*later(before), RESULTS))
    with pytest.raises(CheckpointError, match=before):
        TRAIN[stage](begin(micro_run, folder), texts=micro_run.texts)
    assert not (folder / stage).exists()


@pytest.mark.parametrize("stage", ["pretrain", "instruct"])
def test_a_checkpoint_of_another_recipe_is_refused(tmp_path, micro_run, micro_config, stage):
    """The previous stage's folder comes from a run of another size."""
    wider = replace(micro_config.model.tokenizer, codes=32)
    other = replace(micro_config, recipe="other", model=replace(micro_config.model, tokenizer=wider))
    run = begin(micro_run, tmp_path / "run", config=other)
    for earlier in STAGES[: STAGES.index(stage)]:
        shutil.copytree(micro_run.folder / earlier, run.folder / earlier)
    before = tree(run.folder)
    with pytest.raises(CheckpointError, match=r"of another recipe \(micro\); train it again"):
        TRAIN[stage](run, texts=micro_run.texts)
    assert tree(run.folder) == before


@pytest.mark.parametrize("stage", STAGES[1:])
@pytest.mark.parametrize(("wrong", "passes"), [(np.nan, 0), (np.nan, 2), (1e30, 0)])
def test_a_recording_whose_eeg_cannot_be_is_named_alone(tmp_path, micro_run, monkeypatch, stage, wrong, passes):
    """One recording's scale is damaged in memory; a store with such a scale is not even opened."""
    run = begin(micro_run, micro_run.copy(tmp_path / "run", without=(*later(stage), RESULTS)))
    changed = replace(run.config.stage(stage), samples_at_once=passes)
    run = replace(run, config=replace(run.config, **{stage: changed}))
    spoilt = next(i for i, row in enumerate(run.store.rows) if row.subject == "s03")
    real = Store.scale
    monkeypatch.setattr(Store, "scale", lambda store, index: real(store, index) * (wrong if index == spoilt else 1))
    with pytest.raises(TrainingStopped, match=rf"{stage}, step \d: the (loss|gradient norm) is (nan|inf)") as stopped:
        TRAIN[stage](run, texts=micro_run.texts)
    assert "Its EEG is not finite, or beyond 1 V, in " in str(stopped.value)
    named = {row.recording for row in run.store.rows if f"{row.recording}@" in str(stopped.value)}
    assert named == {run.store.rows[spoilt].recording}
    assert not (run.folder / stage / "model.safetensors").exists()


def relabelled(micro_store: Path, to: Path, changes: dict[str, str]) -> Path:
    """The micro store with other labels in some recordings."""
    store = Store(micro_store)
    rows = []
    for index, row in enumerate(store.rows):
        labels = tuple(replace(x, label=changes.get(f"{row.recording} {x.label}", x.label)) for x in row.labels)
        rows.append((replace(row, labels=labels, shard="", offset=0), store.read(index, 0, row.samples)))
    return write_rows(to, rows) or to


def test_labels_that_a_card_has_not_stop_the_first_stage_all_at_once(micro_run, tmp_path):
    wrong = {"workload-00 Yes": "Jes", "workload-04 Yes": "Jes", "workload-03 No": "Nope", "events-05 slowing": "slow"}
    store = relabelled(micro_run.store, tmp_path / "store", wrong)
    message = (
        r"workload-00 and 1 other recording: task workload has no label 'Jes': did you mean Yes\? Its labels are "
        r"Yes, No; nor 'Nope' \(workload-03\); correct the labels and prepare again"
    )
    with pytest.raises(ConfigError, match=message):
        begin(micro_run, tmp_path / "run", store=store, tasks=["workload"])
    with pytest.raises(ConfigError, match="events-05: task events has no label 'slow'"):
        begin(micro_run, tmp_path / "run", store=store)
    assert not (tmp_path / "run").exists()


def test_stages_that_read_no_labels_outlive_their_correction(micro_run, tmp_path):
    """What they are trained to is the same to the bit, and the last stage learns the corrected labels."""
    store = relabelled(micro_run.store, tmp_path / "store", {"workload-00 Yes": "No"})
    assert Store(store).fingerprint != Store(micro_run.store).fingerprint
    corrected = micro_run.copy(tmp_path / "corrected", without=["instruct", RESULTS])
    run = begin(micro_run, corrected, store=store)
    assert json.loads((corrected / RUN).read_text())["store"] == Store(store).fingerprint
    train_instruct(run, texts=micro_run.texts)
    other = begin(micro_run, tmp_path / "anew", store=store)
    for train in TRAIN.values():
        train(other, texts=micro_run.texts)
    for stage in STAGES:
        weights = [(folder / stage / "model.safetensors").read_bytes() for folder in (corrected, tmp_path / "anew")]
        assert weights[0] == weights[1], stage
    assert (corrected / "instruct/config.json").read_bytes() == (tmp_path / "anew/instruct/config.json").read_bytes()
    done = micro_run.copy(tmp_path / "done")
    with pytest.raises(ConfigError, match=r"another store .*only labels differ.*delete .*instruct to train that stage"):
        begin(micro_run, done, store=store)


def test_a_store_with_other_signals_or_people_is_not_taken_for_one_with_other_labels(micro_run, tmp_path):
    folder = micro_run.copy(tmp_path / "run", without=["instruct", RESULTS])
    store = Store(micro_run.store)
    for number, change in enumerate(({"subject": "s99"}, {"scale": (0.2, 0.2)}, {"channels": ("C3", "O2")})):
        rows = [(replace(row, shard="", offset=0), store.read(i, 0, row.samples)) for i, row in enumerate(store.rows)]
        place = next(i for i, (row, _) in enumerate(rows) if row.recording == "workload-00")
        rows[place] = (replace(rows[place][0], **change), rows[place][1])
        other = relabelled(micro_run.store, tmp_path / f"{number}", {})
        write_rows(other, rows)
        with pytest.raises(ConfigError, match=r"another store .*; give the same one, another --out, or delete"):
            begin(micro_run, folder, store=other)
