"""neurolm mcp --model runs/mine --folder recordings"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from neurolm.cli.ask import find_model
from neurolm.cli.serve import TOKEN_VARIABLE
from neurolm.cli.values import Answering
from neurolm.core.errors import FLAGS, ConfigError
from neurolm.core.small_files import read_text
from neurolm.core.terminal import say

if TYPE_CHECKING:
    from neurolm.api.model import Model

PORT = 8766


def mcp(
    *,
    model: Path | None = None,
    folder: Path,
    http: bool = False,
    host: str = "127.0.0.1",
    port: int = PORT,
    token_file: Path | None = None,
    names: Sequence[str] = (),
    machine: Answering,
) -> None:
    """Let assistants ask recordings of a folder, by the Model Context Protocol.

    An assistant's program starts it and speaks to it by standard input and output; with --http it listens.

    Parameters
    ----------
    folder
        The recordings; no other file can be reached.
    http
        Serve streamable HTTP at /mcp instead; every request must carry the token in $NEUROLM_TOKEN.
    host
        Address to listen at, with --http.
    port
        Port to listen at, with --http.
    token_file
        File with the token, in place of $NEUROLM_TOKEN.
    names
        Host names by which it is called, as by a proxy in front of it.
    """
    try:
        from neurolm.assistant import serve, tools
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("neurolm"):
            raise
        raise ConfigError(f"{error.name} is not installed: pip install 'neurolm[mcp]'") from error
    from neurolm.assistant.desk import Desk
    from neurolm.assistant.folder import Recordings
    from neurolm.hub.publish import find_checkpoint

    token = serve.require_token(_token(token_file)) if http else None
    recordings, checkpoint = Recordings(folder), find_checkpoint(find_model(model))
    machine.set_threads()

    def load() -> Model:
        from neurolm.api.model import load

        return load(checkpoint, device=machine.device, precision=machine.precision)

    server = tools.make_server(Desk(load, recordings))
    os.environ.pop(FLAGS, None)  # from now on messages are for assistants, who give no flags
    if token is None:
        serve.serve_stdio(server)
    else:
        serve.serve_http(
            server, token=token, host=host, port=port, names=names,
            told=lambda address: say(f"neurolm is at {address}  (Ctrl-C ends it)"),
        )  # fmt: skip


def _token(file: Path | None) -> str | None:
    """The token, out of a file or the environment."""
    if file is None:
        return os.environ.get(TOKEN_VARIABLE)
    try:
        return read_text(file).strip()
    except (OSError, ValueError) as error:
        raise ConfigError(f"--token-file {file}: cannot be read ({error}); give a text file with the token") from error
