"""Traces of a recording as a page of clinical EEG shows them, from an int16 pyramid on disk.

Read `traces.py` first, what the service asks; `source.py` says what a recording shows, `pyramid.py` how it is kept, and
`page.py` what travels.
"""
