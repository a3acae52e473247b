"""Physics stated once: rate, patch, scale and pass band, from which all else is derived."""

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
