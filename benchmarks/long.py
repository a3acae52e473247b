"""Peak memory and time of answers and features by the length of a recording

    python benchmarks/long.py --run runs/demo [--hours 1 4 8 24] [--what ask embed]

Recordings are EDF files of 64 electrodes at 256 Hz, noise with a rhythm that comes and goes; the model is that of the
run, taken for one that knows all 64 (it reads all of them then; what it says is of no interest). Windows have 4 s, one
after the other. Every case has a process of its own, on one thread. Memory is the largest resident set above what the
process had when the model was loaded; libraries that are loaded afterwards count.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

if __name__ == "__main__":  # before NumPy asks for it
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
from edfio import Edf, EdfSignal

import neurolm
from neurolm.checkpoint import load_neurolm, save_checkpoint
from neurolm.core.montage import ELECTRODES, template_positions

RATE, LARGEST = 256, 500
"""Samples per second, and µV at the ends of the file's range."""
RECORDS = slice(236, 244)
"""Where an EDF header has the number of its records."""
QUESTION, OPTIONS = "Is the person asleep?", ("yes", "no")
"""Of no task, so that windows are those of features: 4 s, one after the other."""


def electrodes(count: int = 64) -> list[str]:
    """Names of electrodes with a place on the scalp."""
    return [name for name in ELECTRODES if name in template_positions() and "-" not in name][:count]


def write_recording(path: Path, hours: float) -> None:
    """Write a recording second by second: a minute of noise, whose electrodes and size change from minute to minute."""
    rng, names = np.random.default_rng(1), electrodes()
    silence = np.zeros(RATE)
    signals = [
        EdfSignal(silence, RATE, label=name, physical_dimension="uV", physical_range=(-LARGEST, LARGEST))
        for name in names
    ]
    Edf(signals, data_record_duration=1).write(path)
    header = path.read_bytes()[: 256 * (1 + len(names))]
    seconds = round(hours * 3600)
    step = 2 * LARGEST / 65535
    phase = np.arange(60 * RATE) / RATE
    noise = 15 * rng.standard_normal((len(names), 60 * RATE)) + 20 * np.sin(2 * np.pi * 0.3 * phase)
    rhythm = 25 * np.sin(2 * np.pi * 10 * phase)
    with path.open("wb") as file:
        file.write(header[: RECORDS.start] + f"{seconds:<8}".encode() + header[RECORDS.stop :])
        for minute in range(0, seconds, 60):
            signal = np.roll(noise, minute % 61, axis=0) * rng.uniform(0.7, 1.3) + rhythm * rng.uniform(0, 1)
            records = np.rint(signal / step).clip(-32768, 32767).astype("<i2").reshape(len(names), 60, RATE)
            file.write(records.transpose(1, 0, 2)[: seconds - minute].tobytes())


def write_model(run: Path, folder: Path) -> None:
    """The run's model with a card of all electrodes."""
    module, card, text = load_neurolm(run / "instruct")
    save_checkpoint(folder, replace(card, electrodes=tuple(electrodes())), module.state_dict(), text)


def resident(what: str) -> float:
    """``VmRSS`` or ``VmHWM`` of this process, MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith(what))


def measure(what: str, model_folder: Path, file: Path) -> None:
    """Print what one case took: megabytes, seconds of the processor, windows."""
    model = neurolm.load(model_folder, device="cpu")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is that of what follows
    before, began = resident("VmRSS"), time.process_time()
    if what == "ask":
        windows = len(model.ask(file, QUESTION, options=OPTIONS).timeline)
    else:
        found = model.embed_parts(file)
        found.save(file.with_suffix(".npz"))
        windows = found.shape[0]
    print(f"{resident('VmHWM') - before:.0f} {time.process_time() - began:.1f} {windows} {before:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished run")
    parser.add_argument("--hours", type=float, nargs="+", default=[1, 4, 8, 24])
    parser.add_argument("--what", nargs="+", choices=("ask", "embed"), default=["ask", "embed"])
    parser.add_argument("--folder", type=Path, help="where recordings and features are written (24 h: 2.8 GB and more)")
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        what, model, file = options.case
        measure(what, Path(model), Path(file))
        return
    print("| | hours | windows | MB above the model | MB with the model, before | processor, s | s for an hour |")
    print("|---|---|---|---|---|---|---|")
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        write_model(options.run, folder / "model")
        for hours in options.hours:
            file = folder / f"{hours:g}h.edf"
            write_recording(file, hours)
            for what in options.what:
                case = ["--case", what, str(folder / "model"), str(file)]
                words = [sys.executable, __file__, "--run", str(options.run), *case]
                said = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
                above, seconds, windows, loaded = map(float, said)
                print(f"| {what} | {hours:g} | {windows:,.0f} | {above:,.0f} | {loaded:,.0f} | {seconds:,.0f} | "
                      f"{seconds / hours:.1f} |", flush=True)  # fmt: skip
                file.with_suffix(".npz").unlink(missing_ok=True)
            file.unlink()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
