"""The command ``neurolm``: a thin shell over the library, which does what ``import neurolm`` can do.

Read `__init__.py` first: it finds the verb and says what went wrong, with an exit status of its own for each way.
A verb imports what it needs when it runs: ``neurolm --help`` and ``neurolm --version`` load neither torch nor MNE.
"""

from __future__ import annotations

import atexit
import errno
import gc
import os
import re
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from neurolm import __version__
from neurolm.core.errors import ConfigError, NeuroLMError, Stopped
from neurolm.core.names import choose
from neurolm.core.terminal import say, show_exception, warning_line

VERBS = (
    "simulate",
    "corpora",
    "inspect",
    "download",
    "plan",
    "prepare",
    "overlap",
    "tasks",
    "store",
    "train",
    "runs",
    "evaluate",
    "ask",
    "live",
    "serve",
    "mcp",
    "explain",
    "embed",
    "nearest",
    "forecast",
    "reconstruct",
    "impute",
    "calibrate",
    "convert",
    "verify",
    "report",
    "demo",
)
"""In the order of the help. Each is a function in the module of its name here; `command` says how it becomes a verb."""
DIFFERS, FAILED, PREEMPTED, INTERRUPTED = 1, 2, 75, 130
"""Exit statuses: done, with the result that something does not hold; what was asked cannot be done; asked to stop by
SIGTERM, and saved (sysexits.h: try again later); Ctrl-C."""
_BEGINNING_ANEW = ("live", "explain", "nearest", "forecast", "reconstruct", "impute", "calibrate", "report")
"""Verbs that keep nothing of what was done when they are interrupted."""
_HELP = ("-h", "--help", "help")
_UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    Parameters
    ----------
    arguments
        Without the program's name; by default those of the process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    _quiet()
    # Else Python looks for garbage once more before it ends, in all that torch is made of.
    atexit.register(gc.freeze)
    # GNU OpenMP's threads spin for long while they wait, which halts training where another process runs too; with no
    # spinning at all, a second thread gains nothing. A short spin does well in both.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    try:
        if len(given) > 1 and given[0] in _HELP and given[1] in VERBS:
            given = [*given[1:], "--help"]
        if not given or given[0] in _HELP:
            say(*_help().split("\n"))
            return 0
        if given[0] in ("-V", "--version"):
            say(f"neurolm {__version__}")
            return 0
        if given[0] not in VERBS:
            raise ConfigError(f"unknown verb {given[0]!r}{choose(given[0], VERBS)} (see neurolm --help)")
        from neurolm.cli import command

        holds = command.run(given[0], given[1:])
    except Stopped as error:
        say("", *str(error).split("\n"), error=True)
        return INTERRUPTED if error.signal == signal.SIGINT else PREEMPTED
    except NeuroLMError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        begins_anew = given[0] in _BEGINNING_ANEW
        say("", "interrupted" if begins_anew else "interrupted; the same command goes on from here", error=True)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe, such as head, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        return _fail(f"{error.filename or 'output'}: {error.strerror}; free space or choose another folder")
    return 0 if holds else DIFFERS


def _fail(message: str) -> int:
    first, *more = message.split("\n")
    # What follows is indented: a name with an end of line in it does not pass for a line of our own.
    say(f"neurolm: error: {first}", *(f"  {line}" for line in more), error=True)
    return FAILED


def _help() -> str:
    verbs = "\n".join(f"  {verb:<9} {text}\n            {example}" for verb, text, example in map(_told, VERBS))
    return f"""\
neurolm {__version__}: open any EEG recording, ask it a question in English, get an answer with an honest probability.

usage: neurolm VERB ...          neurolm VERB --help shows what a verb takes

{verbs}

Long work that was interrupted goes on where it was when the command is given again.
A file of settings (--config run.yaml) and dotted flags (--tokenizer.steps 800) change a recipe; --print-config shows
all settings. neurolm --version prints the version."""


def _told(verb: str) -> tuple[str, str, str]:
    """A verb, the first line about its function, and the example with which its module begins.

    Out of the source: importing all verbs would take as long as everything else about the help.
    """
    source = Path(__file__).with_name(f"{verb}.py").read_text(encoding="utf-8")
    found = re.match(rf'"""(.+?)"""$.*?^def {verb}\(.*?^    """(.+?)(?:"""|$)', source, re.DOTALL | re.MULTILINE)
    assert found is not None, f"{verb}.py: begin it with an example, and its function with what it does"
    return verb, found[2], found[1]


def _quiet() -> None:
    """Leave out third-party chatter that no user can act on; warnings come as one line, without a source line."""
    os.environ.setdefault("MNE_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # else it warns whenever a process forks
    warnings.formatwarning = warning_line
    sys.excepthook = show_exception
    # A machine without a usable GPU driver: the device that was chosen is printed anyway.
    warnings.filterwarnings("ignore", message=r".*(NVML|CUDA initialization).*")
