"""A stranger's chat template, rendered once in a process with limits of time and memory

The sandbox of jinja, in which it runs there, has no such limits.
"""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

from neurolm.core.errors import TextError
from neurolm.core.workers import Died, Worker

LONGEST = 1 << 16
"""Most characters of a template, or of what a template writes."""
SECONDS, PATIENCE, MEMORY = 5, 60.0, 256 << 20
"""Seconds of computing that a template may take, seconds after which nobody waits any more (on a busy machine), and
bytes; those that models come with take thousandths of a second."""
_MARK, _DATE = "the question stands here", "26 Jul 2024"
"""The date that templates are told which ask for one: the same prompt always has the same tokens."""


def render_turns(template: str, begin: str, end: str, *, source: Path | str) -> tuple[str, str] | None:
    """Return what a template writes before a question and after it; None if it has no place for one.

    Parameters
    ----------
    template
        In jinja's language.
    begin, end
        Tokens that begin a conversation and end a turn.
    source
        The file that it is from, for the message.

    Raises
    ------
    TextError
        If it does not end, or takes more memory than any template needs.
    """
    worker = Worker(silent=True)
    try:
        written = worker.call(_rendered, template, begin, end, patience=PATIENCE)
    except (Died, MemoryError) as error:
        raise TextError(
            f"{source}: its chat template takes more than {SECONDS} s or {MEMORY >> 20} MiB, and only has to say what "
            "stands around a question; choose another model"
        ) from error
    finally:
        worker.stop()
    if written is None or written.count(_MARK) != 1:
        return None
    before, _, after = written.partition(_MARK)
    return before, after


def _limit() -> None:
    """Let this process compute and take no more than a template may: it is killed, or has a MemoryError."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _lower(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + SECONDS)
    taken = Path("/proc/self/statm")
    if taken.exists():  # elsewhere, the time that it takes to fill memory limits that
        _lower(resource.RLIMIT_AS, int(taken.read_text().split()[0]) * resource.getpagesize() + MEMORY)


def _lower(kind: int, most: int) -> None:
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (most if before[0] < 0 else min(most, before[0]), before[1]))


def _rendered(template: str, begin: str, end: str) -> str | None:
    """Render a template around a mark; runs in the process, and limits it for good."""
    from jinja2 import nodes
    from jinja2.exceptions import TemplateError
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """``{% generation %}``, which marks what a model writes, and changes nothing."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Any) -> list[nodes.Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def refuse(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, Generation]
    )
    environment.globals |= {"raise_exception": refuse, "strftime_now": lambda form: _DATE}
    _limit()
    try:
        written = environment.from_string(template).render(
            messages=[{"role": "user", "content": _MARK}], add_generation_prompt=True, enable_thinking=False,
            bos_token=begin, eos_token=end, tools=None,
        )  # fmt: skip
    except MemoryError:
        raise MemoryError from None  # without what holds the memory
    except Exception:  # whatever a stranger's template does
        return None
    return written if len(written) <= LONGEST else None
