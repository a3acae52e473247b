"""Events of recordings as tables of labels: times, parts of the split, people, and every way in which it fails."""

import math
from pathlib import Path

import mne
import numpy as np
import pytest

from neurolm.core.errors import ConfigError, RecordingError
from neurolm.corpora.events import count_events, find_trials, label_paths
from neurolm.corpora.table import LAYOUT, read_table
from neurolm.corpora.trials import Trial, divide, subject_of, text_in_path, write_table
from neurolm.recording.options import ReadingOptions


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
    assert count_events([file]).counts == {"go": 4, "stop": 4, "beep": 4}


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
        ({}, {}, r"say which events are meant"),
    ],
)
def test_what_cannot_be_is_refused(file: Path, labels: dict, times: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_trials([file], labels, **times)


def test_an_event_is_meant_by_its_text_in_one_line(tmp_path: Path) -> None:
    file = recording(tmp_path / "a_raw.fif", {1.0: "seizure\nleft, temporal", 9.0: "end"}, duration=4.0)
    assert count_events([file]).counts == {"seizure left, temporal": 1, "end": 1}
    for name in ("seizure left, temporal", "seizure\nleft, temporal"):
        assert [trial.start for trial in find_trials([file], {name: "yes"}).trials] == [1.0]


def test_stretches_locked_to_their_events_may_overlap_and_are_extended_to_a_window(tmp_path: Path) -> None:
    """As responses to quick stimuli: every one becomes one window of the shortest length."""
    file = recording(tmp_path / "a_raw.fif", {1.003 + 0.31 * n: ["no", "yes"][n % 4 == 0] for n in range(60)})
    found = find_trials([file], {"no": "other", "yes": "target"}, start=-0.1, stop=0.5)
    assert (len(found.trials), found.extended, found.overlapping) == (60, 60, 59)
    assert [trial.event for trial in found.trials] == pytest.approx([1.0 + 0.31 * n for n in range(60)], abs=0.01)
    assert all(trial.start == pytest.approx(trial.event - 0.1) for trial in found.trials)
    write_table(tmp_path / "labels.csv", found.trials, task="p300")
    (source,) = LAYOUT.sources(tmp_path)
    labels = source.labelled(source.open_recording(reading=ReadingOptions(unit="uV"), check=False))
    for label in labels:
        first, last = math.ceil(label.start * 200 - 1e-6), math.floor(label.stop * 200 + 1e-6)
        assert last - first == 200  # the samples of the model that lie inside: one window
    assert [label.label for label in labels] == [trial.label for trial in found.trials]


def test_stretches_that_do_not_overlap_name_no_event(file: Path, tmp_path: Path) -> None:
    found = find_trials([file], {"go": "move", "stop": "rest"}, stop=5.0)
    assert {trial.event for trial in found.trials} == {None} and not found.overlapping and not found.extended
    write_table(tmp_path / "labels.csv", found.trials, task="reach")
    assert (tmp_path / "labels.csv").read_text().splitlines()[0] == "file,start,stop,task,label,subject,split"


def test_two_labels_for_one_time_cost_the_recording_alone(tmp_path: Path) -> None:
    good = recording(tmp_path / "good_raw.fif", {1.0: "a", 9.0: "b"}, duration=4.0)
    twice = recording(tmp_path / "twice_raw.fif", {1.0: "a", 3.0: "b"}, duration=4.0)
    same = recording(tmp_path / "same_raw.fif", {1.0: "a", 1.0 + 1e-12: "b"})
    found = find_trials([good, twice], {"a": "x", "b": "y"})
    assert [trial.file for trial in found.trials] == [good, good]
    assert "the stretch of 'x' ends at 5 s, when 'y' has begun (3 s)" in found.passed_over[twice]
    with pytest.raises(ConfigError, match=r"twice_raw\.fif: the stretch of 'x' ends at 5 s"):
        find_trials([twice], {"a": "x", "b": "y"})
    with pytest.raises(ConfigError, match=r"same_raw\.fif: the event at 1 s is labelled 'x' and 'y'; name fewer"):
        find_trials([same], {"a": "x", "b": "y"}, stop=2.0)
    assert len(find_trials([same], {"a": "x", "b": "x"}, stop=2.0).trials) == 1  # said twice, there once


def test_a_file_that_cannot_be_read_costs_itself_alone(file: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.edf"
    bad.write_bytes(b"rubbish" * 99)
    quiet = recording(tmp_path / "quiet_raw.fif", {})
    found = count_events([bad, file, quiet])
    assert (found.files, found.without, list(found.passed_over)) == (2, [quiet], [bad])
    assert "not an EDF or BDF file" in found.passed_over[bad]
    trials = find_trials([bad, file, quiet], {"go": "move"}, stop=2.0)
    assert len(trials.trials) == 4 and list(trials.passed_over) == [bad] and trials.without == [quiet]
    with pytest.raises(RecordingError, match=r"none of the 2 files can be read, the first: .*not an EDF"):
        count_events([bad, tmp_path / "none.edf"])


def test_no_electrode_is_needed(tmp_path: Path) -> None:
    """Caps whose channels are only counted, and files of other signals, have events too."""
    rng = np.random.default_rng(0)
    for number, names in enumerate([[f"A{n}" for n in range(1, 33)], ["SpO2", "Resp"], ["x", "STI 014"]]):
        info = mne.create_info(names, 100.0, ["eeg" if name != "STI 014" else "stim" for name in names])
        raw = mne.io.RawArray(1e-5 * rng.standard_normal((len(names), 3000)), info)
        raw.set_annotations(mne.Annotations([2.0, 7.0], 0, ["go", "stop"]))
        raw.save(tmp_path / f"{number}_raw.fif")
    found = count_events(sorted(tmp_path.glob("*_raw.fif")))
    assert found.counts == {"go": 3, "stop": 3} and not found.passed_over


def test_labels_from_the_names_of_files_and_folders(tmp_path: Path) -> None:
    names = ("s1/EO_run1", "s1/EC_run1", "s2/EO_run1", "s2/rest")
    files = [recording(tmp_path / f"{name}_raw.fif", {}) for name in names]
    found = label_paths(files, "(EO|EC)_", below=tmp_path)
    assert found.counts == {"EO": 2, "EC": 1} and found.without == [files[3]]
    assert [(trial.file, trial.start, trial.stop, trial.label) for trial in found.trials] == [
        (files[0], None, None, "EO"), (files[1], None, None, "EC"), (files[2], None, None, "EO"),
    ]  # fmt: skip
    some = label_paths(files, "(EO|EC)_", below=tmp_path, labels={"EO": "open"}, start=5.0, stop=20.0)
    assert [(trial.start, trial.stop, trial.label) for trial in some.trials] == [(5.0, 20.0, "open")] * 2
    write_table(tmp_path / "labels.csv", found.trials, task="eyes")
    assert {
        (source.subject, len(source.labelled(source.open_recording(check=False))))
        for source in LAYOUT.sources(tmp_path)
    } == {("s1", 1), ("s2", 1)}
    for wrong, message in [
        ("(abc)_", r"from_path='\(abc\)_': in none of the 4 paths, as .*EO_run1_raw\.fif"),
        ("EO", "has no group in parentheses, which is the label; give one such as"),
        ("(EO", "no regular expression"),
    ]:
        with pytest.raises(ConfigError, match=message):
            label_paths(files, wrong, below=tmp_path)
    with pytest.raises(ConfigError, match=r"'EX' is in none of the paths, which have 'EO' \(2\), 'EC' \(1\)"):
        label_paths(files, "(EO|EC)_", below=tmp_path, labels={"EX": "x"})
    with pytest.raises(ConfigError, match="all 3 recordings end before the stretch does"):
        label_paths(files, "(EO|EC)_", below=tmp_path, stop=61.0)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"^(\w+)/", "alpha"),
        (r"_(open|closed)\.", "open"),
        (r"(?P<label>open)|(closed)", "open"),
        (r"(closed)|(open)", "open"),
        (r"/(\d+)_", "07"),
        (r"(shut)", None),
        (r"(x*)", None),
    ],
)
def test_what_an_expression_finds_in_a_path(tmp_path: Path, pattern: str, text: str | None) -> None:
    assert text_in_path(tmp_path / "alpha" / "07_eyes_open.edf", pattern, tmp_path) == text


def test_links_to_recordings_lie_where_the_links_are(tmp_path: Path) -> None:
    """As in data sets of git-annex, whose files are links into a folder of their own."""
    file = recording(tmp_path / "annex" / "0f3a_raw.fif", {1.0: "go"})
    link = tmp_path / "data" / "anna" / "run_raw.fif"
    link.parent.mkdir(parents=True)
    link.symlink_to(file)
    write_table(tmp_path / "data" / "labels.csv", find_trials([link], {"go": "move"}, stop=2.0).trials, task="reach")
    (line,) = read_table(tmp_path / "data" / "labels.csv")
    assert (line.file, line.subject) == ("anna/run_raw.fif", "anna")
    assert text_in_path(link, r"^(\w+)/", tmp_path / "data") == "anna"


def test_divided_trials_share_no_time_with_another_part(tmp_path: Path) -> None:
    trials = [Trial(file=tmp_path, start=0.5 * n, stop=0.5 * n + 1.6, label="ab"[n % 2]) for n in range(40)]
    parts = divide(trials, (0.5, 0.25, 0.25))
    assert 30 < len(parts) < 40
    for one in parts:
        for other in parts:
            assert one.split == other.split or one.stop <= other.start or other.stop <= one.start
    whole = [Trial(file=tmp_path, start=0.0, stop=99.0 + n, label="a") for n in range(4)]
    with pytest.raises(ConfigError, match="every trial of 'a' for train shares time with one of another part"):
        divide(whole, (0.5, 0.25, 0.25))


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
