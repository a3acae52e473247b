"""The models of a service, by names: those that are adapters on one base share it in memory"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from neurolm.core.errors import ConfigError
from neurolm.server.settings import ServerSettings

if TYPE_CHECKING:
    from neurolm.api.model import Model


def load_models(settings: ServerSettings) -> dict[str, Model]:
    """Load the models of a service.

    Returns
    -------
    dict of str to Model
        By the names of their folders, in the order given.

    Raises
    ------
    CheckpointError
        If one cannot be loaded.
    ConfigError
        If none is given.
    """
    from neurolm.api.adapters import load_adapters
    from neurolm.api.model import load

    if not settings.models:
        raise ConfigError("models: give the folder of at least one run")
    names = names_of(settings.models)
    how = {"device": settings.device, "precision": settings.precision}
    found: dict[str, Model] = {}
    for together in _on_one_base(dict(zip(names, settings.models, strict=True))):
        if len(together) > 1:
            found |= load_adapters(together, **how)  # type: ignore[arg-type]
        else:
            found |= {name: load(folder, **how) for name, folder in together.items()}  # type: ignore[arg-type]
    return {name: found[name] for name in names}


def names_of(folders: Sequence[Path]) -> list[str]:
    """Name models by their folders; where two have one name, the later ones get a number."""
    names: list[str] = []
    for folder in folders:
        path = folder.resolve()
        name = path.parent.name if path.name == "instruct" else path.name
        number = 1
        while (unique := name if number == 1 else f"{name}-{number}") in names:
            number += 1
        names.append(unique)
    return names


def _on_one_base(folders: dict[str, Path]) -> list[dict[str, Path]]:
    """Models apart, but those together that are adapters of the same checkpoint."""
    from neurolm.checkpoint import AdapterFile
    from neurolm.hub.publish import find_checkpoint

    groups: dict[object, dict[str, Path]] = {}
    for name, folder in folders.items():
        adapter = AdapterFile.load(find_checkpoint(folder))
        base = name if adapter is None else tuple(sorted(one.weights for one in adapter.bases))
        groups.setdefault(base, {})[name] = folder
    return list(groups.values())
