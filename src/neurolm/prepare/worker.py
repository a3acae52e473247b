"""What workers do: a recording into a staged signal, staged signals into their shard.

Both may be killed at any moment and done again, by several workers at once too: files appear whole, under names and
with bytes that depend on the recordings and settings alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import neurolm
from neurolm.core.errors import ConfigError, NeuroLMError, WriteError
from neurolm.core.files import atomic_file, write_text
from neurolm.corpora import Source
from neurolm.prepare.journal import FileState, Settings, State
from neurolm.recording.preprocess import preprocess_blocks
from neurolm.recording.recording import Recording
from neurolm.store.encoding import encode_blocks
from neurolm.store.manifest import Row
from neurolm.store.shards import placed, sources_path, staged_name, staged_state, write_shard


@dataclass(frozen=True)
class Task:
    """A recording to prepare."""

    source: Source
    recording: str
    """Its id in the store."""
    relative: str
    """Path of the source below the data folder."""
    out: Path
    files: tuple[FileState, ...]
    settings: Settings
    mains: float | None

    @property
    def size(self) -> int:
        """Bytes of the source."""
        return sum(file.size for file in self.files)

    @property
    def reading(self) -> str:
        """How the layout says that the source is to be read, to see whether it says otherwise one day."""
        source, opener = self.source, self.source.open
        channels = None if source.channels is None else list(source.channels.items())
        how = getattr(opener, "func", opener)
        return json.dumps([channels, source.unit, source.unknown, getattr(how, "__qualname__", None)])


@dataclass(frozen=True)
class Bad:
    """Why a recording could not be prepared."""

    reason: str


@dataclass(frozen=True)
class Pack:
    """Recordings to put into their shard."""

    out: Path
    corpus: str
    states: tuple[State, ...]
    """Of the recordings, sorted by id; those with an empty ``row.shard`` lie in ``staging``."""


def work(item: Task | Pack) -> State | Bad | tuple[State, ...]:
    """Do whatever is to be done; runs in a worker."""
    return pack(item) if isinstance(item, Pack) else stage(item)


def stage(task: Task) -> State | Bad:
    """Prepare one recording into a file of its own.

    Raises
    ------
    ConfigError
        If an argument or a table of the user's is wrong: not the recording's fault.
    WriteError
        If the store cannot be written.
    """
    try:
        recording = _open(task)
        labels = task.source.labelled(recording)
        prepared = preprocess_blocks(recording, mains=task.mains)
        with atomic_file(task.out / staged_name(task.recording)) as temporary, temporary.open("wb") as file:
            encoded = encode_blocks(prepared.blocks, prepared.channels, write=file.write, folder=temporary.parent)
    except (ConfigError, WriteError):
        raise
    except NeuroLMError as error:
        return Bad(str(error))
    except Exception as error:  # a reader may fail in any way on a damaged file, and must not stop the others
        return Bad(f"{type(error).__name__}: {error}")
    row = Row(
        recording=task.recording,
        corpus=task.source.corpus,
        source=task.relative,
        sha256=encoded.sha256,
        subject=f"{task.source.corpus}/{task.source.subject}",
        channels=tuple(recording.channels),
        samples=encoded.samples,
        scale=encoded.scale,
        clipped=encoded.clipped,
        mains=float(prepared.mains),
        band=(float(prepared.band[0]), float(prepared.band[1])),
        unit=recording.unit,
        version=neurolm.__version__,
        licence=task.source.licence,
        labels=labels,
        notes=(*recording.notes, *prepared.notes),
        shard="",
        offset=0,
    )
    seconds, annotations = float(recording.seconds), tuple(recording.annotations)
    state = State(task.files, task.settings, task.reading, task.mains, seconds, annotations, row)
    write_text(staged_state(task.out, task.recording), state.line())
    return state


def pack(job: Pack) -> tuple[State, ...]:
    """Put recordings into their shard; returns their states as they are then."""
    before = [state.row for state in job.states]
    after = placed(job.corpus, before)
    write_shard(job.out, before, after)
    states = tuple(replace(state, row=row) for state, row in zip(job.states, after, strict=True))
    write_text(sources_path(job.out, after[0].shard), "".join(state.line() for state in states))
    return states


def _open(task: Task, *, check: bool = True) -> Recording:
    settings = task.settings
    return task.source.open_recording(
        unknown=settings.unknown, unit=settings.unit, truncated=settings.truncated, check=check
    )


def check_labels(task: Task) -> None:
    """Raise the ConfigError of labels that do not fit their recording; runs in a worker."""
    try:
        recording = _open(task, check=False)
    except ConfigError:
        raise
    except Exception:  # whatever is wrong with the recording shows again, and is put down, when it is prepared
        return
    task.source.labelled(recording)
