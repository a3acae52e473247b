"""Electrodes from the others: MNE's interpolation where it is splines, known amplitudes where it is the model's way."""

import json

import mne
import numpy as np
import pytest
from edfio import Edf, EdfSignal

import neurolm
from neurolm.ask.recording import ModelInput
from neurolm.cli import FAILED, main
from neurolm.core.montage import channel_id, template_positions
from neurolm.core.stretches import Stretch
from neurolm.signals import impute as module
from neurolm.signals.decoded import RoundTrip
from neurolm.signals.impute import impute, score, write_recording

NAMES = ("FP1", "FP2", "C3", "C4", "P3", "P4", "O1", "O2", "CZ", "PZ")


def smooth(seconds=12, seed=0):
    """A signal that is smooth over the scalp, µV: float64 (samples, electrodes)."""
    places = np.array([template_positions()[name] for name in NAMES])
    sources = np.random.default_rng(seed).standard_normal((seconds * 200, 3))
    return 300 * sources @ places.T + 2 * np.random.default_rng(seed + 1).standard_normal((seconds * 200, len(NAMES)))


def as_input(signal, stretches):
    return ModelInput(
        name="here", stretches=stretches, electrodes=NAMES, notes=(), holding=lambda _: [(0, signal)],
        channels=np.array([channel_id(name) for name in NAMES]),
    )  # fmt: skip


def test_splines_are_those_of_mne():
    signal = smooth()
    found = impute(as_input(signal, (Stretch(0, len(signal), 0),)), ["Cz", "EEG Pz"])
    info = mne.create_info(list(NAMES), 200.0, "eeg")
    raw = mne.io.RawArray(1e-6 * signal.T, info, verbose="error")
    cap = mne.channels.make_dig_montage({n: template_positions()[n] for n in NAMES}, coord_frame="head")
    raw.set_montage(cap, verbose="error")
    raw.info["bads"] = ["CZ", "PZ"]
    raw.interpolate_bads(origin="auto", verbose="error")
    expected = 1e6 * raw.get_data(picks=["CZ", "PZ"]).T
    assert found.electrodes == ("CZ", "PZ") and found.sources == NAMES[:8]
    assert np.abs(found.signal - expected).max() < 0.1 * expected.std()  # MNE fits its sphere to these electrodes alone
    assert [one.electrode for one in found.scores] == ["CZ", "PZ"] and min(s.correlation for s in found.scores) > 0.8


def test_the_model_moves_amplitudes_half_the_way(monkeypatch):
    """The decoder says 8 at every hertz; splines' amplitudes become their geometric mean with it, second by second."""
    signal = smooth(11)
    there = as_input(signal, (Stretch(0, 900, 0), Stretch(1500, 1300, 900)))
    lengths = []

    def decoded(_, samples):
        (sample,) = samples
        lengths.append(sample.seconds)
        assert sample.channel[: sample.channels].tolist() == [channel_id(n) for n in (*NAMES[:8], "PZ", "CZ")]
        raw = sample.patches.reshape(sample.seconds, -1, 200).astype(float)
        eight = np.full((*raw.shape[:2], 100), 8.0)
        return [RoundTrip(codes=raw[..., 0], raw=raw, waveform=raw, amplitude=eight, decoded_amplitude=eight)]

    monkeypatch.setattr(module, "round_trips", decoded)
    splines, model = (impute(there, ["Cz"], method=method, tokenizer=0, seconds=3) for method in ("splines", "model"))
    assert lengths == [3, 1, 3, 3]  # 4.5 s and 6.5 s in windows of 3 s
    for first in (0, 200, 600, 900, 1500, 1900):
        own, made = (np.fft.rfft(found.signal[first : first + 200, 0] / 100)[1:100] for found in (splines, model))
        np.testing.assert_allclose(np.abs(made), np.sqrt(8 * np.abs(own)), rtol=1e-3)
        np.testing.assert_allclose(np.angle(made / own), 0, atol=1e-2)
    for rest in (slice(800, 900), slice(2100, 2200)):
        np.testing.assert_array_equal(model.signal[rest], splines.signal[rest])


def test_scores_are_what_they_say():
    recorded = np.random.default_rng(0).standard_normal((5, 200))
    half = score("CZ", 0.5 * recorded, recorded)
    assert (half.correlation, half.variance) == pytest.approx((1, 0.75))
    assert half.spectrum_db == pytest.approx(6.0, abs=0.1)
    assert score("CZ", recorded, 0 * recorded).correlation is None


def test_a_recording_is_written_with_gaps_and_all(tmp_path):
    signal = smooth(11)
    there = as_input(signal, (Stretch(0, 900, 0), Stretch(1500, 1300, 900)))
    found = impute(there, ["Cz", "Fz"])
    raw = mne.io.read_raw_fif(write_recording(there, found, tmp_path / "a_eeg.fif"), preload=True, verbose="error")
    assert raw.ch_names == [*(n for n in NAMES if n != "CZ"), "CZ", "FZ"] and raw.info["sfreq"] == 200
    np.testing.assert_allclose(1e6 * raw.get_data(picks=["CZ", "FZ"])[:, 1500:], found.signal[900:].T, atol=1e-3)
    np.testing.assert_allclose(1e6 * raw.get_data(picks=["O1"])[0, :900], signal[:900, NAMES.index("O1")], atol=1e-3)
    (gap,) = raw.annotations
    assert (gap["onset"], gap["duration"], gap["description"]) == pytest.approx((4.5, 3, "BAD_ACQ_SKIP"))
    assert not list(tmp_path.glob(".*"))


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    signals = [EdfSignal(x, 200, label=n, physical_dimension="uV") for n, x in zip(NAMES, smooth().T, strict=True)]
    Edf(signals, data_record_duration=1).write(tmp_path / "a.edf")
    return "a.edf"


def test_the_verb_makes_and_compares(micro_run, file, capsys):
    words = ["impute", file, "--channels", "Cz,Fz", "--model", str(micro_run.folder)]
    assert main([*words, "--out", "whole_eeg.fif"]) == 0
    said = capsys.readouterr().out
    assert "a.edf: CZ, FZ from 9 other electrodes by splines" in said
    assert "whole_eeg.fif: the recording with them, filtered to 0.1–75 Hz, at 200 Hz" in said
    assert "note: FZ was not recorded" in said
    assert "CZ was not recorded" not in said and "nothing was written" not in said
    assert main(["impute", file, "--channels", "Fz,Oz", "--model", str(micro_run.folder)]) == 0
    said = capsys.readouterr().out
    assert "note: OZ was not recorded, so that there is nothing to compare it with" in said
    assert "note: nothing was written: --out whole_eeg.fif keeps what was made" in said
    assert main(["impute", file, "--channels", "Cz", "--method", "model", "--model", str(micro_run.folder)]) == 0
    assert "splines halfway to the mean spectrum" in (said := capsys.readouterr().out) and "docs/" not in said
    assert main([*words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [one["electrode"] for one in printed["scores"]] == ["CZ"]
    found = neurolm.load(micro_run.folder).impute(file, ["Cz"], method="model")
    assert found.signal.shape == (2400, 1) and found.scores[0].correlation > 0.5 and found.method == "model"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--channels", "Foo"], "--channels Foo: no electrode of a known position: give names of the 10-10 system"),
        (["--channels", "PO77"], "--channels PO77: no electrode of a known position: did you mean PO7"),
        (["--channels", "Oz", "--method", "model"], "--channels OZ: the model never saw such an electrode"),
        (["--channels", "Cz,Pz,P3,P4,O1,O2,C3"], "3 other electrodes of known position (FP1, FP2, C4); 4 are needed"),
        (["--channels", "Cz", "--out", "a.edf"], "a.edf: recordings are written as FIF"),
    ],
)
def test_what_cannot_be_made_is_said(micro_run, file, capsys, more, message):
    assert main(["impute", file, "--model", str(micro_run.folder), *more]) == FAILED
    assert message in capsys.readouterr().err
