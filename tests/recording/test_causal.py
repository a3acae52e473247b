"""`recording.causal`: one filter for any rate, whose result nothing later changes, however it is pushed."""

import mne
import numpy as np
import pytest
from scipy import signal

from neurolm.recording.causal import SETTLING, CausalFilter, group_delay, response
from neurolm.recording.filters import design_for
from neurolm.recording.preprocess import preprocess, preprocess_blocks
from neurolm.recording.recording import Recording, open_recording

RATES = [100.0, 128.0, 200.0, 249.97, 250.0, 256.0, 500.0, 512.0, 1000.0, 2048.0, 20000.0]


def noise(rate: float, seconds: float, channels: int = 2) -> np.ndarray:
    """White noise of 20 µV on offsets of up to 300 mV."""
    offsets = np.linspace(0, 3e5, channels)[:, None]
    return np.random.default_rng(0).normal(size=(channels, round(rate * seconds))) * 20 + offsets


def measured(rate: float, hertz: float, mains: float = 50.0) -> complex:
    """What becomes of a sine of 1 µV: amplitude and phase, once the filter has settled."""
    seconds = np.arange(round(40 * rate)) / rate
    result = CausalFilter(1, rate, mains=mains).push(np.sin(2 * np.pi * hertz * seconds)[None])[0]
    at = np.arange(6000, 8000) / 200
    return complex(2j * np.mean(result[6000:] * np.exp(-2j * np.pi * hertz * at)))


@pytest.mark.parametrize("rate", RATES)
def test_pieces_change_nothing(rate):
    given, rng = noise(rate, 12), np.random.default_rng(1)
    causal = CausalFilter(2, rate, mains=50.0)
    whole = causal.push(given)
    assert whole.dtype == np.float32 and whole.shape == (2, int(np.ceil(given.shape[1] * 200 / rate)))
    causal.reset()
    pieces, first = [], 0
    while first < given.shape[1]:
        length = int(rng.choice([0, 1, 7, round(rate), round(2.5 * rate)]))
        pieces.append(causal.push(given[:, first : first + length]))
        first += length
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole)


@pytest.mark.parametrize("rate", RATES)
def test_nothing_later_changes_a_sample(rate):
    given = noise(rate, 6)
    whole = CausalFilter(2, rate, mains=50.0).push(given)
    for place in (1, round(2.2 * rate) + 1, given.shape[1] - 1):
        other = given.copy()
        other[:, place:] = np.where(np.arange(given.shape[1] - place) % 2, 1e6, np.nan)
        with np.errstate(invalid="ignore"):
            changed = CausalFilter(2, rate, mains=50.0).push(other)
        due = int(np.ceil(place * 200 / rate))  # the first sample at 200 Hz that is not before what was changed
        np.testing.assert_array_equal(changed[:, :due], whole[:, :due])
        assert not np.isfinite(changed[:, due + 5 :]).any()


def test_a_sample_is_there_as_soon_as_it_is_due():
    causal = CausalFilter(1, 500.0, mains=50.0)
    made = [causal.push(np.ones((1, 1))).shape[1] for _ in range(11)]
    assert made == [1, 0, 1, 0, 0, 1, 0, 1, 0, 0, 1]  # at 0, 5, 10 … ms: what comes 2 ms after a sample is later


@pytest.mark.parametrize("rate", [200.0, 250.0, 256.0, 500.0, 512.0, 1000.0, 5000.0])
@pytest.mark.parametrize("hertz", [1.0, 10.0, 39.0, 60.0, 75.0])
def test_the_response_is_that_of_scipy_filters(rate, hertz):
    # butter and iirnotch as scipy.signal has them, each by its own response
    high = signal.freqz_sos(signal.butter(2, 0.08, "highpass", fs=rate, output="sos"), [hertz], fs=rate)[1]
    notch = signal.freqz(*signal.iirnotch(50.0, 25.0, fs=rate), [hertz], fs=rate)[1]
    low = signal.freqs(*signal.butter(8, 2 * np.pi * 75, analog=True), 2 * np.pi * np.array([hertz]))[1]
    expected, found = complex((high * notch * low)[0]), measured(rate, hertz)
    assert abs(found - expected) < (0.02 if rate == 200 else 1e-3)  # at 200 Hz, 125 Hz are 75 Hz
    assert abs(found - response(design_for(rate, 50.0), np.array([hertz]))[0]) < 1e-5


def test_numbers_are_those_of_sosfilt_where_the_rate_is_high():
    rate, given = 20000.0, noise(20000.0, 8)
    sections = [signal.butter(2, 0.08, "highpass", fs=rate, output="sos"),
                signal.tf2sos(*signal.iirnotch(60.0, 30.0, fs=rate)),
                signal.butter(8, 75.0, fs=rate, output="sos")]  # fmt: skip
    sos = np.concatenate(sections)
    # As with sosfilt_zi times the first sample, which would round by 0.04 µV on an offset of 300 mV.
    expected = signal.sosfilt(sos, given - given[:, :1])[:, ::100]
    found = CausalFilter(2, rate, mains=60.0).push(given)
    np.testing.assert_allclose(found, expected, atol=2e-3 * expected.std())


@pytest.mark.parametrize("rate", [250.0, 500.0, 1000.0])
@pytest.mark.parametrize("hertz", [4.0, 10.0, 30.0, 40.0])
def test_the_delay_is_where_a_burst_arrives(rate, hertz):
    seconds = np.arange(round(8 * rate)) / rate
    burst = np.exp(-(((seconds - 4) / 0.5) ** 2)) * np.cos(2 * np.pi * hertz * (seconds - 4))
    causal = CausalFilter(1, rate, mains=60.0)
    power = np.abs(signal.hilbert(causal.push(burst[None])[0])) ** 2
    arrived = np.average(np.arange(len(power)) / 200, weights=power) - 4
    stated = float(group_delay(causal.design, np.array([hertz]))[0])
    assert abs(arrived - stated) < 2e-4
    if hertz == 10.0:
        assert causal.delay == stated


@pytest.mark.parametrize("rate", [200.0, 256.0, 500.0, 20000.0])
def test_the_delay_is_short(rate):
    delays = group_delay(design_for(rate, 50.0), np.linspace(1, 40, 79))
    assert (delays > 0.008).all() and (delays < 0.030).all()


def test_what_lies_beyond_the_band_is_taken_out():
    assert abs(measured(500.0, 50.0)) < 1e-5 and abs(measured(500.0, 60.0, mains=60.0)) < 1e-5
    # 130, 150 and 230 Hz would be seen at 70, 50 and 30 Hz
    for hertz, most in ((130.0, 0.02), (150.0, 0.005), (230.0, 2e-4)):
        seconds = np.arange(10_000) / 500
        result = CausalFilter(1, 500.0, mains=60.0).push(np.sin(2 * np.pi * hertz * seconds)[None])
        assert np.abs(result[0, 2000:]).max() < most


def test_a_rate_that_does_not_reach_the_mains_or_the_band():
    causal = CausalFilter(1, 100.0, mains=50.0)
    assert causal.design.notch is None and causal.design.band == (0.1, 45.0)
    assert abs(abs(measured(100.0, 10.0)) - 1) < 1e-3


def test_offsets_do_not_ring_and_jumps_settle():
    causal = CausalFilter(2, 500.0, mains=50.0)
    assert not causal.push(np.array([[3e5], [-2e5]]) * np.ones(5000)).any()
    after = causal.push(np.array([[3e5 + 100], [-2e5]]) * np.ones(10_000))
    late = round(SETTLING * 200)
    assert np.abs(after[0]).max() > 90 and np.abs(after[0, late:]).max() < 2 and not after[1].any()


def test_after_a_reset_it_is_new():
    given = noise(256.0, 5)
    causal = CausalFilter(2, 256.0, mains=50.0)
    first = causal.push(given)
    causal.reset()
    np.testing.assert_array_equal(causal.push(given), first)
    with pytest.raises(ValueError, match=r"shape \(3, 10\)"):
        causal.push(np.zeros((3, 10)))


def opened(data: np.ndarray, rate: float, *marks: tuple[float, float, str]) -> Recording:
    """Signals (channels, samples) in µV as a recording, with annotations (onset, duration, text)."""
    names = ["Fp1", "Cz", "O2", "T3"][: len(data)]
    raw = mne.io.RawArray(data * 1e-6, mne.create_info(names, rate, "eeg"), verbose="error")
    raw.set_annotations(mne.Annotations(*zip(*marks, strict=True)) if marks else mne.Annotations([], [], []))
    return open_recording(raw)


def streamed(recording: Recording, first: int, last: int, mains: float = 50.0) -> np.ndarray:
    """What comes out, (samples, channels), where the samples come in a tenth of a second at a time."""
    causal = CausalFilter(len(recording.channels), recording.rate, mains=mains)
    step = round(recording.rate / 10)
    chunks = [recording.read_samples(at, min(at + step, last)) for at in range(first, last, step)]
    return np.concatenate([causal.push(chunk) for chunk in chunks], axis=1).T


@pytest.mark.parametrize("rate", [128.0, 200.0, 250.0, 333.0, 512.0, 5000.0])
def test_a_recording_is_filtered_as_it_would_have_been_live(rate):
    recording = opened(noise(rate, 30.013, 3) - 1e5, rate)
    found = preprocess(recording, mains=50.0, filters="causal")
    assert found.signal.shape == preprocess(recording, mains=50.0).signal.shape
    np.testing.assert_array_equal(found.signal, streamed(recording, 0, recording.samples)[: len(found.signal)])


def test_each_stretch_is_filtered_by_itself_and_bad_parts_along_with_it():
    rate = 256.0
    recording = opened(noise(rate, 90), rate, (30.0, 5.0, "BAD_ACQ_SKIP"), (60.0, 2.0, "BAD muscle"))
    found = preprocess(recording, mains=50.0, filters="causal")
    assert [(part.start, part.stop) for part in found.stretches] == [(0, 6000), (7000, 12000), (12400, 18000)]
    np.testing.assert_array_equal(found.signal[:6000], streamed(recording, 0, 30 * 256))
    after = streamed(recording, 35 * 256, 90 * 256)  # new after the gap, and not after what is only bad
    np.testing.assert_array_equal(found.signal[6000:], np.concatenate([after[:5000], after[5400:]]))


def test_blocks_are_the_same_for_some_electrodes_and_for_some_of_the_time(monkeypatch):
    monkeypatch.setattr("neurolm.recording.causal._READ_AT_ONCE", 4 * 5000)  # ten seconds
    recording = opened(noise(500.0, 125, 4), 500.0)
    whole = preprocess(recording, mains=50.0, filters="causal").signal
    found = preprocess_blocks(recording, electrodes=[2, 0], mains=50.0, filters="causal")
    every = list(found.holding([(0, 25_000)]))
    assert [at for at, _ in every] == list(range(0, 25_000, 4000))  # two electrodes: twice as long
    np.testing.assert_array_equal(np.concatenate([block for _, block in every]), whole[:, [2, 0]])
    some = dict(found.holding([(8100, 8200), (23_000, 23_001)]))
    assert list(some) == [8000, 20_000]
    for at, block in some.items():
        np.testing.assert_array_equal(block, whole[at : at + len(block), [2, 0]])
    assert list(found.holding([])) == []


def test_mains_are_settled_by_the_first_ten_seconds():
    seconds = np.arange(60 * 256) / 256
    hum = np.where(seconds < 10, 20 * np.sin(2 * np.pi * 60 * seconds), 300 * np.sin(2 * np.pi * 50 * seconds))
    recording = opened(noise(256.0, 60) + hum, 256.0)
    assert preprocess_blocks(recording, filters="causal").mains == 60.0
    assert preprocess_blocks(recording).mains == 50.0  # by the whole recording


def test_what_is_too_short_to_settle_is_said():
    (said,) = preprocess(opened(noise(256.0, 8), 256.0), mains=50.0, filters="causal").notes
    assert said == "8 s long: shorter than the 12 s in which the 0.1 Hz filter settles, so slow waves are not exact"
    assert not preprocess(opened(noise(256.0, 13), 256.0), mains=50.0, filters="causal").notes
