"""What everything else stands on, free of torch at import except the batch: physics, names, settings, errors, files.

Read `physics.py` (rate, patch, scale), `montage.py` (electrodes) and `batch.py` (the treaty of data and model) first.
"""
