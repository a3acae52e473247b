"""Load a model, ask it about a recording, or about EEG that is still coming in

import neurolm
model = neurolm.load("runs/demo")
answer = model.ask("recording.edf", "Is this EEG segment of high workload?")
print(answer.answer, answer.probability)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from neurolm.api.signals import Signals
from neurolm.ask import EXPLAINED, FREE_SECONDS
from neurolm.ask.answer import Answer, Progress
from neurolm.ask.answering import Asked, answer_all, answer_stepwise, require_no_risk, require_risk
from neurolm.ask.engine import generate
from neurolm.ask.explanation import Explanation, explain
from neurolm.ask.labelled import AnyRecording, fit_person
from neurolm.ask.personal import Person, mark_of
from neurolm.ask.prompt import question_tokens
from neurolm.ask.recording import ModelInput, read_recording
from neurolm.batches.loader import Document, build_batch
from neurolm.batches.text import END_OF_TEXT
from neurolm.checkpoint import load_neurolm
from neurolm.core.config import Precision
from neurolm.core.device import choose_device
from neurolm.core.errors import QuestionError, argument
from neurolm.core.names import choose
from neurolm.core.physics import RATE
from neurolm.hub.publish import find_checkpoint
from neurolm.live.session import Policy, Session
from neurolm.live.source import Source
from neurolm.live.sources.open_source import open_source
from neurolm.recording.options import BELIEVED, ReadingOptions, Unseen
from neurolm.store.store import Label

if TYPE_CHECKING:
    import mne


class Model(Signals):
    """A trained model that answers questions about recordings. Make one with ``neurolm.load``."""

    def ask(
        self,
        source: str | Path | mne.io.BaseRaw | ModelInput,
        question: str,
        *,
        options: Sequence[str] | None = None,
        reading: ReadingOptions = BELIEVED,
        unseen: Unseen = "nearest",
        risk: float | None = None,
        person: Person | str | Path | None = None,
    ) -> Answer:
        """Answer a question about a recording, window by window and over all of it.

        Parameters
        ----------
        source
            File of any format MNE reads, or an MNE Raw.
        question
            In English. A question the model was tuned on needs no ``options``.
        options
            Permitted answers of a question of your own.
        reading
            How to read the recording, where the file alone does not say it.
        unseen
            What to do with electrodes that the model never saw: take each for the ``nearest`` electrode, within 40 mm,
            that it did see and the recording lacks, and leave out the rest; ``drop`` all of them; or refuse the
            recording (``error``). The answer's notes say what was done.
        risk
            Largest share of wrong answers, such as 0.1: where the probability is lower than it had to be in the
            validation data to keep to that share, the answer is ``undecided``.
        person
            Whose recording it is, where the answers were adapted to somebody: what :meth:`calibrate` returned, or the
            folder where it was saved.

        Raises
        ------
        QuestionError
            If the model was not tuned on the question and no options are given, or the risk is not between 0 and 1, or
            one is stated for a person, or the person was not calibrated for the question.
        CheckpointError
            If the person was calibrated for another model.
        RecordingError
            If the recording cannot be read, is implausible, or has no electrode the model knows.
        """
        asked = self.asked(question, options, person=person)
        (answer,) = self._answer_all(source, [asked], reading=reading, unseen=unseen, risk=risk)
        return answer

    def ask_stream(
        self,
        source: str | Path | mne.io.BaseRaw | ModelInput,
        question: str,
        *,
        options: Sequence[str] | None = None,
        reading: ReadingOptions = BELIEVED,
        unseen: Unseen = "nearest",
        risk: float | None = None,
        person: Person | str | Path | None = None,
    ) -> Iterator[Progress | Answer]:
        """Answer a question as :meth:`ask` does, and give windows as soon as they are answered.

        >>> for step in model.ask_stream("night.edf", question):
        ...     print(step.done if isinstance(step, Progress) else step.answer)

        Parameters and errors are those of :meth:`ask`; a recording that cannot be opened is an error at once. Once the
        iterator is closed, nothing more is read or computed.

        Yields
        ------
        Progress
            The next windows, in the order of time.
        Answer
            In the end: what :meth:`ask` returns.
        """
        asked = self.asked(question, options, person=person)
        require_risk([asked], risk)
        recording = self._opened(source, reading=reading, unseen=unseen)
        return answer_stepwise(self.module, recording, asked, device=self.device, risk=risk)

    def ask_all(
        self,
        source: str | Path | mne.io.BaseRaw | ModelInput,
        questions: Sequence[str] | None = None,
        *,
        reading: ReadingOptions = BELIEVED,
        unseen: Unseen = "nearest",
        risk: float | None = None,
        person: Person | str | Path | None = None,
    ) -> tuple[Answer, ...]:
        """Answer several questions about a recording, which is read and filtered once for all of them.

        Parameters
        ----------
        source, reading, unseen, risk, person
            As for :meth:`ask`; or what ``ask.recording.read_stored`` takes from a store, which is read already.
        questions
            That the model was tuned on; by default all of them.

        Returns
        -------
        tuple of Answer
            One for each question, in their order.

        Raises
        ------
        QuestionError, CheckpointError, RecordingError
            As for :meth:`ask`.
        """
        given = self.questions if questions is None else [questions] if isinstance(questions, str) else questions
        whose = self._person(person)
        asked = [self.asked(question, person=whose) for question in given]
        return self._answer_all(source, asked, reading=reading, unseen=unseen, risk=risk)

    def _answer_all(
        self,
        source: str | Path | mne.io.BaseRaw | ModelInput,
        asked: Sequence[Asked],
        *,
        reading: ReadingOptions,
        unseen: Unseen,
        risk: float | None,
    ) -> tuple[Answer, ...]:
        require_risk(asked, risk)
        recording = self._opened(source, reading=reading, unseen=unseen)
        return answer_all(self.module, recording, asked, device=self.device, risk=risk)

    def calibrate(
        self,
        labels: str | Path | Sequence[tuple[AnyRecording, Sequence[Label]]],
        *,
        name: str | None = None,
        reading: ReadingOptions = BELIEVED,
        unseen: Unseen = "nearest",
    ) -> Person:
        """Adapt answers to one person by labelled recordings, a minute or two for each task.

        >>> person = model.calibrate("anna/labels.csv")
        >>> answer = model.ask("today.edf", "Is this EEG segment of high workload?", person=person)

        The model stays as it is; ``person.save(folder)`` keeps what was fitted.

        Parameters
        ----------
        labels
            A table of labels as in a folder of recordings (``labels.csv``), of one person; or recordings, each with its
            labelled stretches.
        name
            Of the person; by default the table's subject.
        reading, unseen
            As for :meth:`ask`.

        Raises
        ------
        CheckpointError
            If the model has no calibration, or no evidence, which is what can be adapted.
        ConfigError
            If a label is no option of its task, no task has windows of two options, or nothing says whose they are.
        StoreError, RecordingError
            If the table or a recording cannot be read.
        """
        return fit_person(
            self.module, [self.asked(task.question) for task in self.card.tasks], labels,
            partial(self._opened, reading=reading, unseen=unseen), name=name, model=mark_of(self.calibration),
            device=self.device,
        )  # fmt: skip

    def live(
        self,
        source: str | Source,
        question: str,
        *,
        options: Sequence[str] | None = None,
        policy: Policy | None = None,
        reading: ReadingOptions = BELIEVED,
        unseen: Unseen = "nearest",
        record: str | Path | None = None,
        markers: Sequence[str] | None = None,
        outlet: str | None = None,
        person: Person | str | Path | None = None,
    ) -> Session:
        """Answer a question about EEG that is still coming in, once a second.

        >>> for state in model.live("lsl:ActiChamp", "Is this EEG segment of high workload?"):
        ...     print(state.time, state.status, state.answer, state.probabilities)

        Parameters
        ----------
        source
            ``lsl:NAME``, ``file:PATH``, ``synthetic:`` or ``brainflow:ID``; or an object as `live.source` has them.
        question, options, unseen, person
            As for :meth:`ask`.
        policy
            Windows, the seconds that an answer is about, risk and end; see `live.session.Policy`.
        reading
            How to read the source, as for a recording: its mains frequency, its channels.
        record
            Where to write what is received, ``NAME.vhdr``, for :meth:`ask` to answer again.
        markers
            Names of the LSL streams whose markers are taken along; by default all of the EEG's machine.
        outlet
            Name of streams of the Lab Streaming Layer that send probabilities and status on.

        Returns
        -------
        Session
            Gives states (`live.state.State`) as long as the source gives EEG.

        Raises
        ------
        QuestionError
            As for :meth:`ask`.
        RecordingError
            If there is no such source, or it has no electrode that the model knows.
        ConfigError
            If there is no such kind of source, a recording is there already, or an extra is not installed.
        """
        asked = self.asked(question, options, person=person)
        require_no_risk([asked], None if policy is None else policy.risk)
        opened = open_source(source, reading=reading, markers=markers) if isinstance(source, str) else source
        try:
            return Session(
                self.module, self.card, asked, opened, device=self.device, policy=policy, reading=reading,
                unseen=unseen, record=None if record is None else Path(record), outlet=outlet,
            )  # fmt: skip
        except BaseException:
            opened.close()
            raise

    def explain(
        self,
        source: str | Path | mne.io.BaseRaw,
        question: str,
        *,
        option: str | None = None,
        options: Sequence[str] | None = None,
        windows: int = EXPLAINED,
        start: float = 0.0,
        stop: float | None = None,
        reading: ReadingOptions = BELIEVED,
        unseen: Unseen = "nearest",
    ) -> Explanation:
        """Say which electrodes and seconds carried an answer, by leaving each out in turn.

        Parameters
        ----------
        source, question, options, reading, unseen
            As for :meth:`ask`.
        option
            The option to explain; by default the likeliest over the explained windows, which may be another than over
            the whole recording; the notes say so.
        windows
            Most windows to look at, spread evenly.
        start, stop
            Seconds of the recording between which to look; by default all.

        Raises
        ------
        QuestionError
            If the option is none of the question's, no window lies between start and stop, or as for :meth:`ask`.
        RecordingError
            As for :meth:`ask`.
        """
        asked = self.asked(question, options)
        labels = asked.question.task.labels
        if option is not None and option not in labels:
            raise QuestionError(f"{argument(option=option)}: no answer to this question{choose(option, labels)}")
        if windows < 1:
            raise QuestionError(f"{argument(windows=windows)}: at least one window is needed")
        recording = read_recording(source, self.card, reading=reading, unseen=unseen)
        return explain(
            self.module, recording, asked, option=option, most=windows, start=start, stop=stop, device=self.device
        )

    def generate(
        self,
        source: str | Path | mne.io.BaseRaw,
        prompt: str,
        *,
        start: float = 0.0,
        seconds: int = FREE_SECONDS,
        max_tokens: int = 20,
        temperature: float = 0.0,
        seed: int = 0,
        reading: ReadingOptions = BELIEVED,
        unseen: Unseen = "nearest",
    ) -> str:
        """Continue a text freely after a window of a recording; temperature 0 takes the likeliest token each time.

        The text is what the model says, not a checked answer: ask with options for a probability.
        """
        recording = read_recording(source, self.card, reading=reading, unseen=unseen)
        first = round(start * RATE)
        if not 0 <= first <= round(recording.length * RATE) - seconds * RATE:
            raise QuestionError(
                f"{argument(start=start)} s with {argument(seconds=seconds)} lies outside the recording of "
                f"{recording.length:.1f} s: choose another start"
            )
        ids = (self.card.run.model.vocabulary.separator, *question_tokens(self.text, prompt))
        batch = build_batch([recording.sample(first, seconds)], [Document(sample=0, text=ids)], packed=False)
        (tokens,) = generate(
            self.module, batch.to(self.device), max_tokens=max_tokens, temperature=temperature, seed=seed
        )
        return self.text.decode(tokens).replace(END_OF_TEXT, "").strip()


def load(
    folder: str | Path,
    *,
    revision: str | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    decoders: bool = False,
    base: str | Path | None = None,
) -> Model:
    """Load a trained model; adapters are merged into the weights of the checkpoint that they were trained on.

    Parameters
    ----------
    folder
        Folder of a run or of its ``instruct`` checkpoint; or the id of a model on the Hugging Face hub,
        ``organisation/name``.
    revision
        Of the model on the hub: a commit, tag or branch; by default the newest. Only a commit's id always means the
        same files.
    device
        ``auto`` (a GPU where there is one), ``cpu``, ``cuda`` or ``cuda:N``.
    precision
        Of matrix products: ``float32``, ``bfloat16``, or ``auto``, bfloat16 where it is faster on this machine and the
        model's probabilities were calibrated so (``model.precision`` says which). Embeddings and codes are bfloat16's
        only if it is asked for by name.
    decoders
        Whether to load what reconstructs EEG from codes (``model.module.tokenizer.decode``) and nothing else needs.
    base
        Where the checkpoint is that adapters were trained on; by default where it was then.

    Raises
    ------
    CheckpointError
        If there is none, or only one that was never instruction-tuned: its answers would be noise.
    """
    path = find_checkpoint(folder, revision=revision)
    place = None if base is None else Path(base)
    module, card, text = load_neurolm(path, stage="instruct", decoders=decoders, base=place)
    return Model(module, card, text, choose_device(device), folder=path, precision=precision, base=place)


from_pretrained = load
