"""Ways to damage a file.

Every function takes the bytes and a seeded generator, and returns other bytes.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Callable
from random import Random
from typing import Any

NUMBERS = (
    "0", "-1", "1", "2", "3", "255", "65536", "1e308", "-1e308", "1e-308", "nan", "NaN", "inf", "-inf", "99999999",
    "-9999999", "2147483648", "4294967296", "18446744073709551616", "0.0000001", "1,5", "1.5.2", "0x10", "", " ", "١٢٣",
    "1_000", "½", "True", "None", "n/a", "9" * 400, "-0", "+5", "1e5", "1e400", "0.5", "1e9", "\0", "²",
)  # fmt: skip
"""What may stand where a number should."""
WHOLE = (0, 1, -1, 2, 3, 7, 127, 128, 255, 256, 32767, -32768, 65535, 2**31 - 1, -(2**31), 2**32 - 1, 2**62, -(2**63))
REAL = (0.0, -1.0, float("nan"), float("inf"), -float("inf"), 1e300, -1e300, 1e-300, 1e9, 0.5)
WORDS = (
    "",
    "x",
    "Cz",
    "Fp1,Fp2",
    "\t",
    '"',
    "'",
    "\n",
    "{",
    "}",
    "=",
    ";",
    "ä",
    "🧠",
    "\ufeff",
    "../../etc",
    "/",
    "a" * 5000,
    "%s",
    "\0",
)
Mutation = Callable[[bytes, Random], bytes]


def place(data: bytes, rng: Random, head: int) -> int:
    """A place in the file: nearly always in the first ``head`` bytes."""
    return rng.randrange(max(1, min(len(data), head) if rng.random() < 0.9 else len(data)))


def binary(data: bytes, rng: Random, head: int = 1 << 30) -> bytes:
    """Damage bytes without knowing what they mean."""
    raw, start = bytearray(data), place(data, rng, head)
    length = rng.choice((1, 1, 2, 4, 8, 16, 64))
    kind = rng.randrange(11)
    if kind == 0:
        for _ in range(rng.randrange(1, 9)):
            at = place(data, rng, head)
            if raw:
                raw[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        raw[start : start + length] = rng.randbytes(length)
    elif kind == 2:
        del raw[rng.randrange(len(raw) + 1) :]
    elif kind == 3:
        raw += rng.randbytes(rng.choice((1, 3, 100, 5000)))
    elif kind == 4:
        raw[start:start] = raw[start : start + 8 * length]
    elif kind == 5:
        del raw[start : start + length]
    elif kind == 6:
        other = place(data, rng, head)
        one, two = raw[start : start + length], raw[other : other + length]
        raw[start : start + length], raw[other : other + length] = two, one
    elif kind == 7:
        raw[start : start + length] = bytes(len(raw[start : start + length]))
    elif kind in (8, 9):
        number(raw, start - start % rng.choice((1, 2, 4)), rng)
    else:
        return rng.choice(
            (b"", bytes(data).replace(b"\n", b"\r\n"), bytes(data[::-1]), rng.randbytes(len(data)), b"\0" * len(data))
        )
    return bytes(raw)


def number(raw: bytearray, start: int, rng: Random) -> None:
    """Write a number that may surprise, in any width and order of bytes."""
    order, kind = rng.choice("<>"), rng.choice("bBhHiIqQfd")
    if kind in "fd":
        value = struct.pack(order + kind, min(max(rng.choice(REAL), -3e38), 3e38) if kind == "f" else rng.choice(REAL))
    else:
        size = struct.calcsize(kind)
        value = struct.pack(f"{order}{kind.upper()}", rng.choice(WHOLE) % (1 << 8 * size))
    if start + len(value) <= len(raw):
        raw[start : start + len(value)] = value


def text(data: bytes, rng: Random) -> bytes:
    """Damage a text: its numbers, fields, lines or encoding."""
    said = data.decode("utf-8", "surrogateescape")
    lines = said.split("\n")
    line = rng.randrange(len(lines))
    kind = rng.randrange(16)
    if kind < 5:
        found = list(re.finditer(r"[-+]?\d+(?:\.\d+)?", said))
        if found:
            one = rng.choice(found)
            said = said[: one.start()] + rng.choice(NUMBERS) + said[one.end() :]
    elif kind < 8:
        said = "\n".join([*lines[:line], _fields(lines[line], rng), *lines[line + 1 :]])
    elif kind == 8:
        del lines[line]
        said = "\n".join(lines)
    elif kind == 9:
        said = "\n".join([*lines[:line], *[lines[line]] * rng.choice((2, 2, 1000)), *lines[line + 1 :]])
    elif kind == 10:
        rng.shuffle(lines)
        said = "\n".join(lines)
    elif kind == 11:
        at = rng.randrange(len(said) + 1)
        said = said[:at] + rng.choice((*WORDS, *NUMBERS)) + said[at:]
    elif kind == 12:
        return _encoded(said, rng)
    else:
        return binary(data, rng)
    return said.encode("utf-8", "surrogatepass" if "\\ud8" in repr(said) else "surrogateescape")


def _fields(line: str, rng: Random) -> str:
    """Remove, double, reorder or replace fields of a line."""
    mark = rng.choice([m for m in (",", "\t", "=", ":", ";", " ") if m in line] or [","])
    fields = line.split(mark)
    one = rng.randrange(len(fields))
    kind = rng.randrange(5)
    if kind == 0:
        del fields[one]
    elif kind == 1:
        fields.insert(one, fields[one])
    elif kind == 2:
        rng.shuffle(fields)
    else:
        fields[one] = rng.choice((*NUMBERS, *WORDS))
    return mark.join(fields)


def _encoded(said: str, rng: Random) -> bytes:
    plain = said.encode("utf-8", "surrogateescape")
    return rng.choice(
        (
            b"\xef\xbb\xbf" + plain,
            said.encode("utf-16", "ignore"),
            said.encode("utf-32", "ignore"),
            said.replace("a", "ä").encode("latin-1", "ignore"),
            plain.replace(b"\n", b"\r\n"),
            plain.replace(b"\n", b"\r"),
            b"\xff\xfe" + plain,
            plain.replace(b"e", b"\x80"),
            b"",
        )
    )


def json_(data: bytes, rng: Random) -> bytes:
    """Damage JSON: another kind of value, a key more or less, too deep, or as text."""
    if rng.random() < 0.35:
        return text(data, rng)
    if rng.random() < 0.05:
        return rng.choice((b"[" * 100_000, b'{"a":' * 50_000, b"1" * 5000, b"NaN", b"[]", b"{}", b'"x"', b"null"))
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return text(data, rng)
    return json.dumps(_other(value, rng), ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")


def json_lines(data: bytes, rng: Random) -> bytes:
    """Damage a line of JSON Lines, or the lines' order."""
    lines = data.splitlines(keepends=True)
    if not lines or rng.random() < 0.3:
        return text(data, rng)
    line = rng.randrange(len(lines))
    lines[line] = json_(lines[line], rng) + b"\n"
    return b"".join(lines)


_STRANGE: tuple[Any, ...] = (
    None, True, 0, -1, 1e308, -1e308, float("nan"), float("inf"), 10**30, -(10**30), "", "x", [], {}, [[]], [None],
    {"": {}}, "\0", "a" * 5000, 0.5, 2**63, [1, "2"], "\ud800",
)  # fmt: skip


def _other(value: Any, rng: Random) -> Any:
    """The value, changed at one place."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        kind = rng.randrange(8)
        if kind == 0:
            return {k: v for k, v in value.items() if k != key}
        if kind == 1:
            return value | {rng.choice(WORDS[:12]): rng.choice(_STRANGE)}
        if kind == 2:
            return {rng.choice(WORDS[:12]) if k == key else k: v for k, v in value.items()}
        return value | {key: _other(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.7:
        place_ = rng.randrange(len(value))
        kind = rng.randrange(5)
        if kind == 0:
            return value[:place_] + value[place_ + 1 :]
        if kind == 1:
            return value[: place_ + 1] * 2 + value[place_ + 1 :]
        return [_other(v, rng) if i == place_ else v for i, v in enumerate(value)]
    return rng.choice(_STRANGE)


_FIXED = ((0, 8), (8, 80), (88, 80), (168, 8), (176, 8), (184, 8), (192, 44), (236, 8), (244, 8), (252, 4))
_COLUMNS = ((0, 16), (16, 80), (96, 8), (104, 8), (112, 8), (120, 8), (128, 8), (136, 80), (216, 8), (224, 32))


def edf(data: bytes, rng: Random) -> bytes:
    """Damage a field of an EDF header by its place, or anything."""
    if rng.random() < 0.35 or len(data) < 512:
        return binary(data, rng, 1280)
    raw = bytearray(data)
    declared = data[252:256].strip()
    count = max(1, int(declared)) if declared.isdigit() else 1
    if rng.random() < 0.4:
        start, width = rng.choice(_FIXED)
    else:
        column, width = rng.choice(_COLUMNS)
        start = 256 + column * count + rng.randrange(count) * width
        if rng.random() < 0.15:
            other = 256 + column * count + rng.randrange(count) * width
            raw[start : start + width], raw[other : other + width] = (
                raw[other : other + width],
                raw[start : start + width],
            )
            return bytes(raw)
    words = (
        *NUMBERS,
        "EDF+C",
        "EDF+D",
        "EDF Annotations",
        "uV",
        "V",
        "mV",
        "mmHg",
        "µV",
        "1.1.2000",
        "12",
        "-1 ",
        "EEG Fp1",
    )
    value = rng.choice(words).encode("utf-8")[:width].ljust(width)
    raw[start : start + width] = value
    return bytes(raw)


def edf_annotations(data: bytes, rng: Random) -> bytes:
    """Damage the lists of annotations of an EDF+ file, or its header."""
    at = [match.start() for match in re.finditer(rb"\x14", data)]
    if not at or rng.random() < 0.6:
        return edf(data, rng)
    raw, start = bytearray(data), rng.choice(at)
    piece = rng.choice(
        (
            b"\x14",
            b"\x15",
            b"\0",
            b"+1e5\x14",
            b"-5\x151\x14x\x14\0",
            b"+nan\x14",
            b"++",
            rng.randbytes(4),
            b"+9999999999999999\x14",
            b"\r\n\t",
            b"+.5\x15 2 \x14",
            b"+2\x15\x14x",
        )
    )
    start += rng.randrange(-6, 6)
    raw[start : start + len(piece)] = piece
    return bytes(raw[: len(data)])


def samples(data: bytes, rng: Random, *, kind: str = "<f", start: int = 0, stop: int | None = None) -> bytes:
    """Put values that are none, or far from the others, among the numbers that lie between two bytes of a file."""
    raw, size = bytearray(data), struct.calcsize(kind)
    count = ((len(data) if stop is None else stop) - start) // size
    if count < 1:
        return data
    value = struct.pack(kind, rng.choice((math.nan, math.nan, math.inf, -math.inf, 0.0, 1e-38, 3e38, -5e5)))
    length = rng.choice((1, 1, 3, 40, 500, 5000))
    step = rng.choice((1, 1, 3, 37))
    first = rng.randrange(count)
    for place in range(first, min(first + length * step, count), step):
        raw[start + place * size : start + (place + 1) * size] = value
    return bytes(raw)


def fif_samples(data: bytes, rng: Random) -> bytes:
    """Put such values into a buffer of a FIF file."""
    buffers, at = [], 0
    while at + 16 <= len(data):
        number, _, size, following = struct.unpack(">4i", data[at : at + 16])
        if number == 300:  # FIFF_DATA_BUFFER
            buffers.append((at + 16, at + 16 + size))
        if following < 0 or size < 0:
            break
        at = following if following > at else at + 16 + size
    if not buffers or rng.random() < 0.2:
        return fif(data, rng)
    start, stop = rng.choice(buffers)
    return samples(data, rng, kind=">f", start=start, stop=min(stop, len(data)))


def markers(data: bytes, rng: Random) -> bytes:
    """Put a marker into a BrainVision file that begins a segment, is bad, or lies anywhere; or damage the text."""
    if rng.random() < 0.4:
        return text(data, rng)
    what = rng.choice(("New Segment,", "Comment,BAD_x", "Comment,boundary", "Stimulus,S  1", "Comment,EDGE boundary"))
    where, length = rng.choice((1, 0, -5, 2, 399, 400, 401, 790, 800, 801, 10**9)), rng.choice((1, 0, 50, 400, 10**9))
    return data.rstrip(b"\n") + f"\nMk{rng.randrange(2, 9)}={what},{where},{length},0\n".encode()


def record_times(data: bytes, rng: Random) -> bytes:
    """Let a data record of an EDF+ file begin at another time."""
    found = list(re.finditer(rb"\+(\d+)\x14\x14\0*", data))
    if not found or rng.random() < 0.3:
        return edf_annotations(data, rng)
    one = rng.choice(found)
    new = rng.choice((b"0", b"1", b"2.5", b"3.01", b"100", b"3600.5", b"86400", b"4000000", b"1e9", b"-7", b"x"))
    room = len(one[0])
    return data[: one.start()] + (b"+" + new + b"\x14\x14").ljust(room, b"\0")[:room] + data[one.end() :]


def xdf_samples(data: bytes, rng: Random) -> bytes:
    """Damage time stamps or samples of an XDF file."""
    found = [match.start() for match in re.finditer(rb"\x08", data)]
    if not found or rng.random() < 0.4:
        return samples(data, rng, start=len(data) // 3)
    start = rng.choice(found) + 1
    value = rng.choice((*REAL, 11.0, 60.0, 9.0, 10.4999, 4000.0))
    return data[:start] + struct.pack("<d", value) + data[start + 8 :]


def xdf(data: bytes, rng: Random) -> bytes:
    """Damage the text of a stream's header, or the chunks."""
    found = list(re.finditer(rb">([^<>]+)<", data))
    if not found or rng.random() < 0.5:
        return binary(data, rng, rng.choice((60, 1500, len(data) or 1)))
    one = rng.choice(found)
    new = rng.choice((*NUMBERS, *WORDS, "int8", "int64", "double64", "string", "float32", "Markers", "EEG")).encode()
    changed = data[: one.start(1)] + new + data[one.end(1) :]
    if rng.random() < 0.8:  # keep the chunk's own length true, so that what is inside is looked at
        at = changed.rfind(b"\4", 0, one.start(1))
        while at >= 0:
            length = struct.unpack("<I", changed[at + 1 : at + 5])[0] if at + 7 <= len(changed) else 0
            if changed[at + 5 : at + 7] in (b"\1\0", b"\2\0", b"\6\0") and at + 5 + length >= one.end(1):
                longer = struct.pack("<I", max(0, length + len(new) - (one.end(1) - one.start(1))))
                return changed[: at + 1] + longer + changed[at + 5 :]
            at = changed.rfind(b"\4", 0, at)
    return changed


def fif(data: bytes, rng: Random) -> bytes:
    """Damage a tag of a FIF file (kind, type, length, place of the next, or the first numbers of its content)."""
    if rng.random() < 0.3:
        return binary(data, rng, 2000)
    places, at = [], 0
    while at + 16 <= len(data):
        size, following = struct.unpack(">2i", data[at + 8 : at + 16])
        places.append(at)
        if following < 0 or size < 0:
            break
        at = following if following > at else at + 16 + size
    raw = bytearray(data)
    if not places:
        return binary(data, rng)
    start = rng.choice(places) + 4 * rng.randrange(7)
    if rng.random() < 0.5:
        value = struct.pack(">I", rng.choice(WHOLE) % (1 << 32))
    else:
        value = struct.pack(">f", min(max(rng.choice(REAL), -3e38), 3e38))
    if start + 4 <= len(raw):
        raw[start : start + 4] = value
    return bytes(raw)


def eeglab(struct_: dict[str, Any], write: Callable[[Any], bytes], rng: Random) -> bytes:
    """A .set of EEGLAB's structure with values that should not be there."""
    import numpy as np

    strange = (
        0, -1, 1, 2, 1e9, 1e308, float("nan"), float("inf"), -float("inf"), 0.5, "", "x", "nothing.fdt", "../a.fdt",
        np.zeros((0, 0)), np.zeros((2, 3)), np.zeros((2, 2, 2)), np.array([[1 + 2j]]), [], {"a": 1}, True,
        [{"labels": "Cz"}], [{"type": 5, "latency": float("nan")}], [{"X": 1.0}], np.array(["ab", "cd"], object),
    )  # fmt: skip
    content = {key: [dict(one) for one in value] if _structs(value) else value for key, value in struct_.items()}
    for _ in range(rng.choice((1, 1, 2, 3))):
        key = rng.choice(list(content))
        if rng.random() < 0.2:
            del content[key]
        elif _structs(content[key]) and rng.random() < 0.7:
            inner = rng.choice(content[key])
            inner[rng.choice(list(inner))] = rng.choice(strange)
        else:
            content[key] = rng.choice(strange)
    try:
        return write(rng.choice((content,) * 30 + (np.zeros(3), "text", np.zeros((0,)))))
    except (ValueError, TypeError):  # savemat itself cannot write it
        return write(struct_)


def _structs(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)
