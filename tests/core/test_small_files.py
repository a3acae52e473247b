"""What should be small is read in a moment or refused, whatever it is."""

import os
import socket
import time
import tomllib
from pathlib import Path

import pytest
import yaml

from neurolm.core import small_files as files


@pytest.fixture
def unfit(tmp_path) -> dict[str, Path]:
    """What is no small file, by what is said of it."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(8 << 30)
    return {
        r"a pipe \(FIFO\), not a file": tmp_path / "pipe",
        "a device, not a file": tmp_path / "link",
        r"a socket, not a file|No such device": tmp_path / "socket",
        "8,589,934,592 bytes, and such a file has at most 16,777,216": tmp_path / "sparse",
        "directory": tmp_path,
        "No such file": tmp_path / "none",
    }


def test_what_is_no_small_file_is_refused_at_once(unfit):
    began = time.monotonic()
    for said, path in unfit.items():
        with pytest.raises(OSError, match=said):
            files.read_small(path)
    assert time.monotonic() - began < 2


def test_small_files_are_read_as_they_are(tmp_path):
    file = tmp_path / "file"
    file.write_bytes("\ufeffä\r\nb\rc\n".encode())
    (tmp_path / "link").symlink_to(file)
    assert files.read_small(tmp_path / "link") == file.read_bytes()
    assert files.read_text(file) == file.read_text(encoding="utf-8") == "\ufeffä\nb\nc\n"
    assert files.read_text(file, encoding="utf-8-sig") == "ä\nb\nc\n"
    with pytest.raises(files.UnfitFile, match="11 bytes, and such a file has at most 10"):
        files.read_small(file, most=10)
    assert len(files.read_small(file, most=11)) == 11


MANY = 100_000


@pytest.mark.parametrize(
    ("parse", "text", "said"),
    [
        (files.parse_json, "[" * MANY, "nested too deeply"),
        (files.parse_json, f"[{'9' * MANY}]", "a number of thousands of digits"),
        (files.parse_toml, f"a={'[' * MANY}", "nested too deeply"),
        (files.parse_toml, f"a={'9' * MANY}", "a number of thousands of digits"),
        (files.parse_toml, f"\na{'.a' * MANY}=1", "line 2: more than 32 names"),
        (files.parse_toml, f"[{'a . ' * MANY}a]", "line 1: more than 32 names"),
        (files.parse_toml, "x={a" + ".'b'" * MANY + "=1}", "more than 32 names"),
        (files.parse_yaml, "[" * MANY, "nested too deeply"),
        (files.parse_yaml, "- " * MANY, "nested too deeply"),
        (files.parse_yaml, f"a: {'9' * MANY}", "a number of thousands of digits"),
        (files.parse_yaml, "a: &x [1]\nb: *x", "aliases"),
        (files.parse_yaml, "a: [", "expected"),
    ],
)
def test_hostile_settings_cost_no_time(parse, text, said):
    began = time.monotonic()
    with pytest.raises(ValueError, match=said) as raised:
        parse(text)
    assert time.monotonic() - began < 3 and len(str(raised.value)) < 300


def test_settings_are_read_as_the_libraries_read_them():
    for text in ("a: [1, {b: 2}]\nc:\n- d: [e]\n- f: {}\n", 'a: "x" # c\nb: |\n  two\n  lines\n', ""):
        assert files.parse_yaml(text) == yaml.safe_load(text)
    for text in ("a.b.c = 1\n[d.e]\nf = 'a.b'\n", f'x = "{"a." * 31}"', 'x = """\n' + "a\n." * 90 + '"""'):
        assert files.parse_toml(text) == tomllib.loads(text)
