"""neurolm serve --model runs/mine --folder recordings"""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from neurolm.cli.ask import find_model
from neurolm.cli.values import Answering
from neurolm.core.errors import ConfigError
from neurolm.core.terminal import say
from neurolm.server.settings import PORT, ServerSettings

TOKEN_VARIABLE = "NEUROLM_TOKEN"
"""Environment variable with the token that requests must carry."""
_GB, _HOUR = 1e9, 3600.0


def serve(
    *,
    model: Sequence[Path] = (),
    folder: Path | None = None,
    demo: bool = False,
    host: str = "127.0.0.1",
    port: int = PORT,
    token: str | None = None,
    name: Sequence[str] = (),
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    uploads: Path | None = None,
    keep: float = 24.0,
    largest: float = 4.0,
    longest: float = 72.0,
    open: bool = False,
    machine: Answering,
) -> None:
    """Open a page on this machine: EEG, questions, answers.

    It tells its address and serves it until Ctrl-C or SIGTERM. The same address has an API for programs, under /api/v1.

    Parameters
    ----------
    model
        Folder of a run; may be given several times: the first is asked unless a request names another. By default
        $NEUROLM_MODEL, else the newest in runs/.
    folder
        Recordings to choose from; others are uploaded.
    demo
        Show it with the run of neurolm demo, or with a model that is made in about a minute.
    host
        Address to listen at; another than this machine's own needs a token.
    port
        Port to listen at; 0: any that is free.
    token
        What requests must carry; better in $NEUROLM_TOKEN, since others on this machine see the words of a command.
    name
        Host names by which it is called besides, as by a proxy in front: eeg.example.org.
    tls_cert
        Certificate with its chain (PEM), for TLS without a proxy; with --tls-key.
    tls_key
        Key of the certificate (PEM).
    uploads
        Folder for uploads, where they outlive the service; by default a private one that ends with it.
    keep
        Hours after its last use at which an upload is deleted.
    largest
        GB of an upload at most.
    longest
        Hours of a recording that is uploaded at most.
    open
        Open the page in the browser.
    """
    _require_extra()
    from neurolm.server.run import bound, run

    if (tls_cert is None) != (tls_key is None):
        raise ConfigError("--tls-cert and --tls-key belong together: give both")
    for flag, value in (("--keep", keep), ("--largest", largest), ("--longest", longest)):
        if not value > 0:
            raise ConfigError(f"{flag} {value:g}: give a number above 0")
    token = token or os.environ.get(TOKEN_VARIABLE) or None
    if demo:
        with bound(host, port):  # said before a model is made, which takes its time
            pass
    settings = ServerSettings(
        models=_models(model, demo), folder=folder, host=host, port=port, token=token, names=tuple(name),
        certificate=tls_cert, key=tls_key, uploads=uploads, keep=keep * _HOUR, most_bytes=round(largest * _GB),
        most_seconds=longest * _HOUR, device=machine.device, precision=machine.precision,
    )  # fmt: skip
    machine.set_threads()

    def told(address: str) -> None:
        # Who has the link with the token may ask: it goes to a terminal, never into a log.
        link = f"{address}/#token={quote(token, safe='')}" if token and sys.stdout.isatty() else address
        say(f"neurolm serves {link}  (Ctrl-C ends it)", "research software, no medical device")
        if open:
            secret = f"{address}/#token={quote(token, safe='')}" if token else address
            threading.Thread(target=webbrowser.open, args=(secret,), daemon=True).start()

    run(settings, told=told)


def _models(given: Sequence[Path], demo: bool) -> tuple[Path, ...]:
    if demo and given:
        raise ConfigError("--demo brings its own model: leave out --model")
    if demo:
        from neurolm.server.demo_model import demo_model

        return (demo_model(say),)
    return tuple(given) or (find_model(None),)


def _require_extra() -> None:
    """Say which extra is missing.

    Raises
    ------
    ConfigError
        If a package is not installed that the service needs.
    """
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError(f"the service needs {error.name}: pip install 'neurolm[serve]'") from error
