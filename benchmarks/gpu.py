"""Everything that wants a GPU, in eight minutes: equality, speed, side by side, tests

    python benchmarks/gpu.py --out FOLDER --official NeuroLM --gpt2 FOLDER      # on the machine with the GPU
    python benchmarks/gpu.py --out FOLDER --device cpu --quick …                # proves the script without one

Needs a Python whose torch sees the GPU, and neurolm's other dependencies; nothing is downloaded. Packages that it lacks
can be carried as wheels: --wheels FOLDER installs them for this run (docs/benchmarks/gpu.md says how to get them). Each
part has a limit of its own, all have --seconds together; a part that fails does not stop the rest, and what did not run
is said. `gpu.json` and `gpu.md` are written anew after every command, so that what was measured is there whenever the
run ends; `log.txt` has all that was printed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
NEEDED = {"numpy": "numpy", "scipy": "scipy", "pydantic": "pydantic", "safetensors": "safetensors",
          "tokenizers": "tokenizers"}  # fmt: skip
"""What every part imports, and the packages that have it."""
EXTRA = {
    "side by side": {"einops": "einops"},
    "tests": {"pytest": "pytest", "pytest_timeout": "pytest-timeout", "hypothesis": "hypothesis", "mne": "mne",
              "edfio": "edfio", "jsonargparse": "jsonargparse", "docstring_parser": "docstring-parser",
              "sklearn": "scikit-learn", "rich": "rich", "yaml": "PyYAML", "jinja2": "jinja2"},
}  # fmt: skip
"""What a part imports besides."""
STAGES = ("language", "tokenizer", "pretrain", "instruct")
COMPARED = ("tokenizer", "pretrain", "instruct", "tokenise", "answer")
TESTS = ("tests/model", "tests/train/machine", "tests/ask", "tests/test_api.py", "tests/test_checkpoint.py")
"""Those of networks, execution and answers: where there is a GPU, ``auto`` makes them use it."""
LIMITS = {"equality": 100, "speed": 60, "side by side": 75, "tests": 120}
"""Seconds of a command of each part."""
LEAST = 10
"""Seconds with which no command is begun."""


@dataclass
class Command:
    """One command of a part, and what became of it."""

    part: str
    name: str
    words: list[str]
    result: Path | None = None
    """JSON file that it writes."""
    said: str = "not run: no time was left"
    seconds: float = 0.0
    printed: str = ""
    """Its tables."""
    rows: Any = None
    """What is in the file."""
    lacks: str = ""
    """What it needs and was not given."""


def main() -> int:
    arguments = _arguments()
    began, out = time.monotonic(), arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="neurolm-gpu-") as folder:
        return _run_all(arguments, out, _environment(arguments.wheels, Path(folder)), began)


def _run_all(arguments: argparse.Namespace, out: Path, environment: dict[str, str], began: float) -> int:
    machine = _machine(arguments, environment)
    commands = list(_commands(arguments, out))
    (out / "log.txt").write_text("", encoding="utf-8")
    for command in commands:
        left = arguments.seconds - (time.monotonic() - began)
        lacking = command.lacks or _lacking(command.part, environment)
        if machine["trouble"] or lacking:
            command.said = f"not run: {machine['trouble'] or lacking}"
        elif left >= LEAST:
            _run(command, min(LIMITS[command.part] * arguments.patience, left), environment, out)
        print(f"{command.part}, {command.name}: {command.said}", flush=True)
        _write(out, machine, commands)
    _write(out, machine, commands)
    return 0 if all(command.said == "done" for command in commands) else 1


def _commands(arguments: argparse.Namespace, out: Path) -> Iterator[Command]:
    """All that is run, what matters most first."""
    quick, device = arguments.quick, ["--device", arguments.device]
    recipe = "tiny" if quick else "base"

    def command(part: str, name: str, script: str, *words: str) -> Command:
        result = out / f".{part.replace(' ', '-')}-{name}.json"
        return Command(part, name, [sys.executable, str(HERE / script), *device, *words, "--out", str(result)], result)

    if "equality" in arguments.parts:
        yield command("equality", recipe, "equality.py", "--recipe", recipe)
    if "speed" in arguments.parts:
        steps = ["--steps", "1"] if quick else []
        for stage in STAGES:
            yield command("speed", stage, "train.py", "--recipes", recipe, "--stages", stage, *steps)
    if "side by side" in arguments.parts and not (arguments.official and arguments.gpt2):
        words = [sys.executable, str(HERE / "against_official.py")]
        yield Command("side by side", "all", words, lacks="give --official and --gpt2")
    elif "side by side" in arguments.parts:
        sizes = "--layers 1 --hours 0.01 --eeg-batch 1 --text-length 64 --rounds 1 --threads 1" if quick else ""
        variants = ["neurolm"] if quick else ["faithful", "neurolm", "five tokens"]
        faster = [] if arguments.device == "cpu" else ["--compile"]
        theirs = ["--official", str(arguments.official.resolve()), "--gpt2", str(arguments.gpt2.resolve())]
        for stage in COMPARED:
            yield command("side by side", stage, "against_official.py", *theirs, "--stages", stage, "--precisions",
                          "bfloat16", "--variants", *variants, *faster, *sizes.split())  # fmt: skip
    if "tests" in arguments.parts:
        spread = ["-n", "8"] if importlib.util.find_spec("xdist") and not quick else []
        chosen = ["tests/model/test_attention.py"] if quick else TESTS
        yield Command("tests", "pytest", [sys.executable, "-m", "pytest", "-q", *spread, *chosen])


def _run(command: Command, limit: float, environment: dict[str, str], out: Path) -> None:
    """Run a command, with all that it starts, for so many seconds at most."""
    began = time.monotonic()
    log = out / "log.txt"
    with log.open("a", encoding="utf-8") as file:
        file.write(f"\n$ {shlex.join(command.words)}\n")
        file.flush()
        start = file.tell()
        process = subprocess.Popen(command.words, cwd=HERE.parent, env=environment, stdout=file,
                                   stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip
        try:
            status = process.wait(limit)
            command.said = "done" if status == 0 else f"failed with exit status {status}: see log.txt"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # its workers too
            process.wait()
            command.said = f"stopped after {limit:.0f} s"
    command.seconds = time.monotonic() - began
    said = log.read_bytes()[start:].decode(errors="replace").splitlines()
    tables = [line for line in said if line.startswith("|")]
    command.printed = "\n".join(tables if command.part != "tests" else said[-1:])
    if command.result and command.result.exists():
        command.rows = json.loads(command.result.read_text(encoding="utf-8"))
        command.result.unlink()


def _machine(arguments: argparse.Namespace, environment: dict[str, str]) -> dict[str, Any]:
    """What it runs on, and why it cannot, if so."""
    code = (
        "import json, torch; gpu = torch.cuda.is_available(); print(json.dumps({'torch': torch.__version__, "
        "'cuda': torch.version.cuda, 'gpu': torch.cuda.get_device_name() if gpu else None, "
        "'memory_gib': torch.cuda.get_device_properties(0).total_memory / 2**30 if gpu else None}))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout) if done.returncode == 0 else {}
    trouble = "" if found else f"{sys.executable} has no torch"
    if found and arguments.device == "cuda" and not found["gpu"]:
        trouble = "torch sees no CUDA device; --device cpu --quick only proves the script"
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": arguments.device,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "quick": arguments.quick,
        "command": shlex.join(["python", *_anywhere(sys.argv)]),
        "commit": _commit(),
        **found,
        "trouble": trouble,
    }


def _commit() -> str | None:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def _environment(wheels: Path | None, folder: Path) -> dict[str, str]:
    """Where the parts find neurolm, what was carried, and what others compiled before them."""
    paths = [str(HERE.parent / "src")]
    if wheels:
        place = folder / "packages"
        files = sorted(map(str, wheels.glob("*.whl")))
        words = ["-m", "pip", "install", "-q", "--no-index", "--no-deps", "--upgrade", "--target", str(place), *files]
        subprocess.run([sys.executable, *words], check=True)
        paths.append(str(place))
    paths += [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    cache = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "compiled")}
    return os.environ | cache | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def _lacking(part: str, environment: dict[str, str]) -> str:
    """Which packages a part lacks, in words; empty where it lacks none."""
    needed = NEEDED | EXTRA.get(part, {})
    code = f"from importlib.util import find_spec; print(*[n for n in {list(needed)} if find_spec(n) is None])"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    missing = [needed[name] for name in done.stdout.split()]
    return f"packages are missing: {', '.join(missing)} (carry their wheels: --wheels FOLDER)" if missing else ""


def _write(out: Path, machine: dict[str, Any], commands: list[Command]) -> None:
    """Write what is known so far, as JSON and as a page."""
    rows = [asdict(command) | {"words": shlex.join(command.words), "result": None} for command in commands]
    (out / "gpu.json").write_text(json.dumps({"machine": machine, "commands": rows}, indent=2) + "\n", encoding="utf-8")
    lines = ["# On a GPU: equality, speed, side by side", ""]
    lines += [f"- {name}: {value}" for name, value in machine.items() if value not in (None, "")]
    for part in dict.fromkeys(command.part for command in commands):
        lines += ["", f"## {part.capitalize()}", "", "```sh"]
        own = [command for command in commands if command.part == part]
        lines += [*(shlex.join(_shown(command.words)) for command in own), "```", ""]
        header: list[str] = []
        for command in own:
            table = command.printed.splitlines()
            if table[:2] == header and header:
                table = table[2:]
            elif part != "tests":
                header = table[:2]
            lines += table
        lines += ["", *(f"- {one.name}: {one.said}, {one.seconds:.0f} s" for one in own)]
    (out / "gpu.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _shown(words: list[str]) -> list[str]:
    """A command as one would write it anywhere."""
    cut = words[: words.index("--out")] if "--out" in words else words
    return ["python", *_anywhere(cut[1:])]


def _anywhere(words: list[str]) -> list[str]:
    """Words with paths as they are from the repository, others by their names."""
    own = [word.replace(f"{HERE.parent}/", "") for word in words]
    return [Path(word).name if Path(word).is_absolute() else word for word in own]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of gpu.json, gpu.md and log.txt")
    parser.add_argument("--parts", nargs="+", choices=tuple(LIMITS), default=list(LIMITS))
    parser.add_argument("--official", type=Path, help="checkout of the authors' code, for the side-by-side")
    parser.add_argument("--gpt2", type=Path, help="folder with GPT-2's vocab.json and merges.txt, likewise")
    parser.add_argument("--wheels", type=Path, help="folder of wheels of packages that this Python lacks")
    parser.add_argument("--seconds", type=float, default=480, help="that all of it may take")
    parser.add_argument("--patience", type=float, default=1.0, help="times the limit of each part")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny models and few steps")
    arguments = parser.parse_args()
    if arguments.wheels and not any(arguments.wheels.glob("*.whl")):
        parser.error(f"--wheels {arguments.wheels}: no wheels there")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
