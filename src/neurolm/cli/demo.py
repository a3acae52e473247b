"""neurolm demo"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from neurolm.cli.settings import Settings
from neurolm.cli.show import Display, terminal
from neurolm.cli.train import fold
from neurolm.cli.values import Machine, numbers
from neurolm.core.errors import ConfigError


def seeds(text: str) -> list[int]:
    """Read ``0,1,2``: seeds of different models."""
    found = numbers(text)
    if not found or len(set(found)) < len(found) or min(found) < 0:
        raise ConfigError("give different numbers from 0 on, as 0,1,2")
    return found


def demo(
    *,
    out: Path = Path("runs/demo"),
    corpus: str = "simulated",
    data: Path | None = None,
    seeds: Annotated[Sequence[int], seeds] = (0,),
    fold: Annotated[tuple[int, int], fold] | None = None,
    jobs: int = 0,
    text: Path | None = None,
    gpt2: str | None = None,
    machine: Machine,
    settings: Settings,
) -> None:
    """Everything above in one command.

    Parameters
    ----------
    out
        Folder for everything.
    corpus
        simulated or eegmat.
    data
        Folder of the corpus's recordings (not for simulated).
    seeds
        A model for each, then mean ± SD, as 0,1,2.
    fold
        Cross-validation, as I/K: fold I of K subject-wise folds tests; by default the card of the task says who.
    """
    if settings.shown():
        return

    console = terminal()
    if (out / "run.json").is_file():
        console.print(f"{out}: going on with what is there", markup=False, soft_wrap=True)
    machine.set_threads()

    from neurolm.demo import demo

    with Display(console) as display:
        demo(
            out,
            corpus=corpus,
            data=data,
            config=settings.config,
            seeds=seeds,
            fold=fold,
            text=text,
            gpt2=gpt2,
            jobs=jobs,
            device=machine.device,
            console=console,
            progress=display.training,
            count=display.count,
        )
