"""The API, part by part: what each request takes, and what it is answered with.

Read `recordings.py` first.
"""
