"""neurolm: ask an EEG recording a question in English, get an answer with an honest probability.

Importing does nothing slow: torch and MNE are loaded when they are first needed.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurolm.api.adapters import load_adapters
    from neurolm.api.model import Model, from_pretrained, load
    from neurolm.api.remote import RemoteModel, connect
    from neurolm.archive.archive import ask_archive, ask_many
    from neurolm.archive.embed import embed_archive
    from neurolm.ask.answer import Answer, Progress
    from neurolm.recording.options import ReadingOptions

try:
    __version__ = version("neurolm")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["Answer", "Model", "Progress", "ReadingOptions", "RemoteModel", "__version__", "ask_archive", "ask_many",
           "connect", "embed_archive", "from_pretrained", "load", "load_adapters"]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "ReadingOptions":  # without torch
        return import_module("neurolm.recording.options").ReadingOptions
    if name in ("ask_archive", "ask_many"):
        return getattr(import_module("neurolm.archive.archive"), name)
    if name == "load_adapters":
        return import_module("neurolm.api.adapters").load_adapters
    if name == "embed_archive":
        return import_module("neurolm.archive.embed").embed_archive
    if name in ("RemoteModel", "connect"):
        return getattr(import_module("neurolm.api.remote"), name)
    if name == "Progress":
        return import_module("neurolm.ask.answer").Progress
    if name in __all__:
        return getattr(import_module("neurolm.api.model"), name)
    raise AttributeError(f"module 'neurolm' has no attribute {name!r}")


def __dir__() -> list[str]:  # what is loaded late is there too, for completion
    return list(__all__)
