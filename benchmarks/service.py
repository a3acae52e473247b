"""The service under load: many clients at once, each answer compared with the one that is known.

    python benchmarks/service.py --model runs/mine --folder recordings > docs/benchmarks/service.md
    python benchmarks/service.py --model runs/mine --folder recordings --uploads 1000

Starts `neurolm serve` on this machine, asks with one client, then with many at once (recordings and questions drawn for
each request), and prints a page: answers per second, how long they took, errors, and answers that are not those of
`Model.ask`, or another question's. With --uploads, so many recordings are uploaded and deleted afterwards, and the
memory of the service and of its processes is read. Exits 1 if an answer is wrong or missing, or memory grows.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import fill

import numpy as np

import neurolm
from neurolm.api.remote import RemoteModel
from neurolm.ask.answer import Answer
from neurolm.recording.options import ReadingOptions
from neurolm.recording.suffixes import find_recordings

FREE = (
    ("Is the subject asleep?", ("asleep", "awake")),
    ("Which hand moves?", ("left", "right", "none of them")),
    ("Are the eyes closed?", ("Yes", "No")),
)
"""Questions of one's own that are asked beside the model's."""
CLOSE = 1e-5
"""By how much a probability may differ from that of the question alone: rounding."""
LIMIT = 200_000
"""Requests that a run makes at most."""
WIDTH = 120
WARM, GROWTH = 100, 32
"""Uploads after which memory is read for the first time, and MiB by which it may have grown at the end."""


@dataclass(frozen=True)
class Question:
    """What is asked about which recording, and the answer that is known."""

    id: str
    text: str
    options: tuple[str, ...] | None
    known: Answer


@dataclass
class Outcome:
    """What became of the requests of some clients."""

    seconds: list[float] = field(default_factory=list)
    """How long each took."""
    errors: list[str] = field(default_factory=list)
    wrong: int = 0
    """Answers that are not the known one."""
    mixed: int = 0
    """Of these, answers that are another question's."""
    difference: float = 0.0
    """Largest of a probability."""
    lasted: float = 0.0


def main() -> int:
    """Measure, and print the page."""
    given = arguments()
    files = find_recordings(given.folder)[: given.recordings]
    with tempfile.TemporaryDirectory() as scratch, served(given.model, given.folder, Path(scratch)) as (process, url):
        with closing(neurolm.connect(url)) as remote:
            asked = questions(neurolm.load(given.model, device="cpu"), files, given.folder, remote)
        alone = load(url, asked, clients=1, seconds=given.alone)
        before = memory(process.pid)
        many = load(url, asked, clients=given.clients, seconds=given.seconds)
        after = memory(process.pid)
        print(page(given, asked, alone, many, (before, after)))
        small = min(files, key=lambda file: file.stat().st_size)
        grown = uploads(url, process.pid, small, given.uploads) if given.uploads else None
    if grown is not None:
        first, last = grown
        print(
            f"\n{given.uploads:,} recordings of {small.stat().st_size / 1e6:.1f} MB uploaded and deleted, one after "
            f"the other: the service and its processes had {first:,.0f} MiB after {min(WARM, given.uploads // 2)} of "
            f"them and {last:,.0f} MiB at the end."
        )
    failed = many.errors or many.wrong or alone.errors or alone.wrong
    return 1 if failed or (grown is not None and grown[1] - grown[0] > GROWTH) else 0


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="run")
    parser.add_argument("--folder", type=Path, required=True, help="recordings that the model can be asked about")
    parser.add_argument("--recordings", type=int, default=12, help="how many of them")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--alone", type=float, default=15.0, help="seconds of one client")
    parser.add_argument("--note", default="nothing else ran on them", help="said of the cores")
    parser.add_argument("--uploads", type=int, default=0, help="uploads with deletion, at the end")
    return parser.parse_args(words)


@contextmanager
def served(model: Path, folder: Path, scratch: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A service on a free port of this machine, as a process of its own, and its address."""
    words = ["serve", "--model", model, "--folder", folder, "--port", "0", "--uploads", scratch / "uploads"]
    process = subprocess.Popen(
        [sys.executable, "-m", "neurolm", *map(str, words), "--device", "cpu"], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    rest = threading.Thread()
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                break
        else:
            raise RuntimeError("".join(said))
        rest = threading.Thread(target=process.stdout.read, daemon=True)  # so that it never waits to be read
        rest.start()
        yield process, found[0]
    finally:
        process.terminate()
        process.wait(60)
        if rest.is_alive():
            rest.join()
        process.stdout.close()


def questions(model: neurolm.Model, files: Sequence[Path], folder: Path, remote: RemoteModel) -> list[Question]:
    """All questions about all files, with the answers of the model alone."""
    ids = {one.name: one.id for one in remote.recordings}
    texts = [*((text, None) for text in model.questions), *FREE]
    return [
        Question(ids[file.relative_to(folder).as_posix()], text, options,
                 model.ask(file, text, options=options, reading=ReadingOptions(unknown="nearest")))
        for file in files
        for text, options in texts
    ]  # fmt: skip


def load(url: str, asked: Sequence[Question], *, clients: int, seconds: float) -> Outcome:
    """Ask with so many clients at once for so long."""
    outcome, lock = Outcome(), threading.Lock()
    began = time.monotonic()

    def client(number: int) -> None:
        remote, rng = neurolm.connect(url), np.random.default_rng(number)
        while time.monotonic() - began < seconds and len(outcome.seconds) < LIMIT:
            question, start = asked[rng.integers(len(asked))], time.monotonic()
            try:
                found = remote.ask(question.id, question.text, options=question.options)
            except Exception as error:
                with lock:
                    outcome.errors.append(f"{type(error).__name__}: {error}")
                continue
            took, apart = time.monotonic() - start, distance(found, question.known)
            with lock:
                outcome.seconds.append(took)
                if apart > CLOSE:
                    outcome.wrong += 1
                    outcome.mixed += any(distance(found, other.known) <= CLOSE for other in asked)
                else:
                    outcome.difference = max(outcome.difference, apart)
        remote.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcome.lasted = time.monotonic() - began
    return outcome


def distance(found: Answer, known: Answer) -> float:
    """Largest difference of a probability; infinite where they are about different things."""
    same = (found.question, found.options, found.answer, found.electrodes, len(found.timeline))
    if same != (known.question, known.options, known.answer, known.electrodes, len(known.timeline)):
        return np.inf
    rows = [np.array([window.probabilities for window in one.timeline] + [one.probabilities]) for one in (found, known)]
    return float(np.abs(rows[0] - rows[1]).max())


def uploads(url: str, pid: int, file: Path, count: int) -> tuple[float, float]:
    """Memory after the first of some uploads, which are deleted at once, and after the last; MiB."""
    first = 0.0
    with closing(neurolm.connect(url)) as remote:
        for number in range(count):
            remote.delete(remote.upload(file))
            if number + 1 == min(WARM, count // 2):
                first = memory(pid)
    return first, memory(pid)


def memory(pid: int) -> float:
    """MiB that a process and those that it started hold."""
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        try:
            total += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            for task in Path(f"/proc/{one}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except FileNotFoundError:  # ended meanwhile
            continue
    return total / 2**20


def page(
    given: argparse.Namespace, asked: Sequence[Question], alone: Outcome, many: Outcome, held: tuple[float, float]
) -> str:
    """The page with the figures."""
    windows = [len(question.known.timeline) for question in asked]
    rows = {
        "answers": [f"{len(one.seconds):,}" for one in (alone, many)],
        "answers per second": [f"{len(one.seconds) / one.lasted:.1f}" for one in (alone, many)],
        "windows per second": [f"{len(one.seconds) * np.mean(windows) / one.lasted:,.0f}" for one in (alone, many)],
        "seconds, median": [f"{np.median(one.seconds):.2f}" for one in (alone, many)],
        "seconds, 99 %": [f"{np.quantile(one.seconds, 0.99):.2f}" for one in (alone, many)],
        "errors": [f"{len(one.errors)}" for one in (alone, many)],
        "wrong answers (of these another question's)": [f"{one.wrong} ({one.mixed})" for one in (alone, many)],
        "largest difference of a probability": [f"{one.difference:.0e}" for one in (alone, many)],
    }
    recordings = len({question.id for question in asked})
    lines = [
        "# The service under load",
        "",
        fill(
            f"{datetime.date.today()}, {describe_machine()}; {given.note}. {recordings} recordings "
            f"({given.folder.name}), {len(asked) // recordings} questions, {min(windows)} to {max(windows)} windows "
            "each; every request is drawn from all of these, and every answer compared with that of `Model.ask`, to "
            "the fifth decimal. Clients run on the same cores as the service.",
            WIDTH,
        ),
        "",
        "```sh",
        f"python benchmarks/service.py --model {given.model.name} --folder {given.folder.name} "
        f"--recordings {recordings}",
        "```",
        "",
        f"| | one client | {given.clients} clients |",
        "|---|---|---|",
        *(f"| {name} | {one} | {other} |" for name, (one, other) in rows.items()),
        "",
        fill(
            f"The service and all of its processes held {held[0]:,.0f} MiB after the one client, and {held[1]:,.0f} "
            f"MiB after the {given.clients}.",
            WIDTH,
        ),
        *(f"\n{error}" for error in sorted(set(many.errors))[:5]),
    ]
    return "\n".join(lines)


def describe_machine() -> str:
    """Cores and versions."""
    return f"{os.cpu_count()} CPU cores, Python {platform.python_version()}, neurolm {neurolm.__version__}"


if __name__ == "__main__":
    sys.exit(main())
