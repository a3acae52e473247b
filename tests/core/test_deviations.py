"""The page of deviations names settings that exist, and the recipes are as it says."""

import re
from pathlib import Path

import pytest

from neurolm.cli.command import parse
from neurolm.cli.settings import read_settings
from neurolm.core.recipes import recipe
from neurolm.official.weights import UNUSED

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "deviations.md").read_text(encoding="utf-8")
SETTINGS = sorted(set(re.findall(r"(--[a-z_]+(?:\.[a-z_]+)+ [^`\s]+)", PAGE)))


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_exists(setting):
    assert read_settings(parse("train", ["pretrain", "--recipe", "base", *setting.split()])).config.recipe == "base"


def test_the_page_names_settings_and_unused_tensors():
    assert len(SETTINGS) >= 9
    assert all(name.removeprefix("VQ.quantize.") in PAGE for name in UNUSED)


@pytest.mark.parametrize("name", ["base", "large", "xl"])
def test_the_papers_recipes_follow_the_authors(name):
    run = recipe(name)
    assert (run.pretrain.softmax, run.instruct.softmax) == ("joint", "joint")
    assert (run.model.tokenizer.attention, run.model.tokenizer.revive, run.model.tokenizer.quantise_from) == (
        "full",
        0,
        0,
    )
    assert run.model.feature_scale == 0
    assert (run.model.tokenizer.spectral, run.model.tokenizer.spectrum) == (False, "amplitude")
    assert (run.instruct.balance, run.instruct.augment, run.instruct.average) == (False, 0, 0)
    assert not run.instruct.evidence


def test_tiny_deviates_where_the_page_says():
    tiny = recipe("tiny")
    assert tiny.pretrain.softmax == tiny.instruct.softmax == "range"
    assert tiny.instruct.balance and tiny.instruct.augment and tiny.instruct.average and tiny.instruct.evidence
    assert tiny.model.feature_scale
    assert tiny.model.tokenizer.spectral and tiny.model.tokenizer.spectrum == "log"
    assert tiny.model.tokenizer.revive and tiny.model.tokenizer.quantise_from
