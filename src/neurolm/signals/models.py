"""Models for EEG that comes out: of a run that has answered nothing yet, too"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from neurolm.ask.recording import ModelInput, read_recording
from neurolm.checkpoint import CONFIG, Card, load_neurolm, load_tokenizer
from neurolm.core.device import choose_device
from neurolm.core.errors import CheckpointError, QuestionError, argument
from neurolm.core.montage import ELECTRODES
from neurolm.model.neurolm import NeuroLM
from neurolm.model.tokenizer import NeuralTokenizer
from neurolm.recording.options import ReadingOptions, Unseen
from neurolm.signals import Method
from neurolm.signals.impute import official_names
from neurolm.signals.reconstruct import longest_window

if TYPE_CHECKING:
    import mne

WITH_LANGUAGE, ANY = ("pretrain", "instruct"), ("tokenizer", "pretrain", "instruct")
"""Stages in the order in which they are taken. The pretrained model forecasts codes, which the tuned one no longer
learns; the tokenizer is the same in all of them."""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A stage of a run."""

    tokenizer: NeuralTokenizer
    """With decoders, in evaluation mode."""
    language: NeuroLM | None
    """The whole model, of which the tokenizer is a part; None where it was not asked for."""
    card: Card

    @property
    def seconds(self) -> tuple[int, int]:
        """Most patches, and most seconds, of the windows that the stage learned from."""
        stage = self.card.run.stage("tokenizer" if self.language is None else "pretrain")
        return stage.max_patches, self.card.run.model.tokenizer.seconds


def open_model(folder: Path | str, *, language: bool, device: str = "auto") -> Opened:
    """Open a run's stage that can write EEG: the first that is finished of those that can do what is asked.

    Parameters
    ----------
    folder
        Of the run, or of one of its stages.
    language
        Whether the language model is needed, too.

    Raises
    ------
    CheckpointError
        If there is none.
    """
    folder, wanted = Path(folder), WITH_LANGUAGE if language else ANY
    places = [folder, *(folder / stage for stage in wanted)]
    found = next((place for place in places if (place / CONFIG).is_file()), None)
    if found is None:
        raise CheckpointError(
            f"{folder}: no finished stage here that can do this ({', '.join(wanted)}); give the folder of a run with "
            f"one, or finish it with `neurolm train {wanted[0]}`"
        )
    where = choose_device(device)
    if not language and found.name == "tokenizer":
        tokenizer, card = load_tokenizer(found)
        return Opened(tokenizer=tokenizer.to(where), language=None, card=card)
    model, card, _ = load_neurolm(found)
    model.to(where)
    return Opened(tokenizer=model.tokenizer, language=model if language else None, card=card)


def to_impute(
    source: str | Path | mne.io.BaseRaw,
    channels: Sequence[str],
    card: Card,
    *,
    method: Method,
    reading: ReadingOptions,
    unseen: Unseen,
) -> tuple[ModelInput, int]:
    """Open a recording whose electrodes others are to be made from, and say how long the model's windows are.

    Splines need no electrode that the model knows: for them, all that have an official name are read.

    Raises
    ------
    QuestionError
        If the model never saw one that it is to make.
    RecordingError
        If the recording cannot be read.
    """
    never = [electrode for electrode in official_names(channels) if electrode not in card.electrodes]
    if never and method == "model":
        raise QuestionError(
            f"{argument(channels=never)}: the model never saw such an electrode in training; choose "
            f"{argument(method='splines')}"
        )
    known = card if method == "model" else replace(card, electrodes=ELECTRODES)
    recording = read_recording(source, known, reading=reading, unseen=unseen)
    if method == "splines":  # no answer, and nothing was learned from all of them
        recording = replace(recording, notes=tuple(n for n in recording.notes if not n.startswith("the answer rests")))
    stage = card.run.tokenizer
    return recording, longest_window(stage.max_patches, card.run.model.tokenizer.seconds, len(recording.channels) + 1)
