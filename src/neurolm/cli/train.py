"""neurolm train tokenizer --store store --out runs/mine"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from neurolm.cli.settings import COMMAND, Settings
from neurolm.cli.show import Display, terminal
from neurolm.cli.values import Machine, missing, names
from neurolm.core.config import STAGES
from neurolm.core.errors import ConfigError
from neurolm.core.files import dump_json, write_text
from neurolm.core.small_files import parse_json, read_small
from neurolm.core.terminal import say

if TYPE_CHECKING:
    from neurolm.train.loop import TrainingProgress
    from neurolm.train.run import Run


def fold(text: str) -> tuple[int, int]:
    """Read ``2/6`` as fold 2 of 6."""
    number, slash, folds = text.partition("/")
    if not (slash and number.strip().isdecimal() and folds.strip().isdecimal()):
        raise ConfigError("give which fold tests and how many there are, as in 1/6")
    return int(number), int(folds)


@dataclass(frozen=True, kw_only=True)
class Command:
    """What a stage is begun with, and ``--resume`` reads from the run's folder.

    Parameters
    ----------
    store
        The store that `neurolm prepare` wrote.
    tasks
        Tasks to learn, as a,b; by default all that the store has.
    backbone
        Folder or hub id of a language model: GPT-2, Llama, SmolLM, Qwen3 or Gemma 3 (docs/backbones.md). Its sizes take
        the place of the recipe's; a folder without weights is trained from random ones.
    words
        Tokenizer stage: folder or hub id of the GPT-2 to align with; by default the run's own.
    log_to
        Where figures go besides the files, as a,b.
    """

    store: Path | str | None = None
    tasks: Sequence[str] = ()
    text: Path | None = None
    gpt2: str | None = None
    backbone: str | None = None
    words: str | None = None
    log_to: Annotated[Sequence[str], names, "neurolm.train.figures.sinks:SINKS"] = ()

    def keep(self, stage: str, run: Path) -> None:
        """Write it down in the run's folder."""
        from neurolm.tasks.card import CARDS, find_card

        kept: dict[str, str | None] = {"stage": stage}
        for name, value in vars(self).items():
            local = isinstance(value, Path) or (
                name in ("gpt2", "backbone", "words") and value and Path(value).exists()
            )
            kept[name] = str(Path(value).absolute()) if local else value
        found = {one: find_card(one) for one in self.tasks}
        kept["tasks"] = ",".join(one if path.parent == CARDS else str(path.absolute()) for one, path in found.items())
        kept["log_to"] = ",".join(self.log_to)
        write_text(run / COMMAND, dump_json(kept, indent=2) + "\n")


def train(
    stage: Annotated[str, "neurolm.core.config:STAGES"] | None = None,
    *,
    resume: Path | None = None,
    out: Path | None = None,
    command: Command,
    fold: Annotated[tuple[int, int], fold] | None = None,
    seed: int | None = None,
    precision: Annotated[str, "neurolm.core.config:PRECISIONS"] | None = None,
    compile: Annotated[str, "neurolm.core.config:COMPILE"] | None = None,
    workers: int | None = None,
    machine: Machine,
    settings: Settings,
) -> None:
    """Run a stage: language, tokenizer, pretrain, instruct.

    Parameters
    ----------
    stage
        The stages, in this order.
    resume
        Folder of a run: go on with the stage that was interrupted.
    out
        The folder of the run, the same for all stages.
    fold
        Cross-validation, as I/K: fold I of K subject-wise folds tests, the next one validates.
    seed
        Seed of all stages.
    precision
        Of matrix products; auto: bfloat16 on GPUs that have it, else float32.
    compile
        Whether to compile the model for its device; auto: on GPUs.
    workers
        Threads that make batches ahead; by default 4 on a GPU, else 0.
    """
    settings = settings.in_all_stages(seed=seed, precision=precision, compile=compile)
    if settings.shown():
        return
    if stage is None:
        raise ConfigError(f"which stage? Give one of {', '.join(STAGES)}, or --resume and the folder of a run")
    store = command.store or missing("--store", "the folder that `neurolm prepare` wrote")
    out = resume or out or missing("--out", "the folder of the run, the same for all stages")
    tasks = list(command.tasks)
    if (out / "run.json").is_file():  # later stages need not name them again
        from neurolm.core.decode import load_json
        from neurolm.train.run import RunFile

        begun = load_json(RunFile, out / "run.json")
        tasks = tasks or _begun_tasks(out, begun.tasks)
        fold = fold or begun.fold
    command = replace(command, tasks=tasks)
    machine.set_threads()

    from neurolm.core import distributed
    from neurolm.core.device import choose_device
    from neurolm.train.run import open_run, require_before

    require_before(out, stage)
    config = settings.config
    if command.backbone is not None:
        from neurolm.train.backbone import with_backbone

        config = with_backbone(config, command.backbone)
    with distributed.joined(cuda=choose_device(machine.device).type == "cuda"):
        run = open_run(out, config=config, store=store, tasks=tasks or None, fold=fold, device=machine.device,
                       workers=workers, log_to=command.log_to)  # fmt: skip
        if (folder := _trained(run, stage, command)) is not None:
            say(folder)
            left = STAGES[STAGES.index(stage) + 1 :]
            following = f"train {left[0]} --out {out}" if left else f"evaluate {out}"
            say(f"next: neurolm {following} --store {store}")


def _trained(run: Run, stage: str, command: Command) -> Path | None:
    """Train a stage; None where it was finished already, and in all processes but the first."""
    from neurolm.batches.text import read_texts
    from neurolm.core import distributed
    from neurolm.train.instruct import train_instruct
    from neurolm.train.language import train_language
    from neurolm.train.machine.execution import product_dtype
    from neurolm.train.pretrain import train_pretrain
    from neurolm.train.run import is_done
    from neurolm.train.tokenizer import train_tokenizer

    texts = read_texts(command.text)
    console = terminal(stderr=True, quiet=not distributed.is_main())
    if is_done(run, stage):
        console.print(f"{run.folder / stage}: this stage is finished", markup=False, soft_wrap=True)
        return None
    if run.unasked and not command.tasks:
        console.print(
            f"note: the store has labels of {', '.join(run.unasked)} too, and no card for them ships with neurolm: "
            "--tasks gives the cards to learn",
            markup=False, soft_wrap=True,
        )  # fmt: skip
    dtype = str(product_dtype(run.config.stage(stage), run.device, width=run.config.width(stage))).removeprefix(
        "torch."
    )
    console.print(
        f"recipe {run.config.recipe}, tasks {', '.join(t.name for t in run.tasks)}, device {run.device}, {dtype}"
        + (f", {distributed.world()} processes" if distributed.world() > 1 else ""),
        markup=False,
        soft_wrap=True,
    )
    kept = False
    with Display(console) as display:

        def show(progress: TrainingProgress) -> None:
            nonlocal kept
            if not kept:
                command.keep(stage, run.folder)
                kept = True
                share = f"({100 * progress.trained / progress.weights:.3g} %)"
                trained, weights = (f"{number / 1e6:.3g}" for number in (progress.trained, progress.weights))
                console.print(f"trains {trained} of {weights} million weights {share}", highlight=False)
            display.training(progress)

        if stage == "language":
            folder = train_language(run, texts=texts, gpt2=command.gpt2, backbone=command.backbone, progress=show)
        elif stage == "tokenizer":
            folder = train_tokenizer(run, texts=texts, words=command.words, progress=show)
        else:
            stages = {"pretrain": train_pretrain, "instruct": train_instruct}
            folder = stages[stage](run, texts=texts, progress=show)
    return folder if distributed.is_main() else None


def _begun_tasks(run: Path, begun: Sequence[str]) -> list[str]:
    """The tasks of a run: by the paths of their cards, where an earlier stage was given cards of the user's own."""
    path = run / COMMAND
    try:
        kept = names(parse_json(read_small(path)).get("tasks") or "") if path.is_file() else []
    except (OSError, ValueError, AttributeError):
        kept = []  # damaged: what shipped cards are called is known all the same
    return kept or list(begun)
