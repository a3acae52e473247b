"""Text in any encoding."""

import pytest

from neurolm.core.text import decode

TEXT = "Öffnen, 5 µV, “ja” – café"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_what_programs_write_is_read(encoding):
    assert decode(TEXT.encode(encoding)) == TEXT


def test_a_code_page_that_is_known_is_used_where_it_is_no_utf_8():
    assert decode("Ä 5 µ".encode("cp850"), "cp850") == "Ä 5 µ"
    assert decode("Ä 5 µ".encode(), "cp850") == "Ä 5 µ"
    assert decode("Ä".encode("latin-1"), "no such page") == "Ä"
    assert decode(b"\x81\xc4") == "\x81Ä"  # no character of the code page
