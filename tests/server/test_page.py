"""The page's files: served as they should be, closed to anything from elsewhere, and complete."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import requests

import neurolm.server
from neurolm.recording.suffixes import RECORDING_SUFFIXES

PAGE = Path(neurolm.server.__file__).with_name("page")
ASSETS = sorted(path for path in PAGE.rglob("*") if path.is_file())
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}
IMPORT = re.compile(r"""(?:^\s*(?:import|export)\b[^;"']*?\bfrom\s*|\bimport\s*\(?\s*)["']([^"']+)["']""", re.MULTILINE)
POLICY = {
    "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self' data: blob:",
    "connect-src": "'self'", "font-src": "'self'", "base-uri": "'none'", "form-action": "'none'",
    "frame-ancestors": "'none'",
}  # fmt: skip


def named(path: Path) -> str:
    return path.relative_to(PAGE).as_posix()


class _Tags(HTMLParser):
    """Every tag of a page with its attributes, and the text within scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] in ("script", "style"):
            self.inline += data.strip()


@pytest.mark.parametrize("path", ASSETS, ids=named)
def test_assets_are_served_with_their_types_and_a_strict_policy(client, path):
    found = client.get(f"/assets/{named(path)}")
    assert found.status_code == 200 and found.content == path.read_bytes()
    assert found.headers["content-type"].partition(";")[0] == TYPES[path.suffix]
    policy = dict(part.strip().split(" ", 1) for part in found.headers["content-security-policy"].split(";"))
    assert policy == POLICY
    assert found.headers["x-content-type-options"] == "nosniff"


def test_the_page_holds_no_script_and_no_style_itself(client):
    found = client.get("/")
    assert found.status_code == 200 and found.headers["content-type"].startswith("text/html")
    page = _Tags(found.text)
    assert page.inline == ""
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name == "style" or name.startswith("on")], tag
        for name in ("src", "href"):
            address = attributes.get(name)
            assert address is None or address.startswith(("#", "assets/")), address
            if address and address.startswith("assets/"):
                assert (PAGE / address.removeprefix("assets/")).is_file()


@pytest.mark.parametrize("path", [path for path in ASSETS if path.suffix == ".js"], ids=named)
def test_modules_import_only_modules_that_are_there(path):
    for target in IMPORT.findall(path.read_text(encoding="utf-8")):
        assert target.startswith("."), f"{target}: nothing comes from elsewhere"
        assert (path.parent / target).resolve().is_relative_to(PAGE)
        assert (path.parent / target).is_file(), target


@pytest.mark.parametrize("path", ASSETS, ids=named)
def test_nothing_names_an_address_elsewhere(path):
    text = path.read_text(encoding="utf-8")
    assert [found for found in re.findall(r"https?://[^\s\"'`)]+", text) if found != "http://www.w3.org/2000/svg"] == []


@pytest.mark.parametrize("path", [path for path in ASSETS if path.suffix == ".js"], ids=named)
def test_no_text_becomes_markup_or_code(path):
    text = path.read_text(encoding="utf-8")
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert word not in text


def test_the_formats_that_the_page_names_are_those_that_can_be_opened():
    said = re.search(r"const FORMATS =\s*(.+?);", (PAGE / "panels/start.js").read_text(encoding="utf-8"), re.DOTALL)
    assert said is not None
    of = {
        "EDF": ".edf", "BDF": ".bdf", "BrainVision": ".vhdr", "EEGLAB": ".set", "FIF": ".fif", "GDF": ".gdf",
        "XDF": ".xdf", "Neuroscan": ".cnt", "ANT": ".cnt", "Curry": ".cdt", "EGI": ".raw", "Nihon Kohden": ".eeg",
        "Persyst": ".lay",
        "Nicolet": ".data", "WFDB": ".hea", "MATLAB": ".mat", "NumPy": ".npy", "CSV": ".csv", "Parquet": ".parquet",
    }  # fmt: skip
    text = re.sub(r'"\s*\+\s*"', "", said[1])
    assert {name.removesuffix("+").strip() for name in re.split(r", | and ", text.strip('"'))} == set(of)
    assert set(of.values()) <= set(RECORDING_SUFFIXES)


def test_remedies_are_spelled_as_the_page_looks_for_them(running, eeg_folder):
    """Under the command, too, where messages would name flags: the page finds in them which setting to offer."""
    whole = (eeg_folder / "anna.edf").read_bytes()
    files = {"files": ("short.edf", whole[: len(whole) // 2])}
    entry = requests.post(f"{running.api}/recordings", files=files, timeout=60).json()
    at = f"{running.api}/recordings/{entry['id']}"
    (problem,) = requests.get(f"{at}/inspection", timeout=60).json()["problems"]
    assert "truncated='accept'" in problem and "--" not in problem
    assert requests.put(f"{at}/reading", json={"truncated": "accept"}, timeout=60).json()["usable"]
