"""What the training loop trains: read this first to write a stage of your own.

A step of the loop, without what several processes and several passes add (``loop.train_step`` has it all):

>>> batch = stage.batch(step)
>>> for losses in stage.losses(step, batch, stage.loss):
...     losses.total.backward()
>>> optimizer.step()
>>> figures = stage.after_step()
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from torch import Tensor, nn

from neurolm.batches.loader import Sample
from neurolm.core.config import StageConfig

B = TypeVar("B")
"""A step's batch in host memory: any nesting of dataclasses, dicts, lists and tuples of tensors."""


@dataclass(frozen=True, kw_only=True)
class Losses:
    """What one forward pass gives. A step's totals, parts and tokens add up over its passes, in all processes."""

    total: Tensor
    """Scalar to go down."""
    parts: Mapping[str, Tensor | float]
    """Named figures for the log: the same names in every pass."""
    tokens: int
    """Patches and text tokens in the pass."""
    sources: tuple[str, ...] = ()
    """Where the EEG of the pass comes from, for the message if its loss is not finite."""
    flops: int = 0
    """Operations that the pass needs, forwards and backwards: see ``flops``."""


class Stage(ABC, Generic[B]):
    """A model, and how it is trained and validated: everything that the loop uses of a stage is here.

    Attributes
    ----------
    name
        Name of the stage, of its folder and of its section of the configuration.
    config
        Learning rate, batch sizes and whatever else the loop and the stage go by.
    steps
        How many steps there are in all.
    module
        Its trainable parameters are trained; its whole state is saved.
    codes
        Codes of the codebook that is trained, which is watched for its collapse; 0: none.
    validation_patches
        Patches of the validation data: where they are fewer than the codes, not every code can be used there.
    """

    name: ClassVar[str]
    config: StageConfig
    steps: int
    module: nn.Module
    codes: int = 0
    validation_patches: int = 0

    @property
    @abstractmethod
    def loss(self) -> Callable[..., Any]:
        """The method of ``module`` that a pass of training calls; all trainable parameters have a part in its result.

        The loop hands it to ``losses``, wrapped where several processes train together.
        """

    @abstractmethod
    def batch(self, step: int) -> B:
        """Make the batch of a step in host memory: a function of the step alone, called in any thread, in any order.

        Where there are several processes, each makes its share of it.
        """

    @abstractmethod
    def passes(self, batch: B) -> int:
        """Return how many passes ``losses`` makes of a batch: one or more."""

    @abstractmethod
    def losses(self, step: int, batch: B, loss: Callable[..., Any]) -> Iterator[Losses]:
        """Run the model on a step's batch, in one pass or several; each is wanted before the next begins.

        The losses are divided by what the batch holds in all processes, so that theirs add up to the loss of the step.

        Parameters
        ----------
        loss
            Does what ``self.loss`` does, for all processes together.
        """

    def after_step(self) -> Mapping[str, float]:
        """Do what follows the optimizer's step: move the codebook, say. Returns further figures for the log."""
        return {}

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Return figures on the validation data. ``score`` among them, if any, selects the weights: lower is better."""

    def samples(self, step: int) -> Sequence[Sample]:
        """Return this process's EEG of a step, by which a recording that spoils a loss is named."""
        return ()
