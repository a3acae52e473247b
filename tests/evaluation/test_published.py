"""The file of published figures: every figure has a source, and is shown as published."""

import io
import re

import pytest
from rich.console import Console

from neurolm.core.errors import ConfigError
from neurolm.evaluation.joined import Joined
from neurolm.evaluation.published import FILE, published, read_published
from neurolm.report.drawings.training import loss_curves
from neurolm.report.page import render
from neurolm.report.tables import PUBLISHED, published_table
from neurolm.tasks.card import all_tasks

FIGURE = """
[sources.here]
address = "https://example.org/table"
read = "2026-11-23"
[[figures]]
task = "eegmat"
model = "M"
source = "here"
origin = "its authors"
test_set = "another"
protocol = "Fine-tuned."
scores = { auroc = [0.8, 0.1] }
"""


def test_every_figure_is_of_a_task_with_a_card_and_has_a_source():
    found = read_published()
    assert {figure.task for figure in found} <= set(all_tasks())
    assert len({(f.task, f.model, f.address) for f in found}) == len(found)
    for figure in found:
        assert figure.scores and figure.protocol and re.fullmatch(r"\d{4}-\d\d-\d\d", figure.read)
    assert {f.address for f in published("tuab")} == {
        f"https://github.com/pulp-bio/BioFoundation/blob/main/docs/model/{name}.md"
        for name in ("LUNA", "FEMBA", "LuMamba")
    }
    assert FILE.name == "published.toml"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('source = "here"\n', "", "figures 1: lacks source: add it"),
        ('source = "here"', 'source = "there"', "figures 1: no source 'there'; known are here"),
        ("https://", "", "sources.here.address must be https://…, not 'example.org/table'"),
        ('read = "', 'raed = "', "sources.here: unknown field raed, did you mean read"),
        ('origin = "', 'orign = "', "figures 1: unknown field orign, did you mean origin"),
        ('model = "M"', "model = 3", "figures 1.model: expected text, found 3"),
        ("auroc", "auc", "figures 1: no score 'auc'; known are balanced_accuracy"),
        ("[0.8, 0.1]", "[80.0]", r"figures 1: auroc must be \[value\]"),
        ("[0.8, 0.1]", "[0.8, 0.1, 0.1]", r"auroc must be \[value\] or \[value, standard deviation\]"),
        ("[0.8, 0.1]", "0.8", "scores.auroc: expected a list, found 0.8"),
        ("[0.8, 0.1]", "[nan]", "scores.auroc 1: expected a finite number, found NaN"),
    ],
)
def test_a_figure_without_its_source_or_beyond_the_schema_is_refused(tmp_path, old, new, message):
    (tmp_path / "a.toml").write_text(FIGURE)
    assert read_published(tmp_path / "a.toml")[0].score("auroc").sd == 0.1
    (tmp_path / "b.toml").write_text(FIGURE.replace(old, new))
    with pytest.raises(ConfigError, match=message):
        read_published(tmp_path / "b.toml")


def test_they_are_shown_as_published_with_what_differs():
    assert published_table(["workload"]) is None
    tasks = ["eegmat", "tuab"]
    out = io.StringIO()
    Console(file=out, width=80).print(published_table(tasks))
    joined = Joined(split="test", recipe="tiny", wording="own", runs=(), tasks=())
    drawn = loss_curves({"language": []})
    shown, page = out.getvalue(), render(
        "joined.html", joined=joined, tasks=(), others=published_table(tasks, scores=PUBLISHED),
        sources=[f for task in tasks for f in published(task)], confusion=drawn, reliability=drawn,
    )  # fmt: skip
    assert "published by others, not measured here" in shown and "…" not in shown
    assert "0.7256±0.0132" in shown and "others (28/4/4)" in shown and "0.8957" in shown
    for figure in (*published("eegmat"), *published("tuab")):
        assert figure.model in page and figure.address in page and figure.protocol.split(".")[0] in page
