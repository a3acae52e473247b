"""The joint vocabulary against the official model's numbers."""

import pytest

from neurolm.core.vocabulary import ROUND_TO, Vocabulary


def test_sizes_of_the_paper():
    official = Vocabulary(text_tokens=50_257, codes=8192)
    assert official.end_of_text == 50_256  # GPT-2's <|endoftext|>
    assert official.separator == 50_257
    assert official.eeg_start == 50_304
    assert official.size == 58_496


@pytest.mark.parametrize("text_tokens", [1, 63, 64, 65, 127, 128, 1024, 50_257])
def test_ranges_follow_each_other_without_overlap(text_tokens):
    vocabulary = Vocabulary(text_tokens=text_tokens, codes=10)
    assert vocabulary.end_of_text == text_tokens - 1
    assert vocabulary.end_of_text < vocabulary.separator < vocabulary.eeg_start
    assert vocabulary.eeg_start % ROUND_TO == 0
    assert vocabulary.eeg_start - vocabulary.separator <= ROUND_TO
    assert vocabulary.size - vocabulary.eeg_start == 10
