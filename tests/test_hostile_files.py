"""Files of a stranger that stand for more than they are: refused in a moment, in little memory, with what is wrong."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest
import torch

import neurolm
from neurolm.batches.text import TOKENIZER_FILE
from neurolm.checkpoint import CONFIG, WEIGHTS
from neurolm.cli import FAILED
from neurolm.core.errors import CheckpointError
from neurolm.model.stored import checked, require_stored
from neurolm.official.file import read_official
from neurolm.store.index import INDEX
from neurolm.train.machine.state import load_tensors, save_tensors

QUESTION = "Is this EEG segment of high workload?"
GIGABYTE = 1 << 30
CARD = Path(neurolm.__file__).parent / "tasks/cards/workload.toml"


def sparse(path: Path, size: int = 8 * GIGABYTE) -> Path:
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        file.truncate(size)
    return path


def pipe(path: Path) -> Path:
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    return path


def deflated(path: Path, *, part: str, size: int = 3 * GIGABYTE) -> Path:
    """Add a part of zeros to a zip file, a thousandth of their number."""
    with zipfile.ZipFile(path) as before:
        parts = {name: before.read(name) for name in before.namelist() if name != part}
    with zipfile.ZipFile(path, "w") as file:
        for name, content in parts.items():
            file.writestr(name, content)
        zeros = zipfile.ZipInfo(part)
        zeros.compress_type = zipfile.ZIP_DEFLATED
        with file.open(zeros, "w", force_zip64=True) as stream:
            for _ in range(size >> 24):
                stream.write(bytes(1 << 24))
    return path


def edited(path: Path, change) -> None:
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found))


def require_refused(outcomes, said: dict, *, seconds: float = 15, megabytes: int = 150) -> None:
    for outcome, (name, message) in zip(outcomes, said.items(), strict=True):
        assert outcome.status == FAILED and message in outcome.said, (name, outcome)
        assert outcome.said.startswith("neurolm: error: ") and outcome.said.count("\n") == 1, (name, outcome)
        assert outcome.seconds < seconds and outcome.megabytes < megabytes, (name, outcome)


@pytest.fixture(scope="module")
def edf(write_edf, tmp_path_factory):
    path = tmp_path_factory.mktemp("hostile") / "x.edf"
    write_edf(path, seed=1, names=("C3", "O1"))
    return path


def _wide(config):
    config["run"]["model"]["language"]["transformer"].update(width=1 << 15, heads=1)


def _deep(layers):
    return lambda config: config["run"]["model"]["language"]["transformer"].update(layers=layers)


def _many_options(config):
    config["tasks"][0]["options"] = [{"label": str(n), "text": str(n), "letter": None} for n in range(20_000)]


def _replacing(tokenizer):
    twice = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    tokenizer["normalizer"] = {"type": "Sequence", "normalizers": [twice] * 60}


MODELS = {
    "wide": (CONFIG, _wide, "does not fit this recipe"),
    "deep": (CONFIG, _deep(200), "does not fit this recipe: missing language.transformer"),
    "deeper": (CONFIG, _deep(1_000_000), "layers must be at most 200, not 1,000,000"),
    "many positions": (
        CONFIG,
        lambda c: c["run"]["model"]["language"].update(positions=10**7),
        "not (10000000, 16)",
    ),
    "too many positions": (
        CONFIG,
        lambda c: c["run"]["model"]["language"].update(positions=10**10),
        "positions must be at most 16,777,216, not 10,000,000,000",
    ),
    "negative width of codes": (
        CONFIG,
        lambda c: c["run"]["model"]["tokenizer"].update(code_width=-1),
        "run.model.tokenizer.code_width must be positive, not -1",
    ),
    "negative steps": (CONFIG, lambda c: c.update(steps=-1), "steps must not be negative, but is -1"),
    "many codes": (CONFIG, lambda c: c["run"]["model"]["tokenizer"].update(codes=10**7), "does not fit"),
    "many options": (CONFIG, _many_options, "a question may have at most 1,000 options, not 20,000"),
    "sparse config": (CONFIG, sparse, "8,589,934,592 bytes, and such a file has at most"),
    "config is a pipe": (CONFIG, pipe, "config.json: a pipe (FIFO), not a file"),
    "weights are a pipe": (WEIGHTS, pipe, "a pipe (FIFO), not a file"),
    "sparse weights": (WEIGHTS, sparse, "cannot be read"),
    "replacing": (TOKENIZER_FILE, _replacing, "not a byte-level tokenizer (its normalizer is Sequence)"),
    "sparse tokenizer": (TOKENIZER_FILE, sparse, "8,589,934,592 bytes"),
    "tokenizer is a pipe": (TOKENIZER_FILE, pipe, "a pipe (FIFO), not a file"),
    "calibration is a pipe": ("calibration.json", pipe, "a pipe (FIFO), not a file"),
    "sparse calibration": ("calibration.json", sparse, "8,589,934,592 bytes"),
    "evidence is a pipe": ("evidence.json", pipe, "a pipe (FIFO), not a file"),
    "sparse evidence": ("evidence.json", sparse, "8,589,934,592 bytes"),
    "arrays of evidence are a pipe": ("evidence.safetensors", pipe, "a pipe (FIFO), not a file"),
    "sparse arrays of evidence": ("evidence.safetensors", sparse, "8,589,934,592 bytes"),
    "many tasks with evidence": (
        "evidence.json",
        lambda e: e.update(tasks=e["tasks"] * 4_000),
        "tasks must be different ones, but events, workload is there several times",
    ),
    "too many tasks with evidence": (
        "evidence.json",
        lambda e: e.update(tasks=e["tasks"] * 100_000),
        "bytes, and such a file has at most 4,194,304",
    ),
}


def test_models(edf, evidence_run, tmp_path, limited):
    commands = []
    for name, (file, change, _) in MODELS.items():
        model = shutil.copytree(evidence_run / "instruct", tmp_path / name.replace(" ", "-"))
        change(model / file) if change in (sparse, pipe) else edited(model / file, change)
        commands.append(["ask", edf, QUESTION, "--model", model])
    require_refused(limited(*commands), {name: said for name, (_, _, said) in MODELS.items()})


def test_padding_and_truncation_of_a_tokenizer_mean_nothing(edf, micro_run, tmp_path, limited):
    padded = shutil.copytree(micro_run.folder / "instruct", tmp_path / "padded")

    def change(tokenizer):
        pad = {"direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "a"}
        tokenizer["padding"] = pad | {"strategy": {"Fixed": 10**9}}
        tokenizer["truncation"] = {"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0}

    edited(padded / TOKENIZER_FILE, change)
    models = [micro_run.folder / "instruct", padded]
    before, after = limited(*(["ask", edf, QUESTION, "--model", model, "--json"] for model in models))
    assert before.status == 0 and before.said == after.said and after.megabytes < 100


def test_stores(micro_store, tmp_path, limited):
    stores, said = [], {}
    for name, change, message in (
        ("zeros", lambda s: deflated(s / INDEX, part="scales.npy"), "index.npz: damaged (its part scales.npy"),
        ("sparse", lambda s: sparse(s / INDEX), "index.npz: damaged"),
        ("manifest", lambda s: pipe(s / "manifest.jsonl"), "manifest"),
        ("shard", lambda s: pipe(next((s / "shards").iterdir())), "is missing"),
        ("settings", lambda s: sparse(s / "settings.json"), "8,589,934,592 bytes"),
    ):
        stores.append(shutil.copytree(micro_store, tmp_path / name))
        change(stores[-1])
        said[name] = message
    require_refused(limited(*(["store", "info", store] for store in stores)), said)


def test_cards_and_settings(tmp_path, limited):
    text, many = CARD.read_text(), 100_000
    options = "".join(f'[[options]]\ntext = "{n}"\n' for n in range(10_000))
    cards = {
        "deep": (f"{text}\na = {'[' * many}", "nested too deeply"),
        "digits": (text.replace("seconds = ", f"seconds = {'9' * many}"), "a number of thousands of digits"),
        "dots": (f"a{'.a' * many} = 1\n{text}", "more than 32 names"),
        "options": (
            text.partition("[[options]]")[0] + options,
            "a question may have at most 1,000 options, not 10,000",
        ),
    }
    commands, said = [], {}
    for name, (card, message) in cards.items():
        (tmp_path / f"{name}.toml").write_text(card)
        commands.append(["tasks", "show", tmp_path / f"{name}.toml"])
        said[name] = message
    commands.append(["tasks", "show", sparse(tmp_path / "sparse.toml")])
    said["sparse card"] = "8,589,934,592 bytes"
    settings = {
        "deep": ("[" * many, "nested too deeply"),
        "digits": (f"tokenizer: {{steps: {'9' * many}}}", "a number of thousands of digits"),
        "some digits": (f"tokenizer: {{learning_rate: {'9' * 4000}}}", "learning_rate: a number of 4000 digits"),
        "long": (f"tokenizer: {'9x' * many}", "found '" + "9x" * 99 + "9…"),
        "laughs": (
            "a: &a [x]\n" + "".join(f"b{n}: &b{n} [*{'ab'[n > 0]}{n - 1 or ''}]\n" for n in range(3)),
            "aliases",
        ),
    }
    for name, (setting, message) in settings.items():
        (tmp_path / f"{name}.yaml").write_text(setting)
        commands.append(["train", "language", "--config", tmp_path / f"{name}.yaml", "--print-config"])
        said[f"{name} settings"] = message
    for name, make, message in (("sparse", sparse, "8,589,934,592 bytes"), ("pipe", pipe, "a pipe (FIFO)")):
        commands.append(["train", "language", "--config", make(tmp_path / f"{name}.yaml"), "--print-config"])
        said[f"{name} settings"] = message
    require_refused(limited(*commands), said)


def test_corpora(write_edf, tmp_path, limited):
    commands, said = [], {}
    for number, (name, make, message) in enumerate(
        (
            ("labels.csv", sparse, "8,589,934,592 bytes"),
            ("corpus.json", sparse, "8,589,934,592 bytes"),
            ("corpus.json", pipe, "a pipe (FIFO)"),
        )
    ):
        folder = tmp_path / str(number)
        write_edf(folder / "x.edf", seed=1)
        (folder / "labels.csv").write_text("file,start,stop,task,label,subject\nx.edf,0,5,events,background,a\n")
        make(folder / name)
        commands.append(["prepare", folder, "--out", tmp_path / f"store-{number}", "--jobs", 1])
        said[f"{name} {make.__name__}"] = message
    commands.append(["prepare", folder, "--out", tmp_path / "store", "--exclude", pipe(tmp_path / "list"), "--jobs", 1])
    said["exclusions"] = "a pipe (FIFO)"
    require_refused(limited(*commands), said)


@pytest.fixture(params=["official", "state"])
def read(request):
    """Reads one of the two kinds of PyTorch's files."""
    if request.param == "official":
        return lambda path: read_official(path, prefix="VQ.")
    return lambda path: load_tensors(path, torch.device("cpu"))


def test_files_of_pytorch_are_not_unpacked(read, tmp_path, limited):
    path = tmp_path / "x.pt"
    save_tensors(path, {"model": {"VQ.x": torch.zeros(3)}})
    assert read(path)
    inside = next(name for name in zipfile.ZipFile(path).namelist() if name.endswith("data.pkl"))
    deflated(path, part=inside, size=1 * GIGABYTE)
    assert path.stat().st_size < 10 << 20
    with pytest.raises((CheckpointError, ValueError), match=r"data\.pkl of 1,073,741,824 bytes is compressed"):
        read(path)
    with pytest.raises((CheckpointError, OSError), match=r"no such file|a pipe"):
        read(pipe(tmp_path / "y.pt"))


def test_a_tensor_that_repeats_one_number_is_refused(tmp_path):
    path = tmp_path / "x.pt"
    save_tensors(path, {"model": {"VQ.x": torch.zeros(1).expand(10**6, 10**6)}})
    with pytest.raises(CheckpointError, match=r"VQ\.x of shape \(1000000, 1000000\) has 4,000,000,000,000 bytes"):
        read_official(path, prefix="VQ.")
    require_stored({"a": torch.zeros(3, 4).T}, "x")
    with pytest.raises(CheckpointError, match="a of shape"):
        require_stored({"a": torch.zeros(3, 4).to_sparse()}, "x")


@pytest.mark.parametrize("dtype", [torch.bool, torch.complex64, torch.int32])
def test_weights_are_not_cast_from_another_kind(dtype):
    with pytest.raises(CheckpointError, match=f"w is stored as {dtype}, not as torch.float32"):
        checked(torch.ones(2).to(dtype), torch.float32, "w", "x")


def test_weights_that_are_infinite_only_in_the_type_of_the_model_are_refused():
    with pytest.raises(CheckpointError, match="w holds NaN or infinite weights"):
        checked(torch.tensor([1e300], dtype=torch.float64), torch.float32, "w", "x")
    assert checked(torch.tensor([0.5], dtype=torch.bfloat16), torch.float32, "w", "x").dtype == torch.float32
