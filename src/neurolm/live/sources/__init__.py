"""Where live EEG comes from: LSL streams, recordings replayed, simulated EEG, BrainFlow's boards.

Read `open_source.py` first, what sources are called and who opens each.
"""
