"""Open data sets from where they are published: ``neurolm download eegmat DIR``.

The files are those that the site's ``SHA256SUMS.txt`` names. What is there and has its checksum is not fetched again,
so the same command goes on after an interruption, repairs a folder, and proves that one that was copied by hand is
whole. A file is put in place only when its checksum is right. Where there is no way to the site, the message says what
to fetch on another machine.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from urllib.parse import quote, urlsplit

from neurolm.core.errors import ConfigError, DownloadError, WriteError, argument
from neurolm.core.names import choose
from neurolm.core.small_files import SMALL, read_small, read_text
from neurolm.core.terminal import printable
from neurolm.corpora.download.sites import SITES, Site
from neurolm.corpora.download.transfer import Interrupted, Transfer, Unreachable, file_hash

SUMS, RECORDS, LICENCE = "SHA256SUMS.txt", "RECORDS", "LICENSE.txt"
ABOUT = (LICENCE, RECORDS)
"""Files that say what the data set is; they come first, whatever is asked for."""
SHOWN = 3
"""Failures in a message."""
_SUM = re.compile(r"([0-9a-fA-F]{64})\s+\*?(\S.*)")

Progress = Callable[[int, int, str], None]
"""Called per file that is there, with the number of those, of all, and its path."""


@dataclass(frozen=True)
class DownloadReport:
    """What is in the folder now."""

    files: int
    """Files of the data set, all with the right checksum."""
    recordings: int
    """Among them, as the site's list of records counts."""
    gigabytes: float
    fetched: int
    """Files that were fetched; the others were there."""
    licence: Path | None
    """The data set's terms, where the site has them."""
    notes: tuple[str, ...]


def download(
    name: str,
    out: Path | str,
    *,
    base_url: str | None = None,
    include: Sequence[str] = (),
    connections: int = 4,
    attempts: int = 6,
    accept_licence: bool = False,
    progress: Progress | None = None,
) -> DownloadReport:
    """Fetch a data set, or what is missing of it.

    Parameters
    ----------
    name
        Name of the data set, in ``sites.SITES``.
    out
        Folder for it.
    base_url
        URL of the data set's folder of files on a mirror; by default the site's own.
    include
        Only files whose path fits one of these patterns (``S00[1-3]/*``); by default all.
    connections
        Files fetched at a time. The sites are public services: keep it small.
    attempts
        Requests in a row that bring nothing, after which a file is given up.
    accept_licence
        Go on although the site's terms are not those known here.
    progress
        Called per file.

    Raises
    ------
    ConfigError
        If an argument is not valid.
    DownloadError
        If the site cannot be reached, refuses, states other terms, or sends files without the right checksum. What was
        fetched before stays.
    WriteError
        If a file cannot be written.
    """
    if name not in SITES:
        raise ConfigError(f"{name!r} cannot be downloaded{choose(name, list(SITES))}")
    if connections < 1 or attempts < 1:
        raise ConfigError(f"connections ({connections}) and attempts ({attempts}) must be 1 or more")
    site, out = SITES[name], Path(out)
    base = (base_url or site.url).rstrip("/") + "/"
    if urlsplit(base).scheme not in ("http", "https"):
        raise ConfigError(f"base_url is {base_url!r}: give the address of a folder, beginning with https://")
    run = _Run(name, site, out, base, Transfer(attempts), progress)
    sums = run.sums()
    wanted = {path: sums[path] for path in sums if path in ABOUT or _fits(path, include)}
    if not wanted.keys() - {*ABOUT}:
        raise ConfigError(f"include {', '.join(include)}: no file of {name} fits; paths are such as {_example(sums)}")
    run.fetch([path for path in ABOUT if path in wanted], wanted, connections=1)
    run.check_licence(accepted=accept_licence)
    if not include:
        run.check_space(wanted)
    run.fetch([path for path in wanted if path not in ABOUT], wanted, connections=connections)
    return run.report(wanted)


class _Run:
    """A download under way."""

    def __init__(
        self, name: str, site: Site, out: Path, base: str, transfer: Transfer, progress: Progress | None
    ) -> None:
        self.name, self.site, self.out, self.base = name, site, out, base
        self.transfer, self.progress = transfer, progress
        self.done, self.total, self.fetched = 0, 0, 0
        self.notes: list[str] = []

    def sums(self) -> dict[str, str]:
        """Fetch the checksums; without a network, take those in the folder."""
        file, fresh = self.out / SUMS, self.out / f".{SUMS}.new"
        try:
            replace(self.transfer, attempts=min(self.transfer.attempts, 3)).fetch(self.base + SUMS, fresh)
        except Unreachable as error:
            if not file.is_file():
                raise DownloadError(f"{error}\n{self.by_hand()}") from error
            self.notes.append(f"{self.base} cannot be reached; what is here was compared with its {SUMS}")
            self.transfer = replace(self.transfer, attempts=1)
            return parse_sums(file)
        try:
            sums = parse_sums(fresh)
        except DownloadError:
            fresh.unlink()
            raise
        fresh.replace(file)
        return sums

    def by_hand(self) -> str:
        """Say what to fetch elsewhere."""
        return (
            f"On a machine with a network, fetch the data set (about {self.site.gigabytes:g} GB) with one of\n"
            f"  wget -r -N -c -np -nH --cut-dirs={self.site.depth} {self.site.url}\n"
            f"  aws s3 sync --no-sign-request {self.site.bucket} .\n"
            f"copy the folder with its {SUMS} to {self.out}, and give this command again: it compares all checksums. "
            f"Where a mirror can be reached, name it ({argument('base_url')})"
        )

    def fetch(self, paths: Sequence[str], sums: Mapping[str, str], *, connections: int) -> None:
        """Fetch what is not there with the right checksum; what fails does not stop the others."""
        self.total = len(sums)
        failed: list[Exception] = []
        with ThreadPoolExecutor(connections, thread_name_prefix="download") as threads:
            pending = {threads.submit(self._one, path, sums[path]): path for path in paths}
            try:
                while pending:
                    for future in wait(pending, return_when=FIRST_COMPLETED).done:
                        path = pending.pop(future)
                        error = future.exception()
                        if error is None:
                            self._count(path, fetched=future.result())
                        elif isinstance(error, DownloadError):
                            failed.append(error)
                            if all(isinstance(e, Unreachable) for e in failed) and len(failed) >= 2 * connections:
                                self.transfer.stop.set()  # the network is gone: the others need not wait for it too
                        elif not isinstance(error, Interrupted):
                            raise error
            except BaseException:
                self.transfer.stop.set()
                threads.shutdown(cancel_futures=True)
                raise
        if failed:
            messages = sorted(map(str, failed))
            more = f"\nand {len(messages) - SHOWN} more" if len(messages) > SHOWN else ""
            unreachable = f"\n{self.by_hand()}" if all(isinstance(error, Unreachable) for error in failed) else ""
            raise DownloadError(
                "\n".join(messages[:SHOWN])
                + f"{more}\n{self.out}: {self.total - self.done} of {self.total} files are missing; the same command "
                f"fetches only those{unreachable}"
            )

    def _one(self, path: str, sha256: str) -> bool:
        file = self.out / path
        if file.is_file() and file_hash(file) == sha256:
            return False
        if not file.parent.resolve().is_relative_to(self.out.resolve()):
            raise DownloadError(
                f"{file.parent}: a link that leads out of {self.out}; remove it, or choose another folder"
            )
        most = SMALL if path in ABOUT else max(SMALL, round(self.site.gigabytes * 1e9))  # no file is longer than all
        self.transfer.fetch(self.base + quote(path), file, sha256, most=most)
        return True

    def _count(self, path: str, *, fetched: bool) -> None:
        self.done += 1
        self.fetched += fetched
        if self.progress:
            self.progress(self.done, self.total, path)

    def check_licence(self, *, accepted: bool) -> None:
        """Stop if the terms are not those known here, unless that is accepted."""
        file = self.out / LICENCE
        known = file.is_file() and self.site.licence in " ".join(
            read_small(file).decode("utf-8", "replace").lower().split()
        )
        if not known and not accepted:
            stated = f"its terms are in {file}" if file.is_file() else f"it has no {LICENCE}"
            raise DownloadError(
                f"{self.base}: {stated}, but {self.name} is known here under the {self.site.licence.title()}; read the "
                f"terms, and accept them ({argument('accept_licence')}) to go on"
            )

    def check_space(self, sums: Mapping[str, str]) -> None:
        """Stop before the disk is full, as far as the size of the data set is known."""
        here = [file.stat().st_size for path in sums if (file := self.out / path).is_file()]
        missing = self.site.gigabytes * 1e9 - sum(here) if len(here) < len(sums) else 0
        free = shutil.disk_usage(self.out).free
        if missing > free:
            raise WriteError(
                f"{self.out}: about {missing / 1e9:.1f} GB are still to come, but {free / 1e9:.1f} GB are free; free "
                f"space, choose another folder, or fetch a part ({argument('include')})"
            )

    def report(self, wanted: Mapping[str, str]) -> DownloadReport:
        """Sum up what is there."""
        records = self.out / RECORDS
        listed = read_text(records, most=SMALL).split() if records.is_file() else []
        missing = [record for record in listed if record not in wanted and _recorded(record, wanted) is None]
        licence = self.out / LICENCE
        return DownloadReport(
            files=len(wanted),
            recordings=len(listed) - len(missing),
            gigabytes=sum((self.out / path).stat().st_size for path in wanted) / 1e9,
            fetched=self.fetched,
            licence=licence if licence.is_file() else None,
            notes=tuple(self.notes),
        )


def _recorded(record: str, wanted: Mapping[str, str]) -> str | None:
    """Lists of records may leave out the suffix."""
    return next((path for path in (f"{record}.edf", f"{record}.EDF") if path in wanted), None)


def parse_sums(file: Path) -> dict[str, str]:
    """Read checksums: path → SHA-256, in the order of the file.

    Raises
    ------
    DownloadError
        If the file is not a list of checksums, or a path leads out of the folder.
    """
    sums: dict[str, str] = {}
    for number, line in enumerate(read_small(file, most=SMALL).decode("utf-8", "replace").splitlines(), start=1):
        if not line.strip():
            continue
        match = _SUM.fullmatch(line.strip())
        if match is None:
            raise DownloadError(
                f"{file}, line {number}: not a checksum and a path, but {line[:60]!r}; is the address that of the data "
                "set's folder of files, and does no login page stand in between?"
            )
        path = PurePosixPath(match[2])
        hidden = any(part.startswith(".") for part in path.parts)
        if path.is_absolute() or hidden or set("\\:") & set(match[2]) or printable(match[2], line=True) != match[2]:
            raise DownloadError(
                f"{file}, line {number}: the path {match[2]!r} leads out of the folder; trust no such site"
            )
        if str(path) != SUMS:
            sums[str(path)] = match[1].lower()
    if not sums:
        raise DownloadError(f"{file}: the site's list of checksums is empty; try again later, or another mirror")
    return sums


def _fits(path: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(path, pattern) for pattern in patterns)


def _example(sums: Mapping[str, str]) -> str:
    return ", ".join([path for path in sums if path not in ABOUT][:SHOWN])
