"""EEG out of the model: the tokenizer's round trip, seconds that follow, electrodes that are missing.

Read `decoded.py` first, how codes become µV and spectra again; `reconstruct.py` measures what is lost on the way.
"""
