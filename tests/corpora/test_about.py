"""What the layouts say of their corpora, and that the page of corpora says the same."""

from pathlib import Path

import pytest

from neurolm.corpora import LAYOUTS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "corpora.md"
PUBLISHED = {name: module for name, module in LAYOUTS.items() if module.url}
"""Layouts of one data set each; the others are for anybody's data."""


def line(module) -> str:
    """The corpus as a line of the page's table."""
    hours = "" if module.hours is None else f"{module.hours:,g}"
    counts = dict(module.counts or {})
    total = sum(counts.values())
    parts = f" ({'/'.join(f'{n:,}' for n in counts.values())})" if len(counts) > 1 else ""
    mains = "" if module.mains is None else f"{module.mains:g} Hz"
    samples = f"{total:,}{parts}" if total else ""
    about = (module.licence, module.citation)
    cells = (f"`{module.name}`", f"[{module.title}]({module.url})", *about, hours, mains, samples)
    return f"| {' | '.join(cells)} |"


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_layout_says_what_its_corpus_is(name):
    module = PUBLISHED[name]
    assert name == module.name == name.lower() and " " not in name
    assert module.url.startswith("http") and module.title and module.licence and module.citation
    assert module.hours is None or module.hours > 0
    assert module.mains in (50.0, 60.0)
    assert not module.counts or set(module.counts) in ({"train", "validation", "test"}, {"all"})


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_the_page_says_the_same(name):
    assert line(PUBLISHED[name]) in PAGE.read_text(encoding="utf-8").splitlines()


def test_an_empty_folder_is_nobodys(empty):
    assert [name for name, module in LAYOUTS.items() if module.recognise(empty)] == ["folder"]
