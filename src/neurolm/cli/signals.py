"""What the verbs have in common that take EEG out of a model"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neurolm.cli.ask import find_model
from neurolm.cli.values import Machine
from neurolm.core.errors import ConfigError, RecordingError
from neurolm.core.files import require_writable
from neurolm.recording.links import require_content

if TYPE_CHECKING:
    from neurolm.signals.models import Opened


def open_stage(file: Path, model: Path | None, machine: Machine, *, language: bool) -> Opened:
    """Open the stage of a run that a verb needs, after looking whether there is such a recording.

    Parameters
    ----------
    language
        Whether the language model is needed, too.

    Raises
    ------
    RecordingError
        If there is no such recording.
    CheckpointError
        If there is no such stage.
    """
    require_content(file)
    if not file.exists():
        raise RecordingError(f"{file}: no such file; give the path of a recording")
    folder = find_model(model)
    machine.set_threads()
    from neurolm.signals.models import open_model

    return open_model(folder, language=language, device=machine.device)


def require_outputs(out: Path | None, plot: Path | None) -> None:
    """Find out before the work whether table and picture can be written.

    Raises
    ------
    ConfigError, WriteError
        If one cannot.
    """
    if plot is not None:
        if plot.suffix.lower() != ".png":
            raise ConfigError(f"--plot {plot}: give the name of a PNG file, as picture.png")
        require_writable(plot)
    if out is not None:
        from neurolm.signals.reconstruct import require_table

        require_table(out)
        require_writable(out)
