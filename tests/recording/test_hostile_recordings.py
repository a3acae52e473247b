"""Recordings that stand for more than they are: refused in a moment, in little memory, with what is wrong."""

import gzip
import os
import re
import zipfile
import zlib
from pathlib import Path

import mne
import numpy as np
import pytest

from neurolm.core.errors import RecordingError, flags_in_messages
from neurolm.core.small_files import UnfitFile
from neurolm.recording import isolation
from neurolm.recording.recording import open_recording

RATE, ELECTRODES = 200, ("Fp1", "Cz", "O2")


def eeg() -> mne.io.RawArray:
    noise = np.random.default_rng(0).normal(0, 20e-6, (len(ELECTRODES), 20 * RATE))
    return mne.io.RawArray(noise, mne.create_info(list(ELECTRODES), RATE, "eeg", verbose="error"), verbose="error")


def fif(path: Path) -> Path:
    eeg().save(path, verbose="error", overwrite=True)
    return path


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def sparse(path: Path, size: int = 8 << 30) -> Path:
    with path.open("r+b" if path.exists() else "wb") as file:
        file.truncate(size)
    return path


def bomb(path: Path, head: bytes = b"", *, honest: bool = True) -> Path:
    """A file of gzip of a head and half a GB of zeros, which may say at its end that it has fewer."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(head)
        for _ in range(32):
            file.write(bytes(16 << 20))
    if not honest:
        path.write_bytes(path.read_bytes()[:-4] + bytes(4))
    return path


def looped(path: Path, *, far: bool = False) -> Path:
    """A FIF whose second tag leads back to itself, or whose last leads back to the first."""
    content = bytearray(fif(path).read_bytes())
    first = 16 + int.from_bytes(content[8:12], "big")
    at = first
    if far:
        while (after := int.from_bytes(content[at + 12 : at + 16], "big", signed=True)) >= 0:
            at = after or at + 16 + int.from_bytes(content[at + 8 : at + 12], "big")
    content[at + 12 : at + 16] = first.to_bytes(4, "big")
    path.write_bytes(content)
    return path


def brainvision(folder: Path, header: str = "", **files: str) -> Path:
    """A header that names files of data and markers."""
    path = folder / "x.vhdr"
    named = {"DataFile": "x.eeg", "MarkerFile": "x.vmrk"} | files
    np.zeros((200, 1), "<i2").tofile(folder / "x.eeg")
    (folder / "x.vmrk").write_text(
        "Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\nDataFile=x.eeg\n[Marker Infos]\n"
    )
    path.write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\n"
        + "".join(f"{name}={value}\n" for name, value in named.items())
        + "DataFormat=BINARY\nDataOrientation=MULTIPLEXED\nNumberOfChannels=1\nSamplingInterval=5000\n"
        f"[Binary Infos]\nBinaryFormat=INT_16\n[Channel Infos]\nCh1=Cz,,0.1,µV\n{header}",
        encoding="utf-8",
    )
    return path


def with_pipe(folder: Path) -> Path:
    (folder / "x.mff").mkdir()
    pipe(folder / "x.mff" / "signal1.bin")
    return folder / "x.mff"


def linked(path: Path) -> Path:
    path.symlink_to("/dev/zero")
    return path


def mat(path: Path) -> Path:
    """A variable of a GB of zeros in MATLAB's format, deflated."""
    size, name = 1 << 30, b"EEG\0\0\0\0\0"
    parts = (6, 8, 9, 0), (5, 8, size, 1), (1, 3)
    body = b"".join(b"".join(n.to_bytes(4, "little") for n in part) for part in parts) + name
    body += (2).to_bytes(4, "little") + size.to_bytes(4, "little")
    packer = zlib.compressobj(1)
    packed = packer.compress((14).to_bytes(4, "little") + (len(body) + size).to_bytes(4, "little") + body)
    packed += b"".join(packer.compress(bytes(1 << 24)) for _ in range(size >> 24)) + packer.flush()
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    path.write_bytes(head + (15).to_bytes(4, "little") + len(packed).to_bytes(4, "little") + packed)
    return path


def npz(path: Path) -> Path:
    """An array of half a GB of zeros, deflated."""
    header = {"descr": "<f8", "fortran_order": False, "shape": (8, 1 << 23)}
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file,
        file.open("data.npy", "w", force_zip64=True) as stream,
    ):
        np.lib.format.write_array_header_1_0(stream, header)
        for _ in range(32):
            stream.write(bytes(16 << 20))
    return path


HOSTILE = {
    "pipe.edf": (pipe, r"a pipe \(FIFO\), not a file"),
    "pipe.fif": (pipe, r"a pipe \(FIFO\), not a file"),
    "link_raw.fif": (linked, "a device, not a file"),
    "x.mff": (lambda path: with_pipe(path.parent), r"signal1\.bin: a pipe"),
    "sparse.vhdr": (sparse, "8,589,934,592 bytes, and such a file has at most"),
    "long.vhdr": (lambda p: sparse(brainvision(p.parent)), "8,589,934,592 bytes, and such a file has at most"),
    "loop_raw.fif": (looped, "its tags lead in a circle"),
    "round_raw.fif": (lambda path: looped(path, far=True), "its tags lead in a circle"),
    "bomb_raw.fif.gz": (bomb, "unpack to more than 67,108,864|unpack to more than"),
    "liar_raw.fif.gz": (lambda path: bomb(path, honest=False), "unpack to more than"),
    "bomb.xdfz": (lambda path: bomb(path, b"XDF:"), "unpack to more than"),
    "bomb.set": (mat, "more memory than there is"),
    "bomb.npz": (npz, "no EEG is so empty"),
}


def test_refused(tmp_path, limited):
    commands = []
    for number, (name, (make, _)) in enumerate(HOSTILE.items()):
        (tmp_path / str(number)).mkdir()
        commands.append(["inspect", make(tmp_path / str(number) / name), "--brief"])
    for outcome, (name, (_, said)) in zip(limited(*commands, memory=3 << 30), HOSTILE.items(), strict=True):
        assert outcome.status == 2 and re.search(said, outcome.said), (name, outcome)
        assert outcome.seconds < 20 and outcome.megabytes < 1000, (name, outcome)


def test_what_is_sound_is_read_as_it_was(tmp_path):
    raw = eeg()
    for name in ("x_raw.fif", "x_raw.fif.gz"):
        recording = open_recording(fif(tmp_path / name), check=False)
        assert recording.channels == ("FP1", "CZ", "O2")
        np.testing.assert_allclose(recording.read(), raw.get_data() * 1e6, rtol=1e-6)
    path = brainvision(tmp_path)
    assert open_recording(path, check=False).read().shape == (1, 200)


def test_a_reader_opens_files_alone(tmp_path):
    """Whatever a header names is looked at before Python opens it."""
    for path in (pipe(tmp_path / "pipe"), "/dev/zero", b"/dev/zero"):
        with pytest.raises(UnfitFile, match=r"a pipe|a device"):
            isolation._refuse_endless("open", (path, "r", 0))
    for path in (fif(tmp_path / "x_raw.fif"), "/dev/null", "/dev/urandom", tmp_path, tmp_path / "none", 3, "a\0b"):
        isolation._refuse_endless("open", (path, "r", 0))


def test_messages_of_a_reader_spell_arguments_as_they_are_given(tmp_path):
    path = fif(tmp_path / "x_raw.fif")
    cut = path.read_bytes()[:-20_000]
    path.write_bytes(cut)
    with pytest.raises(RecordingError, match="truncated='accept'"):
        open_recording(path)
    with flags_in_messages(["truncated"]), pytest.raises(RecordingError, match="--truncated accept"):
        open_recording(path)
    with pytest.raises(RecordingError, match="truncated='accept'"):
        open_recording(path)
