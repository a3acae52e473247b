"""Task cards: the six of the paper against the official prompts, and every way in which a card can be wrong."""

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from neurolm.core.config import to_json
from neurolm.core.decode import decode
from neurolm.core.errors import ConfigError
from neurolm.corpora import (
    LAYOUTS,
    bcic_iv_1,
    eegmat,
    eegmmidb,
    hmc,
    inria,
    seed,
    siena,
    sleep_edf,
    spis,
    tuab,
    tuev,
    tusl,
)
from neurolm.official.verify.text import LABEL_NUMBERS
from neurolm.store.store import Label
from neurolm.tasks.card import all_tasks, load_task
from neurolm.tasks.task import Task, find_questions

CARD = """
name = "mine"
description = "Eyes open or closed."
question = "Are the eyes closed?"
seconds = 4
stride = 2.5
metrics = ["balanced_accuracy", "auroc"]
licence = "CC0"
citation = "nobody"

[split]
counts = [6, 2, 2]

[[options]]
text = "Yes"
label = "closed"

[[options]]
text = "No"
label = "open"
"""


def card(tmp_path: Path, old: str = "", new: str = "") -> Path:
    assert old in CARD
    path = tmp_path / "mine.toml"
    path.write_text(CARD.replace(old, new) if old else CARD)
    return path


@pytest.mark.parametrize("name", LABEL_NUMBERS)
def test_text_is_the_official_text(name: str, shared: Path) -> None:
    official = json.loads((shared / "official" / "prompts.json").read_text())[name]
    task = load_task(name.lower())
    assert task.prompt == official["prompt"]
    assert len(official["label_texts"]) == len(task.options)
    for label, number in zip(task.labels, LABEL_NUMBERS[name], strict=True):
        assert task.prompt + task.answers[task.index(label)] == official["label_texts"][number]


def test_simulated_tasks_have_the_labels_of_the_simulator() -> None:
    tasks = all_tasks()
    assert tasks["sleep"].labels == ("Wake", "NREM-1", "NREM-2", "NREM-3", "REM")
    assert tasks["events"].labels == ("background", "epileptiform", "slowing")
    assert tasks["workload"].labels == ("Yes", "No")
    assert tasks["events"].prompt == (
        "Question: Which type does this EEG segment belong to? "
        "Options: (A) background. (B) epileptiform. (C) slowing. Answer: ("
    )
    assert [(t.seconds, t.stride) for t in (tasks["sleep"], tasks["events"], tasks["workload"])] == [
        (30, 30), (10, 10), (4, 2),
    ]  # fmt: skip


def test_card_names_are_file_names_and_two_options_start_with_yes() -> None:
    for name, task in all_tasks().items():
        assert task.name == name
        if len(task.options) == 2:
            assert task.options[0].text == "Yes", "the first of two options is the positive class"


def test_questions_are_found_whatever_their_spelling() -> None:
    tasks = all_tasks()
    found = find_questions("  is this EEG\n segment of HIGH workload ", tasks.values())
    assert [task.name for task in found] == ["eegmat", "workload"]
    assert [t.name for t in find_questions("Which sleep type does this EEG segment belong to?!", [tasks["hmc"]])] == [
        "hmc"
    ]
    assert find_questions("Is this EEG segment of low workload?", tasks.values()) == []


def test_own_card_is_loaded_by_its_path(tmp_path: Path) -> None:
    task = load_task(card(tmp_path))
    assert task.labels == ("closed", "open")
    assert task.prompt + task.answers[task.index("open")] == "Question: Are the eyes closed? Answer: No <|endoftext|>"
    assert (task.index("closed"), task.index("open"), task.stride) == (0, 1, 2.5)
    with pytest.raises(ConfigError, match="no label 'shut': its labels are closed, open"):
        task.index("shut")


def store_of(subjects: Sequence[str], task: str) -> Any:
    """What a split needs to see of a store."""
    rows = [SimpleNamespace(recording=s, subject=s, labels=(Label(task, "x", 0, 1),)) for s in subjects]
    return SimpleNamespace(path="store", rows=rows, outlines=rows)


def test_split_follows_the_card_and_the_order_of_subjects(tmp_path: Path) -> None:
    split = load_task(card(tmp_path)).split(store_of([f"mine/{n:02d}" for n in reversed(range(10))], "mine"))
    assert split.train == tuple(f"mine/{n:02d}" for n in range(6))
    assert (split.validation, split.test) == (("mine/06", "mine/07"), ("mine/08", "mine/09"))
    parts = load_task("events").split(store_of([f"{n:02d}" for n in range(24)], "events"))
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (14, 4, 6)


def test_cards_say_where_the_data_set_names_its_test_set(tmp_path: Path) -> None:
    tasks = all_tasks()
    ruled = {name: task for name, task in tasks.items() if task.split_rule is not None}
    assert {name: (t.split_fractions, t.split_by_trial) for name, t in ruled.items()} == {
        "tuab": ((0.8, 0.2, 0.0), False),
        "tuev": ((0.8, 0.2, 0.0), False),
        "seed": (None, True),
    }
    for task in ruled.values():
        with pytest.raises(ConfigError, match=rf"task {task.name}"):
            task.split(store_of(["a", "b", "c"], task.name))
    own = load_task(card(tmp_path, "counts = [6, 2, 2]", 'rule = "as published"\nfractions = [0.75, 0.25]'))
    assert (own.split_rule, own.split_fractions) == ("as published", (0.75, 0.25, 0.0))
    assert decode(Task, to_json(own)) == own


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'name = "mine"',
            'nmae = "mine"',
            r"unknown field nmae, did you mean name\? Known: name, description, question",
        ),
        ('licence = "CC0"\n', "", r"mine\.toml: lacks licence: add it"),
        ('name = "mine"', "name = 3", r"name: expected text, found 3"),
        ("Are the eyes closed?", " ", r"question must be text in quotes"),
        ("Are the eyes closed?", "Now? <|endoftext|>", r"question must be one line without"),
        ("seconds = 4", "seconds = 2.5", r"seconds: expected a whole number, found 2\.5"),
        ("seconds = 4", "seconds = 0", r"seconds must be a positive whole number of seconds, not 0"),
        ("stride = 2.5", "stride = 0", r"stride must be a positive number of seconds, not 0"),
        ("stride = 2.5", "stride = nan", r"stride: expected a finite number, found NaN"),
        (
            '"auroc"',
            '"accuracy"',
            "no metric 'accuracy' for 2 options: did you mean balanced_accuracy",
        ),
        ("counts = [6, 2, 2]", "counts = [6, 2]", r"split\.counts must be three positive numbers"),
        ("counts = [6, 2, 2]", "fractions = [0.6, 0.2, 0.3]", r"must sum to 1, not 1\.1"),
        ("counts = [6, 2, 2]", "", r"split: give one of counts, fractions, rule"),
        ("counts = [6, 2, 2]", "count = [6, 2, 2]", r"split: unknown field count, did you mean counts"),
        ("counts = [6, 2, 2]", 'counts = [6, 2, 2]\nunit = "trial"', r"counts or fractions alone, or a rule"),
        ("counts = [6, 2, 2]", "counts = [6, 2, 2]\nfractions = [0.6, 0.2, 0.2]", r"counts or fractions alone"),
        ("counts = [6, 2, 2]", 'counts = [6, 2, 2]\nrule = "x"', r"a rule may have fractions for train and validation"),
        ("counts = [6, 2, 2]", 'rule = "x"\nfractions = [0.8, 0.2]\nunit = "trial"', r"not fractions of .*'trial'"),
        (
            "counts = [6, 2, 2]",
            'rule = "x"\nfractions = [0.6, 0.2, 0.2]',
            r"two positive numbers \(train, validation\)",
        ),
        (
            "counts = [6, 2, 2]",
            'rule = "x"\nunit = "session"',
            r"split\.unit: expected 'subject' or 'trial', found 'session'",
        ),
        ('label = "open"', 'label = "closed"', r"two options have the label 'closed'"),
        ('text = "No"', 'text = "Yes"', r"two options have the text 'Yes'"),
        ('text = "No"', 'text = "No"\nletter = "B"', r"the letters of the 2 options are B: letter them A, B, C"),
        ('text = "No"', 'text = "No"\nletter = "b"', r"options 2\.letter must be one of A to Z, not 'b'"),
        ('text = "No"', 'text = "No."\nletter = "B"', r"options 2\.text must not end in a full stop"),
        ('text = "No"', 'txt = "No"', r"options 2: unknown field txt, did you mean text"),
        ('\n[[options]]\ntext = "No"\nlabel = "open"\n', "", r"at least two \[\[options\]\], found 1"),
        ("[split]", "[split", r"not a task card"),
        ("seconds = 4", 'phrasings = "Shut?"\nseconds = 4', r"phrasings: expected a list, found 'Shut\?'"),
        ("seconds = 4", 'phrasings = [" Shut?"]\nseconds = 4', r"phrasings 1 must be one line without spaces around"),
        ("seconds = 4", 'phrasings = ["are the eyes CLOSED"]\nseconds = 4', r"phrasings 1 asks the same as question"),
        (
            "seconds = 4",
            'phrasings = ["Shut?"]\nheld_out_phrasings = ["Blind?", "shut?"]\nseconds = 4',
            r"held_out_phrasings 2 asks the same as phrasings 1, 'shut\?': give each phrasing words of its own",
        ),
        ("seconds = 4", "bins = [1, 2, 3]\nseconds = 4", r"\[\[options\]\], or bins .* give one of the two"),
    ],
)
def test_wrong_card_is_refused_with_its_file_and_the_remedy(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = card(tmp_path, old, new)
    with pytest.raises(ConfigError, match=message) as caught:
        load_task(path)
    assert str(caught.value).startswith(str(path))


NUMBERS = CARD.partition("[[options]]")[0].replace("seconds = 4", "bins = [20, 30, 40.5]\nseconds = 4")
"""A card whose labels are numbers."""


def test_numbers_are_answered_as_ranges(tmp_path: Path) -> None:
    path = tmp_path / "age.toml"
    path.write_text(NUMBERS)
    task = load_task(path)
    assert task.labels == ("20 to 30", "30 to 40.5")
    assert task.prompt.endswith("Options: (A) 20 to 30. (B) 30 to 40.5. Answer: (")
    assert [task.index(label) for label in ("20", "29.99", "30", "40.5")] == [0, 0, 1, 1]
    assert decode(Task, to_json(task)) == task
    for label in ("19.9", "41", "old", "nan"):
        with pytest.raises(ConfigError, match=rf"bins from 20 to 40.5, and a label is '{label}'"):
            task.index(label)


@pytest.mark.parametrize(
    ("bins", "message"),
    [
        ("[20, 30]", r"bins must be 3 to 27 rising numbers, .*as \[20, 30, 40\], not \[20"),
        ("[30, 20, 10]", "bins must be 3 to 27 rising numbers"),
        ("[1, 1, 2]", "bins must be 3 to 27 rising numbers"),
        ("[]", "bins must be 3 to 27 rising numbers"),
        ("[1, 2, inf]", "bins 3: expected a finite number, found inf"),
        ('["1", "2", "3"]', "bins 1: expected a number, found '1'"),
        ("true", "bins: expected a list, found True"),
    ],
)
def test_bounds_that_are_no_ranges_are_refused(tmp_path: Path, bins: str, message: str) -> None:
    path = tmp_path / "age.toml"
    path.write_text(NUMBERS.replace("[20, 30, 40.5]", bins))
    with pytest.raises(ConfigError, match=message):
        load_task(path)


def test_other_words_change_the_question_alone() -> None:
    task = load_task("hmc")
    assert task.wordings == (task.question, *task.phrasings)
    assert task.reworded(0) == task
    other = task.reworded(2)
    assert other.prompt == task.prompt.replace(task.question, task.phrasings[1])
    assert (other.answers, other.labels) == (task.answers, task.labels)
    assert task.reworded(1, held_out=True).question == task.held_out_phrasings[1]


def test_every_shipped_card_has_other_words_and_none_twice() -> None:
    for task in all_tasks().values():
        assert len(task.phrasings) >= 3 and len(task.held_out_phrasings) >= 2, task.name


def test_shuffled_options_keep_their_classes() -> None:
    task = load_task("tuev")
    shuffled = [task.shuffled(np.random.default_rng(seed)) for seed in range(40)]
    assert {tuple(other.labels) for other in shuffled} == {task.labels}, "classes stay"
    assert len({other.prompt for other in shuffled}) > 30
    for other in shuffled:
        listed = dict(re.findall(r"\(([A-F])\) ([^.]+)\.", other.prompt))
        assert list(listed) == list("ABCDEF"), "letters come in order"
        for label, answer in zip(other.labels, other.answers, strict=True):
            assert listed[answer[0]] == label, "the letter that is the answer stands before its option"
    first = {other.labels.index(dict(re.findall(r"\(([A-F])\) ([^.]+)\.", other.prompt))["A"]) for other in shuffled}
    assert first == set(range(6)), "any option may come first"
    words = load_task("seed")
    assert words.shuffled(np.random.default_rng(0)) is words


def test_questions_in_other_words_are_found() -> None:
    tasks = all_tasks().values()
    assert [t.name for t in find_questions("are the eyes closed in this EEG segment", tasks)] == ["eyes"]
    assert [t.name for t in find_questions("Has the person shut the eyes?", tasks)] == ["eyes"]
    other = dataclasses.replace(load_task("tuab"), phrasings=(load_task("eyes").question,))
    assert find_questions("Are the person's eyes closed?", [other, *tasks]) == [load_task("eyes")], "own words go first"


def test_cards_have_the_labels_that_layouts_make() -> None:
    made: dict[str, set[str]] = {
        "tuab": set(tuab.LABELS.values()),
        "tuev": set(tuev.CLASSES.values()),
        "tusl": set(tusl.LABELS.values()),
        "eegmat": set(eegmat.LABELS.values()),
        "hmc": set(hmc.STAGES.values()),
        "seed": set(seed.ANSWERS.values()),
        "sleep-edf": set(sleep_edf.STAGES.values()),
        "siena": {siena.SEIZURE, siena.NONE},
        "bcic-iv-1": set(bcic_iv_1.CLASSES),
        "inria": set(inria.ANSWERS.values()),
        "eyes": {*spis.STATES.values(), *eegmmidb.RESTING.values()},
    }
    for task, meaning in eegmmidb.RUNS.values():
        made.setdefault(task, set()).update(meaning.values())
    assert {layout.task for layout in LAYOUTS.values()} - {None} <= set(made)
    tasks = all_tasks()
    assert {name: set(tasks[name].labels) for name in made} == made
    assert tasks["inria"].seconds <= inria.SECONDS and tasks["bcic-iv-1"].seconds <= bcic_iv_1.CUE_SECONDS


def test_ranked_metrics_are_for_two_options(tmp_path: Path) -> None:
    third = '\n[[options]]\ntext = "Unknown"\n'
    path = tmp_path / "three.toml"
    path.write_text(CARD + third)
    with pytest.raises(ConfigError, match="no metric 'auroc' for 3 options"):
        load_task(path)


def test_unknown_card_lists_those_that_exist() -> None:
    with pytest.raises(
        ConfigError, match=r"eegmat, events, eyes, hmc, inria.* sleep, ssvep, tuab, tuev, tusl, workload"
    ):
        load_task("eegmatt")


def test_tasks_are_values() -> None:
    assert load_task("hmc") == load_task("hmc")
    assert isinstance(hash(load_task("hmc")), int)
    assert all(isinstance(task, Task) for task in all_tasks().values())
