"""Tables of samples: how they are written, what their columns are, what their clock says, and what is refused."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from neurolm.core.errors import RecordingError
from neurolm.recording.formats import text
from neurolm.recording.options import ReadingOptions
from neurolm.recording.recording import Recording, find_recordings, open_recording

RATE = 250
NAMES = ("Fp1", "Fp2", "C3", "C4")
UV = ReadingOptions(unit="uV")
SIGNAL = np.round(np.random.default_rng(2).normal(0, 20, (2000, 4)), 3)
TIMES = np.arange(2000) / RATE


def rows(
    signal: np.ndarray = SIGNAL, times: Sequence[object] | None = TIMES, *, names: Sequence[str] | None = NAMES,
    separator: str = ",", time: str = "time", form: str = "{:.6f}",
) -> str:  # fmt: skip
    """A table of text; times that are no strings are written by ``form``."""
    lines = []
    if names is not None:
        lines.append(separator.join([*([time] if times is not None else []), *names]))
    for i, values in enumerate(signal):
        moment = [] if times is None else [times[i] if isinstance(times[i], str) else form.format(times[i])]
        lines.append(separator.join([*moment, *(f"{value:.3f}" for value in values)]))
    return "\n".join(lines) + "\n"


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Recording]:
    """Write a table and open it."""

    def write(content: str | bytes, reading: ReadingOptions = UV, name: str = "t.csv") -> Recording:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return open_recording(tmp_path / name, reading=reading)

    return write


def spans(recording: Recording) -> list[tuple[int, int]]:
    return [(stretch.start, stretch.stop) for stretch in recording.stretches]


# --- how they are written -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        rows(),
        rows(separator=";").replace(".", ","),
        rows(separator="\t").replace(".", ","),
        rows(separator=", "),
        rows().replace("\n", "\r\n"),
        rows().replace("\n", "\r"),
        "\ufeff" + rows(),
        rows().rstrip("\n"),
        rows().replace("\n", ",\n"),
        rows().replace("\n", "\n\n"),
        "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in rows().splitlines()),
        "# exported on Monday\n# by somebody\n" + rows(),
        "Subject,12\nSampling rate,whatever\n\n" + rows(),
    ],
    ids=["comma", "semicolon", "tab", "spaces", "crlf", "cr", "mark", "no end", "trailing", "blank", "quoted",
         "comments", "lines above"],
)  # fmt: skip
def test_all_ways_to_write_a_table_give_the_same(opened, content):
    recording = opened(content)
    assert (recording.channels, recording.rate) == (("FP1", "FP2", "C3", "C4"), RATE)
    np.testing.assert_array_equal(recording.read(), SIGNAL.T)


@pytest.mark.parametrize("separator", [" ", "\t", ",", "   "])
def test_a_table_without_a_header_takes_names_in_their_order(opened, separator):
    content = rows(times=None, names=None, separator=separator)
    reading = ReadingOptions(rate=173.61, unit="uV", channels=NAMES)
    recording = opened(content, reading, "t.txt")
    assert (recording.rate, recording.channels) == (173.61, ("FP1", "FP2", "C3", "C4"))
    np.testing.assert_array_equal(recording.read(), SIGNAL.T)
    recording = opened(content, ReadingOptions(rate=RATE, unit="uV", channels={"ch4": "C4"}), "t.txt")
    np.testing.assert_array_equal(recording.read(), SIGNAL.T[3:])
    with pytest.raises(RecordingError, match="2 names for 4 channels; name all of them in their order"):
        opened(content, ReadingOptions(rate=RATE, unit="uV", channels=["C3", "C4"]), "t.txt")


def test_the_header_of_numpy_and_the_counted_one_of_pandas(opened):
    reading = ReadingOptions(rate=RATE, unit="uV")
    np.testing.assert_array_equal(opened("# Fp1,Fp2,C3,C4\n" + rows(times=None, names=None), reading).read(), SIGNAL.T)
    counted = [f"{i},{line}" for i, line in enumerate(rows(times=None, names=None).splitlines())]
    recording = opened("\n".join([",0,1,2,3", *counted]), ReadingOptions(rate=RATE, unit="uV", channels=NAMES))
    np.testing.assert_array_equal(recording.read(), SIGNAL.T)


def test_units_stand_in_names_or_below_them(opened):
    named = opened(rows(SIGNAL / 1000, names=[f"{name} (mV)" for name in NAMES], form="{:.4f}"), ReadingOptions())
    assert named.unit == "mV"
    above = "# Sampling rate: 250 Hz\n# Unit: mV\n" + rows(SIGNAL / 1000, None)
    assert (opened(above, ReadingOptions()).unit, opened(above, ReadingOptions()).rate) == ("mV", 250)
    below = rows().replace("C4\n", "C4\ns,µV,µV,µV,µV\n", 1)
    np.testing.assert_array_equal(opened(below, ReadingOptions()).read(), SIGNAL.T)


def test_blocks_meet_anywhere(opened, monkeypatch):
    for size in (997, 1 << 12):
        monkeypatch.setattr(text, "BLOCK", size)
        np.testing.assert_array_equal(opened(rows()).read(), SIGNAL.T)


def test_large_tables_are_mapped_from_a_file_that_has_no_name(opened, monkeypatch, tmp_path):
    monkeypatch.setattr("neurolm.recording.formats.matrix._IN_MEMORY", 1000)
    monkeypatch.setattr(text, "BLOCK", 4096)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    np.testing.assert_array_equal(opened(rows()).read(1, 3), SIGNAL.T[:, RATE : 3 * RATE])
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


# --- what is refused, and where it is -------------------------------------------------------------------------------


def test_a_cell_that_is_no_number_is_named(opened):
    lines = rows().splitlines()
    lines[1234] = lines[1234].replace(lines[1234].split(",")[3], "12.x")
    with pytest.raises(RecordingError, match=r"t\.csv, line 1235, column 4 \(C3\): '12\.x' is no number; repair"):
        opened("\n".join(lines))


def test_a_line_of_another_width_is_named(opened):
    lines = rows().splitlines()
    lines[500] += ",7"
    with pytest.raises(RecordingError, match=r"line 501: 6 cells where the table has 5 columns"):
        opened("\n".join(lines))
    lines = rows().splitlines()
    lines[-1] = "7.996,1.0"
    recording = opened("\n".join(lines))
    assert recording.samples == 1999 and "its last line breaks off and was left out" in recording.notes


@pytest.mark.parametrize("missing", ["", "NaN", "n/a", "NULL"])
def test_missing_samples_are_nan(opened, tmp_path, missing):
    lines = rows().splitlines()
    cells = lines[1000].split(",")
    lines[1000] = ",".join([*cells[:2], missing, *cells[3:]])
    (tmp_path / "t.csv").write_text("\n".join(lines))
    found = open_recording(tmp_path / "t.csv", reading=UV, check=False).read()
    assert np.argwhere(~np.isfinite(found)).tolist() == [[1, 999]]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"\x00\x01binary", "no text, though its suffix is .csv"),
        (rows().encode("utf-16"), "a table in UTF-16"),
        ("one line of prose\nand another, longer one\n", "no table of numbers"),
        ("name,type,units\nFp1,EEG,uV\nFp2,EEG,uV\n", "no table of numbers|no columns of samples"),
        ("Fp1,Cz\n", "no table of numbers"),
        ("file,start,stop,label\na.edf,0,5,open\nb.edf,5,9,open\n", "no columns of samples|no table of numbers"),
    ],
)
def test_what_is_no_table_is_refused(opened, content, found):
    with pytest.raises(RecordingError, match=found):
        opened(content)


def test_what_it_does_not_say_is_asked_for_at_once(opened):
    with pytest.raises(RecordingError, match=r"4 columns of samples × 2,000 rows; it does not say the unit of its num"):
        opened(rows(), ReadingOptions())
    with pytest.raises(
        RecordingError, match=r"how many samples a second has, the unit .* rate=250 unit='uV' channels="
    ):
        opened(rows(times=None, names=None), ReadingOptions())
    counts = rows(np.round(SIGNAL * 40)).replace(".000,", ",").replace(".000\n", "\n")
    with pytest.raises(RecordingError, match=r"whole numbers: counts\); it does not say what a count is worth"):
        opened(counts, ReadingOptions())


def test_one_column_takes_one_name(opened):
    recording = opened(rows(SIGNAL[:, :1], None, names=None), ReadingOptions(rate=128, unit="uV", channels=["Cz"]))
    assert (recording.channels, recording.samples) == (("CZ",), 2000)


# --- time -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "name", "form"),
    [
        (TIMES, "time", "{:.6f}"),
        (TIMES * 1000, "timestamp (ms)", "{:.1f}"),
        (TIMES * 1000, "t", "{:.0f}"),
        (TIMES * 1e6, "Time_us", "{:.0f}"),
        (1.7e9 + TIMES, "Timestamps", "{:.6f}"),
        ((1.7e9 + TIMES) * 1e3, "unix", "{:.0f}"),
        ([f"5/1/2024 23:59:{55 + t:09.6f}" if t < 5 else f"5/2/2024 00:00:{t - 5:09.6f}" for t in TIMES], "time", ""),
        ([f"10:00:{t:06.3f}" for t in TIMES], "Zeit", ""),
    ],
)  # fmt: skip
def test_the_rate_is_that_of_the_times(opened, times, name, form):
    recording = opened(rows(times=list(times), time=name, form=form))
    assert recording.rate == RATE and spans(recording) == [(0, 2000)]
    assert any(note.startswith("250 Hz, by its times") for note in recording.notes)


def test_unusual_rates_are_kept_and_rounded_times_are_seen_through(opened):
    assert opened(rows(times=np.arange(2000) / 173.61)).rate == pytest.approx(173.61, rel=1e-4)
    assert opened(rows(times=np.round(np.arange(2000) / 256, 3))).rate == 256  # steps of 3 and of 4 ms
    assert opened(rows(times=np.round(np.arange(2000) / 128, 2))).rate == 128


def test_times_without_a_header_are_found(opened):
    recording = opened(rows(names=None), ReadingOptions(unit="uV", channels=NAMES))
    np.testing.assert_array_equal(recording.read(), SIGNAL.T)
    assert recording.rate == RATE


def test_samples_that_are_missing_are_gaps_in_time(opened):
    times = TIMES.copy()
    times[1000:] += 5
    recording = opened(rows(times=times))
    assert spans(recording) == [(0, 1000), (1000 + 5 * RATE, 2000 + 5 * RATE)]
    np.testing.assert_array_equal(recording.read_samples(1000 + 5 * RATE, 2000 + 5 * RATE), SIGNAL.T[:, 1000:])
    assert any("interrupted once: at 4 s (5 s missing)" in note for note in recording.notes)


def test_single_samples_that_are_missing_are_closed_and_counted(opened):
    times = TIMES.copy()
    times[700:] += 1 / RATE
    times[1400:] += 2 / RATE
    recording = opened(rows(times=times))
    assert spans(recording) == [(0, 2000)]
    assert "short gaps closed: 2, of 3 samples together" in recording.notes


def test_many_short_gaps_do_not_add_up_unseen(opened):
    keep = np.ones(2000, bool)
    keep[100::100] = False  # one in a hundred: 19 of 8 s
    recording = opened(rows(SIGNAL[keep], TIMES[keep]))
    late = max(abs(stretch.start - stretch.first - 19 * stretch.first / 1981) for stretch in recording.stretches)
    assert late < 0.05 * RATE + 1 and recording.stretches[-1].stop > 1981


def test_a_clock_that_begins_anew_ends_a_stretch(opened):
    times = TIMES.copy()
    times[800:] -= TIMES[800]
    recording = opened(rows(times=times))
    assert spans(recording) == [(0, 800), (800, 2000)]
    assert any("begin anew at samples 800" in note for note in recording.notes)


def test_bursts_of_packages_are_no_gaps_and_drop_outs_among_them_are(opened):
    rng = np.random.default_rng(1)
    arrived = np.ceil(TIMES * 20) / 20 + np.repeat(rng.uniform(0, 0.02, 200), 10)
    recording = opened(rows(times=arrived))
    assert recording.rate == RATE and spans(recording) == [(0, 2000)]
    arrived[1200:] += 3
    (first, second) = spans(opened(rows(times=arrived)))
    assert first == (0, 1200) and second[0] == pytest.approx(1200 + 3 * RATE, abs=0.15 * RATE)


def test_times_that_tell_nothing_are_refused_unless_a_rate_is_given(opened):
    rng = np.random.default_rng(3)
    content = rows(times=rng.permutation(TIMES))
    with pytest.raises(RecordingError, match=r"the column of times \(time\) tells no rate: its times .*rate=250"):
        opened(content)
    recording = opened(content, ReadingOptions(unit="uV", rate=RATE))
    assert any("is not used" in note for note in recording.notes)


def test_a_rate_that_is_given_wins_and_the_times_are_said(opened):
    recording = opened(rows(), ReadingOptions(unit="uV", rate=200))
    assert recording.rate == 200
    assert any("taken as 200 Hz, as given, though its times say 250" in note for note in recording.notes)


# --- what happened --------------------------------------------------------------------------------------------------


def test_markers_as_numbers_and_as_text_become_annotations(opened):
    lines = rows().splitlines()
    numbers = [f"{line},{3 if 500 <= i - 1 < 520 else 0}" if i else f"{line},trigger" for i, line in enumerate(lines)]
    (mark,) = opened("\n".join(numbers)).annotations
    assert (mark.onset, mark.text) == (2.0, "3")
    texts = {500: "go", 1500: "stop"}
    lines = [f"{line},{texts.get(i - 1, '')}" if i else f"{line},event" for i, line in enumerate(lines)]
    assert [(mark.onset, mark.text) for mark in opened("\n".join(lines)).annotations] == [(2.0, "go"), (6.0, "stop")]


# --- folders --------------------------------------------------------------------------------------------------------


def test_in_a_folder_only_eeg_counts_unless_somebody_says_so(tmp_path):
    tables = {
        "eeg.csv": rows(),
        "labels.csv": "file,start,stop,task,label,subject\neeg.csv,0,5,eyes,open,a\n",
        "participants.tsv": "participant_id\tage\nsub-01\t30\n",
        "sub-01_events.tsv": "onset\tduration\ttrial_type\n0.1\t0.5\tgo\n",
        "power.csv": "subject,Fp1,Cz\n1,2.5,3.5\n2,2.6,3.6\n",
        "notes.txt": "asleep, mostly\n",
        "plain.txt": rows(times=None, names=None, separator=" "),
    }
    for name, content in tables.items():
        (tmp_path / name).write_text(content)
    np.save(tmp_path / "a.npy", SIGNAL)
    assert [path.name for path in find_recordings(tmp_path)] == ["eeg.csv"]
    assert {"eeg.csv", "plain.txt", "a.npy"} <= {path.name for path in find_recordings(tmp_path, arrays=True)}
    found = {path.name for path in find_recordings(tmp_path, arrays=True)}
    assert not found & {"labels.csv", "participants.tsv", "sub-01_events.tsv", "notes.txt"}


def test_an_export_beside_its_recording_is_no_second_one(tmp_path, write_edf):
    write_edf(tmp_path / "a.edf", seed=1)
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(rows())
    assert [path.name for path in find_recordings(tmp_path)] == ["a.edf", "b.csv"]
    np.save(tmp_path / "a.npy", SIGNAL)
    assert [path.name for path in find_recordings(tmp_path, arrays=True)] == ["a.edf", "b.csv"]


def epochs_of(where: int, numbers: Sequence[object]) -> str:
    """Four epochs of 2 s from -0.2 s each, one below the other, with a column `epoch`."""
    lines = []
    for i, values in enumerate(SIGNAL):
        cells = [f"{i % 500 / RATE - 0.2:.4f}", *(f"{value:.3f}" for value in values)]
        cells.insert(where, str(numbers[i]))
        lines.append(",".join(cells))
    names = ["time", *NAMES]
    names.insert(where, "epoch")
    return "\n".join([",".join(names), *lines]) + "\n"


@pytest.mark.parametrize("where", [0, 1, 3])
@pytest.mark.parametrize("first", [0, 17])
def test_numbers_of_epochs_are_no_times(opened, where, first):
    recording = opened(epochs_of(where, [first + i // 500 for i in range(2000)]))
    assert recording.rate == RATE and recording.channels == ("FP1", "FP2", "C3", "C4")
    assert [span[1] - span[0] for span in spans(recording)] == [500] * 4  # never joined where one ends
    assert any("left out, neither samples nor times: epoch" in note for note in recording.notes)
    np.testing.assert_allclose(recording.read_samples(*spans(recording)[0]), SIGNAL[:500].T)


@pytest.mark.parametrize("length", [100, 250, 500, 513])
@pytest.mark.parametrize("reading", [UV, ReadingOptions(unit="uV", rate=RATE)])
def test_many_epochs_are_never_joined(opened, length, reading):
    times = np.arange(15_000) % length / RATE - 0.2
    recording = opened(rows(signal=np.tile(SIGNAL, (8, 1))[:15_000], times=times), reading)
    assert recording.rate == RATE
    assert [last - first for first, last in spans(recording)][:-1] == [length] * ((15_000 - 1) // length)


@pytest.mark.parametrize("factor", [1, 1000])
def test_an_epoch_since_1970_is_a_time(opened, factor):
    times = (1.7e9 + TIMES) * factor
    recording = opened(rows(times=[f"{time:.3f}" for time in times], time="epoch"))
    assert recording.rate == RATE and len(spans(recording)) == 1
    with_time = opened(epochs_of(0, [int(1.7e9)] * 2000))  # the seconds in which the epochs were: `time` is finer
    assert with_time.rate == RATE and len(spans(with_time)) == 4


@pytest.mark.parametrize(("separator", "form"), [(";", "1.234,50"), (",", '"1,234.50"'), (";", "1 234,50")])
@pytest.mark.parametrize("share", [0.02, 0.9])
def test_signs_between_thousands_are_said(opened, separator, form, share):
    point = "," if form.endswith(",50") else "."
    plain = "234,50" if point == "," else "234.50"
    lines = [separator.join(["time", "Fp1 (uV)", "Cz (uV)"])]
    for i in range(500):
        many = i % 100 >= 100 * (1 - share)
        lines.append(separator.join([f"{i / 250:.3f}".replace(".", point), form if many else plain, plain]))
    with pytest.raises(RecordingError, match="written with a sign between thousands; export the table without them"):
        opened("\n".join(lines) + "\n")
