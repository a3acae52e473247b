"""The page on tasks of one's own, followed to the letter on the recording that it is about, with fewer steps."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from neurolm.cli import main
from neurolm.evaluation.results import RESULTS, load_evaluation
from neurolm.tasks.card import load_task, shipped_cards

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")
FEWER = [f"--{stage}.steps 3" for stage in ("language", "tokenizer", "pretrain", "instruct")]
"""What the test adds to the first stage; the others take it from the run."""


def commands() -> list[str]:
    """All lines of the page's shell blocks, without comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
    return [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def followed(tmp_path_factory, shared):
    """The folder in which every command was given."""
    folder = tmp_path_factory.mktemp("fresh")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in commands():
            words = shlex.split(command.replace("path/to/", f"{shared}/eeg/formats/gdf/"))
            if words[0] != "neurolm":
                subprocess.run(words, check=True)
                continue
            if words[1:3] == ["train", "language"]:
                words += shlex.split(" ".join(FEWER))
            assert main([*words[1:], *(["--threads", "1"] if words[1] in ("train", "evaluate", "ask") else [])]) == 0
    return folder


def test_every_command_of_the_page_works(followed: Path) -> None:
    verbs = [command.split()[1] for command in commands() if command.startswith("neurolm")]
    assert verbs == ["tasks"] * 6 + ["prepare", "tasks"] + ["train"] * 4 + ["evaluate", "ask"]
    (result,) = load_evaluation(followed / "runs" / "flicker" / RESULTS).results
    assert (result.task, result.scores.n, result.subjects) == ("flicker", 24, 1)
    assert set(result.options) == {"rest", "13 Hz", "17 Hz", "21 Hz"}
    assert result.question in PAGE


def test_the_table_is_the_one_of_the_page(followed: Path) -> None:
    (shown,) = re.findall(r"^```csv\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
    table = (followed / "ssvep" / "labels.csv").read_text()
    assert table.startswith(shown)
    parts = [line.rsplit(",", 1)[1] for line in table.splitlines()[1:]]
    assert {part: parts.count(part) for part in set(parts)} == {"train": 16, "validation": 8, "test": 8}


def test_the_page_names_the_cards() -> None:
    (named,) = re.findall(r"These ship with neurolm: (.*?)\.$", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert re.findall(r"`([\w-]+)`", named) == [load_task(card).name for card in shipped_cards()]


@pytest.mark.parametrize("link", re.findall(r"\]\(((?!https?:)[^)#]+)\)", PAGE))
def test_links_of_the_page_lead_somewhere(link: str) -> None:
    assert (Path(__file__).resolve().parents[2] / "docs" / link).exists()
