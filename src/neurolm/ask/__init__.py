"""Questions about EEG: likelihood of each option, made into an answer with an honest probability.

Read `question.py` first, then `engine.py` (likelihoods from a shared prefix) and `answer.py` (what is concluded).
"""

EXPLAINED = 16
"""Windows that an explanation looks at, where no other number is given."""
FREE_SECONDS = 4
"""Length of the windows of a question without a card, and of features."""
ALLOWED = 0.2
"""Share of windows unlike the training data that needs no warning: movements and electrode artefacts happen."""
