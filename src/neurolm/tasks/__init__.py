"""Questions as data: a task card has question, options, windows and split; and metrics of answers.

Read `task.py` first; `cards/` has the cards that ship.
"""
