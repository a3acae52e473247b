"""The house's order: imports go only downwards, nowhere in a circle, and the networks know nothing of files."""

import ast
from pathlib import Path

import pytest

import neurolm

PACKAGE = Path(neurolm.__file__).parent
ORDER = (
    "core", "recording", "store", "corpora", "prepare", "batches", "model", "tasks", "checkpoint", "ask", "live",
    "signals", "train", "evaluation", "hub", "official", "export", "api", "report", "archive", "demo", "server",
    "assistant", "cli",
)  # fmt: skip
"""The rooms from the ground up: each may import those before it."""
APART = {
    "model": {"recording", "store", "corpora", "prepare", "batches"}, "ask": {"train", "evaluation"},
    "live": {"train", "evaluation"},
    "hub": {"train"}, "official": {"train"}, "api": {"train"},
}  # fmt: skip
"""What a room must not import although it lies below."""
INNER = {
    "store": [
        "manifest storage exclusions", "encoding index", "store", "shards", "check info export overlap",
    ],
    "corpora": [
        "source arrays download simulated spreadsheet", "about layouts side_files", "folder tuh raw_eeg",
        "hypnograms resting_state table", "trials",
        "bids events bcic_iv_1 eegmat eegmmidb emobrain grasp_and_lift hmc inria seed siena sleep_edf spis tueg "
        "target_nontarget", "tuab tuev tusl",
    ],
    "prepare": ["journal report", "worker", "channel_names plan", "preparation", "prepare"],
    "batches": ["chat_template", "hub_text", "splits text", "windows", "loader"],
    "train": [
        "backbone left_out figures machine flops feed optim wording", "evidence stage", "loop", "run", "shared",
        "calibrate", "language tokenizer pretrain instruct",
    ],
}  # fmt: skip
"""Levels of the parts of a room, from the ground up: each may import those of the levels below it."""
FILES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def room(module: str) -> str:
    """The room that a module belongs to: `neurolm.store.index` to `store`; the package itself to none."""
    return module.split(".")[1] if "." in module else ""


def imported(source: str) -> set[str]:
    """Modules of neurolm that a source imports, inside functions too; imports for type checking alone don't count."""
    tree = ast.parse(source)
    only_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).split(".")[-1] == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in only_types:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: import by the full name"
            found |= {
                name if (name := f"{node.module}.{alias.name}") in FILES else str(node.module) for alias in node.names
            }
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "import_module":
            found |= {str(ast.literal_eval(argument)) for argument in node.args[:1]}
    return {name for name in found if name.split(".")[0] == "neurolm" and name != "neurolm"}


def violations(name: str, source: str) -> list[str]:
    """The rooms that a room imports although it must not."""
    rooms = {room(module) for module in imported(source)} - {name}
    return sorted(other for other in rooms if ORDER.index(other) > ORDER.index(name) or other in APART.get(name, set()))


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Circles among names, each found once."""
    found, done, path = [], set(), []

    def visit(name: str) -> None:
        path.append(name)
        for other in sorted(arrows.get(name, set())):
            if other in path:
                found.append(path[path.index(other) :])
            elif other not in done:
                visit(other)
        done.add(path.pop())

    for name in sorted(arrows):
        if name not in done:
            visit(name)
    return found


def test_every_room_has_its_place():
    assert {room(module) for module in FILES} - {"", "__main__"} == set(ORDER)


@pytest.mark.parametrize("module", sorted(FILES.keys() - {"neurolm", "neurolm.__main__"}))
def test_imports_go_downwards(module):
    # `neurolm` itself hands out `neurolm.api`, when it is asked for it
    assert violations(room(module), FILES[module].read_text(encoding="utf-8")) == []


def test_modules_import_each_other_in_no_circle():
    arrows = {
        module: imported(path.read_text(encoding="utf-8")) - {module}
        for module, path in FILES.items()
        if module != "neurolm"
    }
    assert circles(arrows) == []


def parts(module: str) -> str:
    """A file or folder of a room: `neurolm.store.overlap.exclusions` to `store.overlap`."""
    return ".".join(module.split(".")[1:3])


def test_parts_of_rooms_form_no_circle():
    arrows: dict[str, set[str]] = {}
    for module, path in FILES.items():
        if module != "neurolm" and not path.name.startswith("__"):
            below = {parts(other) for other in imported(path.read_text(encoding="utf-8"))} - {parts(module)}
            arrows.setdefault(parts(module), set()).update(below)
    assert circles(arrows) == []


@pytest.mark.parametrize("name", INNER)
def test_parts_of_a_room_import_those_of_lower_levels(name):
    level = {part: number for number, those in enumerate(INNER[name]) for part in those.split()}
    found = {module.split(".")[2] for module in FILES if room(module) == name and module.count(".") > 1}
    assert found == level.keys()
    wrong = {
        f"{module} imports {other}"
        for module, path in FILES.items()
        if room(module) == name and module.count(".") > 1
        for other in imported(path.read_text(encoding="utf-8"))
        if room(other) == name and parts(other) != parts(module)
        if level[other.split(".")[2]] >= level[module.split(".")[2]]
    }
    assert wrong == set()


@pytest.mark.parametrize(
    ("name", "source", "found"),
    [
        ("store", "from neurolm.model.gpt2 import GPT2", ["model"]),
        ("model", "def f():\n    from neurolm.store import store", ["store"]),
        ("model", "from neurolm import checkpoint", ["checkpoint"]),
        ("core", "import neurolm.train.loop", ["train"]),
        ("ask", "from neurolm.train import loop", ["train"]),
        ("tasks", "from importlib import import_module\nimport_module('neurolm.api')", ["api"]),
        ("store", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from neurolm.model import gpt2", []),
        ("train", "import torch\nfrom neurolm.store.store import Store\nfrom neurolm.core.errors import DataError", []),
    ],
)
def test_a_breach_is_seen(name, source, found):
    assert violations(name, source) == found


def test_a_circle_is_seen():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c"]]
