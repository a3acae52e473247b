"""Names of channels for a corpus: said once, passed over where a file lacks them, prepared again where changed."""

import json
import shutil
from pathlib import Path

import edfio
import numpy as np
import pytest

from neurolm.core.errors import ConfigError, StoreError
from neurolm.prepare import worker
from neurolm.prepare.plan import plan
from neurolm.prepare.prepare import prepare
from neurolm.recording.options import ReadingOptions
from neurolm.recording.recording import open_recording
from neurolm.store.store import QUARANTINE, Store

MAP = {"EEG": "C4", "EEG(sec)": "C3", "EEG2": "C3"}
"""As in SHHS, whose second channel has several names."""


def write(path: Path, *names: str, seed: int = 0) -> None:
    """Write twelve seconds of noise under names of channels as they are given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(0, 20, (len(names), 12 * 250))
    limits = {"physical_dimension": "uV", "physical_range": (-3276.8, 3276.7)}
    edfio.Edf([edfio.EdfSignal(one, 250, label=name, **limits) for one, name in zip(noise, names, strict=True)]).write(
        path
    )


@pytest.fixture
def corpus(tmp_path) -> Path:
    """Two recordings that need the map, one of them under another name, and one that does not."""
    root = tmp_path / "shhs"
    write(root / "a.edf", "EEG", "EEG(sec)", "ECG", seed=0)
    write(root / "b.edf", "EEG", "EEG2", "ECG", seed=1)
    write(root / "c.edf", "Fp1", "Cz", "ECG", seed=2)
    return root


def channels(out: Path) -> dict[str, tuple[str, ...]]:
    return {row.source: row.channels for row in Store(out).rows}


def opened(monkeypatch) -> list[str]:
    """The recordings that are read and filtered from now on."""
    names: list[str] = []
    real = worker.preprocess_blocks

    def noted(recording, **how):
        names.append(recording.path.name)
        return real(recording, **how)

    monkeypatch.setattr(worker, "preprocess_blocks", noted)
    return names


@pytest.mark.parametrize("way", ["argument", "corpus.json", "corpus.json beside a table"])
def test_names_are_said_once_for_a_corpus(corpus, tmp_path, way):
    reading = ReadingOptions(channels=MAP if way == "argument" else None)
    if way != "argument":
        (corpus / "corpus.json").write_text(json.dumps({"channels": MAP}))
    if way.endswith("table"):
        lines = "".join(f"{name}.edf,,,eyes,open,{name}\n" for name in "abc")
        (corpus / "labels.csv").write_text(f"file,start,stop,task,label,subject\n{lines}")
    assert prepare(corpus, tmp_path / "store", reading=reading, jobs=1).quarantined == 0
    assert channels(tmp_path / "store") == {"a.edf": ("C4", "C3"), "b.edf": ("C4", "C3"), "c.edf": ("FP1", "CZ")}
    expected = open_recording(corpus / "b.edf", reading=ReadingOptions(channels={"EEG": "C4", "EEG2": "C3"}))
    stored = Store(tmp_path / "store")
    (row,) = (row for row in stored.rows if row.source == "b.edf")
    assert row.notes == expected.notes[:1] + row.notes[1:]
    assert prepare(corpus, tmp_path / "store", reading=reading, jobs=1).skipped == 3


def test_without_a_map_they_are_quarantined_with_a_remedy_that_prepare_takes(corpus, tmp_path):
    report = prepare(corpus, tmp_path / "store", jobs=1)
    assert report.quarantined == 2
    reasons = [json.loads(line)["reason"] for line in (tmp_path / "store" / QUARANTINE).read_text().splitlines()]
    assert all("channels={'EEG': 'Fp1', …}" in reason for reason in reasons)


def test_a_changed_map_prepares_again_what_it_concerns_and_nothing_else(corpus, tmp_path, monkeypatch):
    out, about = tmp_path / "store", corpus / "corpus.json"
    prepare(corpus, out, jobs=1)  # c alone, without a map
    read = opened(monkeypatch)
    about.write_text(json.dumps({"channels": MAP}))
    assert prepare(corpus, out, jobs=1).skipped == 1
    assert sorted(read) == ["a.edf", "b.edf"]
    read.clear()
    about.write_text(json.dumps({"channels": MAP | {"EEG2": "F3"}}))
    assert prepare(corpus, out, jobs=1).skipped == 2
    assert read == ["b.edf"]
    assert channels(out) == {"a.edf": ("C4", "C3"), "b.edf": ("C4", "F3"), "c.edf": ("FP1", "CZ")}
    fresh = tmp_path / "fresh"
    prepare(corpus, fresh, jobs=1)
    assert (fresh / "manifest.jsonl").read_bytes() == (out / "manifest.jsonl").read_bytes()
    read.clear()
    assert prepare(corpus, out, jobs=1).skipped == 3 and read == []
    about.unlink()
    report = prepare(corpus, out, jobs=1)
    assert (report.recordings, report.quarantined, read) == (1, 2, [])


def test_another_map_may_be_given_and_is_remembered(corpus, tmp_path):
    out = tmp_path / "store"
    prepare(corpus, out, reading=ReadingOptions(channels=MAP), jobs=1)
    prepare(corpus, out, reading=ReadingOptions(channels=MAP | {"EEG": "O2"}), jobs=1)
    assert channels(out)["a.edf"] == ("O2", "C3")
    with pytest.raises(StoreError, match=r"prepared with channels=\{'EEG': 'O2', .*not None; prepare with"):
        prepare(corpus, out, jobs=1)


@pytest.mark.parametrize("known", [True, False])
def test_a_name_that_no_recording_has_is_said_before_the_work(corpus, tmp_path, monkeypatch, known):
    out = tmp_path / "store"
    if known:
        prepare(corpus, out, reading=ReadingOptions(channels=MAP), jobs=1)
    read = opened(monkeypatch)
    with pytest.raises(ConfigError, match=r"none of the 3 recordings has a channel EEG\(Sec\); one of them has .*EEG"):
        prepare(corpus, out, reading=ReadingOptions(channels=MAP | {"EEG(Sec)": "O1"}), jobs=1)
    assert read == []
    prepare(corpus, out, reading=ReadingOptions(channels=MAP), jobs=1)
    assert len(channels(out)) == 3


def test_what_cannot_be_meant_is_refused(corpus, tmp_path):
    out = tmp_path / "store"
    with pytest.raises(ConfigError, match=r"channels=\{'EEG': 'Q9', …\}: 'Q9' is no known electrode"):
        prepare(corpus, out, reading=ReadingOptions(channels={"EEG": "Q9"}), jobs=1)
    with pytest.raises(ConfigError, match=r"cap='biosemi': no such cap; MNE has .*biosemi32"):
        prepare(corpus, out, reading=ReadingOptions(cap="biosemi"), jobs=1)
    with pytest.raises(ConfigError, match=r"stream='Muse': there is no XDF file in .*shhs; leave it out"):
        prepare(corpus, out, reading=ReadingOptions(stream="Muse"), jobs=1)
    (corpus / "corpus.json").write_text('{"channels": {"EEG": "Q9"}}')
    with pytest.raises(ConfigError, match=r"corpus\.json: channels: 'Q9' is no known electrode"):
        prepare(corpus, out, jobs=1)


def test_electrodes_may_be_chosen_for_a_corpus(tmp_path):
    root = tmp_path / "clinic"
    write(root / "a.edf", "Fp1", "Cz", "O2", seed=0)
    write(root / "b.edf", "O2", "Cz", "C3", seed=1)
    prepare(root, tmp_path / "store", reading=ReadingOptions(channels=["Cz", "O2"]), jobs=1)
    assert set(channels(tmp_path / "store").values()) == {("CZ", "O2")}
    assert prepare(root, tmp_path / "store", reading=ReadingOptions(channels=["Cz", "O2"]), jobs=1).skipped == 2
    report = prepare(root, tmp_path / "store", reading=ReadingOptions(channels=["O2"]), jobs=1)
    assert (report.skipped, set(channels(tmp_path / "store").values())) == (0, {("O2",)})


def test_a_cap_for_a_corpus_is_that_of_mne(tmp_path):
    import mne

    root = tmp_path / "biosemi"
    write(root / "a.edf", *(f"A{number}" for number in range(1, 33)))
    (root / "corpus.json").write_text('{"cap": "biosemi32"}')
    prepare(root, tmp_path / "store", jobs=1)
    (found,) = channels(tmp_path / "store").values()
    assert list(found) == [name.upper() for name in mne.channels.make_standard_montage("biosemi32").ch_names]
    assert len(plan([root]).measured) == 1


def test_what_was_prepared_before_maps_goes_on(tmp_path, monkeypatch):
    root, out = tmp_path / "clinic", tmp_path / "store"
    write(root / "a.edf", "Fp1", "Cz")
    prepare(root, out, jobs=1)
    for file in (out / "settings.json", out / "sources" / "clinic.jsonl"):
        content = json.loads(file.read_text())
        for settings in (content["corpora"]["clinic"],) if "corpora" in content else (content["settings"],):
            for name in ("channels", "cap", "stream"):
                del settings[name]
        file.write_text(json.dumps(content) + "\n")
    read = opened(monkeypatch)
    assert prepare(root, out, jobs=1).skipped == 1 and read == []


@pytest.mark.parametrize("others", [False, True])
def test_labels_may_come_later(tmp_path, monkeypatch, others):
    root, out = tmp_path / "clinic", tmp_path / "store"
    for name in ("anna", "bea"):
        write(root / f"{name}.edf", "Fp1", "Cz", seed=len(name))
    prepare(root, out, jobs=1)
    lines = ["file,start,stop,task,label,subject", "anna.edf,0,6,eyes,open,a"]
    (root / "labels.csv").write_text("\n".join([*lines, *(["bea.edf,,,,,b"] if others else [])]) + "\n")
    read = opened(monkeypatch)
    report = prepare(root, out, jobs=1)
    assert read == [] and report.skipped == report.recordings == 1 + others
    assert next((row.subject, len(row.labels)) for row in Store(out).rows) == ("clinic/a", 1)
    taken_out = "no longer in the corpus 'clinic', taken out of the manifest: clinic/bea.edf"
    assert others or taken_out in report.notes
    shutil.rmtree(tmp_path / "fresh", ignore_errors=True)
    prepare(root, tmp_path / "fresh", jobs=1)
    assert (tmp_path / "fresh" / "manifest.jsonl").read_bytes() == (out / "manifest.jsonl").read_bytes()
    np.testing.assert_array_equal(Store(out).microvolts(0, 0, 400), Store(tmp_path / "fresh").microvolts(0, 0, 400))
    (root / "labels.csv").unlink()
    with pytest.raises(StoreError, match=r"prepared with corpus='table', not 'folder'"):
        prepare(root, out, jobs=1)
