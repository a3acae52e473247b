"""Saved and published models are the same models, with a card that says what they learned from."""

import ast
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from markdown_it import MarkdownIt
from safetensors.torch import load_file

import neurolm
from neurolm.batches.loader import build_patches, sample_from
from neurolm.checkpoint import CONFIG, WEIGHTS, load_card, trained_on
from neurolm.core.errors import CheckpointError
from neurolm.evaluation.results import RESULTS, load_evaluation
from neurolm.hub.model_card import model_card
from neurolm.hub.publish import save
from neurolm.store.store import Store
from neurolm.tasks.card import load_task

FILES = sorted([*["README.md", CONFIG, RESULTS, WEIGHTS, "tokenizer.json"], "calibration.json", "training_range.json"])


@pytest.fixture(scope="module")
def model(micro_run):
    return neurolm.load(micro_run.folder, device="cpu")


def assert_same_model(ours, other) -> None:
    assert ours.card == other.card
    before, after = ours.module.state_dict(), other.module.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[k], after[k]) for k in before)
    signal = np.random.default_rng(0).standard_normal((800, 2)) * 20
    patches = build_patches([sample_from(signal, [3, 9])])[0]
    with torch.no_grad():
        assert torch.equal(ours.module.features(patches), other.module.features(patches))
    assert ours.text.encode("Question: µV?") == other.text.encode("Question: µV?")


def test_what_is_saved_comes_back_the_same(model, tmp_path) -> None:
    folder = model.save_pretrained(tmp_path / "saved")
    assert sorted(f.name for f in folder.iterdir()) == FILES
    assert_same_model(model, neurolm.from_pretrained(str(folder), device="cpu"))
    again = neurolm.load(folder).save_pretrained(tmp_path / "again")
    assert all((again / name).read_bytes() == (folder / name).read_bytes() for name in FILES)


def test_a_model_without_decoders_is_saved_with_them_and_with_what_was_changed(micro_run, tmp_path) -> None:
    lean = neurolm.load(micro_run.folder, device="cpu")
    with torch.no_grad():
        lean.module.head.weight += 1
    saved = load_file(lean.save_pretrained(tmp_path / "saved") / WEIGHTS)
    before = load_file(micro_run.folder / "instruct" / WEIGHTS)
    assert saved.keys() == before.keys() > lean.module.state_dict().keys()
    assert [name for name in before if not torch.equal(saved[name], before[name])] == ["head.weight"]


def test_the_card_says_what_the_run_was(model, micro_run, tmp_path) -> None:
    text = (model.save_pretrained(tmp_path / "saved") / "README.md").read_text()
    evaluation = load_evaluation(micro_run.folder / RESULTS)
    for result in evaluation.results:
        assert (
            f"| {result.task} | {result.subjects} | {result.scores.n} | {result.scores.balanced_accuracy:.3f}" in text
        )
    for words in (
        "# NeuroLM, recipe micro",
        "| workload | Is this EEG segment of high workload? | Yes, No | 4 s |",
        "Corpora: micro",
        "Licences of the data: free",
        "Electrodes: C3, C4, CZ, FZ, O1, PZ, T3",
        "Pass band: 0.1 to 75 Hz",
        f"People it was trained on: {len(model.card.subjects)}",
        "- instruct: 6 steps, 6 EEG and 2 text samples a step, learning rate 0.003 to 0.001, seed 0",
        "Split of events: subjects in order, 60% to train",
        "no medical device",
    ):
        assert words in text, words
    assert text.startswith("---\n") and text.count("\n---\n") == 1
    assert all(f"- {task.name}" not in text for task in model.card.tasks)


def test_what_is_published_names_no_answer_of_a_person(model, tmp_path) -> None:
    folder = model.save_pretrained(tmp_path / "saved")
    results = json.loads((folder / RESULTS).read_text())["results"]
    assert results and not any(result["predictions"]["subjects"] for result in results)
    assert "s09" not in (folder / RESULTS).read_text() and "s09" not in (folder / "README.md").read_text()


def test_what_is_published_has_nobodys_id(model, micro_run, tmp_path) -> None:
    """Of an older checkpoint too, which has them in clear; with the store's key they are told, without it not."""
    saved = model.save_pretrained(tmp_path / "new")
    ids = sorted({row.subject for row in Store(micro_run.store).rows})
    older = replace(model.card, subjects=("s00", "s01", "s02", "s03", "s04", "s20"), people="")
    again = save(tmp_path / "old", model._whole(), older, model.text, beside=model.folder)
    lost = save(tmp_path / "lost", model._whole(), older, model.text)
    for folder in (saved, again, lost):
        files = [
            path for path in folder.rglob("*") if path.suffix in (".json", ".md") and path.name != "tokenizer.json"
        ]
        assert files and not any(f'"{one}"' in path.read_text() for path in files for one in ids)
    key = [Store(micro_run.store).fingerprint]
    assert trained_on(load_card(saved), ids, key) == trained_on(load_card(again), ids, key) == set(older.subjects)
    assert trained_on(load_card(lost), ids, key) is None and trained_on(load_card(saved), ids, ["0" * 64]) is None
    assert key[0] not in (saved / "config.json").read_text()


def test_no_figures_of_another_model(model, micro_run, tmp_path) -> None:
    """Without an evaluation, or with one of another seed, the card has none."""
    run = micro_run.copy(tmp_path / "run")
    (run / RESULTS).unlink()
    plain = neurolm.load(run).save_pretrained(tmp_path / "plain")
    assert not (plain / RESULTS).exists() and "## Figures" not in (plain / "README.md").read_text()
    evaluation = json.loads((micro_run.folder / RESULTS).read_text())
    (run / RESULTS).write_text(json.dumps(evaluation | {"seed": 5}))
    assert "## Figures" not in (neurolm.load(run).save_pretrained(tmp_path / "other") / "README.md").read_text()


def test_cards_of_the_official_tasks(micro_run) -> None:
    """Fields that nobody knows say so; splits of all kinds are told."""
    card = replace(load_card(micro_run.folder / "pretrain"), corpora=(), licences=(), subjects=(), electrodes=())
    text = model_card(replace(card, tasks=(load_task("tuab"), load_task("hmc"))))
    assert text.count("not recorded") == 4
    assert "subjects in order, 100 to train, 25 to validate, 26 to test" in text
    assert f"- Split of tuab: {load_task('tuab').split_rule}" in text
    converted = model_card(card, converted_from=("VQ.pt", "NeuroLM-B.pt"))
    assert "not instruction-tuned" in converted and "TUEG" in converted and "## Use" not in converted


def test_nothing_in_a_card_is_taken_for_markdown_html_or_code(micro_run) -> None:
    """Names, licences and questions of a store or a task card are anybody's text."""
    plain = load_card(micro_run.folder / "instruct")
    evil = "<img src=x>\n# Title\n| a | [b](javascript:c) `d` \x1b[2J"
    tasks = tuple(replace(task, name=evil, question=f'"); import os  # {evil}\n```', citation=evil, licence=evil,
                          options=tuple(replace(o, text=evil) for o in task.options), split_rule=evil)
                  for task in plain.tasks)  # fmt: skip
    card = replace(plain, corpora=(evil,), licences=(evil,), electrodes=(evil,), tasks=tasks,
                   run=replace(plain.run, recipe=evil), version=evil)  # fmt: skip
    told = load_evaluation(micro_run.folder / RESULTS)
    evaluation = replace(told, split=evil, results=tuple(replace(r, task=evil) for r in told.results))
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    blocks, harmless = (
        reader.parse(model_card(card, evaluation=evaluation, reading=[evil])),
        reader.parse(model_card(plain, evaluation=told, reading=["as trained"])),
    )
    assert [block.type for block in blocks] == [block.type for block in harmless]
    inside = [token for block in blocks for token in block.children or ()]
    assert {token.type for token in inside} <= {
        "text",
        "text_special",
        "softbreak",
        "code_inline",
        "link_open",
        "link_close",
        "em_open",
        "em_close",
    }
    assert [token.attrs["href"] for token in inside if token.type == "link_open"] == [
        "https://arxiv.org/abs/2409.00101"
    ]
    shown = ["".join(token.content for token in block.children or ()) for block in blocks]
    said = evil.replace("\n", " ").replace("\x1b", "�")
    assert sum(text.count(said) for text in shown) > 10 and not any("\x1b" in text for text in shown)
    (code,) = (block.content for block in blocks if block.type == "fence")
    (call,) = (
        node
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "model.ask"
    )
    assert ast.literal_eval(call.args[1]) == tasks[0].question


class Hub:
    """A hub of folders."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.private = folder, {}

    def create_repo(self, repository, *, private, exist_ok):
        assert exist_ok
        self.private[repository] = private

    def upload_folder(self, *, repo_id, folder_path, commit_message):
        shutil.copytree(folder_path, self.folder / repo_id)
        return f"https://hub/{repo_id}"

    def snapshot_download(self, repository, *, revision, allow_patterns):
        assert revision is None
        assert not any(pattern.endswith((".bin", ".pt", "*")) for pattern in allow_patterns)
        if not (self.folder / repository).is_dir():
            raise ConnectionError("404 not found\nmore")
        return str(self.folder / repository)


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Hub:
    hub = Hub(tmp_path / "hub")
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    monkeypatch.setattr("huggingface_hub.snapshot_download", hub.snapshot_download)
    return hub


def test_to_the_hub_and_back(model, hub) -> None:
    assert model.push_to_hub("lab/eeg-model") == "https://hub/lab/eeg-model"
    model.push_to_hub("lab/open", private=False)
    assert hub.private == {"lab/eeg-model": True, "lab/open": False}
    assert sorted(f.name for f in (hub.folder / "lab" / "eeg-model").iterdir()) == FILES
    assert_same_model(model, neurolm.from_pretrained("lab/eeg-model", device="cpu"))


def test_evidence_goes_to_the_hub_and_back(evidence_run, hub) -> None:
    ours = neurolm.load(evidence_run, device="cpu")
    ours.push_to_hub("lab/evidence")
    folder = hub.folder / "lab" / "evidence"
    assert sorted(f.name for f in folder.iterdir()) == sorted([*FILES, "evidence.json", "evidence.safetensors"])
    card = (folder / "README.md").read_text()
    for task, (known, _) in ours.evidence.tasks.items():
        line = (
            f"- Task {task}: evidence of {', '.join(known.electrodes)}, beside {known.weight:.2f} × the language model"
        )
        assert line in card
    other = neurolm.from_pretrained("lab/evidence", device="cpu")
    assert [known for known, _ in other.evidence.tasks.values()] == [known for known, _ in ours.evidence.tasks.values()]


def test_what_the_hub_does_not_take_or_give(model, hub, tmp_path, monkeypatch) -> None:
    with pytest.raises(CheckpointError, match="not an id on the Hugging Face hub; give organisation/name"):
        model.push_to_hub("my model")
    with pytest.raises(CheckpointError, match=r"lab/none: no such folder.*\(ConnectionError: 404 not found\); check"):
        neurolm.load("lab/none")

    def refuse(*_, **__):
        raise PermissionError("403")

    monkeypatch.setattr(Hub, "create_repo", refuse)
    with pytest.raises(
        CheckpointError, match=r"a/b: the Hugging Face hub did not take it \(PermissionError: 403\); log"
    ):
        model.push_to_hub("a/b")


def test_a_misspelt_folder_is_not_looked_for_on_the_hub(tmp_path, monkeypatch) -> None:
    def unexpected(*_, **__):
        raise AssertionError("asked the hub")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unexpected)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for name in ("runs/demoo", str(tmp_path / "nowhere"), "./a/b", "nowhere", "../a"):
        with pytest.raises(CheckpointError, match="no such folder; give the folder of a run"):
            neurolm.load(name)


def test_a_file_is_no_folder(model, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="a file, not a folder"):
        model.save_pretrained(tmp_path / "file")
