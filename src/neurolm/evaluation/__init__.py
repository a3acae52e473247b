"""Answers on held-out people, beside baselines and published figures.

Read `evaluate.py` first; `held_out.py` is the only way to the test windows.
"""
