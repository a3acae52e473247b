"""Names that people write: what looks the same is the same, and what is nearly the same is asked about."""

import pytest

from neurolm.core.names import choose, did_you_mean, near_names, nearly_same, one_spelling, readable

SETTINGS = ["--store", "--tokenizer.learning_rate", "--tokenizer.steps", "--tokenizer.weight_decay",
            "--pretrain.learning_rate", "--pretrain.steps", "--model.tokenizer.encoder.width"]  # fmt: skip


@pytest.mark.parametrize("name", ["e\u0301a", "é\u200ba", "\ufeffé\u00ada", "é\u2060a", " éa\u00a0", "é\u202aa"])
def test_what_looks_the_same_has_one_spelling(name):
    assert one_spelling(name) == "éa"


@pytest.mark.parametrize("name", ["S 1", "Ærø", "患者1", "s01", "ß", "①"])
def test_what_looks_otherwise_stays(name):
    assert one_spelling(name) == name


def test_names_that_differ_in_capitals_or_zeros_are_nearly_the_same():
    assert nearly_same(["S01", "s1", "S10", "1", "01", "a-002", "A-2", "100"]) == [
        ("01", "1"), ("A-2", "a-002"), ("S01", "s1")
    ]  # fmt: skip


def test_bytes_that_are_no_text_are_shown():
    assert readable(b"Se\xf1or \xc3\xa9".decode("utf-8", "surrogateescape")) == "Se\\xf1or é"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("--tokenizer.lr", ["--tokenizer.learning_rate"]),
        ("--tokenizer.wd", ["--tokenizer.weight_decay"]),
        ("--lr", ["--tokenizer.learning_rate", "--pretrain.learning_rate"]),
        ("--steps", ["--tokenizer.steps", "--pretrain.steps"]),
        ("--tokenizer.step", ["--tokenizer.steps"]),
        ("--Store", ["--store"]),
        ("--stor", ["--store"]),
        ("--encoder.width", ["--model.tokenizer.encoder.width"]),
        ("--flux", []),
    ],
)
def test_what_may_be_meant_is_found(name, near):
    assert near_names(name, SETTINGS) == near


def test_what_there_is_is_said_with_what_may_be_meant():
    assert choose("hcm", ["tuab", "hmc"]) == ": did you mean hmc? Choose one of tuab, hmc"
    assert choose("x", ["tuab", "hmc"]) == ": choose one of tuab, hmc"
    assert did_you_mean("x", ["tuab"]) == ""
