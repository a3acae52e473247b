"""bfloat16 where it pays, and nowhere else."""

from pathlib import Path

import pytest
import torch

from neurolm.core.recipes import recipe
from neurolm.model import precision
from neurolm.model.precision import LEAST_PLACES, LEAST_WIDTH, bfloat16_pays

CPU = torch.device("cpu")


@pytest.mark.parametrize("training", [True, False])
def test_wide_models_and_useful_batches_on_cpus_with_tiles(monkeypatch, training):
    monkeypatch.setattr(precision, "_has_tiles", lambda: True)
    least = LEAST_PLACES["training" if training else "answering"]
    assert bfloat16_pays(CPU, width=LEAST_WIDTH, places=least, training=training)
    assert not bfloat16_pays(CPU, width=LEAST_WIDTH - 1, places=least, training=training)
    assert not bfloat16_pays(CPU, width=LEAST_WIDTH, places=least - 1, training=training)
    monkeypatch.setattr(precision, "_has_tiles", lambda: False)
    assert not bfloat16_pays(CPU, width=4096, places=10**6, training=training)


def test_tiny_stays_in_float32_and_the_papers_sizes_do_not(monkeypatch):
    monkeypatch.setattr(precision, "_has_tiles", lambda: True)
    for name, pays in (("tiny", False), ("base", True), ("large", True), ("xl", True)):
        width = recipe(name).model.language.transformer.width
        assert bfloat16_pays(CPU, width=width, places=10**5, training=True) == pays


def test_a_gpu_says_it_itself(monkeypatch):
    for able in (True, False):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda able=able, **_: able)
        assert bfloat16_pays(torch.device("cuda"), width=8, places=1, training=True) == able
    assert not bfloat16_pays(torch.device("mps"), width=1024, places=4096, training=False)


def test_tiles_are_those_that_the_kernel_reports():
    if not (cpu := Path("/proc/cpuinfo")).is_file():
        pytest.skip("no /proc/cpuinfo here")
    flags = cpu.read_text().split()
    assert precision._has_tiles() == ("amx_tile" in flags and "amx_bf16" in flags)
