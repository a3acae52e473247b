"""Cases of channel names from public reports: what `expected.txt` says is right, and MNE's numbers and positions."""

import json
import shutil
from pathlib import Path

import mne
import numpy as np
import pytest

from neurolm.cli import main
from neurolm.recording.options import ReadingOptions
from neurolm.recording.recording import Recording, open_recording
from neurolm.store.store import Store

TEN_TWENTY = "FP1 FP2 F7 F3 FZ F4 F8 T3 C3 CZ C4 T4 T5 P3 PZ P4 T6 O1 O2"
BIPOLAR = "FP1-F7 F7-T7 T7-P7 P7-O1 FP1-F3 F3-C3 C3-P3 P3-O1 FP2-F4 F4-C4 C4-P4 P4-O2 FP2-F8 F8-T8 T8-P8 P8-O2"
EXPECTED = {
    "chbmit_dummies/chb12_like.edf": BIPOLAR,
    "chbmit_dummies/chb_dots.edf": BIPOLAR,
    "chbmit_dummies/chb12_27_like.edf": "C2 C3 C4 C6 CP1 CP2 CP5 CP6 CZ F3 F4 F7 F8 FP1 FP2 FZ",
    "cyrillic/utf8.edf": "FP1 C3 C4 O1 O2 T3",
    "cyrillic/cp1251.edf": "FP1 C3 C4 O1 O2 T3",
    "emotiv/epoc.edf": "AF3 F7 F3 FC5 T7 P7 O1 O2 P8 T8 FC6 F4 F8 AF4",
    "nihon_kohden/nk.edf": f"{TEN_TWENTY} A1 A2",
    "psg_names/cap.edf": "FP2-F4 F4-C4 C4-P4 P4-O2 F8-T8 C4",
    "psg_names/mass_ss1.edf": "C3 C4 O1 O2",
    "psg_names/mass_ss3.edf": "FP1 FP2 F7 F3 FZ F4 F8 T3 C3 CZ C4 T4 A2",
    "psg_names/ucddb.edf": "C3 C4",
    "xdf_streams/emotiv_lsl.xdf": "AF3 T7 PZ T8 AF4",
}
"""Electrodes that a file gives without being told anything."""


def same_as_mne(recording: Recording, file: Path) -> None:
    """Every sample, channel by channel, as MNE reads it by its place in the file."""
    raw = mne.io.read_raw(file, encoding="latin1", verbose="error")
    names = [row.channel for row in recording.coverage]
    picks = [next(i for i, row in enumerate(recording.coverage) if row.electrode == e) for e in recording.channels]
    assert len(names) == len(raw.ch_names)
    np.testing.assert_allclose(recording.read(), raw.get_data(picks) * 1e6, atol=1e-6)


@pytest.mark.parametrize("name", EXPECTED)
def test_electrodes_come_of_themselves(shared, name):
    file = shared / "cases" / name
    recording = open_recording(file)
    assert " ".join(recording.channels) == EXPECTED[name]
    if file.suffix == ".edf" and len({row.rate for row in recording.coverage}) == 1:
        same_as_mne(recording, file)


def test_cyrillic_letters_are_shown_as_they_are(shared):
    for name in ("cyrillic/utf8.edf", "cyrillic/cp1251.edf"):
        coverage = open_recording(shared / "cases" / name).coverage
        assert [row.channel for row in coverage][1:4] == ["EEG \u04213", "EEG \u04214", "EEG \u041e1"]


def test_what_lies_beside_the_electrodes_is_known(shared):
    for name in ("emotiv/epoc.edf", "nihon_kohden/nk.edf", "psg_names/shhs.edf", "psg_names/cap.edf"):
        reading = ReadingOptions(channels={"EEG": "C4", "EEG(sec)": "C3"} if "shhs" in name else None)
        recording = open_recording(shared / "cases" / name, reading=reading)
        left = [row for row in recording.coverage if row.electrode is None]
        assert left and not [row for row in left if row.kind in ("eeg", "unknown")], name


def test_inspect_judges_the_rate_of_the_eeg_alone_and_gives_a_remedy_that_works(shared, capsys):
    file = str(shared / "cases" / "psg_names" / "shhs.edf")
    assert main(["inspect", file, "--json"]) == 2
    (found,) = json.loads(capsys.readouterr().out)
    assert found["rate"] == 125
    (problem,) = found["problems"]
    assert "EEG, EEG(sec)" in problem and "--channels 'EEG=Fp1," in problem
    assert main(["inspect", file, "--channels", "EEG=C4,EEG(sec)=C3", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["electrodes"] == ["C4", "C3"]


def test_inspect_takes_a_map_for_many_recordings(shared, capsys):
    files = [str(shared / "cases" / "psg_names" / f"{name}.edf") for name in ("shhs", "ucddb")]
    assert main(["inspect", *files, "--brief", "--channels", "EEG=C4,EEG(sec)=C3,EEG2=C3", "--json"]) == 0
    assert [found["electrodes"] for found in json.loads(capsys.readouterr().out)] == [["C4", "C3"], ["C3", "C4"]]
    assert main(["inspect", files[0], "--channels", "EEG=C4,EEG2=C3"]) == 2  # of one recording it must be true
    assert "there is no EEG2; found: EEG, EEG(sec)," in capsys.readouterr().out


def test_a_corpus_says_once_what_its_names_mean(shared, tmp_path, capsys):
    shutil.copytree(shared / "cases" / "psg_names", tmp_path / "psg")
    out = str(tmp_path / "store")
    assert main(["prepare", str(tmp_path / "psg"), "--out", out, "--channels", "EEG=C4,EEG(sec)=C3"]) == 0
    found = {row.source: row.channels for row in Store(out).rows}
    assert found["shhs.edf"] == ("C4", "C3") and found["ucddb.edf"] == ("C3", "C4") and len(found) == 5
    assert "could not be read" in capsys.readouterr().out  # Sleep-EDF's differences of electrodes


def test_what_corpus_json_says_holds_for_inspect_too(shared, tmp_path, capsys):
    root = tmp_path / "psg"
    root.mkdir()
    for name in ("shhs", "ucddb"):
        shutil.copy(shared / "cases" / "psg_names" / f"{name}.edf", root)
    assert main(["inspect", str(root), "--brief"]) == 2
    (root / "corpus.json").write_text('{"channels": {"EEG": "C4", "EEG(sec)": "C3", "EEG2": "C3"}, "mains": 60}')
    capsys.readouterr()
    assert main(["inspect", str(root), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["electrodes"], one["mains"]) for one in found] == [(["C4", "C3"], 60), (["C3", "C4"], 60)]
    assert main(["inspect", str(root), "--json", "--channels", "EEG(sec)=O1", "--mains", "50"]) == 0  # goes first
    found = json.loads(capsys.readouterr().out)
    assert [(one["electrodes"], one["mains"]) for one in found] == [(["O1"], 50), (["C3", "C4"], 50)]
    assert main(["tasks", "table", str(root)]) == 0
    (root / "corpus.json").write_text('{"chanels": {}}')
    assert main(["inspect", str(root)]) == 2
    assert "unknown field chanels, did you mean channels" in capsys.readouterr().err


def test_contacts_of_a_cap_are_the_electrodes_of_its_template(shared, tmp_path, capsys):
    (tmp_path / "corpus").mkdir()
    file = shutil.copy(shared / "cases" / "bdf_status" / "biosemi_A.bdf", tmp_path / "corpus")
    assert main(["prepare", str(tmp_path / "corpus"), "--out", str(tmp_path / "store")]) == 2
    assert "--cap biosemi32" in capsys.readouterr().err
    assert main(["prepare", str(tmp_path / "corpus"), "--out", str(tmp_path / "store"), "--cap", "biosemi32"]) == 0
    (row,) = Store(tmp_path / "store").rows
    assert list(row.channels) == [name.upper() for name in mne.channels.make_standard_montage("biosemi32").ch_names]
    nearest = open_recording(file, reading=ReadingOptions(unknown="nearest"))
    assert nearest.channels == row.channels


def test_labels_may_be_added_to_a_folder_that_was_prepared_without(shared, tmp_path, capsys):
    root, out = tmp_path / "mental", str(tmp_path / "store")
    shutil.copytree(shared / "cases" / "late_labels", root)
    table = (root / "labels.csv").rename(tmp_path / "labels.csv")
    assert main(["prepare", str(root), "--out", out]) == 0
    before = Store(out).rows[0].sha256
    shutil.copy(table, root)
    assert main(["prepare", str(root), "--out", out]) == 0
    assert "1 were there already" in capsys.readouterr().out
    (row,) = Store(out).rows
    assert row.sha256 == before and [(label.task, label.label) for label in row.labels] == [("mental", "neutral")]


def test_a_difference_of_electrodes_is_none_of_them_unless_somebody_says_so(shared, capsys):
    file = str(shared / "cases" / "psg_names" / "sleepedf.edf")
    assert main(["inspect", file]) == 2
    assert "say what they are to stand for with --channels 'EEG Fpz-Cz=FPZ,…'" in capsys.readouterr().out
    recording = open_recording(file, reading=ReadingOptions(channels={"EEG Fpz-Cz": "Fpz"}))
    assert recording.channels == ("FPZ",)


def test_events_need_no_electrodes_and_take_names_as_preparing_does(shared, capsys):
    file = str(shared / "cases" / "bdf_status" / "biosemi_A.bdf")
    for how in ([], ["--cap", "biosemi32"], ["--channels", "A1=Fp1,A2=AF3,B1=Cz"]):
        assert main(["tasks", "table", file, *how]) == 0
        assert capsys.readouterr().out.split()[:2] == ["1", "1"]
    assert main(["tasks", "table", str(shared / "cases" / "xdf_streams" / "type_ExG.xdf"), "--stream", "Muse"]) == 0
    assert main(["tasks", "table", str(shared / "cases" / "xdf_streams" / "type_ExG.xdf"), "--stream", "EEG"]) == 2
    assert "there is none; streams found: 0 Muse (ExG)" in capsys.readouterr().err
