"""A model reads recordings as its store was filtered, and a causal one knows nothing of later samples of a file."""

import json
from dataclasses import replace
from pathlib import Path

import edfio
import numpy as np
import pytest
import torch

from neurolm.api.model import Model
from neurolm.archive.archive import ask_many
from neurolm.ask.evidence import Evidence
from neurolm.ask.recording import Windows, read_recording, read_windows
from neurolm.batches.loader import Document, build_batch
from neurolm.batches.text import TextTokenizer
from neurolm.checkpoint import CONFIG, load_card
from neurolm.core.errors import CheckpointError
from neurolm.evaluation.evaluate import evaluate
from neurolm.model.neurolm import NeuroLM
from neurolm.model.scaling import FeatureScaling
from neurolm.recording.options import ReadingOptions
from neurolm.train.calibrate import calibrate
from neurolm.train.pretrain import train_pretrain
from neurolm.train.run import open_run

RATE, SECONDS, LARGEST = 250, 40, 3000.0
READING = ReadingOptions(mains=50.0)


def write(path: Path, signal: np.ndarray) -> Path:
    """Signals (electrodes, samples) in µV as an EDF file, whatever their amplitude with the same numbers for a µV."""
    signals = [
        edfio.EdfSignal(one, RATE, label=f"EEG {name}", physical_dimension="uV", physical_range=(-LARGEST, LARGEST))
        for name, one in zip(("C3", "O1", "Fz"), signal, strict=True)
    ]
    edfio.Edf(signals).write(path)
    return path


@pytest.fixture(scope="module")
def signal() -> np.ndarray:
    """EEG-like noise with hum, on an offset of 300 µV."""
    seconds = np.arange(SECONDS * RATE) / RATE
    noise = np.random.default_rng(3).normal(0, 4, (3, len(seconds))).cumsum(axis=1)
    noise -= np.linspace(noise[:, 0], noise[:, -1], len(seconds)).T
    return np.clip(noise, -80, 80) + 10 * np.sin(2 * np.pi * 50 * seconds) + 300


def other_futures(signal: np.ndarray, moment: float) -> dict[str, np.ndarray]:
    """From a moment on louder, silent, or as it is but for one sample."""
    first = round(moment * RATE)
    found = {name: signal.copy() for name in ("louder", "silent", "spike")}
    found["louder"][:, first:] = 300 + 15 * (signal[:, first:] - 300)
    found["silent"][:, first:] = 0
    found["spike"][:, first] = 2900
    return found


def causal_model(micro_run, evidence_run: Path, filters: str) -> Model:
    """A model with a causal encoder, a codebook, statistics of features, and evidence; its weights are random."""
    folder = evidence_run / "instruct"
    card = load_card(folder)
    config = replace(card.run.model, tokenizer=replace(card.run.model.tokenizer, attention="stair-step"))
    torch.manual_seed(0)
    module = NeuroLM(config)
    for parameter in module.parameters():
        if parameter.ndim > 1:
            parameter.data.normal_(std=0.2)
    module.tokenizer.quantizer.initialise(torch.randn(200, 4), torch.Generator().manual_seed(0))
    assert isinstance(module.scaling, FeatureScaling)
    module.scaling.fit(torch.randn(100, config.tokenizer.encoder.width))
    card = replace(card, filters=filters, electrodes=("C3", "FZ", "O1"), run=replace(card.run, model=config))
    model = Model(module, card, TextTokenizer.load(folder), torch.device("cpu"))
    model.evidence = Evidence.load(folder)
    return model


def results(model: Model, path: Path, moment: float) -> dict[str, np.ndarray]:
    """What a model makes of the seconds of a file that have ended by a moment, in windows that may go on beyond it."""
    recording = read_recording(path, model.card, reading=READING, unseen="nearest")
    windows = Windows.of(recording, seconds=5, stride=2.5)
    features, codes, logits = [], [], []
    samples = [sample for _, some in read_windows([windows]) for sample in some]
    for start, sample in zip(windows.starts, samples, strict=True):
        ended = min(5, int(moment - start / 200)) * len(recording.electrodes)
        if ended <= 0:
            continue
        batch = build_batch([sample], [Document(sample=0)])
        with torch.no_grad():
            found = model.module.tokenizer.tokenize(batch.patches)
            logits.append(model.module.head(model.module(batch))[0, :ended].numpy())
        features.append(found.features[0, :ended].numpy())
        codes.append(found.codes[0, :ended].numpy())
    answers = [
        [list(window.probabilities) for window in answer.timeline if window.stop <= moment]
        for answer in model.ask_all(path, reading=READING)
    ]
    assert all(answers)
    return {
        "features": np.concatenate(features),
        "codes": np.concatenate(codes),
        "logits": np.concatenate(logits),
        "answers": np.concatenate(answers, axis=None),
    }


@pytest.mark.parametrize("filters", ["causal", "zero-phase"])
def test_later_samples_of_a_file_change_nothing_earlier(micro_run, evidence_run, signal, tmp_path, filters):
    """With causal filters; with zero-phase ones each is changed, although the encoder is causal."""
    model = causal_model(micro_run, evidence_run, filters)
    given = write(tmp_path / "given.edf", signal)
    changed = dict.fromkeys(("features", "codes", "logits", "answers"), False)
    for moment in (21.0, 28.5, 39.004):
        expected = results(model, given, moment)
        for name, other in other_futures(signal, moment).items():
            found = results(model, write(tmp_path / f"{name}.edf", other), moment)
            for what, value in found.items():
                assert value.shape == expected[what].shape
                changed[what] |= not np.allclose(value, expected[what], rtol=0, atol=1e-5)
    assert changed == dict.fromkeys(changed, filters == "zero-phase")


def test_a_model_filters_as_its_store_was(micro_run, evidence_run, signal, tmp_path):
    path = write(tmp_path / "a.edf", signal)
    heard = {
        filters: results(causal_model(micro_run, evidence_run, filters), path, 40.0)["features"]
        for filters in ("causal", "zero-phase")
    }
    assert np.abs(heard["causal"] - heard["zero-phase"]).max() > 0.01


def says(folder: Path, filters: str | None) -> Path:
    """Let a checkpoint say how its data were filtered, or nothing of it, as older ones do."""
    content = json.loads((folder / CONFIG).read_text())
    content.pop("filters")
    (folder / CONFIG).write_text(json.dumps(content | ({} if filters is None else {"filters": filters})))
    return folder


def test_an_older_checkpoint_is_zero_phase(micro_run, tmp_path):
    folder = says(micro_run.copy(tmp_path / "run") / "instruct", None)
    assert load_card(folder).filters == "zero-phase"
    evaluate(folder, micro_run.store, tasks=["workload"], baselines=["majority"])


def test_a_store_that_was_filtered_otherwise_is_refused(micro_run, tmp_path):
    run = micro_run.copy(tmp_path / "run", without=["pretrain", "evaluation.json"])
    refused = r"prepared with zero-phase filters, and the model was trained on EEG of causal ones.*--filters causal"
    folder = says(run / "instruct", "causal")
    with pytest.raises(CheckpointError, match=refused):
        evaluate(folder, micro_run.store)
    with pytest.raises(CheckpointError, match=refused):
        calibrate(folder, micro_run.store)
    with pytest.raises(CheckpointError, match=refused):
        next(ask_many(micro_run.store, model=folder, jobs=1))
    says(run / "tokenizer", "causal")
    opened = open_run(run, config=micro_run.config, store=micro_run.store, device="cpu")
    with pytest.raises(CheckpointError, match=refused):
        train_pretrain(opened, texts=micro_run.texts)
