"""Copies of recordings and people of one store that are in another.

Read `overlap.py` first; `fingerprint.py` is how a copy is known.
"""
