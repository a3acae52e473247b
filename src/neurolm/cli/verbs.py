"""What each verb does: read the arguments, call the library, print what it returned."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from neurolm import distributed
from neurolm.cli import as_flags, corpora, data, inspect, runs, store
from neurolm.cli.arguments import parse, place
from neurolm.cli.settings import FOR_ALL_STAGES, begun_config, run_config, settings_text
from neurolm.cli.show import Display, answer_lines, bar_characters
from neurolm.config import STAGES, RunConfig, to_json
from neurolm.errors import CheckpointError, ConfigError, QuestionError, RecordingError
from neurolm.files import parse_json, write_text

if TYPE_CHECKING:
    from jsonargparse import Namespace

    from neurolm.api import Model
    from neurolm.train.loop import Progress

MODEL_VARIABLE = "NEUROLM_MODEL"
"""Environment variable that names the model to ask."""
RESUMED = ("stage", "store", "text", "gpt2", "words", "log_to")
COMMAND = "command.json"
"""What the stage under way was begun with, in a run's folder."""
RUNS = Path("runs")
"""Where ``ask`` looks for models."""


def run(verb: str, given: Sequence[str]) -> bool:
    """Run a verb with what follows it on the command line; returns whether what it checks holds."""
    return _RUN[verb](parse(verb, given)) is not False


def _simulate(arguments: Namespace) -> None:
    from neurolm.data.simulate import simulate

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
    from neurolm.data.prepare import prepare

    out = _needed(arguments, "out", "the folder for the store")
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
    print(f"{out}: {report.recordings} recordings, {report.hours:.2f} h of EEG; {report.skipped} were there already")
    if report.excluded:
        print(f"{report.excluded} are excluded: {out / 'excluded.jsonl'}")
    if report.quarantined:
        print(f"{report.quarantined} could not be read: the reasons are in {out / 'quarantine.jsonl'}")
    for note in report.notes:
        print(f"note: {note}")
    print(f"next: neurolm train language --store {out} --out RUN")


def _train(arguments: Namespace) -> None:
    if arguments.resume is not None:
        arguments, config = _begun_command(arguments)
    else:
        config = run_config(arguments)
    config = _in_all_stages(config, arguments)
    if arguments.print_config:
        print(settings_text(arguments, config), end="")
        return
    if arguments.stage is None:
        raise ConfigError(f"which stage? Give one of {', '.join(STAGES)}, or --resume and the folder of a run")
    store = _needed(arguments, "store", "the folder that `neurolm prepare` wrote")
    out = _needed(arguments, "out", "the folder of the run, the same for all stages")
    tasks = _listed(arguments.tasks) or _begun_tasks(out)
    _set_threads(arguments.threads)

    from neurolm.train.run import choose_device

    with distributed.joined(cuda=choose_device(arguments.device).type == "cuda"):
        _train_stage(arguments, config, store=store, out=out, tasks=tasks)


def _train_stage(arguments: Namespace, config: RunConfig, *, store: Path, out: Path, tasks: list[str] | None) -> None:
    from neurolm.data.text import read_texts
    from neurolm.train.execution import product_dtype
    from neurolm.train.instruct import train_instruct
    from neurolm.train.language import train_language
    from neurolm.train.pretrain import train_pretrain
    from neurolm.train.run import is_done, open_run
    from neurolm.train.tokenizer import train_tokenizer

    opened = open_run(out, config=config, store=store, tasks=tasks, device=arguments.device, workers=arguments.workers,
                      log_to=_listed(arguments.log_to) or ())  # fmt: skip
    texts = read_texts(arguments.text)
    console = Console(stderr=True, quiet=not distributed.is_main())
    if is_done(opened, arguments.stage):
        console.print(f"{out / arguments.stage}: this stage is finished", markup=False, soft_wrap=True)
        return
    dtype = str(product_dtype(config.stage(arguments.stage), opened.device)).removeprefix("torch.")
    console.print(
        f"recipe {config.recipe}, tasks {', '.join(t.name for t in opened.tasks)}, device {opened.device}, {dtype}"
        + (f", {distributed.world()} processes" if distributed.world() > 1 else ""),
        markup=False,
        soft_wrap=True,
    )
    stages = {"pretrain": train_pretrain, "instruct": train_instruct}
    kept = False
    with Display(console) as display:

        def show(progress: Progress) -> None:
            nonlocal kept
            if not kept:
                _keep_command(arguments)
                kept = True
            display.training(progress)

        if arguments.stage == "language":
            folder = train_language(opened, texts=texts, gpt2=arguments.gpt2, progress=show)
        elif arguments.stage == "tokenizer":
            folder = train_tokenizer(opened, texts=texts, words=arguments.words, progress=show)
        else:
            folder = stages[arguments.stage](opened, texts=texts, progress=show)
    if not distributed.is_main():
        return
    print(folder)
    left = STAGES[STAGES.index(arguments.stage) + 1 :]
    following = f"train {left[0]} --store {store} --out {out}" if left else f"evaluate --model {out} --store {store}"
    print(f"next: neurolm {following}")


def _evaluate(arguments: Namespace) -> None:
    model = _instruct_folder(_needed(arguments, "model", "the folder of the run"))
    store = _needed(arguments, "store", "the store the run was trained on")
    _set_threads(arguments.threads)

    from neurolm.evaluation.evaluate import RESULTS, evaluate
    from neurolm.report import table
    from neurolm.train.run import choose_device

    run_folder = model.parent if model.name == "instruct" else model
    name = RESULTS if arguments.split == "test" else f"{arguments.split}-{RESULTS}"
    out = arguments.out or run_folder / name
    console = Console(stderr=True)
    evaluation = evaluate(
        model,
        store,
        split=arguments.split,
        protocol=arguments.protocol,
        device=choose_device(arguments.device),
        out=out,
        progress=lambda task: console.print(f"evaluating {task}", markup=False),
    )
    Console().print(table(evaluation))
    print(out)


def _ask(arguments: Namespace) -> None:
    if not arguments.file.exists():
        raise RecordingError(f"{arguments.file}: no such file; give the path of a recording")
    if arguments.question is None and arguments.generate is None and arguments.options is not None:
        raise QuestionError("--options are answers to a question: give the question after the file")
    folder = find_model(arguments.model)
    _set_threads(arguments.threads)

    from neurolm.api import load

    model = load(folder, device=arguments.device)
    if arguments.question is None and arguments.generate is None:
        raise QuestionError(f"what is the question? {folder} knows: {'; '.join(model.questions)}")
    how = {name: arguments[name] for name in ("unknown", "unit", "mains", "truncated")}
    how["channels"] = channels(arguments.channels)
    answer = None
    if arguments.question is not None:
        answer = model.ask(arguments.file, arguments.question, options=_listed(arguments.options), **how)
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
    out = _needed(arguments, "out", "the folder to write")
    official = arguments.direction == "official"
    if len(arguments.source) != (2 if official else 1):
        expected = "the two files VQ.pt and NeuroLM-B.pt (or -L, -XL)" if official else "one checkpoint folder"
        raise ConfigError(f"convert {arguments.direction}: give {expected}, not {' '.join(arguments.source)}")

    from neurolm.convert import from_official, report, to_official

    if official:
        tokenizer, language = arguments.source
        done = from_official(tokenizer, language, out, gpt2=arguments.gpt2, padded_to=arguments.padded_to)
    else:
        done = to_official(Path(arguments.source[0]), out)
    print(as_flags("\n".join(report(done))))
    print(out)


def _verify(arguments: Namespace) -> bool:
    _set_threads(arguments.threads)

    from neurolm.verify import verify

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
        seeds = [int(seed) for seed in _listed(arguments.seeds) or ()]
    except ValueError as error:
        raise ConfigError(f"--seeds {arguments.seeds}: give whole numbers, as 0,1,2") from error
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise ConfigError(f"--seeds {arguments.seeds}: give different numbers from 0 on, as 0,1,2")
    console = Console()
    if begun_config(arguments.out) is not None:
        console.print(f"{arguments.out}: going on with what is there", markup=False, soft_wrap=True)
    _set_threads(arguments.threads)

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


def _instruct_folder(folder: Path) -> Path:
    return folder / "instruct" if (folder / "instruct").is_dir() else folder


def channels(text: str | None) -> list[str] | dict[str, str] | None:
    """Read which channels to use (``Fp1,Fp2``), or which electrodes they are (``ch1=Fp1,ch2=Fp2``).

    Raises
    ------
    ConfigError
        If only some are given an electrode.
    """
    names = _listed(text)
    if names is None or not any("=" in name for name in names):
        return names
    if not all("=" in name for name in names):
        raise ConfigError(f"--channels {text}: give an electrode for all of them, as ch1=Fp1,ch2=Fp2, or for none")
    return {own.strip(): electrode.strip() for own, electrode in (name.rsplit("=", 1) for name in names)}


def _needed(arguments: Namespace, name: str, what: str) -> Path:
    if arguments[name] is None:
        raise ConfigError(f"--{name} is missing: give {what}")
    return arguments[name]


def _listed(text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def _keep_command(arguments: Namespace) -> None:
    """Write down what a stage was begun with, for ``--resume``."""
    given = {}
    for name in RESUMED:
        value = arguments[name]
        local = value is not None and (isinstance(value, Path) or (name in ("gpt2", "words") and Path(value).exists()))
        given[name] = str(Path(value).absolute()) if local else value
    write_text(arguments.out / COMMAND, json.dumps(given, indent=2) + "\n")


def _begun_command(arguments: Namespace) -> tuple[Namespace, RunConfig]:
    """What the stage under way in a run was begun with."""
    path, config = arguments.resume / COMMAND, begun_config(arguments.resume)
    if config is None or not path.is_file():
        raise ConfigError(f"{arguments.resume}: no training was begun there; give the stage, --store and --out")
    try:
        begun = dict(parse_json(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path}: damaged ({error}); give the stage, --store and --out again") from error
    for name in RESUMED:
        if arguments[name] is None:
            value = begun.get(name)
            arguments[name] = place(value) if value is not None and name in ("store", "text") else value
    arguments.out = arguments.resume
    return arguments, config


def _begun_tasks(out: Path) -> list[str] | None:
    """Tasks that the run in a folder was begun with, so that later stages need not name them again."""
    path = out / "run.json"
    return json.loads(path.read_text(encoding="utf-8")).get("tasks") if path.is_file() else None


def _in_all_stages(config: RunConfig, arguments: Namespace) -> RunConfig:
    """Set what was given once for all stages."""
    given = {name: arguments[name] for name in FOR_ALL_STAGES if arguments[name] is not None}
    stages: dict[str, Any] = {name: dataclasses.replace(config.stage(name), **given) for name in STAGES}
    return dataclasses.replace(config, **stages)


def _set_threads(threads: int) -> None:
    if threads < 0:
        raise ConfigError(f"--threads {threads}: give the number of CPU threads, or 0 for one per core")
    if threads:
        import torch

        torch.set_num_threads(threads)


_RUN = {
    "simulate": _simulate,
    "corpora": corpora.corpora,
    "inspect": _inspect,
    "download": data.download,
    "plan": data.plan,
    "prepare": _prepare,
    "store": store.store,
    "overlap": data.overlap,
    "train": _train,
    "runs": runs.runs,
    "evaluate": _evaluate,
    "ask": _ask,
    "convert": _convert,
    "verify": _verify,
    "report": _report,
    "demo": _demo,
}
