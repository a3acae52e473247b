"""The text of PDF files that fpdf2 writes: its streams inflated, its glyphs looked up in the fonts' own tables."""

import re
import zlib

_STREAM = re.compile(rb"(\d+) 0 obj\n<<((?:(?!endobj).)*?)>>\nstream\r?\n", re.DOTALL)
_SHOWN = re.compile(rb"/(F\d+) [\d.]+ Tf|\(((?:\\.|[^\\)])*)\) ?Tj|\[((?:\\.|[^\]])*)\] ?TJ", re.DOTALL)
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


def streams(pdf: bytes) -> dict[int, bytes]:
    """The inflated streams of a file, by the number of their object."""
    found = {}
    for begin in _STREAM.finditer(pdf):
        length = int(re.search(rb"/Length (\d+)", begin[2])[1])
        content = pdf[begin.end() : begin.end() + length]
        packed = b"FlateDecode" in begin[2] and b"/Image" not in begin[2]
        found[int(begin[1])] = zlib.decompress(content) if packed else content
    return found


def pages(pdf: bytes) -> list[str]:
    """The text of each page, a line for each piece that was set."""
    inflated = streams(pdf)
    unicode = {}
    for name, number in re.findall(rb"/(F\d+) (\d+) 0 R", pdf):
        font = re.search(rb"\n" + number + rb" 0 obj\n(.*?)endobj", pdf, re.DOTALL)[1]
        table = inflated[int(re.search(rb"/ToUnicode (\d+) 0 R", font)[1])]
        unicode[name] = {
            int(glyph, 16): bytes.fromhex(text.decode()).decode("utf-16-be")
            for glyph, text in re.findall(rb"<([0-9A-Fa-f]{4})>\s*<((?:[0-9A-Fa-f]{4})+)>\n", table)
        }
    contents = [int(n) for n in re.findall(rb"/Contents (\d+) 0 R", pdf)]
    return [_text(inflated[number], unicode) for number in contents]


def _text(content: bytes, unicode: dict[bytes, dict[int, str]]) -> str:
    font, lines = b"", []
    for found in _SHOWN.finditer(content):
        if found[1]:
            font = found[1]
            continue
        pieces = [found[2]] if found[2] is not None else re.findall(rb"\(((?:\\.|[^\\)])*)\)", found[3], re.DOTALL)
        raw = b"".join(re.sub(rb"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), one, flags=re.DOTALL) for one in pieces)
        glyphs = [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2)]
        lines.append("".join(unicode[font].get(glyph, "\ufffd") for glyph in glyphs))
    return "\n".join(lines)
