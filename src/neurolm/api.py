"""What users import: load a model, ask it about a recording.

import neurolm
model = neurolm.load("runs/demo")
answer = model.ask("recording.edf", "Is this EEG segment of high workload?")
print(answer.answer, answer.probability)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from neurolm.ask import EXPLAINED, FREE_SECONDS
from neurolm.ask.answer import UNDECIDED, Answer, Contributions, WindowAnswer
from neurolm.ask.answering import Asked, answer_all, require_no_risk
from neurolm.ask.calibration import Calibration
from neurolm.ask.embedding import Embedding, Embeddings, evidence_columns
from neurolm.ask.engine import generate
from neurolm.ask.evidence import Evidence
from neurolm.ask.explanation import Explanation, explain
from neurolm.ask.labelled import AnyRecording, fit_person
from neurolm.ask.novelty import Ranges
from neurolm.ask.personal import Person, mark_of
from neurolm.ask.precision import choose_precision, other_precision
from neurolm.ask.prompt import Prompt, question_tokens
from neurolm.ask.question import Question, find_question
from neurolm.ask.recording import ModelInput, Windows, read_recording
from neurolm.batches.loader import Document, build_batch
from neurolm.batches.text import END_OF_TEXT, TextTokenizer
from neurolm.checkpoint import CONFIG, Card, load_neurolm
from neurolm.core.config import Precision
from neurolm.core.device import choose_device
from neurolm.core.errors import QuestionError, argument
from neurolm.core.montage import REACH
from neurolm.core.names import choose
from neurolm.core.physics import RATE
from neurolm.hub.publish import find_checkpoint, find_evaluation, push, save
from neurolm.live.session import Policy, Session
from neurolm.live.source import Source
from neurolm.live.sources.open_source import open_source
from neurolm.model.neurolm import NeuroLM
from neurolm.model.precision import keep_in_bfloat16
from neurolm.model.tokenizer import NeuralTokenizer
from neurolm.recording.options import BELIEVED, ReadingOptions, Unseen
from neurolm.signals import Method
from neurolm.signals.forecast import Forecast, forecast, require_causal
from neurolm.signals.impute import Imputed, impute
from neurolm.signals.models import to_impute
from neurolm.signals.reconstruct import Reconstructed, longest_window, reconstruct
from neurolm.store.store import Label

if TYPE_CHECKING:
    import mne

SIMULATED = "simulated"
"""Name of the corpus that ``neurolm simulate`` writes."""

__all__ = ["EXPLAINED", "FREE_SECONDS", "REACH", "UNDECIDED", "Answer", "Contributions", "Embedding", "Embeddings",
           "Explanation", "Model", "Person", "WindowAnswer", "from_pretrained", "load"]  # fmt: skip


class Model:
    """A trained model that answers questions about recordings. Make one with ``neurolm.load``."""

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
        if risk is not None and not 0 < risk < 1:
            raise QuestionError(f"{argument(risk=risk)}: give a share of wrong answers between 0 and 1, such as 0.1")
        require_no_risk(asked, risk)
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

    def embed(
        self,
        source: str | Path | mne.io.BaseRaw,
        *,
        seconds: int = FREE_SECONDS,
        stride: float = FREE_SECONDS,
        evidence: bool = False,
        reading: ReadingOptions = BELIEVED,
        unseen: Unseen = "nearest",
    ) -> Embedding:
        """Features and codes of the frozen encoder, for windows of a recording.

        >>> found = model.embed("recording.edf")
        >>> found.features.mean(axis=(1, 2))  # a vector for each window: float32 (windows, width)

        Parameters
        ----------
        source, reading, unseen
            As for :meth:`ask`.
        seconds
            Length of a window, at most what the encoder was built for (64 in the paper's sizes).
        stride
            Seconds from the start of a window to the start of the next.
        evidence
            Whether to return, too, what the evidence beside the language model says for each option of each task.

        Returns
        -------
        Embedding
            ``features`` float32 (windows, seconds, electrodes, width), ``codes`` int64 (windows, seconds, electrodes),
            ``starts`` float64 (windows,) in seconds, and the names of the ``electrodes`` in their order; with evidence,
            ``evidence`` float32 (windows, columns) in nats, and ``evidence_columns``, as ``workload: Yes``.

        Raises
        ------
        CheckpointError
            If evidence is asked for, and the model has none.
        RecordingError
            As for :meth:`ask`.
        """
        return self.embed_parts(
            source, seconds=seconds, stride=stride, evidence=evidence, reading=reading, unseen=unseen
        ).whole()

    def embed_parts(
        self,
        source: str | Path | mne.io.BaseRaw | ModelInput,
        *,
        seconds: int = FREE_SECONDS,
        stride: float = FREE_SECONDS,
        evidence: bool = False,
        reading: ReadingOptions = BELIEVED,
        unseen: Unseen = "nearest",
    ) -> Embeddings:
        """The same part by part, for recordings whose features are larger than memory.

        >>> found = model.embed_parts("night.edf")
        >>> found.save("features.npz")  # or look at them one after the other:
        >>> means = np.concatenate([part.features.mean(axis=(1, 2)) for part in found])

        Parameters
        ----------
        source, seconds, stride, evidence, reading, unseen
            As for :meth:`embed`; or what ``ask.recording.read_stored`` takes from a store, which is read already.

        Raises
        ------
        CheckpointError, RecordingError
            As for :meth:`embed`.
        """
        recording = self._opened(source, reading=reading, unseen=unseen)
        windows = Windows.of(recording, seconds=seconds, stride=stride)
        columns = None
        if evidence:
            columns = evidence_columns(self.evidence, self.card.tasks, recording.channels, seconds=windows.seconds)
        return Embeddings(tokenizer=self._encoder(), windows=windows, columns=columns, device=self.device)

    def reconstruct(
        self,
        source: str | Path | mne.io.BaseRaw | ModelInput,
        *,
        seconds: int | None = None,
        reading: ReadingOptions = BELIEVED,
        unseen: Unseen = "nearest",
    ) -> Reconstructed:
        """Send a recording through the codebook and back, and measure what is lost, by band and electrode.

        >>> found = model.reconstruct("recording.edf")
        >>> {error.band: error.spectrum_db for error in found.overall}

        Parameters
        ----------
        source, reading, unseen
            As for :meth:`ask`.
        seconds
            Length of a window, at most what the encoder was built for; by default that of the tokenizer's training.

        Returns
        -------
        Reconstructed
            ``errors`` and ``overall``: of each electrode and of all, by band, the root mean square difference of the
            log spectra in dB, the correlation of the decoded waveform, and the share of variance that it explains.

        Raises
        ------
        ConfigError
            If the window is longer than the encoder can see.
        RecordingError
            As for :meth:`ask`.
        """
        recording = self._opened(source, reading=reading, unseen=unseen)
        stage, most = self.card.run.tokenizer, self.card.run.model.tokenizer.seconds
        length = longest_window(stage.max_patches, most, len(recording.channels)) if seconds is None else seconds
        return reconstruct(self._whole().tokenizer.to(self.device), recording, seconds=length)

    def forecast(
        self,
        source: str | Path | mne.io.BaseRaw,
        *,
        at: float | None = None,
        seconds: int = 5,
        n: int = 20,
        seed: int = 0,
        reading: ReadingOptions = BELIEVED,
        unseen: Unseen = "nearest",
    ) -> Forecast:
        """Sample how a recording may go on after a moment, and score that by how it did.

        >>> found = model.forecast("recording.edf", at=60)
        >>> found.waveform.shape, found.scores[0].spectrum_db    # (samples, seconds · 200, electrodes), dB

        The model of the run's ``pretrain`` stage is asked, where it lies beside: what is tuned on questions no longer
        learns to forecast.

        Parameters
        ----------
        source, reading, unseen
            As for :meth:`ask`. It is cut off at the moment before it is filtered.
        at
            Seconds from the start of the recording; by default its end, with nothing to score.
        seconds, n
            How far, and how many samples.
        seed
            Another one draws other samples.

        Returns
        -------
        Forecast
            ``waveform``, float32 (samples, seconds · 200, electrodes) in µV; ``codes``, int64 (samples, seconds,
            electrodes); ``bands()``, quantiles of log band power; and, where it is known what followed, ``scores`` of
            the model, an AR model, seconds of the past, and the last second again.

        Raises
        ------
        CheckpointError
            If the model's recipe is not causal.
        QuestionError
            If there is nothing right before the moment, or a number is out of range.
        RecordingError
            As for :meth:`ask`.
        """
        require_causal(self.card)
        return forecast(
            self._forecaster(), self.card, source, at=at, seconds=seconds, count=n, seed=seed, reading=reading,
            unseen=unseen,
        )  # fmt: skip

    def impute(
        self,
        source: str | Path | mne.io.BaseRaw,
        channels: Sequence[str],
        *,
        method: Method = "splines",
        reading: ReadingOptions = BELIEVED,
        unseen: Unseen = "nearest",
    ) -> Imputed:
        """Make missing or bad electrodes from the others; those that the recording has are compared with what is made.

        >>> model.impute("recording.edf", ["Cz"]).signal      # float32 (samples at 200 Hz, electrodes), µV

        Parameters
        ----------
        source, reading, unseen
            As for :meth:`ask`; splines use electrodes that the model never saw, too.
        channels
            Electrodes to make.
        method
            ``splines``, spherical splines as MNE has them; or ``model``, these with amplitudes halfway to what the
            tokenizer makes of them.

        Raises
        ------
        QuestionError
            If one is no electrode of a known position, or fewer than four others are there.
        RecordingError
            As for :meth:`ask`.
        """
        recording, seconds = to_impute(source, channels, self.card, method=method, reading=reading, unseen=unseen)
        tokenizer = self._whole().tokenizer.to(self.device) if method == "model" else None
        return impute(recording, channels, method=method, tokenizer=tokenizer, seconds=seconds)

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
