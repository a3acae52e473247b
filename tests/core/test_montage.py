"""Electrode names as data sets write them, and positions."""

import itertools
import json
import math
from pathlib import Path

import mne
import pytest

from neurolm.core import montage

RESOLVED = {
    "Fp1": "FP1", "fpz": "FPZ", " Cz ": "CZ", "EEG Fp1": "FP1", "EEG FP1-REF": "FP1", "EEG T3-LE": "T3",
    "EEG Fp1-Ref": "FP1", "Fp1-AVG": "FP1", "FP1-LE": "FP1", "Fc5.": "FC5", "C3..": "C3", "Iz..": "IZ", "T10.": "T10",
    "EEG F4-M1": "F4", "C3-A2": "C3", "POL Fp1": "FP1", "EEGFz": "FZ", "EEG A1-REF": "A1", "M2": "M2", "T3": "T3",
    "T7": "T7", "TPP8H": "TPP8h", "ftt9h": "FTT9h", "FP1-F7": "FP1-F7", "Fp1 - F7": "FP1-F7", "T8-P8-1": "T8-P8",
    "EEG F1-Ref-0": "F1", "Fp1_REF": "FP1", "CB1": "CB1", "F7-T3": "F7-T7",
    "EEG T5-O1": "P7-O1", "T4-T6": "T8-P8", "EEG Fp1–Ref": "FP1",
    # against ears, mastoids, their mean, or another common reference: UCDDB, MASS, CHB-MIT, Nihon Kohden
    "C3A2": "C3", "O1M2": "O1", "C3/A2": "C3", "EEG C3 A2": "C3", "C3 (A2)": "C3", "Fp1-(A1+A2)/2": "FP1",
    "Fz-A1A2": "FZ", "EEG Fp1-CLE": "FP1", "EEG A2-CLE": "A2", "EEG C3-LER": "C3", "CP5-CS2": "CP5",
    "EEG Fp1-LinkedEars": "FP1", "EEG F3-Linked Ears": "F3", "EEG Fp1-Org": "FP1", "Fp1ref": "FP1", "Fp1 ref": "FP1",
    "F10A1": "F10", "EEG C3A2-0": "C3",
    # two names of one place, quotes, units, counters
    "T7/T3": "T7", "T3/T7": "T3", "T8 (T4)": "T8", "P7/T5": "P7", "'Cz'": "CZ", "Fp1 [µV]": "FP1", "Fp1 (uV)": "FP1",
    "Ch1: Fp1": "FP1",
    # letters of other alphabets
    "\u0421\u0033": "C3", "EEG \u041e1": "O1", "F\u04401": "FP1", "\u0422\u0033-\u04102": "T3",
    "\u042d\u042d\u0413 Fp1": "FP1", "\uff26p1": "FP1", "Fp1\u200b": "FP1", "C\u0396": "CZ",
}  # fmt: skip
KINDS = {
    "EEG A2-A1": "reference", "M1-M2": "reference", "ReRef": "reference", "ECG ECG": "ecg", "EEG EKG1-REF": "ecg",
    "EOG1": "eog", "HEOG": "eog", "EOG E1-M2": "eog", "E1-M2": "eog", "EEG ROC-REF": "eog", "EMG chin": "emg",
    "Status": "stimulus", "STI 014": "stimulus", "PHOTIC-REF": "stimulus", "TRIGGER": "stimulus",
    "TRG": "stimulus", "Trig_In": "stimulus", "EDF Trigger": "stimulus", "ExtTrig": "stimulus", "STI101": "stimulus",
    "Stim code": "stimulus", "TRIGGER CH 1": "stimulus", "MkIdx": "stimulus", "Trigo": "unknown", "Stimmung": "unknown",
    "Temperature": "other", "PULSE RATE": "other", "EEG RESP1-REF": "other", "DC1-DC": "other", "SpO2": "other",
    "EXG1": "other", "EEG PG1-REF": "other", "EDF Annotations": "other", "EEG 001": "eeg", "EEG 20-REF": "eeg",
    # sleep laboratories
    "H.R.": "other", "SaO2": "other", "Airflow": "other", "NEW AIR": "other", "OX stat": "other", "O2 stat": "other",
    "Thor res": "other", "ABDO RES": "other", "Snore": "other", "LIGHT": "other", "Position": "other",
    "BodyPos": "other",
    "Temp rectal": "other", "Sound": "other", "Sum": "other", "ribcage": "other", "DIF5": "other",
    "EEG1_Off": "other",
    "Lefteye": "eog", "ROC-LOC": "eog", "E1-E2": "eog", "E1M2": "eog", "RLEG": "emg", "Leg/L": "emg",
    "SX1-SX2": "emg",
    "Chin1-Chin2": "emg", "LChin": "emg", "Event marker": "stimulus", "C3 HR": "unknown", "LUE-RAE": "ecg",
    "Left Leg": "emg", "LEG(L)": "emg", "L-LEG": "emg", "Tib. L": "emg", "Sum RIPs": "other", "PositionSen": "other",
    "OxStatus": "other", "Effort THO": "other", "Nasal Pressure": "other", "cFlow": "other", "etCO2": "other",
    "EKG_Off": "ecg", "Trigger Event": "stimulus", "ROC-A1": "eog", "E1:M2": "eog", "EOG(R)-0": "eog",
    "Oximeter": "other", "THO": "other", "Movement": "other", "Hypnogram": "other", "NIBP": "other", "ICP": "other",
    # BioSemi's sensors
    "Plet": "other", "Erg1": "other", "Ana1": "other", "GSR1": "other", "EXG8": "other",
    # Nihon Kohden
    "POL E": "other", "POL $A1": "other", "POL X1": "other", "POL BP1": "other", "POL DC01": "other",
    "EEG BN1": "other",
    "EEG Mark1": "stimulus", "POL *Mark1": "stimulus", "Events/Markers": "stimulus", "EEG X1-REF": "eeg",
    "POL": "other", "EEG SpO2": "other",
    # Emotiv, Muse
    "EEG.Counter": "other", "EEG.RawCq": "other", "EEG.MarkerHardware": "stimulus", "EEG.Interpolated": "other",
    "CQ_AF3": "other", "CQ.T7": "other", "EQ.AF3": "other", "RAW_CQ": "other", "POW.AF3.Theta": "other",
    "INTERPOLATED": "other", "Interpolate": "other", "TIME_STAMP_ms": "other", "LSL.Timestamp": "other",
    "OriginalTimestamp": "other", "MARKER_HARDWARE": "stimulus", "HardwareMarker": "stimulus", "GYROX": "other",
    "MarkerIndex": "stimulus", "Right AUX": "other", "AUX_RIGHT": "other", "MOT.Q0": "other",
    "CHAN_CMS": "reference", "HeadBandOn": "other", "Optics1": "other", "Nasion": "reference",
    # placeholders
    "-": "other", "--1": "other", ".": "other", "": "unknown",
    # differences of scalp electrodes are none of them; nor is what only looks like one
    "EEG Fpz-O1": "eeg", "F3-F4": "unknown", "C3C4": "unknown", "C3/C4": "unknown", "C3 (C4)": "unknown",
    "T7-T3": "unknown", "T3/C3": "unknown", "EEG C3P-REF": "eeg", "CZ2-A1": "unknown", "FZ'": "unknown",
    "01-Fp1": "unknown", "A2-C3": "unknown", "M1/A1": "reference", "A1+A2": "reference", "m3": "unknown",
    "\u0442\u0033": "unknown",
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
    names |= {"C3A2": "A2", "EEG C3-CLE": "CLE", "Fp1-(A1+A2)/2": "A1+A2", "Fz-Cz": None, "Fp1 [uV]": None}
    assert {name: montage.reference(name) for name in names} == names


def test_pairs_of_electrodes_are_told_whether_the_official_list_has_them_or_not() -> None:
    names = {
        "FZ-CZ": ("FZ", "CZ"),
        "EEG Fp1-F7": ("FP1", "F7"),
        "P7-T7-1": ("P7", "T7"),
        "Cz": None,
        "C3-A2": None,
    }
    assert {name: montage.pair(name) for name in names} == names
    assert montage.pair("C3-XX") is None and montage.pair("CQ-AF3") is None


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
        assert montage.kind(name) == "eeg"


def test_an_electrode_is_found_from_its_reference_and_never_from_another_electrode() -> None:
    single = [name for name in montage.ELECTRODES if "-" not in name]
    official = {name.upper(): name for name in montage.ELECTRODES} | montage.ALIASES
    ears = {"A1", "A2", "M1", "M2"}
    for one, other, sign in itertools.product(single, single, ("-", "_", "/", " ", "")):
        expected = official.get(f"{one}{'-' if sign == '_' else sign}{other}".upper())
        against_an_ear = other in ears and one not in ears
        same_place = montage.SAME_PLACE.get(one, one) == montage.SAME_PLACE.get(other, other)
        if expected is None and (against_an_ear or (sign == "/" and same_place)):
            expected = one
        assert montage.resolve(f"{one}{sign}{other}") == expected, f"{one}{sign}{other}"


def test_names_of_mne_are_eeg_and_the_same_electrode_against_any_reference() -> None:
    for cap in mne.channels.get_builtin_montages():
        for name in mne.channels.make_standard_montage(cap).ch_names:
            electrode = montage.resolve(name)
            if name == "Ref" or electrode in ("A1", "A2", "M1", "M2"):
                continue
            for written in (name, f"EEG {name}-REF", f"{name}-CLE", f"{name}/A1", f"{name}M2", f"{name} [uV]"):
                assert montage.resolve(written) == electrode, (cap, written)
                at_the_eye = name in ("E1", "E2") and written != name and "REF" not in written and written[-1] in "12"
                assert montage.kind(written) in (("eog",) if at_the_eye else ("eeg", "unknown")), (cap, written)


def test_two_names_of_one_place_are_there_in_mne_too() -> None:
    placed = mne.channels.make_standard_montage("colin27_1005").get_positions()["ch_pos"]
    for old, new in montage.SAME_PLACE.items():
        assert list(placed[old]) == list(placed[new])
        assert (montage.resolve(f"{old}/{new}"), montage.resolve(f"{new} ({old})")) == (old, new)


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
