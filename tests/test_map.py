"""The map of the house: it has every file once, it is what its script writes, and its picture shows every room."""

import ast
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "neurolm"
PACKAGES = sorted(path for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE)


def script(path: str) -> ModuleType:
    """A script of the documentation as a module."""
    spec = spec_from_file_location(Path(path).stem, ROOT / "docs" / path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKER, DRAWER = script("make_map.py"), script("images/pipeline.py")
MAP = MAKER.MAP.read_text(encoding="utf-8")
LINES = re.findall(r"^- \[[^\]]+\]\(([^)]+)\): (.+)$", MAP, flags=re.MULTILINE)
FILES = [(MAKER.MAP.parent / link).resolve() for link, _ in LINES]


def test_the_map_is_what_its_script_writes():
    assert MAKER.the_map() == MAP, "files or their first lines have changed: run python docs/make_map.py"


def test_every_file_is_in_the_map_once():
    assert len(FILES) == len(set(FILES))
    for folder in ("src/neurolm", "benchmarks", "docs"):
        files = {path for path in (ROOT / folder).rglob("*.py") if path.name != "__init__.py"}
        if folder == "docs":
            files |= set((ROOT / folder).rglob("*.md")) - {MAKER.MAP}
        assert sorted(files - set(FILES)) == []
    rooms = re.findall(r"^#{2,3} (\S+)/$", MAP, flags=re.MULTILINE)
    assert {path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGES} <= set(rooms)


def test_other_files_are_in_the_map_once():
    others = {path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    found = [path for pattern in MAKER.DATA for path in PACKAGE.glob(pattern)]
    assert sorted(found) == sorted(others)
    assert all(f"- `{pattern.split('/', 1)[1]}`: {says}\n" in MAP for pattern, says in MAKER.DATA.items())


def test_what_people_come_to_change_is_there():
    assert len({what for what, _ in MAKER.WHERE}) == len(MAKER.WHERE)
    assert [path for _, path in MAKER.WHERE if not (PACKAGE / path).is_file()] == []


@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: path.parent.relative_to(PACKAGE).as_posix())
def test_a_room_says_what_it_is_for_and_what_to_read_first(path):
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first, _, rest = text.partition("\n")
    assert first.endswith(".") and len(first) <= MAKER.WIDTH
    assert re.search(r"^Read ", rest, flags=re.MULTILINE), f"{path}: say which file to read first"
    lost = [name for name in re.findall(r"`([\w/]+(?:\.py|/))`", text) if not (path.parent / name).exists()]
    assert lost == []


def test_lines_of_the_map_can_be_read_at_a_glance():
    assert [f"{link}: {says}" for link, says in LINES if len(says) > MAKER.WIDTH] == []


def test_a_file_that_does_not_say_what_it_is_for_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(MAKER, "ROOT", tmp_path)
    (tmp_path / "mute.py").write_text("x = 1\n")
    with pytest.raises(ValueError, match=r"mute\.py: says nowhere what it is for"):
        MAKER.first_line(tmp_path / "mute.py")


def test_the_picture_is_what_its_script_draws():
    assert DRAWER.OUT.read_text(encoding="utf-8") == DRAWER.picture(), "run python docs/images/pipeline.py"


def test_the_picture_shows_every_room():
    shown = set(DRAWER.BOXES) | {name for _, names, _ in DRAWER.STRIPS for name in names.split(", ")}
    assert {f"{name}/" for name in MAKER.ROOMS} <= shown
    assert [name for name in shown if not (PACKAGE / name).exists()] == []
    assert {path.parent.name for path in PACKAGES if path.parent.parent == PACKAGE} == set(MAKER.ROOMS)
    assert {name for pair in DRAWER.ARROWS for name in pair} == set(DRAWER.BOXES)
