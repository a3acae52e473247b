"""The tokenizer's round trip: errors where what is lost is known, and the verb on a file."""

import csv
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import neurolm
from neurolm.ask.recording import ModelInput
from neurolm.cli import FAILED, main
from neurolm.cli.reconstruct import table
from neurolm.core.errors import CheckpointError
from neurolm.core.montage import channel_id
from neurolm.core.stretches import Stretch
from neurolm.model.encoder import RealPatches
from neurolm.model.tokenizer import NeuralTokenizer, Reconstruction, targets
from neurolm.report.drawings.tokenizer import round_trip
from neurolm.signals.bands import ALL, BANDS, NAMES, decibels, means
from neurolm.signals.models import open_model
from neurolm.signals.reconstruct import BandError, reconstruct

ELECTRODES = ("C3", "O1")


def as_input(signal: np.ndarray) -> ModelInput:
    """A signal (samples, 2) in µV as a recording that is read already."""
    return ModelInput(
        name="here", stretches=(Stretch(start=0, first=0, samples=len(signal)),), electrodes=ELECTRODES, notes=(),
        channels=np.array([channel_id(name) for name in ELECTRODES]), holding=lambda _: [(0, signal)],
    )  # fmt: skip


@pytest.fixture
def tokenizer(micro_config):
    torch.manual_seed(0)
    made = NeuralTokenizer(micro_config.model.tokenizer).eval()
    made.quantizer.initialise(torch.randn(100, 4), torch.Generator().manual_seed(0))
    return made


@pytest.mark.parametrize("kind", ["amplitude", "log"])
def test_errors_are_those_that_were_made(tokenizer, monkeypatch, kind):
    """Electrode O1 is decoded at half its amplitude, and 12 dB of it are taken off the alpha band alone."""
    monkeypatch.setattr(tokenizer, "config", replace(tokenizer.config, spectrum=kind))
    signal = 20 * np.random.default_rng(0).standard_normal((2000, 2))
    signal -= signal.mean()

    def decode(quantized, patches):
        real = RealPatches.of(patches)
        spectrum, waveform = targets(real.take(patches.samples), real, log=kind == "log")
        waveform[1::2] *= 0.5
        if kind == "log":
            spectrum[1::2, 8:13] -= np.log(4)
        shape = patches.document.shape
        return Reconstruction(spectrum=spectrum.view(*shape, -1), waveform=waveform.view(*shape, -1))

    monkeypatch.setattr(tokenizer, "decode", decode)
    found = reconstruct(tokenizer, as_input(signal), seconds=5)
    assert (found.windows, found.patches, found.seconds) == (2, 20, 5)
    errors = {(error.electrode, error.band): error for error in found.errors}
    assert len(errors) == len(ELECTRODES) * len(NAMES)
    for (electrode, band), error in errors.items():
        assert error.correlation == pytest.approx(1, abs=0.01)  # the window's mean adds a little where it is halved
        assert error.variance == pytest.approx(0.75 if electrode == "O1" else 1, abs=0.01)
        lost = {"alpha": 12.04, ALL: 12.04 * np.sqrt(5 / 74)}.get(band, 0)
        lost *= electrode == "O1" and kind == "log"
        assert error.spectrum_db == pytest.approx(lost, abs=0.02)
    (alpha,) = (error for error in found.overall if error.band == "alpha")
    assert alpha.spectrum_db == pytest.approx(12.04 / np.sqrt(2) * (kind == "log"), abs=0.02)


def test_bands_are_means_of_their_hertz():
    found = dict(zip(NAMES, means(np.arange(100.0)[None])[0], strict=True))
    assert found == pytest.approx({n: (low + high - 1) / 2 for n, (low, high) in BANDS.items()} | {ALL: (1 + 74) / 2})
    assert decibels(np.array([9.9, -1.0])) == pytest.approx([20, -20])


def test_what_is_nearly_nothing_is_shown_without_a_sign():
    """The window's share of variance is -0.001, which rounds to nothing."""
    error = BandError(electrode="all", band="delta", spectrum_db=5.0, correlation=-0.004, variance=-0.001)
    shown = table(SimpleNamespace(overall=(error, error)))
    assert shown.texts()[0][0] == ("delta", "5.0", "0.00", "0.00")
    cells = [[row[n] for group in shown.texts() for row in group] for n in range(len(shown.columns))]
    heads = [column.heading(each) for column, each in zip(shown.columns, cells, strict=True)]
    assert max(head.count("\n") for head in heads) == 1


def test_silence_has_no_correlation(tokenizer):
    signal = np.zeros((1000, 2))
    signal[:, 0] = np.random.default_rng(0).standard_normal(1000)
    silent = [error for error in reconstruct(tokenizer, as_input(signal), seconds=5).errors if error.electrode == "O1"]
    assert silent and all(error.correlation is None and error.variance is None for error in silent)


def test_the_verb_prints_writes_and_draws(micro_run, write_edf, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_edf(tmp_path / "a.edf", seed=0, names=("C3", "O1", "Cz"))
    words = ["reconstruct", "a.edf", "--model", str(micro_run.folder), "--seconds", "4"]
    assert main([*words, "--out", "errors.csv", "--plot", "a.png"]) == 0
    said = capsys.readouterr().out
    assert "a.edf: 3 windows of 4 s, 36 seconds of single electrodes, each written as one of" in said
    assert "note: how large a window's EEG is" in said and "-0.00" not in said
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "errors.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["electrode"] for row in rows] == [n for n in ("C3", "O1", "CZ", "all") for _ in NAMES]
    assert main([*words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [error["spectrum_db"] for error in printed["errors"]] == [float(row["spectrum_db"]) for row in rows[:-6]]
    assert "example_start" not in printed
    same = neurolm.load(micro_run.folder).reconstruct("a.edf", seconds=4)
    assert same.example_start == 4.0 and "np." not in repr(same)  # of the second of three windows
    (traces, *_) = round_trip(same).axes
    assert traces.get_title("left").startswith("4–8 s of the recording, lines ")
    assert [error["variance"] for error in printed["errors"]] == pytest.approx([e.variance for e in same.errors])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--seconds", "65"], "--seconds 65: this tokenizer sees windows of 1 to 64 s; choose another"),
        (["--plot", "a.pdf"], "--plot a.pdf: give the name of a PNG file, as picture.png"),
        (["--out", "a.txt"], "--out a.txt: let the name of the table end in .parquet"),
    ],
)
def test_what_cannot_be_done_is_said_beforehand(micro_run, write_edf, tmp_path, capsys, monkeypatch, more, message):
    monkeypatch.chdir(tmp_path)
    write_edf(tmp_path / "a.edf", seed=0, names=("C3", "O1"))
    assert main(["reconstruct", "a.edf", "--model", str(micro_run.folder), *more]) == FAILED
    assert message in capsys.readouterr().err


def test_any_stage_with_decoders_will_do(micro_run, tmp_path):
    folder = micro_run.copy(tmp_path / "run", without=("tokenizer",))
    later, first = (open_model(one, language=False).tokenizer for one in (folder, micro_run.folder))
    assert all(torch.equal(a, b) for a, b in zip(later.parameters(), first.parameters(), strict=True))
    with pytest.raises(CheckpointError, match=r"no finished stage here that can do this \(tokenizer, pretrain"):
        open_model(tmp_path, language=False)
