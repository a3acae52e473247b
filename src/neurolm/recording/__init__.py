"""One recording of any format as electrodes in µV, checked, filtered and at 200 Hz.

Read `recording.py` first: `open_recording` is the way in. `readers.py` chooses who reads a file, `preprocess.py`
filters it, `inspect.py` says all that can be known of it. `formats/` knows files, `electrodes/` channel names.
"""
