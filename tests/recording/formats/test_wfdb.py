"""WFDB records: the numbers of every format of samples, frames, segments, gaps, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from neurolm.core.errors import RecordingError
from neurolm.recording.options import ReadingOptions
from neurolm.recording.recording import find_recordings, open_recording

RNG = np.random.default_rng(5)


def packed(values: np.ndarray, form: int) -> bytes:
    """Numbers of a signal file, packed one by one by the words of the specification (signal-5)."""
    whole = [int(value) for value in values]
    if form == 16:
        return b"".join(v.to_bytes(2, "little", signed=True) for v in whole)
    if form == 61:
        return b"".join(v.to_bytes(2, "big", signed=True) for v in whole)
    if form == 24:
        return b"".join(v.to_bytes(3, "little", signed=True) for v in whole)
    if form == 32:
        return b"".join(v.to_bytes(4, "little", signed=True) for v in whole)
    if form == 80:
        return bytes(v + 128 for v in whole)
    if form == 160:
        return b"".join((v + 32768).to_bytes(2, "little") for v in whole)
    out = bytearray()
    if form == 212:
        for a, b in zip(whole[::2], [*whole[1::2], 0], strict=False):
            a, b = a & 0xFFF, b & 0xFFF
            out += bytes([a & 0xFF, (a >> 8) | (b >> 8) << 4, b & 0xFF])
        return bytes(out)
    for a, b, c in zip(whole[::3], whole[1::3], whole[2::3], strict=True):
        a, b, c = a & 0x3FF, b & 0x3FF, c & 0x3FF
        if form == 310:
            out += (a << 1 | (c & 0x1F) << 11).to_bytes(2, "little") + (b << 1 | c >> 5 << 11).to_bytes(2, "little")
        else:
            out += (a | b << 10 | c << 20).to_bytes(4, "little")
    return bytes(out)


def write(
    folder: Path, name: str, digits: np.ndarray, *, form: int = 16, names=("EEG C3-A2", "O1", "Resp"),
    units=("uV", "uV", "l"), gain=10.0, baseline=0, data: str = "", offset: int = 0, suffix: str = "dat",
) -> Path:  # fmt: skip
    """Write a record of digits of shape (samples, signals)."""
    file = data or f"{name}.{suffix}"
    (folder / file).write_bytes(b"x" * offset + packed(digits.reshape(-1), form))
    plus = f"+{offset}" if offset else ""
    lines = [f"{name} {digits.shape[1]} 250 {len(digits)} 12:00:00 01/01/2020", "# a remark"]
    lines += [
        f"{file} {form}{plus} {gain:g}({baseline})/{unit} 12 0 {digits[0, i]} 0 0 {label}"
        for i, (label, unit) in enumerate(zip(names, units, strict=False))
        if i < digits.shape[1]
    ]
    header = folder / f"{name}.hea"
    header.write_text("\n".join(lines) + "\n")
    return header


@pytest.mark.parametrize("form", [16, 24, 32, 61, 80, 160, 212, 310, 311])
def test_numbers_of_every_format(tmp_path, form):
    most = {80: 127, 310: 511, 311: 511, 212: 2047}.get(form, 5000)
    digits = RNG.integers(-most + 1, most, (501, 3))
    header = write(tmp_path, "r", digits, form=form, baseline=3)
    recording = open_recording(header, check=False)
    assert (recording.channels, recording.rate, recording.samples) == (("C3", "O1"), 250.0, 501)
    expected = (digits[:, :2].T - 3) / 10
    for first, last in ((0, 501), (1, 2), (100, 333), (499, 501)):
        np.testing.assert_allclose(recording.read_samples(first, last), expected[:, first:last])
    assert any("Resp" in note for note in recording.notes)


def test_samples_that_are_missing_are_nan_and_said(tmp_path):
    digits = RNG.integers(-300, 300, (1000, 3))
    digits[500:510, 1] = -32768
    header = write(tmp_path, "r", digits)
    found = open_recording(header, check=False).read()
    assert np.isnan(found[1, 500:510]).all() and np.isfinite(found).sum() == 2 * 1000 - 10


def test_a_matlab_file_behind_a_header_and_a_part_of_a_record(tmp_path):
    digits = RNG.integers(-3000, 3000, (1000, 3))
    header = write(tmp_path, "tr03", digits, offset=24, suffix="mat")
    for path in (header, tmp_path / "tr03.mat"):
        recording = open_recording(path, check=False)
        np.testing.assert_allclose(recording.read(), digits[:, :2].T / 10)
    assert [path.name for path in find_recordings(tmp_path)] == ["tr03.hea"]


def test_signals_of_different_rates(tmp_path):
    fast, slow = RNG.integers(-300, 300, 800), RNG.integers(-300, 300, 200)
    frames = np.concatenate([fast.reshape(200, 4), slow[:, None]], axis=1)
    (tmp_path / "x.dat").write_bytes(packed(frames.reshape(-1), 16))
    (tmp_path / "x.hea").write_text("x 2 50 200\nx.dat 16x4 10/uV 16 0 0 0 0 Cz\nx.dat 16 10/uV 16 0 0 0 0 Pz\n")
    recording = open_recording(tmp_path / "x.hea", reading=ReadingOptions(channels=["Cz"]), check=False)
    assert (recording.rate, recording.samples) == (200.0, 800)
    np.testing.assert_allclose(recording.read_samples(3, 798), fast[None, 3:798] / 10)
    with pytest.raises(RecordingError, match="sampled at different rates"):
        open_recording(tmp_path / "x.hea", check=False)


def test_segments_are_one_recording_and_what_lies_between_is_a_gap(tmp_path):
    first, second = RNG.integers(-300, 300, (500, 2)), RNG.integers(-300, 300, (700, 2))
    write(tmp_path, "s1", first)
    write(tmp_path, "s2", second, gain=5.0)
    (tmp_path / "whole.hea").write_text("whole/2 2 250 1200\ns1 500\ns2 700\n")
    recording = open_recording(tmp_path / "whole.hea", check=False)
    assert [(s.start, s.samples) for s in recording.stretches] == [(0, 1200)]
    np.testing.assert_allclose(recording.read_samples(400, 700)[:, 100:], second.T[:, :200] / 5)
    (tmp_path / "night.hea").write_text("night/3 2 250 1450\ns1 500\n~ 250\ns2 700\n")
    recording = open_recording(tmp_path / "night.hea", check=False)
    assert [(s.start, s.samples) for s in recording.stretches] == [(0, 500), (750, 700)]
    np.testing.assert_allclose(recording.read_samples(0, 500), first.T / 10)
    np.testing.assert_allclose(recording.read_samples(750, 1450), second.T / 5)
    assert any("interrupted once: at 2 s (1 s missing)" in note for note in recording.notes)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("r 2 250 100\nr.dat 16 10/uV 16 0 0 0 0 Cz\n", "2 signals promised, 1 described"),
        ("r 1 0 100\nr.dat 16 10/uV 16 0 0 0 0 Cz\n", "0 frames per second"),
        ("r 1 250 100\nr.dat 8 10/uV 16 0 0 0 0 Cz\n", "format 8, which is not read"),
        ("r 1 250 100\n../r.dat 16 10/uV 16 0 0 0 0 Cz\n", "does not lie beside it"),
        ("r 1 250 100\nother.dat 16 10/uV 16 0 0 0 0 Cz\n", r"other\.dat is missing; download it too"),
        ("r/9 1 250 100\nr 100\n", "9 segments promised, 1 named"),
        ("r/1 1 250 100\nr 100\n", "has segments itself"),
        ("nothing", "names no record"),
        ("", "names no record"),
        ("r 1 250 100\nr.dat 16 10/bpm 16 0 0 0 0 Pulse\n", "no EEG electrode"),
    ],
)
def test_damaged_headers_are_refused(tmp_path, text, found):
    (tmp_path / "r.dat").write_bytes(bytes(1000))
    (tmp_path / "r.hea").write_text(text or " ")
    with pytest.raises(RecordingError, match=rf"r\.hea: .*{found}"):
        open_recording(tmp_path / "r.hea", check=False)


def test_a_file_that_breaks_off(tmp_path):
    digits = RNG.integers(-300, 300, (1000, 3))
    header = write(tmp_path, "r", digits)
    (tmp_path / "r.dat").write_bytes((tmp_path / "r.dat").read_bytes()[:-300])
    with pytest.raises(RecordingError, match=r"truncated: .* 950 of 1,000 samples"):
        open_recording(header, check=False)
    recording = open_recording(header, reading=ReadingOptions(truncated="accept"), check=False)
    np.testing.assert_allclose(recording.read(), digits[:950, :2].T / 10)


def annotation(interval: int, kind: int, text: str = "") -> bytes:
    """An annotation by the words of the specification (annot-5), with a skip where the interval is long."""
    out = b""
    if interval > 1023:
        high, low = divmod(interval, 1 << 16)
        out += (59 << 10).to_bytes(2, "little") + high.to_bytes(2, "little") + low.to_bytes(2, "little")
        interval = 0
    out += (kind << 10 | interval).to_bytes(2, "little")
    if text:
        out += (63 << 10 | len(text)).to_bytes(2, "little") + text.encode() + bytes(len(text) % 2)
    return out


def test_annotations_beside_a_record(tmp_path):
    header = write(tmp_path, "slp", RNG.integers(-300, 300, (100_000, 2)))
    stages = annotation(0, 22, "## time resolution: 500") + annotation(20, 22, "W") + annotation(90_000, 22, "2 OA")
    (tmp_path / "slp.st").write_bytes(stages + annotation(5, 28, "(AFIB") + bytes(2))
    (tmp_path / "slp.ecg").write_bytes(annotation(100, 1) * 30 + annotation(50, 14) + bytes(2))
    (tmp_path / "slp.notes").write_bytes(b"a text that is none of annotations")
    (tmp_path / "slp.cut").write_bytes(stages[:-3])
    recording = open_recording(header, check=False)
    assert [(mark.onset, mark.text) for mark in recording.annotations] == [
        (0.04, "W"), (3050 / 250, "~"), (90_020 / 500, "2 OA"), (90_025 / 500, "(AFIB")
    ]  # fmt: skip
    assert "beats of the heart in slp.ecg, left out: 30" in recording.notes


@pytest.mark.parametrize("gain", ["0", "0/uV", "0(3)/mV", ""])
def test_without_a_gain_nobody_knows_the_amplitude(tmp_path, gain):
    """The specification's 200 units per mV are for programs that draw, and no measurement."""
    digits = np.round(RNG.normal(0, 30, (2000, 2)))
    rest = " 16 0 0 0 0 " if gain else ""
    lines = [f"r.dat 16 {gain}{rest}{name if gain else ''}" for name in ("C3", "Cz")]
    header = tmp_path / "r.hea"
    header.write_text("\n".join(["r 2 250 2000", *lines]) + "\n")
    (tmp_path / "r.dat").write_bytes(packed(digits.reshape(-1), 16))
    named = None if gain else {"ch1": "C3", "ch2": "Cz"}
    for unit in (None, "auto"):
        with pytest.raises(RecordingError, match=r"no gain, so not calibrated: amplitude unknown \(unit='uV' says"):
            open_recording(header, reading=ReadingOptions(unit=unit, channels=named))
    recording = open_recording(header, reading=ReadingOptions(unit="uV", channels=named))
    np.testing.assert_allclose(recording.read(), digits.T - (3 if "(3)" in gain else 0))
    assert any(note.startswith("no gain, a count is taken as 1 uV: ") for note in recording.notes)


def test_one_signal_without_a_gain_costs_itself_alone(tmp_path):
    digits = np.round(RNG.normal(0, 300, (2000, 2)))
    (tmp_path / "r.dat").write_bytes(packed(digits.reshape(-1), 16))
    (tmp_path / "r.hea").write_text("r 2 250 2000\nr.dat 16 0 16 0 0 0 0 C3\nr.dat 16 10/uV 16 0 0 0 0 Cz\n")
    with pytest.raises(RecordingError, match="C3: no gain, so not calibrated"):
        open_recording(tmp_path / "r.hea")
    recording = open_recording(tmp_path / "r.hea", reading=ReadingOptions(unknown="drop"))
    assert recording.channels == ("CZ",)
    np.testing.assert_allclose(recording.read()[0], digits[:, 1] / 10)
