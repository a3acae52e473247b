"""Classical methods on the same windows and people.

Read `fit.py` first; `material.py` says what a baseline may learn from.
"""
