"""Recordings with gaps, seams and missing samples: none of it becomes an answer, all of it is said."""

from pathlib import Path

import numpy as np
import pytest

from neurolm.recording.inspect import inspect
from neurolm.recording.preprocess import preprocess
from neurolm.recording.recording import open_recording


def parts(path: Path) -> tuple[list[tuple[float, float]], str]:
    """Seconds of each part of a recording that models see, and what is said."""
    recording = open_recording(path)
    found = preprocess(recording, mains=50.0)
    assert np.isfinite(found.signal).all()
    return [(p.start / 200, p.stop / 200) for p in found.stretches], " ".join((*recording.notes, *found.notes))


@pytest.mark.parametrize("name", ["gap", "gap_hidden_as_plusC", "gap_reserved_empty"])
def test_edf_with_a_gap(shared: Path, name: str) -> None:
    found, said = parts(shared / "cases" / "edf_plus_d_gap" / f"{name}.edf")
    assert found == [(0, 10), (110, 120)]
    assert "interrupted once: at 10 s (100 s missing)" in said


def test_brainvision_that_was_paused(shared: Path) -> None:
    path = shared / "cases" / "bv_gap" / "paused.vhdr"
    found, said = parts(path)
    assert len(found) == 2 and found[0][1] == found[1][0]  # its own time goes on as if nothing had happened
    assert f"interrupted once: at {found[0][1]:g} s" in said
    assert inspect(path).stretches == tuple(found)


@pytest.mark.parametrize("name", ["skip_raw", "skip_zero_raw"])
def test_fif_with_a_skip(shared: Path, name: str) -> None:
    import mne

    path = shared / "cases" / "fif_stim" / f"{name}.fif"
    raw = mne.io.read_raw_fif(path, verbose="error")
    skip = next(a for a in raw.annotations if a["description"] == "BAD_ACQ_SKIP")
    first = skip["onset"] - raw.first_time * (raw.annotations.orig_time is not None)
    found, said = parts(path)
    assert found[0][1] == pytest.approx(first, abs=0.01)
    assert found[1][0] == pytest.approx(first + skip["duration"], abs=0.01)
    assert f"({skip['duration']:.4g} s missing)" in said


@pytest.mark.parametrize(
    ("name", "last", "when"), [("nan12s", 14, "between 12.00 and 13.99 s"), ("inf1", 12, "at 12.00 s")]
)
def test_what_is_no_number_is_left_out_with_electrode_and_time(shared: Path, name: str, last: int, when: str) -> None:
    path = shared / "cases" / "nan_unseen" / f"{name}_raw.fif"
    ((start, stop), (again, _)), said = parts(path)
    assert (start, stop) == (0, 12) and again == pytest.approx(last, abs=0.02)
    assert "missing samples (NaN or infinite), left out with all electrodes: " in said
    assert when in said
    found = inspect(path)
    assert found.usable and any("missing samples" in note for note in found.notes)
    assert found.planned is not None and found.planned.seconds < found.seconds
