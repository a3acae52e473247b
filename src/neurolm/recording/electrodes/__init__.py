"""Which channel is which electrode, where electrodes lie, and how others are made from them.

Read `naming.py` first; `selection.py` decides which electrodes a recording gets.
"""
