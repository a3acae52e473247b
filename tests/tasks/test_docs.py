"""The page on tasks of one's own, followed to the letter on the recording that it is about, with fewer steps."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from neurolm.ask.evidence import Evidence
from neurolm.cli import main
from neurolm.evaluation.evaluate import EVIDENCE_ALONE
from neurolm.evaluation.results import RESULTS, load_evaluation
from neurolm.tasks.card import load_task, shipped_cards

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")
FEWER = [f"--{stage}.steps 3" for stage in ("language", "tokenizer", "pretrain", "instruct")]
"""What the test adds to the first stage; the others take it from the run."""


WHERE = {"path/to/S001": "eegmmidb/S001/S001", "path/to/": "formats/gdf/"}
"""Where the page's recordings lie here."""


def commands() -> list[str]:
    """All lines of the page's shell blocks, without comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
    return [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


def tables() -> list[str]:
    """What the page's tables of labels say."""
    return re.findall(r"^```csv\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def followed(tmp_path_factory, shared):
    """The folder in which every command was given."""
    folder = tmp_path_factory.mktemp("fresh")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in commands():
            given = command
            for path, here in WHERE.items():
                given = given.replace(path, f"{shared}/eeg/{here}")
            words = shlex.split(given)
            if words[0] != "neurolm":
                subprocess.run(words, check=True)
                continue
            if words[1:3] == ["train", "language"]:
                words += shlex.split(" ".join(FEWER))
            threads = ["--threads", "1"] if words[1] in ("train", "calibrate", "evaluate", "ask") else []
            assert main([*words[1:], *threads]) == 0
            if command.endswith("--out mine/labels.csv"):
                labels = folder / "mine" / "labels.csv"
                labels.write_text(labels.read_text() + tables()[1])
    return folder


def test_every_command_of_the_page_works(followed: Path) -> None:
    verbs = [command.split()[1] for command in commands() if command.startswith("neurolm")]
    training = ["train"] * 4
    assert verbs == [
        *["tasks"] * 6, "prepare", "tasks", *training, "calibrate", "evaluate", "ask",
        *["tasks"] * 3, "prepare", *["tasks"] * 2, *training, "evaluate", "ask",
    ]  # fmt: skip
    (result,) = load_evaluation(followed / "runs" / "flicker" / RESULTS).results
    assert (result.task, result.scores.n, result.subjects) == ("flicker", 24, 1)
    assert set(result.options) == {"rest", "13 Hz", "17 Hz", "21 Hz"}
    assert result.question in PAGE
    for result in load_evaluation(followed / "runs" / "mine" / RESULTS).results:
        assert (result.task, result.scores.n, result.subjects) in {("resting", 28, 1), ("fists", 24, 1)}
        assert result.question in PAGE


def test_evidence_of_one_person_says_what_was_left_out(followed: Path) -> None:
    found = {}
    for run in ("flicker", "mine"):
        found.update(Evidence.load(followed / "runs" / run / "instruct").tasks)
    said = {name: (known.left_out, known.groups, known.subjects) for name, (known, _) in found.items()}
    assert said == {"flicker": ("stretches", 4, 1), "fists": ("recordings", 2, 1), "resting": ("stretches", 5, 1)}


def test_closed_eyes_are_told_from_open_ones(followed: Path) -> None:
    """The alpha rhythm of one person, by evidence alone: the language model was trained for three steps."""
    found = {result.task: result for result in load_evaluation(followed / "runs" / "mine" / RESULTS).results}
    (evidence,) = (one for one in found["resting"].baselines if one.name == EVIDENCE_ALONE)
    assert evidence.scores.balanced_accuracy > 0.8


def test_the_table_is_the_one_of_the_page(followed: Path) -> None:
    table = (followed / "ssvep" / "labels.csv").read_text()
    assert table.startswith(tables()[0])
    parts = [line.rsplit(",", 1)[1] for line in table.splitlines()[1:]]
    assert {part: parts.count(part) for part in set(parts)} == {"train": 16, "validation": 8, "test": 8}


def test_the_page_names_the_cards() -> None:
    (named,) = re.findall(r"These ship with neurolm: (.*?)\.$", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert re.findall(r"`([\w-]+)`", named) == [load_task(card).name for card in shipped_cards()]


@pytest.mark.parametrize("link", re.findall(r"\]\(((?!https?:)[^)#]+)\)", PAGE))
def test_links_of_the_page_lead_somewhere(link: str) -> None:
    assert (Path(__file__).resolve().parents[2] / "docs" / link).exists()
