"""The prepared run on a GPU: what fails, hangs or lacks something is said, and stops nothing else."""

import argparse
import importlib.util
import json
import math
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def load(name, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def script(monkeypatch):
    return load("gpu", monkeypatch)


def run(script, monkeypatch, out, commands, *arguments):
    """Run made-up commands; returns the exit status, and what the files say."""
    monkeypatch.setattr(script, "_commands", lambda *_: iter(commands))
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--out", str(out), "--device", "cpu", *arguments])
    status = script.main()
    return status, json.loads((out / "gpu.json").read_text()), (out / "gpu.md").read_text()


def python(script, part, name, code, **more):
    return script.Command(part, name, [sys.executable, "-c", code], **more)


def test_what_fails_or_hangs_stops_nothing_else(script, monkeypatch, tmp_path):
    result = tmp_path / "a.json"
    commands = [
        python(script, "speed", "broken", "raise SystemExit(3)"),
        python(script, "speed", "endless", "print('| a |', flush=True); import time; time.sleep(100)"),
        python(script, "speed", "good", f"print('| a |'); print('|---|'); print('| 1 |'); "
               f"open({str(result)!r}, 'w').write('[1]')", result=result),
    ]  # fmt: skip
    monkeypatch.setitem(script.LIMITS, "speed", 2)
    status, found, page = run(script, monkeypatch, tmp_path / "out", commands)
    assert status == 1
    assert [one["said"] for one in found["commands"]] == [
        "failed with exit status 3: see log.txt", "stopped after 2 s", "done",
    ]  # fmt: skip
    assert (found["commands"][1]["printed"], found["commands"][2]["rows"]) == ("| a |", [1])
    assert "| 1 |" in page and "- endless: stopped after 2 s" in page
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"gpu.json", "gpu.md", "log.txt"}


def test_what_cannot_run_is_said(script, monkeypatch, tmp_path):
    commands = [
        python(script, "speed", "none", "1/0", lacks="give a checkout"),
        python(script, "tests", "lacking", "1/0"),
        python(script, "equality", "late", "1/0"),
    ]
    monkeypatch.setitem(script.EXTRA, "tests", {"no_such_module": "no-such-package"})
    status, found, _ = run(script, monkeypatch, tmp_path, commands, "--seconds", "5")
    assert status == 1
    first, second, third = [one["said"] for one in found["commands"]]
    assert first == "not run: give a checkout"
    assert second.startswith("not run: packages are missing: no-such-package (carry their wheels")
    assert third == "not run: no time was left"


def test_all_parts_have_commands_with_files_of_their_own(script, tmp_path):
    arguments = argparse.Namespace(
        quick=False, device="cuda", parts=list(script.LIMITS), official=tmp_path, gpt2=tmp_path
    )
    commands = list(script._commands(arguments, tmp_path))
    assert {one.part for one in commands} == set(script.LIMITS)
    results = [one.result for one in commands if one.result]
    assert len(set(results)) == len(results) == len(commands) - 1
    for one in commands[:-1]:
        assert Path(one.words[1]).is_file() and one.words[2:4] == ["--device", "cuda"]
    arguments.official = None
    assert [one.lacks for one in script._commands(arguments, tmp_path) if one.lacks] == ["give --official and --gpt2"]


def test_equality_sees_differences(monkeypatch, capsys, tmp_path):
    equality = load("equality", monkeypatch)
    assert not equality.Difference("loss", "pretrain", "float32", False, math.nan, 1.0).holds
    assert equality._apart("codes", equality.np.array([1, 2, 3, 4]), equality.np.array([1, 2, 3, 5])) == 0.25
    assert equality._apart("loss", equality.np.array([-2.0]), equality.np.array([-2.5])) == 0.25
    numbers = equality.numbers

    def wrong(settings):  # as a device would whose sums are off
        found = numbers(settings)
        return found if settings.precision == "float32" else found | {"loss": found["loss"] * 1.02}

    monkeypatch.setattr(equality, "numbers", wrong)
    out = tmp_path / "found.json"
    given = ["equality.py", "--device", "cpu", "--recipe", "tiny", "--layers", "1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", given)
    assert equality.main() == 1
    rows = json.loads(out.read_text())
    found = {(row["of"], row["precision"]): row["holds"] for row in rows}
    assert (found["loss", "bfloat16"], found["answers", "bfloat16"]) == (False, True)
    assert all(row["found"] == 0 for row in rows if row["precision"] == "float32")
    assert "**no**" in capsys.readouterr().out
