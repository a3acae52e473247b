"""benchmarks/evidence_token.py: what a token holds, who is left out, and how answers are put together."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from neurolm.ask.evidence import Evidence
from neurolm.ask.prompt import likelihoods
from neurolm.checkpoint import load_neurolm
from neurolm.train.evidence import fit_evidence
from neurolm.train.run import open_run

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(FOLDER))
    try:
        import evidence_token

        yield evidence_token
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def read_by(script):
    from reading import token

    return token


@pytest.fixture(scope="module")
def run(micro_run, micro_config, tmp_path_factory):
    folder = micro_run.copy(tmp_path_factory.mktemp("token") / "run")
    return open_run(folder, config=micro_config, store=micro_run.store, device="cpu")


@pytest.fixture(scope="module")
def told(read_by, run):
    return read_by.material(run)


def test_training_windows_hold_what_others_say_and_test_windows_what_the_readout_says(run, told):
    for task in run.tasks:
        train = told[task.name, "train"]
        people = [window.subject for window in train.windows]
        known, readout = fit_evidence(task, train.samples, train.labels, people)
        beside = Evidence(tasks={task.name: (known, readout)}).of(task.name, task.labels)
        for part in ("train", "validation", "test"):
            found = told[task.name, part]
            whole = beside.scores(found.samples)[0]
            own = found.held[:, found.own]
            np.testing.assert_allclose(own.sum(axis=1), 0, atol=1e-4)  # centred
            same = np.allclose(own, whole - whole.mean(axis=1, keepdims=True), atol=1e-4)
            assert same == (part != "train")


def test_every_window_has_a_row_of_its_own(read_by, told):
    own, every = (read_by.table(told, all_tasks=choice).numpy() for choice in (False, True))
    assert own.shape == every.shape == (sum(len(part.windows) for part in told.values()), 5)
    for part in told.values():
        rows = slice(part.first, part.first + len(part.windows))
        np.testing.assert_array_equal(every[rows], part.held)
        np.testing.assert_array_equal(own[rows][:, part.own], part.held[:, part.own])
        assert not own[rows][:, ~part.own].any()


@pytest.fixture
def reader(read_by, run, told):
    module = load_neurolm(run.folder / "instruct", stage="instruct")[0]
    found = read_by.EvidenceReader(run.config.model, read_by.table(told, all_tasks=True))
    found.load_state_dict(module.state_dict(), strict=False)
    return found.eval()


def test_a_token_without_weights_is_one_more_separator(read_by, run, told, reader):
    module, _, text = load_neurolm(run.folder / "instruct", stage="instruct")
    torch.nn.init.zeros_(reader.evidence.weight)
    for task in run.tasks:
        prompt, part = read_by.asked(task, run, text), told[task.name, "test"]
        twice = read_by.holding(prompt, run.config.model.vocabulary.separator)
        wanted = likelihoods(module, twice, part.samples, device=CPU)
        np.testing.assert_allclose(read_by.read(reader, prompt, part), wanted, atol=1e-5)


def test_a_window_is_answered_by_its_own_token_alone(read_by, run, told, reader):
    text = load_neurolm(run.folder / "instruct", stage="instruct")[2]
    with torch.no_grad():
        reader.evidence.weight.copy_(torch.randn(16, 5, generator=torch.Generator().manual_seed(0)))
    prompt, part = read_by.asked(run.tasks[0], run, text), told[run.tasks[0].name, "test"]
    before = read_by.read(reader, prompt, part)
    alone = np.concatenate([read_by.read(reader, prompt, part, [place]) for place in range(len(before))])
    np.testing.assert_allclose(alone, before, atol=1e-5)
    reader.held[part.first + 1] *= -1
    changed = np.abs(read_by.read(reader, prompt, part) - before).max(axis=1) > 1e-4
    assert changed.tolist() == [place == 1 for place in range(len(before))]


def test_training_prompts_hold_the_token_of_the_window_that_is_read(read_by, run, told, reader, micro_texts):
    text = load_neurolm(run.folder / "instruct", stage="instruct")[2]
    stage = read_by.TokenStage(run, reader, text, read_by.token_stream(text, micro_texts), told)
    size = run.config.model.vocabulary.size
    for step in range(4):
        for sample, prompt, answer in stage._answered(step):
            row = prompt.question[0] - size
            part = next(p for p in told.values() if p.first <= row < p.first + len(p.windows))
            window = part.windows[row - part.first]
            assert sample.source.startswith(run.store.rows[window.recording].recording + "@")
            assert part.labels[row - part.first] == answer
            assert any(part is told[task.name, "train"] for task in run.tasks)


@pytest.fixture
def answers(script):
    """Two people who validate and one who tests; the language model knows nothing, the evidence nearly all."""
    rng = np.random.default_rng(0)

    def part(people):
        labels = np.tile([0, 1], 20)
        sure = np.where(np.eye(2)[labels] > 0, 1.0, -1.0) + 0.5 * rng.standard_normal((40, 2))
        scores = {"language model": rng.standard_normal((40, 2)), "evidence": sure, "token": 2 * sure}
        names = np.repeat(people, 40 // len(people))
        return script.Part("workload", labels, names, np.char.add(names, labels.astype(str)), scores)

    return script.Answers(seed=0, validation=[part(["A", "B"])], test=[part(["C"])], others=[])


def test_the_product_is_the_weighted_likelihood_and_the_evidence(script, answers):
    scores, known = answers.test[0].scores, answers.validation[0]
    found = script.combined(scores, script.PRODUCT, known)
    weight = script.weight(known, script.LANGUAGE)
    assert 0 <= weight < 0.5  # it knows nothing, and the prior holds it near a half
    np.testing.assert_allclose(found, weight * scores["language model"] + scores["evidence"])
    assert script.combined(scores, script.OWN, known) is scores["token"]


def test_a_person_is_scored_by_what_is_fitted_on_others(script, answers):
    before = script.likelihood_by_person(answers, "workload", script.PRODUCT)
    answers.validation[0].labels[:20] = 1 - answers.validation[0].labels[:20]  # all of A's answers are wrong now
    after = script.likelihood_by_person(answers, "workload", script.PRODUCT)
    assert after["A"] < before["A"] - 0.5
    alone = answers.validation[0].only(answers.validation[0].people == "B")
    heat = alone.temperature(script.combined(alone.scores, script.PRODUCT, alone))
    own = answers.validation[0].only(answers.validation[0].people == "A")
    given = script.softmax(script.combined(own.scores, script.PRODUCT, alone) / heat, axis=1)
    assert after["A"] == pytest.approx(np.log(given[np.arange(20), own.labels]).mean())


@pytest.mark.parametrize(("factor", "kept"), [(3.0, "token"), (-1.0, "product")])
def test_the_decision_is_by_validation_people(script, answers, factor, kept):
    part = answers.validation[0]
    part.scores["token"] = factor * np.where(np.eye(2)[part.labels] > 0, 1.0, -1.0)
    last = list(script.decision([answers], ["workload"]))[-1]
    won = int(kept == "token")
    assert last == f"The token is better by more than its spread on {won} of 1 tasks: the {kept} is kept."


def test_a_seed_with_folds_missing_is_left_out_of_the_test_table(script, answers):
    first = script.Part("workload", *(getattr(answers.test[0], n) for n in ("labels", "people", "stretches", "scores")))
    other = script.Part("workload", first.labels, np.array(["D"] * 40), first.stretches, first.scores)
    runs = [
        script.Answers(seed=seed, validation=answers.validation, test=[test], others=[])
        for seed, test in ((0, first), (0, other), (1, first))
    ]
    rows = list(script.tested(runs, ["workload"]))[2:]
    assert [row.split(" | ")[1:4] for row in rows] == [
        ["1", "2", arm] for arm in ("language model", "evidence", "product", "token", "token and product")
    ]
    observed = [float(row.split(" | ")[4]) for row in rows]
    assert float(rows[0].split(" | ")[7].split()[0]) == pytest.approx(observed[0] - observed[2], abs=2e-3)


def test_the_product_speaks_to_other_words_and_not_to_options_of_ones_own(script, answers):
    part = answers.test[0]
    words = {"task": "workload", "question": "?", "labels": part.labels.tolist(), "scores": part.scores}
    found = script.asked_otherwise(words, answers.known("workload"))
    assert found["product"] == pytest.approx(found["evidence"], abs=0.1) and found["product"] > found["language model"]
    free = words | {"options": ["yes", "no"], "scores": {k: v for k, v in part.scores.items() if k != "evidence"}}
    assert set(script.asked_otherwise(free, answers.known("workload"))) == {"language model", "token"}
    runs = [script.Answers(seed=0, validation=answers.validation, test=answers.test, others=[words, free])]
    gain = script.asked_otherwise(free, answers.known("workload"))
    said = f"AUROC {gain['token'][1] - gain['language model'][1]:+.3f} beside"
    assert said in list(script.in_other_words(runs, ["workload"]))[-1]
