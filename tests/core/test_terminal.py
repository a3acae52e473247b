"""What reaches a terminal: nothing that steers it."""

import sys
import unicodedata

import pytest

from neurolm.core.terminal import printable, say, show_exception, warning_line


def test_no_character_that_steers_a_terminal_is_left_and_every_other_is():
    every = [chr(number) for number in range(sys.maxunicode + 1)]
    shown = [one for one in every if printable(one) == one]
    steering = {one for one in every if unicodedata.category(one) in ("Cc", "Cs")} - {"\n"}
    steering |= {one for one in every if unicodedata.bidirectional(one) in
                 {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}} | set("\u2028\u2029")  # fmt: skip
    assert not steering & set(shown)
    assert set(every) - set(shown) - steering == set("\u061c\u200e\u200f")  # marks that turn the direction too


@pytest.mark.parametrize("text", ["Fp1 µV – 😀 é\u0301 שלום", "two\nlines"])
def test_text_stays_as_it_is(text):
    assert printable(text) == text


def test_what_is_said_as_one_line_is_one_line(capsys):
    say("a\nneurolm: error: no such thing", "\x1b[2Jb", error=True)
    assert capsys.readouterr().err == "a�neurolm: error: no such thing\n�[2Jb\n"


def test_warnings_and_tracebacks_cannot_steer_the_terminal(capsys):
    assert warning_line("x\x9b31m\r\ny") == "neurolm: warning: x�31m��y\n"
    try:
        raise KeyError("x", "\x1b]0;title\x07")
    except KeyError as error:
        found = ValueError("\x1b[2J")
        found.__cause__ = error
        show_exception(ValueError, found, None)
    printed = capsys.readouterr().err
    assert "\x1b" not in printed and printed.endswith("ValueError: �[2J\n")
