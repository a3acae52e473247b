"""What everything else stands on, free of torch at import except the batch: physics, names, settings, errors, files.

Read `montage.py` (electrodes, rate, patch, scale) and `batch.py` (the treaty between data and model) first.
"""
