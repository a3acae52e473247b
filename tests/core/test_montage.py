"""Electrode names as data sets write them, and positions."""

import json
import math
from pathlib import Path

import pytest

from neurolm.core import montage

RESOLVED = {
    "Fp1": "FP1", "fpz": "FPZ", " Cz ": "CZ", "EEG Fp1": "FP1", "EEG FP1-REF": "FP1", "EEG T3-LE": "T3",
    "EEG Fp1-Ref": "FP1", "Fp1-AVG": "FP1", "FP1-LE": "FP1", "Fc5.": "FC5", "C3..": "C3", "Iz..": "IZ", "T10.": "T10",
    "EEG F4-M1": "F4", "C3-A2": "C3", "POL Fp1": "FP1", "EEGFz": "FZ", "EEG A1-REF": "A1", "M2": "M2", "T3": "T3",
    "T7": "T7", "TPP8H": "TPP8h", "ftt9h": "FTT9h", "FP1-F7": "FP1-F7", "Fp1 - F7": "FP1-F7", "T8-P8-1": "T8-P8",
    "EEG F1-Ref-0": "F1", "Fp1_REF": "FP1", "CB1": "CB1", "F7-T3": "F7-T7",
    "EEG T5-O1": "P7-O1", "T4-T6": "T8-P8", "EEG Fp1–Ref": "FP1",
}  # fmt: skip
KINDS = {
    "EEG A2-A1": "reference", "M1-M2": "reference", "ReRef": "reference", "ECG ECG": "ecg", "EEG EKG1-REF": "ecg",
    "EOG1": "eog", "HEOG": "eog", "EOG E1-M2": "eog", "E1-M2": "eog", "EEG ROC-REF": "eog", "EMG chin": "emg",
    "Status": "stimulus", "STI 014": "stimulus", "PHOTIC-REF": "stimulus", "TRIGGER": "stimulus",
    "Temperature": "other", "PULSE RATE": "other", "EEG RESP1-REF": "other", "DC1-DC": "other", "SpO2": "other",
    "EXG1": "other", "EEG PG1-REF": "other", "EDF Annotations": "other", "EEG 001": "eeg", "EEG 20-REF": "eeg",
    "B7": "unknown", "T3-C3": "unknown", "E12": "unknown", "ch1": "unknown", "Fpz-Cz": "unknown", "pad": "unknown",
}  # fmt: skip


@pytest.mark.parametrize(("name", "electrode"), RESOLVED.items())
def test_names_of_electrodes_resolve(name: str, electrode: str) -> None:
    assert montage.resolve(name) == electrode
    assert montage.kind(name) == "eeg"


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_other_names_are_no_electrode_and_are_recognised(name: str, kind: str) -> None:
    assert montage.resolve(name) is None
    assert montage.kind(name) == kind
    assert kind in montage.KINDS


def test_stated_references() -> None:
    names = {"C4-M1": "M1", "EEG Fp1-REF": "REF", "EEG T3-LE": "LE", "Cz": None, "FP1-F7": None, "EEG F1-Ref-0": "REF"}
    assert {name: montage.reference(name) for name in names} == names


def test_the_montage_of_tuh_and_its_official_names() -> None:
    named = {pair: montage.resolve("-".join(pair)) for pair in montage.TCP}
    assert len(named) == 22
    bipolar = [name for name in montage.ELECTRODES if "-" in name]
    assert sorted(name for name in named.values() if name in bipolar) == sorted(bipolar)
    # What has no name in the official list is the central chain; T4-A2 is T4 against the ear.
    assert [pair for pair, name in named.items() if name not in bipolar] == list(montage.TCP[8:14])


def test_every_official_name_resolves_to_itself_in_any_case() -> None:
    for name in montage.ELECTRODES:
        assert montage.resolve(name) == montage.resolve(name.lower()) == montage.resolve(f"EEG {name}-REF") == name


def test_ids_are_those_of_the_official_list(shared: Path) -> None:
    official = json.loads((shared / "official" / "channels.json").read_text())
    assert list(montage.NAMES) == official["names"]


def test_positions_are_metres_in_head_coordinates() -> None:
    positions = montage.template_positions()
    assert set(positions) <= set(montage.ELECTRODES)
    assert len(positions) > 100
    right, front, top = positions["T8"], positions["FPZ"], positions["CZ"]
    assert right[0] > 0.07 and front[1] > 0.07 and top[2] > 0.1
    assert all(0.05 < math.hypot(*place) < 0.2 for place in positions.values())
    assert positions["T3"] == positions["T7"]
    assert abs(positions["C3"][0] + positions["C4"][0]) < 0.01
