"""The four stages of training and the one loop that runs them.

Read `stage.py` first, what a stage is, then `loop.py`; `language.py`, `tokenizer.py`, `pretrain.py` and `instruct.py`
are the stages, and what they share is in `shared.py`.
"""
