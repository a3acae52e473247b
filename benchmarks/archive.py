"""A simulated archive, asked, killed and on a cluster: the same bytes, and what they cost.

    python benchmarks/archive.py --model runs/demo --folder SCRATCH --gpt2 GPT2

Simulates 500 recordings of two minutes with four electrodes, of which ten are then damaged, and asks a question about
all of them with one, two and four workers; with two workers that are killed with the command at three random moments;
and on a Dask cluster of two workers of which one is killed. Prints the hashes' agreement, recordings per core-hour for
the model and for `base` with random weights, how far that is from reading, filtering and computing alone, and what
25,000 hours of clinical EEG would take, extrapolated. Exits 1 if any byte differs.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from edfio import Edf, EdfSignal
from torch.utils.flop_counter import FlopCounterMode

from neurolm.api.model import Model, load
from neurolm.ask.answering import Asked, answer_all
from neurolm.ask.prompt import contributions
from neurolm.ask.recording import Windows, read_recording, read_windows
from neurolm.batches.text import TextTokenizer
from neurolm.checkpoint import load_card, save_checkpoint
from neurolm.core.recipes import recipe
from neurolm.corpora.simulated.head import make_head
from neurolm.corpora.simulated.simulate import PROTOCOLS, Protocol, record
from neurolm.corpora.simulated.synthesis import make_person
from neurolm.hub.publish import find_checkpoint
from neurolm.model.neurolm import NeuroLM
from neurolm.recording.options import ReadingOptions

SECONDS = 120
TASK = "sleep"
"""Its protocol has four electrodes at 256 Hz; windows of 30 s."""
CLINICAL, CLINICAL_SECONDS = "events", {"tiny": 1200, "base": 60}
"""Its protocol has 19 electrodes at 250 Hz, as clinical recordings have; windows of 10 s. The second
is what each model is measured on."""
PEOPLE = 25
HOURS = 25_000
READING = ReadingOptions(unknown="nearest")


@dataclass(frozen=True)
class Simulated:
    """A recording to be written."""

    path: Path
    task: str
    seconds: int
    number: int


def main() -> int:
    given = arguments()
    archive, scratch = given.folder / "archive", given.folder
    simulated = [
        Simulated(archive / f"P{number % PEOPLE:02}" / f"{number:04}.edf", TASK, SECONDS, number)
        for number in range(given.recordings)
    ]
    clinical = {
        name: Simulated(scratch / f"clinical_{name}.edf", CLINICAL, seconds, 0)
        for name, seconds in CLINICAL_SECONDS.items()
    }
    for one in (*simulated, *clinical.values()):
        if not one.path.exists():
            write(one)
    broken = damage([one.path for one in simulated], given.broken)
    print(f"{given.recordings} recordings of {SECONDS} s, four electrodes at 256 Hz, {broken} of them damaged\n")
    same = runs(given, archive)
    base = base_model(given.model, given.gpt2, scratch / "base")
    healthy = [one.path for one in simulated[given.broken :]]
    costs("tiny", given.model, healthy[: given.measured], clinical["tiny"], given)
    costs("base, random weights", base, healthy[: given.measured_base], clinical["base"], given)
    return int(not same)


def runs(given: argparse.Namespace, archive: Path) -> bool:
    """Ask with one, two and four workers, with kills, and on a cluster; whether all tables are the same."""
    found: dict[str, dict[str, str]] = {}
    print("| run | wall s | CPU s | recordings per core-hour | peak of a process, MiB |\n|---|---|---|---|---|")
    wall = 0.0
    for jobs in (1, 2, 4):
        out = given.folder / f"jobs{jobs}" / "answers.parquet"
        before, began = cpu(), time.monotonic()
        command(given, archive, out, "--jobs", str(jobs)).wait()
        wall, spent = time.monotonic() - began, cpu() - before
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
        rate = given.recordings / (spent / 3600)
        print(f"| {jobs} workers | {wall:.0f} | {spent:.0f} | {rate:,.0f} | {peak} |", flush=True)
        found[f"{jobs} workers"] = hashes(out)
    found["killed"] = hashes(killed(given, archive, given.folder / "killed" / "answers.parquet", wall))
    found["cluster"] = hashes(on_cluster(given, archive, given.folder / "cluster" / "answers.parquet"))
    first, *others = found.values()
    same = all(other == first for other in others)
    print(f"\ntables and page of {len(found)} runs: {'the same bytes' if same else 'NOT the same bytes'}")
    for run, digests in found.items() if not same else ():
        print(f"  {run}: {digests}")
    return same


def command(given: argparse.Namespace, archive: Path, out: Path, *engine: str) -> subprocess.Popen:
    """Begin to ask in a process of its own."""
    out.parent.mkdir(parents=True, exist_ok=True)
    words = ["ask", f"{archive}/**/*.edf", "--questions", TASK, "--model", str(given.model), "--out", str(out)]
    return subprocess.Popen(
        [sys.executable, "-m", "neurolm", *words, *engine, "--device", "cpu"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def killed(given: argparse.Namespace, archive: Path, out: Path, wall: float) -> Path:
    """Kill three times, each at a random moment of a quarter of the work, then let it end."""
    draw = random.Random(0)
    for number in range(3):
        process = command(given, archive, out, "--jobs", "2")
        wait_for = draw.uniform(0.15, 0.25) * wall
        try:
            process.wait(wait_for)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        time.sleep(1)  # its workers end by themselves
        print(f"kill {number + 1} after {wait_for:.0f} s: {answered(out)} recordings answered", flush=True)
    command(given, archive, out, "--jobs", "2").wait()
    return out


def on_cluster(given: argparse.Namespace, archive: Path, out: Path) -> Path:
    """Ask on a cluster of two workers, of which one is killed when a third is done."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:
        victim = next(iter(cluster.workers.values())).pid
        process = command(given, archive, out, "--scheduler", cluster.scheduler_address)
        while answered(out) < given.recordings // 3 and process.poll() is None:
            time.sleep(0.05)
        os.kill(victim, signal.SIGKILL)
        print(f"cluster: a worker killed after {answered(out)} recordings", flush=True)
        process.wait()
    return out


def answered(out: Path) -> int:
    """Recordings that are answered so far."""
    return len(list(out.with_suffix(".parts").glob("*.json.gz")))


def costs(name: str, folder: Path, paths: Sequence[Path], clinical: Simulated, given: argparse.Namespace) -> None:
    """Print what a recording costs and its floor, and what an archive of clinical EEG would."""
    torch.set_num_threads(1)
    model = load(folder, device="cpu", precision=given.precision)
    print(f"\n### {name}: {model.precision}\n")
    print("| | CPU ms per recording | read, filter | model alone | share of the floor | per core-hour |")
    print("|---|---|---|---|---|---|")
    parts = np.array([measure(model, path, TASK) for path in paths])
    whole, read, computed = np.median(parts[1:], axis=0)
    print(
        f"| {SECONDS} s, 4 electrodes | {1e3 * whole:.0f} | {1e3 * read:.0f} | {1e3 * computed:.0f} | "
        f"{(read + computed) / whole:.0%} | {3600 / whole:,.0f} recordings |"
    )
    whole, read, computed = measure(model, clinical.path, CLINICAL)
    hours = clinical.seconds / 3600
    print(
        f"| {clinical.seconds} s, 19 electrodes | {1e3 * whole:.0f} | {1e3 * read:.0f} | {1e3 * computed:.0f} | "
        f"{(read + computed) / whole:.0%} | {3600 / whole * hours:,.0f} h of EEG |"
    )
    flops = operations(model, clinical.path) / hours
    print(
        f"\nExtrapolated from the last row, not measured: {HOURS:,} h of 19 electrodes, one question, windows of 10 s: "
        f"{HOURS / hours * whole / 3600:,.0f} core-hours, of which reading and filtering "
        f"{HOURS / hours * read / 3600:,.0f}. Computed: {flops / 1e12:,.2f} TFLOP an hour of EEG, so "
        f"{HOURS * flops / (given.tflops * 1e12 * given.mfu) / 3600:,.2f} GPU-hours at {given.mfu:.0%} of an assumed "
        f"{given.tflops:g} TFLOP/s, beside the reading and filtering.",
        flush=True,
    )


def measure(model: Model, path: Path, task: str) -> tuple[float, float, float]:
    """CPU seconds of answering a recording, of reading and filtering its windows, and of the model's passes alone."""
    one = asked(model, task)
    whole = seconds_of(lambda: model.ask(path, one.question.task.question, reading=READING))
    windows: list = []

    def read() -> None:
        recording = read_recording(path, model.card, reading=READING, unseen="nearest")
        cut = Windows.of(recording, seconds=one.question.task.seconds, stride=one.question.task.stride)
        windows[:] = [sample for _, samples in read_windows([cut]) for sample in samples]

    reading = seconds_of(read)
    prompt = replace(one.prompt, beside=None)
    return whole, reading, seconds_of(lambda: contributions(model.module, prompt, windows, device=model.device))


def operations(model: Model, path: Path) -> int:
    """Floating-point operations of answering the question about a recording."""
    recording = read_recording(path, model.card, reading=READING, unseen="nearest")
    with FlopCounterMode(display=False) as counter:
        answer_all(model.module, recording, [asked(model, CLINICAL)], device=model.device)
    return counter.get_total_flops()


def asked(model: Model, task: str) -> Asked:
    """The question of a task, as the model asks it."""
    return model.asked(next(one.question for one in model.card.tasks if one.name == task))


def seconds_of(work: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def base_model(small: Path, gpt2: Path, out: Path) -> Path:
    """A checkpoint of the recipe base with random weights, which answers what the other one answers."""
    folder = out / "instruct"
    if not (folder / "config.json").exists():
        text, run = TextTokenizer.load(gpt2), recipe("base")
        card = replace(load_card(find_checkpoint(small)), run=run)
        torch.manual_seed(0)
        module = NeuroLM(run.model, decoders=False)
        save_checkpoint(folder, card, module.state_dict(), text)
    return out


def write(one: Simulated) -> None:
    """Simulate a recording."""
    protocol = next(protocol for protocol in PROTOCOLS if protocol.task == one.task)
    rng = np.random.default_rng((1, one.number))
    states = list(protocol.states)
    labels = [states[int(rng.integers(len(states)))] for _ in range(one.seconds // protocol.scene_seconds)]
    head, person = of_person(one.number % PEOPLE)
    signal = np.clip(record(protocol, head, person, labels, rng), -1600, 1600)
    one.path.parent.mkdir(parents=True, exist_ok=True)
    edf(protocol, signal).write(one.path)


@cache
def of_person(number: int) -> tuple:
    """A person's head and brain."""
    return make_head((1, number, 1)), make_person((1, number, 0))


def edf(protocol: Protocol, signal: np.ndarray) -> Edf:
    """A recording as a file."""
    signals = [
        EdfSignal(
            values, protocol.rate, label=f"EEG {name}-{protocol.suffix}", physical_dimension="uV",
            physical_range=(-1638.4, 1638.35),
        )
        for values, (name, _) in zip(signal, protocol.channels, strict=True)
    ]  # fmt: skip
    return Edf(signals, data_record_duration=1)


def damage(paths: Sequence[Path], count: int) -> int:
    """Cut the first recordings short: to nothing, within the header, within the signal."""
    for place, path in enumerate(paths[:count]):
        with path.open("r+b") as file:
            file.truncate((0, 700, 50_000)[place % 3])
    return count


def hashes(out: Path) -> dict[str, str]:
    """Hash of every table, and of the page."""
    tables = [out, *sorted(out.parent.glob(f"{out.stem}.*{out.suffix}")), out.with_suffix(".html")]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in tables}


def cpu() -> float:
    """CPU seconds of all processes that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--gpt2", type=Path, required=True, help="folder of GPT-2's vocabulary, for base")
    parser.add_argument("--recordings", type=int, default=500)
    parser.add_argument("--broken", type=int, default=10)
    parser.add_argument("--measured", type=int, default=21)
    parser.add_argument("--measured-base", type=int, default=4)
    parser.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16"), help="of the costs")
    parser.add_argument("--tflops", type=float, default=600, help="assumed of a GPU")
    parser.add_argument("--mfu", type=float, default=0.3)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
