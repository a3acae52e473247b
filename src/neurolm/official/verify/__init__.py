"""Equality with the authors' implementation, which anyone can check on proof data.

Read `check.py` first.

    neurolm verify official/golden

The folder holds inputs and outputs of the official code (GitHub 935963004/NeuroLM) on weights that a recipe makes from
their names, at any sizes; the folder above it holds the official electrodes and prompts. What is compared here are the
functions that training and answering use, not copies of them.
"""

from neurolm.official.verify.check import verify
from neurolm.official.verify.comparison import TOLERANCE, Comparison

__all__ = ["TOLERANCE", "Comparison", "verify"]
