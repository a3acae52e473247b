"""Ask a service instead of a model of this process: the same questions, the same answers

import neurolm
remote = neurolm.connect("http://127.0.0.1:8765")
answer = remote.ask("recording.edf", "Is this EEG segment of high workload?")
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from neurolm.api.connection import PATIENCE, Connection, RemoteError
from neurolm.ask import EXPLAINED
from neurolm.ask.answer import Answer, Progress, WindowAnswer
from neurolm.ask.explanation import Effect, Explanation
from neurolm.core.errors import ConfigError, RecordingError, argument
from neurolm.recording.options import BELIEVED, ReadingOptions, Unseen
from neurolm.recording.suffixes import main_file, parts_of


@dataclass(frozen=True, kw_only=True)
class RemoteRecording:
    """A recording that a service has."""

    id: str
    name: str
    origin: str
    """``upload``, ``folder`` or ``example``."""
    bytes: int
    expires: float | None = None
    """When it is deleted if nobody uses it, seconds since 1970; None: never."""


@dataclass(frozen=True, kw_only=True)
class _Heard:
    """What the service says of windows that were answered just now."""

    windows: tuple[WindowAnswer, ...]
    done: int
    total: int


class RemoteModel:
    """A model of a service. Make one with ``neurolm.connect``.

    Parameters
    ----------
    url
        Address of the service.
    token
        That the service wants, if it wants one.
    model
        Name of the model that is asked; by default the service's first.
    patience
        Seconds for which a busy service is asked again.
    """

    def __init__(
        self, url: str, *, token: str | None = None, model: str | None = None, patience: float = PATIENCE
    ) -> None:
        self.model = model
        self._to = Connection(url, token=token, patience=patience)

    @property
    def url(self) -> str:
        """Address of the service."""
        return self._to.url

    @property
    def models(self) -> list[dict[str, Any]]:
        """What the service says of its models."""
        found: list[dict[str, Any]] = self._to.json("GET", "models")
        return found

    @property
    def questions(self) -> tuple[str, ...]:
        """The questions that the model was tuned on."""
        known = self.models
        mine = [one for one in known if (one["default"] if self.model is None else one["name"] == self.model)]
        if not mine:
            names = ", ".join(one["name"] for one in known)
            raise ConfigError(f"{argument(model=self.model)}: {self.url} has no such model; it has {names}")
        return tuple(dict.fromkeys(task["question"] for task in mine[0]["tasks"]))

    @property
    def recordings(self) -> tuple[RemoteRecording, ...]:
        """The recordings that the service has."""
        return tuple(self._to.decoded(RemoteRecording, one) for one in self._to.json("GET", "recordings"))

    def upload(self, path: str | Path, *, reading: ReadingOptions = BELIEVED) -> str:
        """Send a recording, with all of its files, and return its id; the service deletes it some time after its use.

        Raises
        ------
        RecordingError
            If there is no such file, or it cannot be read.
        """
        main, _ = main_file(Path(path))
        if not main.is_file():
            what = "a folder, which cannot be sent" if main.is_dir() else "no such file"
            raise RecordingError(f"{main}: {what}; ask about a file, or about a recording of the service by its id")
        files = [main, *(one for one in parts_of(main) if one.is_file())]
        found = self._to.decoded(RemoteRecording, self._to.json("POST", "recordings", files=files))
        if reading != BELIEVED:
            try:
                self._to.json("PUT", f"recordings/{found.id}/reading", body=_changed(reading))
            except BaseException:
                self.delete(found.id)
                raise
        return found.id

    def delete(self, id: str) -> None:
        """Delete what was uploaded, and the answers about it."""
        self._to.request("DELETE", f"recordings/{_quoted(id)}").close()

    def ask(
        self,
        source: str | Path,
        question: str,
        *,
        options: Sequence[str] | None = None,
        reading: ReadingOptions = BELIEVED,
        unseen: Unseen = "nearest",
        risk: float | None = None,
    ) -> Answer:
        """Answer a question about a recording, as ``Model.ask`` does.

        Parameters
        ----------
        source
            A file, which is sent and deleted there afterwards; or the id of a recording that the service has.
        question, options, reading, unseen, risk
            As for ``Model.ask``; a recording of the service is read as it was set there.

        Raises
        ------
        RemoteError
            If there is no service, or it breaks off.
        QuestionError, RecordingError, ConfigError
            As ``Model.ask``.
        """
        *_, answer = self.ask_stream(source, question, options=options, reading=reading, unseen=unseen, risk=risk)
        assert isinstance(answer, Answer)
        return answer

    def ask_stream(
        self,
        source: str | Path,
        question: str,
        *,
        options: Sequence[str] | None = None,
        reading: ReadingOptions = BELIEVED,
        unseen: Unseen = "nearest",
        risk: float | None = None,
    ) -> Iterator[Progress | Answer]:
        """Answer a question, and give windows as soon as they are answered, as ``Model.ask_stream`` does.

        Parameters and errors are those of :meth:`ask`. Once the iterator is closed, the service computes nothing more.

        Yields
        ------
        Progress
            The next windows.
        Answer
            In the end.
        """
        body = {"question": question, "options": None if options is None else list(options), "risk": risk}
        body |= {"unseen": unseen, "model": self.model}
        with self._there(source, reading) as id:
            yield from self._listen(f"recordings/{_quoted(id)}/ask", body)

    def explain(
        self,
        source: str | Path,
        question: str,
        *,
        option: str | None = None,
        options: Sequence[str] | None = None,
        windows: int = EXPLAINED,
        start: float = 0.0,
        stop: float | None = None,
        reading: ReadingOptions = BELIEVED,
    ) -> Explanation:
        """Say which electrodes and seconds carried an answer, as ``Model.explain`` does."""
        body: dict[str, Any] = {"question": question, "options": None if options is None else list(options)}
        body |= {"option": option, "windows": windows, "start": start, "stop": stop, "model": self.model}
        with self._there(source, reading) as id:
            found = self._to.json("POST", f"recordings/{_quoted(id)}/explain", body=body)
        effects = [self._to.decoded(Effect, _own(Effect, one, mean="effect")) for one in found["electrodes"]]
        seconds = [self._to.decoded(Effect, _own(Effect, one, mean="effect")) for one in found["seconds"]]
        return Explanation(
            recording=found["recording"], question=found["question"], option=found["option"],
            log_odds=found["log_odds"], electrodes=tuple(found["names"]), electrode_effects=tuple(effects),
            seconds=tuple(one["start"] for one in found["seconds"]), second_effects=tuple(seconds),
            starts=tuple(found["starts"]), notes=tuple(found["notes"]),
        )  # fmt: skip

    def close(self) -> None:
        """Close the connections; whoever goes on asking opens new ones."""
        self._to.close()

    @contextmanager
    def _there(self, source: str | Path, reading: ReadingOptions) -> Iterator[str]:
        """Id of a recording in the service: one that it has, or a file that is sent and deleted again."""
        if isinstance(source, str) and not Path(source).exists() and _is_id(source):
            if reading != BELIEVED:
                raise ConfigError(
                    f"{argument('reading')}: how a recording of the service is read is set there, for all who ask"
                )
            yield source
            return
        id = self.upload(source, reading=reading)
        try:
            yield id
        finally:
            self.delete(id)

    def _listen(self, path: str, body: dict[str, Any]) -> Iterator[Progress | Answer]:
        with self._to.request("POST", path, body=body, accept="text/event-stream") as response:
            for name, data in self._to.events(response):
                if name == "windows":
                    found = self._to.decoded(_Heard, data)
                    yield Progress(windows=found.windows, done=found.done, total=found.total)
                elif name == "answer":
                    yield self._to.decoded(Answer, _own(Answer, data))
                    return
                elif name == "error":
                    raise self._to.error(data)
        raise RemoteError(f"{self.url}: the service broke off before the answer was there: ask again")


def connect(url: str, token: str | None = None, *, model: str | None = None, patience: float = PATIENCE) -> RemoteModel:
    """Connect to a service that ``neurolm serve`` started.

    >>> remote = neurolm.connect("http://127.0.0.1:8765")
    >>> remote.ask("recording.edf", remote.questions[0]).answer

    Parameters
    ----------
    url
        Its address.
    token
        That it wants, if it wants one.
    model
        Name of the model that is asked; by default the service's first.
    patience
        Seconds for which a busy service is asked again, after the pauses that it names.

    Returns
    -------
    RemoteModel
        With ``ask``, ``ask_stream``, ``explain``, ``questions``, ``recordings``.

    Raises
    ------
    ConfigError
        If that is no address.
    RemoteError
        If no service answers there, or it refuses.
    """
    found = RemoteModel(url, token=token, model=model, patience=patience)
    found.recordings  # noqa: B018 - which asks for the token, too
    return found


def _own(kind: Any, data: Any, **other: str) -> Any:
    """The fields of a dataclass among what a service says, some under other names."""
    if not isinstance(data, dict):
        return data
    wanted = {field.name: other.get(field.name, field.name) for field in fields(kind)}
    return {name: data[given] for name, given in wanted.items() if given in data}


def _changed(reading: ReadingOptions) -> dict[str, Any]:
    """What is not as by default."""
    before = asdict(BELIEVED)
    return {name: value for name, value in asdict(reading).items() if value != before[name]}


def _is_id(source: str) -> bool:
    return len(source) == 32 and all(character in "0123456789abcdef" for character in source)


def _quoted(id: str) -> str:
    return quote(id, safe="")
