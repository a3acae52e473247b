"""Annotations of EDF+ files, beside what MNE and EDFlib read, and where MNE drops some."""

from pathlib import Path

import edfio
import mne
import numpy as np
import pyedflib
import pytest

from neurolm.core.errors import RecordingError
from neurolm.core.stretches import Stretch
from neurolm.corpora.side_files import edf_annotations
from neurolm.recording.formats.edf import SignalHeader, read_header
from neurolm.recording.formats.edf_annotations import parse, read_annotations, record_stretches
from neurolm.recording.recording import open_recording


def written(path: Path, notes: list[edfio.EdfAnnotation], bdf: bool = False) -> Path:
    rng = np.random.default_rng(0)
    signal, file = (edfio.BdfSignal, edfio.Bdf) if bdf else (edfio.EdfSignal, edfio.Edf)
    parts = [signal(rng.normal(0, 20, 700), 100, label=name, physical_dimension="uV") for name in ("Cz", "Pz")]
    file(parts, annotations=notes).write(path)
    return path


def marks(path: Path, labels=()) -> list[tuple[float, float, str]]:
    return list(read_annotations(path, read_header(path), labels).marks)


@pytest.mark.parametrize("suffix", [".edf", ".bdf"])
def test_annotations_are_those_of_mne(tmp_path: Path, suffix: str) -> None:
    notes = [
        edfio.EdfAnnotation(3.5, 1.25, "späte Pause"),
        edfio.EdfAnnotation(0.5, None, "Anfang"),
        edfio.EdfAnnotation(0.5, None, "Anfang"),
        edfio.EdfAnnotation(2.0, 0.5, "spike@@Cz"),
        edfio.EdfAnnotation(2.0, 0.5, "spike@@Pz"),
        edfio.EdfAnnotation(2.5, 0.5, "mail@@elsewhere"),
    ]
    path = written(tmp_path / f"notes{suffix}", notes, bdf=suffix == ".bdf")
    reader = mne.io.read_raw_bdf if suffix == ".bdf" else mne.io.read_raw_edf
    theirs = reader(path, stim_channel=None, verbose="error").annotations
    expected = list(zip(theirs.onset, theirs.duration, map(str, theirs.description), strict=True))
    assert marks(path, {"Cz", "Pz"}) == expected
    assert [text for _, _, text in expected] == ["Anfang", "Anfang", "spike", "mail@@elsewhere", "späte Pause"]


@pytest.mark.parametrize("text", ["seizure\nleft temporal", "one\r\ntwo\r\n\r\nfour", "a\tb", "µV 眼\n"])
def test_texts_may_hold_tabs_and_line_breaks(tmp_path: Path, text: str) -> None:
    notes = [edfio.EdfAnnotation(2, None, "before"), edfio.EdfAnnotation(5, 1.5, text), edfio.EdfAnnotation(6, 0, "z")]
    path = written(tmp_path / "lines.edf", notes)
    with pyedflib.EdfReader(str(path)) as reader:
        onsets, lengths, texts = reader.readAnnotations()
    assert (list(onsets), list(texts)) == ([2, 5, 6], ["before", text, "z"])
    assert marks(path) == [(2.0, 0.0, "before"), (5.0, float(lengths[1]), text), (6.0, 0.0, "z")]
    assert [mark.text for mark in open_recording(path).annotations] == ["before", text, "z"]
    assert edf_annotations(path, "a hypnogram") == marks(path)
    path.write_bytes(path.read_bytes()[:192] + b"EDF+D" + path.read_bytes()[197:])  # which MNE reads
    assert [mark.text for mark in open_recording(path).annotations] == ["before", text, "z"]


def test_another_encoding_and_a_start_between_seconds() -> None:
    lists = b"+0.25\x14\x14\x00+1.25\x15\x31\x14Augen zu\x14\x00\x00\x00+2.25\x14m\xfcde\x14\x14\x00"
    assert parse([lists]).marks == ((1.0, 1.0, "Augen zu"), (2.0, 0.0, "müde"))


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (b"+5.\x150.5\x14", (5.0, 0.5)),
        (b"+.5\x14", (0.5, 0.0)),
        (b"+5\x15\x14", (5.0, 0.0)),
        (b"+5\x1530 \x14", (5.0, 30.0)),
        (b"+5,25\x151,5\x14", (5.25, 1.5)),
        (b"-1\x14", (-1.0, 0.0)),
    ],
)
def test_times_written_a_little_otherwise(stated: bytes, expected: tuple[float, float]) -> None:
    found = parse([b"+0\x14\x14\x00" + stated + b"light\x14\x00\x00"])
    assert found.marks == ((*expected, "light"),) and not found.notes


def test_what_cannot_be_taken_is_counted_and_named() -> None:
    found = parse([b"+0\x14\x14\x00five\x14spike\x14\x00+5\x15-1\x14lights off\x14\x00+6\x14on\x14\x00", b"rubbish"])
    assert found.marks == ((5.0, 0.0, "lights off"), (6.0, 0.0, "on"))  # MNE has -1 s for the first
    assert found.notes == (
        "annotations cannot be read: 2, the first b'five\\x14spike'",
        "annotations without a length that is one: 1, the first b'+5\\x15-1\\x14lights off'",
    )


def test_a_list_that_is_not_closed_spoils_no_other_record() -> None:
    found = parse([b"+0\x14\x14\x00+1\x14open", b"+1\x14\x14\x00+1.5\x14next\x14\x00"])
    assert found.marks == ((1.0, 0.0, "open"), (1.5, 0.0, "next"))


@pytest.mark.parametrize("reserved", [b"EDF+D", b"EDF+C", b"     "])
def test_the_times_of_data_records_tell_what_is_missing(tmp_path: Path, reserved: bytes) -> None:
    path = written(tmp_path / "a.edf", [edfio.EdfAnnotation(1, None, "x")])
    content = bytearray(path.read_bytes())
    content[192:197] = reserved

    def stretches() -> tuple[Stretch, ...]:
        path.write_bytes(content)
        header = read_header(path)
        return record_stretches(path, read_annotations(path, header).onsets, header.duration, header.signals[0])[0]

    assert stretches() == ()
    for old, new in ((b"+4\x14\x14\0\0", b"+9\x14\x14\0\0"), (b"+5\x14\x14\0\0", b"+10\x14\x14\0"),
                     (b"+6\x14\x14\0\0", b"+90\x14\x14\0")):  # fmt: skip
        assert content.count(old) == 1
        content = content.replace(old, new)
    assert stretches() == (Stretch(0, 400, 0), Stretch(900, 200, 400), Stretch(9000, 100, 600))
    content = content.replace(b"+9\x14\x14", b"+1\x14\x14")
    with pytest.raises(RecordingError, match=r"data record 5 begins at 1 s, before .* has ended \(4 s\)"):
        stretches()


def times(onsets: list[float], duration: float = 1.0) -> tuple[tuple[Stretch, ...], tuple[str, ...]]:
    signal = SignalHeader(label="Cz", unit="uV", rate=100 / duration, per_record=100, start=0, limits=())
    return record_stretches(Path("a.edf"), onsets, duration, signal)


def test_a_slow_clock_never_falls_behind_unsaid() -> None:
    """Each record begins 8 ms late, below what counts as a gap: the samples are placed to a tenth of a second."""
    onsets = [1.008 * record for record in range(3600)]
    stretches, notes = times(onsets)
    assert notes == () and len(stretches) > 100
    for stretch in stretches:
        assert stretch.start / 100 == pytest.approx(onsets[stretch.first // 100], abs=0.01)
    last = stretches[-1]
    assert last.stop / 100 == pytest.approx(onsets[-1] + 1, abs=0.11)
    ten, _ = times([10.09 * record for record in range(60)], 10.0)
    assert ten[-1].start / 10 == pytest.approx(10.09 * (ten[-1].first // 100), abs=0.1)


def test_a_fast_clock_is_said_and_parts_nothing() -> None:
    stretches, notes = times([0.9999 * record for record in range(10_000)])
    assert stretches == ()
    assert notes == ("its clock runs faster than its samples, by 1 s: labels by the clock are off by as much",)
    assert times([0.99999 * record for record in range(5_000)]) == ((), ())


def test_a_record_without_a_time_hides_no_gap() -> None:
    onsets = [*map(float, range(60)), float("nan"), *map(float, range(111, 130))]
    assert times(onsets)[0] == (Stretch(0, 6100, 0), Stretch(11100, 1900, 6100))
    assert times([float("nan"), 1.0, 2.0, 9.0])[0] == (Stretch(0, 300, 0), Stretch(900, 100, 300))
    assert times([float("nan")] * 3) == ((), ())
