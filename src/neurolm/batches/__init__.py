"""From a store to packed batches: who is held out, which windows, in which order.

Read `loader.py` first; `splits.py` and `windows.py` say what it may draw, `text.py` is the text tokenizer.
"""
