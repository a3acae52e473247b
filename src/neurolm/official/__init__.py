"""The authors' weights, both ways, and the proof that the numbers are theirs (`verify/`).

Read `weights.py` first; `convert.py` turns files into checkpoint folders and back.
"""

PADDED_TO = 1024
"""Patches to which the authors padded every sample in the stages that made their released weights."""
