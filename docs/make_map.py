"""Writes docs/map.md, the map of every file, from the first lines of the files themselves.

    python docs/make_map.py

A module says in the first line of its docstring what it is for, a page in its heading; the map repeats them. So a file
that is added, moved or renamed is in the map once this was run again; a test says when it was not.
"""

from __future__ import annotations

import ast
import fnmatch
import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "neurolm"
MAP = ROOT / "docs" / "map.md"

WIDTH = 100
"""Characters that a line of the map may have."""
ROOMS = (
    "recording", "corpora", "prepare", "store", "batches", "model", "tasks", "train", "ask", "live", "signals",
    "export", "archive", "evaluation", "report", "hub", "official", "api", "server", "assistant", "cli", "core",
)  # fmt: skip
"""The packages in the order of the pipeline; last what people call, and what everything stands on."""
DATA = {
    "tasks/cards/*.toml": "The task cards that ship: the paper's six, others on open data, and the simulated ones",
    "batches/texts/*.txt": "The English text about EEG on which small language models are trained",
    "report/templates/*.html": "What pages say and how they look, filled in by `page.py`",
    "report/templates/*.js": "How the overview of an archive is searched and sorted; it does without, too",
    "server/page/*.*": "The page of the service: HTML, styles, and what it does",
    "server/page/panels/*.*": "What the page is put together of, from start to answers; begin with `workspace.js`",
    "server/page/viewer/*.*": "How the page draws EEG and answers; knows nothing of neurolm; begin with `traces.js`",
    "hub/model_card.md.jinja": "What a model card says, filled in by `model_card.py`",
    "evaluation/published.toml": "Figures that others published, each with the address at which it was read",
}
"""What the files say that are no Python."""
WHERE = (
    ("another name for an electrode (a montage alias)", "core/montage.py"),
    ("a format of files", "recording/readers.py"),
    ("a corpus", "corpora/__init__.py"),
    ("what filtering does", "recording/preprocess.py"),
    ("where windows of a store are cut", "batches/windows.py"),
    ("where windows of a recording that is asked are cut", "ask/recording.py"),
    ("who trains and who is tested", "batches/splits.py"),
    ("a question that ships (a task): a card beside this one", "tasks/cards/eyes.toml"),
    ("a metric", "tasks/metrics.py"),
    ("a recipe, or a setting of one", "core/recipes.py"),
    ("how options are scored", "ask/engine.py"),
    ("what an answer says", "ask/answer.py"),
    ("a source of live EEG", "live/sources/open_source.py"),
    ("a state of a live session", "live/state.py"),
    ("a family of language models", "core/backbones.py"),
    ("what a report says", "report/templates/run.html"),
    ("a column of the tables of answers", "ask/rows.py"),
    ("what the overview of an archive shows, and in which order", "report/overview.py"),
    ("a reliability diagram, or another picture of answers", "report/drawings/answers.py"),
    ("a baseline", "evaluation/baselines/fit.py"),
    ("a flag of `neurolm ask`; of another verb, the file of its name", "cli/ask.py"),
)
"""What people come to change, and the file to open first."""
HEAD = """\
# The map of the house

Every file in one line, room by room, in the order in which EEG passes through. A room is a package: its first
sentence says what it is for, then what to read first. Imports run one way, from the rooms that use to the rooms that
are used, and nowhere in a circle; `tests/test_layers.py` has the order. The lines are the first lines of the files
themselves, put together by `python docs/make_map.py`: to change one, change it in its file.

![Recordings become a store, a store becomes batches, batches train a model, and the model answers](images/pipeline.svg)

## What people come to change

[CONTRIBUTING](../CONTRIBUTING.md) shows how, in a few lines each.

| to add or change | open |
|---|---|
"""


def first_line(path: Path) -> str:
    """What a file says of itself: the first line of its docstring, or its heading, without the full stop.

    Raises
    ------
    ValueError
        If a module has no docstring, or a page no heading.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        found = re.search(r"^# (.+)$", text, flags=re.MULTILINE)
        line = found.group(1) if found else ""
    else:
        tree = ast.parse(text)
        line = (ast.get_docstring(tree) or "").partition("\n")[0]
        if line.startswith("neurolm "):  # a verb's module begins with an example; what it does, its function says
            verb = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == path.stem)
            line = (ast.get_docstring(verb) or "").partition("\n")[0]
    if not line:
        raise ValueError(f"{path.relative_to(ROOT)}: says nowhere what it is for; begin it with a line that does")
    return line.rstrip(".:").replace("``", "`")


def entry(path: Path) -> str:
    """One file as a line of the map."""
    return f"- [{path.name}]({link(path)}): {first_line(path)}"


def link(path: Path) -> str:
    """The address of a file from the map."""
    return Path(os.path.relpath(path, MAP.parent)).as_posix()


def about(package: Path) -> list[str]:
    """What a package's docstring says: its first sentence, and the paragraph on what to read first."""
    text = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))) or ""
    paragraphs = [" ".join(p.split()).replace("``", "`") for p in text.split("\n\n")]
    return [p for i, p in enumerate(paragraphs) if i == 0 or p.startswith(("Read ", "To add "))]


def room(package: Path, level: int) -> list[str]:
    """A package as lines: what it is for, its files, the files that are no Python, and the packages in it."""
    name = package.relative_to(PACKAGE).as_posix()
    lines = [f"{'#' * level} {name}/", "", " ".join(about(package)), ""]
    lines += [entry(path) for path in sorted(package.glob("*.py")) if path.name != "__init__.py"]
    for pattern, says in DATA.items():
        if fnmatch.fnmatch(pattern, f"{name}/*"):
            lines.append(f"- `{pattern.removeprefix(f'{name}/')}`: {says}")
    lines.append("")
    for inner in sorted(path.parent for path in package.glob("*/__init__.py")):
        lines += room(inner, level + 1)
    return lines


def the_map() -> str:
    """The whole page."""
    lines = [f"| {what} | [{path}]({link(PACKAGE / path)}) |" for what, path in WHERE]
    lines += ["", "## neurolm/", ""]
    lines += [entry(path) for path in sorted(PACKAGE.glob("*.py"))]
    lines.append("")
    for name in ROOMS:
        lines += room(PACKAGE / name, 2)
    lines += [
        "## benchmarks/",
        "",
        "Scripts that measure, each by itself; what they printed is in docs/benchmarks/.",
        "",
    ]
    lines += [entry(path) for path in sorted((ROOT / "benchmarks").glob("*.py"))]
    for folder in sorted(path for path in (ROOT / "benchmarks").iterdir() if any(path.glob("*.py"))):
        lines += ["", f"### benchmarks/{folder.name}/", ""]
        lines += [entry(path) for path in sorted(folder.glob("*.py")) if path.name != "__init__.py"]
    pages = [path for path in sorted((ROOT / "docs").glob("*.md")) if path != MAP]
    lines += ["", "## docs/", "", *[entry(path) for path in [*pages, *sorted((ROOT / "docs").rglob("*.py"))]]]
    lines += ["", "### docs/benchmarks/", ""]
    lines += [entry(path) for path in sorted((ROOT / "docs" / "benchmarks").glob("*.md"))]
    lines += [
        "",
        "## tests/",
        "",
        "Rooms as in src/: what `ROOM/FILE.py` promises is tested in `tests/ROOM/test_FILE.py`.",
    ]
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    MAP.write_text(the_map(), encoding="utf-8")
    print(MAP)
