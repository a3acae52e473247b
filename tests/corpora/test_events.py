"""Events of recordings as tables of labels: times, parts of the split, people, and every way in which it fails."""

from pathlib import Path

import mne
import numpy as np
import pytest

from neurolm.core.errors import ConfigError
from neurolm.corpora.events import Trial, count_events, divide, find_trials, subject_of, write_table
from neurolm.corpora.table import LAYOUT, read_table


def recording(path: Path, onsets: dict[float, str], *, seconds: float = 60.0, duration: float = 0.0) -> Path:
    """A FIF file with events, one channel of noise."""
    rng = np.random.default_rng(0)
    info = mne.create_info(["Cz", "Pz"], 100.0, "eeg")
    raw = mne.io.RawArray(1e-5 * rng.standard_normal((2, round(seconds * 100))), info)
    raw.set_annotations(mne.Annotations(list(onsets), duration, list(onsets.values())))
    path.parent.mkdir(parents=True, exist_ok=True)
    raw.save(path)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return recording(tmp_path / "anna_raw.fif", {5.0 * n: ("go", "stop", "beep")[n % 3] for n in range(12)})


def test_stretches_lie_where_they_should(file: Path) -> None:
    found = find_trials([file], {"go": "move", "stop": "rest"}, start=0.5, stop=3.0)
    assert found.left_out == 0
    assert [(t.start, t.stop, t.label) for t in found.trials[:3]] == [
        (0.5, 3.0, "move"), (5.5, 8.0, "rest"), (15.5, 18.0, "move"),
    ]  # fmt: skip
    assert len(found.trials) == 8
    assert count_events([file]) == {"go": 4, "stop": 4, "beep": 4}


def test_stretches_out_of_the_recording_are_left_out_and_counted(file: Path) -> None:
    found = find_trials([file], {"go": "move", "beep": "sound"}, start=-1.0, stop=3.5)
    assert found.left_out == 1  # the first begins before the recording
    assert find_trials([file], {"beep": "sound"}, stop=6.0).left_out == 1  # the last ends after it
    with pytest.raises(ConfigError, match="all 4 stretches reach out of their recordings"):
        find_trials([file], {"go": "move"}, stop=100.0)


def test_events_may_say_how_long_they_last(tmp_path: Path) -> None:
    file = recording(tmp_path / "a_raw.fif", {1.0: "go", 9.0: "go"}, duration=4.0)
    assert [(t.start, t.stop) for t in find_trials([file], {"go": "move"}).trials] == [(1.0, 5.0), (9.0, 13.0)]


@pytest.mark.parametrize(
    ("labels", "times", "message"),
    [
        ({"jump": "move"}, {"stop": 2.0}, r"the event 'jump' occurs in none .*, which have 'go' \(4\)"),
        ({"go": "move"}, {}, r"anna_raw\.fif: the event 'go' at 0 s lasts 0 s, so its stretch of 0 s holds no window"),
        ({"go": "move"}, {"start": 2.0, "stop": 2.0}, r"from 2 to 2 s after its event has no length"),
        ({"go": "a", "stop": "b"}, {"stop": 5.5}, r"stretch of 'a' ends at 5\.5 s, when 'b' has begun \(5 s\)"),
        ({}, {}, r"say which events are meant"),
    ],
)
def test_what_cannot_be_is_refused(file: Path, labels: dict, times: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_trials([file], labels, **times)


def test_trials_are_divided_in_the_order_of_time(tmp_path: Path) -> None:
    trials = [Trial(file=tmp_path / f, start=n, stop=n + 1, label="ab"[n % 2]) for f in ("x", "y") for n in range(16)]
    parts = divide(trials, (0.5, 0.25, 0.25))
    for file in ("x", "y"):
        for label in "ab":
            own = [trial.split for trial in parts if trial.file.name == file and trial.label == label]
            assert own == ["train"] * 4 + ["validation"] * 2 + ["test"] * 2
    assert [t.split for t in divide(trials[:6:2], (0.8, 0.1, 0.1))] == ["train", "validation", "test"]
    with pytest.raises(ConfigError, match=r"2 trials of 'a' cannot be divided"):
        divide(trials[:4], (0.5, 0.25, 0.25))
    with pytest.raises(ConfigError, match="three positive shares"):
        divide(trials, (0.5, 0.5, 0.5))


@pytest.mark.parametrize("count", range(3, 30))
@pytest.mark.parametrize("shares", [(0.6, 0.2, 0.2), (0.1, 0.45, 0.45), (0.9, 0.05, 0.05)])
def test_every_part_gets_trials_and_none_is_lost(count: int, shares: tuple[float, float, float]) -> None:
    trials = [Trial(file=Path("x"), start=n, stop=n + 1, label="a") for n in range(count)]
    parts = [trial.split for trial in divide(trials, shares)]
    assert parts == sorted(parts, key=("train", "validation", "test").index)
    assert len(set(parts)) == 3


def test_the_table_is_one_that_prepare_reads(tmp_path: Path) -> None:
    one = recording(tmp_path / "anna" / "a_raw.fif", {1.0: "go", 10.0: "stop"})
    two = recording(tmp_path / "ben" / "b_raw.fif", {2.125: "go", 10.0: "stop"})
    trials = find_trials([one, two], {"go": "move, fast", "stop": "rest"}, stop=2.0).trials
    write_table(tmp_path / "labels.csv", trials, task="reach")
    lines = read_table(tmp_path / "labels.csv")
    assert [(x.file, x.start, x.stop, x.label, x.subject, x.split) for x in lines] == [
        ("anna/a_raw.fif", 1.0, 3.0, "move, fast", "anna", None),
        ("anna/a_raw.fif", 10.0, 12.0, "rest", "anna", None),
        ("ben/b_raw.fif", 2.125, 4.125, "move, fast", "ben", None),
        ("ben/b_raw.fif", 10.0, 12.0, "rest", "ben", None),
    ]
    assert {source.subject for source in LAYOUT.sources(tmp_path)} == {"anna", "ben"}
    with pytest.raises(ConfigError, match=r"does not lie in .*elsewhere, the folder of the table"):
        write_table(tmp_path / "elsewhere" / "labels.csv", trials, task="reach")


def test_people_are_told_by_folder_name_or_expression(tmp_path: Path) -> None:
    file = tmp_path / "day1" / "S07_run2.edf"
    assert subject_of(file, tmp_path, None) == "day1"
    assert subject_of(file, tmp_path / "day1", None) == "S07_run2"
    assert subject_of(file, tmp_path, "carla") == "carla"
    assert subject_of(file, tmp_path, r"(S\d+)") == "S07"
    with pytest.raises(ConfigError, match=r"not found in day1/S07_run2\.edf"):
        subject_of(file, tmp_path, r"(P\d+)")
    with pytest.raises(ConfigError, match="no regular expression with a group"):
        subject_of(file, tmp_path, r"(S")
