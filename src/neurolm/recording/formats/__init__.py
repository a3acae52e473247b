"""What file formats promise and hold: headers checked, samples read straight, missing data found.

Read `edf.py` first; `completeness.py` is for the formats that MNE reads.
"""
