"""The README tells the truth: its map has every file and no other, its commands and its code are those that exist."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

import neurolm
from neurolm.api import Answer, Model
from neurolm.cli import VERBS
from neurolm.core.config import STAGES
from neurolm.core.recipes import RECIPES
from neurolm.tasks.card import load_task

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SOURCES = ("src/neurolm/**/*.py", "benchmarks/**/*.py", "docs/**/*.py", "docs/**/*.md")
"""Files of which each is in the map. Other files may stand in it as a pattern, empty `__init__.py` may be left out."""


def blocks(language: str) -> list[str]:
    """Fenced blocks of a language, in order."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)
    return [text for found, text in fenced if found == language]


def read_map() -> list[str]:
    """Paths of the map, folders with a slash at their end; an indented line lies in the last less indented folder."""
    paths: list[str] = []
    folders: list[tuple[int, str]] = []
    for line in blocks("")[-1].splitlines():
        name = line.split()[0]
        if name == "layer":
            continue
        indent = len(line) - len(line.lstrip())
        while folders and folders[-1][0] >= indent:
            folders.pop()
        path = (folders[-1][1] if folders else "") + name
        if name.endswith("/"):
            folders.append((indent, path))
        paths.append(path)
    return paths


MAP = read_map()


@pytest.mark.parametrize("path", MAP)
def test_every_path_of_the_map_exists(path):
    found = list(ROOT.glob(path.rstrip("/")))
    assert found, f"{path} is in the README's map, but does not exist"
    assert all(file.is_dir() == path.endswith("/") for file in found)


def test_every_file_is_in_the_map():
    mapped = {file for path in MAP if not path.endswith("/") for file in ROOT.glob(path)}
    files = {file for pattern in SOURCES for file in ROOT.glob(pattern) if file.read_text(encoding="utf-8").strip()}
    shown = {file for file in files if file.name != "__init__.py" or file.parent.parent == ROOT / "src" / "neurolm"}
    missing = sorted(str(file.relative_to(ROOT)) for file in shown - mapped)
    assert missing == []


def test_every_folder_of_tests_is_in_the_map():
    folders = {f"tests/{path.parent.name}/" for path in (ROOT / "tests").glob("*/test_*.py")}
    assert folders <= set(MAP)


def test_no_path_stands_twice_in_the_map():
    assert len(MAP) == len(set(MAP))


def test_commands_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    assert (
        {"demo", "test", "demo-eegmat"}
        <= set(re.findall(r"(?:^|`)make ([a-z-]+)", README, flags=re.MULTILINE))
        <= targets
    )
    verbs = set(re.findall(r"\bneurolm ([a-z]+) (?=[a-zA-Z$-])", "".join(blocks("sh")) + "".join(_rows())))
    assert verbs <= set(VERBS)
    assert {row.split("`")[1].split()[1] for row in _rows()} == set(VERBS)
    assert all(f"`{stage}`" in README for stage in STAGES)
    assert all(f"`{name}`" in README for name in RECIPES)


def _rows() -> list[str]:
    return re.findall(r"^\| `neurolm .*$", README, flags=re.MULTILINE)


def test_python_of_the_readme_uses_what_exists():
    (code,) = blocks("python")
    names = {node.attr for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Attribute)}
    fields = set(Answer.__dataclass_fields__)
    assert names == {"load", "ask", "answer", "probability", "notes"}
    assert hasattr(neurolm, "load") and hasattr(Model, "ask") and {"answer", "probability", "notes"} <= fields
    for method in re.findall(r"`model\.(\w+)`", README):
        assert hasattr(Model, method)
    for field in re.findall(r"`answer\.(\w+)`", README):
        assert field in fields


def test_card_of_the_readme_is_valid(tmp_path):
    (card,) = blocks("toml")
    path = tmp_path / "drowsy.toml"
    path.write_text(card, encoding="utf-8")
    task = load_task(path)
    (table,) = blocks("csv")
    lines = [line.split(",") for line in table.splitlines()]
    assert {line[3] for line in lines[1:]} == {task.name}
    assert {line[4] for line in lines[1:]} == set(task.labels)


def prose(path: Path) -> str:
    """A page of Markdown without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """What a link may name after the hash: the headings, as GitHub spells them."""
    headings = re.findall(r"^#+ (.*)$", prose(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", "docs/**/*.md"])
def test_links_within_the_repository_lead_somewhere(page):
    lost, seen = [], 0
    for path in ROOT.glob(page):
        for link in re.findall(r"\]\(((?!https?:)[^)\s]+)\)", prose(path)):
            name, _, anchor = link.partition("#")
            target = path.parent / name if name else path
            seen += 1
            if not target.exists() or (anchor and anchor not in anchors(target)):
                lost.append(f"{path.relative_to(ROOT)}: {link}")
    assert lost == [] and seen > 0


def test_versions_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {project['version']}" in citation
    for classifier in project["classifiers"]:
        if match := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", classifier):
            assert match.group(1) in README
