"""EEG out of the model: the tokenizer's round trip, seconds that follow, electrodes that are missing.

Read `decoded.py` first, how codes become µV and spectra again; `reconstruct.py` measures what is lost on the way.
"""

from typing import Literal

Method = Literal["splines", "model"]
"""How electrodes are made from others. ``splines``: spherical splines over the scalp (Perrin et al. 1989), as MNE
interpolates bad channels. ``model``: their amplitudes halfway, in decibels, to the spectrum that the decoder makes of
the splines' codes beside those of the other electrodes; phases are the splines'."""
