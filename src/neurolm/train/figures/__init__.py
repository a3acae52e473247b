"""What a stage writes down while it trains, where it goes, and runs side by side.

Read `logs.py` first.
"""
