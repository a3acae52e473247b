"""The service: a page where EEG and answers stand together, and the HTTP API under it, for programs.

Read `settings.py` first, what can be chosen.
"""
