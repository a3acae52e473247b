"""Tasks are data: a question, its options, windows and split in a TOML card; and the metrics of answers.

Read `task.py` first; `cards/` has the cards that ship.
"""
