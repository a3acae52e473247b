"""The models of a service, by names: those that are adapters on one base share it in memory"""

from __future__ import annotations

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
    """
    from neurolm.api.model import load

    if not settings.models:
        raise ConfigError("models: give the folder of at least one run")
    names = names_of(settings.models)
    return {
        name: load(folder, device=settings.device, precision=settings.precision)  # type: ignore[arg-type]
        for name, folder in zip(names, settings.models, strict=True)
    }


def names_of(folders: tuple[Path, ...]) -> list[str]:
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
