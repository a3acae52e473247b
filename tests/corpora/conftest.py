"""Files written as the recorders of the corpora write them, as small as can be."""

import datetime
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import edfio
import numpy as np
import pytest

SPAN = 3276.7
"""Microvolts that the EDF files reach."""


def eeg(channels: int, seconds: float, rate: float, seed: int = 0, microvolts: float = 20.0) -> np.ndarray:
    """Seeded noise with EEG's slope, µV: float64 (channels, samples)."""
    noise = np.random.default_rng(seed).standard_normal((channels, round(seconds * rate)))
    spectrum = np.fft.rfft(noise)
    spectrum[:, 1:] /= np.arange(1, spectrum.shape[1]) ** 0.5
    spectrum[:, 0] = 0
    signal = np.fft.irfft(spectrum, noise.shape[1])
    return microvolts * signal / signal.std(axis=1, keepdims=True)


def write_recorder_edf(
    path: Path,
    channels: Mapping[str, np.ndarray],
    rate: float,
    *,
    marks: Sequence[tuple[float, float, str]] = (),
    start: datetime.time = datetime.time(22, 0, 0),
    record: float = 1.0,
) -> Path:
    """Write an EDF+ file, or BDF+ by the suffix, in µV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bdf = path.suffix == ".bdf"
    signal, file = (edfio.BdfSignal, edfio.Bdf) if bdf else (edfio.EdfSignal, edfio.Edf)
    span = {"digital_range": (-8_388_607, 8_388_607)} if bdf else {"digital_range": (-32767, 32767)}
    signals = [
        signal(values, rate, label=name, physical_dimension="uV", physical_range=(-SPAN, SPAN), **span)
        for name, values in channels.items()
    ]
    annotations = [edfio.EdfAnnotation(*mark) for mark in marks]
    file(signals, starttime=start, data_record_duration=record, annotations=annotations).write(path)
    return path


def write_hypnogram(path: Path, stages: Sequence[tuple[float, float, str]]) -> Path:
    """Write an EDF+ file that holds annotations only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    edfio.Edf([], annotations=[edfio.EdfAnnotation(*stage) for stage in stages]).write(path)
    return path


def write_cnt(path: Path, channels: Mapping[str, np.ndarray], rate: int) -> Path:
    """Write a Neuroscan file of 32 bits a sample, 0.1 µV a count.

    Header and electrode table at the offsets of http://paulbourke.net/dataformats/eeg/, an empty event table behind.
    """
    counts = np.array([np.round(values * 10) for values in channels.values()], "<i4")
    head = bytearray(900 + 75 * len(channels))
    head[:11] = b"Version 3.0"
    struct.pack_into("<h", head, 370, len(channels))
    struct.pack_into("<h", head, 376, rate)
    struct.pack_into("<i", head, 864, counts.shape[1])
    struct.pack_into("<i", head, 886, len(head) + counts.nbytes)  # where the event table begins
    for number, name in enumerate(channels):
        place = 900 + 75 * number
        head[place : place + len(name)] = name.encode()
        struct.pack_into("<2f", head, place + 19, 0.1 * (number % 8) + 0.1, 0.1 * (number // 8) + 0.1)  # x, y
        struct.pack_into("<f", head, place + 59, 0.1)  # sensitivity
        struct.pack_into("<f", head, place + 71, 204.8)  # calibration: µV = count × sensitivity × calibration / 204.8
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(head) + counts.T.tobytes() + struct.pack("<Bii", 1, 0, 0))
    return path


def _fixture(function: Callable) -> Callable:
    return pytest.fixture(name=function.__name__, scope="session")(lambda: function)


eeg_fixture, write_edf_fixture, write_hypnogram_fixture, write_cnt_fixture = map(
    _fixture, (eeg, write_recorder_edf, write_hypnogram, write_cnt)
)


@pytest.fixture(scope="session")
def extent():
    """What a labeller is given: a length, and annotations (onset, duration, text)."""
    from types import SimpleNamespace

    def make(seconds: float, *marks: tuple[float, float, str]) -> SimpleNamespace:
        names = ("onset", "duration", "text")
        annotations = tuple(SimpleNamespace(**dict(zip(names, mark, strict=True))) for mark in marks)
        return SimpleNamespace(seconds=seconds, annotations=annotations)

    return make


@pytest.fixture(scope="session")
def empty(tmp_path_factory) -> Path:
    """A folder that holds nothing."""
    return tmp_path_factory.mktemp("empty")
