"""What is damaged, and what is then done with it: as a user's command would, to the end."""

from __future__ import annotations

import contextlib
import pickle
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cache, partial
from pathlib import Path
from random import Random

import numpy as np

from fuzzing import folders, mutate, recordings, tables
from fuzzing.mutate import Mutation
from fuzzing.recordings import Files

STRANGERS = {"E1": "Fp1", "E2": "Cz", "E3": "O2"}
EXG = {"EXG Channel 0": "Fp1", "EXG Channel 1": "Cz", "EXG Channel 2": "O2"}
NUMBERED = {"EEG 000": "Fp1", "EEG 001": "Cz", "EEG 002": "O2"}


@dataclass(frozen=True)
class Kind:
    """A format or a kind of folder."""

    share: int
    """Cases of 10,000."""
    files: Callable[[], Files]
    """A sound one."""
    damage: Mapping[str, Mutation]
    """Pattern of a file's name → how it can be damaged."""
    run: Callable[[Path, Random], None]
    """What is done with the folder it lies in; raises a NeuroLMError where the damage is noticed."""
    times: Sequence[int] = (1, 1, 1, 2, 3, 5)
    """How often it is damaged, drawn for each case."""
    alone: bool = field(default=False)
    """Whether a process is started for every case, so that it takes long."""

    def mutated(self, rng: Random) -> Files:
        """A damaged one."""
        files = dict(base(self.files))
        for _ in range(rng.choice(self.times)):
            name, damage = rng.choice([(n, d) for p, d in self.damage.items() for n in files if fnmatch(n, p)])
            files[name] = damage(files[name], rng)
        return files


@cache
def base(make: Callable[[], Files]) -> Files:
    """The sound files, made once."""
    return make()


def opened(main: str, channels: Mapping[str, str] | None = None) -> Callable[[Path, Random], None]:
    """Open a recording, read it, prepare it; and inspect it, which must work on anything."""

    def run(folder: Path, rng: Random) -> None:
        from neurolm.recording.inspect import inspect
        from neurolm.recording.options import ReadingOptions
        from neurolm.recording.preprocess import preprocess_blocks
        from neurolm.recording.recording import open_recording

        how = {"unknown": rng.choice(("drop", "drop", "error", "nearest", "interpolate")), "channels": channels}
        how["bad_segments"] = rng.choice(("drop", "drop", "keep"))
        how["unit"] = rng.choice((None, None, "auto", "mV"))
        if rng.random() < 0.25:
            inspect(folder / main, reading=ReadingOptions(**how))
        reading = ReadingOptions(**how, truncated=rng.choice(("refuse", "accept")))
        recording = open_recording(folder / main, reading=reading, check=rng.random() < 0.7)
        for stretch in recording.stretches:  # the gaps between them may be weeks
            recording.read_samples(stretch.start, stretch.stop)
        for block in preprocess_blocks(recording).blocks:
            assert block.shape[1] == len(recording.channels) and np.isfinite(block).all()

    return run


def labelled(corpus: str, folder: Path, rng: Random, *, open_: bool = False) -> None:
    """List the sources of a corpus, label them, and open them where they are recordings."""
    from types import SimpleNamespace

    from neurolm.corpora import LAYOUTS, layout_of
    from neurolm.recording.options import ReadingOptions

    layout_of(folder)
    for source in LAYOUTS[corpus].sources(folder):
        pickle.dumps(source)
        extent = SimpleNamespace(seconds=5000.0, annotations=())
        if open_:
            extent = source.open_recording(reading=ReadingOptions(unknown="drop"), check=False)
            if rng.random() < 0.3:
                source.open_recording(reading=ReadingOptions(unknown="nearest"))
        for label in source.labelled(extent):
            assert 0 <= label.start < label.stop <= extent.seconds, label


def tabled(folder: Path, rng: Random) -> None:
    """Count the events of recordings, and make a table of labels of some of them."""
    from neurolm.corpora.events import count_events, find_trials
    from neurolm.corpora.trials import write_table

    table = folder / "labels.csv"
    files = [path for path in sorted(folder.iterdir()) if path != table]
    found = count_events(files)
    assert found.files + len(found.passed_over) <= len(files)
    faults = [reason for reason in found.passed_over.values() if re.search(r": \w+(Error|Exception): ", reason)]
    assert not faults, faults
    if found.counts:
        events = rng.sample(sorted(found.counts), min(3, len(found.counts)))
        stop = rng.choice((None, 0.5, 1.0))
        trials = find_trials(files, dict.fromkeys(events, "label"), start=0.0, stop=stop).trials
        assert all(0 <= trial.start < trial.stop for trial in trials)
        write_table(table, trials, task="fuzz")


def stored(folder: Path, rng: Random) -> None:
    """Read all of a store, check it, sum it up, and go on preparing it."""
    from neurolm.core.errors import NeuroLMError
    from neurolm.prepare.journal import Journal, read_settings
    from neurolm.store.check import check_store
    from neurolm.store.info import store_info
    from neurolm.store.store import Store

    with contextlib.suppress(NeuroLMError):
        check_store(folder, jobs=1)
    with contextlib.suppress(NeuroLMError):
        read_settings(folder)
    Journal(folder, "mine").read()
    store = Store(folder)
    rows = list(store.rows)
    for index in range(len(store)):
        row = store.rows[rng.choice((index, -1))]
        store.read(index, 0, min(row.samples, 800))
        store.microvolts(index, 0, 1)
    assert len(rows) == len(store)
    store_info(folder)
    pickle.loads(pickle.dumps(store)).verify()


def prepared_again(folder: Path, _rng: Random) -> None:
    """Prepare a corpus into a damaged store."""
    from neurolm.prepare.prepare import prepare

    data = folder.parent / f"{folder.name}-data"
    data.mkdir(exist_ok=True)
    for name, content in base(folders.table).items():
        (data / name).write_bytes(content)
    prepare(data, folder, corpus="table", jobs=1)


def listed(folder: Path, _rng: Random) -> None:
    """Read a list of exclusions."""
    from neurolm.store.exclusions import read_exclusions

    read_exclusions(folder / "exclusions.jsonl")


def _set(data: bytes, rng: Random) -> bytes:
    if rng.random() < 0.6:
        return mutate.eeglab(recordings.eeglab_struct(), recordings.set_file, rng)
    return mutate.binary(data, rng, 4000)


def _set_two(data: bytes, rng: Random) -> bytes:
    if rng.random() < 0.6:
        return mutate.eeglab(recordings.eeglab_struct() | {"data": "a.fdt"}, recordings.set_file, rng)
    return mutate.binary(data, rng)


def _head(size: int) -> Mutation:
    return partial(mutate.binary, head=size)


STORE = {
    "manifest.jsonl": mutate.json_lines,
    "index.npz": mutate.binary,
    "settings.json": mutate.json_,
    "sources/*": mutate.json_lines,
}


@cache
def kinds() -> dict[str, Kind]:
    """All kinds by name."""
    one = {
        "EDF": Kind(1000, recordings.edf, {"a.edf": mutate.edf}, opened("a.edf")),
        "EDF+": Kind(900, recordings.edf_plus, {"a.edf": mutate.edf_annotations}, opened("a.edf")),
        "EDF+D": Kind(450, recordings.edf_interrupted, {"a.edf": mutate.record_times}, opened("a.edf")),
        "BDF": Kind(500, recordings.bdf, {"a.bdf": mutate.edf}, opened("a.bdf")),
        "GDF": Kind(700, recordings.gdf, {"a.gdf": _head(1024)}, opened("a.gdf")),
        "BrainVision": Kind(
            1000, recordings.brainvision, {"a.vhdr": mutate.text, "a.vmrk": mutate.text}, opened("a.vhdr")
        ),
        "BrainVision, segments": Kind(
            450, recordings.brainvision_real, {"a.vmrk": mutate.markers, "a.eeg": mutate.samples}, opened("a.vhdr")
        ),
        "EEGLAB": Kind(450, recordings.eeglab, {"a.set": _set}, opened("a.set")),
        "EEGLAB .fdt": Kind(250, recordings.eeglab_two, {"a.set": _set_two, "a.fdt": mutate.binary}, opened("a.set")),
        "EEGLAB 7.3": Kind(40, recordings.eeglab_hdf5, {"a.set": _head(6000)}, opened("a.set", NUMBERED), alone=True),
        "FIF": Kind(700, recordings.fif, {"a_raw.fif": mutate.fif}, opened("a_raw.fif")),
        "FIF, samples": Kind(400, recordings.fif, {"a_raw.fif": mutate.fif_samples}, opened("a_raw.fif")),
        "XDF, samples": Kind(250, recordings.xdf, {"a.xdf": mutate.xdf_samples}, opened("a.xdf")),
        "XDF": Kind(700, recordings.xdf, {"a.xdf": mutate.xdf}, opened("a.xdf")),
        "Neuroscan": Kind(500, recordings.neuroscan, {"a.cnt": _head(1150)}, opened("a.cnt")),
        "ANT": Kind(40, recordings.ant, {"a.cnt": _head(800)}, opened("a.cnt"), alone=True),
        "EGI": Kind(400, recordings.egi, {"a.raw": _head(44)}, opened("a.raw", STRANGERS)),
        "Nicolet": Kind(150, recordings.nicolet, {"a.head": mutate.text, "a.data": mutate.binary}, opened("a.data")),
        "Persyst": Kind(150, recordings.persyst, {"a.lay": mutate.text, "a.dat": mutate.binary}, opened("a.lay")),
        "Nihon Kohden": Kind(150, recordings.nihon, {"a.EEG": _head(6300)}, opened("a.EEG")),
        "eXimia": Kind(30, recordings.eximia, {"a.nxe": mutate.binary}, opened("a.nxe")),
        "Curry": Kind(40, recordings.curry, {"a.cdt.dpa": mutate.text}, opened("a.cdt"), alone=True),
        "Muse": Kind(200, tables.muse, {"a.csv": mutate.text}, opened("a.csv")),
        "table": Kind(250, tables.table, {"a.csv": mutate.text}, opened("a.csv")),
        "OpenBCI": Kind(200, tables.openbci, {"a.txt": mutate.text}, opened("a.txt", EXG)),
        "NumPy": Kind(150, tables.numpy, {"a.npz": mutate.binary}, opened("a.npz")),
        "MATLAB": Kind(150, tables.matlab, {"a.mat": mutate.binary}, opened("a.mat")),
        "Parquet": Kind(150, tables.parquet, {"a.parquet": mutate.binary}, opened("a.parquet")),
        "WFDB": Kind(
            250, tables.wfdb, {"*.hea": mutate.text, "*.dat": mutate.binary, "a.st": mutate.binary}, opened("a.hea")
        ),
        "NEDF": Kind(150, tables.nedf, {"a.nedf": _head(10240 + 200)}, opened("a.nedf")),
        "labels.csv": Kind(350, folders.table, {"labels.csv": mutate.text}, partial(labelled, "table", open_=True)),
        "corpus.json": Kind(250, folders.table, {"corpus.json": mutate.json_}, partial(labelled, "table", open_=True)),
        "events": Kind(
            400,
            recordings.hypnogram,
            {"*.edf": mutate.edf_annotations, "a.bdf": mutate.edf, "a.xdf": mutate.xdf},
            tabled,
        ),
        "TUEV .rec": Kind(200, folders.tuev, {"*.rec": mutate.text}, partial(labelled, "tuev")),
        "TUSL .tse_agg": Kind(200, folders.tusl, {"*.tse_agg": mutate.text}, partial(labelled, "tusl")),
        "HMC": Kind(
            200,
            folders.hmc,
            {
                "recordings/SN001_sleepscoring.txt": mutate.text,
                "recordings/SN002_sleepscoring.edf": mutate.edf_annotations,
            },
            partial(labelled, "hmc"),
        ),
        "Siena": Kind(
            200,
            folders.siena,
            {"PN00/Seizures-list-PN00.txt": mutate.text, "PN00/PN00-1.edf": _head(256)},
            partial(labelled, "siena"),
        ),
        "BIDS": Kind(
            350, folders.bids, {"*.json": mutate.json_, "*.tsv": mutate.text}, partial(labelled, "bids", open_=True)
        ),
        "store": Kind(500, folders.store, STORE | {"shards/*": mutate.binary}, stored),
        "store, prepared again": Kind(100, folders.store, STORE, prepared_again),
        "exclusions": Kind(100, folders.exclusions, {"exclusions.jsonl": mutate.json_lines}, listed),
    }  # fmt: skip
    return one
