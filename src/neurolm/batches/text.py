"""The text tokenizer (byte pairs, or GPT-2's), and texts for the language model to learn from.

Pre-tokenisation is GPT-2's: a space opens the word that follows it and letters, digits and punctuation never share a
token. So the tokens of a prompt followed by those of its answer are the tokens of the whole sentence, for every
tokenizer trained or loaded here, and a loss or a likelihood can start exactly at the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurolm.batches.hub_text import SETTINGS_FILE, TEMPLATE_FILE, Manner, plain_hub
from neurolm.core.errors import TextError
from neurolm.core.files import dump_json
from neurolm.core.hub_files import hub_folder
from neurolm.core.small_files import LARGE, parse_json, read_small, read_text

if TYPE_CHECKING:
    from tokenizers import Tokenizer

END_OF_TEXT = "<|endoftext|>"
"""Ends every document; the last id of a byte-level tokenizer, and whatever ends a text in a model of the hub."""
TOKENIZER_FILE = "tokenizer.json"
VOCABULARY_FILE, MERGES_FILE = "vocab.json", "merges.txt"
GPT2_SIZE = 50_257
"""Tokens of GPT-2's vocabulary, ``<|endoftext|>`` included."""
BYTES = 256
"""Tokens that every byte-level vocabulary starts with."""
_PARTS = {
    "normalizer": (None,), "pre_tokenizer": ("ByteLevel",), "post_processor": (None, "ByteLevel"),
    "decoder": ("ByteLevel",), "model": (None, "BPE"),
}  # fmt: skip
"""Part of a byte-level tokenizer's file → its types; others could make anything of a text, of any length."""
_PROBE = " Question: is 10 µV (α) too low?\nÄn\t😀 <|x|>"
"""Text that only a byte-level tokenizer gives back unchanged."""


class TextTokenizer:
    """A byte-level BPE whose last id is ``<|endoftext|>``, or the tokenizer of a model of the hub.

    Make one with :meth:`train` or :meth:`load`; any text can be encoded and comes back unchanged from ``decode``.

    Attributes
    ----------
    size
        Number of tokens, ``<|endoftext|>`` included; a model's ``text_tokens`` must equal it.
    end_of_text
        Id of ``<|endoftext|>``, or of what ends a text in a model of the hub.
    manner
        What a model of the hub says of its texts; None: as GPT-2.
    """

    def __init__(self, backend: Tokenizer, *, source: str = "tokenizer", manner: Manner | None = None) -> None:
        if manner is None:
            self.size = backend.get_vocab_size()
        else:
            self.size = max(backend.get_vocab(with_added_tokens=True).values()) + 1
        found = backend.token_to_id(END_OF_TEXT if manner is None else manner.end)
        if manner is None and found != self.size - 1:
            raise TextError(
                f"{source}: {END_OF_TEXT} is id {found} of {self.size}, and must be the "
                "last: use GPT-2's files, or a tokenizer written by `neurolm train language`"
            )
        if found is None:
            assert manner is not None
            raise TextError(f"{source}: has no token {manner.end[:60]!r}, which is to end a text; correct eos_token")
        self.end_of_text, self.manner = int(found), manner
        self._backend = backend
        if self.decode(self.encode(_PROBE)) != _PROBE:
            raise TextError(f"{source}: not a byte-level tokenizer (text changes when encoded and decoded again)")

    @property
    def turns(self) -> tuple[str, str] | None:
        """What a model's chat template puts before a question, and between it and the answer; None: it has none."""
        return None if self.manner is None else self.manner.turns

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text; a literal ``<|endoftext|>`` in it becomes its one id."""
        if self.manner is not None:
            text = text.replace(END_OF_TEXT, self.manner.end)
        return self._backend.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, ``<|endoftext|>`` (in a model of the hub, what stands for it) included.

        Raises
        ------
        TextError
            If an id is not a text token.
        """
        foreign = [int(i) for i in ids if not 0 <= i < self.size]
        if foreign:
            raise TextError(f"id {foreign[0]} is not a text token: text has the ids 0 to {self.size - 1}")
        return self._backend.decode([int(i) for i in ids], skip_special_tokens=False)

    def save(self, folder: Path) -> Path:
        """Write ``tokenizer.json`` into a folder, which is made if it does not exist, and return the file.

        A model of the hub has a ``tokenizer_config.json`` beside it.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        file, partial = folder / TOKENIZER_FILE, folder / f".{TOKENIZER_FILE}.partial"
        self._backend.save(str(partial))
        partial.replace(file)  # so that a killed run leaves no half of a tokenizer
        if self.manner is not None:
            self.manner.save(folder)
        return file

    @classmethod
    def train(cls, texts: Sequence[str], size: int) -> TextTokenizer:
        """Train a byte-level BPE on texts; the same texts always give the same tokens.

        Parameters
        ----------
        texts
            Documents.
        size
            Number of tokens, ``<|endoftext|>`` included. Every token but the single bytes occurs in the texts at least
            twice.

        Raises
        ------
        TextError
            If the size is below 257 or the texts hold too little for it.
        """
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        if size <= BYTES:
            raise TextError(f"a byte-level tokenizer has at least {BYTES + 1} tokens, not {size}")
        backend = Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        backend.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size - 1,
            min_frequency=2,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            special_tokens=[],
            show_progress=False,
        )
        backend.train_from_iterator(list(texts), trainer)
        found = backend.get_vocab_size() + 1
        if found < size:
            raise TextError(
                f"{sum(map(len, texts)):,} characters of text give only {found} tokens of the {size} asked for: "
                f"give more text, or use a model with text_tokens of at most {found}"
            )
        return cls(_with_end_of_text(backend))

    @classmethod
    def load(
        cls, source: Path | str, *, of_hub: bool = False, end: int | None = None, tokens: int | None = None
    ) -> TextTokenizer:
        """Load a tokenizer.

        Parameters
        ----------
        source
            A folder with ``tokenizer.json``, or with GPT-2's ``vocab.json`` and ``merges.txt``; or the name of a GPT-2
            on the Hugging Face hub, such as ``openai-community/gpt2``.
        of_hub
            Whether it may be that of any model; then ``tokenizer_config.json`` lies beside it.
        end, tokens
            Id of what ends a text, where tokenizer_config.json does not say it, and how many tokens the model has; for
            such a tokenizer.

        Raises
        ------
        TextError
            If there is no tokenizer, or none that fits: not byte-level, or its last id is not ``<|endoftext|>``; for
            one of any model, it has parts that could make anything of a text.
        """
        names = [TOKENIZER_FILE, VOCABULARY_FILE, MERGES_FILE, *((SETTINGS_FILE, TEMPLATE_FILE) if of_hub else ())]
        give = f"give a folder with {TOKENIZER_FILE}, or {VOCABULARY_FILE} and {MERGES_FILE}"
        folder = hub_folder(source, names, give=give, kind=TextError)
        file = folder / TOKENIZER_FILE
        if not file.exists():
            return cls(_gpt2(folder), source=str(folder))
        if of_hub and (folder / SETTINGS_FILE).exists():
            backend = _backend(plain_hub(_read(file), file, tokens=tokens), file)
            manner = Manner.load(folder, end=None if end is None else backend.id_to_token(end))
            return cls(backend, source=str(file), manner=manner)
        return cls(_backend(_plain(file), file), source=str(file))


def _backend(content: str, file: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_str(content)
    except Exception as error:  # the library raises plain Exception for every kind of damage
        raise TextError(f"{file}: not a tokenizer ({error}); train or download it again") from error


def _read(file: Path) -> dict[str, Any]:
    try:
        found = parse_json(read_small(file, most=LARGE))
    except (OSError, ValueError) as error:
        raise TextError(f"{file}: not a tokenizer ({error}); train or download it again") from error
    if not isinstance(found, dict) or "model" not in found:
        raise TextError(f"{file}: not a tokenizer (it holds {str(found)[:60]!r}); train or download it again")
    return found


def _plain(file: Path) -> str:
    """Return the content of ``tokenizer.json``, if it is made of the parts of a byte-level one and of nothing else.

    Padding and truncation, which may ask for any length, are taken out: nobody here encodes for a fixed one.
    """
    found = _read(file)
    for part, allowed in _PARTS.items():
        kind = part_type.get("type") if isinstance(part_type := found.get(part), dict) else part_type
        if kind not in allowed:
            raise TextError(f"{file}: not a byte-level tokenizer (its {part} is {str(kind)[:60]}); use GPT-2's files")
    return dump_json(found | {"padding": None, "truncation": None})


def _with_end_of_text(backend: Tokenizer) -> Tokenizer:
    from tokenizers import AddedToken

    backend.add_special_tokens([AddedToken(END_OF_TEXT, normalized=False, special=True)])
    return backend


def _gpt2(folder: Path) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    vocabulary, merges = folder / VOCABULARY_FILE, folder / MERGES_FILE
    missing = [file.name for file in (vocabulary, merges) if not file.is_file()]
    if missing:
        raise TextError(
            f"{folder}: no {TOKENIZER_FILE} and no {' and '.join(missing)} in it: "
            f"give a folder that holds {TOKENIZER_FILE}, or GPT-2's {VOCABULARY_FILE} and {MERGES_FILE}"
        )
    try:
        vocabulary_entries = parse_json(read_small(vocabulary))
        read_small(merges)
        backend = Tokenizer(models.BPE.from_file(str(vocabulary), str(merges)))
        size = len(vocabulary_entries)
    except Exception as error:  # the library raises plain Exception for every kind of damage
        raise TextError(f"{folder}: {VOCABULARY_FILE} and {MERGES_FILE} do not load ({error})") from error
    if size != GPT2_SIZE:  # a vocabulary that loads empty or cut must not pass for GPT-2's
        raise TextError(f"{vocabulary}: {size:,} tokens, and GPT-2's has {GPT2_SIZE:,}: download it again")
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    backend.decoder = decoders.ByteLevel()
    return _with_end_of_text(backend)


def shipped_text() -> list[str]:
    """Return the English text about EEG that ships with neurolm (MIT, as the code), one document per file."""
    folder = resources.files("neurolm.batches") / "texts"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".txt")), key=lambda f: f.name)
    return [file.read_text(encoding="utf-8") for file in files]


def read_texts(folder: Path | str | None = None) -> list[str]:
    """Return the documents of a folder.

    Parameters
    ----------
    folder
        A folder, searched with its subfolders for ``.txt`` files in UTF-8, or one such file; None for the text that
        ships with neurolm.

    Returns
    -------
    list of str
        One document per file, in the order of their paths; empty files are left out.

    Raises
    ------
    TextError
        If the folder is missing or holds no text, or a file is not UTF-8.
    """
    if folder is None:
        return shipped_text()
    folder = Path(folder)
    if not folder.exists():
        raise TextError(f"{folder}: no such folder of text: give one with .txt files, or none for the shipped text")
    files = [folder] if folder.is_file() else sorted(folder.rglob("*.txt"))
    texts = []
    for file in files:
        try:
            texts.append(read_text(file, most=LARGE))
        except UnicodeDecodeError as error:
            raise TextError(f"{file}: not UTF-8 text (byte {error.start}): convert it, or move it away") from error
    texts = [text for text in texts if text.strip()]
    if not texts:
        raise TextError(f"{folder}: no text in it ({len(files)} .txt files): give a folder with .txt files")
    return texts


def token_stream(tokenizer: TextTokenizer, texts: Sequence[str]) -> np.ndarray:
    """Return the ids of documents in one row, each document closed by ``<|endoftext|>``.

    Returns
    -------
    numpy.ndarray
        int32, shape (tokens,).
    """
    pieces = [np.asarray([*tokenizer.encode(text), tokenizer.end_of_text], dtype=np.int32) for text in texts]
    return np.concatenate(pieces) if pieces else np.empty(0, dtype=np.int32)
