"""EEG as it arrives: an answer every second, from causal filters and caches that go on.

Read `source.py` first, what a source gives.
"""
