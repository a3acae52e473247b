"""Whether a file is as long as its header promises, for formats without a check of their own.

MNE reads most of them on as far as they go, or asks for as much memory as a damaged header says.
"""

from __future__ import annotations

import gzip
import re
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neurolm.core.errors import RecordingError, argument
from neurolm.core.small_files import UnfitFile, read_small
from neurolm.recording.formats import nedf

if TYPE_CHECKING:
    import mne

_EGI_HEAD = 36  # bytes before the codes of the events
_EGI_BYTES = {2: 2, 4: 4, 6: 8}  # version → bytes of a number
_GDF_FIXED = 256
_GDF_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 8, 8: 8, 16: 4, 17: 8, 18: 16, 279: 3, 535: 3}  # type → bytes
_GDF_EVENTS = 8  # bytes before the events
_GDF_LONG_EVENTS = 3  # mode of a table whose events have 12 bytes, else 6
_FIF_TAGS = 1_000_000  # most tags; a buffer of EEG is one, and as a rule a second
_GZIP_TIMES, _PLAIN_GZIP, _BLOCK = 100, 64 << 20, 1 << 20  # most bytes of one that is compressed, or at least so many
_FIF_TAG = 16  # bytes: kind, type, length, place of the next tag
_NIHON_DEVICES = (b"EEG-", b"QI-", b"DAE-")
_EXIMIA_FRAME = 64 * 2  # bytes of a sample of all channels


def check_before(path: Path, suffix: str, truncated: str) -> tuple[int | None, list[str]]:
    """Check what can be checked before a reader trusts the header.

    Parameters
    ----------
    path
        The file.
    suffix
        Its suffix in ``suffixes.RECORDING_SUFFIXES``.
    truncated
        One of ``options.Truncated``.

    Returns
    -------
    samples, notes
        Samples that are there where the header promises more, else None; and what to say about it.

    Raises
    ------
    RecordingError
        If the file is of another format than its suffix says, damaged, or truncated and ``truncated`` says refuse.
    """
    if suffix == ".raw":
        _check_egi(path)
    elif suffix == ".eeg":
        _check_nihon(path)
    elif suffix == ".gdf":
        return _check_gdf(path, truncated)
    elif suffix in (".vhdr", ".ahdr"):
        _check_brainvision(path)
    elif suffix in (".fif.gz", ".xdfz"):
        _check_gzip(path)
    elif suffix == ".fif":
        _check_fif(path)
    elif suffix == ".nxe" and path.stat().st_size % _EXIMIA_FRAME:
        return shortened(path, path.stat().st_size // _EXIMIA_FRAME, None, truncated)
    return None, []


def check_after(path: Path, raw: mne.io.BaseRaw, truncated: str) -> tuple[int | None, list[str]]:
    """Check the data file of an opened recording whose reader believes its header.

    Returns
    -------
    samples, notes
        As ``check_before``.

    Raises
    ------
    RecordingError
        If the file is truncated and ``truncated`` says refuse.
    """
    reader = type(raw).__name__
    files = [Path(name) for name in raw.filenames if name is not None]
    if reader == "RawNihon":
        return _nihon_samples(path, raw, truncated)
    if len(files) != 1:
        return None, []
    (file,) = files
    if reader == "RawNedf":
        there = nedf.samples_there(raw)
        samples, more = (None, []) if there == raw.n_times else shortened(file, there, int(raw.n_times), truncated)
        return samples, [*more, *nedf.lost(file)]
    if reader == "Raw" and file.suffix.lower() == ".fif" and not _fif_ends(file):
        return _fif_samples(file, raw, truncated)
    width = _number_bytes(reader, file, raw)
    if width is None:
        return None, []
    columns = len(raw.ch_names) + (path.suffix.lower() == ".ahdr")  # V-Amp keeps one more than its header names
    there, rest = divmod(file.stat().st_size, width * columns)
    if there < raw.n_times:
        return shortened(file, there, int(raw.n_times), truncated)
    return shortened(file, there, None, truncated) if rest and reader != "RawNicolet" else (None, [])


def _number_bytes(reader: str, file: Path, raw: mne.io.BaseRaw) -> int | None:
    """Bytes of a number in a data file of nothing but numbers, None for a file of another kind."""
    if reader == "RawBrainVision" and file.suffix.lower() != ".dat":  # .dat may be text
        return {"short": 2, "int": 4, "single": 4}.get(raw.orig_format)
    if reader == "RawPersyst":
        return int(raw._raw_extras[0]["dtype"].itemsize)
    return {("RawNicolet", ".data"): 2, ("RawEEGLAB", ".fdt"): 4}.get((reader, file.suffix.lower()))


def shortened(path: Path, there: int, promised: int | None, truncated: str) -> tuple[int, list[str]]:
    """Refuse a truncated file, or say how much of it is taken.

    Raises
    ------
    RecordingError
        Under the policy ``refuse``, and if nothing is there.
    """
    of = f" of {promised:,}" if promised is not None else ""
    if truncated != "accept" or there < 1:
        more = f"; {argument(truncated='accept')} takes what is there" if there else ""
        raise RecordingError(
            f"{path}: truncated: {path.stat().st_size:,} bytes hold {there:,}{of} samples and the file breaks off; "
            f"copy or download it again{more}"
        )
    return there, [f"truncated: {there:,}{of} samples are there and were taken"]


def _check_egi(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_EGI_HEAD)
    if len(head) < _EGI_HEAD:
        raise RecordingError(f"{path}: truncated: {size:,} bytes where EGI's header has {_EGI_HEAD}; copy it again")
    version = int(np.frombuffer(head[:4], ">i4")[0])
    if version in (3, 5, 7):
        raise RecordingError(f"{path}: a segmented EGI file; export the continuous recording from Net Station")
    if version not in _EGI_BYTES:
        raise RecordingError(
            f"{path}: not an EGI simple binary file: its version reads {version}, not 2, 4 or 6; if it is of another "
            f"format, give it that format's suffix"
        )
    rate, channels = (int(n) for n in np.frombuffer(head[20:24], ">i2"))
    samples = int(np.frombuffer(head[30:34], ">i4")[0])
    events = int(np.frombuffer(head[34:36], ">i2")[0])
    if rate < 1 or channels < 1 or samples < 1 or events < 0:
        raise RecordingError(
            f"{path}: damaged header: {channels} channels, {samples:,} samples, {events} events at {rate} Hz; copy it "
            f"again"
        )
    promised = _EGI_HEAD + 4 * events + samples * (channels + events) * _EGI_BYTES[version]
    if size < promised:  # its events are read with the signal, to the end, so that no part of it can be had
        raise RecordingError(
            f"{path}: truncated: {size:,} bytes, the header promises {promised:,}; copy or download it again"
        )


def _check_nihon(path: Path) -> None:
    with path.open("rb") as file:
        magic = file.read(16)
    if not magic.startswith(_NIHON_DEVICES):
        raise RecordingError(
            f"{path}: not a Nihon Kohden file: it begins with {magic!r}; if it is BrainVision's, put its header "
            f"({path.stem}.vhdr) beside it"
        )


def _check_brainvision(path: Path) -> None:
    """Refuse a header that declares more channels than it describes; MNE makes as many."""
    try:
        head = read_small(path)
    except UnfitFile as error:
        raise RecordingError(f"{path}: {error}; its header is damaged: copy or export it again") from error
    declared = max((int(number) for number in re.findall(rb"(?mi)^NumberOfChannels=(\d{1,18})", head)), default=0)
    section = re.search(rb"(?msi)^\[Channel Infos\](.*?)(?:^\[|\Z)", head)
    described = len(re.findall(rb"(?mi)^Ch\d+=", section[1])) if section else 0
    if declared > described:
        raise RecordingError(
            f"{path}: damaged header: it declares {declared:,} channels and describes {described:,}; copy or export it "
            f"again"
        )


def _check_gzip(path: Path) -> None:
    """Refuse a compressed file that stands for far more than EEG of its size."""
    size = path.stat().st_size
    most = max(_PLAIN_GZIP, _GZIP_TIMES * size)
    if size > _PLAIN_GZIP:  # then looking takes long, and its reader has limits
        return
    with path.open("rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
        plain.seek(max(0, size - 4))
        found = int.from_bytes(plain.read(4), "little")  # what it says of itself, which need not be true
    found = found if packed and found > most else 0
    with suppress(OSError, EOFError, zlib.error), gzip.open(path) as file:  # its reader says what is wrong
        while found <= most and (block := file.read(_BLOCK)):
            found += len(block)
    if found > most:
        raise RecordingError(
            f"{path}: {size:,} bytes that unpack to more than {most:,}: EEG does not compress so far; the file is "
            "damaged, or made to fill the memory: get it again from where it was recorded"
        )


def _check_fif(path: Path) -> None:
    """Refuse a chain of tags that leads in a circle, or is longer than that of weeks of EEG; MNE follows it."""
    place, count, back = 0, 0, set[int]()
    with path.open("rb") as file:
        while len(head := file.read(_FIF_TAG)) == _FIF_TAG:
            length, following = (int(n) for n in np.frombuffer(head[8:], ">i4"))
            after = following if following > 0 else place + _FIF_TAG + max(length, 0)
            count += 1
            if after in back or count > _FIF_TAGS:
                what = "lead in a circle" if after in back else f"are more than {_FIF_TAGS:,}"
                raise RecordingError(f"{path}: damaged: its tags {what} (at byte {place:,}); copy or export it again")
            if after <= place:
                back.add(after)
            if following < 0:
                return
            place = after
            file.seek(place)


def _fif_ends(path: Path) -> bool:
    """Whether the chain of tags comes to its end; MNE takes as many as it finds."""
    size, place = path.stat().st_size, 0
    with path.open("rb") as file:
        while place + _FIF_TAG <= size:
            file.seek(place)
            tag = np.frombuffer(file.read(_FIF_TAG), ">i4")
            length, following = int(tag[2]), int(tag[3])
            if length < 0 or place + _FIF_TAG + length > size:
                return False
            if following < 0:
                return True
            place = following if following > place else place + _FIF_TAG + length
    return False


def _fif_samples(path: Path, raw: mne.io.BaseRaw, truncated: str) -> tuple[int, list[str]]:
    size, extras = path.stat().st_size, raw._raw_extras[0]
    whole = 0
    for tag in extras["ent"]:
        if tag is not None and tag.pos + _FIF_TAG + tag.size > size:
            break
        whole += 1
    return shortened(path, int(extras["bounds"][whole]), None, truncated)


def _nihon_samples(path: Path, raw: mne.io.BaseRaw, truncated: str) -> tuple[int | None, list[str]]:
    size, there, promised = path.stat().st_size, 0, 0
    for block in raw._raw_extras[0]["header"]["controlblocks"][0]["datablocks"]:
        channels = int(block["n_channels"])
        start = int(block["address"]) + 0x27 + 10 * channels
        fits = max(0, size - start) // (2 * (channels + 1))
        promised += int(block["n_samples"])
        there += min(fits, int(block["n_samples"]))
        if fits < int(block["n_samples"]):
            return shortened(path, there, int(raw.n_times), truncated)
    return None, []


def _check_gdf(path: Path, truncated: str) -> tuple[int | None, list[str]]:
    size = path.stat().st_size
    with path.open("rb") as file:
        fixed = file.read(_GDF_FIXED)
        if fixed[:3] != b"GDF" or len(fixed) < _GDF_FIXED:
            raise RecordingError(
                f"{path}: not a GDF file, it begins with {fixed[:8]!r} instead of b'GDF 2.20'; if it is of another "
                f"format, give it that format's suffix, else copy or download it again"
            )
        version = fixed[4:8].strip()
        new = version >= b"1.90"
        head = int(np.frombuffer(fixed[184:186], "<u2")[0]) * 256 if new else _whole(fixed, 184, "<i8")
        records = _whole(fixed, 236, "<i8")
        channels = int(np.frombuffer(fixed[252:254], "<u2")[0]) if new else _whole(fixed, 252, "<u4")
        if channels < 1 or not _GDF_FIXED * (channels + 1) <= head <= size:
            raise RecordingError(
                f"{path}: damaged header: {channels} channels in {head:,} bytes of header, in a file of {size:,}; copy "
                f"or download it again"
            )
        file.seek(_GDF_FIXED + 216 * channels)
        each, kinds = (np.frombuffer(file.read(4 * channels), "<u4").astype(np.int64) for _ in range(2))
    if len(each) < channels or len(kinds) < channels:
        raise RecordingError(
            f"{path}: truncated: its header breaks off after {size:,} bytes; copy or download it again"
        )
    unknown = sorted(set(kinds.tolist()) - _GDF_BYTES.keys())
    record = sum(int(n) * _GDF_BYTES.get(int(kind), 0) for n, kind in zip(each, kinds, strict=True))
    if unknown or record < 1:
        raise RecordingError(f"{path}: damaged header: numbers of type {unknown}; copy or download it again")
    whole = (size - head) // record
    if records > whole:
        samples = int(each.max())
        return shortened(path, whole * samples, records * samples, truncated)
    _check_gdf_events(path, head + max(records, 0) * record, version)
    return None, []


def _check_gdf_events(path: Path, start: int, version: bytes) -> None:
    """Refuse a table of events that reaches beyond the file; MNE makes as many as it says."""
    with path.open("rb") as file:
        file.seek(start)
        table = file.read(_GDF_EVENTS)
    if len(table) < _GDF_EVENTS:
        return
    count = int.from_bytes(table[1:4] if version >= b"1.94" else table[4:8], "little")
    there = path.stat().st_size - start - _GDF_EVENTS
    if count * (12 if table[0] == _GDF_LONG_EVENTS else 6) > there:
        raise RecordingError(
            f"{path}: truncated or damaged: its table of {count:,} events does not fit into the {there:,} bytes after "
            f"the data; copy or download it again"
        )


def _whole(head: bytes, start: int, kind: str) -> int:
    return int(np.frombuffer(head[start : start + np.dtype(kind).itemsize], kind)[0])
