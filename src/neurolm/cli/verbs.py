"""What each verb does: read the arguments, call the library, print what it returned."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from neurolm.cli import as_flags, corpora, data, inspect, runs, store, tasks, train
from neurolm.cli.arguments import parse
from neurolm.cli.evaluate import evaluate, instruct_folder
from neurolm.cli.given import listed, needed, set_threads
from neurolm.cli.settings import begun_config, run_config, settings_text
from neurolm.cli.show import Display, answer_lines, bar_characters, explanation_lines, many
from neurolm.core.config import to_json
from neurolm.core.errors import CheckpointError, ConfigError, QuestionError, RecordingError

if TYPE_CHECKING:
    from jsonargparse import Namespace

    from neurolm.api import Model

MODEL_VARIABLE = "NEUROLM_MODEL"
"""Environment variable that names the model to ask."""
RUNS = Path("runs")
"""Where ``ask`` looks for models."""


def run(verb: str, given: Sequence[str]) -> bool:
    """Run a verb with what follows it on the command line; returns whether what it checks holds."""
    return _RUN[verb](parse(verb, given)) is not False


def _simulate(arguments: Namespace) -> None:
    from neurolm.corpora.simulated.simulate import simulate

    with Display(Console(stderr=True)) as display:
        out = simulate(
            arguments.out,
            subjects=arguments.subjects,
            seed=arguments.seed,
            jobs=arguments.jobs,
            progress=display.count("simulating recordings"),
        )
    print(f"{out}: {len(list(out.glob('*.edf')))} recordings of {arguments.subjects} people")
    print(f"next: neurolm prepare {out} --out STORE")


def _inspect(arguments: Namespace) -> None:
    inspect.inspect(arguments, channels(arguments.channels))


def _prepare(arguments: Namespace) -> None:
    from neurolm.prepare.prepare import prepare

    out = needed(arguments, "out", "the folder for the store")
    with Display(Console(stderr=True)) as display:
        report = prepare(
            arguments.data,
            out,
            corpus=arguments.corpus,
            jobs=arguments.jobs,
            unknown=arguments.unknown,
            unit=arguments.unit,
            mains=arguments.mains,
            truncated=arguments.truncated,
            scheduler=arguments.scheduler,
            exclude=arguments.exclude,
            progress=display.preparing,
        )
    what = many(report.recordings, "recording")
    print(f"{out}: {what}, {report.hours:.2f} h of EEG; {report.skipped} were there already")
    if report.excluded:
        print(f"{report.excluded} are excluded: {out / 'excluded.jsonl'}")
    if report.quarantined:
        print(f"{report.quarantined} could not be read: the reasons are in {out / 'quarantine.jsonl'}")
    for note in report.notes:
        print(f"note: {data.preparing_flags(note)}")
    print(f"next: neurolm train language --store {out} --out RUN")


def _explain(arguments: Namespace) -> None:
    if not arguments.file.exists():
        raise RecordingError(f"{arguments.file}: no such file; give the path of a recording")
    folder = find_model(arguments.model)
    set_threads(arguments.threads)

    from neurolm.api import load
    from neurolm.report.drawings.explanation import require_picture, save_picture

    if arguments.out is not None:
        require_picture(arguments.out)
    model = load(folder, device=arguments.device)
    if arguments.question is None:
        raise QuestionError(f"what is the question? {folder} knows: {'; '.join(model.questions)}")
    how = {name: arguments[name] for name in ("unknown", "unit", "mains", "truncated", "option", "windows", "start",
                                              "stop")}  # fmt: skip
    how["channels"] = channels(arguments.channels)
    found = model.explain(arguments.file, arguments.question, options=listed(arguments.options), **how)
    if arguments.out is not None:
        save_picture(found, arguments.out)
    print(to_json(found) if arguments.json else "\n".join(explanation_lines(found)))
    if arguments.out is not None and not arguments.json:
        print(arguments.out)


def _calibrate(arguments: Namespace) -> None:
    model = instruct_folder(needed(arguments, "model", "the folder of the run"))
    store = needed(arguments, "store", "the store the run was trained on")
    set_threads(arguments.threads)

    from neurolm.ask.calibration import Calibration
    from neurolm.ask.novelty import Ranges
    from neurolm.core.device import choose_device
    from neurolm.train.calibrate import calibrate

    done = calibrate(model, store, device=choose_device(arguments.device))
    for task in done.tasks:
        print(
            f"{task.task}: temperature {task.temperature:.2f}, windows of a stretch correlated {task.correlation:.2f}; "
            f"from {task.windows} windows, {task.stretches} stretches, {task.subjects} people"
        )
    print(model / Calibration.FILE)
    print(model / Ranges.FILE)


def _ask(arguments: Namespace) -> None:
    if not arguments.file.exists():
        raise RecordingError(f"{arguments.file}: no such file; give the path of a recording")
    if arguments.question is None and arguments.generate is None and arguments.options is not None:
        raise QuestionError("--options are answers to a question: give the question after the file")
    folder = find_model(arguments.model)
    set_threads(arguments.threads)

    from neurolm.api import load

    model = load(folder, device=arguments.device)
    if arguments.question is None and arguments.generate is None:
        raise QuestionError(f"what is the question? {folder} knows: {'; '.join(model.questions)}")
    how = {name: arguments[name] for name in ("unknown", "unit", "mains", "truncated")}
    risk = arguments.risk
    how["channels"] = channels(arguments.channels)
    answer = None
    if arguments.question is not None:
        answer = model.ask(arguments.file, arguments.question, options=listed(arguments.options), risk=risk, **how)
    generated = _generated(model, arguments, how)
    if arguments.json:
        values = {} if answer is None else json.loads(to_json(answer))
        print(json.dumps(values | ({} if generated is None else {"generated": generated}), indent=2))
        return
    lines = [] if answer is None else answer_lines(answer, characters=bar_characters(sys.stdout.encoding))
    if generated is not None:
        lines += [*([""] if lines else []), f"{arguments.generate.strip()} {generated}"]
    print("\n".join(lines))


def _generated(model: Model, arguments: Namespace, how: dict) -> str | None:
    return None if arguments.generate is None else model.generate(arguments.file, arguments.generate, **how)


def _convert(arguments: Namespace) -> None:
    out = needed(arguments, "out", "the folder to write")
    official = arguments.direction == "official"
    if len(arguments.source) != (2 if official else 1):
        expected = "the two files VQ.pt and NeuroLM-B.pt (or -L, -XL)" if official else "one checkpoint folder"
        raise ConfigError(f"convert {arguments.direction}: give {expected}, not {' '.join(arguments.source)}")

    from neurolm.official.convert import from_official, report, to_official

    if official:
        tokenizer, language = arguments.source
        done = from_official(tokenizer, language, out, gpt2=arguments.gpt2, padded_to=arguments.padded_to)
    else:
        done = to_official(Path(arguments.source[0]), out)
    print(as_flags("\n".join(report(done))))
    print(out)


def _verify(arguments: Namespace) -> bool:
    set_threads(arguments.threads)

    from neurolm.official.verify import verify

    lines = verify(arguments.folder, gpt2=arguments.gpt2, progress=lambda line: print(as_flags(str(line)), flush=True))
    wrong = [line.name for line in lines if not line.holds]
    if wrong:
        print(f"neurolm: {len(wrong)} of {len(lines)} quantities differ: {', '.join(wrong)}", file=sys.stderr)
    else:
        largest = max(line.error for line in lines)
        print(f"all {len(lines)} quantities agree; the largest relative error is {largest:.1e}")
    return not wrong


def _report(arguments: Namespace) -> None:
    from neurolm.report import write_report

    run_folder = arguments.run
    if not run_folder.is_dir():
        raise CheckpointError(f"{run_folder}: no such folder; give the folder of a run")
    out = arguments.out or run_folder / "report.html"
    print(write_report(run_folder, out=out, store=arguments.store))


def _demo(arguments: Namespace) -> None:
    config = run_config(arguments)
    if arguments.print_config:
        print(settings_text(arguments, config), end="")
        return
    try:
        seeds = [int(seed) for seed in listed(arguments.seeds) or ()]
    except ValueError as error:
        raise ConfigError(f"--seeds {arguments.seeds}: give whole numbers, as 0,1,2") from error
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise ConfigError(f"--seeds {arguments.seeds}: give different numbers from 0 on, as 0,1,2")
    console = Console()
    if begun_config(arguments.out) is not None:
        console.print(f"{arguments.out}: going on with what is there", markup=False, soft_wrap=True)
    set_threads(arguments.threads)

    from neurolm.demo import demo

    with Display(console) as display:
        demo(
            arguments.out,
            corpus=arguments.corpus,
            data=arguments.data,
            config=config,
            seeds=seeds,
            text=arguments.text,
            gpt2=arguments.gpt2,
            jobs=arguments.jobs,
            device=arguments.device,
            console=console,
            progress=display.training,
            count=display.count,
        )


def find_model(given: Path | None, *, runs: Path = RUNS) -> Path:
    """Return the folder of the model to ask: as given, by the environment, or the newest finished run.

    Raises
    ------
    CheckpointError
        If none is given and there is no finished run.
    """
    if given is not None:
        return given
    if os.environ.get(MODEL_VARIABLE):
        return Path(os.environ[MODEL_VARIABLE])
    finished = [*runs.glob("*/instruct/config.json"), *runs.glob("*/*/instruct/config.json")]
    if not finished:
        raise CheckpointError(
            f"no model: give the folder of a run with --model or in ${MODEL_VARIABLE}; there is no finished run in "
            f"{runs}/ either (`neurolm demo` makes one)"
        )
    newest = max(finished, key=lambda file: (file.stat().st_mtime, str(file))).parent.parent
    print(f"model: {newest}, the newest finished run in {runs}/ (--model chooses another)", file=sys.stderr)
    return newest


def channels(text: str | None) -> list[str] | dict[str, str] | None:
    """Read which channels to use (``Fp1,Fp2``), or which electrodes they are (``ch1=Fp1,ch2=Fp2``).

    Raises
    ------
    ConfigError
        If only some are given an electrode.
    """
    names = listed(text)
    if names is None or not any("=" in name for name in names):
        return names
    if not all("=" in name for name in names):
        raise ConfigError(f"--channels {text}: give an electrode for all of them, as ch1=Fp1,ch2=Fp2, or for none")
    return {own.strip(): electrode.strip() for own, electrode in (name.rsplit("=", 1) for name in names)}


_RUN = {
    "simulate": _simulate,
    "corpora": corpora.corpora,
    "inspect": _inspect,
    "download": data.download,
    "plan": data.plan,
    "prepare": _prepare,
    "store": store.store,
    "tasks": tasks.tasks,
    "overlap": data.overlap,
    "train": train.train,
    "runs": runs.runs,
    "evaluate": evaluate,
    "ask": _ask,
    "explain": _explain,
    "calibrate": _calibrate,
    "convert": _convert,
    "verify": _verify,
    "report": _report,
    "demo": _demo,
}
