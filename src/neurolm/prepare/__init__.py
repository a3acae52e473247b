"""Many recordings into a store, by many processes or machines, resumable at any moment.

Read `prepare.py` first, the way in; `preparation.py` decides what is left to do, `worker.py` does it for one recording,
`journal.py` remembers it, `report.py` says it.
"""
