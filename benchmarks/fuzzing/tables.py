"""Recordings that are no EEG files: tables, arrays and WFDB records, to be damaged."""

from __future__ import annotations

import io

import numpy as np

from fuzzing.recordings import COUNTS, NAMES, RATE, Files

SIGNAL = np.round(COUNTS * 0.1, 3)
"""Shape (channels, samples), µV."""


def muse() -> Files:
    """What Mind Monitor writes, with a blink."""
    electrodes = ("TP9", "AF7", "AF8")
    lines = [",".join(["TimeStamp", *(f"RAW_{name}" for name in electrodes), "Battery", "Elements"])]
    for i, values in enumerate(SIGNAL.T):
        moment = f"2024-05-01 10:{i // (256 * 60):02}:{i / 256 % 60:06.3f}"
        if i == 300:
            lines.append(f"{moment},,,,,/muse/elements/blink")
        lines.append(",".join([moment, *map(str, values), "88", ""]))
    return {"a.csv": ("\n".join(lines) + "\n").encode()}


def table() -> Files:
    """Somebody's own, with semicolons, decimal commas, units and a trigger."""
    lines = [";".join(["time", *(f"{name} (uV)" for name in NAMES), "trigger"])]
    for i, values in enumerate(SIGNAL.T):
        lines.append(";".join([f"{i / RATE:.4f}", *map(str, values), str(3 * (i == 200))]).replace(".", ","))
    return {"a.csv": ("\n".join(lines) + "\n").encode()}


def openbci() -> Files:
    """What OpenBCI's GUI writes, with a package lost."""
    head = ["%OpenBCI Raw EXG Data", f"%Number of channels = {len(NAMES)}", f"%Sample Rate = {RATE} Hz"]
    names = [f"EXG Channel {i}" for i in range(len(NAMES))]
    lines = [*head, ", ".join(["Sample Index", *names, "Timestamp"])]
    lines += [
        ", ".join([str(i % 256), *map(str, values), f"{1.7e9 + i / RATE:.4f}"])
        for i, values in enumerate(SIGNAL.T)
        if i != 100
    ]
    return {"a.txt": ("\n".join(lines) + "\n").encode()}


def numpy() -> Files:
    """An archive of arrays that says everything itself."""
    out = io.BytesIO()
    np.savez_compressed(out, eeg=SIGNAL, fs=RATE, ch_names=np.array(NAMES), unit="uV")
    return {"a.npz": out.getvalue()}


def matlab() -> Files:
    """A structure as FieldTrip has it, and the unit."""
    import scipy.io

    out = io.BytesIO()
    data = {"trial": SIGNAL, "label": np.array(NAMES, dtype=object), "fsample": float(RATE), "unit": "uV"}
    scipy.io.savemat(out, {"data": data})
    return {"a.mat": out.getvalue()}


def parquet() -> Files:
    """A column for each electrode, and one of times."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    columns = {f"{name} (uV)": values for name, values in zip(NAMES, SIGNAL, strict=True)}
    pq.write_table(pa.table({"time": np.arange(SIGNAL.shape[1]) / RATE, **columns}), out)
    return {"a.parquet": out.getvalue()}


def wfdb() -> Files:
    """A record of two segments with a gap between them, and annotations."""
    half = SIGNAL.shape[1] // 2
    files: Files = {}
    for name, part in (("s1", COUNTS[:, :half]), ("s2", COUNTS[:, half:])):
        signals = "".join(f"{name}.dat 16 10/uV 16 0 0 0 0 EEG {electrode}\n" for electrode in NAMES)
        files[f"{name}.hea"] = f"{name} {len(NAMES)} {RATE} {part.shape[1]}\n{signals}".encode()
        files[f"{name}.dat"] = part.T.astype("<i2").tobytes()
    rest = SIGNAL.shape[1] - half
    files["a.hea"] = f"a/3 {len(NAMES)} {RATE} {2 * half + rest}\ns1 {half}\n~ {half}\ns2 {rest}\n".encode()
    note = (22 << 10 | 500).to_bytes(2, "little") + (63 << 10 | 2).to_bytes(2, "little") + b"W\0"
    files["a.st"] = note + bytes(2)
    return files


def nedf() -> Files:
    """A header in XML, and blocks of five samples."""
    channels = "".join(f"<Channel{i}>{name}</Channel{i}>" for i, name in enumerate(NAMES, 1))
    head = (
        "<test><NEDFversion>1.4</NEDFversion><EEGSettings>"
        f"<TotalNumberOfChannels>{len(NAMES)}</TotalNumberOfChannels><EEGSamplingRate>{RATE}</EEGSamplingRate>"
        f"<NumberOfRecordsOfEEG>{SIGNAL.shape[1]}</NumberOfRecordsOfEEG><EEGMontage>{channels}</EEGMontage>"
        "</EEGSettings><NumberOfChannelsOfAccelerometer>3</NumberOfChannelsOfAccelerometer></test>"
    )
    body = bytearray()
    for i, digits in enumerate((COUNTS.T * 2).astype(int)):
        body += bytes(6) if i % 5 == 0 else b""
        body += b"".join(int(digit).to_bytes(3, "big", signed=True) for digit in digits) + bytes(4)
    return {"a.nedf": head.encode().ljust(10240, b"\0") + bytes(body)}
