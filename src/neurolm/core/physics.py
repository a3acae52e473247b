"""Physics stated once: rate, patch, scale and pass band, from which all else is derived."""

from typing import Literal

RATE = 200
"""Samples per second of everything the model sees (paper section 2.1)."""
PATCH = 200
"""Samples in a patch: one second of one channel."""
SCALE = 100.0
"""Microvolts per unit of the model's input."""
BAND = (0.1, 75.0)
"""Pass band in Hz of everything the model sees."""
SHORTEST_WINDOW = 4
"""Seconds that the rest of a recording must have to become a shorter, last unlabelled window."""
Filters = Literal["zero-phase", "causal"]
"""How EEG is filtered to that band: symmetrically, from earlier and later samples, as in the paper; or from earlier
ones alone, as for EEG that is still coming in."""
