import numpy as np
import pytest

from neurolm.store.overlap.fingerprint import (
    HALF,
    INTERVALS,
    STEP,
    WIDTH,
    CodeIndex,
    Codes,
    encode_waves,
    join,
    likeness,
    smooth,
    trace_names,
    traces,
)

CHANNELS = ("FP1", "F3", "CZ", "C3", "P3")


def eeg(seed: int, seconds: float = 60, channels: int = 5) -> np.ndarray:
    """Noise with the spectrum of EEG, a tenth of a second correlated over channels: float32 (samples, channels), µV."""
    rng = np.random.default_rng(seed)
    samples = round(seconds * 200)
    frequencies = np.fft.rfftfreq(samples, 1 / 200)
    spectrum = np.fft.rfft(rng.standard_normal((samples, channels)), axis=0)
    spectrum[1:] /= np.sqrt(frequencies[1:, None])
    spectrum[(frequencies < 0.1) | (frequencies > 75)] = 0
    signal = np.fft.irfft(spectrum, samples, axis=0)
    return (15 * signal / signal.std()).astype(np.float32)


def codes(signal: np.ndarray, *, recording: int = 0, selected: int = 1) -> Codes:
    return encode_waves(signal, recording=recording, selected=selected)


def kept(copy: np.ndarray, original: np.ndarray) -> float:
    """Share of the copy's codes that the original has too."""
    return float(np.isin(codes(copy).values, codes(original).values).mean())


def moved(signal: np.ndarray, samples: float) -> np.ndarray:
    """Delay by a fraction of a sample."""
    spectrum = np.fft.rfft(signal, axis=0)
    return np.fft.irfft(
        spectrum * np.exp(-2j * np.pi * np.fft.rfftfreq(len(signal)) * samples)[:, None], len(signal), axis=0
    ).astype(np.float32)


def test_smoothing_is_the_convolution_with_the_second_derivative_of_a_gaussian():
    signal = eeg(0, 5, 3)
    time = np.arange(-HALF, HALF + 1) / WIDTH
    kernel = (1 - time**2) * np.exp(-(time**2) / 2)
    expected = np.array([np.convolve(column, kernel - kernel.mean(), "valid")[::STEP] for column in signal.T])
    np.testing.assert_allclose(smooth(signal), expected, atol=1e-3)


@pytest.mark.parametrize("samples", [0, 1, 2 * HALF, 2 * HALF + 1, 2 * HALF + STEP + 1])
def test_short_stretches_have_no_codes(samples):
    assert smooth(eeg(0, 5)[:samples]).shape[1] == max(0, -(-(samples - 2 * HALF) // STEP))
    assert len(codes(eeg(0, 5)[:samples])) == 0


def test_a_smoothed_trace_does_not_know_what_lies_around_it():
    signal = eeg(1, 20)
    np.testing.assert_array_equal(smooth(signal)[:, 100:200], smooth(signal[100 * STEP :])[:, :100])


@pytest.mark.parametrize(
    ("what", "change", "least"),
    [
        ("gain and polarity", lambda x: -3 * x, 1.0),
        ("constant", lambda x: x + 500, 0.9),
        ("order of channels", lambda x: x[:, ::-1], 1.0),
        ("slow drift", lambda x: x + 20 * np.sin(2 * np.pi * 0.05 * np.arange(len(x)) / 200)[:, None], 0.5),
        ("mains hum", lambda x: x + 20 * np.sin(2 * np.pi * 50 * np.arange(len(x)) / 200)[:, None], 0.9),
        ("rounding", lambda x: np.rint(x / 0.5) * 0.5, 0.6),
        ("cut at whole steps", lambda x: x[37 * 200 :], 1.0),
        ("cut anywhere", lambda x: x[37 * 200 + 2 :], 0.5),
        ("half a sample", lambda x: moved(x, 0.5), 0.5),
    ],
)
def test_copies_share_codes(what, change, least):
    original = eeg(2)
    assert kept(change(original).astype(np.float32), original) >= least


def test_different_recordings_share_none():
    assert not np.isin(codes(eeg(3)).values, codes(eeg(4)).values).any()


def test_flat_and_missing_signals_have_no_codes():
    assert len(codes(np.zeros((4000, 3), np.float32))) == 0


def test_differences_of_neighbours_do_not_depend_on_the_reference():
    names = trace_names(CHANNELS)
    assert names == (*CHANNELS, "FP1-F3", "F3-C3", "C3-P3")
    signal = eeg(5)
    averaged = signal - signal.mean(axis=1, keepdims=True)
    one, other = codes(traces(signal, CHANNELS)), codes(traces(averaged, CHANNELS))
    same = np.isin(other.values, one.values)
    assert same[other.traces >= 5].mean() > 0.95
    assert same[other.traces < 5].mean() < 0.1


def test_wanted_traces_are_those_of_all():
    signal = eeg(6, 5)
    np.testing.assert_array_equal(traces(signal, CHANNELS, [1, 6]), traces(signal, CHANNELS)[:, [1, 6]])


def test_the_same_share_of_codes_is_kept_in_copies():
    signal = eeg(7)
    everything, some = codes(signal), codes(signal, selected=8)
    assert 0.05 < len(some) / len(everything) < 0.25
    assert set(some.values) == set(codes(-signal, selected=8).values)


def test_a_code_begins_where_it_says():
    signal = eeg(8)
    all_codes = codes(signal)
    number = len(all_codes) // 2
    start = int(all_codes.starts[number])
    stretch = signal[start - HALF - 2 * STEP :]
    assert all_codes.values[number] in codes(stretch).values
    assert all_codes.values[number] not in codes(signal[start + 2 :]).values
    assert INTERVALS * STEP < HALF + 400


def test_likeness_is_a_correlation_where_the_signal_does_not_repeat_itself():
    one, other = eeg(30, 10, 1), eeg(31, 10, 1)
    assert likeness(one, -2 * one) == pytest.approx(-1)
    assert abs(likeness(one, other)) < 0.6
    assert likeness(one, one + 0.1 * other) > 0.98
    repeated = np.tile(eeg(32, 1.2, 1), (8, 1))
    assert likeness(repeated, repeated) == 0
    assert abs(likeness(np.concatenate([10 * repeated[:960], one]), np.concatenate([10 * repeated[:960], other]))) < 0.6
    assert likeness(one[:100], one[:100]) == pytest.approx(1)
    assert likeness(one[:50], one[:50]) == 0
    assert likeness(np.zeros_like(one), one) == 0


def test_the_index_finds_a_part_and_its_shift():
    index = CodeIndex(join([codes(eeg(seed), recording=seed) for seed in range(10, 14)]))
    part = moved(eeg(12), 0.5)[2001:5001]
    found = index.find(encode_waves(part, recording=7, start=400))
    assert {(c.recording, c.other) for c in found} == {(7, 12)}
    best = max(found, key=lambda c: c.codes)
    assert abs(best.shift - (2001 - 400)) <= 1
    assert len(best.places) == 5
    assert all(place.trace == place.other_trace and 400 <= place.start <= 3400 for place in best.places)
    assert 2001 <= best.first < best.last <= 5001
    assert index.find(codes(eeg(20))) == []
    assert index.find(join([])) == []


def test_a_code_that_is_everywhere_finds_nothing():
    wave = (20 * np.sin(2 * np.pi * 5 * np.arange(40_000) / 200))[:, None].astype(np.float32)
    assert CodeIndex(codes(wave)).find(codes(wave)) == []
