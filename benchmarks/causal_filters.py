"""Causal filters beside zero-phase ones: delay, power, what answers lose, and speed.

    neurolm prepare RECORDINGS --out causal --filters causal           # and without it into zero-phase
    python benchmarks/causal_filters.py delay
    python benchmarks/causal_filters.py speed
    python benchmarks/causal_filters.py power --store zero-phase --causal causal
    python benchmarks/causal_filters.py answers --store zero-phase --causal causal --task eegmat

The two stores hold the same recordings. Answers are those of the readout alone (evidence, no language model), fitted on
training people in six folds of people, so that everybody is answered by what other people showed; intervals are over
people. Times are CPU seconds of one process: set OMP_NUM_THREADS=1 to measure one core.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mne
import numpy as np
from scipy import signal

sys.path.insert(0, str(Path(__file__).parent))
from neurolm.ask import spectra
from neurolm.core.montage import template_positions
from neurolm.core.physics import BAND, RATE
from neurolm.core.table import Table, columns
from neurolm.recording.causal import SETTLING, CausalFilter, group_delay, response
from neurolm.recording.filters import Design, design_for
from neurolm.recording.preprocess import preprocess
from neurolm.recording.recording import open_recording
from neurolm.store.store import Store
from neurolm.tasks.card import load_task
from readout_studies.folds import out_of_fold
from readout_studies.methods import readout
from readout_studies.scores import Found, compare
from readout_studies.windows import Described

HERTZ = np.array([0.1, 0.5, 1, 2, 4, 8, 10, 13, 20, 30, 40, 60, 75])
BANDS = ((0.1, 0.5), (0.5, 1.0), *spectra.BANDS, (52.0, 70.0))
SEGMENT = 10 * RATE  # samples of Welch's method
CHANNELS, AT, MINUTES, MAINS = 32, 500, 2, 50.0
RUNS = 3
REACHED = 125.0  # Hz, which 200 samples per second show as 75 Hz


def delay(arguments: argparse.Namespace) -> Iterator[Table]:
    """Gain and delay of our causal filters, and what other ways to the same band cost at 500 Hz."""
    rates = (128.0, 250.0, 500.0, 1000.0)
    found = [design_for(rate, MAINS, "causal") for rate in rates]
    heads = [f"{rate:g} Hz: {what}" for rate in rates for what in ("gain", "ms")]
    rows = []
    for hertz in HERTZ:
        one = np.array([hertz])
        cells = [f"{value:{form}}" for design in found if hertz <= 0.45 * design.rate for value, form in (
            (abs(response(design, one)[0]), ".3f"), (1000 * group_delay(design, one)[0], ".1f"))]  # fmt: skip
        rows.append([f"{hertz:g}", *["–"] * (2 * len(found) - len(cells)), *cells])
    yield Table(columns=columns("Hz", *heads), groups=[rows])
    heads = [*(f"delay at {hertz:g} Hz, ms" for hertz in (1, 10, 40)), "gain at 0.05 Hz", f"gain at {REACHED:g} Hz"]
    rows = [[name, *(f"{value:.1f}" for value in late), *(f"{value:.4f}" for value in gain)]
            for name, (late, gain) in ways().items()]  # fmt: skip
    yield Table(columns=columns("at 500 Hz", *heads), groups=[rows])


def ways() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Delays in ms and gains of several causal filters for the band."""
    at, reached = np.array([1.0, 10.0, 40.0]), np.array([0.05, REACHED])
    ours = design_for(AT, MAINS, "causal")
    linear = mne.filter.create_filter(None, AT, *BAND, verbose="error")
    least = mne.filter.create_filter(None, AT, *BAND, phase="minimum", verbose="error")
    butter = signal.butter(4, BAND, "bandpass", fs=AT, output="sos")
    step = 1e-3

    def of_sections(hertz: np.ndarray) -> np.ndarray:
        return signal.freqz_sos(butter, hertz, fs=AT)[1]

    def of_kernel(kernel: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        return lambda hertz: np.exp(-2j * np.pi * np.outer(hertz, np.arange(len(kernel))) / AT) @ kernel

    def measured(gain: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        turn = gain(at + step) / gain(at - step)
        return -1000 * np.angle(turn) / (4 * np.pi * step), np.abs(gain(reached))

    return {
        "neurolm: high-pass, notch, analogue low-pass, 200 Hz": measured(lambda hertz: response(ours, hertz)),
        "SciPy: butter(4), no notch, not resampled": measured(of_sections),
        "MNE: FIR of minimum phase, no notch, not resampled": measured(of_kernel(least)),
        "MNE: its zero-phase FIR, waited for": (
            np.full(3, 1000 * (len(linear) // 2) / AT), np.abs(of_kernel(linear)(reached)),
        ),
    }  # fmt: skip


def power(arguments: argparse.Namespace) -> Iterator[Table]:
    """Power of causally filtered EEG over that of the same EEG filtered with zero phase, by band: the median over
    recordings and electrodes, and where nine in ten of these lie."""
    zero, causal = Store(arguments.store), Store(arguments.causal)
    require_alike(zero, causal)
    begun: list[np.ndarray] = []
    settled: list[np.ndarray] = []
    for index, row in enumerate(zero.rows):
        pair = [store.microvolts(index, 0, row.samples).T for store in (causal, zero)]
        first = round(SETTLING * RATE)
        for found, part in ((begun, slice(first)), (settled, slice(first, None))):
            if pair[0][:, part].shape[1] >= SEGMENT:
                found.append(np.subtract(*(in_bands(one[:, part]) for one in pair)))
    rows = [[f"{low:g} to {high:g} Hz", *(spread(np.concatenate(found)[:, band]) for found in (begun, settled))]
            for band, (low, high) in enumerate(BANDS)]  # fmt: skip
    heads = columns("band", f"first {SETTLING:g} s, dB", "then, dB")
    yield Table(columns=heads, groups=[rows])


def in_bands(microvolts: np.ndarray) -> np.ndarray:
    """Power of each electrode in dB: (electrodes, bands)."""
    hertz, density = signal.welch(microvolts, RATE, nperseg=SEGMENT)
    each = [density[:, (hertz >= low) & (hertz < high)].mean(axis=1) for low, high in BANDS]
    return 10 * np.log10(np.stack(each, axis=1) + 1e-6)


def spread(values: np.ndarray) -> str:
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    return f"{middle:+.2f} ({low:+.2f} to {high:+.2f})"


def answers(arguments: argparse.Namespace) -> Iterator[Table]:
    """Readouts that were fitted on one kind of filters and asked about either."""
    stores = {"zero-phase": Store(arguments.store), "causal": Store(arguments.causal)}
    require_alike(*stores.values())
    for task in arguments.task.split(","):
        described = {name: Described.of(store, load_task(task)) for name, store in stores.items()}
        found = {
            f"{task}: fitted on {learned}, asked about {asked}": Found(
                described[learned],
                out_of_fold(described[learned], lambda train, _: readout(train).answer, described[asked])[None],
            )
            for learned in stores
            for asked in stores
        }
        yield compare(found, beside=next(iter(found)))


def require_alike(zero: Store, causal: Store) -> None:
    """Make sure that two stores hold the same recordings, filtered in two ways."""
    alike = [(row.recording, row.samples, row.channels, row.labels) for row in zero.rows]
    assert alike == [(row.recording, row.samples, row.channels, row.labels) for row in causal.rows]
    assert (zero.filters, causal.filters) == ("zero-phase", "causal")


def speed(arguments: argparse.Namespace) -> Iterator[Table]:
    """CPU seconds for an hour of 32 channels at 500 Hz, from two minutes in memory."""
    noise = np.random.default_rng(0).normal(0, 20e-6, (CHANNELS, AT * 60 * MINUTES))
    names = list(template_positions())[:CHANNELS]
    raw = mne.io.RawArray(noise, mne.create_info(names, AT, "eeg"), verbose="error")
    recording = open_recording(raw, check=False)
    design, microvolts = design_for(AT, MAINS, "causal"), noise * 1e6
    done: dict[str, Callable[[], Any]] = {
        "neurolm, zero phase": lambda: preprocess(recording, mains=MAINS),
        "neurolm, causal": lambda: preprocess(recording, mains=MAINS, filters="causal"),
        "neurolm, causal, a second at a time": lambda: in_pieces(microvolts, AT),
        "neurolm, causal, 20 ms at a time": lambda: in_pieces(microvolts, AT // 50),
        "SciPy: sosfilt of the same orders, then resample_poly (not causal)": lambda: by_scipy(microvolts, design),
        "MNE: filter, notch_filter, resample, zero phase": lambda: by_mne(raw, {}, {}),
        "MNE: filter of minimum phase, notch and resampling not": lambda: by_mne(raw, {"phase": "minimum"}, {}),
        "MNE: iir forward, then resample (not causal)": lambda: by_mne(
            raw, {"method": "iir", "phase": "forward"}, {"method": "iir", "phase": "forward"}
        ),
    }  # fmt: skip
    taken: dict[str, list[float]] = {name: [] for name in done}
    for run in range(RUNS + 1):
        for name, work in done.items():
            begun = time.process_time()
            work()
            if run:  # the first warms up
                taken[name].append((time.process_time() - begun) * 60 / MINUTES)
    rows = [[name, f"{np.median(each):.1f} ({min(each):.1f} to {max(each):.1f})", f"{3600 / np.median(each):,.0f}"]
            for name, each in taken.items()]  # fmt: skip
    heads = columns("an hour of 32 channels at 500 Hz", "CPU seconds", "times real time")
    yield Table(columns=heads, groups=[rows])


def in_pieces(microvolts: np.ndarray, size: int) -> None:
    causal = CausalFilter(CHANNELS, AT, mains=MAINS)
    for first in range(0, microvolts.shape[1], size):
        causal.push(microvolts[:, first : first + size])


def by_scipy(microvolts: np.ndarray, design: Design) -> np.ndarray:
    parts = [signal.butter(2, 0.8 * design.band[0], "highpass", fs=AT, output="sos"),
             signal.tf2sos(*signal.iirnotch(MAINS, MAINS / 2, fs=AT)),
             signal.butter(8, design.band[1], fs=AT, output="sos")]  # fmt: skip
    return signal.resample_poly(signal.sosfilt(np.concatenate(parts), microvolts), 2, 5, axis=1)


def by_mne(raw: mne.io.RawArray, how: dict[str, Any], notch: dict[str, Any]) -> np.ndarray:
    found = raw.copy().filter(*BAND, verbose="error", **how).notch_filter(MAINS, verbose="error", **notch)
    return found.resample(RATE, verbose="error").get_data()


STUDIES = {"delay": delay, "speed": speed, "power": power, "answers": answers}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--store", type=Path, help="of zero phase")
    parser.add_argument("--causal", type=Path, help="the store of the same recordings with causal filters")
    parser.add_argument("--task", default="eegmat", help="tasks, as a,b")
    arguments = parser.parse_args()
    for table in STUDIES[arguments.study](arguments):
        print(table.markdown(), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
