"""Files of strangers are read and parsed in a few places, which have limits; nothing is unpickled."""

import ast
from pathlib import Path

import neurolm

PACKAGE = Path(neurolm.__file__).parent
PLACES = {
    "json.loads": {"core/small_files.py", "cli/settings.py"},  # there: what to_json has just written
    "json.load": set(),
    "tomllib.loads": {"core/small_files.py"},
    "tomllib.load": set(),
    "yaml.safe_load": {"core/small_files.py"},
    "yaml.load": set(),
    "pickle.load": set(),
    "pickle.loads": {"core/workers.py"},  # what this process has written to a process of its own
    "eval": set(),
    "exec": set(),
}
"""Calls, and the files that may make them."""
OWN = {
    "cli/__init__.py", "hub/model_card.py", "batches/text.py", "report/overview_page.py",  # what ships with neurolm
    "recording/isolation.py", "batches/chat_template.py",  # of Linux
    "prepare/journal.py", "evaluation/baselines/fit.py", "hub/publish.py", "core/files.py",  # what neurolm wrote
    "archive/worker.py",  # answers that neurolm wrote
}  # fmt: skip
"""Files that read a whole file otherwise than by `read_small`."""


def calls():
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield name, ast.unparse(node.func), node


def test_parsers_are_called_where_they_have_limits():
    for file, function, _ in calls():
        assert function not in PLACES or file in PLACES[function], (file, function)


def test_whole_files_are_read_by_one_function():
    methods = {"read_bytes", "read_text"}
    found = {file for file, function, _ in calls() if "." in function and function.rpartition(".")[2] in methods}
    assert found <= OWN, sorted(found - OWN)


def test_nothing_is_unpickled():
    for file, function, call in calls():
        named = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        if function == "torch.load":
            assert named.get("weights_only") == "True", file
        if function in ("np.load", "numpy.load"):
            assert named.get("allow_pickle") == "False", file
