"""A table means the same wherever it is shown: aligned, whole, and nothing in it is taken for a command."""

import pytest
from rich.console import Console

from neurolm.core.table import Column, Table, columns, escape_markdown

TABLE = Table(
    columns=(*columns("task"), Column(head="calibration error", form=".3f", narrow="calib.\nerror"),
             Column(head="95 % interval", form="")),
    groups=[[("sleep", 0.5, "0.10–0.20"), ("", None, None)], [("tuab", 0.25, "not fitted")]],
    title="held out [red]people", notes=("a note [1]",),
)  # fmt: skip


def shown(table: Table, width: int = 80) -> list[str]:
    console = Console(width=width, file=None)
    with console.capture() as captured:
        console.print(table)
    return [line.rstrip() for line in captured.get().splitlines()]


def test_a_terminal_shows_numbers_below_each_other_and_brackets_as_they_are():
    lines = shown(TABLE)
    assert lines[0].strip() == "held out [red]people" and lines[-1].strip() == "a note [1]"
    assert [line.split() for line in lines[2:4]] == [["calib.", "95", "%"], ["task", "error", "interval"]]
    rows = [line for line in lines if "0.500" in line or "0.250" in line or "– " in line]
    assert [row.split()[-2:] for row in rows] == [["0.500", "0.10–0.20"], ["–", "–"], ["not", "fitted"]]
    assert rows[0].index("0.500") == rows[2].index("0.250") and len({len(row) for row in rows}) == 1


def test_long_text_is_broken_and_numbers_never_are():
    long = Table(columns=TABLE.columns, groups=[[("a-task-of-a-very-long-name" * 3, 0.123, "0.10–0.20")]])
    lines = shown(long, width=40)
    assert max(map(len, lines)) <= 40 and not any("…" in line for line in lines)
    (row,) = (line.split() for line in lines if "0.123" in line)
    assert row[1:] == ["0.123", "0.10–0.20"]
    assert "".join(line.split()[0] for line in lines[4:] if line.strip()) == "a-task-of-a-very-long-name" * 3


def test_long_headings_of_numbers_are_broken():
    heads = ("a run of a name without end/seed-0", "other")
    table = Table(columns=columns("figure") + columns(*heads, form=".1f"), groups=[[("loss", 1234567890.5, 0.1)]])
    lines = shown(table, width=40)
    assert max(map(len, lines)) <= 40
    (row,) = (line.split() for line in lines if "loss" in line)
    assert row == ["loss", "1234567890.5", "0.1"]
    assert table.columns[1].heading([row[1]]) == "a run of a\nname without\nend/seed-0"
    assert table.columns[2].heading(["0.1"]) == "other"


@pytest.mark.parametrize("code", ["\x1b]0;title\x07", "\x9b31m", "\r"])
def test_control_characters_do_not_reach_the_terminal(code):
    table = Table(columns=columns(f"a{code}"), groups=[[(f"b{code}",)]], title=f"c{code}", notes=(f"d{code}",))
    text = "\n".join(shown(table))
    assert not any(character in text for character in "\x1b\x07\x9b\r") and text.count("�") >= 4


def test_markdown_has_every_cell_and_its_alignment():
    head, line, *rows = TABLE.markdown().splitlines()
    assert (head, line) == ("| task | calibration error | 95 % interval |", "|---|--:|--:|")
    assert rows == ["| sleep | 0.500 | 0.10–0.20 |", "|  | – | – |", "| tuab | 0.250 | not fitted |"]


def test_in_markdown_every_character_means_itself():
    assert escape_markdown("a|b") == r"a\|b" and escape_markdown("x\n# y") == r"x \# y"
    assert escape_markdown("<script>&[a](b)`*_") == r"&lt;script&gt;&amp;\[a\](b)\`\*\_"
    assert Table(columns=columns("a|b"), groups=[[("c\nd|e",)]]).markdown().splitlines()[2] == r"| c d\|e |"


def test_a_row_of_many_numbers_is_as_wide_as_they_are():
    heads = ("accuracy", "interval", "over folds", "AUROC", "error")
    many = Table(columns=(Column(head="", whole=True), *columns(*heads, form="")),
                 groups=[[("classical features", *["0.790±0.004"] * 5)]])  # fmt: skip
    assert 80 < many.narrowest < 90
    (row,) = (line for line in shown(many, width=many.narrowest) if "0.790" in line)
    assert row.split() == ["classical", "features", *["0.790±0.004"] * 5]
