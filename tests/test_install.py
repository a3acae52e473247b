"""What is installed: pinned, within the bounds of pyproject.toml, and without what breaks it."""

import ast
import importlib.util
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from neurolm.recording import faults

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LINES = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
PINS = {
    canonicalize_name(name): version
    for name, version in (line.split("==") for line in LINES if line and not line.startswith("#"))
}
WANTED = [
    *PROJECT["build-system"]["requires"],
    *PROJECT["project"]["dependencies"],
    *(
        wanted
        for extra in PROJECT["project"]["optional-dependencies"].values()
        for wanted in extra
        if not wanted.startswith("neurolm[")
    ),
]


@pytest.mark.parametrize("wanted", WANTED)
def test_every_dependency_is_pinned_within_its_bounds(wanted):
    requirement = Requirement(wanted)
    version = PINS[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version)


def test_the_files_of_every_pin_have_hashes_but_torch():
    """One for each system and version of Python; torch has builds of several origins."""
    entries = (ROOT / "hashes.txt").read_text(encoding="utf-8").replace("\\\n", "").splitlines()
    found = {}
    for entry in entries:
        if entry and not entry.startswith("#"):
            requirement, *hashes = entry.split()
            name, _, version = requirement.partition("==")
            found[canonicalize_name(name)] = version
            assert hashes and all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes), requirement
    builds = {name for name in PINS if re.match(r"(torch|triton)$|nvidia-|cuda-", name)}
    assert found == {name: version for name, version in PINS.items() if name not in builds}


def test_pins_fit_a_cpu_build_of_torch_as_well():
    assert not any("+" in version for version in PINS.values())


def test_torchvision_is_absent():
    # Beside a CPU build of torch, transformers imports it and fails.
    assert importlib.util.find_spec("torchvision") is None


EXTRAS = {
    canonicalize_name(Requirement(wanted).name): extra
    for extra, all_wanted in reversed(PROJECT["project"]["optional-dependencies"].items())  # the first counts
    if extra not in ("benchmark", "dev")
    for wanted in all_wanted
}
"""Package → the extra that brings it."""
BASE = {canonicalize_name(Requirement(wanted).name) for wanted in PROJECT["project"]["dependencies"]}
CALLED = {"sklearn": "scikit-learn", "yaml": "pyyaml", "markupsafe": "jinja2", "botocore": "fsspec", "PIL": "fpdf2",
          "fpdf": "fpdf2"}  # fmt: skip
"""What is imported → the dependency that brings it, where it has another name."""
BROUGHT_BY_MCP = {"mcp", "uvicorn", "pydantic", "anyio"}
"""What the room of the assistants' tools imports: the extra, and what the protocol's package itself is made of."""


def imported(source: str) -> set[str]:
    """Packages that a file imports when it runs: what is for type checking alone need not be there."""
    tree = ast.parse(source)
    typed = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    found = set()
    for node in set(ast.walk(tree)) - typed:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return {canonicalize_name(CALLED.get(name, name)) for name in found - sys.stdlib_module_names - {"neurolm"}}


def test_whoever_imports_what_need_not_be_there_names_its_extra():
    for path in sorted((ROOT / "src").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for package in imported(text) - BASE:
            if "recording" in path.parts and package in faults._EXTRAS:
                continue  # said where readers are called
            if "server" in path.parts and EXTRAS.get(package) == "serve":
                continue  # said by `neurolm serve`, where the room is entered
            if "assistant" in path.parts and package in BROUGHT_BY_MCP:
                continue  # said by `neurolm mcp`
            assert package in EXTRAS, f"{path}: {package} is no dependency"
            named = {f"neurolm[{EXTRAS[package]}]", "neurolm[{name}]"}  # the second where a name is that of its extra
            assert any(one in text for one in named), f"{path}: say that {package} comes with {EXTRAS[package]}"


def test_what_readers_of_mne_miss_comes_with_an_extra(tmp_path):
    brought = PROJECT["project"]["optional-dependencies"]
    for module, extra in faults._EXTRAS.items():
        assert module in {canonicalize_name(Requirement(wanted).name) for wanted in brought[extra]}
        with (
            pytest.raises(faults.RecordingError, match=rf"pip install 'neurolm\[{extra}\]'"),
            faults.as_recording_error(tmp_path / "x", "cannot be read"),
        ):
            raise ImportError(f"For reading X to work, the module {module} is needed, but it could not be imported.")
