"""Checkpoints as folders and repositories of the Hugging Face hub, with their model card. Read `publish.py` first."""
