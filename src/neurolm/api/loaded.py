"""A trained model as it is loaded: weights, what was learned beside them, how questions are put to it"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from neurolm.ask.answering import Asked
from neurolm.ask.calibration import Calibration
from neurolm.ask.evidence import Evidence
from neurolm.ask.novelty import Ranges
from neurolm.ask.personal import Person
from neurolm.ask.precision import choose_precision, other_precision
from neurolm.ask.prompt import Prompt
from neurolm.ask.question import Question, find_question
from neurolm.ask.recording import ModelInput, read_recording
from neurolm.batches.text import TextTokenizer
from neurolm.checkpoint import CONFIG, Card, load_neurolm
from neurolm.core.config import Precision
from neurolm.hub.publish import find_evaluation, push, save
from neurolm.model.neurolm import NeuroLM
from neurolm.model.precision import keep_in_bfloat16
from neurolm.model.tokenizer import NeuralTokenizer
from neurolm.recording.options import ReadingOptions, Unseen

if TYPE_CHECKING:
    import mne

SIMULATED = "simulated"
"""Name of the corpus that ``neurolm simulate`` writes."""


class Loaded:
    """A trained model with all that lies beside its weights."""

    def __init__(
        self,
        module: NeuroLM,
        card: Card,
        text: TextTokenizer,
        device: torch.device,
        *,
        folder: Path | None = None,
        precision: Precision = "float32",
        base: Path | None = None,
    ) -> None:
        self.module, self.card, self.text, self.device = module.to(device).eval(), card, text, device
        self.folder, self._base = folder, base
        self.calibration: Calibration | None = None if folder is None else Calibration.load(folder)
        self.ranges: Ranges | None = None if folder is None else Ranges.load(folder)
        self.evidence: Evidence | None = None if folder is None else Evidence.load(folder, card)
        self.precision = choose_precision(precision, card.run.model, device, calibration=self.calibration)
        if self.precision == "bfloat16":
            keep_in_bfloat16(self.module)
        self._tokenizer = self.module.tokenizer if self.precision in ("float32", precision) else None

    @property
    def questions(self) -> tuple[str, ...]:
        """The questions it was tuned on."""
        return tuple(dict.fromkeys(task.question for task in self.card.tasks))

    def asked(
        self, question: str, options: Sequence[str] | None = None, *, person: Person | str | Path | None = None
    ) -> Asked:
        """Return a question as it is put to recordings, with token ids, evidence and calibration: a person's, if given.

        Parameters and errors are those of :meth:`ask`.
        """
        found, whose = self._question(question, options), self._person(person)
        separator = self.card.run.model.vocabulary.separator
        prompt = Prompt.of(found.task, self.text, separator, self.evidence if found.trained else None)
        asked = Asked(question=found, prompt=prompt)
        return asked if whose is None else asked.of_person(whose)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write a folder that ``from_pretrained`` loads, with a model card; returns the folder."""
        evaluation = find_evaluation(self.folder, self.card)
        return save(Path(folder), self._whole(), self.card, self.text, evaluation, beside=self.folder)

    def push_to_hub(self, repository: str, *, private: bool = True) -> str:
        """Upload the model with its model card to the Hugging Face hub; returns the address.

        Hashes of the ids of the people it was trained on go with it, so that nobody is tested on them by mistake; who
        they are can only be told by those who have the store, or the run's folder.

        Parameters
        ----------
        repository
            ``organisation/name``; made if it does not exist.
        private
            Whether a new repository can be seen by its owners only.

        Raises
        ------
        CheckpointError
            If the hub does not take it.
        """
        evaluation = find_evaluation(self.folder, self.card)
        return push(repository, self._whole(), self.card, self.text, evaluation, private=private, beside=self.folder)

    def _person(self, given: Person | str | Path | None) -> Person | None:
        """The calibration of a person, which must be for this model."""
        person = Person.load(Path(given)) if isinstance(given, str | Path) else given
        if person is not None:
            person.require_own(self.calibration)
        return person

    def _opened(
        self, source: str | Path | mne.io.BaseRaw | ModelInput, *, reading: ReadingOptions, unseen: Unseen
    ) -> ModelInput:
        """What is read already as it is, anything else opened."""
        if isinstance(source, ModelInput):
            return source
        return read_recording(source, self.card, reading=reading, unseen=unseen)

    def _encoder(self) -> NeuralTokenizer:
        """What makes features and codes; in float32 even where answers are not, unless that was asked for."""
        if self._tokenizer is None:
            assert self.folder is not None, "only a checkpoint's model has its precision chosen"
            self._tokenizer = load_neurolm(self.folder, decoders=False, base=self._base)[0].tokenizer.to(self.device)
        return self._tokenizer

    def _whole(self) -> NeuroLM:
        """The module with its decoders and in float32: as the checkpoint has them, where they were not loaded."""
        if self.module.tokenizer.decodes and self.precision == "float32":
            return self.module
        assert self.folder is not None, "only a checkpoint's model comes without decoders"
        whole, _, _ = load_neurolm(self.folder, base=self._base)
        rounded = torch.bfloat16  # weights that answer faster, which are not written
        own = {name: tensor for name, tensor in self.module.state_dict().items() if tensor.dtype != rounded}
        whole.load_state_dict(own, strict=False)
        return whole

    def _forecaster(self) -> NeuroLM:
        """The model before it was tuned on questions, where there is one; with decoders, in float32."""
        if self.folder is None or not (self.folder.parent / "pretrain" / CONFIG).is_file():
            return self._whole().to(self.device).eval()
        return load_neurolm(self.folder.parent / "pretrain", stage="pretrain")[0].to(self.device)

    def _question(self, question: str, options: Sequence[str] | None) -> Question:
        found = find_question(question, options, self.card.tasks, calibration=self.calibration, ranges=self.ranges)
        return replace(
            found,
            precision=other_precision(self.calibration, self.precision),
            simulated=self.card.corpora == (SIMULATED,),
        )
