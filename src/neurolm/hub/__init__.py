"""Checkpoints as folders and repositories of the Hugging Face hub, with a model card.

Read `publish.py` first.
"""
