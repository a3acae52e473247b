"""Names that hold escape sequences, C1 and bidi controls and ends of lines, in every verb: the terminal sees none."""

import ast
import json
import re
import shutil
from pathlib import Path

import pytest

import neurolm.cli
from neurolm.checkpoint import CONFIG
from neurolm.cli import FAILED, main
from neurolm.cli.show import Display, print_table, terminal
from neurolm.core.table import Table, columns

EVIL = "\x1b]0;p\x07\x1b[31m\x9b2J\u202e\r\nfake: x\x7f"
STEERING = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
LABELS = (b"EEG Fp1\x1b[2J", b"EEG Cz\x9b31m", b"EEG O2\r\nfake: x")


@pytest.fixture(scope="module")
def edf(write_edf, tmp_path_factory):
    """A recording whose folder, name, channels and patient are hostile."""
    path = tmp_path_factory.mktemp("names") / f"s\x1b[31m{EVIL.strip()}" / "x\x1b[2Jy\nfake: verdict.edf"
    write_edf(path, seed=1, seconds=14)
    head = bytearray(path.read_bytes())
    for place, label in enumerate(LABELS):
        head[256 + 16 * place : 272 + 16 * place] = label.ljust(16)
    path.write_bytes(head)
    return path


@pytest.fixture
def said(capsys):
    """Runs a command and returns what it printed, which no terminal minds."""

    def run(*words) -> str:
        main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert not STEERING.search(out + err), (out + err)[:2000]
        assert not re.search("^(fake|neurolm: error: fake)", out + err, re.MULTILINE)
        return out + err

    return run


def test_every_print_of_the_command_is_cleaned():
    """`print` stands where JSON and cleaned lines are printed, rich's consoles are made by one function."""
    for path in Path(neurolm.cli.__file__).parent.glob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        names = [ast.unparse(call.func) for call in calls]
        printed = [ast.unparse(call) for call, name in zip(calls, names, strict=True) if name == "print"]
        assert printed == (["print(as_json(value))"] if path.name == "show.py" else []), path
        assert "Console" not in names and not any(name.endswith(".write") and "sys" in name for name in names), path


def test_inspect(said, edf, tmp_path):
    assert "fake: x" in said("inspect", edf)
    assert "verdict" in said("inspect", edf, edf, "--brief")
    said("inspect", edf.with_name("nothing\x1b[2J\nfake: y.edf"))
    said("inspect", edf, "--plot", tmp_path / "pict\x1bure.png")


def test_json_is_exact(edf, capsys):
    main(["inspect", str(edf), "--json"])
    out = capsys.readouterr().out
    assert not STEERING.search(out)
    (found,) = json.loads(out)
    assert found["file"] == str(edf)
    assert [row["channel"].encode("latin-1") for row in found["coverage"] if row["channel"]] == list(LABELS)


def test_recordings_become_a_store(said, edf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # messages name the store as it is given
    store = Path("st\x1b[31more\nfake: x")
    said("plan", edf.parents[1], "--jobs", 1)
    assert "could not be read" in said("prepare", edf.parents[1], "--out", store, "--jobs", 1)
    kept = Path("kept") / edf.parent.name / edf.name
    kept.parent.mkdir(parents=True)
    kept.write_bytes(edf.read_bytes().replace(LABELS[0], b"EEG Fp1".ljust(len(LABELS[0]))))
    said("prepare", "kept", "--out", store, "--unknown", "drop", "--jobs", 1)
    assert store.joinpath("manifest.jsonl").read_text().count("\n") == 1
    for words in (("store", "info", store), ("store", "check", store), ("overlap", store, "--against", store, "--out",
                  "out\x1b.txt"), ("tasks", "list", "--store", store), ("tasks", "check", store)):  # fmt: skip
        said(*words)
    next((store / "shards").iterdir()).write_bytes(b"")
    assert "damaged" in said("store", "check", store)


def test_tables_and_cards(said, edf, tmp_path):
    said("tasks", "table", edf)
    table = tmp_path / "labels.csv"
    table.write_text(f'file,start,stop,task,label,subject\n"{EVIL}",0,1,events,x,y\n', newline="")
    said("prepare", tmp_path, "--out", tmp_path / "store", "--jobs", 1)
    card = tmp_path / "card.toml"
    shutil.copy(Path(neurolm.__file__).parent / "tasks/cards/workload.toml", card)
    text = card.read_text()
    for key in ("question", "licence", "citation", "description"):
        text = re.sub(rf'^{key} = "', rf'{key} = "\\u001b[31m\\u009b\\u202e', text, flags=re.MULTILINE)
    card.write_text(text)
    assert "�[31m" in said("tasks", "show", card)


def test_models(said, edf, micro_run, tmp_path):
    run = micro_run.copy(tmp_path / "r\x1b[31mun\nfake: x")
    asked = ("Which?\x1b[2J\nfake: x", "--options", "a\x1b[31m,b\x9b", "--unknown", "drop", "--model", run)
    for verb in ("ask", "explain"):
        said(verb, edf, *asked)
    said("runs", run)
    said("report", run, "--out", tmp_path / "re\x1bport.html")
    card = run / "instruct" / CONFIG
    card.write_text(card.read_text().replace('"licences": [', '"li\\u001bcences": ['))
    assert "li�cences" in said("ask", edf, *asked)


@pytest.mark.parametrize("words", [[EVIL], ["inspect", f"--{EVIL}"], ["inspect", "a.edf", "--unit", EVIL],
                                   ["inspect", "a.edf", "--channels", EVIL], ["train", EVIL], ["tasks", EVIL],
                                   ["train", "language", "--tokenizer.steps", EVIL], ["download", EVIL, EVIL],
                                   ["corpora", EVIL], ["train", "language", "--config", EVIL]])  # fmt: skip
def test_arguments(said, words):
    assert "neurolm: error: " in said(*words)


def test_an_unforeseen_error_is_cleaned_too(monkeypatch, capsys):
    assert main(["--version"]) == 0
    import sys

    sys.excepthook(ValueError, ValueError(EVIL), None)
    assert not STEERING.search(capsys.readouterr().err)


def test_tables_and_progress_of_rich(capsys):
    print_table(Table(columns=columns(EVIL), groups=[[(EVIL,)]], title=EVIL, notes=(EVIL,)))
    Display().count("fetching \x1b[2J")(1, 1)
    terminal().print(f"[bold]{'x'}[/bold] \x1b[2J\x9b", style="red")
    out, err = capsys.readouterr()
    assert not STEERING.search(out + err)
    assert main(["nothing"]) == FAILED


def test_styles_reach_a_terminal_and_names_do_not(capsys):
    terminal(force_terminal=True, color_system="standard").print("\x1b]red", style="red", highlight=False)
    assert capsys.readouterr().out == "\x1b[31m�]red\x1b[0m\n"
