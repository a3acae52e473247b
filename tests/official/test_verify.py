"""Equality with the authors' implementation on the proof data of the shared folder, and that a breach is named."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from neurolm.cli import DIFFERS, FAILED, main
from neurolm.core.errors import CheckpointError
from neurolm.official.verify import TOLERANCE, Comparison, verify
from neurolm.official.verify.comparison import close, equal
from neurolm.official.verify.language import Setting, check_eeg, check_instruction, check_text
from neurolm.official.verify.proof import Proof
from neurolm.official.verify.text import check_prompts, find_gpt2
from neurolm.official.verify.tokenizer import (
    check_channels,
    check_codebook,
    check_gradients,
    check_loader,
    check_losses,
    check_padded,
    official_mask,
)


@pytest.fixture(scope="module")
def golden(shared: Path) -> Path:
    return shared / "official" / "golden"


@pytest.fixture(scope="module")
def proof(golden: Path) -> Proof:
    return Proof(folder=golden)


@pytest.fixture
def corrupt(golden: Path, proof: Proof, tmp_path: Path) -> Callable[..., Proof]:
    """A copy of the proof with one number changed; the weights are those of the intact one, made once."""

    def change(name: str, key: str, place: tuple[int, ...] = (), by: float = 1.0) -> Proof:
        folder = tmp_path / "official" / "golden"
        shutil.copytree(golden, folder, copy_function=shutil.copyfile)
        (tmp_path / "official").chmod(0o755), folder.chmod(0o755)
        with np.load(folder / f"{name}.npz") as file:
            values = {k: np.array(v) for k, v in file.items()}
        old = values[key][place]
        values[key][place] = not old if old.dtype == bool else old + np.asarray(by).astype(old.dtype)
        np.savez(folder / f"{name}.npz", **values)
        made = Proof(folder=folder)
        made.__dict__.update(tokenizer_state=proof.tokenizer_state, language_state=proof.language_state)
        return made

    return change


def failed(comparisons: Iterator[Comparison]) -> set[str]:
    return {line.name for line in comparisons if not line.holds}


def test_every_quantity_agrees(golden: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(golden)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert all(line.startswith("ok  ") for line in out[:-1])
    names = [line[6:].split(":")[0] for line in out[:-1]]
    assert {name: names.count(name) for name in dict.fromkeys(names)} == {
        "channels": 1, "prompts": 12, "loader": 8, "vq": 12, "vq_unpadded": 10, "vq_gradient_norms": 1,
        "quantizer_ema": 6, "neurolm": 13,
    }  # fmt: skip
    errors = [float(word) for line in out[:-1] for word in line.split() if "e-" in word or "e+" in word]
    assert len(errors) > 30 and max(errors) <= 1e-4
    assert out[-1].startswith(f"all {len(out) - 1} quantities agree")


LOADER = ("loader", check_loader)
CODEBOOK = ("quantizer_ema", check_codebook)
PADDED = ("vq", check_padded)
LOSSES = ("vq_unpadded", check_losses)


@pytest.mark.parametrize(
    ("part", "key", "place", "by", "line"),
    [
        (LOADER, "raw_uV", (1, 3), 1.0, "loader: patches"),
        (LOADER, "X", (23, 199), 1e-3, "loader: patches"),
        (LOADER, "Y_freq", (3, 7), 1e-3, "loader: frequency targets"),
        (LOADER, "input_chans", (22,), 1, "loader: channel ids"),
        (LOADER, "gpt_mask", (0, 2, 3), 1, "loader: stair-step mask"),
        (LOADER, "num_tokens", (), 1, "loader: channels and patches"),
        (CODEBOOK, "codes", (7,), 1, "quantizer_ema: codes"),
        (CODEBOOK, "changed_weight", (5, 5), 1e-4, "quantizer_ema: where they moved"),
        (CODEBOOK, "decay", (), -0.01, "quantizer_ema: where they moved"),
        (PADDED, "features", (1, 4, 77), 1e-3, "vq: features"),
        (PADDED, "input_mask", (0, 19), 1, "vq: features"),
        (PADDED, "freq_loss", (), 1e-3, "vq: frequency loss"),
        (LOSSES, "domain_loss", (), -1e-3, "vq_unpadded: domain_eeg loss"),
        (LOSSES, "X", (0, 3, 5), 0.1, "vq_gradient_norms: every parameter"),
    ],
)
def test_one_wrong_number_is_named(corrupt, part, key, place, by, line) -> None:
    name, check = part
    assert line in failed(check(corrupt(name, key, place, by)))


@pytest.mark.parametrize(
    ("key", "place", "by", "line"),
    [
        ("eeg_logits", (1, 2, 3), 1e-3, "neurolm: EEG logits"),
        ("eeg_lse", (0, 0), 1e-2, "neurolm: EEG log-sum-exp"),
        ("eeg_targets", (0, 1), 1, "neurolm: EEG targets"),
        ("eeg_accuracy", (), 0.01, "neurolm: EEG accuracy"),
        ("text_targets", (0, 3), 1, "neurolm: text loss"),
        ("inst_text", (1, 2), 1, "neurolm: EEG + text logits"),
        ("inst_mask", (0, 0, 30, 31), 1, "neurolm: EEG + text mask"),
        ("first_generated", (1,), 1, "neurolm: first generated token"),
    ],
)
def test_one_wrong_number_of_the_language_model_is_named(corrupt, setting, key, place, by, line) -> None:
    proof = corrupt("neurolm", key, place, by)
    changed = Setting(case=proof.case("neurolm"), model=setting.model, packed=setting.packed, columns=setting.columns)
    if "inst" in line or "EEG + text" in line or "token" in line:
        comparisons = check_instruction(changed)
    else:
        comparisons = check_text(changed) if "text" in line else check_eeg(proof, changed)
    assert line in failed(comparisons)


@pytest.fixture(scope="module")
def setting(proof: Proof) -> Setting:
    return Setting.of(proof)


def test_the_command_names_the_line_and_exits_with_1(corrupt, capsys, monkeypatch, golden) -> None:
    proof = corrupt("loader", "Y_raw", (0, 0), 1.0)
    monkeypatch.setattr("neurolm.official.verify.check._comparisons", lambda *_: check_loader(proof))
    assert main(["verify", str(proof.folder), "--gpt2", "anywhere"]) == DIFFERS
    out, err = capsys.readouterr()
    assert sum(line.startswith("FAIL  loader: raw targets") for line in out.splitlines()) == 1
    assert err.strip() == "neurolm: 1 of 8 quantities differ: loader: raw targets"


def test_heads_are_read_from_the_configuration(corrupt) -> None:
    proof = corrupt("vq", "loss", (), 0.0)
    config = json.loads((proof.folder / "config.json").read_text())
    config["encoder"]["n_head"] = 6
    (proof.folder / "config.json").write_text(json.dumps(config))
    assert "vq: features" in failed(check_padded(proof))


def test_other_electrodes_and_prompts_are_named(corrupt, shared) -> None:
    proof = corrupt("loader", "X", (0, 0), 0.0)
    above = proof.folder.parent
    names = json.loads((shared / "official" / "channels.json").read_text())["names"]
    (above / "channels.json").write_text(json.dumps({"names": [names[1], names[0], *names[2:]]}))
    assert failed(check_channels(proof)) == {"channels: ids"}
    prompts = json.loads((shared / "official" / "prompts.json").read_text())
    prompts["HMC"]["label_ids"]["3"][-2] += 1
    prompts["TUAB"]["prompt"] += " "
    (above / "prompts.json").write_text(json.dumps(prompts))
    assert failed(check_prompts(proof, shared / "gpt2")) == {"prompts: HMC token ids", "prompts: TUAB text"}


def test_a_missing_gradient_is_named() -> None:
    (line,) = check_gradients({"a": 1.0, "b": 2.0}, {"a": 1.0})
    assert not line.holds and "b has a gradient" in line.detail
    (line,) = check_gradients({"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 2.001})
    assert not line.holds and "largest at b" in line.detail


def test_errors_are_relative_to_the_value_or_to_all_of_them() -> None:
    theirs = torch.tensor([3.0, 4.0, 0.0, 0.0])  # root mean square 2.5
    assert close("x", theirs + torch.tensor([0, 4e-3, 0, 0]), theirs).error == pytest.approx(1e-3, rel=1e-3)
    assert close("x", theirs + torch.tensor([0, 0, 0, 2.5e-3]), theirs).error == pytest.approx(1e-3, rel=1e-3)
    assert close("x", torch.zeros(3), torch.zeros(3)).holds
    assert not close("x", torch.full((3,), 1e-6), torch.zeros(3)).holds
    assert not close("x", torch.tensor([float("nan")]), torch.tensor([float("nan")])).holds
    assert not close("x", torch.zeros(3), torch.zeros(2)).holds
    assert Comparison(name="x", exact=False, error=TOLERANCE).holds
    line = equal("x", torch.tensor([1, 2, 3]), torch.tensor([1, 5, 3]))
    assert not line.holds and "1 of 3 differ, first at (1,) 5 here 2" in str(line)


def test_the_mask_of_padding() -> None:
    """Two patches of a second, padding, one text token: padding sees what comes before it, and nobody sees padding."""
    seen = torch.tensor([[1, 1, 0], [1, 1, 0], [1, 1, 1]]).bool()
    real = torch.tensor([True, True, False, True])
    assert official_mask(seen, real).int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing", r"vq\.npz: cannot be read"),
        ("truncated", r"vq\.npz: cannot be read"),
        ("key", r"vq\.npz: has no features"),
        ("channel", r"vq\.npz: input_chans holds 999, expected 0 to 255"),
        ("mask", r"vq\.npz: input_mask has padding before a patch"),
    ],
)
def test_files_that_are_no_proof(corrupt, change, message) -> None:
    proof = corrupt("vq", "loss", (), 0.0)
    path = proof.folder / "vq.npz"
    with np.load(path) as file:
        values = {k: np.array(v) for k, v in file.items()}
    if change == "missing":
        path.unlink()
    elif change == "truncated":
        path.write_bytes(path.read_bytes()[:1000])
    elif change == "key":
        del values["features"]
    elif change == "channel":
        values["input_chans"][0, 0] = 999
    else:
        values["input_mask"][0, 0] = False
    if change not in ("missing", "truncated"):
        np.savez(path, **values)
    with pytest.raises(CheckpointError, match=message):
        list(check_padded(proof))


def test_folders_that_are_no_proof(tmp_path: Path, capsys) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere: no such folder"):
        verify(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match=r"no proof data in it"):
        verify(tmp_path)
    with pytest.raises(CheckpointError, match=r"GPT-2's vocab\.json and merges\.txt are not beside it"):
        find_gpt2(tmp_path)
    assert main(["verify", str(tmp_path / "nowhere")]) == FAILED
    assert "no such folder" in capsys.readouterr().err


def test_what_cannot_be_read_fails_and_the_rest_is_compared(golden: Path, tmp_path: Path) -> None:
    """A folder with the loader's file alone."""
    folder = tmp_path / "golden"
    folder.mkdir()
    shutil.copyfile(golden / "loader.npz", folder / "loader.npz")
    (tmp_path / "prompts.json").write_text('{"TUAB": {}}')
    comparisons = {line.name: line for line in verify(folder, gpt2=golden.parents[1] / "gpt2")}
    parts = ("channels", "prompts", "vq", "vq_unpadded", "quantizer_ema", "neurolm")
    assert {name for name, line in comparisons.items() if not line.holds} == {
        f"{part}: cannot be compared" for part in parts
    }
    assert sum(line.holds for line in comparisons.values()) == 8
    assert "not of the form of proof data (KeyError('prompt'))" in comparisons["prompts: cannot be compared"].detail
    assert "channels.json: cannot be read" in comparisons["channels: cannot be compared"].detail
