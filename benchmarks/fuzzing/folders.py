"""The smallest corpora and stores with side files: file name → bytes."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from fuzzing.recordings import NAMES, Files, edf, written


def table() -> Files:
    """Two recordings with a table of labels and what the owner says of them."""
    (recording,) = edf().values()
    lines = ["file,start,stop,task,label,subject,split"]
    lines += ["a.edf,0,2,eyes,open,anna,train", "a.edf,2,4,eyes,closed,anna,train", 'b.edf,,,eyes,"open",bea,test']
    about = {"name": "mine", "licence": "CC0", "citation": "none", "mains": 50, "task": "eyes"}
    return {
        "labels.csv": ("\n".join(lines) + "\n").encode(),
        "corpus.json": json.dumps(about).encode(),
        "a.edf": recording,
        "b.edf": recording,
    }


def tuev() -> Files:
    """TUEV: lines of channel, start, stop, class."""
    files: Files = {}
    for name in ("train/aaaaaaar/aaaaaaar_00000001", "eval/000/bckg_000_a_"):
        files[f"edf/{name}.rec"] = b"0,1.0,2.0,6\n5,10.5,11.5,1\n5,30,31,4\n"
        files[f"edf/{name}.edf"] = b""
    return files


def tusl() -> Files:
    """TUSL: a version, and lines of start, stop, label, probability."""
    name = "edf/aaaaaaju/s005_2010/01_tcp_ar/aaaaaaju_s005_t000"
    lines = "version = tse_v1.0.0\n\n100.0000 110.0000 slow 1.0000\n200.1 210.1 bckg 1.0\n292.0 302.0 seiz 1.0\n"
    return {f"{name}.tse_agg": lines.encode(), f"{name}.edf": b""}


def hmc() -> Files:
    """HMC: a table of stages, or EDF+ annotations."""
    lines = ["Date, Time, Recording onset, Duration, Annotation, Linked channel"]
    for number, stage in enumerate(("W", "N1", "N2", "N3", "R", "W")):
        lines.append(f"01.01.01, 23.{number // 2:02}.{30 * (number % 2):02}, {30 * number}, 30, Sleep stage {stage}, ")
    return {
        "recordings/SN001_sleepscoring.txt": "\n".join(lines).encode(),
        "recordings/SN001.edf": b"",
        "recordings/SN002_sleepscoring.edf": hypnogram(),
        "recordings/SN002.edf": b"",
    }


def hypnogram() -> bytes:
    """EDF+ that holds annotations alone."""
    import edfio

    stages = [edfio.EdfAnnotation(30.0 * n, 30.0, f"Sleep stage {stage}") for n, stage in enumerate(("W", "N1", "R"))]
    return next(iter(written(edfio.Edf([], annotations=stages).write, "a.edf").values()))


def siena() -> Files:
    """Siena: a list written by hand, and the clock in the recording's header."""
    lines = """Data Sampling Rate: 512 Hz
*************************
Channel 1: Fp1

Seizure n 1
File name: PN00-1.edf
Registration start time: 19.39.33
Registration end time: 20.22.58
Seizure start time: 19.58.36
Seizure end time: 19.59.46

Seizure n 2
File name: PN00-1.edf
Start time: 20:10.00 (CLINICAL); 20.10.05 (ELECTRIC ONSET)
End time: 1 20.11.00
"""
    (recording,) = edf().values()
    return {
        "PN00/Seizures-list-PN00.txt": lines.encode(),
        "PN00/PN00-1.edf": recording[:168] + b"02.01.2019.39.33"[:16] + recording[184:],
    }


def bids() -> Files:
    """A BIDS data set with labels, positions and a split."""
    (recording,) = edf().values()
    stem = "sub-01/eeg/sub-01_task-eyes"
    about = {"task": "eyes", "labels": {"open": "No", "closed": "Yes"}, "split": "group", "seconds": 1}
    places = "".join(f"EEG {name}\t{0.02 * n}\t{0.03 * n - 0.02}\t0.08\n" for n, name in enumerate(NAMES))
    return {
        "dataset_description.json": json.dumps(
            {"Name": "Eyes", "BIDSVersion": "1.8.0", "License": "CC0", "DatasetDOI": "doi:10.1/x"}
        ).encode(),
        "participants.tsv": b"participant_id\tgroup\nsub-01\ttrain\nsub-02\tn/a\n",
        "corpus.json": json.dumps(about).encode(),
        f"{stem}_eeg.edf": recording,
        f"{stem}_eeg.json": b'{"TaskName": "eyes", "PowerLineFrequency": 50}',
        f"{stem}_channels.tsv": (
            "name\ttype\tunits\tstatus\n"
            + "".join(f"EEG {n}\tEEG\tuV\tgood\n" for n in NAMES)
            + "Resp\tMISC\tn/a\tbad\n"
        ).encode(),
        f"{stem}_events.tsv": b"onset\tduration\ttrial_type\n0.5\t1\topen\n2\t1\tclosed\n3.5\tn/a\tn/a\n",
        "sub-01/eeg/sub-01_electrodes.tsv": f"name\tx\ty\tz\n{places}".encode(),
        "sub-01/eeg/sub-01_coordsystem.json": b'{"EEGCoordinateSystem": "Other", "EEGCoordinateUnits": "m"}',
    }


def store() -> Files:
    """A store of two corpora, as `neurolm prepare` writes it."""
    from neurolm.prepare.prepare import prepare

    with tempfile.TemporaryDirectory() as folder:
        data, out = Path(folder) / "mine", Path(folder) / "store"
        data.mkdir()
        for name, content in table().items():
            (data / name).write_bytes(content)
        prepare(data, out, jobs=1)
        return {
            path.relative_to(out).as_posix(): path.read_bytes()
            for path in sorted(out.rglob("*"))
            if path.is_file() and not path.name.startswith(".")
        }


def exclusions() -> Files:
    """A list of recordings to leave out."""
    line = {"recording": "mine/a.edf", "subject": "mine/anna", "content": "0" * 64, "reason": "in the test set"}
    return {"exclusions.jsonl": (json.dumps(line) + "\n").encode() * 3}
