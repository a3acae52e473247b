"""Labels of EDF files, which should be ASCII, in the encodings that recorders use for them."""

from pathlib import Path

import edfio
import mne
import numpy as np
import pytest

from neurolm.recording.formats.edf import read_header
from neurolm.recording.recording import open_recording


def write(path: Path, labels: list[bytes]) -> np.ndarray:
    """Write an EDF file with labels of any bytes; returns its signal in microvolts."""
    noise = np.random.default_rng(0).normal(0, 20, (len(labels), 40 * 200))
    limits = {"physical_dimension": "uV", "physical_range": (-3276.8, 3276.7)}
    signals = [edfio.EdfSignal(one, 200, label=f"ch{i}", **limits) for i, one in enumerate(noise)]
    edfio.Edf(signals).write(path)
    content = bytearray(path.read_bytes())
    for i, label in enumerate(labels):
        content[256 + 16 * i : 256 + 16 * (i + 1)] = label.ljust(16)
    path.write_bytes(content)
    return np.array([edfio.read_edf(path).signals[i].data for i in range(len(labels))])


@pytest.mark.parametrize(
    ("labels", "encoding", "electrodes"),
    [
        (["Fp1", "\u04213", "\u042d\u041a\u0413"], "cp1251", ("FP1", "C3")),  # С3 and ЭКГ
        (["Fp1", "\u04213", "\u042d\u041a\u0413"], "utf-8", ("FP1", "C3")),
        (["Fp1", "C3", "\u042d\u041a\u0413"], "cp1251", ("FP1", "C3")),
        (["Fp1", "C3", "EOG \u0153il"], "utf-8", ("FP1", "C3")),
        (["Fp1", "C3", "Lumi\u00e8re"], "latin-1", ("FP1", "C3")),
        (["Fp1", "C3 [\u00b5V]", "ECG"], "latin-1", ("FP1", "C3")),
    ],
)
def test_labels_are_read_in_their_encoding(tmp_path, labels, encoding, electrodes):
    file = tmp_path / "a.edf"
    expected = write(file, [label.encode(encoding) for label in labels])
    assert [signal.label for signal in read_header(file).signals] == labels
    recording = open_recording(file)
    assert recording.channels == electrodes
    np.testing.assert_allclose(recording.read(), expected[:2], atol=1e-6)
    raw = mne.io.read_raw_edf(file, verbose="error")
    np.testing.assert_allclose(recording.read(), raw.get_data([0, 1]) * 1e6, atol=1e-6)


def test_a_letter_that_the_field_cuts_is_left_out(tmp_path):
    write(tmp_path / "a.edf", [b"Fp1", b"C3", ("A" * 15 + "\u0421").encode()[:16]])
    assert [signal.label for signal in read_header(tmp_path / "a.edf").signals] == ["Fp1", "C3", "A" * 15]


def test_small_letters_of_another_code_page_make_no_electrode(tmp_path):
    """KOI8-R has its capital R where Windows-1251 has a small T, both Cyrillic: a P3 must not become a T3."""
    write(tmp_path / "a.edf", [b"Fp1", "\u0420\u0033".encode("koi8-r")])
    labels = [signal.label for signal in read_header(tmp_path / "a.edf").signals]
    assert labels[1] == "\u0420\u0033".encode("koi8-r").decode("latin-1")
