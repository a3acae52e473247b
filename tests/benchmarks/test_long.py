"""What benchmarks/long.py writes and measures."""

import runpy
from pathlib import Path

import mne
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script() -> dict:
    return runpy.run_path(str(ROOT / "benchmarks" / "long.py"))


def test_recordings_are_as_long_as_they_say_and_answered_whole(script, micro_run, tmp_path, capsys):
    script["write_recording"](file := tmp_path / "a.edf", 90 / 3600)
    raw = mne.io.read_raw_edf(file, preload=True, verbose="error")
    assert (len(raw.ch_names), raw.info["sfreq"], raw.n_times) == (64, 256, 90 * 256)
    microvolts = raw.get_data() * 1e6
    assert np.all((microvolts.std(axis=1) > 10) & (microvolts.std(axis=1) < 60))
    assert np.abs(microvolts[:, : 60 * 256 - 30 * 256] - microvolts[:, 60 * 256 :]).max() > 1  # no minute is the last
    script["write_model"](micro_run.folder, folder := tmp_path / "model")
    for what in ("ask", "embed"):
        script["measure"](what, folder, file)
        above, seconds, windows, before = map(float, capsys.readouterr().out.split())
        assert windows == 22 and seconds > 0 and before > 100 and above > 0
    with np.load(tmp_path / "a.npz") as found:
        assert found["features"].shape[:3] == (22, 4, 64)
