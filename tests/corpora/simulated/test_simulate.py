"""The simulated corpus: the same bytes always, and signals that have what their labels say."""

import csv
import json
from dataclasses import replace
from itertools import groupby, pairwise
from pathlib import Path

import edfio
import mne
import numpy as np
import pytest
from scipy.signal import butter, find_peaks, sosfiltfilt, welch

from neurolm.core.errors import ConfigError, StoreError
from neurolm.corpora import LAYOUTS, layout_of
from neurolm.corpora.simulated.head import ELECTRODES, make_head
from neurolm.corpora.simulated.physiology import SLEEP, BrainState
from neurolm.corpora.simulated.simulate import COLUMNS, PROTOCOLS, record, simulate
from neurolm.corpora.simulated.synthesis import make_person, noise, stretches, synthesise

SLEEP_LAB, CLINIC, ARITHMETIC = PROTOCOLS
SUBJECTS = 2


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory.mktemp("simulated") / "corpus", subjects=SUBJECTS)


@pytest.fixture(scope="module")
def head():
    return make_head((3, 0))


@pytest.fixture(scope="module")
def person():
    return make_person((3, 0))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def power(signal: np.ndarray, rate: int, low: float, high: float) -> np.ndarray:
    """Mean power density in a band, per channel."""
    frequencies, density = welch(signal, rate, nperseg=4 * rate)
    return density[..., (frequencies >= low) & (frequencies < high)].mean(axis=-1)


def recorded(protocol, head, person, label: str, *, scenes: int = 6, seed: int = 0) -> dict[str, np.ndarray]:
    """Signals of one condition by electrode, µV."""
    signal = record(protocol, head, person, [label] * scenes, np.random.default_rng(seed))
    return {name: values for (name, _), values in zip(protocol.channels, signal, strict=True)}


# ------------------------------------------------------------------------------------------------ files and table


def test_same_seed_gives_same_bytes_with_any_number_of_workers(corpus: Path, tmp_path: Path) -> None:
    assert contents(simulate(tmp_path / "again", subjects=SUBJECTS, jobs=2)) == contents(corpus)


def test_another_seed_gives_other_signals(corpus: Path, tmp_path: Path) -> None:
    other = contents(simulate(tmp_path, subjects=1, seed=1))
    assert all(other[name] != found for name, found in contents(corpus).items() if name in other)


def test_fewer_subjects_are_the_first_ones(corpus: Path, tmp_path: Path) -> None:
    one = contents(simulate(tmp_path, subjects=1))
    assert {name: content for name, content in one.items() if name.endswith(".edf")} == {
        name: content for name, content in contents(corpus).items() if name.startswith("S001")
    }


def test_interrupted_run_goes_on_to_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(done: int, of: int, name: str) -> None:
        if done == 2:
            raise Killed

    with pytest.raises(Killed):
        simulate(tmp_path, subjects=SUBJECTS, progress=kill)
    assert not (tmp_path / "labels.csv").exists()
    first, second = sorted(tmp_path.glob("*.edf"))
    untouched = first.stat().st_mtime_ns
    second.write_bytes(second.read_bytes()[:-1000])  # as a full disk leaves it
    (tmp_path / ".S002_sleep.edf.4711.partial").write_bytes(b"")  # as SIGKILL leaves it
    calls: list[tuple[int, int, str]] = []
    simulate(tmp_path, subjects=SUBJECTS, progress=lambda *call: calls.append(call))
    assert contents(tmp_path) == contents(corpus)
    assert first.stat().st_mtime_ns == untouched
    assert [done for done, _, _ in calls] == [2, 3, 4, 5, 6] and calls[0][1:] == (6, second.name)


def test_folder_with_something_else_is_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"corpus\.json: this folder holds another corpus .*seed=5"):
        simulate(corpus, subjects=SUBJECTS, seed=5)
    (tmp_path / "thesis.doc").write_text("precious")
    with pytest.raises(StoreError, match="not an empty folder"):
        simulate(tmp_path)
    with pytest.raises(ConfigError, match="subjects=0"):
        simulate(tmp_path / "new", subjects=0)
    assert not (tmp_path / "new").exists()


def test_table_agrees_with_the_files(corpus: Path) -> None:
    with (corpus / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert {row["file"] for row in rows} == {path.name for path in corpus.glob("*.edf")}
    assert {row["subject"] for row in rows} == {"S001", "S002"}
    for name, lines in groupby(rows, key=lambda row: row["file"]):
        of_file = list(lines)
        starts, stops = ([float(row[key]) for row in of_file] for key in ("start", "stop"))
        assert starts == [0.0, *stops[:-1]] and stops[-1] == edfio.read_edf(corpus / name).duration
        (protocol,) = (p for p in PROTOCOLS if p.task == of_file[0]["task"])
        assert {row["label"] for row in of_file} == set(protocol.states)
        assert all(time % protocol.scene_seconds == 0 for time in stops)
    about = json.loads((corpus / "corpus.json").read_text())
    assert (about["name"], about["mains"]) == ("simulated", 50.0)


def test_corpus_is_one_that_can_be_prepared(corpus: Path) -> None:
    found = LAYOUTS[layout_of(corpus)].sources(corpus)
    assert {source.corpus for source in found} == {"simulated"}
    assert sorted(source.path.name for source in found) == sorted(path.name for path in corpus.glob("*.edf"))


def test_files_read_as_plausible_microvolts_in_mne(corpus: Path) -> None:
    for path in sorted(corpus.glob("*.edf")):
        raw = mne.io.read_raw_edf(path, preload=True, verbose="error")
        signals = edfio.read_edf(path).signals
        assert raw.ch_names == [signal.label for signal in signals]
        assert all(name.startswith("EEG ") and name.endswith(("-REF", "-LE")) for name in raw.ch_names)
        values = raw.get_data() * 1e6
        assert np.allclose(values, [signal.data for signal in signals], atol=0.03)
        raw.filter(0.3, 70.0, verbose="error")
        spread = 1.4826 * np.median(np.abs(raw.get_data()), axis=1) * 1e6
        assert (spread > 4).all() and (spread < 60).all(), (path.name, spread)


# ------------------------------------------------------------------------------------------------------ signals


def test_noise_has_the_spectrum_and_size_it_should() -> None:
    made = noise(np.random.default_rng(0), (8, 60 * 250), 250, lambda f: f**-0.75)
    assert made.std() == pytest.approx(1.0, rel=0.1)
    frequencies, density = welch(made, 250, nperseg=1000)
    inside = (frequencies >= 1) & (frequencies <= 60)
    slope = np.polyfit(np.log(frequencies[inside]), np.log(density.mean(axis=0)[inside]), 1)[0]
    assert slope == pytest.approx(-1.5, abs=0.1)


def test_stretches_cover_their_share_without_overlap() -> None:
    rng = np.random.default_rng(1)
    for share in (0.1, 0.5, 1.0):
        made = stretches(rng, (share, share), 30.0, 4.0)
        assert sum(stop - start for start, stop in made) == pytest.approx(30 * share)
        edges = np.array(made).ravel()
        assert (np.diff(edges) >= -1e-9).all() and edges[0] >= 0 and edges[-1] <= 30 + 1e-9
    assert stretches(rng, (0.0, 0.0), 30.0, 4.0) == []


def test_slope_of_the_spectrum_is_that_of_eeg(corpus: Path) -> None:
    for path in sorted(corpus.glob("*workload.edf")):
        edf = edfio.read_edf(path)
        frequencies, density = welch(np.array([s.data for s in edf.signals]), 250, nperseg=1000)
        clear = ((frequencies >= 2) & (frequencies < 4)) | ((frequencies > 32) & (frequencies < 46))
        slope = np.polyfit(np.log(frequencies[clear]), np.log(np.median(density, axis=0)[clear]), 1)[0]
        assert -2.3 < slope < -0.8


def test_alpha_is_posterior_and_reacts_to_the_eyes(head, person) -> None:
    def alpha(eyes_open: float) -> dict[str, float]:
        share = (eyes_open, eyes_open)
        state = BrainState(background=(6.0, 6.0), alpha=(1.0, 1.0), alpha_time=(0.9, 0.9), eyes_open=share)
        made = synthesise(head, person, [state] * 3, scene_seconds=20, rate=250, rng=np.random.default_rng(2))
        made = made - made[[ELECTRODES.index("A1"), ELECTRODES.index("A2")]].mean(axis=0)
        inside = power(made, 250, person.alpha_hz - 1.5, person.alpha_hz + 1.5)
        return dict(zip(ELECTRODES, inside, strict=True))

    closed, opened = alpha(0.0), alpha(1.0)
    for occipital in ("O1", "O2"):
        assert closed[occipital] > 4 * closed["F3"]
        assert closed[occipital] > 3 * opened[occipital]


def test_blinks_are_frontal_and_large(head, person) -> None:
    state = BrainState(background=(6.0, 6.0), eyes_open=(1.0, 1.0), blinks=(20.0, 20.0))
    made = synthesise(head, person, [state] * 3, scene_seconds=20, rate=250, rng=np.random.default_rng(0))
    peak = {name: float(np.percentile(values, 99.5)) for name, values in zip(ELECTRODES, made, strict=True)}
    assert min(peak["Fp1"], peak["Fp2"]) > 80
    assert peak["Fp1"] > 1.5 * peak["F3"] and peak["Fp1"] > 3 * peak["O1"]
    blinks, _ = find_peaks(made[ELECTRODES.index("Fp1")], height=60, distance=60)
    assert 8 <= len(blinks) <= 32  # 20 expected in a minute


def test_muscle_is_temporal_and_fast(head, person) -> None:
    quiet = BrainState(background=(6.0, 6.0))
    made = [
        synthesise(head, person, [state] * 3, scene_seconds=20, rate=250, rng=np.random.default_rng(4))
        for state in (quiet, replace(quiet, muscle=(20.0, 20.0)))
    ]
    calm, tense = (dict(zip(ELECTRODES, power(signal, 250, 30, 45), strict=True)) for signal in made)
    assert min(tense["T3"] / calm["T3"], tense["T4"] / calm["T4"]) > 3
    assert tense["Pz"] / calm["Pz"] < tense["T3"] / calm["T3"] / 2


def test_spindles_in_nrem2_at_the_centre(head, person) -> None:
    asleep, awake = (recorded(SLEEP_LAB, head, person, label) for label in ("NREM-2", "Wake"))
    for name in ("C3", "C4"):
        ratio = [
            power(made[name], 256, person.spindle_hz - 1, person.spindle_hz + 1) / power(made[name], 256, 17, 22)
            for made in (asleep, awake)
        ]
        assert ratio[0] > 1.8 * ratio[1]


def slow_wave_share(signal: np.ndarray) -> float:
    """Share of time in waves of 0.5 to 2 Hz larger than 75 µV peak to peak, as a scorer counts them at F4-M1."""
    slow = sosfiltfilt(butter(2, [0.4, 3.0], "bandpass", fs=256, output="sos"), signal)
    falls = np.flatnonzero((slow[:-1] >= 0) & (slow[1:] < 0))
    waves = [(a, b) for a, b in pairwise(falls) if 0.5 <= (b - a) / 256 <= 2.0]
    return sum(b - a for a, b in waves if np.ptp(slow[a:b]) > 75) / len(slow)


def test_slow_waves_fill_a_fifth_of_nrem3_only() -> None:
    shares: dict[str, list[float]] = {"Wake": [], "REM": [], "NREM-2": [], "NREM-3": []}
    for subject in range(3):
        head, person = make_head((5, subject)), make_person((5, subject))
        for stage, found in shares.items():
            signal = recorded(SLEEP_LAB, head, person, stage, scenes=4)["F4"]
            found += [slow_wave_share(epoch) for epoch in np.split(signal, 4)]
    assert min(shares["NREM-3"]) > 0.2
    assert np.median(shares["NREM-2"]) < 0.2
    assert np.mean(shares["Wake"] + shares["REM"]) < 0.02


def test_alpha_leaves_and_theta_comes_on_falling_asleep(head, person) -> None:
    wake, drowsy, dreaming = (recorded(SLEEP_LAB, head, person, label) for label in ("Wake", "NREM-1", "REM"))
    band = person.alpha_hz - 1.5, person.alpha_hz + 1.5
    assert power(wake["O2"], 256, *band) > 1.5 * power(drowsy["O2"], 256, *band)
    assert power(wake["O2"], 256, *band) > 3 * power(dreaming["O2"], 256, *band)
    assert power(drowsy["C4"], 256, 4, 7) > 2 * power(wake["C4"], 256, 4, 7)


def test_rem_has_low_amplitude_and_moving_eyes(head, person) -> None:
    dreaming, deep = (recorded(SLEEP_LAB, head, person, label) for label in ("REM", "NREM-3"))
    assert 2 * dreaming["F4"].std() < deep["F4"].std()
    state = replace(SLEEP["REM"], saccades=(20.0, 20.0))
    made = synthesise(head, person, [state], scene_seconds=60, rate=250, rng=np.random.default_rng(0))
    left, right = (made[ELECTRODES.index(name)] for name in ("Fp1", "Fp2"))
    large = np.abs(left - right) > 60
    assert large.any() and np.corrcoef(left[large], right[large])[0, 1] < -0.5  # conjugate: out of phase


def test_load_raises_frontal_theta_and_lowers_alpha(head, person) -> None:
    rest, load = (recorded(ARITHMETIC, head, person, label) for label in ("No", "Yes"))
    rise = {name: power(load[name], 250, 5, 7) / power(rest[name], 250, 5, 7) for name in ("Fz", "P3", "O2")}
    assert rise["Fz"] > 1.4 and rise["Fz"] > rise["P3"] and rise["Fz"] > rise["O2"]
    band = person.alpha_hz - 1.5, person.alpha_hz + 1.5
    assert power(load["O1"], 250, *band) < 0.7 * power(rest["O1"], 250, *band)


def test_discharges_are_sharp_and_slowing_is_slow_in_the_focus(head, person) -> None:
    focal = replace(person, focus="temporal left")
    plain, spikes, slow = (
        recorded(CLINIC, head, focal, label, scenes=12) for label in ("background", "epileptiform", "slowing")
    )

    def sharpness(made: dict[str, np.ndarray], name: str) -> float:
        fast = sosfiltfilt(butter(2, [5, 25], "bandpass", fs=250, output="sos"), made[name])
        return float(-np.percentile(fast, 0.5))

    assert sharpness(spikes, "T3") > 1.8 * sharpness(plain, "T3")
    assert sharpness(spikes, "T4") < 1.5 * sharpness(plain, "T4")
    rise = {name: power(slow[name], 250, 1, 4) / power(plain[name], 250, 1, 4) for name in ("T3", "T4")}
    assert rise["T3"] > 2 and rise["T3"] > rise["T4"]


def test_people_differ() -> None:
    people = [make_person((0, subject)) for subject in range(40)]
    assert 0.6 < np.std([p.alpha_hz for p in people]) < 1.3
    assert all(8 <= p.alpha_hz <= 12 for p in people)
    assert 0.1 < np.std([np.log(p.amplitude) for p in people]) < 0.4
    assert len({p.focus for p in people}) > 4
