"""The smallest recordings of each format that are accepted: file name → bytes."""

from __future__ import annotations

import io
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RATE = 200
NAMES = ("Fp1", "Cz", "O2")
SECONDS = 4
SIGNAL = np.random.default_rng(0).normal(0, 20, (len(NAMES), SECONDS * RATE)).round(1)
"""µV, (channels, samples)."""
COUNTS = np.round(SIGNAL * 10).astype(int)
Files = dict[str, bytes]


def written(write: Callable[[Path], Any], *names: str) -> Files:
    """What a function writes into a folder under the first of some names, and beside it under the others."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / names[0])
        return {name: (Path(folder) / name).read_bytes() for name in names}


def edf() -> Files:
    """EDF with a channel of another rate and one that is no EEG."""
    import edfio

    def write(path: Path) -> None:
        signals = [_edf_signal(edfio.EdfSignal, name, values) for name, values in zip(NAMES, SIGNAL, strict=True)]
        slow = edfio.EdfSignal(np.arange(SECONDS * 10.0), 10, label="Resp", physical_range=(-100, 100))
        edfio.Edf([*signals, slow]).write(path)

    return written(write, "a.edf")


def _edf_signal(kind: Any, name: str, values: np.ndarray, **more: Any) -> Any:
    return kind(values, RATE, label=f"EEG {name}", physical_dimension="uV", physical_range=(-500, 500), **more)


def edf_plus() -> Files:
    """EDF+ with annotations."""
    import edfio

    def write(path: Path) -> None:
        marks = [edfio.EdfAnnotation(n / 2, 0.25 * n, f"mark {n} @@EEG Cz" if n % 2 else "ä") for n in range(6)]
        signals = [_edf_signal(edfio.EdfSignal, name, values) for name, values in zip(NAMES, SIGNAL, strict=True)]
        edfio.Edf(signals, annotations=marks).write(path)

    return written(write, "a.edf")


def edf_interrupted() -> Files:
    """EDF+D with a gap of a minute after two seconds."""
    (data,) = edf_plus().values()
    for second in (2, 3):
        data = data.replace(b"+%d\x14\x14\0" % second, b"+%d\x14\x14" % (second + 60), 1)
    return {"a.edf": data.replace(b"EDF+C", b"EDF+D", 1)}


def bdf() -> Files:
    """BDF as BioSemi's, with a status channel: two triggers, and bits that say that the electrodes are in range."""
    import edfio

    codes = np.full(SECONDS * RATE, 0x3F0000)
    codes[RATE // 2 : RATE] += 1
    codes[RATE + 9 : RATE + 20] += 2

    def write(path: Path) -> None:
        signals = [_edf_signal(edfio.BdfSignal, name, values) for name, values in zip(NAMES, SIGNAL, strict=True)]
        status = edfio.BdfSignal(
            codes,
            RATE,
            label="Status",
            physical_dimension="Boolean",
            physical_range=(-8388608, 8388607),
        )
        edfio.Bdf([*signals, status]).write(path)

    return written(write, "a.bdf")


def hypnogram() -> Files:
    """A recording, its annotations in a file of their own beside it, and one with triggers and one with markers."""
    import edfio

    def write(path: Path) -> None:
        stages = [edfio.EdfAnnotation(n, 1, f"Sleep stage {'W12R'[n % 4]}") for n in range(SECONDS)]
        edfio.Edf([], annotations=stages).write(path)

    return written(write, "n-Hypnogram.edf") | {"n-PSG.edf": edf_plus()["a.edf"]} | bdf() | xdf()


def gdf() -> Files:
    """GDF 2.20 with an event table (Schlögl 2013, arXiv cs/0608052)."""
    count = len(NAMES)
    head = bytearray(256)
    head[:8] = b"GDF 2.20"
    struct.pack_into("<Q", head, 168, 3_000_000_000_000)
    struct.pack_into("<H", head, 184, 1 + count)
    struct.pack_into("<q", head, 236, SECONDS)
    struct.pack_into("<2I", head, 244, 1, 1)
    struct.pack_into("<H", head, 252, count)
    columns = [
        b"".join(name.encode().ljust(16, b"\0") for name in NAMES),
        bytes(80 * count),
        b"uV\0\0\0\0" * count,
        struct.pack("<H", 4275) * count,  # physical dimension code: µV
        struct.pack("<d", -3276.8) * count,
        struct.pack("<d", 3276.7) * count,
        struct.pack("<d", -32768) * count,
        struct.pack("<d", 32767) * count,
        bytes(68 * count),
        struct.pack("<3f", 0, 100, 50) * count,
        struct.pack("<I", RATE) * count,
        struct.pack("<I", 3) * count,  # int16
        bytes(32 * count),
    ]
    records = COUNTS.reshape(count, SECONDS, RATE).transpose(1, 0, 2).astype("<i2").tobytes()
    events = bytes([1, 2, 0, 0]) + struct.pack("<f", RATE) + struct.pack("<2I", 100, 400) + struct.pack("<2H", 769, 770)
    return {"a.gdf": bytes(head) + b"".join(columns) + records + events}


def brainvision() -> Files:
    """A header, markers, and numbers."""
    channels = "\n".join(f"Ch{n}={name},,0.1,µV" for n, name in enumerate(NAMES, 1))
    places = "\n".join(f"Ch{n}=1,{30 * n},{20 * n}" for n in range(1, len(NAMES) + 1))
    header = f"""Brain Vision Data Exchange Header File Version 1.0

[Common Infos]
Codepage=UTF-8
DataFile=a.eeg
MarkerFile=a.vmrk
DataFormat=BINARY
DataOrientation=MULTIPLEXED
NumberOfChannels={len(NAMES)}
SamplingInterval={1e6 / RATE:g}

[Binary Infos]
BinaryFormat=INT_16

[Channel Infos]
{channels}

[Coordinates]
{places}

[Comment]
A m p l i f i e r  S e t u p
Number of channels: {len(NAMES)}
#     Name      Phys. Chn.    Resolution / Unit   Low Cutoff [s]   High Cutoff [Hz]   Notch [Hz]
1     Fp1         1                0.1 µV             DC              100              Off
2     Cz          2                0.1 µV             DC              100              Off
3     O2          3                0.1 µV             DC              100              Off

Impedance [kOhm] at 12:34:56 :
Fp1:          5
Cz:           5
"""
    markers = """Brain Vision Data Exchange Marker File, Version 1.0

[Common Infos]
Codepage=UTF-8
DataFile=a.eeg

[Marker Infos]
Mk1=New Segment,,1,1,0,20200102101112000000
Mk2=Stimulus,S  1,100,1,0
Mk3=Response,R  2,300,1,0
Mk4=Comment,ä,400,20,2
"""
    return {
        "a.vhdr": header.encode(),
        "a.vmrk": markers.encode(),
        "a.eeg": COUNTS.T.astype("<i2").tobytes(),
    }


def brainvision_real() -> Files:
    """BrainVision with real numbers, which can be NaN, and a pause in the middle."""
    files = brainvision()
    header = files["a.vhdr"].replace(b"INT_16", b"IEEE_FLOAT_32").replace(b",,0.1,", b",,1,")
    markers = files["a.vmrk"] + b"Mk5=New Segment,,401,1,0,20200102102112000000\n"
    return {"a.vhdr": header, "a.vmrk": markers, "a.eeg": SIGNAL.T.astype("<f4").tobytes()}


def eeglab_struct() -> dict[str, Any]:
    """EEGLAB's structure, with the data inside."""
    places = [
        {"labels": name, "type": "EEG", "X": 80.0 - 60 * n, "Y": 10.0, "Z": 40.0, "theta": 0.0, "radius": 0.4}
        for n, name in enumerate(NAMES)
    ]
    events = [{"type": "square" if n % 2 else 5, "latency": 100.0 * n + 1, "duration": 0.0} for n in range(1, 5)]
    return {
        "setname": "a", "filename": "a.set", "filepath": "", "nbchan": len(NAMES), "trials": 1,
        "pnts": SIGNAL.shape[1], "srate": float(RATE), "xmin": 0.0, "xmax": SECONDS - 1 / RATE, "times": [],
        "data": SIGNAL.astype(np.float32), "icawinv": [], "icasphere": [], "icaweights": [], "icaact": [],
        "chanlocs": places, "event": events, "epoch": [], "ref": "common", "comments": "",
    }  # fmt: skip


def set_file(struct_: Any) -> bytes:
    """A .set file of a structure."""
    from scipy.io import savemat

    def plain(value: Any) -> Any:
        if isinstance(value, list) and value and isinstance(value[0], dict):
            keys = list(dict.fromkeys(key for one in value for key in one))
            out = np.empty(len(value), dtype=[(key, object) for key in keys])
            for place, one in enumerate(value):
                for key in keys:
                    out[key][place] = one.get(key, [])
            return out
        return value

    content = {key: plain(value) for key, value in struct_.items()} if isinstance(struct_, dict) else struct_
    buffer = io.BytesIO()
    savemat(buffer, {"EEG": content}, appendmat=False)
    return buffer.getvalue()


def eeglab() -> Files:
    """EEGLAB with its data in the .set."""
    return {"a.set": set_file(eeglab_struct())}


def eeglab_two() -> Files:
    """EEGLAB with its data in a .fdt."""
    return {"a.set": set_file(eeglab_struct() | {"data": "a.fdt"}), "a.fdt": SIGNAL.T.astype("<f4").tobytes()}


def eeglab_hdf5() -> Files:
    """EEGLAB saved as MATLAB 7.3: HDF5 behind a block of text."""
    import h5py

    content = eeglab_struct() | {"chanlocs": [], "event": [], "epoch": [], "times": []}

    def write(path: Path) -> None:
        with h5py.File(path, "w", userblock_size=512) as file:
            group = file.create_group("EEG")
            group.attrs["MATLAB_class"] = np.bytes_("struct")
            for name, value in content.items():
                if isinstance(value, str):
                    kind, array = "char", np.frombuffer(value.encode("utf-16-le"), "<u2")[:, None]
                else:
                    kind, array = "double", np.atleast_2d(np.array(value, float)).T
                if not array.size:
                    array = np.zeros(2, "<u8")
                one = group.create_dataset(name, data=array)
                one.attrs["MATLAB_class"] = np.bytes_(kind)
                if not np.size(value):
                    one.attrs["MATLAB_empty"] = np.uint8(1)
        with path.open("r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 .".ljust(124) + b"\0\2IM")

    return written(write, "a.set")


def fif() -> Files:
    """FIF as MNE writes it, with a channel of triggers and annotations, of which one is bad and one skips."""
    import mne

    codes = np.zeros(SECONDS * RATE)
    codes[[100, 101, 300]] = 5

    def write(path: Path) -> None:
        info = mne.create_info([*NAMES, "STI 014"], RATE, ["eeg"] * len(NAMES) + ["stim"])
        raw = mne.io.RawArray(np.vstack([SIGNAL * 1e-6, codes]), info, verbose="error")
        raw.set_annotations(
            mne.Annotations([0.5, 1.2, 2.0, 2.6], [0.1, 0.1, 0.0, 0.2], ["one", "BAD_blink", "two", "BAD_ACQ_SKIP"])
        )
        raw.save(path, verbose="error")

    return written(write, "a_raw.fif")


def xdf() -> Files:
    """XDF with a stream of EEG, one of markers and one of codes (https://github.com/sccn/xdf/wiki/Specifications)."""

    def chunk(tag: int, content: bytes) -> bytes:
        return b"\4" + struct.pack("<IH", len(content) + 2, tag) + content

    def header(number: int, text: str) -> bytes:
        return chunk(2, struct.pack("<I", number) + b"<?xml version='1.0'?>" + text.encode())

    channels = "".join(
        f"<channel><label>{n}</label><unit>microvolts</unit><type>EEG</type></channel>" for n in NAMES
    ).replace("microvolts", "uV")
    eeg = (
        f"<info><name>eeg</name><type>EEG</type><channel_count>{len(NAMES)}</channel_count><nominal_srate>{RATE}"
        f"</nominal_srate><channel_format>float32</channel_format><created_at>0</created_at><desc><channels>{channels}"
        f"</channels></desc></info>"
    )
    marks = (
        "<info><name>marks</name><type>Markers</type><channel_count>1</channel_count><nominal_srate>0</nominal_srate>"
        "<channel_format>string</channel_format><created_at>0</created_at></info>"
    )
    codes = marks.replace("string", "int32").replace(">marks<", ">codes<").replace("count>1<", "count>2<")
    parts = [b"XDF:", chunk(1, b"<?xml version='1.0'?><info><version>1.0</version></info>"), header(1, eeg)]
    parts += [header(2, marks), header(3, codes)]
    for second in range(SECONDS):
        parts.append(chunk(4, struct.pack("<Idd", 1, 10.0 + second, 0.001)))
        samples = b"".join(
            (b"\x08" + struct.pack("<d", 10.0 + second) if n == 0 else b"\0")
            + SIGNAL[:, second * RATE + n].astype("<f4").tobytes()
            for n in range(RATE)
        )
        parts.append(chunk(3, struct.pack("<I", 1) + b"\4" + struct.pack("<I", RATE) + samples))
        text = b"go"
        mark = b"\x08" + struct.pack("<d", 10.5 + second) + b"\1" + bytes([len(text)]) + text
        parts.append(chunk(3, struct.pack("<I", 2) + b"\1\1" + mark))
        code = b"\x08" + struct.pack("<d2i", 10.25 + second, 7, second)
        parts.append(chunk(3, struct.pack("<I", 3) + b"\1\1" + code))
    for number in (1, 2, 3):
        footer = f"<?xml version='1.0'?><info><sample_count>{SECONDS * RATE}</sample_count></info>"
        parts.append(chunk(6, struct.pack("<I", number) + footer.encode()))
    return {"a.xdf": b"".join(parts)}


def neuroscan() -> Files:
    """SETUP, ELECTLOCs, numbers, and a table with an event (https://paulbourke.net/dataformats/eeg)."""
    channels, count = COUNTS.shape
    head = bytearray(900)
    head[:11] = b"Version 3.0"
    head[225:243] = b"01/02/20\0\x0010:11:12"
    data = 900 + 75 * channels
    for start, kind, value in ((370, "H", channels), (376, "H", RATE), (864, "i", count)):
        struct.pack_into("<" + kind, head, start, value)
    struct.pack_into("<i", head, 886, data + count * channels * 2)
    parts = [bytes(head)]
    for name in NAMES:
        electrode = bytearray(75)
        electrode[: len(name)] = name.encode()
        struct.pack_into("<f", electrode, 59, 1.0)
        struct.pack_into("<f", electrode, 71, 20.48)
        parts.append(bytes(electrode))
    parts.append(COUNTS.T.astype("<i2").tobytes())
    event = struct.pack("<HBcl", 7, 0, b"\0", data + 100 * channels * 2)
    return {"a.cnt": b"".join([*parts, struct.pack("<Bll", 1, len(event), 0), event])}


def ant() -> Files:
    """ANT's .cnt, written by its own library, and the chunk of information that it needs to read it again."""
    from antio.libeep import pyeep

    def write(path: Path) -> None:
        channels = pyeep.create_channel_info()
        for name in NAMES:
            pyeep.add_channel(channels, name, "REF", "uV")
        handle = pyeep.write_cnt(str(path), RATE, channels, 0)
        pyeep.add_samples(handle, SIGNAL.T.astype(np.float32).ravel().tolist(), len(NAMES))
        pyeep.close(handle)

    (data,) = written(write, "a.cnt").values()
    text = b"[StartDate]\n43831.5\n[StartFraction]\n0.0\n[SubjectDateOfBirth]\n0 0 0 1 0 80 0 0 0\n"
    text += b"\n" * (len(text) % 2)
    file = bytearray(data) + b"info" + struct.pack("<I", len(text)) + text
    struct.pack_into("<I", file, 4, len(file) - 8)
    return {"a.cnt": bytes(file)}


def egi() -> Files:
    """EGI's simple binary format with an event, in the amplifier's µV."""
    channels, count = COUNTS.shape
    head = struct.pack(">i6hi5hih", 2, 2020, 1, 2, 10, 11, 12, 0, RATE, channels, 1, 16, 6554, count, 1) + b"DIN1"
    frames = np.concatenate([COUNTS, np.arange(count)[None] % 200 == 10]).T.astype(">i2")
    return {"a.raw": head + frames.tobytes()}


def nicolet() -> Files:
    """A header of lines, and numbers."""
    head = {"start_ts": "2020-01-02 10:11:12.000", "num_samples": SIGNAL.shape[1], "sample_freq": RATE}
    head |= {"conversion_factor": 0.1, "num_channels": len(NAMES), "elec_names": f"[{','.join(NAMES)}]"}
    text = "".join(f"{name}={value}\n" for name, value in head.items())
    return {"a.head": text.encode(), "a.data": COUNTS.T.astype("<i2").tobytes()}


def persyst() -> Files:
    """A layout of lines, and numbers."""
    lines = ["[FileInfo]", "File=a.dat", "FileType=Interleaved", f"SamplingRate={RATE}", "Calibration=0.1"]
    lines += [f"WaveformCount={len(NAMES)}", "DataType=0", "[ChannelMap]"]
    lines += [f"{name}-Ref={i + 1}" for i, name in enumerate(NAMES)]
    lines += [
        "[Sections]",
        "[Patient]",
        "TestDate=2020.01.02",
        "TestTime=10:11:12",
        "BirthDate=01/02/80",
        "Sex=",
        "Hand=",
    ]
    lines += ["[Comments]", "1.5,0.5,0,0,blink"]
    return {"a.lay": ("\n".join(lines) + "\n").encode(), "a.dat": COUNTS.T.astype("<i2").tobytes()}


def nihon() -> Files:
    """Device block, one control block with one data block; the codes of Fp1, Cz and O2 are 0, 17 and 9."""
    control, data = 0x400, 0x1800
    file = bytearray(data + 0x27 + 10 * len(NAMES))
    file[:16] = file[0x81 : 0x81 + 16] = b"EEG-1100C V01.00"
    file[0x91] = 1
    struct.pack_into("<I", file, 0x92, control)
    file[control + 17] = 1
    struct.pack_into("<I", file, control + 18, data)
    file[0x17FE] = 1
    struct.pack_into("<H", file, data + 0x1A, 0xC000 | RATE)
    struct.pack_into("<I", file, data + 0x1C, 10 * SECONDS)
    file[data + 0x26] = len(NAMES)
    for i, code in enumerate((0, 17, 9)):
        file[data + 0x27 + 10 * i] = code
    digits = np.round((SIGNAL + 3200) / (6399.902 / 65535))
    frames = np.concatenate([digits, np.zeros((1, SIGNAL.shape[1]))]).T.astype("<u2")
    return {"a.EEG": bytes(file) + frames.tobytes()}


def eximia() -> Files:
    """64 channels at 1,450 Hz, nothing else."""
    frames = np.zeros((2000, 64), "<i2")
    frames[:, 4:] = np.random.default_rng(1).normal(0, 200, (2000, 60)).round()
    return {"a.nxe": frames.tobytes()}


def curry() -> Files:
    """Curry 8: parameters as text, and numbers."""
    lines = [
        "DATA_PARAMETERS START",
        "FileVersion = 804",
        f"NumSamples = {SIGNAL.shape[1]}",
        f"NumChannels = {len(NAMES)}",
    ]
    lines += ["NumTrials = 1", f"SampleFreqHz = {RATE}", "TriggerOffsetUsec = 0", "DataFormat = FLOAT"]
    lines += ["DataSampOrder = SAMP", f"SampleTimeUsec = {1e6 / RATE:g}", "DataByteOrder = INTEL", "AmplifierInfo = "]
    when = {"Year": 2020, "Month": 1, "Day": 2, "Hour": 10, "Min": 11, "Sec": 12, "Millisec": 0}
    lines += [f"Start{name} = {value}" for name, value in when.items()]
    lines += ["DATA_PARAMETERS END", "DEVICE_PARAMETERS START", "DataUnit = uV", f"NumChanThisGroup = {len(NAMES)}"]
    lines += ["DEVICE_PARAMETERS END", "IMPEDANCE_VALUES START_LIST", "5 5 5", "IMPEDANCE_VALUES END_LIST"]
    for name, rows in {"LABELS": list(NAMES), "SENSORS": ["-30 80 40", "0 0 120", "30 -80 40"]}.items():
        lines += [f"{name} START", f"{name} END", f"{name} START_LIST", *rows, f"{name} END_LIST"]
    return {"a.cdt": SIGNAL.T.astype("<f4").tobytes(), "a.cdt.dpa": ("\n".join(lines) + "\n").encode()}
