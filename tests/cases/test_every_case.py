"""Every case that failed once is walked by a test of this folder, which demands what is right."""

from pathlib import Path


def test_every_case_is_walked(shared: Path) -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    cases = sorted(path.name for path in (shared / "cases").iterdir() if path.is_dir() and path.name != "_make")
    assert len(cases) > 30
    assert [name for name in cases if f'"{name}' not in tests and f"/{name}/" not in tests] == []
