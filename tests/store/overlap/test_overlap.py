import json
import shutil
from pathlib import Path

import mne
import numpy as np
import pytest

from neurolm.core.errors import ConfigError, StoreError
from neurolm.prepare.prepare import prepare
from neurolm.recording.options import ReadingOptions
from neurolm.store.overlap import overlap as module
from neurolm.store.overlap.overlap import Exclusion, overlap, read_exclusions, write_exclusions
from neurolm.store.store import Store

ELECTRODES = ("Fp1", "F3", "C3", "P3", "O1", "Cz")
CUT = 37.0


def eeg(seed: int, seconds: float = 150) -> np.ndarray:
    """Noise with the spectrum of EEG, mixed over channels: (channels, samples) in µV at 250 Hz."""
    rng = np.random.default_rng(seed)
    samples = round(seconds * 250)
    spectrum = np.fft.rfft(rng.standard_normal((len(ELECTRODES), samples)), axis=1)
    spectrum /= np.sqrt(np.maximum(np.fft.rfftfreq(samples, 1 / 250), 0.1))
    signal = np.fft.irfft(spectrum, samples, axis=1)
    return 15 * (signal + 0.5 * signal.mean(axis=0)) / signal.std()


def write_fif(path: Path, signal: np.ndarray, names=ELECTRODES) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = mne.io.RawArray(signal * 1e-6, mne.create_info(list(names), 250, "eeg"), verbose="error")
    raw.save(path, verbose="error")


def write_brainvision(path: Path, signal: np.ndarray, names=ELECTRODES) -> None:
    """Write int16 of 0.5 µV, told in mV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.rint(signal.T / 0.5).astype("<i2").tofile(path.with_suffix(".eeg"))
    channels = "\n".join(f"Ch{n}={name},,0.0005,mV" for n, name in enumerate(names, start=1))
    path.write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n\n[Common Infos]\nCodepage=UTF-8\n"
        f"DataFile={path.with_suffix('.eeg').name}\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\n"
        f"NumberOfChannels={len(names)}\nSamplingInterval=4000\n\n[Binary Infos]\nBinaryFormat=INT_16\n\n"
        f"[Channel Infos]\n{channels}\n"
    )


def prepared(folder: Path) -> Path:
    out = folder.with_name(f"{folder.name}-store")
    prepare(folder, out, corpus="folder", jobs=1, reading=ReadingOptions(mains=50))
    return out


@pytest.fixture(scope="module")
def stores(tmp_path_factory) -> tuple[Path, Path]:
    """A pretraining store and a downstream one, with three planted copies and one subject in both."""
    root = tmp_path_factory.mktemp("overlap")
    tueg, tuab = root / "tueg", root / "tuab"
    for number, subject in enumerate(("aaaaaaaa", "aaaaaaab", "aaaaaaac", "aaaaaaad")):
        write_fif(tuab / subject / f"{subject}_raw.fif", eeg(number))
    reverse = slice(None, None, -1)
    # Two of the first person's, under another id: one copy in another format, unit and order, cut; and another one.
    write_brainvision(tueg / "anonymous" / "x.vhdr", eeg(0)[reverse, round(CUT * 250) + 1 :], ELECTRODES[reverse])
    write_fif(tueg / "anonymous" / "y_raw.fif", eeg(100))
    # An average reference changes every channel.
    write_fif(tueg / "rereferenced" / "z_raw.fif", eeg(1) - eeg(1).mean(axis=0))
    # Another recording of somebody with the same id, in the same family of corpora.
    write_fif(tueg / "aaaaaaac" / "other_raw.fif", eeg(101))
    # A piece of the fourth person's within a longer recording.
    write_fif(tueg / "within" / "w_raw.fif", np.concatenate([eeg(102, 61.3), eeg(3)[:, 5000:25000]], axis=1))
    write_fif(tueg / "clean" / "clean_raw.fif", eeg(103))
    return prepared(tueg), prepared(tuab)


def test_planted_copies_are_found_and_nothing_else(stores):
    pretraining, downstream = stores
    found = overlap(pretraining, [downstream], jobs=1)
    pairs = {(copy.subject, copy.other_subject): copy for copy in found.shared}
    assert set(pairs) == {
        ("tueg/anonymous", "tuab/aaaaaaaa"),
        ("tueg/rereferenced", "tuab/aaaaaaab"),
        ("tueg/within", "tuab/aaaaaaad"),
    }
    cut = pairs["tueg/anonymous", "tuab/aaaaaaaa"]
    assert cut.recording == "tueg/anonymous/x.vhdr"
    assert cut.shift == pytest.approx(CUT, abs=0.02)
    assert cut.correlation > 0.99
    assert CUT <= cut.start < cut.stop <= 150
    within = pairs["tueg/within", "tuab/aaaaaaad"]
    assert within.shift == pytest.approx(20 - 61.3, abs=0.02)
    assert 20 <= within.start < within.stop <= 100
    (person,) = found.people
    assert (person.subject, person.other, person.recordings) == ("tueg/aaaaaaac", "tuab/aaaaaaac", 1)
    reasons = {exclusion.recording: exclusion.reason.split(":")[0] for exclusion in found.exclusions}
    assert reasons == {
        "tueg/aaaaaaac/other_raw.fif": "subject",
        "tueg/anonymous/x.vhdr": "content",
        "tueg/anonymous/y_raw.fif": "subject of a shared recording",
        "tueg/rereferenced/z_raw.fif": "content",
        "tueg/within/w_raw.fif": "content",
    }
    content = {row.recording: row.sha256 for row in Store(pretraining).rows}
    assert all(content[exclusion.recording] == exclusion.content for exclusion in found.exclusions)
    assert not found.none
    assert (found.recordings, found.others) == (6, 4)


def test_workers_find_the_same(stores, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_RECORDINGS", 1)
    pretraining, downstream = stores
    calls = []
    found = overlap(pretraining, [downstream], jobs=2, progress=lambda *done: calls.append(done))
    assert found == overlap(pretraining, [downstream], jobs=1)
    assert calls[-1] == (10, 10)


def test_an_identical_recording_is_found_both_ways(stores):
    pretraining, downstream = stores
    back = overlap(downstream, [pretraining], jobs=1)
    assert {(copy.subject, copy.other_subject) for copy in back.shared} == {
        ("tuab/aaaaaaaa", "tueg/anonymous"),
        ("tuab/aaaaaaab", "tueg/rereferenced"),
        ("tuab/aaaaaaad", "tueg/within"),
    }


def test_the_same_id_in_unrelated_corpora_is_only_noted(tmp_path):
    for corpus, seed in (("lab", 1), ("clinic", 2)):
        write_fif(tmp_path / corpus / "S001" / "a_raw.fif", eeg(seed, 70))
    found = overlap(prepared(tmp_path / "lab"), [prepared(tmp_path / "clinic")], jobs=1)
    assert found.none
    assert any("1 subjects have an id that another corpus uses too" in note for note in found.notes)


def test_calibration_signals_that_all_recordings_share_are_no_copy(tmp_path):
    pattern = np.tile(eeg(50, 1.6), 4)  # repeated, and the same in all
    for corpus, seeds in (("lab", (1, 2)), ("clinic", (1, 3))):
        for seed in seeds:
            signal = np.concatenate([pattern, eeg(seed, 60)], axis=1)
            write_fif(tmp_path / corpus / f"{corpus}{seed}" / "a_raw.fif", signal)
    found = overlap(prepared(tmp_path / "lab"), [prepared(tmp_path / "clinic")], jobs=1, every=10)
    assert [(copy.subject, copy.other_subject) for copy in found.shared] == [("lab/lab1", "clinic/clinic1")]


def test_a_real_recording_is_found_in_another_format(tmp_path, shared):
    rest, arithmetic = (shared / "eeg" / "eegmat" / f"Subject00_{n}.edf" for n in (1, 2))
    for name, file in (("downstream", rest), ("pretraining", arithmetic)):
        (tmp_path / name).mkdir()
        shutil.copy(file, tmp_path / name)
    raw = mne.io.read_raw_edf(rest, verbose="error").pick(["EEG Fp1", "EEG O2", "EEG Cz", "EEG F3"]).load_data()
    names = [name.removeprefix("EEG ") for name in raw.ch_names]
    signal = raw.crop(CUT).resample(256, verbose="error").get_data() * 1e6
    again = mne.io.RawArray(signal[::-1] * 1e-6, mne.create_info(names[::-1], 256, "eeg"), verbose="error")
    again.save(tmp_path / "pretraining" / "p-17_raw.fif", verbose="error")
    found = overlap(prepared(tmp_path / "pretraining"), [prepared(tmp_path / "downstream")], jobs=1)
    (copy,) = found.shared
    assert (copy.recording, copy.other) == ("pretraining/p-17_raw.fif", "downstream/Subject00_1.edf")
    assert copy.shift == pytest.approx(CUT, abs=0.02)
    assert copy.correlation > 0.98
    assert [exclusion.recording for exclusion in found.exclusions] == ["pretraining/p-17_raw.fif"]


def test_exclusions_are_written_and_read(tmp_path):
    lists = (Exclusion("a/b.edf", "a/ö", "0" * 64, "content: x"), Exclusion("c/d.edf", "c/d", "1" * 64, "subject: y"))
    write_exclusions(tmp_path / "list.jsonl", lists)
    assert read_exclusions(tmp_path / "list.jsonl") == lists
    first = json.loads((tmp_path / "list.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert set(first) == {"recording", "subject", "content", "reason"}
    write_exclusions(tmp_path / "empty.jsonl", ())
    assert read_exclusions(tmp_path / "empty.jsonl") == ()


@pytest.mark.parametrize("text", ["{", '{"recording": "a"}', "a/b.edf", '{"recording": 1}'])
def test_a_wrong_list_names_its_line(tmp_path, text):
    file = tmp_path / "list.jsonl"
    good = Exclusion("a", "b", "c", "d")
    write_exclusions(file, (good,))
    file.write_text(file.read_text() + text + "\n")
    with pytest.raises(ConfigError, match=r"list\.jsonl, line 2"):
        read_exclusions(file)


def test_what_a_store_has_twice_is_found(tmp_path):
    """Near copies too; of one person they are told, of two one is to be left out, and then nothing is found."""
    noisy = eeg(0) + np.random.default_rng(9).normal(0, 0.5, eeg(0).shape)
    signals = {"anna/a": eeg(0), "bea/b": eeg(1), "carl/c": noisy, "dora/d": eeg(2), "dora/e": eeg(2)[:, 2500:]}
    for name, signal in signals.items():
        write_fif(tmp_path / "lab" / f"{name}_raw.fif", signal)
    store = prepared(tmp_path / "lab")
    assert len({row.sha256 for row in Store(store).rows}) == 5
    found = overlap(store, jobs=1)
    assert [(copy.subject, copy.other_subject) for copy in found.shared] == [
        ("lab/carl", "lab/anna"), ("lab/dora", "lab/dora")
    ]  # fmt: skip
    assert found.shared[1].shift == pytest.approx(-10, abs=0.1) or found.shared[1].shift == pytest.approx(10, abs=0.1)
    (copy,) = found.exclusions
    assert (copy.recording, copy.reason) == ("lab/carl/c_raw.fif", "content: lab/anna/a_raw.fif, subject lab/anna")
    write_exclusions(tmp_path / "copies.jsonl", found.exclusions)
    prepare(tmp_path / "lab", tmp_path / "clean", corpus="folder", jobs=1, exclude=tmp_path / "copies.jsonl")
    assert overlap(tmp_path / "clean", jobs=1).none


def test_wrong_arguments_are_refused(stores, tmp_path):
    pretraining, downstream = stores
    with pytest.raises(ConfigError, match="the same store"):
        overlap(pretraining, [pretraining])
    with pytest.raises(ConfigError, match="states no splits"):
        overlap(pretraining, [downstream], split="test")
    with pytest.raises(ConfigError, match="every must be"):
        overlap(pretraining, [downstream], every=0)
    with pytest.raises(StoreError, match="no such store"):
        overlap(pretraining, [tmp_path / "none"])
    with pytest.raises(ConfigError, match=r"none\.jsonl"):
        read_exclusions(tmp_path / "none.jsonl")
