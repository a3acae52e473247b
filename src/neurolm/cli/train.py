"""What the verb train does: a stage of a run, begun or resumed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from neurolm.cli.arguments import place
from neurolm.cli.given import listed, needed, parse_fold, set_threads
from neurolm.cli.settings import FOR_ALL_STAGES, begun_config, run_config, settings_text
from neurolm.cli.show import Display
from neurolm.core import distributed
from neurolm.core.config import STAGES, RunConfig
from neurolm.core.errors import ConfigError
from neurolm.core.files import parse_json, write_text

if TYPE_CHECKING:
    from jsonargparse import Namespace

    from neurolm.train.loop import TrainingProgress

RESUMED = ("stage", "store", "tasks", "text", "gpt2", "words", "log_to")
COMMAND = "command.json"
"""What the stage under way was begun with, in a run's folder."""


def train(arguments: Namespace) -> None:
    """Run a stage, or go on with the one under way."""
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
    store = needed(arguments, "store", "the folder that `neurolm prepare` wrote")
    out = needed(arguments, "out", "the folder of the run, the same for all stages")
    tasks, fold = listed(arguments.tasks), parse_fold(arguments.fold)
    if (begun := _begun_run(out)) is not None:  # later stages need not name them again
        tasks = tasks or _begun_tasks(out, begun["tasks"])
        fold = fold or (tuple(begun["fold"]) if begun.get("fold") else None)
    arguments.tasks = ",".join(tasks) if tasks else None
    set_threads(arguments.threads)

    from neurolm.core.device import choose_device

    with distributed.joined(cuda=choose_device(arguments.device).type == "cuda"):
        _train_stage(arguments, config, store=store, out=out, tasks=tasks, fold=fold)


def _train_stage(
    arguments: Namespace,
    config: RunConfig,
    *,
    store: Path,
    out: Path,
    tasks: list[str] | None,
    fold: tuple[int, int] | None,
) -> None:
    from neurolm.batches.text import read_texts
    from neurolm.train.instruct import train_instruct
    from neurolm.train.language import train_language
    from neurolm.train.machine.execution import product_dtype
    from neurolm.train.pretrain import train_pretrain
    from neurolm.train.run import is_done, open_run
    from neurolm.train.tokenizer import train_tokenizer

    opened = open_run(out, config=config, store=store, tasks=tasks, fold=fold, device=arguments.device,
                      workers=arguments.workers, log_to=listed(arguments.log_to) or ())  # fmt: skip
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

        def show(progress: TrainingProgress) -> None:
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


def _keep_command(arguments: Namespace) -> None:
    """Write down what a stage was begun with, for ``--resume``."""
    from neurolm.tasks.card import CARDS, find_card

    given: dict[str, str | None] = {}
    for name in RESUMED:
        value = arguments[name]
        local = value is not None and (isinstance(value, Path) or (name in ("gpt2", "words") and Path(value).exists()))
        given[name] = str(Path(value).absolute()) if local else value
    found = {one: find_card(one) for one in listed(arguments.tasks) or ()}
    given["tasks"] = ",".join(one if path.parent == CARDS else str(path.absolute()) for one, path in found.items())
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


def _begun_run(out: Path) -> dict[str, Any] | None:
    """What the run in a folder was begun with."""
    path = out / "run.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _begun_tasks(out: Path, names: list[str]) -> list[str]:
    """The tasks of a run: by the paths of their cards, where an earlier stage was given cards of the user's own."""
    path = out / COMMAND
    try:
        kept = listed(parse_json(path.read_text(encoding="utf-8")).get("tasks")) if path.is_file() else None
    except (ValueError, AttributeError):
        kept = None  # damaged: what shipped cards are called is known all the same
    return kept or names


def _in_all_stages(config: RunConfig, arguments: Namespace) -> RunConfig:
    """Set what was given once for all stages."""
    given = {name: arguments[name] for name in FOR_ALL_STAGES if arguments[name] is not None}
    stages: dict[str, Any] = {name: dataclasses.replace(config.stage(name), **given) for name in STAGES}
    return dataclasses.replace(config, **stages)
