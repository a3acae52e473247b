"""Evidence from what single users have: one person, one electrode, people with other electrodes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from neurolm.ask.evidence import Beside, Evidence
from neurolm.ask.explanation import occlude
from neurolm.ask.prompt import Prompt, likelihoods
from neurolm.batches.loader import Sample, sample_from
from neurolm.checkpoint import load_neurolm
from neurolm.core.montage import channel_id
from neurolm.store.manifest import Label
from neurolm.store.store import Store
from neurolm.train.calibrate import StoredSamples, classes_of, task_evidence
from neurolm.train.evidence import fit_evidence, fit_features
from neurolm.train.run import Run

ELECTRODES = tuple(map(channel_id, ("FP1", "FP2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2")))


@pytest.fixture(scope="module")
def task(micro_run):
    """A task of two labels."""
    card = load_neurolm(micro_run.folder / "instruct", stage="instruct", decoders=False)[1]
    return next(task for task in card.tasks if len(task.labels) == 2)


def eeg(rng, label: int, electrodes, *, gain: float = 1.0) -> Sample:
    """Two seconds of noise; the second label has ten hertz at the back of the head."""
    signal = 5 * rng.standard_normal((400, len(electrodes)))
    back = np.isin(electrodes, ELECTRODES[-4:])
    wave = np.sin(2 * np.pi * (10 * np.arange(400)[:, None] / 200 + rng.random()))
    return sample_from(gain * (signal + (label == 1) * 4 * back * wave), np.array(electrodes))


def people(montages, *, windows: int = 12, informative: bool = True, seed: int = 0, label_of=None):
    """Windows, labels and people, each with their electrodes."""
    rng = np.random.default_rng(seed)
    samples, labels, who = [], [], []
    for person, montage in enumerate(montages):
        for number in range(windows):
            label = number % 2 if label_of is None else label_of(person)
            samples.append(eeg(rng, label if informative else 0, montage))
            labels.append(label)
            who.append(f"p{person:02}")
    return samples, np.array(labels), who


def beside(fitted: tuple) -> Beside:
    known, readout = fitted
    return Beside(weight=0.5, electrodes=tuple(map(channel_id, known.electrodes)), readout=readout)


def right(said: Beside, samples, labels) -> float:
    scores, known = said.scores(samples)
    assert known.all()
    return float((scores.argmax(axis=1) == labels).mean())


def test_people_with_other_electrodes_learn_from_each_other(task) -> None:
    """Ten electrodes, eight of them, three; and one at the front that a single person has."""
    own = channel_id("FPZ")
    some = [ELECTRODES, ELECTRODES[2:], ELECTRODES[-3:], (*ELECTRODES[-2:], own)] * 3
    some = [montage if number == 3 else tuple(e for e in montage if e != own) for number, montage in enumerate(some)]
    fitted = fit_evidence(task, *people(some))
    assert len(fitted[0].electrodes) == len(ELECTRODES) and "FPZ" not in fitted[0].electrodes
    said = beside(fitted)
    for montage in (ELECTRODES, ELECTRODES[2:], ELECTRODES[-3:], ELECTRODES[-2:]):
        assert right(said, *people([montage] * 4, seed=1)[:2]) > 0.85
    scores, _ = said.scores(people([ELECTRODES[:2]], seed=1)[0])  # electrodes that show nothing
    assert np.abs(scores[:, 1] - scores[:, 0]).max() < 1


def test_pairs_of_electrodes_that_one_person_has_are_not_used() -> None:
    rng = np.random.default_rng(0)
    labels, groups = np.arange(60) % 2, np.arange(60) // 20
    features = rng.normal(size=(60, 21))  # two electrodes and their pair
    features[groups > 0, 14:] = np.nan
    features[:, 14:] += 100 * labels[:, None]  # a wonder of the one person
    found, readout = fit_features(features, labels, groups, electrodes=2, classes=2)
    assert (readout.weights[14:] == 0).all() and (readout.weights[:14] != 0).all()
    without = fit_features(np.where(np.arange(21) < 14, features, np.nan), labels, groups, electrodes=2, classes=2)[0]
    np.testing.assert_allclose(found.left_out, without.left_out)


def test_which_electrodes_somebody_has_is_no_evidence_of_the_label(task) -> None:
    """Patients have ten electrodes and controls eight, and their EEG is the same: nothing is learned."""
    montages = [ELECTRODES, ELECTRODES[:8]] * 8
    samples, labels, who = people(montages, informative=False, label_of=lambda person: person % 2)
    known, readout = fit_evidence(task, samples, labels, who)
    assert known.likelihood == pytest.approx(-np.log(2), abs=0.03)
    scores, _ = beside((known, readout)).scores(samples)
    assert np.abs(scores[:, 1] - scores[:, 0]).mean() < 0.1


def test_one_electrode_is_enough_to_fit_and_to_be_asked_about(task) -> None:
    o1, f3 = channel_id("O1"), channel_id("F3")
    alone = beside(fit_evidence(task, *people([(o1,)] * 8)))
    samples, labels, _ = people([(o1,)] * 4, seed=1)
    assert right(alone, samples, labels) > 0.85
    among = beside(fit_evidence(task, *people([ELECTRODES] * 8)))
    assert right(among, samples, labels) > 0.85  # fitted with ten, asked about one
    front, _ = among.scores(people([(f3,)], seed=1)[0])
    back, _ = among.scores(samples)
    assert np.abs(np.diff(front)).mean() < np.abs(np.diff(back)).mean() / 2


def test_what_is_explained_is_what_the_evidence_rests_on(micro_run, task) -> None:
    """Windows of people with other electrodes, each explained by its own."""
    module, card, text = load_neurolm(micro_run.folder / "instruct", stage="instruct", decoders=False)
    evidence = Evidence(tasks={task.name: fit_evidence(task, *people([ELECTRODES, ELECTRODES[2:]] * 4))})
    prompt = Prompt.of(task, text, card.run.model.vocabulary.separator, evidence)
    option = task.labels.index(evidence.tasks[task.name][0].labels[1])
    for montage in (ELECTRODES, ELECTRODES[4:]):
        samples = [sample for sample, label in zip(*people([montage], seed=1)[:2], strict=True) if label == 1]
        found = occlude(module, prompt, samples, option=option, device=torch.device("cpu"))
        alone = occlude(module, prompt.alone, samples, option=option, device=torch.device("cpu"))
        by_evidence = (found.electrodes - 0.5 * alone.electrodes).mean(axis=0)
        assert by_evidence[-4:].min() > np.abs(by_evidence[:-4]).max()
        assert likelihoods(module, prompt, samples, device=torch.device("cpu")).argmax(axis=1).tolist() == [option] * 6


def person_store(folder, write_store, rhythm, *, recordings: int):
    """One person's trials, in one recording or several; each says its part of the split."""
    rows = {}
    for number in range(recordings):
        labels, parts = [], []
        for trial in range(24 // recordings):
            name = ("No", "Yes")[trial % 2]
            part = ("train", "train", "validation", "test")[trial // 2 % 4]
            labels.append(Label("workload", name, 4.0 * trial, 4.0 * trial + 4, split=part))
            parts.append(rhythm(name, 4, 2, (number, trial)))
        rows[f"r{number}"] = ("me", ("C3", "O1"), labels, np.concatenate(parts))
    return write_store(folder, rows)


@pytest.mark.parametrize(("recordings", "left_out"), [(1, "stretches"), (3, "recordings")])
def test_one_persons_data_give_evidence_and_say_what_was_left_out(
    tmp_path, write_store, rhythm, micro_run, task, recordings, left_out
) -> None:
    store = Store(person_store(tmp_path / "store", write_store, rhythm, recordings=recordings))
    card = load_neurolm(micro_run.folder / "instruct", stage="instruct", decoders=False)[1]
    mine = replace(
        task, seconds=2, stride=1, split_counts=None, split_fractions=None, split_rule="as the labels say",
        split_by_trial=True,
    )  # fmt: skip
    run = Run(folder=tmp_path, config=card.run, store=store, tasks=(mine,), splits={mine.name: mine.split(store)},
              device=torch.device("cpu"))  # fmt: skip
    evidence = task_evidence(run, [mine])
    known, _ = evidence.tasks[mine.name]
    assert (known.left_out, known.subjects, known.windows) == (left_out, 1, 36)
    evidence.save(tmp_path)
    assert Evidence.load(tmp_path).tasks[mine.name][0] == known
    windows = run.labelled_windows(mine, "validation")
    scores, _ = evidence.of(mine.name, mine.labels).scores(StoredSamples(store, windows))
    assert (scores.argmax(axis=1) == classes_of(mine, windows)).mean() > 0.9
    odds = np.abs(np.diff(scores))
    assert np.median(odds) < np.log(2 * known.groups + 1) + 1  # few parts, all told apart, make nobody certain
