"""The pyramid: the file's own numbers, extremes that hold them, nothing clipped, gaps, and whole or not there."""

from pathlib import Path

import edfio
import mne
import numpy as np
import pytest

from neurolm.core.errors import RecordingError
from neurolm.recording.options import ReadingOptions
from neurolm.recording.recording import find_recordings, open_recording
from neurolm.server.traces import build
from neurolm.server.traces.pyramid import CHUNK, FACTOR, META, NOTHING, Pyramid, Writer, quantise
from neurolm.server.traces.view import describe


def make(path: Path, folder: Path, **how) -> Pyramid:
    build.begin(path, ReadingOptions(unknown="nearest", **how), folder)
    while build.advance(0.2) < 1:
        pass
    return Pyramid(folder)


def write(path: Path, signals: dict[str, np.ndarray], rate=200, **options) -> Path:
    edfio.Edf(
        [
            edfio.EdfSignal(values, rate[name] if isinstance(rate, dict) else rate, label=name,
                            physical_dimension="uV")
            for name, values in signals.items()
        ],
        **options,
    ).write(path)  # fmt: skip
    return path


def row(pyramid: Pyramid, name: str) -> int:
    return [channel["name"] for channel in pyramid.meta["channels"]].index(name)


def noise(seed: int, samples: int, sd: float = 20.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, sd, samples)


def test_samples_are_those_of_the_file_to_single_precision(tmp_path):
    edfio.Edf(
        [
            edfio.EdfSignal(noise(i, 60 * 200), 200, label=name, physical_dimension="uV", physical_range=(-500, 800))
            for i, name in enumerate(("C3", "C4", "Fz"))
        ]
    ).write(path := tmp_path / "a.edf")
    pyramid = make(path, tmp_path / "traces")
    edf = edfio.read_edf(path)
    for signal in edf.signals:
        for first, last in ((0, 60 * 200), (4000, 9000), (CHUNK - 1, CHUNK + 1)):
            found = pyramid.samples(first, last, [row(pyramid, signal.label.upper())])[0]
            np.testing.assert_allclose(found, signal.data[first:last], rtol=0, atol=800 * 2**-24)


def test_every_level_holds_the_samples_and_no_more(tmp_path):
    samples = 9 * CHUNK + 17
    values = noise(1, samples).cumsum()
    path = tmp_path / "raw.fif"
    mne.io.RawArray(values[None] * 1e-6, mne.create_info(["Cz"], 100.0, "eeg"), verbose="error").save(
        path, fmt="double", verbose="error"
    )
    pyramid = make(path, tmp_path / "traces")
    assert pyramid.levels > 2
    for level in range(1, pyramid.levels):
        each = FACTOR**level
        padded = np.append(values, [np.nan] * (-samples % each)).reshape(-1, each)
        low, high = np.nanmin(padded, axis=1), np.nanmax(padded, axis=1)
        found = pyramid.extremes(level, 0, pyramid.bins(level))[0].astype(float)
        step = np.ptp(values) / 65_000
        assert found.shape == (len(padded), 2)
        assert (found[:, 0] <= low + 1e-3).all() and (found[:, 0] >= low - 2 * step).all()
        assert (found[:, 1] >= high - 1e-3).all() and (found[:, 1] <= high + 2 * step).all()


def test_small_eeg_on_large_offsets_keeps_its_shape(tmp_path):
    wave = 20 * np.sin(np.arange(3 * CHUNK) / 7)
    data = np.stack([wave + 250_000, wave - 187_000, wave]) * 1e-6
    path = tmp_path / "raw.fif"
    info = mne.create_info(["C3", "C4", "Cz"], 256.0, "eeg")
    mne.io.RawArray(data, info, verbose="error").save(path, fmt="double", verbose="error")
    pyramid = make(path, tmp_path / "traces")
    for name, offset in (("C3", 250_000), ("C4", -187_000), ("CZ", 0)):
        found = pyramid.samples(0, pyramid.length, [row(pyramid, name)])[0].astype(float)
        assert np.abs(found - offset - wave).max() < 0.02  # of single precision at a quarter of a volt
        assert pyramid.meta["channels"][row(pyramid, name)]["baseline"] == pytest.approx(offset, abs=20)


@pytest.mark.parametrize("low_high", [(-32_768, 32_767), (-8_388_608, 8_388_607), (0, 65_535)])
def test_whole_numbers_of_any_range_are_not_clipped(low_high):
    numbers = np.array([[*low_high, 0, 5], [1, 2, 3, 4]], np.int32)
    found = quantise(numbers)
    back = found.counts * found.scale[:, None] + found.offset[:, None]
    assert found.counts.min() > NOTHING
    assert np.abs(back - numbers)[0].max() <= found.scale[0] / 2 + 1e-6
    assert found.scale[0] < 300
    np.testing.assert_array_equal(back[1], numbers[1])


def test_the_least_int16_is_a_sample_and_no_gap(tmp_path):
    with Writer(tmp_path, 1, CHUNK, np.ones(1), np.zeros(1)) as writer:
        numbers = np.zeros((1, CHUNK), np.int16)
        numbers[0, 7] = -32_768
        writer.add(0, [([0], numbers, True)])
        writer.finish()
    pyramid = Pyramid(tmp_path, {"rate": 1, "samples": CHUNK, "channels": [{}]})
    assert pyramid.samples(7, 8)[0, 0] == -32_768
    assert pyramid.extremes(1, 1, 2)[0, 0].tolist() == [-32_768, 0]


def test_gaps_are_nothing_and_take_no_space(tmp_path):
    data = noise(3, 2000)
    raw = mne.io.RawArray(data[None] * 1e-6, mne.create_info(["Cz"], 100.0, "eeg"), verbose="error")
    raw.set_annotations(mne.Annotations([5.0], [10.0], ["BAD_ACQ_SKIP"]))
    path = tmp_path / "raw.fif"
    raw.save(path, fmt="double", verbose="error")
    pyramid = make(path, tmp_path / "traces")
    found = pyramid.samples(0, 2000)[0]
    assert np.isnan(found[500:1500]).all() and not np.isnan(np.delete(found, slice(500, 1500))).any()
    assert np.isnan(pyramid.samples(-3, 0)).all() and np.isnan(pyramid.samples(2000, 2003)).all()
    assert describe(pyramid)["gaps"] == [(5.0, 15.0)]


def test_days_without_samples_are_a_hole(tmp_path):
    days = 20 * 86_400 * 256
    with Writer(tmp_path, 2, days, np.ones(2), np.zeros(2)) as writer:
        writer.add(days // CHUNK - 1, [([0, 1], np.ones((2, CHUNK), np.int16), True)])
        writer.finish()
    pyramid = Pyramid(tmp_path, {"rate": 256, "samples": days, "channels": [{}, {}]})
    assert sum(file.stat().st_blocks * 512 for file in tmp_path.iterdir()) < 20 << 20
    coarse = pyramid.extremes(pyramid.levels - 1, 0, pyramid.bins(pyramid.levels - 1))[0]
    assert np.isnan(coarse[:-2]).all() and (coarse[-1] == 1).all()


def test_slow_and_fast_channels_stand_beside_the_eeg(tmp_path):
    seconds = 40
    times = {rate: np.arange(seconds * rate) / rate for rate in (10, 200, 500)}
    path = write(
        tmp_path / "a.edf",
        {
            "C3": noise(1, seconds * 200), "C4": noise(2, seconds * 200),
            "Resp": 100 * np.sin(2 * np.pi * 0.25 * times[10]), "EMG Chin": 100 * np.sin(2 * np.pi * 20 * times[500]),
        },
        rate={"C3": 200, "C4": 200, "Resp": 10, "EMG Chin": 500},
    )  # fmt: skip
    pyramid = make(path, tmp_path / "traces")
    assert pyramid.rate == 200 and {c["kind"] for c in pyramid.meta["channels"]} == {"eeg", "other", "emg"}
    chin = pyramid.samples(0, seconds * 200, [row(pyramid, "EMG Chin")])[0]
    expected = 100 * np.sin(2 * np.pi * 20 * times[200])
    assert np.abs(chin - expected)[40:-40].max() < 1
    belt = pyramid.samples(0, seconds * 200, [row(pyramid, "Resp")])[0][:-20]
    assert np.abs(belt - 100 * np.sin(2 * np.pi * 0.25 * times[200][:-20])).max() < 0.5  # lines between ten a second


def test_bad_channels_are_named_with_the_reason(tmp_path):
    samples = 20 * 200
    signals = {"C3": noise(1, samples), "C4": noise(2, samples), "Cz": noise(3, samples), "O1": noise(4, samples, 900)}
    signals |= {"P3": signals["C3"] + 0.01, "Fz": np.zeros(samples)}
    pyramid = make(write(tmp_path / "a.edf", signals), tmp_path / "traces")
    bad = {channel["name"]: channel["bad"] for channel in pyramid.meta["channels"]}
    assert bad["C4"] is None and bad["CZ"] is None
    assert bad["FZ"] == "flat" and "noisy" in bad["O1"] and "one signal with P3" in bad["C3"]


def test_what_is_no_electrode_and_what_a_question_refuses_is_shown(tmp_path):
    path = write(tmp_path / "a.edf", {"Alpha": noise(1, 4000), "Beta": noise(2, 4000), "EOG left": noise(3, 4000)})
    with pytest.raises(RecordingError):
        open_recording(path)
    pyramid = make(path, tmp_path / "traces")
    assert [(c["name"], c["kind"]) for c in pyramid.meta["channels"]] == [
        ("Alpha", "eeg"), ("Beta", "eeg"), ("EOG left", "eog"),
    ]  # fmt: skip


def test_an_interrupted_build_is_begun_anew(tmp_path):
    path = write(tmp_path / "a.edf", {"C3": noise(1, 4000), "C4": noise(2, 4000)})
    folder = tmp_path / "scratch" / "traces"
    build.begin(path, ReadingOptions(), folder)
    assert not folder.exists()
    (left,) = folder.parent.iterdir()
    (left / "level-0.i2").write_bytes(b"half of it")
    assert make(path, folder).length == 4000
    assert (folder / META).is_file() and list(folder.parent.iterdir()) == [folder]


def test_annotations_are_bounded_and_cannot_steer_anything(tmp_path, monkeypatch):
    marks = [edfio.EdfAnnotation(i / 100, None, f"mark\x1b[2J {i}") for i in range(50)]
    marks.append(edfio.EdfAnnotation(0.5, 1.0, "BAD movement"))
    path = write(tmp_path / "a.edf", {"C3": noise(1, 4000), "C4": noise(2, 4000)}, annotations=marks)
    monkeypatch.setattr(build, "MOST_ANNOTATIONS", 51)
    said = describe(make(path, tmp_path / "all"))
    assert [one["bad"] for one in said["annotations"] if one["text"] == "BAD movement"] == [True]
    assert "\x1b" not in str(said["annotations"]) and said["more_annotations"] == 0
    monkeypatch.setattr(build, "MOST_ANNOTATIONS", 20)
    few = describe(make(path, tmp_path / "few"))
    assert len(few["annotations"]) == 20 and few["more_annotations"] == 31


def test_all_formats_show_what_opening_reads(shared, tmp_path):
    for number, path in enumerate(find_recordings(shared / "eeg" / "formats")):
        try:
            expected = open_recording(path, reading=ReadingOptions(unknown="drop"), check=False)
        except RecordingError:
            continue
        pyramid = make(path, tmp_path / str(number))
        names = [channel["electrode"] for channel in pyramid.meta["channels"]]
        rows = [names.index(name) for name in expected.channels]
        last = min(expected.samples, 20_000)
        signal = expected.read_samples(0, last)
        found = pyramid.samples(0, last, rows).astype(float)
        assert pyramid.rate == expected.rate and pyramid.length == expected.samples, path
        np.testing.assert_array_equal(np.isnan(found), np.isnan(signal), err_msg=str(path))
        error = np.nanmax(np.abs(found - signal))
        assert error <= max(np.nanmax(np.ptp(signal, axis=1)) / 65_000, np.nanmax(np.abs(signal)) * 1e-6), path
