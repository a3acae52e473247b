"""Every picture that neurolm draws, by what it shows; nothing is computed here that is not drawn.

Read `style.py` first, how all look.
"""
