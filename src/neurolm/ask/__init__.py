"""Questions about EEG: likelihood of each option, made into an answer with an honest probability.

Read `question.py` first, then `engine.py` (likelihoods from a shared prefix) and `answer.py` (what is concluded).
"""
