"""What is asked of every recording: checked beforehand, and kept beside what is made of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, get_args

import neurolm
from neurolm.ask.calibration import Calibration
from neurolm.ask.precision import choose_precision
from neurolm.ask.question import find_question
from neurolm.ask.vectors import Level
from neurolm.checkpoint import Card, load_card
from neurolm.core.config import Precision
from neurolm.core.decode import decode
from neurolm.core.device import choose_device
from neurolm.core.errors import ConfigError, QuestionError, StoreError, WriteError, argument
from neurolm.core.files import dump_json, hold, write_text
from neurolm.core.names import did_you_mean
from neurolm.core.small_files import read_text
from neurolm.hub.publish import digest, find_checkpoint
from neurolm.recording.options import ReadingOptions, Unseen, require_one_of
from neurolm.tasks.task import find_questions

ALL = "all"
"""Stands for all questions that a model was tuned on."""
PART = ".json.gz"
"""Suffix of a file with the answers about one recording."""
SETTINGS, LOCK = "settings.json", ".lock"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked about every recording."""

    model: str
    """Folder of the checkpoint, absolute."""
    content: str
    """Digest of its files: a worker that has another one of this folder loads it again."""
    questions: tuple[str, ...]
    asked: tuple[str, ...]
    """The same, as answers spell them."""
    options: tuple[str, ...] | None = None
    """Permitted answers of a question of the user's own."""
    reading: ReadingOptions
    unseen: Unseen = "nearest"
    risk: float | None = None
    device: str = "auto"
    precision: Precision = "float32"
    """The same for all workers, whatever their processors would choose."""
    part: ClassVar[str] = PART
    """Suffix of a file with what is made of a recording."""
    doing: ClassVar[str] = "answering"
    """What is done with a recording, what it then is, and what of it is kept, for messages."""
    done: ClassVar[str] = "answered"
    what: ClassVar[str] = "answers"

    @property
    def settings(self) -> Settings:
        """What decides about the answers."""
        return Settings.of(self)


@dataclass(frozen=True, kw_only=True)
class EmbedRequest:
    """Which features are wanted of every recording."""

    model: str
    """Folder of the checkpoint, absolute."""
    content: str
    """Digest of its files."""
    level: Level
    seconds: int
    """Length of a window."""
    stride: float
    """Seconds from the start of a window to the next."""
    reading: ReadingOptions
    unseen: Unseen = "nearest"
    device: str = "auto"
    precision: Precision = "float32"
    part: ClassVar[str] = ".parquet"
    doing: ClassVar[str] = "embedding"
    done: ClassVar[str] = "embedded"
    what: ClassVar[str] = "features"

    @property
    def settings(self) -> EmbedSettings:
        """What decides about the features."""
        return EmbedSettings(
            version=neurolm.__version__, model=self.content, level=self.level, seconds=self.seconds,
            stride=self.stride, reading=dump_json(asdict(self.reading), sort_keys=True), unseen=self.unseen,
            device=self.device, precision=self.precision,
        )  # fmt: skip


@dataclass(frozen=True)
class EmbedSettings:
    """What decides about features, besides the recordings."""

    version: str
    model: str
    """Digest of its files."""
    level: str
    seconds: int
    stride: float
    reading: str
    unseen: str
    device: str
    precision: str


@dataclass(frozen=True)
class Settings:
    """What decides about answers, besides the recordings."""

    version: str
    model: str
    """Digest of its files."""
    questions: tuple[str, ...]
    options: tuple[str, ...] | None
    reading: str
    unseen: str
    risk: float | None
    device: str
    precision: str

    @classmethod
    def of(cls, request: Request) -> Settings:
        """The settings of a request."""
        return cls(
            version=neurolm.__version__, model=request.content, questions=request.questions, options=request.options,
            reading=dump_json(asdict(request.reading), sort_keys=True), unseen=request.unseen, risk=request.risk,
            device=request.device, precision=request.precision,
        )  # fmt: skip


def request_for(
    model: str | Path,
    questions: str | Sequence[str],
    *,
    options: Sequence[str] | None,
    reading: ReadingOptions,
    unseen: Unseen,
    risk: float | None,
    device: str,
    precision: Precision,
) -> Request:
    """Check what is to be asked before any recording is opened.

    Raises
    ------
    CheckpointError
        If there is no such model.
    QuestionError
        If it does not know a question, or the risk is not between 0 and 1.
    """
    if risk is not None and not 0 < risk < 1:
        raise QuestionError(f"{argument(risk=risk)}: give a share of wrong answers between 0 and 1, such as 0.1")
    folder = find_checkpoint(model)
    card = load_card(folder, stage="instruct")
    asked = meant(questions, card, own=options is not None)
    chosen = choose_precision(precision, card.run.model, choose_device(device), calibration=Calibration.load(folder))
    if options is not None and len(asked) != 1:
        raise QuestionError(f"{argument(options=list(options))}: answers to one question; ask one, or leave them out")
    found = [find_question(question, options, card.tasks, calibration=None, ranges=None) for question in asked]
    return Request(
        model=str(folder.absolute()), content=digest(folder), questions=asked,
        asked=tuple(question.task.question for question in found),
        options=None if options is None else tuple(options), reading=reading, unseen=unseen, risk=risk, device=device,
        precision=chosen,
    )  # fmt: skip


def embed_request(
    model: str | Path,
    *,
    level: Level,
    seconds: int,
    stride: float,
    reading: ReadingOptions,
    unseen: Unseen,
    device: str,
    precision: Precision,
) -> EmbedRequest:
    """Check which features are wanted before any recording is opened.

    Raises
    ------
    CheckpointError
        If there is no such model.
    ConfigError
        If there is no such level, or a length is not one that windows can have.
    """
    require_one_of("level", level, get_args(Level))
    if not stride > 0:
        raise ConfigError(f"{argument(stride=stride)}: give more than 0 seconds")
    folder = find_checkpoint(model)
    card = load_card(folder, stage="instruct")
    longest = card.run.model.tokenizer.seconds
    if not 1 <= seconds <= longest:
        raise ConfigError(f"{argument(seconds=seconds)}: this model reads windows of 1 to {longest} s")
    chosen = choose_precision(precision, card.run.model, choose_device(device), calibration=None)
    return EmbedRequest(
        model=str(folder.absolute()), content=digest(folder), level=level, seconds=seconds, stride=stride,
        reading=reading, unseen=unseen, device=device, precision=chosen,
    )  # fmt: skip


def meant(given: str | Sequence[str], card: Card, *, own: bool = False) -> tuple[str, ...]:
    """The questions that are meant by their words, by the names of their tasks, or by `ALL`.

    Parameters
    ----------
    own
        Whether they may be the user's own.

    Raises
    ------
    QuestionError
        If there is none, or a name is that of no task.
    """
    by_name = {task.name: task.question for task in card.tasks}
    words = [given] if isinstance(given, str) else list(given)
    if words == [ALL]:
        return tuple(dict.fromkeys(by_name.values()))
    if not words:
        raise QuestionError(f"no question: give one, or {ALL!r}")
    for word in [] if own or isinstance(given, str) else words:
        # One word in a list is a name, and no question.
        if word not in by_name and len(word.split()) < 2 and not find_questions(word, card.tasks):
            near = did_you_mean(word, by_name) or "."
            raise QuestionError(
                f"{argument(questions=word)}: the model has no such task{near} "
                f"It knows: {', '.join(by_name)} (or {ALL})"
            )
    return tuple(dict.fromkeys(by_name.get(word, word) for word in words))


@contextmanager
def held(parts: Path, request: Request | EmbedRequest) -> Iterator[None]:
    """Hold the folder in which answers or features are kept, all of them to this request.

    Raises
    ------
    StoreError
        If it has answers to another one, or another process writes there.
    WriteError
        If it cannot be written.
    """
    with ExitStack() as stack:
        try:
            parts.mkdir(parents=True, exist_ok=True)
            stack.enter_context(hold(parts / LOCK, f"another process is {request.doing} into this folder"))
        except OSError as error:
            raise WriteError(f"{parts}: cannot be written ({error.strerror}); choose another place") from error
        _agree(parts, request)
        yield


def _agree(parts: Path, request: Request | EmbedRequest) -> None:
    """Note down what is asked, or make sure that it is what was asked before; no mixture is ever written."""
    file, settings = parts / SETTINGS, request.settings
    if file.is_file() and next(parts.glob(f"*{request.part}"), None) is not None:
        before = decode(type(settings), read_text(file), source=f"{file}: damaged; delete {parts}", error=StoreError)
        changed = [name for name, value in asdict(settings).items() if asdict(before)[name] != value]
        if changed:
            what = "answers" if isinstance(request, Request) else "features"
            raise StoreError(
                f"{parts}: holds {what} of {_difference(changed, before, settings)}; choose another place for the "
                f"{what}, or delete that folder"
            )
    write_text(file, dump_json(asdict(settings)))


def _difference(changed: Sequence[str], before: Settings | EmbedSettings, now: Settings | EmbedSettings) -> str:
    """What is different from before."""
    if "model" in changed:
        return "another model, or of this one before it changed"
    name = changed[0]
    said = {"version": "neurolm", "reading": "how recordings are read"}.get(name, name)
    values = (getattr(one, name) for one in (before, now))
    first, second = ("; ".join(value) if isinstance(value, tuple) else value for value in values)
    return f"a run with {said} {first}, not {second}"
