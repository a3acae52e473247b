"""What is measured, and how large."""

from __future__ import annotations

from dataclasses import dataclass

STAGES = ("tokenizer", "pretrain", "instruct", "tokenise", "answer")
THEIRS = "official"
PRECISIONS = ("float32", "bfloat16")
"""``bfloat16``: theirs under autocast, as their scripts have it on GPUs; ours as its training does it, and answers and
codes with the weights of the blocks' linear layers kept in it, as ``neurolm ask`` has them."""
OWN = {
    "tokenizer": ("neurolm", "in passes"),
    "pretrain": ("faithful", "neurolm", "in passes"),
    "instruct": ("faithful", "neurolm", "in passes"),
    "tokenise": ("neurolm",),
    "answer": ("neurolm", "five tokens"),
}
"""Our variants of each measurement. ``faithful``: softmax over text and EEG together and the official padding in the
group normalisation, so that the numbers are theirs; ``neurolm``: softmax over a
target's own kind of output, no padding; ``in passes``: that, with one sample at a
time through the model (``samples_at_once 1``), whose gradients add up; ``five tokens``: text is written as theirs does,
instead of scoring the permitted answers."""

FIXED = ("tokenise", "answer")
"""Measurements of models whose weights depend on the precision."""


@dataclass(frozen=True)
class Settings:
    """One measurement."""

    stage: str
    size: str
    """A recipe of the paper: base, large or xl."""
    layers: int
    """Blocks of every stack are cut to so many; 0 leaves them."""
    eeg_batch: int
    text_batch: int
    text_length: int
    hours: float
    """Hours of EEG to tokenise."""
    device: str
    precision: str
    """Of matrix products: one of ``PRECISIONS``."""
    compile: bool
    """Compile the official model, as its scripts do."""
    threads: int
    official: str
    """Checkout of the official repository."""
    gpt2: str
    """Folder with GPT-2's vocab.json and merges.txt."""
