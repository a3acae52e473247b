"""Damage headers and side files at random, and see that every one is read or refused.

In bounded time and memory.

    python benchmarks/fuzz.py                          # 10,000 cases
    python benchmarks/fuzz.py --cases 300 --seed 7     # a quick look at other ones
    python benchmarks/fuzz.py --case "EDF+:0:117" --keep folder    # one again, with its traceback; keeps its files

A case is a small sound recording (or corpus, or store) of which a header or a side file is damaged, one to five times:
bits flipped, fields removed, doubled, swapped, numbers that are huge, negative or none, wrong encodings, truncation.
It is then opened, read, prepared and inspected as a user would. The rule: either that succeeds, or a NeuroLMError names
the file. Every other exception, a crash, more than SECONDS of a processor or MEMORY more than the process had before,
and a message that names no file count as found. Cases depend on the seed alone; they run in processes of their own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import resource
import selectors
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
sys.path.insert(0, str(Path(__file__).resolve().parent))
from fuzzing.kinds import base, kinds  # noqa: E402

CASES = 10_000
SECONDS = 10.0
"""Processor time that a case may take."""
MEMORY = 512 << 20
"""Bytes of memory that a case may take beyond what the process has before it."""
ADDRESSES = 5 << 30
"""Bytes of address space that it may ask for: readers ask for as much as a header says before they see the end of a
file, which takes no memory until it is written to."""
PATIENCE = 90.0
"""Seconds after which a process that says nothing is stopped: something waits."""
BATCH = 400
"""Cases in a process."""
RULES = ("accepted", "refused")
FOUND = ("other exception", "names no file", "too much memory", "too slow", "crashed")


class TooSlow(BaseException):
    """The time is up; no reader catches this."""


def case_ids(count: int, seed: int, only: Sequence[str] = ()) -> list[str]:
    """The cases: of each kind its share, at least one; those that share a process follow one another."""
    chosen = {name: kind for name, kind in kinds().items() if not only or name in only}
    total = sum(kind.share for kind in chosen.values())
    return [
        f"{name}:{seed}:{number}"
        for name, kind in chosen.items()
        for number in range(math.ceil(count * kind.share / total))
    ]


def write_case(case: str, folder: Path) -> None:
    """Write the damaged files of a case."""
    for name, content in kinds()[case.split(":")[0]].mutated(Random(case)).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def run_case(case: str, folder: Path) -> tuple[str, str]:
    """Run a case; returns an outcome of ``RULES`` or ``FOUND``, and what was said."""
    from neurolm.core.errors import NeuroLMError

    write_case(case, folder)
    names = [str(folder), *(path.name for path in folder.rglob("*") if path.is_file())]
    before = _peak(reset=True)
    signal.setitimer(signal.ITIMER_PROF, SECONDS, 1.0)
    try:
        kinds()[case.split(":")[0]].run(folder, Random(f"{case}:run"))
        outcome, said = "accepted", ""
    except NeuroLMError as error:
        outcome, said = "refused", str(error)
        if _memory(error):
            outcome = "too much memory"
        elif "did not answer within" in said:  # a reader in a process of its own
            outcome = "too slow"
        elif not any(name in said for name in names):
            outcome = "names no file"
        if outcome != "refused":
            said = f"{said}\n{traceback.format_exc()}"
    except TooSlow:
        outcome, said = "too slow", traceback.format_exc()
    except Exception as error:
        outcome, said = "too much memory" if _memory(error) else "other exception", traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
    if (taken := _peak() - before) > MEMORY:
        outcome, said = "too much memory", f"{taken >> 20} MiB\n{said}"
    return outcome, said


def _peak(*, reset: bool = False) -> int:
    """Most bytes of memory that this process held since the last reset (Linux)."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) << 10


def _memory(error: BaseException | None) -> bool:
    """Whether memory was the cause."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _stop(_number: int, _frame: object) -> None:
    raise TooSlow


def work() -> None:
    """Run the cases that standard input names, a line each; say of each when it begins and how it ends."""
    import warnings

    from neurolm.core.errors import NeuroLMError
    from neurolm.recording import isolation as isolated

    cases = [line.strip() for line in sys.stdin]
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    sys.stdout = sys.stderr  # readers print
    warnings.simplefilter("ignore")
    isolated.PATIENCE = SECONDS * 3
    signal.signal(signal.SIGPROF, _stop)
    for name in dict.fromkeys(case.split(":")[0] for case in cases):  # what is loaded once is no case's
        with tempfile.TemporaryDirectory() as folder:
            for file, content in base(kinds()[name].files).items():
                (Path(folder) / file).parent.mkdir(parents=True, exist_ok=True)
                (Path(folder) / file).write_bytes(content)
            for seed in range(2 if kinds()[name].alone else 4):
                with contextlib.suppress(NeuroLMError):  # in a unit in which it cannot be EEG, say
                    kinds()[name].run(Path(folder), Random(seed))
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + ADDRESSES, taken + ADDRESSES))
    for case in cases:
        print(json.dumps({"begins": case}), file=out, flush=True)
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            outcome, said = run_case(case, Path(folder) / "case")
        print(json.dumps([case, outcome, said[-4000:], time.perf_counter() - began]), file=out, flush=True)


def run_all(cases: Sequence[str]) -> Iterator[tuple[str, str, str, float]]:
    """Run cases in processes of their own; yields case, outcome, what was said, and seconds."""
    left = list(cases)
    while left:
        batch = left[:BATCH]
        process = subprocess.Popen(
            [sys.executable, __file__, "--work"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            stderr=None if os.environ.get("FUZZ_DEBUG") else subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("\n".join(batch) + "\n")
        process.stdin.close()
        begun, done = "", 0
        for line in _lines(process):
            message = json.loads(line)
            if isinstance(message, dict):
                begun = message["begins"]
            else:
                begun, done = "", done + 1
                yield tuple(message)
        code = process.wait()
        process.stdout.close()
        if begun:
            yield begun, "crashed", f"exit status {code}", 0.0
            done += 1
        elif done < len(batch):
            raise RuntimeError(f"the process of {batch[0]} ended (exit status {code}) before its cases began")
        left = left[done:]


def _lines(process: subprocess.Popen) -> Iterator[str]:
    """Lines of a process; one that says nothing for long is killed."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        os.set_blocking(process.stdout.fileno(), False)
        rest = ""
        while True:
            if not selector.select(PATIENCE):
                process.kill()
                return
            part = os.read(process.stdout.fileno(), 1 << 16).decode()
            if not part:
                return
            *whole, rest = (rest + part).split("\n")
            yield from whole


def show(case: str, keep: Path | None) -> None:
    """Run one case here."""
    signal.signal(signal.SIGPROF, _stop)
    with tempfile.TemporaryDirectory() as folder:
        place = keep or Path(folder) / "case"
        outcome, said = run_case(case, place)
    print(f"{case}: {outcome}\n{said}")


def main() -> int:
    """Run; the exit status is 1 if something was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=CASES, help=f"how many ({CASES:,})")
    parser.add_argument("--seed", type=int, default=0, help="other cases (0)")
    parser.add_argument("--only", nargs="*", default=(), metavar="KIND", help="only of these kinds")
    parser.add_argument("--case", metavar="KIND:SEED:NUMBER", help="one case, here")
    parser.add_argument("--keep", type=Path, help="folder for the files of --case")
    parser.add_argument("--out", type=Path, help="JSON Lines of everything that was found")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work()
        return 0
    if given.case:
        show(given.case, given.keep)
        return 0
    began = time.perf_counter()
    counts: dict[str, Counter[str]] = {}
    slowest: dict[str, float] = {}
    found: list[dict[str, Any]] = []
    for case, outcome, said, seconds in run_all(case_ids(given.cases, given.seed, given.only)):
        name = case.split(":")[0]
        counts.setdefault(name, Counter())[outcome] += 1
        slowest[name] = max(slowest.get(name, 0.0), seconds)
        if outcome not in RULES:
            found.append({"case": case, "outcome": outcome, "said": said})
            print(f"found: {case}: {outcome}: {said.strip().splitlines()[-1][:200]}", file=sys.stderr, flush=True)
            if given.out:
                given.out.write_text("".join(json.dumps(one) + "\n" for one in found))
    heads = (*RULES, *FOUND)
    print(f"{'kind':<22} {'cases':>6} " + " ".join(f"{head:>15}" for head in heads) + f" {'slowest':>8}")
    for name, of in [*counts.items(), ("all", sum(counts.values(), Counter()))]:
        figures = " ".join(f"{of[head]:>15,}" for head in heads)
        print(f"{name:<22} {of.total():>6,} {figures} {slowest.get(name, max(slowest.values())):>6.2f} s")
    print(f"{time.perf_counter() - began:.0f} s")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
