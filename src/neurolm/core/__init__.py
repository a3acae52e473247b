"""What everything else stands on: physics, electrodes, settings, errors, files, and the batch.

Read `physics.py` (rate, patch, scale), `montage.py` (electrodes) and `batch.py` (the treaty of data and model) first.
Nothing here imports torch when it is imported, except the batch.
"""
