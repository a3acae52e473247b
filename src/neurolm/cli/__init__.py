"""The command ``neurolm``: a thin shell over the library, which does what ``import neurolm`` can do.

Read this file first: it finds the verb and says what went wrong, with an exit status of its own for each way.
A verb imports what it needs when it runs: ``neurolm --help`` and ``neurolm --version`` load neither torch nor MNE.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module

from neurolm import __version__
from neurolm.core.errors import ConfigError, NeuroLMError, Stopped

VERBS = {
    "simulate": ("write a small labelled corpus of simulated EEG as EDF files", "neurolm simulate corpus"),
    "corpora": ("list the corpora whose folders are known, or say all of one", "neurolm corpora"),
    "inspect": ("say what is in recordings, and what neurolm would do with them", "neurolm inspect recording.edf"),
    "download": ("fetch an open data set, with checksums", "neurolm download eegmat recordings"),
    "plan": ("estimate what preparing recordings takes", "neurolm plan recordings --hours 25000"),
    "prepare": ("turn a folder of recordings into a store to train on", "neurolm prepare corpus --out store"),
    "overlap": (
        "look for recordings and people of some stores in another",
        "neurolm overlap pretraining --against downstream",
    ),
    "tasks": (
        "list the questions that can be trained, check one against a store, or make one of your own",
        "neurolm tasks",
    ),
    "store": ("check a store, say what is in it, or export its manifest", "neurolm store info store"),
    "train": (
        "run a stage: language, tokenizer, pretrain, instruct",
        "neurolm train tokenizer --store store --out runs/mine",
    ),
    "runs": (
        "list runs and how far each is, or compare some",
        "neurolm runs compare runs/one runs/other --out curves.png",
    ),
    "evaluate": (
        "answer all tasks on held-out subjects, beside baselines",
        "neurolm evaluate runs/mine --store store",
    ),
    "ask": (
        "ask a question about a recording",
        'neurolm ask recording.edf "Is this EEG segment of high workload?" --model runs/mine',
    ),
    "explain": (
        "say which electrodes and seconds carried an answer, and draw them",
        'neurolm explain recording.edf "Is this EEG segment of high workload?" --out picture.png',
    ),
    "calibrate": (
        "fit temperature and thresholds of a tuned model on the validation people, as training does at its end",
        "neurolm calibrate --model runs/mine --store store",
    ),
    "convert": (
        "turn the authors' weights into a checkpoint folder (official), or one into theirs (to-official)",
        "neurolm convert official VQ.pt NeuroLM-B.pt --out official-b --gpt2 gpt2",
    ),
    "verify": ("compare this implementation with the authors' numbers", "neurolm verify official/golden"),
    "report": ("write a run's figures as one HTML page", "neurolm report runs/mine --store store"),
    "demo": ("everything above in one command", "neurolm demo"),
}
"""What each verb does, and an example."""
DIFFERS, FAILED, PREEMPTED, INTERRUPTED = 1, 2, 75, 130
"""Exit statuses: done, with the result that something does not hold; what was asked cannot be done; asked to stop by
SIGTERM, and saved (sysexits.h: try again later); Ctrl-C."""
_ARGUMENTS = (
    "accept_licence|against|base_url|channels|connections|corpus|device|every|exclude|gpt2|"
    "hours|include|jobs|mains|option|options|rate|risk|samples|scheduler|seed|split|start|stop|subject|subjects|truncated|unit|unknown"
)
"""Arguments of the library that are flags here."""
_UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    Parameters
    ----------
    arguments
        Without the program's name; by default those of the process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if given[0] in ("-V", "--version"):
        print(f"neurolm {__version__}")
        return 0
    _quiet()
    # GNU OpenMP's threads spin for long while they wait, which halts training where another process runs too; with no
    # spinning at all, a second thread gains nothing. A short spin does well in both.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    try:
        if given[0] not in VERBS:
            raise ConfigError(f"unknown verb {given[0]!r}: choose one of {', '.join(VERBS)} (see neurolm --help)")
        holds = import_module("neurolm.cli.verbs").run(given[0], given[1:])
    except Stopped as error:
        print(f"\n{error}", file=sys.stderr)
        return INTERRUPTED if error.signal == signal.SIGINT else PREEMPTED
    except NeuroLMError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from here", file=sys.stderr)
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
    print(f"neurolm: error: {as_flags(message)}", file=sys.stderr)
    return FAILED


def as_flags(message: str) -> str:
    """Write the library's arguments in a message as the flags that they are here: ``unit='mV'`` as ``--unit mV``."""
    message = re.sub(rf"\b({_ARGUMENTS})=\{{'([^']*)': '([^']*)', …\}}", r"--\1 '\2=\3,…'", message)
    message = re.sub(rf"\b({_ARGUMENTS})='([^']*)'", r"--\1 \2", message)
    message = re.sub(rf"\b({_ARGUMENTS})=(?=\))", r"--\1", message).replace("(options)", "(--options)")
    return re.sub(rf"\b({_ARGUMENTS})=(?=\w)", r"--\1 ", message)


def _help() -> str:
    verbs = "\n".join(f"  {name:<9} {text}\n            {example}" for name, (text, example) in VERBS.items())
    return f"""\
neurolm {__version__}: open any EEG recording, ask it a question in English, get an answer with an honest probability.

usage: neurolm VERB ...          neurolm VERB --help shows what a verb takes

{verbs}

Every command that was interrupted goes on where it was when it is given again.
A file of settings (--config run.yaml) and dotted flags (--tokenizer.steps 800) change a recipe; --print-config shows
all settings. neurolm --version prints the version."""


def _quiet() -> None:
    """Leave out third-party chatter that no user can act on; warnings come as one line, without a source line."""
    os.environ.setdefault("MNE_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # else it warns whenever a process forks
    warnings.formatwarning = lambda message, *_args, **_kwargs: f"neurolm: warning: {message}\n"
    # A machine without a usable GPU driver: the device that was chosen is printed anyway.
    warnings.filterwarnings("ignore", message=r".*(NVML|CUDA initialization).*")
