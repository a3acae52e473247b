"""Side files with damage: an error that says so, or labels that are sound; never a crash."""

import math

import numpy as np
import pytest

from neurolm.core.errors import NeuroLMError
from neurolm.corpora import hmc, inria, layout_of, siena

MUTATIONS = 200
SECONDS = 5000.0

HMC = "Date, Time, Recording onset, Duration, Annotation, Linked channel\n" + "".join(
    f"01.01.01, 23.{n // 2:02}.{30 * (n % 2):02}, {30 * n}, 30, Sleep stage {stage}, \n"
    for n, stage in enumerate(("W", "N1", "N2", "N3", "R", "W"))
)
SIENA = """Channel 1: Fp1

Seizure n 1
File name: PN00-1.edf
Registration start time: 19.39.33
Registration end time: 20.22.58
Seizure start time: 19.58.36
Seizure end time: 19.59.46
"""
INRIA = "IdFeedBack,Prediction\n" + "".join(f"S02_Sess01_FB{n:03},{n % 2}\n" for n in range(1, 7))


def trees(root):
    """A folder of each corpus: layout → side file and its text."""
    (root / "hmc").mkdir()
    (root / "hmc" / "SN001.edf").write_bytes(b"")
    (root / "siena" / "PN00").mkdir(parents=True)
    (root / "siena" / "PN00" / "PN00-1.edf").write_bytes(b" " * 176 + b"19.39.33" + b" " * 72)
    (root / "inria" / "train").mkdir(parents=True)
    (root / "inria" / "train" / "Data_S02_Sess01.csv").write_bytes(b"")
    return {
        hmc: (root / "hmc" / "SN001_sleepscoring.txt", HMC),
        siena: (root / "siena" / "PN00" / "Seizures-list-PN00.txt", SIENA),
        inria: (root / "inria" / "TrainLabels.csv", INRIA),
    }


def mutated(raw: bytes, rng: np.random.Generator) -> bytes:
    """A few bytes changed, doubled or left out."""
    damaged = bytearray(raw)
    for _ in range(rng.integers(1, 4)):
        start, length = rng.integers(len(damaged)), rng.integers(1, 9)
        kind = rng.integers(4)
        if kind == 0:
            damaged[start : start + length] = rng.integers(0, 256, length, dtype=np.uint8).tobytes()
        elif kind == 1:
            damaged[start : start + length] = b""
        elif kind == 2:
            damaged[start:start] = rng.choice([b",", b"\n", b"9", b"nan", b"\0", b'"', b"-", "²".encode()])
        else:
            damaged[start:start] = damaged[start : start + 40 * length]
    return bytes(damaged)


def test_damaged_side_files(tmp_path, extent):
    rng = np.random.default_rng(0)
    feedback = [(60.0 * n, 0.0, "FeedBackEvent") for n in range(6)]
    for module, (path, text) in trees(tmp_path).items():
        path.write_text(text)
        root = tmp_path / module.LAYOUT.name
        assert layout_of(root) == module.LAYOUT.name
        (source,) = module.LAYOUT.sources(root)
        sound = source.labelled(extent(SECONDS, *feedback))
        assert sound
        refused = 0
        for _ in range(MUTATIONS):
            path.write_bytes(mutated(text.encode(), rng))
            try:
                (source,) = module.LAYOUT.sources(root)
                labels = source.labelled(extent(SECONDS, *feedback))
            except NeuroLMError as error:
                refused += 1
                assert str(tmp_path) in str(error)
                continue
            assert all(0 <= label.start < label.stop <= SECONDS and math.isfinite(label.start) for label in labels)
            assert {label.label for label in labels} <= {"Wake", "NREM-1", "NREM-2", "NREM-3", "REM"} | {
                label.label for label in sound
            }
        assert 0 < refused < MUTATIONS


@pytest.mark.parametrize("module", [hmc, siena, inria])
def test_a_side_file_of_another_kind(tmp_path, module):
    path, _ = trees(tmp_path)[module]
    path.write_bytes(bytes(range(256)) * 40)
    with pytest.raises(NeuroLMError, match=path.name):
        module.LAYOUT.sources(tmp_path / module.LAYOUT.name)
