"""The authors' weights, both ways, and the proof that the numbers are theirs (`verify/`).

Read `weights.py` first; `convert.py` turns files into checkpoint folders and back.
"""
