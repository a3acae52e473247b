"""The README and the first steps tell the truth: their commands, their code and their links are those that exist."""

import ast
import re
import shlex
import tomllib
from pathlib import Path

import pytest

import neurolm
from neurolm.api.model import Model
from neurolm.ask.answer import Answer
from neurolm.ask.embedding import Embedding
from neurolm.cli import VERBS, command
from neurolm.core.config import STAGES
from neurolm.core.recipes import RECIPES
from neurolm.tasks.card import load_task

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "neurolm"
README = (ROOT / "README.md").read_text(encoding="utf-8")
STEPS = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")


def blocks(language: str, page: str = README) -> list[str]:
    """Fenced blocks of a language, in order."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)
    return [text for found, text in fenced if found == language]


def test_the_readme_is_short_and_names_every_room():
    assert len(README.splitlines()) <= 180
    named = set(re.findall(r"`(\w+)/`", "".join(re.findall(r"^\| `\w+/`.*$", README, flags=re.MULTILINE))))
    assert named == {path.parent.name for path in (ROOT / "src" / "neurolm").glob("*/__init__.py")}


def test_commands_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README + STEPS, flags=re.MULTILINE))
    assert {"demo", "test", "demo-eegmat"} <= named <= targets
    rows = re.findall(r"^\| `neurolm .*$", README, flags=re.MULTILINE)
    commands = "".join(blocks("sh") + blocks("sh", STEPS) + rows)
    assert set(re.findall(r"\bneurolm ([a-z]+) (?=[a-zA-Z$-])", commands)) <= set(VERBS)
    assert {row.split("`")[1].split()[1] for row in rows} == set(VERBS)
    assert all(f"`{stage}`" in README for stage in STAGES)
    assert all(f"`{name}`" in README for name in RECIPES)


PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]
STANDS_FOR = {"$stage": "tokenizer", "STAGE": "tokenizer", "$fold": "1", "STORE": "store", "RUN": "runs/mine"}
"""What shell variables and words in capitals may stand for in commands."""


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_pages_are_understood(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("seed: 1\n")
    text = (ROOT / page).read_text(encoding="utf-8")
    lines = "".join(blocks("sh", text)).replace("\\\n", " ").splitlines()
    lines += re.findall(r"^(?: {4,}|\| `)((?:torchrun|neurolm) [^`\n]*)", text, flags=re.MULTILINE)
    for line in lines:
        found = re.search(r"(?:^|-m )\s*neurolm ([a-z]+)\b(.*)", line)
        if found is None or "…" in line or "--resume" in line:  # to go on with a run, there must be one
            continue
        given = found[2]
        for word, meaning in STANDS_FOR.items():
            given = given.replace(word, meaning)
        command.parse(found[1], shlex.split(given, comments=True))


@pytest.mark.parametrize("page", [*PAGES, "CONTRIBUTING.md"])
def test_pages_spell_flags_as_the_help_does(page):
    text = re.sub(
        r"python benchmarks/.*", "", (ROOT / page).read_text(encoding="utf-8")
    )  # scripts have flags of their own
    assert re.findall(r"(?<![\w.-])--\w+_\w+(?![\w.])", text) == []


@pytest.mark.parametrize("page", [README, STEPS], ids=["README", "first steps"])
def test_python_of_the_pages_uses_what_exists(page):
    (code,) = blocks("python", page)
    tree = ast.parse(code)
    called = {ast.unparse(node.func).split(".")[-1] for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert {"load", "ask"} <= called and {"answer", "probability", "notes"} <= names
    assert hasattr(neurolm, "load") and all(hasattr(Model, name) for name in called - {"load", "print"})
    kept = names - called
    assert kept <= set(Answer.__dataclass_fields__) | set(Embedding.__dataclass_fields__)
    for method in re.findall(r"`model\.(\w+)`", page):
        assert hasattr(Model, method)
    for field in re.findall(r"`answer\.(\w+)`", page):
        assert field in Answer.__dataclass_fields__


def test_card_of_the_first_steps_is_valid(tmp_path):
    (card,) = blocks("toml", STEPS)
    path = tmp_path / "drowsy.toml"
    path.write_text(card, encoding="utf-8")
    task = load_task(path)
    (table,) = blocks("csv", STEPS)
    lines = [line.split(",") for line in table.splitlines()]
    assert {line[3] for line in lines[1:]} == {task.name}
    assert {line[4] for line in lines[1:]} == set(task.labels)


def test_figures_of_the_readme_stand_on_the_pages_they_are_from():
    rows = re.findall(r"^\| (?:EEGMAT|simulated).*$", README, flags=re.MULTILINE)
    assert len(rows) == 4
    page = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    for line in rows:
        for figure in re.findall(r"(?<!\d)\.\d{2,3}", line):
            assert figure in page, f"{figure} of {line!r} is not on its page"


def prose(path: Path) -> str:
    """A page of Markdown without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """What a link may name after the hash: the headings, as GitHub spells them."""
    headings = re.findall(r"^#+ (.*)$", prose(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**/*.md"])
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


@pytest.mark.parametrize("pages", ["README.md", "CONTRIBUTING.md", "docs/**/*.md", "src/neurolm/**/*.py"])
def test_files_and_modules_that_are_named_exist(pages):
    lost = []
    for path in ROOT.glob(pages):
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"(?<![\w/.])(?:\w+/)+\w+\.(?:py|toml)\b", text):
            places = (ROOT, PACKAGE, PACKAGE.parent, path.parent)
            if re.search("ROOM|NAME", name) is None and not any((place / name).exists() for place in places):
                lost.append(f"{path.relative_to(ROOT)}: {name}")
        for name in re.findall(r"`neurolm((?:\.(?!py`)\w+)+)", text):
            parts = name.split(".")[1:]
            module = next((parts[:n] for n in (len(parts), len(parts) - 1) if _is_module(parts[:n])), None)
            if module is None and not hasattr(neurolm, parts[0]):
                lost.append(f"{path.relative_to(ROOT)}: neurolm{name}")
    assert lost == []


def _is_module(parts: list[str]) -> bool:
    """Whether `neurolm.a.b`, given as its parts without the first, is a module or package."""
    path = PACKAGE.joinpath(*parts)
    return bool(parts) and (path.with_suffix(".py").exists() or (path / "__init__.py").exists())


def test_versions_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {project['version']}" in citation
    for classifier in project["classifiers"]:
        if match := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", classifier):
            assert match.group(1) in README
