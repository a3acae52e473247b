"""The verb corpora: every layout in the table, all constants in the details, and how to say a wrong name."""

import pytest
from rich.console import Console

from neurolm.cli import main
from neurolm.cli.corpora import table
from neurolm.corpora import LAYOUTS


def run(capsys, *words: str) -> tuple[int, str, str]:
    status = main(words)
    out, err = capsys.readouterr()
    return status, out, err


def test_the_table_has_a_line_for_every_corpus(capsys):
    status, out, _ = run(capsys, "corpora")
    assert status == 0
    lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert list(LAYOUTS) == [name for name in lines if name in LAYOUTS]
    assert lines["tuab"].split()[1:3] == ["tuab", "1,137"] and "On request from" in lines["tuab"]
    for name, layout in LAYOUTS.items():
        assert layout.licence in lines[name] and (layout.url or "your own") in lines[name]


def test_the_table_fits_a_terminal():
    console = Console(width=80, record=True)
    with console.capture() as capture:
        console.print(table(list(LAYOUTS.values())))
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= 80
    assert all(any(line.split()[:1] == [name] for line in lines) for name in LAYOUTS)


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_details_of_a_corpus(capsys, name):
    status, out, _ = run(capsys, "corpora", name)
    layout = LAYOUTS[name]
    assert status == 0
    assert out.startswith(f"{name}: {layout.title}\n") and f"--corpus {name}" in out
    for text in (layout.task, layout.licence, layout.citation, layout.url):
        assert not text or text in out
    for count in (layout.counts or {}).values():
        assert f"{count:,}" in out


def test_an_unknown_corpus_names_the_known_ones(capsys):
    status, _, error = run(capsys, "corpora", "tuaab")
    assert status == 2
    assert "unknown corpus 'tuaab'" in error and all(name in error for name in LAYOUTS)
