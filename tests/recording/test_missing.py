"""Missing samples, gaps and bad parts: what is left, what is said, and that filters and models see nothing else."""

from pathlib import Path

import edfio
import mne
import numpy as np
import pytest

from neurolm.core.errors import RecordingError
from neurolm.core.stretches import Stretch
from neurolm.recording.options import ReadingOptions
from neurolm.recording.preprocess import preprocess, preprocess_blocks
from neurolm.recording.recording import Recording, open_recording

RATE = 250


def raw(data: np.ndarray, marks: tuple[tuple[float, float, str], ...] = ()) -> mne.io.RawArray:
    names = ["Cz", "Pz", "O1"][: len(data)]
    found = mne.io.RawArray(data * 1e-6, mne.create_info(names, RATE, "eeg"), verbose="error")
    return found.set_annotations(mne.Annotations(*zip(*marks, strict=True))) if marks else found


def noise(seconds: float, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 20, (channels, round(seconds * RATE)))


def opened(data: np.ndarray, *marks: tuple[float, float, str], **reading: object) -> Recording:
    return open_recording(raw(data, marks), reading=ReadingOptions(**reading))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])  # infinite in single precision, filtered
@pytest.mark.parametrize(
    ("first", "last", "said"),
    [(24, 28, r"PZ between 24\.00 and 28\.00 s"), (24, 24, r"PZ at 24\.00 s")],
)
def test_what_is_missing_outside_the_part_that_is_looked_at_is_left_out(value, first, last, said):
    data = noise(200)  # of which six blocks of 10 s are looked at
    gap = slice(first * RATE, last * RATE + 1)
    data[1, gap] = value
    recording = opened(data)
    with pytest.raises(RecordingError, match="NaN or infinite values in PZ"):
        recording.read_finite(0, 200 * RATE)
    found = preprocess(recording, mains=50.0)
    assert f"left out with all electrodes: {said}".replace("\\", "") in " ".join(found.notes)
    assert np.isfinite(found.signal).all()
    before, after = found.stretches
    assert (before.start, before.stop) == (0, first * 200)
    assert after.start == pytest.approx((last * RATE + 1) / RATE * 200, abs=1) and after.stop == 200 * 200
    # Each part is filtered as if the other did not exist.
    alone = preprocess(opened(data[:, : gap.start]), mains=50.0).signal
    np.testing.assert_array_equal(found.signal[: before.samples], alone)
    alone = preprocess(opened(data[:, gap.stop :]), mains=50.0).signal
    np.testing.assert_array_equal(found.signal[before.samples :], alone)


@pytest.mark.parametrize("offset", [0.0, 600_000.0])
def test_what_no_electrode_gives_is_left_out_wherever_it_is(offset):
    """Half a volt for two seconds, which no median sees; a constant offset is none of it."""
    data = noise(200) + offset
    data[0, 24 * RATE : 26 * RATE] += 500_000.0
    found = preprocess(opened(data), mains=50.0)
    said = "samples that no electrode gives (more than 450 mV from the channel's median), left out with all electrodes"
    assert f"{said}: CZ between 24.00 and 26.00 s" in " ".join(found.notes)
    before, after = found.stretches
    assert (before.stop, after.start) == (24 * 200, 26 * 200)
    assert np.abs(found.signal).max() < 200
    whole = preprocess(opened(noise(200) + offset), mains=50.0)
    assert len(whole.stretches) == 1


def test_a_unit_that_is_given_makes_nothing_too_large():
    found = preprocess(opened(noise(40) * 1e-3, unit="V"), mains=50.0)  # MNE's volts: 20 nV
    assert len(found.stretches) == 1
    found = preprocess(opened(noise(40) * 1e6, unit="V"), mains=50.0)
    assert len(found.stretches) == 1 and np.abs(found.signal).max() > 1e6


def test_edf_that_could_hold_volts_is_looked_through(tmp_path):
    data = noise(100, 1)[0]
    data[50 * RATE] = 900_000.0
    for top, parts in ((1_000_000.0, 2), (200_000.0, 1)):
        signal = edfio.EdfSignal(np.clip(data, -top, top), RATE, label="Cz", physical_dimension="uV",
                                 physical_range=(-top, top))  # fmt: skip
        edfio.Edf([signal]).write(tmp_path / "a.edf")
        recording = open_recording(tmp_path / "a.edf")
        assert len(preprocess(recording, mains=50.0).stretches) == parts


def test_blocks_never_reach_over_a_gap():
    data = noise(400)
    data[0, 150 * RATE : 152 * RATE] = np.nan
    recording = opened(data)
    together = preprocess(recording, mains=50.0)
    found = preprocess_blocks(recording, mains=50.0, block_seconds=60)
    np.testing.assert_allclose(np.concatenate(list(found.blocks)), together.signal, atol=1e-3)
    assert found.stretches == together.stretches == (Stretch(0, 30_000, 0), Stretch(30_400, 49_600, 30_000))


def test_where_nothing_is_left_the_recording_is_refused():
    data = noise(20)
    data[1, ::200] = np.nan  # 0.8 s apart
    with pytest.raises(RecordingError, match=r"in PZ between 0\.00 and 19\.20 s .*no 1 s without"):
        preprocess(opened(data))


def test_parts_below_a_second_are_left_out():
    data = noise(20)
    data[0, [10 * RATE, round(10.5 * RATE)]] = np.nan
    found = preprocess(opened(data), mains=50.0)
    assert [(part.start / 200, part.stop / 200) for part in found.stretches] == [(0, 10), (10.505, 20)]
    assert "shorter than 1 s, left out: 1 (0.496 s)" in " ".join(found.notes)


def test_bad_annotations_are_left_out_after_filtering_as_in_mne():
    data, mark = noise(100), (40.0, 2.5, "BAD_muscle")
    recording = opened(data, mark, (60.0, 1.0, "good"), (41.0, 3.0, "bad eye"))
    assert "annotated as bad and left out: 4 s (BAD_muscle × 1, bad eye × 1)" in recording.notes
    found, whole = preprocess(recording, mains=50.0), preprocess(opened(data), mains=50.0)
    assert [(part.start / 200, part.stop / 200) for part in found.stretches] == [(0, 40), (44, 100)]
    np.testing.assert_array_equal(found.signal, np.delete(whole.signal, slice(40 * 200, 44 * 200), axis=0))
    kept = opened(data, mark, bad_segments="keep")
    assert "annotated as bad, and used all the same: BAD_muscle × 1" in kept.notes
    np.testing.assert_array_equal(preprocess(kept, mains=50.0).signal, whole.signal)
    comments = opened(data, (40.0, 4.0, "Comment/BAD_muscle"), (60.0, 1.0, "/bad eye"), (70.0, 5.0, "Comment/not bad"))
    parts = preprocess(comments, mains=50.0).stretches
    assert [(part.start / 200, part.stop / 200) for part in parts] == [(0, 40), (44, 60), (61, 100)]
    with pytest.raises(RecordingError, match=r"begin with BAD leave no 1 s .* bad_segments='keep'"):
        preprocess(opened(data, (0.0, 100.0, "BAD")))


@pytest.mark.parametrize("segments", ["drop", "keep"])
def test_what_was_never_recorded_is_a_gap(segments: str):
    data = noise(100)
    data[:, 40 * RATE : 50 * RATE] = 0
    recording = opened(data, (40.0, 10.0, "BAD_ACQ_SKIP"), bad_segments=segments)
    assert "interrupted once: at 40 s (10 s missing)" in " ".join(recording.notes)
    assert np.isnan(recording.read(40, 50)).all()
    found = preprocess(recording, mains=50.0)
    alone = preprocess(opened(data[:, : 40 * RATE]), mains=50.0)
    np.testing.assert_array_equal(found.signal[: 40 * 200], alone.signal)
    assert [(part.start / 200, part.stop / 200) for part in found.stretches] == [(0, 40), (50, 100)]
    with pytest.raises(RecordingError, match="BAD_ACQ_SKIP cover all of it"):
        opened(data, (0.0, 100.0, "BAD_ACQ_SKIP"))


@pytest.mark.parametrize("text", ["New Segment/", "boundary", "EDGE boundary", "BAD boundary"])
def test_a_seam_between_two_parts_is_filtered_over_by_nobody(text: str):
    data = noise(100)
    found = preprocess(opened(data, (0.0, 0.0, text), (30.0, 0.0, text)), mains=50.0)
    assert [(part.start / 200, part.stop / 200) for part in found.stretches] == [(0, 30), (30, 100)]
    alone = preprocess(opened(data[:, 30 * RATE :]), mains=50.0)
    np.testing.assert_array_equal(found.signal[30 * 200 :], alone.signal)


def test_recordings_that_mne_put_together_have_a_seam():
    joined = mne.concatenate_raws([raw(noise(40)), raw(noise(60))], verbose="error")
    found = preprocess(open_recording(joined), mains=50.0)
    assert [(part.start / 200, part.stop / 200) for part in found.stretches] == [(0, 40), (40, 100)]


def test_a_clock_that_jumps_by_months_is_damaged(tmp_path: Path):
    path = tmp_path / "a.edf"
    signal = edfio.EdfSignal(noise(4)[0], RATE, label="Cz", physical_dimension="uV")
    notes = [edfio.EdfAnnotation(0, None, "a long text, so that there is room for a long time")]
    edfio.Edf([signal], annotations=notes).write(path)
    before, after = b"+3\x14\x14" + 8 * b"\0", b"+30000000\x14\x14\0"
    assert path.read_bytes().count(before) == 1
    path.write_bytes(path.read_bytes().replace(before, after))
    with pytest.raises(RecordingError, match="347 days of it are missing"):
        open_recording(path)


def test_events_of_a_trigger_channel_are_in_the_recordings_time(tmp_path: Path):
    codes = np.zeros(8 * RATE)
    codes[[100, 6 * RATE]] = 5
    path = tmp_path / "a.edf"
    signals = [
        edfio.EdfSignal(noise(8)[0], RATE, label="Cz", physical_dimension="uV"),
        edfio.EdfSignal(codes, RATE, label="Trigger", physical_range=(-32768, 32767)),
    ]
    edfio.Edf(signals, annotations=[edfio.EdfAnnotation(0, None, "begin")]).write(path)
    content = path.read_bytes()
    for second in range(4, 8):
        assert content.count(b"+%d\x14\x14\0\0" % second) == 1
        content = content.replace(b"+%d\x14\x14\0\0" % second, b"+%d\x14\x14\0" % (second + 20))
    path.write_bytes(content)
    marks = {mark.text: mark.onset for mark in open_recording(path).annotations if mark.onset}
    onsets = [mark.onset for mark in open_recording(path).annotations if mark.text == "5"]
    assert onsets == [100 / RATE, 26.0], marks


def test_missing_values_and_segments_of_gdf(shared: Path, tmp_path: Path):
    """All channels at their digital minimum hold no number; MNE hands it on as microvolts."""
    from neurolm.recording.formats import gdf

    lowest = np.array([[-1e-4], [-2e-4]])
    volts = np.array([[-1e-4, -1e-4, 0.0], [-2e-4, 0.0, -2e-4]])
    found = gdf.without_missing(volts, lowest)
    assert np.isnan(found).tolist() == [[True, False, False]] * 2
    (path, *_) = sorted((shared / "eeg" / "formats" / "gdf").glob("*.gdf"))
    mnes = mne.io.read_raw_gdf(path, verbose="error")
    least = gdf.lowest(mnes, [0, 1])
    extras = mnes._raw_extras[0]
    np.testing.assert_allclose(
        least[:, 0], (extras["cal"] * extras["digital_min"] + extras["offsets"])[:2] * extras["units"][:2]
    )


def test_an_edf_header_that_makes_numbers_beyond_reason_makes_no_infinity(tmp_path: Path):
    path = tmp_path / "a.edf"
    edfio.Edf([edfio.EdfSignal(noise(40)[0], RATE, label="Cz", physical_dimension="uV")]).write(path)
    content = bytearray(path.read_bytes())
    content[256 + 112 : 256 + 120] = b"9e37    "  # the physical maximum
    path.write_bytes(content)
    recording = open_recording(path, reading=ReadingOptions(unit="uV"), check=False)
    with pytest.raises(RecordingError, match="NaN or infinite values in CZ"):
        preprocess(recording)
