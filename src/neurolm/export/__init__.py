"""Answers in the files of other programs: EDF+ annotations, BIDS derivatives, hypnograms, tables.

Read `export.py` first: it knows the formats and writes the simple ones. `stretches.py` says which moment belongs to
which window, `words.py` what is written of it; `edf_annotations.py` and `bids.py` write the two formats with rules of
their own.
"""
