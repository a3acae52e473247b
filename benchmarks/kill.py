"""SIGKILL preparations at random moments, finish them, and compare the stores.

    python benchmarks/kill.py RECORDINGS --folder SCRATCH --kills 10

Prints each kill and whether every byte is the same; exits 1 if not.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from neurolm.store.store import Store


def start(data: Path, out: Path, jobs: int) -> subprocess.Popen:
    """Begin a preparation in a process of its own."""
    command = [sys.executable, "-m", "neurolm", "prepare", str(data), "--out", str(out), "--jobs", str(jobs)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def content(folder: Path) -> dict[str, str]:
    """Hash of every file."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def describe(out: Path) -> str:
    """What a killed preparation left."""
    patterns = {"half written": ".*.partial", "shards": "*.i16"}
    found = [f"{len(list(out.rglob(pattern)))} {what}" for what, pattern in patterns.items()]
    entries = sum(line != b"\n" for file in out.glob("sources/*.jsonl") for line in file.open("rb"))
    return f"{', '.join(found)}, {entries} in the journal{', finished' * (out / 'manifest.jsonl').exists()}"


def main() -> int:
    """Kill, finish, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
        whole, killed = Path(scratch) / "whole", Path(scratch) / "killed"
        begun = time.monotonic()
        if start(given.data, whole, given.jobs).wait():
            print("the preparation failed by itself")
            return 1
        seconds = time.monotonic() - begun
        print(f"uninterrupted: {seconds:.1f} s, {len(Store(whole))} recordings")
        kills, differing = 0, set[str]()
        while kills < given.kills:
            process = start(given.data, killed, given.jobs)
            moment = draw.uniform(0, seconds)
            try:
                process.wait(moment)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
                time.sleep(1)  # its workers end by themselves
                print(f"kill {kills} after {moment:.1f} s: {describe(killed)}", flush=True)
                if kills < given.kills:
                    continue
                start(given.data, killed, given.jobs).wait()
            left, right = content(whole), content(killed)
            differing |= {name for name in {*left, *right} if left.get(name) != right.get(name)}
            print(f"finished: {len(left)} files, {'identical' if not differing else sorted(differing)}", flush=True)
            shutil.rmtree(killed)
    return int(bool(differing))


if __name__ == "__main__":
    sys.exit(main())
