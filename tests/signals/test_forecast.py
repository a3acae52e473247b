"""Forecasts: of rhythms whose next second can be known, without a look at what follows, and their scores."""

import csv
import json
from dataclasses import replace
from math import erf, exp, pi, sqrt

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from edfio import Edf, EdfSignal

import neurolm
from neurolm.api.model import Model
from neurolm.batches.loader import Document, build_batch
from neurolm.cli import FAILED, main
from neurolm.cli.forecast import table
from neurolm.core.errors import CheckpointError, QuestionError
from neurolm.model.encoder import FLOOR
from neurolm.model.tokenizer import Reconstruction
from neurolm.recording.options import ReadingOptions
from neurolm.signals.forecast import EARLIER, METHODS, MODEL, PERSISTENCE, as_patches, as_signal, forecast
from neurolm.signals.models import open_model
from neurolm.signals.paths import MAKINGS, _Maker, codes_that_followed, draw_paths, sample_of
from neurolm.signals.scores import amplitudes, crps, scores

ELECTRODES = ("C3", "O1")
HOW = {"reading": ReadingOptions(), "unseen": "nearest"}


def write(path, signal):
    pairs = zip(signal.T, ELECTRODES, strict=True)
    Edf([EdfSignal(x, 200, label=n, physical_dimension="uV") for x, n in pairs], data_record_duration=1).write(path)
    return path


@pytest.fixture(scope="module")
def opened(causal_run):
    return open_model(causal_run, language=True, device="cpu")


@pytest.fixture
def model(opened):
    return opened.language


def test_rhythms_are_forecast_better_than_by_their_last_second(opened, tmp_path, alternating):
    """Two rhythms take turns: the last second is always wrong, any second of the past half the time."""
    means = {method: np.zeros(3) for method in METHODS}
    for person, at in ((100, 20), (101, 21), (102, 24)):
        file = write(tmp_path / f"{person}.edf", alternating(person))
        found = forecast(opened.language, opened.card, file, at=at, seconds=1, count=20, **HOW)
        for one in found.scores:
            means[one.method] += np.array([one.spectrum_db, one.power_crps, one.waveform_crps]) / 3
        assert found.scores[0].method == MODEL and found.scores[0].code_perplexity < 2 < found.codebook
    assert (means[MODEL] < 0.7 * means[PERSISTENCE]).all()
    assert (means[MODEL] < means[EARLIER]).all()


def test_nothing_that_follows_is_known(opened, tmp_path, alternating):
    signal = alternating(7)
    other = signal.copy()
    other[20 * 200 :] = 100 * np.random.default_rng(0).standard_normal((len(signal) - 20 * 200, 2))
    first, second = (
        forecast(opened.language, opened.card, write(tmp_path / name, x), at=20, seconds=2, count=3, **HOW)
        for name, x in (("a.edf", np.clip(signal, -300, 300)), ("b.edf", np.clip(other, -300, 300)))
    )
    np.testing.assert_array_equal(first.codes, second.codes)
    np.testing.assert_allclose(first.waveform, second.waveform, atol=0.1)  # the files' steps of amplitude differ
    assert np.abs(first.followed - second.followed).max() > 50


def test_codes_have_the_probability_that_the_language_model_gives_them(model, alternating):
    patches = as_patches(alternating(3, 12)).astype(np.float32)
    past, future = patches[:8], patches[8:10]
    channel = np.array([7, 9])
    known = codes_that_followed(model, past, future, channel, 12)
    paths = draw_paths(model, past, channel, seconds=2, count=2, longest=12, known=known)
    with torch.no_grad():
        batch = build_batch([sample_of(past, channel)], [Document(sample=0)], packed=False)
        chances = F.linear(model(batch)[0, -2:], model.eeg_rows).log_softmax(-1)
        whole = model.tokenizer.tokenize(build_batch([sample_of(patches[:10], channel)], [Document(sample=0)]).patches)
    np.testing.assert_array_equal(known, whole.codes[0, -4:].view(2, 2))
    expected = chances.gather(1, torch.from_numpy(known[0])[:, None])[:, 0]
    np.testing.assert_allclose(paths.log_p[:, 0], np.tile(expected, (2, 1)), atol=1e-5)
    again = draw_paths(model, past, channel, seconds=2, count=2, longest=12)
    np.testing.assert_array_equal(again.codes, paths.codes)
    assert again.log_p is None and paths.patches.shape == (2, 2, 2, 200)


@pytest.mark.parametrize("making", MAKINGS)
def test_eeg_made_of_codes_has_their_spectrum(model, monkeypatch, making):
    """The past's own codes decode to amplitude 2, the new ones to 6 times that; the past is a sine of amplitude 5."""
    count, channel = 400, np.array([7])
    time = np.arange(200) / 200
    past = np.tile(5 * np.sin(2 * np.pi * 10 * time), (4, 1, 1))

    def decode(vectors, patches):
        new = patches.second == 2
        spectrum = torch.where(new, 12.0, 2.0)[..., None].add(FLOOR).log().expand(*patches.second.shape, 100)
        wave = torch.from_numpy(np.cos(2 * np.pi * 30 * time)).float().expand(*patches.second.shape, 200)
        return Reconstruction(spectrum=spectrum, waveform=wave)

    monkeypatch.setattr(model.tokenizer, "decode", decode)
    maker = _Maker(model, past, channel, 2, making, np.random.default_rng(0))
    codes = torch.zeros((count, 1), dtype=torch.int64)
    vectors = torch.zeros((count, 2, model.tokenizer.config.code_width))
    made = amplitudes(maker.make(vectors, codes, np.repeat(past[None, :2], count, axis=0)))
    if making == "noise":  # the mean of the logarithm is the decoded one, and half of all power lies in either part
        np.testing.assert_allclose(np.log(made[:, 0, 1:]).mean(), np.log(12), atol=0.02)
    elif making == "decoded":
        np.testing.assert_allclose(made[:, 0, 30], 12, rtol=1e-3)
    else:
        ratio = (12 + FLOOR) / (2 + FLOOR)
        np.testing.assert_allclose(made[:, 0, 10], 5 * 100 * ratio, rtol=1e-3)
        assert made[:, 0, 20].max() < 0.1


def test_crps_is_that_of_the_normal_distribution_for_any_number_of_samples():
    """Gneiting and Raftery 2007, equation 21."""
    rng, y = np.random.default_rng(0), 0.7
    density, below = exp(-(y**2) / 2) / sqrt(2 * pi), (1 + erf(y / sqrt(2))) / 2
    expected = y * (2 * below - 1) + 2 * density - 1 / sqrt(pi)
    for count in (2, 5, 40):
        drawn = rng.standard_normal((count, 60_000))
        assert crps(drawn, np.full(60_000, y)).mean() == pytest.approx(expected, abs=0.01)
    assert crps(np.array([[1.0, 4.0]]), np.array([2.0, 2.0])).tolist() == [1, 2]
    x = rng.standard_normal((4, 3))
    pairs = np.abs(x[:, None] - x[None]).sum(axis=(0, 1)) / (4 * 3)
    np.testing.assert_allclose(crps(x, np.zeros(3)), np.abs(x).mean(axis=0) - pairs / 2)


def test_scores_of_twice_the_amplitude_are_six_decibels():
    truth = 50 * np.random.default_rng(0).standard_normal((2, 3, 200))
    (first, second) = scores("twice", 2 * truth[None], truth)
    assert (first.second, second.second) == (1, 2) and first.code_perplexity is None
    for one in (first, second):
        assert (one.spectrum_db, one.power_crps) == pytest.approx((6.02, 6.02), abs=0.01)
        assert one.waveform_crps == pytest.approx(100 * np.abs(truth[one.second - 1]).mean())
    chances = np.log(np.array([[[0.5, 0.25]], [[0.1, 0.35]]]))
    (found,) = scores("codes", 2 * truth[None, :1, :2].repeat(2, 0), truth[:1, :2], chances)
    assert found.code_perplexity == pytest.approx(1 / 0.3)


def test_patches_and_signal_are_the_same():
    signal = np.random.default_rng(0).standard_normal((3, 400, 2)).astype(np.float32)
    patches = as_patches(signal)
    assert patches.shape == (3, 2, 2, 200)
    np.testing.assert_allclose(as_signal(patches), signal, rtol=1e-6)
    np.testing.assert_allclose(patches[1, 1, 0], signal[1, 200:, 0] / 100)


def test_the_verb_prints_writes_and_draws(causal_run, tmp_path, capsys, monkeypatch, alternating):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.edf", alternating(5))
    words = ["forecast", "a.edf", "--seconds", "2", "-n", "4", "--model", str(causal_run)]
    assert main([*words, "--at", "20", "--plot", "a.png", "--out", "a.csv", "--electrodes", "o1"]) == 0
    said = capsys.readouterr().out
    assert "a.edf from 20 s on: 4 samples of 2 s, 2 electrodes" in said and "last second again" in said
    assert "One moment proves nothing" in said and "autoregressive (AR)" in said
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert main([*words, "--at", "20", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [one["method"] for one in printed["scores"]] == [m for m in METHODS for _ in range(2)]
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["q50"]) for row in rows] == [one["q50"] for one in printed["bands"]] and len(rows) == 2 * 2 * 6
    assert all(float(row["q05"]) <= float(row["q50"]) <= float(row["q95"]) for row in rows)
    assert main([*words, "--json"]) == 0
    at_the_end = json.loads(capsys.readouterr().out)
    assert (at_the_end["at"], at_the_end["scores"], at_the_end["bands"][0]["observed"]) == (40, [], None)
    assert main([*words, "--at", "39"]) == 0
    assert "note: not scored: the recording does not go on for 2 s" in (said := capsys.readouterr().out)
    assert "nothing was recorded right before" not in said
    assert main([*words, "--at", "40.5"]) == 0
    said = capsys.readouterr().out
    assert "a.edf from 40 s on" in said
    assert "note: nothing was recorded right before 40.5 s: the forecast begins at 40 s" in said


def test_the_table_begins_with_means_and_what_the_model_is_beyond_the_past(opened, tmp_path, alternating):
    file = write(tmp_path / "a.edf", alternating(5))
    found = forecast(opened.language, opened.card, file, at=20, seconds=3, count=3, **HOW)
    means, (beyond,), *seconds = table(found).groups
    spectrum = {name: np.mean([one.spectrum_db for one in found.scores if one.method == name]) for name in METHODS}
    assert [row[1:3] for row in means] == [("mean", pytest.approx(spectrum[name])) for name in METHODS]
    assert float(beyond[2]) == pytest.approx(spectrum[MODEL] - spectrum[EARLIER], abs=0.005) and beyond[2][0] in "+-"
    assert [row[1] for row in seconds[0]] == [1, 2, 3] and len(seconds) == len(METHODS)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["-n", "0"], "-n 0: give 1 to 1,000 samples"),
        (["--seconds", "0"], "--seconds 0: give 1 to 60 s"),
        (["--at", "50"], "--at 50 s: the recording has nothing right before; it was interrupted or ends at 40 s"),
        (["--at", "-1"], "--at -1 s: nothing of the recording lies before; choose a later moment"),
        (["--seed", "-1"], "--seed -1: give a whole number from 0 to 9,223,372,036,854,775,807"),
        (["--seed", "1" + 40 * "0"], "give a whole number from 0 to 9,223,372,036,854,775,807"),
        (["--electrodes", "Cz", "--plot", "a.png"], "--electrodes Cz: the forecast has none of that name"),
        (["--electrodes", "", "--plot", "a.png"], "--electrodes: name the electrodes to draw, as O1,Cz"),
    ],
)
def test_what_cannot_be_forecast_is_said(causal_run, tmp_path, capsys, monkeypatch, more, message, alternating):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.edf", alternating(5))
    monkeypatch.setattr("neurolm.signals.forecast.draw_paths", None)  # nothing is sampled before it is said
    assert main(["forecast", "a.edf", "--model", str(causal_run), *more]) == FAILED
    assert message in capsys.readouterr().err


def test_a_model_that_saw_the_future_is_refused(micro_run, tmp_path, alternating):
    write(tmp_path / "a.edf", alternating(5))
    with pytest.raises(CheckpointError, match="its encoder sees the whole window"):
        neurolm.load(micro_run.folder).forecast(tmp_path / "a.edf", at=20)


def test_the_library_forecasts_as_the_verb_does(opened, causal_run, tmp_path, alternating):
    file = write(tmp_path / "a.edf", alternating(5))
    model = Model(opened.language, opened.card, None, torch.device("cpu"))
    found = model.forecast(file, at=20, seconds=2, n=3, seed=4)
    same = forecast(opened.language, opened.card, file, at=20, seconds=2, count=3, seed=4, **HOW)
    np.testing.assert_array_equal(found.waveform, same.waveform)
    assert found.scores == same.scores and found.waveform.shape == (3, 400, 2) and found.past.shape == (20 * 200, 2)
    wide = replace(opened.card, run=replace(opened.card.run, pretrain=replace(opened.card.run.pretrain, max_patches=3)))
    with pytest.raises(QuestionError, match="at=inf: give the seconds from the start"):
        model.forecast(file, at=float("inf"))
    with pytest.raises(QuestionError, match="2 electrodes, and this model learned from windows of 3 patches"):
        forecast(opened.language, wide, file, at=20, **HOW)
