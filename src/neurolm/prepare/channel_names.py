"""Maps of channel names: which recordings a changed one concerns, and whether its names occur."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from neurolm.core.errors import ConfigError
from neurolm.core.small_files import parse_json
from neurolm.core.workers import Pool
from neurolm.prepare.journal import Entry
from neurolm.prepare.worker import RecordingJob, reading_of
from neurolm.recording.electrodes.naming import listed, present
from neurolm.recording.readers import open_by, open_raw

AT_ONCE = 64
"""Recordings that are looked into before it is decided whether to go on."""


def names_of(job: RecordingJob) -> tuple[str, ...]:
    """Return the names of a file's channels, none where it cannot be read; runs in a worker."""
    try:
        if job.source.open is not None:
            return tuple(channel.name for channel in open_by(job.source.open, job.source.path).channels)
        reading, rate = reading_of(job), job.source.rate
        reading = replace(reading, rate=reading.rate or rate, unit=reading.unit or "uV", unknown="drop")
        return tuple(channel.name for channel in open_raw(job.source.path, reading).channels)
    except Exception:  # whatever is wrong with the recording shows again, and is put down, when it is prepared
        return ()


def differ_in_names(job: RecordingJob, entry: Entry) -> bool:
    """Whether nothing but a map of names tells how a recording was read from how it is to be read."""
    old, new = _how(entry.reading), _how(job.reading)
    unchanged = (entry.files, entry.mains) == (job.files, job.mains) and entry.reading != job.reading
    return unchanged and old[1:] == new[1:] and all(one[0] is None or isinstance(one[0], dict) for one in (old, new))


def concerns(job: RecordingJob, entry: Entry, names: Collection[str]) -> bool:
    """Whether the maps differ in what they say of a file's names."""
    old, new = (present(_how(reading)[0] or {}, names) for reading in (entry.reading, job.reading))
    return not names or list(old.items()) != list(new.items())  # the order is that of the electrodes


def require_used(pool: Pool, jobs: Sequence[RecordingJob], seen: Collection[str]) -> None:
    """Refuse a map with names that no recording has: a misspelt one would be passed over in every file.

    Parameters
    ----------
    jobs
        Recordings to look into, until all names are found.
    seen
        Names that were found already.

    Raises
    ------
    ConfigError
        If a name is in none of them.
    """
    source = jobs[0].source
    if not source.partly or not isinstance(source.channels, Mapping):
        return
    missing, example = set(source.channels) - set(seen), tuple(seen)
    for start in range(0, len(jobs), AT_ONCE):
        if not missing:
            return
        for _, names in pool.each(names_of, jobs[start : start + AT_ONCE]):
            if isinstance(names, tuple):
                missing, example = missing - set(names), example or names
    if missing and example:
        absent = [name for name in source.channels if name in missing]
        raise ConfigError(
            f"channels: none of the {len(jobs)} recordings has a channel {', '.join(absent)}; one of them has "
            f"{listed(example)}: spell names as the files do, or leave them out"
        )


def _how(reading: str) -> list:
    """What ``RecordingJob.reading`` says, the map as one."""
    try:
        channels, *rest = parse_json(reading)
        mapped = isinstance(channels, list) and all(isinstance(one, list) for one in channels)
        return [dict(channels) if mapped else channels, *rest]
    except (ValueError, TypeError):
        return [reading]
