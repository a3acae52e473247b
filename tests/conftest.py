"""Fixtures shared by all tests."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import edfio
import numpy as np
import pytest

from neurolm.core.config import (
    LanguageConfig,
    ModelConfig,
    RunConfig,
    StageConfig,
    TokenizerConfig,
    TransformerConfig,
)
from neurolm.store.encoding import encode
from neurolm.store.manifest import Label, Row
from neurolm.store.shards import write_store as write_rows


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of fitted baselines, in processes that tests start too: never the user's own."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEUROLM_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real recordings and proof data beside the checkout; needed in CI, optional elsewhere."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"{folder} is missing, and CI must run every test")
        pytest.skip(f"{folder} is missing")
    return folder


def _micro_config() -> RunConfig:
    block = TransformerConfig(layers=1, heads=2, width=16)
    stage = {"learning_rate": 3e-3, "final_learning_rate": 1e-3, "weight_decay": 0.1, "betas": (0.9, 0.95)}
    stage |= {"steps": 6, "text_length": 32, "evaluate_every": 3, "save_every": 2, "clip": 1.0}
    return RunConfig(
        recipe="micro",
        model=ModelConfig(
            tokenizer=TokenizerConfig(
                encoder=block,
                decoder=block,
                codes=16,
                code_width=4,
                classifier_width=8,
                revive=0.1,
                quantise_from=0.4,
                spectral=True,
                spectrum="log",
            ),
            language=LanguageConfig(
                transformer=TransformerConfig(layers=1, heads=2, width=16, bias=True), positions=160, text_tokens=280
            ),
            feature_scale=0.1,
        ),
        language=StageConfig(eeg_batch=0, text_batch=4, **stage),
        tokenizer=StageConfig(eeg_batch=4, text_batch=2, max_patches=24, **stage),
        pretrain=StageConfig(eeg_batch=4, text_batch=2, max_patches=24, dropout=0.1, average=0.5, **stage),
        instruct=StageConfig(eeg_batch=6, text_batch=2, augment=0.5, balance=True, **stage),
    )


@pytest.fixture(scope="session")
def micro_config() -> RunConfig:
    """Every part of the method at a size that trains six steps in a moment."""
    return _micro_config()


_HUB = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 4, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 64, "vocab_size": 70}  # fmt: skip
_FAMILIES = {
    "gpt2": {"n_embd": 24, "n_layer": 2, "n_head": 3, "n_positions": 64, "vocab_size": 70,
             "activation_function": "gelu"},
    "llama": _HUB | {"tie_word_embeddings": False, "rope_theta": 1e4},
    "qwen3": _HUB | {"head_dim": 8, "use_sliding_window": True, "sliding_window": 2, "max_window_layers": 1,
                     "tie_word_embeddings": True},
    "smollm3": _HUB | {"use_sliding_window": True, "sliding_window": 2, "no_rope_layer_interval": 2},
    "gemma3_text": _HUB | {"head_dim": 8, "sliding_window": 2, "sliding_window_pattern": 2,
                           "query_pre_attn_scalar": 16},
}  # fmt: skip
"""Tiny models of every family: windows of two places, shared keys, layers without rotation, heads of other widths."""


def _hub_settings(family: str, **changes) -> dict:
    return _FAMILIES[family] | {"model_type": family} | changes


@pytest.fixture(scope="session")
def hub_settings() -> Callable[..., dict]:
    """The function that returns what the config.json of a tiny model of a family says."""
    return _hub_settings


@pytest.fixture(scope="session")
def hub_language() -> Callable[..., LanguageConfig]:
    """The function that returns the same as a run's configuration has it; GPT-2's is `transformers`', too."""
    from neurolm.core.backbones import read_settings, sizes
    from neurolm.model.hub_model import normalised

    def language(family: str, **changes) -> LanguageConfig:
        found = _hub_settings(family, **changes)
        text = normalised(found, "config.json")
        known = sizes(read_settings(text))
        shape = TransformerConfig(layers=known.layers, heads=known.heads, width=known.width)
        return LanguageConfig(
            transformer=shape, positions=known.positions, text_tokens=found["vocab_size"], backbone=text
        )

    return language


RHYTHMS = {"Yes": 22.0, "No": 10.0, "background": 10.0, "epileptiform": 4.0, "slowing": 2.0}
"""Hz of the rhythm that stands for a label in the micro store."""


def rhythm(label: str | None, seconds: float, channels: int, seed: Sequence[int], rate: int = 200) -> np.ndarray:
    """Noise of 5 µV and, for a label, a rhythm of 30 µV: float64 (samples, channels)."""
    rng = np.random.default_rng(list(seed))
    time = np.arange(round(seconds * rate)) / rate
    signal = 5 * rng.standard_normal((len(time), channels))
    if label is not None:
        signal += 30 * np.sin(2 * np.pi * (RHYTHMS[label] * time[:, None] + rng.random(channels)))
    return signal


def write_store(folder: Path, recordings: Mapping[str, tuple[str, Sequence[str], Sequence[Label], np.ndarray]]) -> Path:
    """Write a store from recording id → (subject, channels, labels, signal in µV)."""
    rows = []
    for name, (subject, channels, labels, signal) in recordings.items():
        counts, encoded = encode(signal)
        row = Row(
            recording=name, corpus="micro", source=name, sha256=encoded.sha256, subject=subject,
            channels=tuple(channels), samples=len(signal), scale=encoded.scale, clipped=encoded.clipped, mains=50.0,
            band=(0.1, 75.0), unit="uV", version="0", licence="free", labels=tuple(labels), notes=(), shard="",
            offset=0,
        )  # fmt: skip
        rows.append((row, counts))
    write_rows(folder, rows)
    return folder


@pytest.fixture(name="write_store", scope="session")
def _write_store_fixture():
    """The function that writes a store of given signals."""
    return write_store


@pytest.fixture(name="rhythm", scope="session")
def _rhythm_fixture():
    """The function that makes a signal whose rhythm tells its label."""
    return rhythm


WORKLOAD = {"channels": ("C3", "O1"), "labels": ("No", "Yes"), "seconds": 12, "subjects": range(8)}
EVENTS = {"channels": ("FZ", "C4"), "labels": ("background", "epileptiform", "slowing"), "seconds": 10,
          "subjects": range(3, 11)}  # fmt: skip


def _micro_store(folder: Path) -> Path:
    recordings = {}
    for task, plan in (("workload", WORKLOAD), ("events", EVENTS)):
        for subject in plan["subjects"]:
            parts, labels = [], []
            for number, label in enumerate(plan["labels"]):
                parts.append(rhythm(label, plan["seconds"], 2, (subject, number)))
                labels.append(Label(task, label, number * plan["seconds"], (number + 1) * plan["seconds"]))
            recordings[f"{task}-{subject:02}"] = (f"s{subject:02}", plan["channels"], labels, np.concatenate(parts))
    for subject in (2, 6, 20):  # of no task: of a training subject, of a test subject, of somebody else
        signal = rhythm(None, 20.5, 3, (subject, 9))
        recordings[f"unlabelled-{subject:02}"] = (f"s{subject:02}", ("PZ", "CZ", "T3"), (), signal)
    return write_store(folder, recordings)


@pytest.fixture(scope="session")
def micro_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two tasks that share subjects: who is held out by one is among the training subjects of the other.

    By the cards' fractions, workload (s00–s07) holds out s05 | s06, s07 and events (s03–s10) s08 | s09, s10.
    """
    return _micro_store(tmp_path_factory.mktemp("micro") / "store")


@pytest.fixture(scope="session")
def micro_texts() -> list[str]:
    """Two documents of the shipped text."""
    from neurolm.batches.text import shipped_text

    return shipped_text()[:2]


@dataclass(frozen=True, kw_only=True)
class MicroRun:
    """A finished micro run; copy what you change."""

    folder: Path
    store: Path
    config: RunConfig
    texts: list[str]

    def copy(self, to: Path, *, without: Sequence[str] = ()) -> Path:
        """A copy of the folder, without some of its entries."""
        shutil.copytree(self.folder, to, ignore=lambda *_: without)
        return to


@pytest.fixture(scope="session")
def micro_run(tmp_path_factory, micro_config, micro_store, micro_texts) -> MicroRun:
    """All four stages, trained without interruption, and the evaluation."""
    from neurolm.evaluation.baselines.fit import QUICK
    from neurolm.evaluation.evaluate import evaluate
    from neurolm.evaluation.results import RESULTS
    from neurolm.train.instruct import train_instruct
    from neurolm.train.language import train_language
    from neurolm.train.pretrain import train_pretrain
    from neurolm.train.run import open_run
    from neurolm.train.tokenizer import train_tokenizer

    folder = tmp_path_factory.mktemp("micro") / "run"
    run = open_run(folder, config=micro_config, store=micro_store, device="cpu")
    for train in (train_language, train_tokenizer, train_pretrain, train_instruct):
        train(run, texts=micro_texts)
    evaluate(folder / "instruct", micro_store, baselines=QUICK, out=folder / RESULTS)
    return MicroRun(folder=folder, store=micro_store, config=micro_config, texts=micro_texts)


@pytest.fixture(scope="session")
def evidence_run(micro_run, tmp_path_factory) -> Path:
    """The folder of that run with evidence beside its language model, without training; copy what you change."""
    from neurolm.train.calibrate import calibrate

    folder = micro_run.copy(tmp_path_factory.mktemp("evidence") / "run")
    calibrate(folder / "instruct", micro_run.store, evidence=True)
    return folder


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a command that ran with limits."""

    status: int | str
    """Its exit status, or what it raised."""
    said: str
    seconds: float
    megabytes: int
    """By which the largest memory of its process, and of those it started, grew."""


_LIMITED = """
import contextlib, io, json, resource, sys, time
import mne, pyxdf, scipy.io, torch
from neurolm import official
from neurolm.api import model
from neurolm.cli import main

def peak():
    return sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) // 1024

commands, most = json.load(sys.stdin)
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + most, taken + most))
for words in commands:
    said, began, before = io.StringIO(), time.monotonic(), peak()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = main(words)
    except BaseException as error:
        status = repr(error)[:500]
    spent = {"seconds": time.monotonic() - began, "megabytes": peak() - before}
    print(json.dumps({"status": status, "said": said.getvalue()} | spent), flush=True)
"""


@pytest.fixture(scope="session")
def limited() -> Callable[..., list[Outcome]]:
    """Runs commands of neurolm in a process of their own, which may take only so much memory (on Linux) and time."""

    def run(*commands: Sequence[object], memory: int = 2 << 30, seconds: float = 120) -> list[Outcome]:
        given = json.dumps([[[str(word) for word in words] for words in commands], memory])
        environment = os.environ | {"OMP_NUM_THREADS": "1", "MNE_LOGGING_LEVEL": "ERROR"}
        done = subprocess.run(
            [sys.executable, "-c", _LIMITED], input=given, capture_output=True, text=True, timeout=seconds,
            env=environment, check=False,
        )  # fmt: skip
        outcomes = [Outcome(**json.loads(line)) for line in done.stdout.splitlines()]
        assert len(outcomes) == len(commands), done.stderr[-3000:]
        return outcomes

    return run


EDF_ELECTRODES = ("Fp1", "Cz", "O2")
EDF_RATE = 250


def write_edf(path: Path, *, seed: int, seconds: int = 12, names=EDF_ELECTRODES, microvolts: float = 20.0) -> None:
    """Write a short recording of noise."""
    noise = np.random.default_rng(seed).normal(0, microvolts, (len(names), seconds * EDF_RATE)).cumsum(axis=1)
    noise -= noise.mean(axis=1, keepdims=True)
    noise *= microvolts / noise.std()
    path.parent.mkdir(parents=True, exist_ok=True)
    edfio.Edf(
        [
            edfio.EdfSignal(one, EDF_RATE, label=f"EEG {name}", physical_dimension="uV")
            for name, one in zip(names, noise, strict=True)
        ]
    ).write(path)


@pytest.fixture(name="write_edf", scope="session")
def _write_edf_fixture():
    """The function that writes a short EDF file."""
    return write_edf
