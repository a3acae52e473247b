"""Classical methods on the same windows and people. Read `fit.py` first."""
