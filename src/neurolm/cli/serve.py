"""neurolm serve --model runs/mine --folder recordings"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from neurolm.cli.ask import find_model
from neurolm.cli.values import Answering
from neurolm.core.errors import ConfigError
from neurolm.core.terminal import say
from neurolm.server.settings import PORT, ServerSettings

TOKEN_VARIABLE = "NEUROLM_TOKEN"
"""Environment variable with the token that requests must carry."""


def serve(
    *,
    model: Sequence[Path] = (),
    folder: Path | None = None,
    host: str = "127.0.0.1",
    port: int = PORT,
    token: str | None = None,
    machine: Answering,
) -> None:
    """Open a page on this machine: traces, questions, answers.

    Parameters
    ----------
    model
        Folders of runs; the first is asked unless the page names another. By default $NEUROLM_MODEL, else the newest
        in runs/.
    folder
        Recordings to choose from; others are uploaded.
    host
        Address to listen at; another than this machine's own needs a token.
    port
        Port to listen at.
    token
        What requests must carry; better in $NEUROLM_TOKEN, since other users see the arguments of a process.
    """
    try:
        from neurolm.server.run import run
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("neurolm"):
            raise
        raise ConfigError(f"{error.name} is not installed: pip install 'neurolm[serve]'") from error
    settings = ServerSettings(
        models=tuple(model) or (find_model(None),), folder=folder, host=host, port=port,
        token=token or os.environ.get(TOKEN_VARIABLE) or None, device=machine.device, precision=machine.precision,
    )  # fmt: skip
    machine.set_threads()
    run(settings, told=lambda address: say(f"neurolm is at {address}  (Ctrl-C ends it)"))
