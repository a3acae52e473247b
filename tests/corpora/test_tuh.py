"""TUH corpora on trees as they are downloaded, with the channels that their files have, and on trees that are wrong."""

import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from edfio import Edf, EdfSignal

from neurolm.batches.splits import Split
from neurolm.core.errors import ConfigError, RecordingError, StoreError
from neurolm.core.stretches import whole
from neurolm.corpora import LAYOUTS, layout_of, tuh
from neurolm.recording.recording import find_recordings
from neurolm.store.store import Label
from neurolm.tasks.card import load_task

OTHERS = ("EEG EKG1-REF", "EEG ROC-REF", "EEG LOC-REF", "EEG SP1-REF", "PHOTIC-REF", "IBI", "BURSTS", "SUPPR", "DC1-DC")
NUMBERED = ("EEG 26-REF", "EEG 27-REF")
HOUR = SimpleNamespace(seconds=3600.0, annotations=())


def names(reference: str = "REF", without: tuple[str, ...] = ()) -> list[str]:
    return [f"EEG {e}-{reference}" for e in tuh.ELECTRODES if e not in without]


def edf(path: Path, channels: list[str] | None = None, *, seconds: int = 12, rate: int = 250) -> Path:
    """Write a recording; every channel is a sine of its own frequency."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(seconds * rate) / rate
    signals = [
        EdfSignal(
            20 * np.sin(2 * np.pi * (2 + n) * time), rate, label=name, physical_dimension="uV",
            physical_range=(-5000, 5000), transducer_type="Unknown",
        )
        for n, name in enumerate(channels or [*names(), *OTHERS])
    ]  # fmt: skip
    Edf(signals).write(path)
    return path


def empty(root: Path, *paths: str) -> None:
    """Make files that no layout may open."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"")


def store(sources, seconds: float = 3600.0):
    """What splits and windows need to see of the store that would be prepared."""
    extent = SimpleNamespace(seconds=seconds, annotations=())
    rows = [
        SimpleNamespace(
            recording=str(source.path), subject=f"{source.corpus}/{source.subject}", labels=source.labelled(extent),
            samples=int(seconds * 200), stretches=whole(int(seconds * 200)),
        )
        for source in pickle.loads(pickle.dumps(sources))
    ]  # fmt: skip
    return SimpleNamespace(path="store", rows=rows, outlines=rows)


V1 = [
    "edf/01_tcp_ar/027/00002729/s001_2006_04_12/00002729_s001_t000.edf",
    "edf/02_tcp_le/000/00000003/s001_2002_12_23/00000003_s001_t000.edf",
]
V2 = [
    "edf/000/aaaaaaaa/s001_2015/01_tcp_ar/aaaaaaaa_s001_t000.edf",
    "edf/000/aaaaaaab/s002_2010_10_21/02_tcp_le/aaaaaaab_s002_t001.edf",
    "edf/108/aaaaatds/s001_2012/03_tcp_ar_a/aaaaatds_s001_t000.edf",
]


@pytest.mark.parametrize(
    ("tree", "subjects"), [(V1, ["00002729", "00000003"]), (V2, ["aaaaaaaa", "aaaaaaab", "aaaaatds"])]
)
@pytest.mark.parametrize("below", ["", "edf"])
def test_tueg_of_both_versions(tmp_path, tree, subjects, below):
    empty(tmp_path, *tree, "edf/000/AAREADME.txt", "DOCS/x.edf")
    empty(tmp_path, str(Path(tree[0]).with_name("notes.edf")), str(Path(tree[0]).with_name("._hidden_s001_t000.edf")))
    assert layout_of(tmp_path / below) == "tueg"
    sources = LAYOUTS["tueg"].sources(tmp_path / below)
    assert [source.path for source in sources] == [tmp_path / path for path in tree]
    assert [source.subject for source in sources] == subjects
    assert {(source.corpus, source.mains, source.labels) for source in sources} == {("tueg", 60.0, ())}


def test_tueg_keeps_the_known_electrodes_of_every_reference(tmp_path):
    average = edf(tmp_path / V2[0], [*names(), *OTHERS, *NUMBERED])
    linked = edf(tmp_path / V2[1], [*names("LE"), "EEG EKG-LE", "PHOTIC PH"])
    without_ears = edf(tmp_path / V2[2], [*names(without=("A1", "A2", "T1", "T2")), *OTHERS])
    opened = [source.open_recording() for source in LAYOUTS["tueg"].sources(tmp_path)]
    assert [recording.path for recording in opened] == [average, linked, without_ears]
    assert opened[0].channels == opened[1].channels == tuh.ELECTRODES
    assert set(tuh.ELECTRODES) - set(opened[2].channels) == {"A1", "A2", "T1", "T2"}
    for recording in opened:  # the right signal under every name
        spectrum = np.abs(np.fft.rfft(recording.read(0, 10), axis=1))
        order = [tuh.ELECTRODES.index(e) for e in recording.channels if e in tuh.ELECTRODES]
        first = np.arange(len(order)) if len(order) < len(tuh.ELECTRODES) else np.array(order)
        assert spectrum.argmax(1).tolist() == [10 * (2 + n) for n in first]


def test_a_wrong_tueg_is_refused(tmp_path):
    empty(tmp_path, "edf/000/aaaaaaaa/s001_2015/01_tcp_ar/aaaaaaab_s001_t000.edf")
    with pytest.raises(ConfigError, match="of subject aaaaaaab in the folder of aaaaaaaa"):
        LAYOUTS["tueg"].sources(tmp_path)
    (tmp_path / "other").mkdir()
    with pytest.raises(StoreError, match=r"no recordings of TUEG.*give the folder of one version.*https://"):
        LAYOUTS["tueg"].sources(tmp_path / "other")


TUAB = [
    "edf/train/normal/01_tcp_ar/aaaaaaav_s004_t000.edf",
    "edf/train/normal/01_tcp_ar/aaaaaaaw_s001_t000.edf",
    "edf/train/abnormal/01_tcp_ar/aaaaaaaw_s002_t000.edf",  # of a subject with a normal one
    "edf/train/abnormal/01_tcp_ar/aaaaaaax_s001_t000.edf",
    "edf/train/abnormal/01_tcp_ar/aaaaaaay_s001_t000.edf",
    "edf/train/abnormal/01_tcp_ar/aaaaaaaz_s001_t000.edf",
    "edf/eval/normal/01_tcp_ar/aaaaamye_s001_t000.edf",
    "edf/eval/abnormal/01_tcp_ar/aaaaamyf_s001_t000.edf",
]


def test_tuab(tmp_path):
    empty(tmp_path, *TUAB)
    assert layout_of(tmp_path) == "tuab"
    sources = LAYOUTS["tuab"].sources(tmp_path)
    assert [source.path for source in sources] == sorted(tmp_path / path for path in TUAB)
    labels = {source.path.relative_to(tmp_path).as_posix(): source.labelled(HOUR) for source in sources}
    assert labels[TUAB[0]] == (Label("tuab", "No", 0.0, 3600.0, None),)
    assert labels[TUAB[3]] == (Label("tuab", "Yes", 0.0, 3600.0, None),)
    assert labels[TUAB[7]] == (Label("tuab", "Yes", 0.0, 3600.0, "test"),)
    task, opened = load_task("tuab"), store(sources, 1234.5)
    split = task.split(opened)
    train = ("tuab/aaaaaaav", "tuab/aaaaaaaw", "tuab/aaaaaaax", "tuab/aaaaaaay")
    assert split == Split(train, ("tuab/aaaaaaaz",), ("tuab/aaaaamye", "tuab/aaaaamyf"))
    # as many as the official preparation cuts of each: whole stretches of 10 s from the start
    assert [len(task.windows(opened, split, part)) for part in ("train", "validation", "test")] == [5 * 123, 123, 246]
    assert {w.label for w in task.windows(opened, split, "train")} == set(task.labels)


def test_tuab_of_version_2(tmp_path):
    below = "01_tcp_ar/000/00000021/s004_2013_08_15/00000021_s004_t000.edf"
    empty(tmp_path, f"edf/train/normal/{below}", f"edf/eval/abnormal/{below.replace('00000021', '00000035')}")
    assert layout_of(tmp_path) == "tuab"
    assert [source.subject for source in LAYOUTS["tuab"].sources(tmp_path)] == ["00000035", "00000021"]


def test_tuab_has_the_papers_electrodes_in_their_order(tmp_path):
    edf(tmp_path / TUAB[0], [*OTHERS[:3], *reversed(names()), *OTHERS[3:], *NUMBERED])
    edf(tmp_path / TUAB[6], names(without=("T1", "T2")))
    few, recording = LAYOUTS["tuab"].sources(tmp_path)
    assert recording.open_recording().channels == tuh.ELECTRODES
    with pytest.raises(RecordingError, match="there is no EEG T1-REF, EEG T2-REF"):
        few.open_recording()


def test_a_wrong_tuab_is_refused(tmp_path):
    empty(tmp_path, *(path for path in TUAB if "/train/" in path))
    with pytest.raises(StoreError, match=r"eval: no such folder; .*the official test set"):
        LAYOUTS["tuab"].sources(tmp_path)
    (tmp_path / "edf" / "eval").mkdir()
    with pytest.raises(StoreError, match=r"eval: no EDF files in normal"):
        LAYOUTS["tuab"].sources(tmp_path)
    empty(tmp_path, "edf/eval/normal/01_tcp_ar/aaaaaaax_s009_t000.edf")
    with pytest.raises(
        ConfigError, match=r"aaaaaaax_s009_t000\.edf: subject aaaaaaax is in the training set too \(.*s001"
    ):
        LAYOUTS["tuab"].sources(tmp_path)
    empty(tmp_path, "edf/train/borderline/01_tcp_ar/aaaaaaab_s001_t000.edf")
    with pytest.raises(ConfigError, match="unknown label 'borderline'; a folder in train is abnormal or normal"):
        LAYOUTS["tuab"].sources(tmp_path)
    other = tmp_path / "other"
    empty(other, "edf/train/normal/01_tcp_ar/anna.edf", TUAB[6])
    with pytest.raises(ConfigError, match=r"anna\.edf: not the name of a TUH recording"):
        LAYOUTS["tuab"].sources(other)


TUEV = {
    "edf/train/aaaaaaar/aaaaaaar_00000001.edf": "0,22.1000,23.1000,6\n3,22.1,23.1,6\n12,40.0034,41.0034,1\n",
    "edf/train/aaaaaaas/aaaaaaas_00000002.edf": "5,0.5,1.5,2\n5,58.9,59.9,3\n",
    "edf/train/aaaaaaat/aaaaaaat_00000001.edf": "5,10,11,4\n",
    "edf/eval/000/bckg_000_a_.edf": "1,30,31,6\n1,31,32,6\n\n",
    "edf/eval/013/spsw_013_a_1.edf": "1,30,31,5\n",
}


def tuev(root: Path, **changes: str) -> Path:
    for path, events in TUEV.items():
        empty(root, path)
        (root / path).with_suffix(".rec").write_text(changes.get(Path(path).stem, events))
    return root


def test_tuev_gives_five_seconds_for_every_line(tmp_path):
    assert layout_of(tuev(tmp_path)) == "tuev"
    sources = LAYOUTS["tuev"].sources(tmp_path)
    assert [source.subject for source in sources] == ["000", "013", "aaaaaaar", "aaaaaaas", "aaaaaaat"]
    task, opened = load_task("tuev"), store(sources, 60.0)
    split = task.split(opened)
    assert split == Split(("tuev/aaaaaaar", "tuev/aaaaaaas"), ("tuev/aaaaaaat",), ("tuev/000", "tuev/013"))
    found = {part: task.windows(opened, split, part) for part in ("train", "validation", "test")}
    assert {part: len(windows) for part, windows in found.items()} == {"train": 5, "validation": 1, "test": 3}
    # first sample of the event at 200 Hz, by times >= onset as in the official preparation, less two seconds
    first = [int(np.flatnonzero(np.arange(12000) / 200 >= onset)[0]) - 400 for onset in (22.1, 22.1, 40.0034)]
    assert [(w.start, w.seconds, w.label) for w in found["train"][:3]] == [
        (first[0], 5, "background"), (first[1], 5, "background"), (first[2], 5, "spike and slow wave"),
    ]  # fmt: skip
    # moved inside the recording, where the official preparation goes on at its other end
    assert [(w.start, w.label) for w in found["train"][3:]] == [
        (0, "generalized periodic epileptiform discharge"), (11000, "periodic lateralized epileptiform discharge"),
    ]  # fmt: skip
    assert [w.label for w in (*found["validation"], *found["test"])] == [
        "eye movement", "background", "background", "artifact",
    ]  # fmt: skip
    assert set(task.labels) == {w.label for windows in found.values() for w in windows}


def test_tuevs_labels_are_not_taken_for_recordings(tmp_path):
    assert {path.suffix for path in find_recordings(tuev(tmp_path))} == {".edf"}


def test_tuev_opens_with_the_papers_electrodes(tmp_path):
    edf(tuev(tmp_path) / "edf/eval/000/bckg_000_a_.edf")
    edf(tmp_path / "edf/eval/013/spsw_013_a_1.edf", [*names("LE"), "PHOTIC PH"])
    average, linked, *_ = LAYOUTS["tuev"].sources(tmp_path)
    assert average.open_recording().channels == tuh.ELECTRODES
    with pytest.raises(RecordingError, match="there is no EEG FP1-REF"):  # left out by the paper, too
        linked.open_recording()


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ("0,1,2,6\n1,2,3\n", r"rec, line 2: expected channel,start,stop,class, found '1,2,3'"),
        ("0,1,2,7\n", r"line 1: unknown class '7', known: 1 \(spike and slow wave\)"),
        ("0,1,2,6.5\n", "unknown class '6.5'"),
        ("0,1,2,bckg\n", "unknown class 'bckg'"),
        ("0,x,2,6\n", "line 1: start must be seconds .* not 'x'"),
        ("0,1,nan,6\n", "line 1: stop must be seconds .* not 'nan'"),
        ("0,-1,2,6\n", "line 1: start must be seconds"),
        ("0,2,2,6\n", r"line 1: start \(2 s\) must be before stop \(2 s\)"),
    ],
)
def test_a_wrong_rec_file_is_named(tmp_path, events, message):
    with pytest.raises(ConfigError, match=rf"aaaaaaar_00000001\.{message}" if message.startswith("rec") else message):
        LAYOUTS["tuev"].sources(tuev(tmp_path, aaaaaaar_00000001=events))


def test_a_wrong_tuev_is_refused(tmp_path):
    (tuev(tmp_path) / "edf/train/aaaaaaas/aaaaaaas_00000002.rec").unlink()
    assert layout_of(tmp_path) == "tuev"
    with pytest.raises(StoreError, match=r"aaaaaaas_00000002\.rec: no such file, and it holds the events of aaaaaaas"):
        LAYOUTS["tuev"].sources(tmp_path)
    late = LAYOUTS["tuev"].sources(tuev(tmp_path / "late", bckg_000_a_="0,61,62,6\n"))[0]
    with pytest.raises(
        ConfigError, match=r"bckg_000_a_\.rec: 'background' begins at 61 s, but the recording lasts 60 s"
    ):
        late.labelled(SimpleNamespace(seconds=60.0, annotations=()))
    empty(tuev(tmp_path / "moved"), "edf/train/aaaaaaar/aaaaaaaz_00000001.edf")
    with pytest.raises(ConfigError, match="must hold the subject that its folder is named after"):
        LAYOUTS["tuev"].sources(tmp_path / "moved")
    empty(tmp_path / "half", "edf/train/aaaaaaar/aaaaaaar_00000001.edf")
    with pytest.raises(StoreError, match="eval: no such folder"):
        LAYOUTS["tuev"].sources(tmp_path / "half")


SLOWING = "version = tse_v1.0.0\n\n{}"
TUSL = {
    "edf/aaaaaaju/s005_2010/01_tcp_ar/aaaaaaju_s005_t000.edf": "100.0000 110.0000 slow 1.0000\n200.1 210.1 bckg 1.0\n",
    "edf/aaaaaajy/s001_2003/02_tcp_le/aaaaaajy_s001_t000.edf": "0.0 10.0 bckg 1.0000\n",
    "edf/aaaaaalq/s001_2004/01_tcp_ar/aaaaaalq_s001_t000.edf": "292.0 302.0 seiz 1.0000\n",
}


def tusl(root: Path, lines: str | None = None) -> Path:
    for path, stretches in TUSL.items():
        empty(root, path)
        (root / path).with_suffix(".tse_agg").write_text(SLOWING.format(stretches if lines is None else lines))
    return root


def test_tusl(tmp_path):
    assert layout_of(tusl(tmp_path)) == "tusl"
    sources = LAYOUTS["tusl"].sources(tmp_path)
    assert [source.subject for source in sources] == ["aaaaaaju", "aaaaaajy", "aaaaaalq"]
    task, opened = load_task("tusl"), store(sources, 301.0)
    split = task.split(opened)
    assert [len(part) for part in (split.train, split.validation, split.test)] == [1, 1, 1]
    windows = [w for part in ("train", "validation", "test") for w in task.windows(opened, split, part)]
    assert [(w.start / 200, w.seconds, w.label) for w in windows] == [
        (100.0, 10, "slowing"), (200.1, 10, "background"), (0.0, 10, "background"), (291.0, 10, "seizure"),
    ]  # fmt: skip
    assert set(task.labels) == {w.label for w in windows}


def test_tusl_of_version_1_is_not_taken_for_tueg(tmp_path):
    path = "edf/01_tcp_ar/006/00000675/s001_2004_02_16/00000675_s001_t000.edf"
    empty(tmp_path, path)
    assert layout_of(tmp_path) == "tueg"
    (tmp_path / path).with_suffix(".tse_agg").write_text(SLOWING.format("0 10 slow 1\n"))
    assert layout_of(tmp_path) == "tusl"
    assert [source.subject for source in LAYOUTS["tusl"].sources(tmp_path)] == ["00000675"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("0 10 spsw 1\n", r"tse_agg, line 3: unknown label 'spsw', known: bckg, seiz, slow"),
        ("0 10 slow\n", r"line 3: expected 'start stop label probability', found '0 10 slow'"),
        ("0 ten slow 1\n", "line 3: stop must be seconds .* 'ten'"),
        ("10 10 slow 1\n", "line 3: start .* must be before stop"),
    ],
)
def test_a_wrong_tse_agg_file_is_named(tmp_path, lines, message):
    with pytest.raises(ConfigError, match=message):
        LAYOUTS["tusl"].sources(tusl(tmp_path, lines))


def test_a_wrong_tusl_is_refused(tmp_path):
    side = (tusl(tmp_path) / next(iter(TUSL))).with_suffix(".tse_agg")
    side.write_text("0 10 slow 1\n")
    with pytest.raises(ConfigError, match=r"line 1: expected 'version = tse_v1\.0\.0', found '0 10 slow 1'"):
        LAYOUTS["tusl"].sources(tmp_path)
    side.write_text("\n")
    with pytest.raises(ConfigError, match=r"line 1: .* found nothing"):
        LAYOUTS["tusl"].sources(tmp_path)
    side.write_bytes(b"\xff\xfe")
    with pytest.raises(StoreError, match=r"aaaaaaju_s005_t000\.tse_agg: cannot be read"):
        LAYOUTS["tusl"].sources(tmp_path)
    side.unlink()
    with pytest.raises(StoreError, match=r"aaaaaaju_s005_t000\.tse_agg: no such file, and it holds the labels"):
        LAYOUTS["tusl"].sources(tmp_path)
    (tmp_path / "none").mkdir()
    with pytest.raises(StoreError, match="no recordings of TUSL"):
        LAYOUTS["tusl"].sources(tmp_path / "none")


def test_the_labels_of_the_layouts_are_those_of_the_cards():
    from neurolm.corpora import tuab, tuev, tusl

    for module, labels in ((tuab, tuab.LABELS), (tuev, tuev.CLASSES), (tusl, tusl.LABELS)):
        assert sorted(labels.values()) == sorted(load_task(module.LAYOUT.task).labels)
    assert {name: LAYOUTS[name].counts["all"] for name in ("tuab", "tuev", "tusl")} == {
        "tuab": 409_455, "tuev": 112_491, "tusl": 245,
    }  # fmt: skip
