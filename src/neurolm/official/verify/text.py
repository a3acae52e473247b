"""Prompts of the paper's tasks and their token ids against the official ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from neurolm.ask.prompt import Prompt
from neurolm.batches.text import GPT2_SIZE, MERGES_FILE, TOKENIZER_FILE, TextTokenizer
from neurolm.core.errors import CheckpointError, argument
from neurolm.core.vocabulary import Vocabulary
from neurolm.official.verify.comparison import Comparison, equal
from neurolm.official.verify.proof import Proof
from neurolm.tasks.card import load_task

LABEL_NUMBERS = {
    "TUAB": "10",
    "TUEV": "012345",
    "TUSL": "012",
    "SEED": "012",
    "HMC": "01234",
    "EEGMAT": "10",
}
"""For each task, the number that the official code gives to each option, in the order of our card."""


def find_gpt2(folder: Path) -> Path:
    """Find GPT-2's tokenizer beside a folder of proof data.

    Raises
    ------
    CheckpointError
        If it is in none of the usual places.
    """
    folder = folder.resolve()
    places = [above / "gpt2" for above in (folder, *folder.parents[:2])]
    for place in places:
        if (place / MERGES_FILE).is_file() or (place / TOKENIZER_FILE).is_file():
            return place
    raise CheckpointError(
        f"{folder}: GPT-2's vocab.json and merges.txt are not beside it (looked in {', '.join(map(str, places))}): "
        f"give {argument(gpt2='FOLDER')}, or a hub id"
    )


def check_prompts(proof: Proof, gpt2: Path | str) -> Iterator[Comparison]:
    """Text and ids of every prompt with each of its answers."""
    text = TextTokenizer.load(gpt2)
    if text.size != GPT2_SIZE:
        raise CheckpointError(f"{gpt2}: a tokenizer of {text.size:,} tokens; GPT-2's has {GPT2_SIZE:,}")
    separator = Vocabulary(text_tokens=text.size, codes=2).separator
    for name, official in proof.json("prompts", above=True).items():
        if name not in LABEL_NUMBERS:
            raise CheckpointError(f"prompts.json: unknown task {name!r}; known are {', '.join(LABEL_NUMBERS)}")
        task, numbers = load_task(name.lower()), LABEL_NUMBERS[name]
        prompt = Prompt.of(task, text, separator)
        texts = [task.prompt, *(task.prompt + answer for answer in task.answers)]
        theirs = [official["prompt"], *(official["label_texts"].get(number) for number in numbers)]
        yield equal(f"prompts: {name} text", np.array(texts, object), np.array(theirs, object))
        ids = [list(prompt.question), *(list(prompt.question + answer) for answer in prompt.answers)]
        expected = [official["prompt_ids"], *(official["label_ids"].get(number, []) for number in numbers)]
        yield equal(f"prompts: {name} token ids", _flat(ids), _flat(expected))


def _flat(rows: list[list[int]]) -> np.ndarray:
    """Return all ids; −1, which is no id, ends each row."""
    return np.array([value for row in rows for value in (*row, -1)])
