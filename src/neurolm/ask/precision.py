"""Which precision a model answers in: the calibration's, and bfloat16 where it is faster here

Only the linear layers of the transformer blocks are in bfloat16 then: the residual stream, normalisations, codes and
the likelihoods of words stay in float32 (see `neurolm.model.precision`).
"""

from __future__ import annotations

from typing import Literal

import torch

from neurolm.ask.calibration import Calibration
from neurolm.ask.prompt import PLACES
from neurolm.core.config import PRECISIONS, ModelConfig, Precision
from neurolm.core.errors import ConfigError, argument
from neurolm.core.names import choose
from neurolm.model.precision import bfloat16_pays, multiplies_bfloat16

Chosen = Literal["float32", "bfloat16"]


def choose_precision(
    wanted: Precision, config: ModelConfig, device: torch.device, *, calibration: Calibration | None = None
) -> Chosen:
    """Return the precision that a model answers in.

    Parameters
    ----------
    wanted
        ``auto`` takes bfloat16 where it is faster on this machine and the calibration, if there is one, was fitted on
        answers in it: probabilities are those of the precision that they were fitted in.
    config
        Sizes of the model.

    Raises
    ------
    ConfigError
        If it is none of ``config.PRECISIONS``, or the device does not multiply in it.
    """
    if wanted not in PRECISIONS:
        raise ConfigError(f"{argument(precision=wanted)}: no precision of answers{choose(str(wanted), PRECISIONS)}")
    if wanted == "auto":
        fitted = calibration is None or not calibration.tasks or calibration.precision == "bfloat16"
        width = min(config.tokenizer.encoder.width, config.language.transformer.width)
        pays = fitted and bfloat16_pays(device, width=width, places=PLACES[device.type], training=False)
        return "bfloat16" if pays else "float32"
    if wanted == "bfloat16" and not multiplies_bfloat16(device):
        raise ConfigError(
            f"{argument(precision=wanted)}: {torch.cuda.get_device_name(device)} cannot multiply in it; use float32"
        )
    return wanted


def other_precision(calibration: Calibration | None, precision: Chosen) -> str | None:
    """What is said of calibrated answers in another precision than the calibration's."""
    if calibration is None or calibration.precision == precision:
        return None
    return (
        f"answered in {precision}, calibrated in {calibration.precision}: probabilities differ a little from those "
        f"that were checked; {argument(precision=calibration.precision)} gives these"
    )
