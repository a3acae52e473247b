"""Guard rails: what goes wrong is told once with its remedy; what is usual is not told at all."""

import math
import random
import re

import pytest

from neurolm.train.figures.watch import COLLAPSED_STEPS, GRADIENT_BEFORE, Watch

CODES = 512


def training(step, loss=2.0, norm=1.0, **more):
    return {"step": step, "kind": "training", "loss": loss, "gradient_norm": norm, "lr": 1e-3, **more}


def told(watch, rows):
    """Names of what is told, with the step at which it is."""
    return [(name, row["step"]) for row in rows for name in watch.see(row)]


def codebook(perplexity, dead, *, start=0, steps=400, every=50, recovers=math.inf):
    """Rows of a run whose codebook starts at a step, at a perplexity and number of dead codes."""
    for step in range(steps):
        if step and step % every == 0:
            yield {"step": step, "kind": "validation", "raw": 0.5}
        well = step >= recovers
        figures = {"code_perplexity": 400 if well else perplexity, "dead_codes": 0 if well else dead}
        yield training(step, **(figures if step >= start else {}))


@pytest.mark.parametrize(
    ("perplexity", "dead", "when"),
    [(40, 0, [200]), (300, 300, [200]), (60, 200, []), (400, 0, [])],
)
def test_a_codebook_that_stays_small_is_told_at_the_third_evaluation(perplexity, dead, when):
    """The evaluations after step 100 count: those at 100, 150 and 200."""
    assert COLLAPSED_STEPS == 100
    assert told(Watch("tokenizer", codes=CODES), codebook(perplexity, dead)) == [("codebook", step) for step in when]


def test_validation_tells_of_a_collapse_that_revived_codes_hide_unless_it_is_too_short_to_tell():
    def rows():
        for row in codebook(400, 0):
            yield row | {"code_perplexity": 30.0} if row["kind"] == "validation" else row

    assert told(Watch("tokenizer", codes=CODES, patches=8000), rows()) == [("codebook", 200)]
    assert told(Watch("tokenizer", codes=CODES, patches=200), rows()) == []
    assert told(Watch("tokenizer", codes=CODES, patches=8000, steps=20_000), rows()) == []  # 2 % of them: 400 steps


def test_a_codebook_that_starts_late_or_recovers_is_given_time():
    assert told(Watch("tokenizer", codes=CODES), codebook(40, 0, start=180)) == []
    assert told(Watch("tokenizer", codes=CODES), codebook(40, 0, recovers=199)) == []
    assert told(Watch("tokenizer", codes=CODES), codebook(40, 0, start=130, steps=500)) == [("codebook", 350)]


def test_the_message_says_what_was_found_and_what_to_change():
    watch = Watch("tokenizer", codes=CODES)
    (text,) = [text for row in codebook(21.4, 430) for text in watch.see(row).values()]
    assert "step 200: the codebook collapses" in text and "512 codes" in text
    assert "perplexity 21.4 in training; 430 codes dead" in text
    for flag in ("--model.tokenizer.quantise_from", "--model.tokenizer.revive", "--tokenizer.learning_rate"):
        assert flag in text


def curve(loss, steps=600, norm=lambda step: 1.0, seed=0):
    drawn = random.Random(seed)
    for step in range(steps):
        noise = math.exp(0.3 * drawn.gauss(0, 1))
        yield training(step, loss(step) * math.exp(0.1 * drawn.gauss(0, 1)), norm(step) * noise)


def test_a_loss_that_explodes_is_told_once():
    exploding = list(curve(lambda step: 3.0 if step < 300 else 7.0))
    watch = Watch("pretrain")
    ((name, step),) = told(watch, exploding)
    assert name == "loss" and 310 <= step <= 325
    again = Watch("pretrain")
    (text,) = [text for row in exploding for text in again.see(row).values()]
    assert "--pretrain.learning_rate" in text and re.search(r"was (2\.[89]|3)", text)


def test_a_loss_that_explodes_at_once_is_told():
    ((name, step),) = told(Watch("pretrain"), curve(lambda step: 12.0 if step < 8 else 60.0))
    assert name == "loss" and step == 24


@pytest.mark.parametrize(
    "loss",
    [
        lambda step: 9.0 * math.exp(-step / 100) + 0.02,  # falls far: noise around little is no explosion
        lambda step: 3.4 - 0.002 * step if step < 360 else 3.2,  # the codebook starts
        lambda step: 2.0 + (30.0 if step % 50 == 0 else 0.0),  # single steps
    ],
)
def test_usual_curves_are_not_told(loss):
    assert told(Watch("tokenizer", codes=CODES), curve(loss, norm=lambda step: 1 + 20 * (step % 40 == 0))) == []


def test_gradients_that_grow_are_told_when_they_stay_so():
    ((name, step),) = told(Watch("instruct"), curve(lambda step: 2.0, norm=lambda step: 1.0 if step < 400 else 30.0))
    assert name == "gradient" and 405 <= step <= 425
    assert told(Watch("instruct"), curve(lambda step: 2.0, norm=lambda step: 0.1 + step / 50)) == []
    assert told(Watch("instruct"), curve(lambda s: 2.0, GRADIENT_BEFORE, norm=lambda s: 1.0 if s < 100 else 30.0)) == []


def test_a_resumed_run_is_told_the_same_and_nothing_twice():
    rows = list(codebook(40, 0, steps=400))
    whole = told(Watch("tokenizer", codes=CODES), rows)
    resumed = Watch("tokenizer", codes=CODES)
    assert told(resumed, rows[:190]) == [] and told(resumed, rows[190:]) == whole
    later = Watch("tokenizer", codes=CODES)
    later.see({"step": 200, "kind": "warning", "warning": "codebook", "message": "…"})
    assert told(later, rows) == []
