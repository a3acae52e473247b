"""Drop-outs of XDF streams: found to the sample whatever the jitter, markers at their samples; files written here."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from neurolm.core.errors import RecordingError
from neurolm.recording.formats import xdf
from neurolm.recording.formats.xdf_parts import find_parts

RATE, SAMPLES, START = 250, 15_000, 1000.0
CLEAN = START + np.arange(SAMPLES) / RATE
MARKED = (0, 3750, 4999, 5000, 7500, 11250, SAMPLES - 1)


def chunk(tag: int, content: bytes) -> bytes:
    return b"\4" + struct.pack("<IH", len(content) + 2, tag) + content


def stream(
    number: int, name: str, kind: str, rate: float, stamps: Sequence[float], values: Sequence[int | str]
) -> bytes:
    """A stream of one channel, of numbers or texts, each sample with its time (github.com/sccn/xdf)."""
    form = "string" if isinstance(values[0], str) else "int32"
    about = (
        f"<?xml version='1.0'?><info><name>{name}</name><type>{kind}</type><channel_count>1</channel_count>"
        f"<nominal_srate>{rate}</nominal_srate><channel_format>{form}</channel_format><created_at>0</created_at>"
        "<desc></desc></info>"
    )
    samples = b"".join(
        b"\x08"
        + struct.pack("<d", stamp)
        + (struct.pack("<BB", 1, len(value)) + value.encode() if isinstance(value, str) else struct.pack("<i", value))
        for stamp, value in zip(stamps, values, strict=True)
    )
    return chunk(2, struct.pack("<I", number) + about.encode()) + chunk(
        3, struct.pack("<IBI", number, 4, len(values)) + samples
    )


def late(drop_outs: dict[int, float]) -> np.ndarray:
    """Seconds by which each sample is later than without drop-outs, given by the first sample after each."""
    lost = np.zeros(SAMPLES)
    for at, seconds in drop_outs.items():
        lost[at:] += seconds
    return lost


def read(path: Path, taken: np.ndarray, declared: float = RATE, stamps: np.ndarray | None = None) -> xdf.Contents:
    """Read a file of samples that count themselves, and of a marker at the true time of some."""
    eeg = stream(1, "amp", "EEG", declared, taken if stamps is None else stamps, range(SAMPLES))
    marked = stream(2, "m", "Markers", 0, taken[list(MARKED)], [str(sample) for sample in MARKED])
    path.write_bytes(b"XDF:" + chunk(1, b"<?xml version='1.0'?><info><version>1.0</version></info>") + eeg + marked)
    return xdf.read(path)


def marked_samples(found: xdf.Contents) -> dict[int, int]:
    """Sample that a marker says → sample at which it is."""
    rate, samples = found.raw.info["sfreq"], {}
    for onset, _, text in found.marks:
        at = round(onset * rate)
        (part,) = [one for one in found.stretches if one.start <= at < one.stop]
        samples[int(text)] = int(found.raw[0, part.first + at - part.start][0].item())
    return samples


EVENLY = {count: [int(at) for at in np.arange(1, count + 1) * SAMPLES // (count + 1)] for count in (1, 5, 30)}


@pytest.mark.parametrize("declared", [250, 0, 500])
@pytest.mark.parametrize(("count", "seconds"), [(1, 1.9), (1, 7.5), (5, 0.06), (5, 0.3), (5, 0.9), (30, 0.5)])
def test_markers_lie_at_their_samples_over_drop_outs(
    tmp_path: Path, count: int, seconds: float, declared: float
) -> None:
    taken = CLEAN + late(dict.fromkeys(EVENLY[count], seconds))
    found = read(tmp_path / "a.xdf", taken, declared)
    assert found.raw.info["sfreq"] == RATE
    assert marked_samples(found) == {sample: sample for sample in MARKED}
    assert [part.first for part in found.stretches] == [0, *EVENLY[count]]
    starts = [round((taken[at] - START) * RATE) for at in (0, *EVENLY[count])]
    assert [part.start for part in found.stretches] == starts
    assert (declared == RATE) == (not any("arrived" in note for note in found.notes))


@pytest.mark.parametrize("seconds", [0.05, 0.1, 0.5])
def test_drop_outs_of_many_lengths_anywhere(tmp_path: Path, seconds: float) -> None:
    rng = np.random.default_rng(3)
    drop_outs = {int(at): seconds * rng.uniform(1, 1.6) for at in rng.integers(1, SAMPLES, 30)}
    found = read(tmp_path / "a.xdf", CLEAN + late(drop_outs))
    assert (found.raw.info["sfreq"], [part.first for part in found.stretches]) == (RATE, [0, *sorted(drop_outs)])
    assert marked_samples(found) == {sample: sample for sample in MARKED}


def test_losses_too_short_for_gaps_shift_no_marker(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    found = read(tmp_path / "a.xdf", CLEAN + late(dict.fromkeys(rng.integers(1, SAMPLES, 60).tolist(), 0.024)))
    assert (found.raw.info["sfreq"], len(found.stretches)) == (RATE, 1)
    assert marked_samples(found) == {sample: sample for sample in MARKED}


def arrivals(taken: np.ndarray, how: str) -> np.ndarray:
    """When samples arrive that were taken at given times."""
    rng = np.random.default_rng(5)
    if how == "jitter":
        return taken + rng.normal(0, 0.004, SAMPLES)
    if how == "delays":
        return np.maximum.accumulate(taken + rng.gamma(1.0, 0.02, SAMPLES))
    if how == "bursts":  # of a tenth of a second
        return np.ceil(taken / 0.1) * 0.1
    stalled = taken.copy()  # for almost half a second, now and then, after which all that was held up comes at once
    for begin in (1010.0, 1033.0):
        stalled[(taken >= begin) & (taken < begin + 0.4)] = begin + 0.4
    return stalled


@pytest.mark.parametrize("declared", [250, 500, 0])
@pytest.mark.parametrize("how", ["jitter", "delays", "bursts", "stalls"])
def test_what_arrives_late_is_not_missing(how: str, declared: float, tmp_path: Path) -> None:
    found = read(tmp_path / "a.xdf", CLEAN, declared, arrivals(CLEAN, how))
    assert found.raw.info["sfreq"] == RATE
    assert [(part.start, part.samples) for part in found.stretches] == [(0, SAMPLES)]


@pytest.mark.parametrize("how", ["jitter", "delays", "bursts"])
def test_drop_outs_are_found_through_jitter(how: str, tmp_path: Path) -> None:
    taken = CLEAN + late({2000: 0.3, 5000: 1.9, 9000: 0.5, 12000: 8.0})
    found = read(tmp_path / "a.xdf", taken, RATE, arrivals(taken, how))
    assert found.raw.info["sfreq"] == RATE
    packet = 25  # samples; what arrived late just before a drop-out may be a part of its own
    parts = [part for part in found.stretches if part.samples > packet]
    np.testing.assert_allclose([part.first for part in parts], [0, 2000, 5000, 9000, 12000], atol=packet)
    starts = [taken[part.first] - START for part in parts]
    np.testing.assert_allclose([part.start / RATE for part in parts], starts, atol=0.03)
    assert len(found.stretches) <= len(parts) + 1


def test_a_drift_is_no_drop_out(tmp_path: Path) -> None:
    taken = START + (CLEAN - START) / 1.008
    found = read(tmp_path / "a.xdf", taken)
    assert (found.raw.info["sfreq"], len(found.stretches), found.notes) == (RATE, 1, ())
    assert marked_samples(found) == {sample: sample for sample in MARKED}


def test_markers_in_a_drop_out_keep_their_time(tmp_path: Path) -> None:
    taken = CLEAN + late({5000: 7.5})
    path = tmp_path / "a.xdf"
    read(path, taken)
    with path.open("ab") as file:
        file.write(stream(3, "more", "Markers", 0, [START + 22, START + 27], ["early", "late"]))
    onsets = {text: onset for onset, _, text in xdf.read(path).marks}
    assert (onsets["4999"], onsets["early"], onsets["late"], onsets["5000"]) == (19.996, 22.0, 27.0, 27.5)


def test_a_clock_that_went_back_begins_a_part() -> None:
    stamps = np.concatenate([CLEAN[:8000], CLEAN[8000:] - 30])
    parts = find_parts(stamps, RATE)
    assert parts.segments == [(0, 7999), (8000, SAMPLES - 1)]
    assert [part.start for part in parts.stretches(RATE)] == [0, 8000]


@pytest.mark.parametrize("odd", [np.inf, np.nan])
def test_a_time_stamp_that_is_no_number_is_named(tmp_path: Path, odd: float) -> None:
    stamps = CLEAN.copy()
    stamps[7000] = odd
    with pytest.raises(RecordingError, match=rf"a\.xdf: amp: 1 of 15,000 time stamps .* of sample 7,000, {odd}: "):
        read(tmp_path / "a.xdf", CLEAN, RATE, stamps)
