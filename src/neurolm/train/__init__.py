"""The four stages of training and the one loop that runs them.

Read `run.py` and `loop.py` first; `language.py`, `tokenizer.py`, `pretrain.py` and `instruct.py` are the stages.
"""
