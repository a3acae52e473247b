"""A recording with a gap, from its file to windows: stored without the gap, labelled in its own time."""

from pathlib import Path

import edfio
import numpy as np

from neurolm.batches.windows import labelled_windows, second_of, unlabelled_windows
from neurolm.prepare.prepare import prepare
from neurolm.recording.preprocess import preprocess
from neurolm.recording.recording import open_recording
from neurolm.store.info import store_info
from neurolm.store.store import MANIFEST, Store

RATE = 250


def interrupted(path: Path) -> None:
    """Write 24 s of EEG; after the first 10 a minute is missing."""
    noise = np.random.default_rng(0).normal(0, 20, (2, 24 * RATE))
    signals = [
        edfio.EdfSignal(one, RATE, label=name, physical_dimension="uV")
        for name, one in zip(("Fp1", "Cz"), noise, strict=True)
    ]
    edfio.Edf(signals, annotations=[edfio.EdfAnnotation(0, None, "x")]).write(path)
    content = path.read_bytes()
    for second in range(10, 24):
        assert content.count(b"+%d\x14\x14" % second) == 1
        content = content.replace(b"+%d\x14\x14" % second, b"+%d\x14\x14" % (second + 60))
    path.write_bytes(content)


def test_a_recording_with_a_gap_becomes_stretches_of_a_store(tmp_path: Path) -> None:
    folder, out = tmp_path / "clinic", tmp_path / "store"
    folder.mkdir()
    interrupted(folder / "a.edf")
    (folder / "labels.csv").write_text(
        "file,start,stop,task,label,subject\na.edf,2,75,t,one,s1\na.edf,75,84,t,two,s1\n"
    )
    (folder / "corpus.json").write_text('{"mains": 50}')
    report = prepare(folder, out, jobs=1)
    store = Store(out)
    store.verify()
    (row,) = store.rows
    assert (report.hours, row.samples) == (24 / 3600, 24 * 200)
    whole = preprocess(open_recording(folder / "a.edf"), mains=50.0)
    np.testing.assert_allclose(store.microvolts(0, 0, row.samples), whole.signal, atol=0.0501)
    windows = labelled_windows(store, task="t", seconds=4, stride=4)
    found = [(second_of(row, window.start), window.label) for window in windows]
    assert found == [(2.0, "one"), (6.0, "one"), (70.0, "one"), (75.0, "two"), (79.0, "two")]
    lengths = [
        (window.start // 200, window.seconds) for window in unlabelled_windows(store, max_patches=16, max_seconds=8)
    ]
    assert lengths == [(0, 8), (10, 8), (18, 6)]
    hours = {label.label: round(label.hours * 3600) for label in store_info(out).labels}
    assert hours == {"one": 13, "two": 9}  # of what is there
    before = (out / MANIFEST).read_bytes()
    prepare(folder, out, jobs=1)
    assert (out / MANIFEST).read_bytes() == before
