"""The networks: neural tokenizer, language model, and the one attention rule.

Read `attention.py` first, then `neurolm.py`, which puts the parts together.
"""
