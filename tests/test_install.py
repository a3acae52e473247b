"""What is installed: pinned, within the bounds of pyproject.toml, and without what breaks it."""

import importlib.util
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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


def test_pins_fit_a_cpu_build_of_torch_as_well():
    assert not any("+" in version for version in PINS.values())


def test_torchvision_is_absent():
    # Beside a CPU build of torch, transformers imports it and fails.
    assert importlib.util.find_spec("torchvision") is None
