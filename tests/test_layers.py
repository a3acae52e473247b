"""The house's order: imports go only towards lower layers, and `data` and `model` never import each other."""

import ast
from pathlib import Path

import pytest

import neurolm

PACKAGE = Path(neurolm.__file__).parent
LAYERS = {
    0: {"errors", "files", "distributed", "montage", "vocab", "batch", "config", "recipes"},
    1: {"data", "model"},
    2: {"tasks", "metrics", "checkpoint", "official", "official_file", "convert", "model_card", "engine"}
    | {"answering", "answers", "calibration", "novelty", "risk", "explanation"},
    3: {"train", "evaluation", "verify", "publish", "reading", "asking"},
    4: {"api"},
    5: {"__main__", "cli", "demo", "report"},
}
LAYER = {name: number for number, names in LAYERS.items() for name in names}
MODULES = sorted(PACKAGE.rglob("*.py"))


def part(module: str) -> str:
    """The part of the house that a module belongs to: `neurolm.data.store` to `data`."""
    return module.split(".")[1] if "." in module else ""


def imported(source: str) -> set[str]:
    """Parts of neurolm that a source imports, inside functions too; imports for type checking alone don't count."""
    tree = ast.parse(source)
    only_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).split(".")[-1] == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    found = set()
    for node in ast.walk(tree):
        if node in only_types:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: import by the full name"
            found |= (
                {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "neurolm" else {node.module}
            )
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "import_module":
            found |= {str(ast.literal_eval(argument)) for argument in node.args[:1]}
    return {part(name) for name in found if name and name.split(".")[0] == "neurolm"} & LAYER.keys()


def violations(name: str, source: str) -> list[str]:
    """What a part of the house imports although it must not."""
    return [
        other
        for other in sorted(imported(source) - {name})
        if LAYER[other] > LAYER[name] or {name, other} == {"data", "model"}
    ]


def test_every_part_has_a_layer():
    parts = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES} - {"__init__"}
    assert parts == set(LAYER)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downwards(path):
    name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if name == "__init__":  # `neurolm` itself hands out `neurolm.api`, when it is asked for it
        return
    assert violations(name, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("name", "source", "found"),
    [
        ("data", "from neurolm.model.gpt2 import GPT2", ["model"]),
        ("model", "def f():\n    from neurolm.data import store", ["data"]),
        ("model", "from neurolm import checkpoint", ["checkpoint"]),
        ("config", "import neurolm.train.loop", ["train"]),
        ("metrics", "from importlib import import_module\nimport_module('neurolm.api')", ["api"]),
        ("data", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from neurolm.model import gpt2", []),
        ("train", "import torch\nfrom neurolm.data.store import Store\nfrom neurolm.errors import ConfigError", []),
    ],
)
def test_a_breach_is_seen(name, source, found):
    assert violations(name, source) == found
