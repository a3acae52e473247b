"""Damaged headers and side files: read, or refused by a message that names the file; never a crash, a hang, or memory.

``benchmarks/fuzz.py`` tries ten thousand; a few hundred others are tried here. What it found stands below by name.
"""

import json
import os
import struct
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurolm.core.errors import NeuroLMError, RecordingError, StoreError
from neurolm.corpora import LAYOUTS
from neurolm.prepare.journal import Journal, read_settings
from neurolm.recording.formats.edf import check_whole, read_header
from neurolm.recording.inspect import inspect
from neurolm.recording.options import ReadingOptions
from neurolm.recording.recording import open_recording
from neurolm.store.manifest import Row, parse_row
from neurolm.store.store import Store

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
CASES, SEED = 200, 20
DEEP = "[" * 100_000


@pytest.fixture(scope="module")
def fuzzing():
    """The parts of benchmarks/fuzz.py."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from fuzzing import folders, kinds, recordings

        yield SimpleNamespace(folders=folders, kinds=kinds, recordings=recordings)
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture
def lay(tmp_path, fuzzing):
    """Lay out a sound recording or folder, of which a file is changed; returns where."""

    def write(files, changes=None):
        for name, content in files.items():
            path = tmp_path / "case" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((changes or {}).get(name, lambda whole: whole)(content))
        return tmp_path / "case"

    return write


def put(start: int, value: bytes):
    """Write bytes over others."""
    return lambda whole: whole[:start] + value + whole[start + len(value) :]


def test_a_few_hundred_damaged_files(fuzzing):
    """Not of the kinds that start a process for each: see test_completeness."""
    names = [name for name, kind in fuzzing.kinds.kinds().items() if not kind.alone]
    command = [
        sys.executable,
        str(BENCHMARKS / "fuzz.py"),
        "--cases",
        str(CASES),
        "--seed",
        str(SEED),
        "--only",
        *names,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-2].split()
    assert last[0] == "all" and int(last[1]) >= CASES - len(names)
    accepted, refused = int(last[2]), int(last[3])
    assert min(accepted, refused) > CASES / 5  # both happen: the files are not all sound, nor all rubbish
    assert accepted + refused == int(last[1])


@pytest.mark.parametrize(
    "name",
    ["EDF+", "GDF", "BrainVision", "XDF", "Neuroscan", "EGI", "HMC", "events", "BIDS", "store", "Muse", "table",
     "OpenBCI", "NumPy", "MATLAB", "Parquet", "WFDB", "NEDF"],
)  # fmt: skip
def test_what_is_damaged_was_sound(lay, fuzzing, name):
    from random import Random

    kind = fuzzing.kinds.kinds()[name]
    folder = lay(kind.files())
    said = []
    for seed in range(8):  # which draws how it is opened: in a wrong unit too
        try:
            kind.run(folder, Random(seed))
        except NeuroLMError as error:
            said.append(str(error))
    assert len(said) < 4 and all("unit=" in text or "has begun" in text for text in said)


# --- found by benchmarks/fuzz.py -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("duration", "message"),
    [("1e5", "seconds|EEG"), ("1e-7", r"2e\+09 samples per second"), ("-1", r"samples per second|duration")],
)
def test_an_edf_whose_records_last_forever_or_no_time(lay, fuzzing, duration, message):
    """At 0.002 samples per second there was no sample in ten seconds to look at."""
    folder = lay(fuzzing.recordings.edf(), {"a.edf": put(244, duration.encode().ljust(8))})
    found = inspect(folder / "a.edf", reading=ReadingOptions(unknown="drop"))
    assert not found.usable and found.mains in (None, 50.0)
    if duration == "1e-7":
        with pytest.raises(RecordingError, match=rf"a\.edf: {message}"):
            open_recording(folder / "a.edf", reading=ReadingOptions(unknown="drop"))


def test_a_brainvision_header_of_a_hundred_million_channels(lay, fuzzing):
    """MNE made as many, for minutes and in gigabytes."""
    change = {"a.vhdr": lambda text: text.replace(b"NumberOfChannels=3", b"NumberOfChannels=99999999")}
    with pytest.raises(RecordingError, match=r"a\.vhdr: damaged header: it declares 99,999,999 .* describes 3"):
        open_recording(lay(fuzzing.recordings.brainvision(), change) / "a.vhdr")


@pytest.mark.parametrize("mode", [1, 3, 35])
def test_a_gdf_table_of_millions_of_events(lay, fuzzing, mode):
    """MNE made as many, whatever the mode of the table says."""
    (raw,) = fuzzing.recordings.gdf().values()
    table = raw.index(bytes([1, 2, 0, 0]), 1024 + fuzzing.recordings.COUNTS.size * 2)
    folder = lay({"a.gdf": raw}, {"a.gdf": put(table, bytes([mode, 0xFF, 0xFF, 0xFF]))})
    with pytest.raises(
        RecordingError, match=r"a\.gdf: .* its table of 16,777,215 events does not fit into the 12 bytes"
    ):
        open_recording(folder / "a.gdf")


def test_an_xdf_chunk_of_billions_of_markers(lay, fuzzing):
    """pyxdf made as many lists, until the memory was full; its process may not have that much."""
    (raw,) = fuzzing.recordings.xdf().values()
    one = struct.pack("<HI", 3, 2) + b"\1\1"  # a chunk of samples of stream 2: one
    place = raw.index(one)
    long = raw[:place] + one[:6] + b"\4" + struct.pack("<I", 2**32 - 1) + raw[place + 8 :]
    with pytest.raises(RecordingError, match=r"a\.xdf: .*(truncated or damaged|more memory)"):
        open_recording(lay({"a.xdf": long}) / "a.xdf")


def test_an_eeglab_file_on_which_scipy_crashes(lay, fuzzing):
    """One byte: an empty matrix of a type that does not exist. The reader runs in a process of its own."""
    empty, none = struct.pack("<2I", 9, 0), struct.pack("<2I", 9 + 256, 0)
    folder = lay(fuzzing.recordings.eeglab(), {"a.set": lambda raw: none.join(raw.rsplit(empty, 2))})
    for _ in range(2):  # the process that crashed is not the one that is given the next file
        with pytest.raises(RecordingError, match=r"a\.set: its reader \(read_raw_eeglab\) crashed"):
            open_recording(folder / "a.set")
    lay(fuzzing.recordings.eeglab())
    np.testing.assert_allclose(open_recording(folder / "a.set").read(), fuzzing.recordings.SIGNAL, rtol=1e-6)


def test_eeglab_files_share_a_process_one_after_the_other(lay, fuzzing, tmp_path):
    folder = lay(fuzzing.recordings.eeglab_two())
    first = open_recording(folder / "a.set")
    second = open_recording(folder / "a.set")  # while the first one is open: a process of its own
    np.testing.assert_array_equal(first.read(), second.read())
    numbers = [process_of(recording) for recording in (first, second)]
    assert numbers[0] != numbers[1]
    del first
    third = open_recording(folder / "a.set")
    assert process_of(third) == numbers[0]


def process_of(recording) -> int:
    """Number of the process that reads a recording."""
    return recording._signal.read.__closure__[1].cell_contents.call(os.getpid)


def test_a_fif_file_with_channels_of_no_kind(lay, fuzzing):
    """MNE opens it and fails when it is asked what its channels are."""
    raw = fuzzing.recordings.fif()["a_raw.fif"]
    place = raw.index(b"Cz\0\0\0\0\0\0") - 80  # the channel's record: 96 bytes that end with its name
    changed = put(place + 8, struct.pack(">i", 234))
    with pytest.raises(RecordingError, match=r"a_raw\.fif: MNE \(read_raw_fif\) cannot read it"):
        open_recording(lay({"a_raw.fif": raw}, {"a_raw.fif": changed}) / "a_raw.fif")


def test_a_nicolet_header_of_infinitely_many_samples_per_second(lay, fuzzing):
    change = {"a.head": lambda text: text.replace(b"sample_freq=200", b"sample_freq=inf")}
    with pytest.raises(RecordingError, match=r"a\.data: inf samples per second"):
        open_recording(lay(fuzzing.recordings.nicolet(), change) / "a.data")


def test_a_tuev_event_that_never_ends(lay, fuzzing):
    name = "edf/eval/000/bckg_000_a_.rec"
    sources = LAYOUTS["tuev"].sources(lay(fuzzing.folders.tuev(), {name: lambda text: text.replace(b"2.0", b"8e8")}))
    with pytest.raises(NeuroLMError, match=r"bckg_000_a_\.rec: 'background' begins at 4e\+08 s, but .* lasts 60 s"):
        for source in sources:
            source.labelled(SimpleNamespace(seconds=60.0, annotations=()))
    with pytest.raises(NeuroLMError, match=r"bckg_000_a_\.rec, line 1: stop must be seconds"):
        LAYOUTS["tuev"].sources(lay(fuzzing.folders.tuev(), {name: lambda text: text.replace(b"2.0", b"1e308")}))


def test_a_unit_of_coordinates_that_is_no_text(lay, fuzzing):
    name = "sub-01/eeg/sub-01_coordsystem.json"
    folder = lay(fuzzing.folders.bids(), {name: lambda _: b'{"EEGCoordinateUnits": {"a": 1}}'})
    assert open_recording(folder / "sub-01/eeg/sub-01_task-eyes_eeg.edf").channels == ("FP1", "CZ", "O2")


@pytest.fixture(scope="module")
def prepared(fuzzing):
    """The files of a sound store."""
    return fuzzing.folders.store()


@pytest.mark.parametrize("name", ["manifest.jsonl", "settings.json", "corpus.json", "exclusions.jsonl"])
def test_json_that_is_nested_too_deeply(lay, fuzzing, prepared, name):
    from neurolm.store.exclusions import read_exclusions

    deep = {name: lambda _: f"{DEEP}\n".encode()}
    with pytest.raises(NeuroLMError, match=rf"{name}.*nested too deeply"):
        if name == "corpus.json":
            LAYOUTS["table"].sources(lay(fuzzing.folders.table(), deep))
        elif name == "exclusions.jsonl":
            read_exclusions(lay(fuzzing.folders.exclusions(), deep) / name)
        elif name == "settings.json":
            read_settings(lay(prepared, deep))
        else:
            Store(lay({n: c for n, c in prepared.items() if n != "index.npz"}, deep))


def test_what_is_known_of_sources_in_another_encoding_counts_as_unknown(lay, prepared):
    (name,) = (name for name in prepared if name.startswith("sources/"))
    corpus = Path(name).stem
    assert Journal(lay(prepared), corpus).read()
    for damage in (b"\xe4\n", DEEP.encode(), b"{}\n"):
        assert Journal(lay(prepared, {name: lambda _, damage=damage: damage}), corpus).read() == {}


def test_an_index_of_unknown_compression(lay, prepared):
    def other(raw: bytes) -> bytes:
        place = raw.index(b"PK\1\2") + 10
        return raw[:place] + b"\x63\0" + raw[place + 2 :]

    with pytest.raises(StoreError, match=r"index\.npz: damaged"):
        Store(lay(prepared, {"index.npz": other}))


@pytest.mark.parametrize("field", ["samples", "offset"])
def test_a_manifest_whose_numbers_fit_no_machine(prepared, field):
    row = json.loads(prepared["manifest.jsonl"].splitlines()[0])
    with pytest.raises(StoreError, match=f"line 1: damaged: {field}"):
        parse_row(json.dumps(row | {field: 10**30}), source="manifest.jsonl, line 1")


# --- structure, by hypothesis ----------------------------------------------------------------------------------------

NUMBER = st.one_of(
    st.integers(-(10**7), 10**8).map(str), st.floats(width=32).map(lambda x: f"{x:g}"), st.text(max_size=8)
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(place=st.sampled_from([168, 176, 184, 192, 236, 244, 252, *range(256, 1280, 8)]), value=NUMBER)
def test_any_text_in_any_field_of_an_edf_header(tmp_path_factory, fuzzing, place, value):
    path = tmp_path_factory.getbasetemp() / "field.edf"
    path.write_bytes(put(place, value.encode("utf-8")[:8].ljust(8))(_sound_edf(fuzzing)))
    try:
        header = read_header(path)
        check_whole(path, header, "refuse")
    except RecordingError as error:
        assert str(path) in str(error)
    else:
        assert all(np.isfinite(signal.rate) and signal.rate >= 0 for signal in header.signals) or place in (244, 236)


def _sound_edf(fuzzing) -> bytes:
    return fuzzing.kinds.base(fuzzing.recordings.edf)["a.edf"]


@pytest.fixture(scope="module")
def sound_row(prepared):
    """Makes a row of a store, as JSON has it; a function, since hypothesis prints what a test is given."""
    return lambda: json.loads(prepared["manifest.jsonl"].splitlines()[0])


@settings(max_examples=200, deadline=None, derandomize=True)
@given(field=st.sampled_from([field.name for field in fields(Row)]), value=JSON)
def test_any_json_in_any_field_of_a_row(sound_row, field, value):
    line = json.dumps(sound_row() | {field: value})
    try:
        read = parse_row(line, source="manifest.jsonl, line 1")
    except StoreError as error:
        assert "manifest.jsonl, line 1" in str(error)
    else:
        assert parse_row(read.line(), source="again") == read or "NaN" in read.line()
