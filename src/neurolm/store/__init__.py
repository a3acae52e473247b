"""int16 shards and their manifest: what preparation writes and training reads.

Read `store.py` first; `manifest.py` is a row, `index.py` opens 100,000 of them in a moment.
"""
