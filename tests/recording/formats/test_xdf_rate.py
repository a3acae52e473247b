"""Rates of XDF streams: declared, measured, made up and lost samples; stamps drawn here, and files written here."""

import struct
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import welch

from neurolm.core.errors import RecordingError
from neurolm.recording.options import ReadingOptions
from neurolm.recording.recording import open_recording

RATE, SECONDS = 256, 20
REGULAR = 100 + np.arange(RATE * SECONDS) / RATE
ALPHA = 30 * np.sin(2 * np.pi * 10 * (REGULAR - 100))  # 10 Hz in the time of the stamps


def write_xdf(path: Path, streams: list[tuple[str, float, np.ndarray, np.ndarray, list[str]]]) -> Path:
    """Streams of (type, declared rate, stamps with NaN for none, samples × channels, labels): XDF 1.0 (sccn/xdf)."""

    def chunk(tag: int, content: bytes) -> bytes:
        return b"\x04" + struct.pack("<IH", len(content) + 2, tag) + content

    parts = [b"XDF:", chunk(1, b"<?xml version='1.0'?><info><version>1.0</version></info>")]
    for number, (kind, rate, stamps, values, labels) in enumerate(streams, 1):
        channels = "".join(f"<channel><label>{label}</label><unit>uV</unit></channel>" for label in labels)
        text = (
            f"<?xml version='1.0'?><info><name>s{number}</name><type>{kind}</type><channel_count>{len(labels)}"
            f"</channel_count><nominal_srate>{rate}</nominal_srate><channel_format>float32</channel_format>"
            f"<created_at>0</created_at><desc><channels>{channels}</channels></desc></info>"
        )
        parts.append(chunk(2, struct.pack("<I", number) + text.encode()))
        samples = b"".join(
            (b"\0" if np.isnan(stamp) else b"\x08" + struct.pack("<d", stamp)) + value.astype("<f4").tobytes()
            for stamp, value in zip(stamps, values, strict=True)
        )
        parts.append(chunk(3, struct.pack("<IBI", number, 4, len(stamps)) + samples))
    path.write_bytes(b"".join(parts))
    return path


def eeg(declared: float, stamps: np.ndarray, values: np.ndarray = ALPHA, kind: str = "EEG"):
    return kind, declared, stamps, np.stack([values, values / 2], axis=1), ["Fp1", "O2"]


def peak(recording) -> float:
    frequencies, power = welch(recording.read(), recording.rate, nperseg=round(4 * recording.rate))
    return float(frequencies[power[0].argmax()])


def jittered() -> np.ndarray:
    """Each sample is stamped when it arrives, in bursts of Bluetooth."""
    late = np.random.default_rng(0).gamma(1.0, 0.02, len(REGULAR))
    return np.maximum.accumulate(REGULAR + late)


def chunked(declared: float) -> np.ndarray:
    """Chunks of 32 samples with one stamp each; readers make the others up from the declared rate."""
    stamps = np.full(len(REGULAR), np.nan)
    stamps[::32] = REGULAR[::32]
    return stamps


@pytest.mark.parametrize(
    ("declared", "stamps"),  # without a rate, readers make up no stamps: no chunks of them
    [(rate, stamps) for rate in (500, 512, 128, 250, 0) for stamps in ("regular", "jittered", "chunked")][:-1],
)
def test_ten_hertz_are_ten_hertz_whatever_the_stream_declares(tmp_path: Path, declared: float, stamps: str) -> None:
    given = {"regular": REGULAR, "jittered": jittered(), "chunked": chunked(declared)}[stamps]
    recording = open_recording(write_xdf(tmp_path / "a.xdf", [eeg(declared, given)]))
    assert recording.rate == pytest.approx(RATE, rel=1e-3)
    assert recording.samples == len(REGULAR)
    assert peak(recording) == pytest.approx(10, abs=0.26)
    (note,) = [note for note in recording.notes if "arrived" in note]
    assert note.startswith(f"the stream declares {f'{declared:g} Hz' if declared else 'no rate'}, but 25")
    assert note.endswith("steadily: taken as 256 Hz")


@pytest.mark.parametrize("stamps", ["regular", "jittered", "chunked"])
def test_a_rate_that_is_right_is_believed_without_a_word(tmp_path: Path, stamps: str) -> None:
    given = {"regular": REGULAR, "jittered": jittered(), "chunked": chunked(256)}[stamps]
    recording = open_recording(write_xdf(tmp_path / "a.xdf", [eeg(256, given)]))
    assert (recording.rate, recording.notes) == (256.0, ())


@pytest.mark.parametrize("declared", [256, 0])
def test_samples_that_were_lost_are_no_slower_clock(tmp_path: Path, declared: float) -> None:
    kept = np.repeat(np.random.default_rng(1).random(len(REGULAR) // 16) > 0.15, 16)
    recording = open_recording(write_xdf(tmp_path / "a.xdf", [eeg(declared, REGULAR[kept], ALPHA[kept])]))
    assert recording.rate == 256.0
    assert any("samples were lost" in note for note in recording.notes)


def test_a_pause_is_no_slower_clock(tmp_path: Path) -> None:
    stamps = REGULAR + np.where(np.arange(len(REGULAR)) >= 2000, 30.0, 0.0)
    for declared in (256, 0, 500):
        recording = open_recording(write_xdf(tmp_path / f"{declared}.xdf", [eeg(declared, stamps)]))
        assert recording.rate == 256.0
        assert "interrupted" in " ".join(recording.notes)


@pytest.mark.parametrize("declared", [0, 1000])
def test_what_did_not_arrive_steadily_is_refused(tmp_path: Path, declared: float) -> None:
    steps = np.where(np.arange(len(REGULAR)) < 3000, 1 / 100, 1 / 400) * (
        1 + np.random.default_rng(0).uniform(-0.9, 0.9, len(REGULAR))
    )
    path = write_xdf(tmp_path / "a.xdf", [eeg(declared, np.cumsum(steps))])
    with pytest.raises(RecordingError, match=r"a\.xdf: s1: the stream declares .*, and not steadily: nobody can tell"):
        open_recording(path)


def test_electrodes_make_a_stream_eeg_where_none_says_so(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 20, (len(REGULAR), 3))
    gyroscope = ("Gyro", 256, REGULAR, noise, ["X", "Y", "Z"])
    recording = open_recording(write_xdf(tmp_path / "a.xdf", [gyroscope, eeg(256, REGULAR, kind="ExG")]))
    assert recording.channels == ("FP1", "O2")
    assert recording.notes == ("no stream of type EEG: one of type ExG taken, whose channels are electrodes",)
    with pytest.raises(RecordingError, match=r"no stream of type EEG with samples in it; streams found: 0 s1 \(Gyro\)"):
        open_recording(write_xdf(tmp_path / "b.xdf", [gyroscope]))
    both = write_xdf(tmp_path / "c.xdf", [eeg(256, REGULAR, kind="ExG"), eeg(256, REGULAR[:2560], ALPHA[:2560])])
    assert open_recording(both).seconds == 10
    asked = open_recording(both, reading=ReadingOptions(stream=0))
    assert asked.seconds == 20
