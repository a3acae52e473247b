"""CPU time of short commands as whole processes, and of the parts of an answer

    python benchmarks/startup.py --model runs/demo FILE [--question "…"] [--rounds 7]

Runs Python alone, importing torch alone (the floor of every answer), and verbs of neurolm on a recording, each in a
process of its own, all in turn, and prints the median and range of the CPU seconds (user and system); then the parts of
an answer, each the median of as many processes. What an interpreter compiled before is used, as after an installation.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

PARTS = """
import json, resource, sys
def used():
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return spent.ru_utime + spent.ru_stime
marks = [("Python", used())]
import torch
marks.append(("import torch", used()))
import scipy.fft, scipy.special
marks.append(("import SciPy's transforms", used()))
from neurolm.ask.recording import read_recording
from neurolm.api.model import load
marks.append(("import neurolm", used()))
model = load(sys.argv[1])
marks.append(("load the model", used()))
from neurolm.recording.options import ReadingOptions
reading = ReadingOptions(unknown="nearest")
read_recording(sys.argv[2], model.card, reading=reading, unseen="nearest")
marks.append(("read and filter the recording", used()))
model.ask(sys.argv[2], sys.argv[3], reading=reading)
marks.append(("answer, and read once more", used()))
print(json.dumps([(name, now - last) for (name, now), (_, last) in zip(marks, [("", 0.0), *marks])]))
"""


def main() -> None:
    arguments = _arguments()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    asked = [arguments.file, arguments.question, "--model", arguments.model]
    with tempfile.TemporaryDirectory() as folder:
        features = ["--out", str(Path(folder) / "features.npz")]
        commands = {
            "`python -c pass`": ["-c", "pass"],
            "`import torch`, the floor": ["-c", "import torch"],
            "`neurolm --help`": ["-m", "neurolm", "--help"],
            "`neurolm inspect`": ["-m", "neurolm", "inspect", arguments.file],
            "`neurolm embed`": ["-m", "neurolm", "embed", arguments.file, "--model", arguments.model, *features],
            "`neurolm ask`": ["-m", "neurolm", "ask", *asked],
        }
        found = {name: [] for name in commands}
        for round_ in range(arguments.rounds + 1):
            for name, words in commands.items():
                seconds = spent(words)
                found[name] += [seconds] if round_ else []  # the first warms the disk's cache, and compiles
    print("| process | CPU s | range |", "|---|---|---|", sep="\n")
    for name, every in found.items():
        print(f"| {name} | {median(every):.2f} | {min(every):.2f}–{max(every):.2f} |")
    words = ["-c", PARTS, arguments.model, arguments.file, arguments.question]
    parts = [json.loads(_run(words)) for _ in range(arguments.rounds)]
    print("", "| part of `ask` | CPU s |", "|---|---|", sep="\n")
    for same in zip(*parts, strict=True):
        print(f"| {same[0][0]} | {median(seconds for _, seconds in same):.2f} |")


def spent(words: list[str]) -> float:
    """CPU seconds of a process of Python, and of those that it started."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _run(words)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _run(words: list[str]) -> str:
    return subprocess.run([sys.executable, *words], check=True, capture_output=True, text=True).stdout


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="a recording of some two minutes")
    parser.add_argument("--model", required=True, help="folder of a run")
    parser.add_argument("--question", default="Is this EEG segment of high workload?")
    parser.add_argument("--rounds", type=int, default=7)
    return parser.parse_args()


if __name__ == "__main__":
    main()
