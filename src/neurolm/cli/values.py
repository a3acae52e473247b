"""Values of flags: how their texts are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from neurolm.core.config import Precision
from neurolm.core.errors import ConfigError, flag_of

F = TypeVar("F", bound=Callable[..., Any])


def with_arguments_of(path: str) -> Callable[[F], F]:
    """Let ``**how`` of a verb stand for the arguments of the library's function that its own don't name.

    Parameters
    ----------
    path
        Of the function, as ``neurolm.prepare.plan:plan``; imported when the verb is used, not with its module.
    """

    def mark(function: F) -> F:
        function.library = path  # type: ignore[attr-defined]
        return function

    return mark


def place(text: str | Path) -> Path | str:
    """Read a folder, or the URL of one in object storage (``s3://bucket/store``), which is no path."""
    return text if isinstance(text, str) and "://" in text else Path(text)


def names(text: str) -> list[str]:
    """Read ``a,b``."""
    return [part.strip() for part in text.split(",") if part.strip()]


def numbers(text: str) -> list[int]:
    """Read ``0,1,2``."""
    try:
        return [int(part) for part in names(text)]
    except ValueError as error:
        raise ConfigError("give whole numbers, as 0,1,2") from error


def entries(text: str) -> list[tuple[str, str]]:
    r"""Read ``a=b,c=d``; what lacks either side is an empty text.

    A name may have equals signs in it, what it stands for may not. It may have commas too (``Fp1,a=Fp1``): one after
    an equals sign is written ``\,``.
    """
    joined: list[str] = []
    for part in re.split(r"(?<!\\),", text):
        if joined and "=" not in joined[-1]:
            joined[-1] += f",{part}"
        else:
            joined.append(part)
    found = [part.replace("\\,", ",").rpartition("=") for part in joined if part.strip()]
    return [(name.strip(), value.strip()) for name, _, value in found]


def pairs(text: str) -> dict[str, str]:
    """Read ``a=b,c=d``, as `entries` does."""
    found = entries(text)
    if not found or not all(name and value for name, value in found):
        raise ConfigError("give what each stands for, as a=b,c=d")
    return dict(found)


def names_or_pairs(text: str) -> list[str] | dict[str, str]:
    """Read ``a,b`` or ``a=b,c=d``."""
    if "=" not in text:
        return names(text)
    if not all(name for name, _ in entries(text)):
        raise ConfigError("give an electrode for all of them, as ch1=Fp1,ch2=Fp2, or for none")
    return pairs(text)


def name_or_number(text: str) -> str | int:
    """Read a name, or a number."""
    return int(text) if text.isdecimal() else text


COMMON = {
    "json": "Print everything as JSON.",
    "jobs": "Worker processes; 0: as many as there are cores.",
    "text": "Folder of .txt files to learn language from; by default the shipped text.",
    "gpt2": "Folder or hub id of GPT-2 weights; by default a small one is trained.",
    "store": "Folder of the store, or its URL (s3://bucket/store).",
    "file": "Recording in any format that MNE reads.",
    "question": "In English.",
    "options": "Permitted answers of a question of your own, as a,b.",
    "model": "Folder of a run; by default $NEUROLM_MODEL, else the newest in runs/.",
}
"""What flags mean that mean the same in every verb; a docstring may say it otherwise."""
READERS: dict[Any, Callable[[str], Any]] = {
    Path: Path,
    Path | str: place,
    Sequence[str]: names,
    Sequence[int]: numbers,
    Mapping[str, str]: pairs,
    Sequence[str] | Mapping[str, str]: names_or_pairs,
    str | int: name_or_number,
}
"""How a text becomes a value of a type; other types are left to jsonargparse."""


def as_flags(options: Any, default: Any) -> list[str]:
    """Write the fields of a dataclass that differ from the default's as flags, as `READERS` read them."""
    said: list[str] = []
    for name in (field.name for field in fields(options)):
        value = getattr(options, name)
        if value == getattr(default, name):
            continue
        if isinstance(value, Mapping):
            value = ",".join(f"{key}={entry}".replace(",", "\\,") for key, entry in value.items())
        elif isinstance(value, list | tuple):
            value = ",".join(map(str, value))
        said += [flag_of(name), f"{value:g}" if isinstance(value, float) else str(value)]
    return said


def missing(flag: str, what: str) -> NoReturn:
    """Say what to give.

    Raises
    ------
    ConfigError
        In any case.
    """
    raise ConfigError(f"{flag} is missing: give {what}")


def one_run(run: Path | None, model: Path | None) -> Path:
    """Return the folder of the run that a verb is about, which may be named as a word or by ``--model``.

    Raises
    ------
    ConfigError
        If it is not named, or twice.
    """
    if run is not None and model is not None and run != model:
        raise ConfigError(f"{run} and --model {model}: two runs; name one")
    return run or model or missing("RUN", "the folder of the run, as a word or by --model")


def instruct_folder(folder: Path) -> Path:
    """Return the instruct stage of a run; or the folder itself, where it is one."""
    return folder / "instruct" if (folder / "instruct").is_dir() else folder


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What computes.

    Parameters
    ----------
    device
        cpu, cuda or cuda:N; auto takes a GPU where there is one.
    threads
        CPU threads; 0: one per core.
    """

    device: str = "auto"
    threads: int = 0

    def set_threads(self) -> None:
        """Set the number of CPU threads.

        Raises
        ------
        ConfigError
            If the number is negative.
        """
        if self.threads < 0:
            raise ConfigError(f"--threads {self.threads}: give the number of CPU threads, or 0 for one per core")
        if self.threads:
            import torch

            torch.set_num_threads(self.threads)


@dataclass(frozen=True, kw_only=True)
class Answering(Machine):
    """What answers questions.

    Parameters
    ----------
    device
        cpu, cuda or cuda:N; auto takes a GPU where there is one.
    threads
        CPU threads; 0: one per core.
    precision
        Of matrix products; auto: bfloat16 where this machine is faster with it and the model's probabilities were
        calibrated so, else float32.
    """

    precision: Precision = "auto"
