"""Markers of XDF files, beside what pyxdf reads: of every type, in numbers and columns, and what is left out."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import pyxdf

from neurolm.recording.recording import Recording, open_recording

RATE, SECONDS, START = 250, 12, 1000.0
STAMPS = (1002.0, 1005.0, 1010.5)
TYPES = {"float32": "f", "double64": "d", "int32": "i", "int16": "h", "int8": "b", "int64": "q"}


def chunk(tag: int, content: bytes) -> bytes:
    return b"\4" + struct.pack("<IH", len(content) + 2, tag) + content


def stream(
    number: int, name: str, kind: str, rate: float, form: str, stamps: Sequence[float], rows: Sequence, desc: str = ""
) -> bytes:
    """A stream of an XDF file (https://github.com/sccn/xdf/wiki/Specifications), each sample with its time."""
    columns = len(rows[0]) if len(rows) else 1
    about = (
        f"<?xml version='1.0'?><info><name>{name}</name><type>{kind}</type><channel_count>{columns}</channel_count>"
        f"<nominal_srate>{rate}</nominal_srate><channel_format>{form}</channel_format><created_at>0</created_at>"
        f"<desc>{desc}</desc></info>"
    )
    parts = [chunk(2, struct.pack("<I", number) + about.encode())]
    for stamp, row in zip(stamps, rows, strict=True):
        one = b"\1\1\x08" + struct.pack("<d", stamp)
        for value in row:
            if form == "string":
                text = str(value).encode()
                one += b"\4" + struct.pack("<I", len(text)) + text
            else:
                one += struct.pack(f"<{TYPES[form]}", value)
        parts.append(chunk(3, struct.pack("<I", number) + one))
    foot = f"<?xml version='1.0'?><info><sample_count>{len(rows)}</sample_count></info>"
    return b"".join([*parts, chunk(6, struct.pack("<I", number) + foot.encode())])


def written(path: Path, *streams: bytes, trigger: np.ndarray | None = None) -> Path:
    """A file with two electrodes, perhaps a trigger channel beside them, and other streams."""
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 20, (SECONDS * RATE, 2))
    channels = [("Cz", "EEG"), ("Pz", "EEG")]
    if trigger is not None:
        rows, channels = np.column_stack([rows, trigger]), [*channels, ("ch3", "Trigger")]
    desc = "".join(f"<channel><label>{n}</label><unit>microvolts</unit><type>{k}</type></channel>" for n, k in channels)
    stamps = START + np.arange(SECONDS * RATE) / RATE
    eeg = stream(1, "eeg", "EEG", RATE, "float32", stamps, rows, f"<channels>{desc}</channels>")
    path.write_bytes(b"XDF:" + chunk(1, b"<?xml version='1.0'?><info><version>1.0</version></info>") + eeg)
    with path.open("ab") as file:
        file.writelines(streams)
    return path


def marks(recording: Recording) -> list[tuple[float, str]]:
    return [(mark.onset, mark.text) for mark in recording.annotations]


@pytest.mark.parametrize(
    ("form", "rows", "texts"),
    [
        ("string", [["left"], ["right"], ["left"]], ["left", "right", "left"]),
        ("int32", [[1], [2], [1]], ["1", "2", "1"]),
        ("int8", [[-1], [2], [1]], ["-1", "2", "1"]),
        ("int64", [[1], [2], [70000]], ["1", "2", "70000"]),
        ("double64", [[1.0], [2.5], [1.0]], ["1", "2.5", "1"]),
        ("string", [["1", "left"], ["2", "right"], ["", "left"]], ["1/left", "2/right", "left"]),
        ("int16", [[1, 7], [2, 8], [1, 9]], ["1/7", "2/8", "1/9"]),
    ],
)
def test_markers_of_every_type_and_of_several_columns(tmp_path: Path, form: str, rows: list, texts: list) -> None:
    path = written(tmp_path / "a.xdf", stream(2, "mk", "Markers", 0, form, STAMPS, rows))
    recording = open_recording(path)
    eeg, theirs = sorted(pyxdf.load_xdf(path, verbose=False)[0], key=lambda s: s["info"]["stream_id"])
    assert [text for _, text in marks(recording)] == texts
    np.testing.assert_allclose([onset for onset, _ in marks(recording)], theirs["time_stamps"] - eeg["time_stamps"][0])


def test_every_stream_is_read_and_numbers_need_no_name(tmp_path: Path) -> None:
    streams = [
        stream(2, "keyboard", "", 0, "int32", [1003.0], [[32]]),
        stream(3, "late", "Markers", 0, "string", [1002.5], [["go"]]),
    ]
    assert marks(open_recording(written(tmp_path / "a.xdf", *streams))) == [(2.5, "go"), (3.0, "32")]


def test_what_lies_outside_or_says_nothing_is_counted(tmp_path: Path) -> None:
    """Another clock, as of a phone or of a program that does not ask for the time of the layer."""
    streams = [
        stream(2, "phone", "Markers", 0, "string", [stamp + 1.6e9 for stamp in STAMPS], [["a"], ["b"], ["c"]]),
        stream(3, "early", "Markers", 0, "int32", [START - 2, START + 1], [[1], [2]]),
        stream(4, "mute", "Markers", 0, "string", [1001.0, 1002.0], [[""], ["x"]]),
    ]
    recording = open_recording(written(tmp_path / "a.xdf", *streams))
    assert marks(recording) == [(1.0, "2"), (2.0, "x")]
    said = "markers outside the EEG's time left out, of the stream"
    assert f"3 {said} phone: by its clock the nearest is 1.6e+09 s after it" in recording.notes
    assert f"1 {said} early: by its clock the nearest is 2 s before it" in recording.notes
    assert "1 markers without a text left out, of the stream mute" in recording.notes


def test_markers_without_a_time_or_a_code_are_counted(tmp_path: Path) -> None:
    streams = [
        stream(2, "mk", "Markers", 0, "string", [np.nan, START + 3, np.inf], [["a"], ["b"], ["c"]]),
        stream(3, "num", "Trigger", 0, "double64", START + np.arange(1.0, 5.0), [[np.nan], [1e300], [-np.inf], [7.0]]),
    ]
    recording = open_recording(written(tmp_path / "a.xdf", *streams))
    assert marks(recording) == [(3.0, "b"), (4.0, "7")]
    assert "2 markers left out whose time stamp is no number, of the stream mk" in recording.notes
    assert "3 markers left out whose value is no code (NaN, or huge), of the stream num" in recording.notes


def test_other_measurements_are_no_markers_and_it_is_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    stamps = np.sort(START + rng.uniform(0, SECONDS, 50))
    streams = [
        stream(2, "eyes", "Gaze", 0, "float32", stamps, rng.normal(0, 1, (50, 4))),
        stream(3, "mouse", "Position", 0, "int16", stamps, rng.integers(0, 1000, (50, 3))),
        stream(4, "video", "Video", 30, "int32", stamps, rng.integers(0, 9, (50, 1))),  # at a rate: a signal
    ]
    recording = open_recording(written(tmp_path / "a.xdf", *streams))
    assert not recording.annotations
    said = [note for note in recording.notes if note.startswith("left out, no markers")]
    assert said == [
        "left out, no markers: the stream eyes of type Gaze, 50 times 4 numbers at no regular rate",
        "left out, no markers: the stream mouse of type Position, 50 times 3 numbers at no regular rate",
    ]


def test_trigger_channels_in_the_stream_and_beside_it(tmp_path: Path) -> None:
    trigger = np.zeros(SECONDS * RATE)
    trigger[500:525], trigger[1500:1525] = 3, 4
    stamps = START + np.arange(SECONDS * 100) / 100
    box = np.zeros((SECONDS * 100, 1))
    box[700:720] = 9
    path = written(
        tmp_path / "a.xdf", stream(2, "box", "Trigger", 100, "int32", stamps, box.astype(int)), trigger=trigger
    )
    recording = open_recording(path)
    assert marks(recording) == [(2.0, "3"), (6.0, "4"), (7.0, "9")]
    assert recording.channels == ("CZ", "PZ")


def test_markers_lie_at_the_nearest_sample(tmp_path: Path) -> None:
    """Between two samples a marker is at the nearer one; just beside the EEG, at its first or last."""
    stamps = [START - 0.5 / RATE, START + 4.1 / RATE, START + 7.9 / RATE, START + SECONDS - 0.5 / RATE]
    path = written(tmp_path / "a.xdf", stream(2, "mk", "Markers", 0, "int32", stamps, [[1], [2], [3], [4]]))
    expected = [(0.0, "1"), (4 / RATE, "2"), (8 / RATE, "3"), (SECONDS - 1 / RATE, "4")]
    assert marks(open_recording(path)) == expected
