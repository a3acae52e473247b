"""Arrays of NumPy and MATLAB: where the samples are, which way round, and what is said of them.

Nothing is unpickled: an array of objects is refused.
"""

from __future__ import annotations

import math
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neurolm.core.errors import RecordingError, argument
from neurolm.recording.formats.edf import UNSTATED, unit_of
from neurolm.recording.formats.matrix import Matrix

SHORTEST = 64
"""Samples that an array of EEG has at least."""
MOST_CHANNELS = 1024
_DEFLATED = 200  # times that the numbers of a recording can be smaller in an archive, at most
_FREE = 1 << 26  # bytes that an archive may always hold
_CLEAR = 4  # times that the samples must be larger than any other array, for there to be no question which they are
_RATES = ("fs", "sf", "sfreq", "srate", "fsample", "samplingrate", "samplerate", "samplingfrequency", "samplefrequency",
          "samplingfreq", "samplefreq", "rate", "hz", "frequency", "nfs")  # fmt: skip
_SURE = _RATES[: _RATES.index("rate")]
"""Names that mean nothing but the samples per second."""
_NAMES = ("channames", "chnames", "channelnames", "channels", "channel", "labels", "label", "electrodes", "clab",
          "electrodenames", "chlabels", "channellabels", "chanlabels", "chanlocs", "chans", "names")  # fmt: skip
_UNITS = ("unit", "units", "chanunit", "chunit", "chunits", "channelunits")
_DATA = ("data", "eeg", "signal", "signals", "x", "raw", "rawdata", "eegdata", "samples", "val", "trial", "eegsignal")


def read_npy(path: Path, *, channels: int | None) -> Matrix:
    """Map an array of NumPy's.

    Parameters
    ----------
    path
        The file.
    channels
        How many channels it has, where that was said; None: the shorter side of the array.

    Raises
    ------
    RecordingError
        If it is no array of samples.
    """
    return _as_matrix(path, path.name, _loaded(path, path), {}, channels, "")


def read_npz(path: Path, *, channels: int | None, stream: str | int | None = None) -> Matrix:
    """Read the array of samples in an archive of NumPy's, and what the others say; as `read_npy`.

    ``stream`` is the name of the array, or its number among those that may be samples; None: the one that must be.

    Raises
    ------
    RecordingError
        If there is none, or it is not clear which it is: ``stream`` names it.
    """
    variables: dict[str, Any] = {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.filename.endswith(".npy"):
                continue
            if info.file_size > _FREE + _DEFLATED * info.compress_size:
                raise RecordingError(
                    f"{path}: {info.filename} would be {info.file_size:,} bytes, of {info.compress_size:,}: no EEG is "
                    "so empty; the file is damaged, or made to fill the disk"
                )
            with tempfile.NamedTemporaryFile(suffix=".npy") as copy, archive.open(info) as packed:
                shutil.copyfileobj(packed, copy)
                copy.flush()
                variables[info.filename.removesuffix(".npy")] = _loaded(path, Path(copy.name), info.filename)
    return choose(path, variables, channels=channels, stream=stream)


def _require_whole(path: Path, file: Path, name: str) -> None:
    """Compare what the header of an array declares with what is there."""
    with file.open("rb") as stream:
        try:
            version = np.lib.format.read_magic(stream)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, kind = header(stream)
        except ValueError:
            return  # numpy.load says what is wrong
        there = file.stat().st_size - stream.tell()
    if kind.hasobject or (min(shape, default=0) >= 0 and math.prod(shape) * kind.itemsize <= there):
        return
    raise RecordingError(
        f"{path}: the header{f' of {name}' if name else ''} declares {' × '.join(f'{one:,}' for one in shape)} numbers "
        f"of {kind}, and {there:,} bytes are there; copy or export it again"
    )


def _loaded(path: Path, file: Path, name: str = "") -> np.ndarray:
    _require_whole(path, file, name)
    try:
        return np.load(file, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        if "object" in str(error).lower() or "pickle" in str(error).lower():
            raise RecordingError(
                f"{path}: {name or 'it'} holds Python objects, or is no array: such files can run code when they are "
                "opened and are never read; load it where you trust it, and save the numbers with numpy.save"
            ) from error
        raise


def read_matlab(path: Path, *, channels: int | None, stream: str | int | None = None) -> Matrix:
    """Read the variable of samples in a MATLAB file of any version, and what the others say; as `read_npz`."""
    from pymatreader import read_mat

    variables = {name: value for name, value in read_mat(path).items() if not name.startswith("__")}
    return choose(path, variables, channels=channels, stream=stream)


def choose(
    path: Path, variables: Mapping[str, Any], *, channels: int | None, stream: str | int | None = None
) -> Matrix:
    """Choose the variable that holds the samples, which may be inside a structure, and read the others' facts.

    Raises
    ------
    RecordingError
        If there is none, or it is not clear which it is.
    """
    found = {name: (value, beside) for name, value, beside in _arrays(variables) if _may_be_samples(value)}
    sizes = {name: int(np.prod(np.shape(value))) for name, (value, _) in found.items()}
    listed = ", ".join(f"{name} {_shape(value)}" for name, (value, _) in found.items())
    every = ", ".join(map(str, variables)) or "none"
    if stream is not None:
        name = list(found)[stream] if isinstance(stream, int) and 0 <= stream < len(found) else str(stream)
        if name not in found:
            raise RecordingError(
                f"{path}: {argument(stream=stream)}: no such array of samples; arrays: {listed or 'none'}"
            )
    elif not found:
        if trials := [(name, len(value)) for name, value in _lists(variables)]:
            raise RecordingError(
                f"{path}: {trials[0][0]} has {trials[0][1]} trials (epochs): joined, they would jump where one ends; "
                "save the continuous recording, or a file for each trial"
            )
        raise RecordingError(f"{path}: no array of samples in it; its variables: {every}")
    else:
        name = max(sizes, key=lambda one: sizes[one])
        usual = [one for one in found if _key(one.split(".")[-1]) in _DATA]
        rivals = [one for one in found if one != name and sizes[one] * _CLEAR > sizes[name]]
        if rivals and len(usual) == 1 and sizes[usual[0]] * _CLEAR > sizes[name]:
            name = usual[0]
        elif rivals:
            example = argument(stream=name)
            raise RecordingError(f"{path}: several arrays may be the samples: {listed}; say which with {example}")
    value, beside = found[name]
    return _as_matrix(path, name, np.asarray(value), {**variables, **beside}, channels, f"samples are in {name}")


def _shape(value: Any) -> str:
    return "×".join(map(str, np.shape(value)))


def _arrays(
    variables: Mapping[str, Any], prefix: str = "", depth: int = 0
) -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    """Yield the arrays of numbers with their names and what stands beside them, in structures too."""
    for name, value in variables.items():
        if isinstance(value, Mapping) and depth < 3:
            yield from _arrays(value, f"{prefix}{name}.", depth + 1)
        elif isinstance(value, list) and len(value) == 1 and isinstance(value[0], np.ndarray):
            yield f"{prefix}{name}", value[0], variables  # FieldTrip keeps a continuous recording as its only trial
        elif isinstance(value, np.ndarray):
            yield f"{prefix}{name}", value, variables


def _lists(variables: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Yield lists of several arrays of channels and samples, as FieldTrip keeps trials; in structures too."""
    for name, value in variables.items():
        if isinstance(value, Mapping) and depth < 3:
            yield from _lists(value, f"{prefix}{name}.", depth + 1)
        elif isinstance(value, list) and len(value) > 1 and all(_is_trial(one) for one in value):
            yield f"{prefix}{name}", value


def _is_trial(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 2 and _may_be_samples(value)


def _may_be_samples(value: np.ndarray) -> bool:
    numbers = np.issubdtype(value.dtype, np.number) and not np.issubdtype(value.dtype, np.complexfloating)
    return numbers and value.ndim in (1, 2, 3) and max(value.shape, default=0) >= SHORTEST


def _key(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _fact(beside: Mapping[str, Any], keys: Sequence[str]) -> tuple[str, Any] | None:
    """The variable that has one of some names, the first of them first; in structures beside it too."""
    flat = {_key(str(name)): (str(name), value) for name, value in reversed(list(beside.items()))}
    for value in beside.values():
        if isinstance(value, Mapping):
            for name, inner in value.items():
                flat.setdefault(_key(str(name)), (str(name), inner))
    return next((flat[key] for key in keys if key in flat), None)


def _as_matrix(
    path: Path, name: str, value: np.ndarray, beside: Mapping[str, Any], channels: int | None, said: str
) -> Matrix:
    """Turn an array so that its columns are channels, and take what stands beside it."""
    if not _may_be_samples(value):
        raise RecordingError(
            f"{path}: {name} has numbers of type {value.dtype} and shape {_shape(value)}; give real numbers with an "
            f"axis of channels and one of {SHORTEST} samples or more"
        )
    if value.ndim == 3 and 1 in value.shape:
        value = value.reshape([length for length in value.shape if length != 1])
    if value.ndim == 3:
        raise RecordingError(
            f"{path}: {name} has three axes ({_shape(value)}), as epochs have: joined, they would jump where one ends; "
            "save the continuous recording, or an array for each epoch"
        )
    notes = [said] if said else []
    names = _names(beside)
    numbers = _turned(path, value, names, channels, notes)
    count = numbers.shape[1]
    if names is not None and len(names) != count:
        names = None
    what = f"{count} channels × {len(numbers):,} samples of {value.dtype}"
    rates = _stated_rates(beside)
    if len(set(rates.values())) > 1:
        said = "its rates contradict each other: " + ", ".join(f"{name} is {rate:g}" for name, rate in rates.items())
        what, rate = f"{what}; {said}", None
        notes.append(said)
    else:
        rate = _rate(beside, notes)
    return Matrix(
        numbers=numbers, what=what,
        names=tuple(names) if names else tuple(f"ch{i + 1}" for i in range(count)), named=names is not None,
        columns=tuple(range(count)), units=_units(beside, count), rate=rate, notes=notes,
        counts=bool(np.issubdtype(value.dtype, np.integer)),
    )  # fmt: skip


def _turned(
    path: Path, value: np.ndarray, names: Sequence[str] | None, channels: int | None, notes: list[str]
) -> np.ndarray:
    """Which axis are the channels: the one of as many as were named, else the shorter one."""
    if value.ndim == 1:
        return value[:, None]
    first, second = value.shape
    wanted = channels if channels in (first, second) else len(names) if names else None
    if wanted in (first, second) and first != second:
        across = wanted == first
        why = f"{wanted} channels are named"
    elif first != second:
        across, why = first < second, "the shorter side are the channels"
    else:
        raise RecordingError(
            f"{path}: {first} × {second} numbers: which side are channels cannot be told; save more samples, or fewer "
            "channels"
        )
    count = min(first, second) if wanted is None else (first if across else second)
    if count > MOST_CHANNELS:
        raise RecordingError(
            f"{path}: {first:,} × {second:,} numbers: no recording has {count:,} channels; save an array with an axis "
            "of channels and one of samples"
        )
    order = "channels × samples" if across else "samples × channels"
    notes.append(f"taken as {order} ({first:,} × {second:,}): {why}")
    return value.T if across else value


def _names(beside: Mapping[str, Any]) -> list[str] | None:
    found = _fact(beside, _NAMES)
    if found is None:
        return None
    value = found[1]
    if isinstance(value, Mapping):  # EEGLAB's chanlocs
        value = next((inner for name, inner in value.items() if _key(str(name)) in ("labels", "label")), None)
    if isinstance(value, np.ndarray):
        value = value.ravel().tolist()
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not value or not all(isinstance(one, str | bytes) for one in value):
        return None
    return [one.decode("latin-1").strip() if isinstance(one, bytes) else one.strip() for one in value]


def _rate(beside: Mapping[str, Any], notes: list[str]) -> float | None:
    found = _fact(beside, _RATES)
    if found is None:
        return None
    name, value = found
    rate = _positive(value)
    if rate is not None:
        notes.append(f"{rate:g} Hz, by {name}")
    return rate


def _stated_rates(beside: Mapping[str, Any]) -> dict[str, float]:
    """What stands beside the samples as their rate, by its names; structures beside them may be about others."""
    found = {str(name): _positive(value) for name, value in beside.items() if _key(str(name)) in _SURE}
    return {name: rate for name, rate in found.items() if rate is not None}


def _positive(value: Any) -> float | None:
    try:
        number = float(np.asarray(value, np.float64).ravel()[0]) if np.size(value) == 1 else math.nan
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _units(beside: Mapping[str, Any], count: int) -> tuple[str | None, ...]:
    found = _fact(beside, _UNITS)
    if found is None:
        return ()
    value = np.asarray(found[1]).ravel().tolist()
    texts = [one for one in value if isinstance(one, str)]
    if len(texts) == 1:
        texts *= count
    units = [unit_of(text) for text in texts]
    return tuple(UNSTATED if unit is None else unit for unit in units) if len(units) == count else ()
