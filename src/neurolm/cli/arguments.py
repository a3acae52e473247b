"""What each verb takes."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentError, ArgumentParser, Namespace

from neurolm.cli import VERBS
from neurolm.cli.settings import add_settings, check_files, describe_settings
from neurolm.core.config import COMPILE, PRECISIONS, STAGES
from neurolm.core.errors import ConfigError
from neurolm.corpora.download.sites import SITES

ACTIONS = ("list", "show", "check", "new", "table")
"""Of the verb tasks."""
BASELINES = ("majority", "band-power", "tangent-space", "shallowconvnet", "linear-probe")
"""As in ``evaluation.baselines.fit``, which would import torch; a test compares them."""
UNITS = ("V", "mV", "uV", "nV", "auto")
POLICIES = ("nearest", "drop", "error")
"""As in ``reading.POLICIES``, which would import torch; a test compares them."""


def parse(verb: str, given: Sequence[str]) -> Namespace:
    """Parse what follows a verb.

    Raises
    ------
    ConfigError
        If a flag or value is not valid; the message names the valid ones.
    SystemExit
        After ``--help``.
    """
    given = [_with_underscores(word) for word in given]
    parser = ArgumentParser(
        prog=f"neurolm {verb}",
        description=f"{VERBS[verb][0]}\n\n  {VERBS[verb][1]}",
        exit_on_error=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        print_config=None,  # prints what was not validated; see settings_text
    )
    _ADD[verb](parser)
    settable = verb in _WITH_RECIPE and not {"-h", "--help"} & set(given)
    if settable:
        add_settings(parser, given)
    elif verb in _WITH_RECIPE:
        describe_settings(parser)
    _check_flags(parser, verb, given)
    if settable:
        check_files(parser, given)
    try:
        return parser.parse_args(given)
    except (ArgumentError, argparse.ArgumentError) as error:
        raise ConfigError(f"neurolm {verb}: {_plain(str(error))} (see neurolm {verb} --help)") from error


def _with_underscores(word: str) -> str:
    """Flags may be written with hyphens too: ``--print-config`` as ``--print_config``."""
    name, equals, value = word.partition("=")
    return name[:2] + name[2:].replace("-", "_") + equals + value if name.startswith("--") else word


def _plain(message: str) -> str:
    """Write an error of the parser without Python's names of types: ``--tokenizer.steps: expected int, not 1.5``."""
    message = re.sub(r'Parser key "([\w.]+)": ?', r"--\1: ", " ".join(message.split()))
    message = re.sub(r"<class '(\w+)'>", r"\1", message)
    message = re.sub(r"typing\.Literal\[(.*?)\]", lambda m: "one of " + m.group(1).replace("'", ""), message)
    return re.sub(r"Expected an? (.*?)\. Got value: ", r"expected \1, not ", message)


def place(given: str | Path) -> Path | str:
    """Read a folder, or the URL of one in object storage (``s3://bucket/store``), which is no path."""
    return given if isinstance(given, str) and "://" in given else Path(given)


def _check_flags(parser: ArgumentParser, verb: str, given: Sequence[str]) -> None:
    known = [name for action in parser._actions for name in action.option_strings if name.startswith("--")]
    for word in given:
        name = word.split("=")[0]
        if word.startswith("--") and len(word) > 2 and name not in known:
            near = difflib.get_close_matches(name, known, n=2, cutoff=0.7)
            plain = ", ".join(n for n in known if "." not in n and n[2:] not in (*STAGES, "model"))
            raise ConfigError(
                f"neurolm {verb}: unknown flag {name}"
                + (f": did you mean {' or '.join(near)}?" if near else ":")
                + f" Valid are {plain}"
                + (", and settings such as --tokenizer.steps (--print-config shows all)" if len(known) > 40 else "")
            )


def _simulate(parser: ArgumentParser) -> None:
    parser.add_argument("out", type=Path, help="folder for the EDF files and their table of labels")
    parser.add_argument("--subjects", type=int, default=30, help="how many people (30)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same bytes (0)")
    parser.add_argument("--jobs", type=int, default=0, help="worker processes (one per core)")


def _prepare(parser: ArgumentParser) -> None:
    parser.add_argument("data", type=Path, help="folder of recordings")
    parser.add_argument("--out", type=Path | None, help="folder of the store")
    parser.add_argument(
        "--corpus", type=str, default="auto", help="layout of the folder (recognised); neurolm corpora lists them"
    )
    parser.add_argument("--jobs", type=int, default=0, help="worker processes (one per core)")
    parser.add_argument(
        "--unknown",
        choices=(*POLICIES, "interpolate"),
        default="error",
        help="what to do about unknown electrodes and flat channels (error)",
    )
    _add_unit_and_mains(parser)
    _add_truncated(parser)
    parser.add_argument(
        "--scheduler", type=str | None, help="address of a Dask scheduler whose workers do the work (docs/prepare.md)"
    )
    parser.add_argument(
        "--exclude", type=Path | None, help="list of what must not be in the store, as `neurolm overlap` writes it"
    )


def _store(parser: ArgumentParser) -> None:
    parser.add_argument(
        "action", choices=("check", "info", "export"), help="find damage, say what is in it, or write its manifest"
    )
    parser.add_argument("store", type=str, help="folder of the store, or its URL (s3://bucket/store)")
    parser.add_argument("--json", action="store_true", help="print everything as JSON (check, info)")
    parser.add_argument("--jobs", type=int, default=0, help="threads that read (check; one per core)")
    parser.add_argument("--parquet", type=Path | None, metavar="FILE", help="Parquet file to write (export)")


def _tasks(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("action", choices=ACTIONS, nargs="?", default="list", help="what to do (list)")
    add("names", type=str, nargs="*", metavar="NAME", help="tasks or cards; recordings for table")
    add("--store", type=place, nargs="+", metavar="STORE", help="stores whose labels to count (list, show, check)")
    add("--below", type=Path | None, help="folder in which stores are looked for where none is given (list; .)")
    add("--json", action="store_true", help="print everything as JSON (list, check)")
    add("--out", type=Path | None, help="file to write (new: NAME.toml; table: labels.csv beside the recordings)")
    add("--table", type=Path | None, help="table of labels that suggests options, window and split (new)")
    add("--question", type=str | None, help="as the model reads it (new)")
    add("--seconds", type=int | None, help="length of a window (new; what the table allows, at most 10)")
    add("--stride", type=float | None, help="seconds from a window to the next (new; as long as a window)")
    add(
        "--events", type=str | None, help="events and their labels, as 33025=13 Hz,33026=21 Hz; none lists them (table)"
    )
    add("--from", type=float | None, help="seconds after the event at which its stretch begins (table; 0)")
    add("--to", type=float | None, help="and at which it ends; by default as long as the event says (table)")
    add("--task", type=str | None, help="name of the task (table)")
    add("--subject", type=str | None, help="whose recordings: a name, or an expression such as 'S(\\d+)' (table)")
    add("--split", type=str | None, help="divide each person's trials, as 0.6,0.2,0.2 (table)")


def _inspect(parser: ArgumentParser) -> None:
    parser.description = (
        f"{parser.description}\n\nThe exit status is 0 if all recordings can be used as they are, 2 if one cannot."
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="recordings, or folders of them")
    parser.add_argument(
        "--unknown",
        choices=(*POLICIES, "interpolate"),
        default="error",
        help="what would be done about unknown electrodes and flat channels (error, as when preparing)",
    )
    parser.add_argument("--channels", type=str | None, help="Fp1,Fp2 for these alone; ch1=Fp1,ch2=Fp2 to name them")
    _add_unit_and_mains(parser)
    _add_truncated(parser)
    parser.add_argument("--brief", action="store_true", help="a line for each recording, no table of its channels")
    parser.add_argument("--json", action="store_true", help="print everything as JSON, a list of recordings")
    parser.add_argument("--plot", type=Path | None, metavar="FILE", help="PNG of traces and spectra")


def _corpora(parser: ArgumentParser) -> None:
    parser.add_argument("name", type=str, nargs="?", help="a corpus, for its terms, its labels and its folder's layout")


def _download(parser: ArgumentParser) -> None:
    parser.add_argument("corpus", choices=tuple(SITES), help="which data set")
    parser.add_argument("dir", type=Path, help="folder for it; what is there already is not fetched again")
    parser.add_argument("--base_url", type=str | None, metavar="URL", help="the data set's folder of files on a mirror")
    parser.add_argument("--include", type=str | None, metavar="PATTERNS", help="only these files: S001/*,S002/*")
    parser.add_argument("--connections", type=int, default=4, help="files fetched at a time (4)")
    parser.add_argument("--accept_licence", action="store_true", help="go on where the terms are not those known here")


def _plan(parser: ArgumentParser) -> None:
    parser.add_argument("data", type=Path, nargs="*", help="folders of recordings; none: simulated ones")
    parser.add_argument("--hours", type=float | None, help="plan for so many hours of such recordings")
    parser.add_argument("--jobs", type=int, default=0, help="worker processes to plan for (one per core)")
    parser.add_argument("--corpus", type=str, default="auto", help="layout of the folders (recognised)")
    parser.add_argument(
        "--unknown", choices=POLICIES, default="error", help="what to do about unknown electrodes (error)"
    )
    _add_unit_and_mains(parser)
    parser.add_argument("--samples", type=int, default=6, help="files to measure, besides the largest (6)")
    parser.add_argument("--seed", type=int, default=0, help="draws the files (0)")
    parser.add_argument("--channels", type=int, default=23, help="of simulated recordings (23)")
    parser.add_argument("--rate", type=int, default=256, help="of simulated recordings, Hz (256)")


def _overlap(parser: ArgumentParser) -> None:
    parser.add_argument("store", type=str, help="the store (or its URL) that should hold nothing of the others")
    parser.add_argument("--against", type=str, nargs="+", metavar="STORE", help="stores that should not be in it")
    parser.add_argument(
        "--split", type=str | None, help="only recordings labelled for this split, as test, in --against"
    )
    parser.add_argument(
        "--every", type=float | None, help="seconds between the stretches looked up; by default 10 to 60, as needed"
    )
    parser.add_argument("--out", type=Path, default=Path("exclusions.jsonl"), help="list (exclusions.jsonl)")
    parser.add_argument("--jobs", type=int, default=0, help="worker processes (one per core)")


def _add_truncated(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--truncated", choices=("refuse", "accept"), default="refuse", help="accept: take what is there (refuse)"
    )


def _add_unit_and_mains(parser: ArgumentParser) -> None:
    parser.add_argument("--unit", choices=UNITS, help="what the files' numbers are, where their headers are wrong")
    parser.add_argument("--mains", type=float | None, help="mains frequency in Hz; by default found in the spectrum")


def _add_device(parser: ArgumentParser) -> None:
    parser.add_argument("--device", type=str, default="auto", help="cpu, cuda or cuda:N (a GPU where there is one)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (one per core)")


def _add_text(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--text", type=Path | None, help="folder of .txt files to learn language from; by default the shipped text"
    )
    parser.add_argument(
        "--gpt2", type=str | None, help="folder or hub id of GPT-2 weights; by default a small one is trained"
    )


def _train(parser: ArgumentParser) -> None:
    parser.add_argument("stage", choices=STAGES, nargs="?", help="in this order")
    parser.add_argument("--resume", type=Path | None, help="folder of a run: go on with the stage that was interrupted")
    parser.add_argument("--workers", type=int | None, help="threads that make batches ahead (4 on a GPU, else 0)")
    parser.add_argument(
        "--words", type=str | None, help="tokenizer stage: folder or hub id of the GPT-2 to align with (the run's own)"
    )
    parser.add_argument("--store", type=place, help="the store that `neurolm prepare` wrote")
    parser.add_argument("--out", type=Path | None, help="folder of the run, the same for all stages")
    parser.add_argument(
        "--log_to", type=str | None, help="besides the files, as a,b: tensorboard, wandb, trackio (none)"
    )
    parser.add_argument("--tasks", type=str | None, help="tasks to learn, as a,b; by default all that the store has")
    parser.add_argument(
        "--fold",
        type=str | None,
        metavar="I/K",
        help="cross-validation: fold I of K subject-wise folds tests, the next one validates",
    )
    parser.add_argument("--seed", type=int | None, help="seed of all stages")
    parser.add_argument(
        "--precision", choices=PRECISIONS, help="of matrix products (auto: bfloat16 on GPUs that have it, else float32)"
    )
    parser.add_argument("--compile", choices=COMPILE, help="compile the model for its device (auto: on GPUs)")
    _add_text(parser)
    _add_device(parser)


def _runs(parser: ArgumentParser) -> None:
    parser.add_argument(
        "folders", type=Path, nargs="*", metavar="FOLDER", help="search below these (runs); or: compare RUN RUN …"
    )
    parser.add_argument("--out", type=Path | None, metavar="FILE", help="PNG of the curves (compare)")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def _evaluate(parser: ArgumentParser) -> None:
    parser.add_argument(
        "runs", type=Path, nargs="*", metavar="MODEL", help="the same as --model; of several, seeds or folds, as one"
    )
    parser.add_argument("--model", type=Path | None, help="folder of the run, or of its instruct stage")
    parser.add_argument(
        "--store", type=place, help="the store the run was trained on; several that were evaluated before need none"
    )
    parser.add_argument("--split", choices=("test", "validation"), default="test", help="whose subjects (test)")
    parser.add_argument("--tasks", type=str, default="all", help="of those the model was tuned on: a,b or all (all)")
    parser.add_argument(
        "--baselines",
        type=str,
        default="all",
        metavar="NAMES",
        help=f"{','.join(BASELINES)}: some of them, all, or none (all)",
    )
    parser.add_argument("--robustness", action="store_true", help="disturb the input of some windows, too")
    parser.add_argument(
        "--wording", choices=("own", "held-out"), default="own", help="held-out: in words never used in training (own)"
    )
    parser.add_argument(
        "--pretrained_on",
        type=place,
        nargs="+",
        default=[],
        metavar="STORE",
        help="stores that the model has seen besides: refuse what is tested on and is in them",
    )
    parser.add_argument(
        "--protocol",
        choices=("likelihood", "official"),
        default="likelihood",
        help="official: show also what the authors' way of reading answers gives (likelihood)",
    )
    parser.add_argument(
        "--out",
        type=Path | None,
        help="JSON file; by default evaluation.json in the run, or joined-evaluation.json in the folder of several",
    )
    _add_device(parser)


def _add_question(parser: ArgumentParser) -> None:
    """Add what every question about a recording takes."""
    parser.add_argument("file", type=Path, help="recording in any format that MNE reads")
    parser.add_argument("question", type=str, nargs="?", help="in English")
    parser.add_argument("--model", type=Path | None, help="folder of a run; else $NEUROLM_MODEL, else newest in runs/")
    parser.add_argument("--options", type=str | None, help="permitted answers of a question of your own, as a,b")
    parser.add_argument(
        "--unknown", choices=POLICIES, default="nearest", help="electrodes the model never saw (nearest)"
    )
    parser.add_argument(
        "--channels", type=str | None, help="channels to use, as Fp1,Fp2; or what they are, as ch1=Fp1,ch2=Fp2"
    )
    _add_unit_and_mains(parser)
    _add_truncated(parser)
    _add_device(parser)


def _ask(parser: ArgumentParser) -> None:
    _add_question(parser)
    parser.add_argument(
        "--risk", type=float | None, help="largest share of wrong answers, such as 0.1; else the answer is undecided"
    )
    parser.add_argument("--json", action="store_true", help="print the whole answer as JSON")
    parser.add_argument("--generate", type=str | None, metavar="PROMPT", help="continue this text freely as well")


def _explain(parser: ArgumentParser) -> None:
    _add_question(parser)
    parser.add_argument("--option", type=str | None, help="the answer to explain; by default the likeliest")
    parser.add_argument("--windows", type=int, default=16, help="most windows to look at, spread evenly (16)")
    parser.add_argument("--start", type=float, default=0.0, help="seconds of the recording from which to look (0)")
    parser.add_argument("--stop", type=float | None, help="seconds up to which to look; by default all")
    parser.add_argument("--out", type=Path | None, help="picture to draw, such as picture.png")
    parser.add_argument("--json", action="store_true", help="print the whole explanation as JSON")


def _calibrate(parser: ArgumentParser) -> None:
    parser.add_argument("--model", type=Path | None, help="folder of the run, or of its instruct stage")
    parser.add_argument("--store", type=place, help="the store the run was trained on")
    _add_device(parser)


def _convert(parser: ArgumentParser) -> None:
    parser.add_argument("direction", choices=("official", "to-official"), help="from the authors' files, or to them")
    parser.add_argument(
        "source",
        type=str,
        nargs="+",
        help="VQ.pt and NeuroLM-B.pt (or -L, -XL; hf://Weibang/NeuroLM/VQ.pt); or a folder",
    )
    parser.add_argument("--out", type=Path | None, help="folder to write")
    parser.add_argument("--gpt2", type=str | None, help="folder or hub id of GPT-2's text tokenizer, to keep with them")
    parser.add_argument(
        "--padded_to",
        type=int,
        default=1024,
        help="patches to which the encoder takes samples as padded: 1024 as in the authors' pretraining, 276 as in "
        "their instruction tuning, 0 not at all (1024)",
    )


def _verify(parser: ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="proof data, such as official/golden")
    parser.add_argument(
        "--gpt2", type=str | None, help="folder or hub id of GPT-2's text tokenizer; by default gpt2/ beside the folder"
    )
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (one per core)")


def _report(parser: ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("--store", type=place, help="the store the run was trained on; by default RUN/store")
    parser.add_argument("--out", type=Path | None, help="HTML file; by default report.html in the run")


def _demo(parser: ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder for everything (runs/demo)")
    parser.add_argument("--corpus", type=str, default="simulated", help="simulated (default) or eegmat")
    parser.add_argument("--data", type=Path | None, help="folder of the corpus's recordings (not for simulated)")
    parser.add_argument("--seeds", type=str, default="0", help="a model for each, then mean ± SD: 0,1,2 (0)")
    parser.add_argument("--jobs", type=int, default=0, help="worker processes (one per core)")
    _add_text(parser)
    _add_device(parser)


_ADD = {
    "simulate": _simulate,
    "corpora": _corpora,
    "inspect": _inspect,
    "download": _download,
    "plan": _plan,
    "prepare": _prepare,
    "store": _store,
    "tasks": _tasks,
    "overlap": _overlap,
    "train": _train,
    "runs": _runs,
    "evaluate": _evaluate,
    "ask": _ask,
    "explain": _explain,
    "calibrate": _calibrate,
    "convert": _convert,
    "verify": _verify,
    "report": _report,
    "demo": _demo,
}
_WITH_RECIPE = ("train", "demo")
