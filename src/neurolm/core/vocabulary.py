"""The joint vocabulary of text and EEG: every special id and range has a name here.

Layout of the output ids (paper section 3.2; sizes of the official model in brackets)::

    0 … text_tokens-1      text, <|endoftext|> usually the last     [0 … 50,256]
    separator              stands between EEG and text              [50,257]
    … padding to a multiple of 64                                   [… 50,303]
    eeg_start … size-1     the codes of the neural tokenizer        [50,304 … 58,495]
"""

from dataclasses import dataclass

ROUND_TO = 64
"""The text part is padded to a multiple of this, as in the official model."""


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Sizes and special ids of the joint vocabulary.

    Parameters
    ----------
    text_tokens
        Number of tokens of the text tokenizer, ``<|endoftext|>`` included.
    codes
        Number of codes of the neural tokenizer.
    end
        Id of ``<|endoftext|>``, or what stands for it; None: the last text token.
    """

    text_tokens: int
    codes: int
    end: int | None = None

    @property
    def end_of_text(self) -> int:
        """Id of ``<|endoftext|>``."""
        return self.text_tokens - 1 if self.end is None else self.end

    @property
    def separator(self) -> int:
        """Id of the token between EEG and text: the first after the text tokens."""
        return self.text_tokens

    @property
    def eeg_start(self) -> int:
        """Id of EEG code 0, which is also the number of rows of the word embedding."""
        return -(-(self.text_tokens + 1) // ROUND_TO) * ROUND_TO

    @property
    def size(self) -> int:
        """Number of outputs of the language model."""
        return self.eeg_start + self.codes
