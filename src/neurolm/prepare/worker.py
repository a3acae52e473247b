"""What workers do: prepare one recording into its shard.

It may be killed at any moment and done again, by several workers at once too: files appear whole, under names and with
bytes that depend on the recording and the settings alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import neurolm
from neurolm.core.errors import ConfigError, NeuroLMError, RecordingError, StoreError, WriteError, argument
from neurolm.core.files import atomic_file, dump_json
from neurolm.corpora import LAYOUTS, RecordingSource
from neurolm.corpora.folder import Folder
from neurolm.corpora.source import WatchedExtent
from neurolm.prepare.journal import CorpusSettings, Entry, FileState, FileStates
from neurolm.recording.electrodes.caps import require_cap
from neurolm.recording.options import ReadingOptions
from neurolm.recording.preprocess import preprocess_blocks
from neurolm.recording.readers import as_one_of_many
from neurolm.recording.recording import Recording
from neurolm.recording.suffixes import CNT, STREAMED, suffix_of
from neurolm.store.encoding import encode_blocks
from neurolm.store.manifest import Row
from neurolm.store.shards import in_shard
from neurolm.store.store import SHARDS


@dataclass(frozen=True)
class RecordingJob:
    """A recording to prepare."""

    source: RecordingSource
    recording: str
    """Its id in the store."""
    relative: str
    """Path of the source below the data folder."""
    out: Path
    files: tuple[FileState, ...]
    settings: CorpusSettings
    mains: float | None

    @property
    def size(self) -> int:
        """Bytes of the source."""
        return sum(file.size for file in self.files)

    @property
    def reading(self) -> str:
        """How the layout says that the source is to be read, to see whether it says otherwise one day."""
        source, opener, channels = self.source, self.source.open, self.source.channels
        named = list(channels.items() if isinstance(channels, Mapping) else channels) if channels is not None else None
        how = getattr(opener, "func", opener)
        said = [named, source.unit, source.unknown, getattr(how, "__qualname__", None)]
        more = [source.cap] if source.rate is None else [source.cap, source.rate]
        return dump_json(said if more == [None] else [*said, *more])


@dataclass(frozen=True)
class Unreadable:
    """Stands for a recording that could not be prepared."""

    reason: str


def require_folder(data: Path) -> None:
    """Refuse anything but a folder.

    Raises
    ------
    StoreError
        If there is no such folder, or it is a file.
    """
    if not data.is_dir():
        what = "is a file; give the folder that holds it" if data.exists() else "no such folder"
        raise StoreError(f"{data}: {what}")


def list_recordings(data: Path, out: Path, settings: CorpusSettings) -> Iterator[RecordingJob]:
    """List the recordings of a folder whose layout is known, in the order of their paths.

    Raises
    ------
    ConfigError
        If an option is for a format that none of them has, or there is no such cap.
    """
    states = FileStates()
    layout = LAYOUTS[settings.layout]
    arrays = isinstance(layout, Folder) and settings.rate is not None
    sources = Folder().sources(data, arrays=True) if arrays else layout.sources(data)
    if settings.channels is not None or settings.cap is not None:  # the user's word goes before the layout's
        channels, cap = settings.channels, settings.cap
        sources = [replace(one, channels=channels, cap=cap, partly=True) for one in sources]
        settings = replace(settings, channels=None, cap=None)
    for name, suffixes, what in (("stream", STREAMED, "XDF file"), ("data_format", (CNT,), "Neuroscan file (.cnt)")):
        value = getattr(settings, name)
        if value is not None and not any(suffix_of(one.path) in suffixes for one in sources):
            raise ConfigError(f"{argument(**{name: value})}: there is no {what} in {data}; leave it out")
    for cap in {one.cap for one in sources if one.cap is not None}:
        require_cap(cap)
    for source in sources:
        relative = source.path.relative_to(data).as_posix()
        mains = source.mains if settings.mains is None else settings.mains
        yield RecordingJob(
            source, f"{source.corpus}/{relative}", relative, out, states.of(source.path), settings, mains
        )


def prepare_recording(job: RecordingJob) -> Entry | Unreadable:
    """Prepare one recording into its shard; runs in a worker.

    Raises
    ------
    ConfigError
        If an argument or a table of the user's is wrong: not the recording's fault.
    WriteError
        If the store cannot be written.
    """
    try:
        recording = _open(job)
        extent = WatchedExtent(recording)
        labels, of_labels = job.source.labelled(extent), job.source.label_notes(extent)
        prepared = preprocess_blocks(recording, mains=job.mains, filters=job.settings.filters)
        stretches = tuple(prepared.stretches)
        place = atomic_file(job.out / SHARDS / job.source.corpus, name=lambda: row.shard)
        with place as temporary, temporary.open("wb") as file:
            encoded = encode_blocks(prepared.blocks, prepared.channels, write=file.write, folder=temporary.parent)
            row = in_shard(
                Row(
                    recording=job.recording,
                    corpus=job.source.corpus,
                    source=job.relative,
                    sha256=encoded.sha256,
                    subject=f"{job.source.corpus}/{job.source.subject}",
                    channels=tuple(recording.channels),
                    samples=encoded.samples,
                    scale=encoded.scale,
                    clipped=encoded.clipped,
                    mains=float(prepared.mains),
                    band=(float(prepared.band[0]), float(prepared.band[1])),
                    unit=recording.unit,
                    version=neurolm.__version__,
                    licence=job.source.licence,
                    labels=labels,
                    notes=(*recording.notes, *prepared.notes, *of_labels),
                    shard="",
                    offset=0,
                    interrupted=() if len(stretches) == 1 and not stretches[0].start else stretches,
                    filters=job.settings.filters,
                )
            )
    except (ConfigError, WriteError):
        raise
    except NeuroLMError as error:
        return Unreadable(str(error))
    except Exception as error:  # a reader may fail in any way on a damaged file, and must not stop the others
        return Unreadable(f"{type(error).__name__}: {error}")
    seconds, annotations = float(recording.seconds), extent.annotations if extent.read else None
    return Entry(job.files, job.settings, job.reading, job.mains, seconds, annotations, row)


def _open(job: RecordingJob, *, check: bool = True) -> Recording:
    return job.source.open_recording(reading=reading_of(job), check=check)


def reading_of(job: RecordingJob) -> ReadingOptions:
    """How a recording is to be read, as far as the settings say it."""
    return as_one_of_many(job.source.path, job.settings.reading)


def check_labels(job: RecordingJob) -> None:
    """Raise the ConfigError of labels that do not fit their recording; runs in a worker."""
    try:
        recording = _open(job, check=False)
    except ConfigError:
        raise
    except Exception:  # whatever is wrong with the recording shows again, and is put down, when it is prepared
        return
    with suppress(RecordingError):  # so do labels that are not for this recording
        job.source.labelled(recording)
