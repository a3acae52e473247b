"""Figures elsewhere than in JSON Lines files: TensorBoard, Weights & Biases, Trackio.

Nothing here is imported, and nobody's server is asked, unless ``--log-to`` names it. A run that goes on after an
interruption goes on in the same curves. What fails while the training runs is switched off with a warning: no run of
weeks ends because a server of figures does.
"""

from __future__ import annotations

import importlib.util
import os
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from neurolm.core.errors import ConfigError
from neurolm.core.files import write_text
from neurolm.core.names import choose
from neurolm.core.small_files import read_text

IDENTITY = "run-id.txt"
"""File of a stage that holds the name under which services know it, so that a resumed run is the same one there."""
PROJECT = "neurolm"
"""Project in Weights & Biases ($WANDB_PROJECT overrides it) and in Trackio ($TRACKIO_PROJECT)."""


class Sink(Protocol):
    """Takes figures."""

    def write(self, step: int, kind: str, figures: Mapping[str, float]) -> None:
        """Take the figures of a step; kind is ``training``, ``validation`` or ``speed``."""

    def close(self) -> None:
        """Write what is still held."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The run and stage that figures are of."""

    folder: Path
    """Folder of the stage."""
    first: int
    """Step that training begins with, or goes on from."""
    settings: Mapping[str, Any]
    """The stage's configuration."""

    @property
    def names(self) -> tuple[str, str]:
        """The run's name and the stage's."""
        folder = self.folder.absolute()
        return folder.parent.name, folder.name

    def identity(self) -> str:
        """Name that no other run has, kept in the folder."""
        path = self.folder / IDENTITY
        if not path.is_file():
            write_text(path, f"{'-'.join(self.names)}-{uuid.uuid4().hex[:8]}\n")
        return read_text(path).strip()


class TensorBoard:
    """Event files below the stage's folder, by kind, so that training and validation share a chart."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.writers: dict[str, Any] = {}

    def write(self, step: int, kind: str, figures: Mapping[str, float]) -> None:
        """Add each figure as a scalar ``stage/name``."""
        from tensorboardX import SummaryWriter

        if kind not in self.writers:
            self.writers[kind] = SummaryWriter(
                str(self.origin.folder / "tensorboard" / kind),
                purge_step=self.origin.first or None,  # later steps, written before an interruption, are not shown
                filename_suffix=f".{self.origin.first}",  # or a run resumed within a second would write over it
                flush_secs=1,  # or a killed process would leave a gap before the state that it goes on from
            )
        for name, value in figures.items():
            self.writers[kind].add_scalar(f"{self.origin.names[1]}/{name}", value, step)

    def close(self) -> None:
        """Close the files."""
        for writer in self.writers.values():
            writer.close()


class WeightsAndBiases:
    """A run of Weights & Biases for each stage, in a group for the run. $WANDB_MODE=offline needs no network."""

    def __init__(self, origin: Origin) -> None:
        import wandb

        name, stage = origin.names
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            group=name,
            name=f"{name}/{stage}",
            id=origin.identity(),
            resume="allow",
            dir=str(origin.folder),
            config=dict(origin.settings),
        )
        self.run.define_metric("step")
        self.run.define_metric("*", step_metric="step")  # so steps that are done again fall on the same points

    def write(self, step: int, kind: str, figures: Mapping[str, float]) -> None:
        """Log the figures as ``kind/name`` over ``step``."""
        self.run.log({"step": step, **{f"{kind}/{name}": value for name, value in figures.items()}})

    def close(self) -> None:
        """Finish the run."""
        self.run.finish()


class Trackio:
    """A run of Trackio, on this machine unless $TRACKIO_SPACE_ID or $TRACKIO_SERVER_URL says otherwise."""

    def __init__(self, origin: Origin) -> None:
        import trackio

        self.run = trackio.init(
            project=os.environ.get("TRACKIO_PROJECT", PROJECT),
            name=origin.identity(),
            group=origin.names[0],
            resume="allow",
            config=dict(origin.settings),
            embed=False,
        )

    def write(self, step: int, kind: str, figures: Mapping[str, float]) -> None:
        """Log the figures as ``kind/name``."""
        self.run.log({f"{kind}/{name}": value for name, value in figures.items()}, step=step)

    def close(self) -> None:
        """Finish the run."""
        self.run.finish()


SINKS: dict[str, tuple[str, Callable[[Origin], Sink]]] = {
    "tensorboard": ("tensorboardX", TensorBoard),
    "wandb": ("wandb", WeightsAndBiases),
    "trackio": ("trackio", Trackio),
}
"""Module that each needs, and what writes to it. The extra of the package has the sink's name."""


def require_sinks(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names, if all are known and what they need is installed.

    Raises
    ------
    ConfigError
        Naming what is unknown, or the extra that is missing.
    """
    for name in names:
        if name not in SINKS:
            raise ConfigError(f"--log-to {name}: unknown{choose(name, list(SINKS))}")
        module = SINKS[name][0]
        if importlib.util.find_spec(module) is None:
            raise ConfigError(f"--log-to {name}: {module} is not installed; pip install 'neurolm[{name}]'")
    return tuple(dict.fromkeys(names))


class Sinks:
    """All sinks that were asked for; one that fails is switched off.

    Parameters
    ----------
    names
        Keys of ``SINKS``.

    Raises
    ------
    ConfigError
        If one cannot be started: without a login, say.
    """

    def __init__(self, names: Sequence[str], origin: Origin) -> None:
        self.open: dict[str, Sink] = {}
        for name in require_sinks(names):
            try:
                self.open[name] = SINKS[name][1](origin)
            except Exception as error:  # each library has errors of its own
                self.close()
                raise ConfigError(
                    f"--log-to {name}: cannot be started ({type(error).__name__}: {error}); log in to it, use it "
                    "offline, or leave it out"
                ) from error

    def write(self, step: int, kind: str, figures: Mapping[str, float]) -> None:
        """Hand figures to all."""
        for name in list(self.open):
            try:
                self.open[name].write(step, kind, figures)
            except Exception as error:  # as above
                self._give_up(name, error)

    def close(self) -> None:
        """Close all."""
        for name in list(self.open):
            try:
                self.open.pop(name).close()
            except Exception as error:  # as above
                self._give_up(name, error)

    def _give_up(self, name: str, error: Exception) -> None:
        self.open.pop(name, None)
        warnings.warn(
            f"--log-to {name} stopped ({type(error).__name__}: {error}); training goes on, and its figures are in the "
            "JSON Lines files",
            stacklevel=3,
        )
