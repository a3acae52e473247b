"""Several fine-tuned models on one base, whose weights are in memory once

>>> models = load_adapters({"sleep": "runs/sleep", "workload": "runs/workload"})
>>> models["sleep"].ask("night.edf", models["sleep"].questions[0])
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from neurolm.api.model import Model
from neurolm.ask.precision import Chosen, choose_precision
from neurolm.checkpoint import AdapterFile, add_adapters, load_base, load_card, load_text
from neurolm.core.device import choose_device
from neurolm.core.errors import CheckpointError, ConfigError
from neurolm.hub.publish import find_checkpoint
from neurolm.model.adapters import sharing
from neurolm.model.precision import keep_in_bfloat16


def load_adapters(
    folders: Mapping[str, str | Path],
    *,
    base: str | Path | None = None,
    device: str = "auto",
    precision: Chosen = "float32",
) -> dict[str, Model]:
    """Load models that were trained as adapters of the same checkpoint, which is loaded once for all of them.

    Their adapters stay beside its weights, where ``neurolm.load`` merges them: each answer takes a little longer, and
    another model a few megabytes more.

    Parameters
    ----------
    folders
        By names of your own: folders of runs or of ``instruct`` checkpoints, or ids on the Hugging Face hub.
    base
        Where the checkpoint is that they were trained on; by default where it was then.
    device, precision
        As for ``neurolm.load``; the same for all.

    Returns
    -------
    dict of str to Model
        By the same names; each with its own calibration and evidence.

    Raises
    ------
    CheckpointError
        If one has no adapters, or another base than the first; or its base is not there, or has changed.
    ConfigError
        If no folder is given.
    """
    if not folders:
        raise ConfigError("folders: give at least one, by a name of your own")
    where = choose_device(device)
    paths = {name: find_checkpoint(folder) for name, folder in folders.items()}
    cards = {name: load_card(path, stage="instruct") for name, path in paths.items()}
    files = {name: _adapter_of(path) for name, path in paths.items()}
    first = next(iter(paths))
    for name, found in files.items():
        if sorted(one.weights for one in found.bases) != sorted(one.weights for one in files[first].bases):
            raise CheckpointError(
                f"{paths[name]}: adapters of another checkpoint than {paths[first]}: load them apart, or give those of "
                "one base"
            )
    whole = load_base(paths[first], cards[first], files[first], decoders=False, base=_place(base)).to(where)
    chosen = choose_precision(precision, cards[first].run.model, where)
    if chosen == "bfloat16":
        keep_in_bfloat16(whole)  # before it is shared: cast apart, each would have its own
    models = {}
    for name, path in paths.items():
        module = sharing(whole)
        add_adapters(path, cards[name], files[name], module)
        text = load_text(path, cards[name])
        models[name] = Model(module, cards[name], text, where, folder=path, precision=chosen, base=_place(base))
    return models


def _adapter_of(folder: Path) -> AdapterFile:
    if (found := AdapterFile.load(folder)) is None:
        raise CheckpointError(f"{folder}: has no adapters; load it with neurolm.load")
    return found


def _place(base: str | Path | None) -> Path | None:
    return None if base is None else Path(base)
