"""What users import: a loaded model, and what it can be asked for.

Read ``model.py`` first; ``loaded.py`` is what lies beneath it, ``signals.py`` what it makes of EEG, ``adapters.py``
several models on one base.
"""
