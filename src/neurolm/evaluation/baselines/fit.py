"""All baselines of a task, fitted or taken from the cache.

A second evaluation on the same windows is quick.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache as once
from pathlib import Path

import torch

from neurolm.batches.splits import Split
from neurolm.batches.windows import Window
from neurolm.core.config import to_json
from neurolm.core.decode import load_json
from neurolm.core.errors import ConfigError, NeuroLMError, StoreError, WriteError
from neurolm.core.files import write_text
from neurolm.core.names import choose
from neurolm.evaluation.baselines.classical import Classical
from neurolm.evaluation.baselines.convnet import shallow_conv_net
from neurolm.evaluation.baselines.covariances import filter_bank, tangent_space
from neurolm.evaluation.baselines.linear import band_powers, linear_probe, majority
from neurolm.evaluation.baselines.material import Fitted, Material
from neurolm.evaluation.results import (
    BAND_POWER,
    BASELINES,
    CLASSICAL,
    CONVNET,
    FILTER_BANK,
    FOREST,
    MAJORITY,
    PROBE,
    TANGENT,
)
from neurolm.model.tokenizer import NeuralTokenizer
from neurolm.store.store import Store
from neurolm.tasks.task import Task

QUICK = (MAJORITY, BAND_POWER)
"""Those of the demo, fitted in a moment."""
CACHE_VARIABLE = "NEUROLM_CACHE"
"""Environment variable that names the folder in which fitted baselines are kept."""


@dataclass(frozen=True, kw_only=True)
class BaselineAnswers:
    """What a baseline says about the windows of a task."""

    name: str
    probabilities: tuple[tuple[float, ...], ...] = ()
    """Probability of every option for every window; empty where the baseline could not be fitted."""
    fitted_on: str = ""
    chosen: str = ""
    seconds: float = 0.0
    missing: str = ""


def cache_folder() -> Path:
    """Return the folder in which fitted baselines are kept: ``$NEUROLM_CACHE``, else the user's cache."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "neurolm"


def choose_baselines(names: Sequence[str] | None) -> tuple[str, ...]:
    """Return the baselines of some names, in the order in which they are fitted; all for None.

    Raises
    ------
    ConfigError
        If there is no such baseline.
    """
    unknown = sorted(set(names or ()) - set(BASELINES))
    if unknown:
        raise ConfigError(f"unknown baseline {unknown[0]!r}{choose(unknown[0], BASELINES)}")
    return BASELINES if names is None else tuple(name for name in BASELINES if name in names)


def fit_baselines(
    names: Sequence[str],
    store: Store,
    task: Task,
    split: Split,
    windows: Sequence[Window],
    *,
    tokenizer: NeuralTokenizer,
    device: torch.device,
    cache: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[BaselineAnswers]:
    """Fit baselines on the training windows, choose on the validation windows, and let them answer ``windows``.

    Parameters
    ----------
    names
        Out of ``BASELINES``.
    windows
        To be answered; they have no part in fitting or choosing.
    tokenizer
        Tokenizer whose frozen encoder the linear probe reads.
    cache
        Folder of answers from earlier evaluations; ``cache_folder()`` by default.
    """
    folder = (cache or cache_folder()) / "baselines"
    keys = {name: _key(name, store, task, split, windows, tokenizer) for name in names}
    found = {
        name: load_json(BaselineAnswers, path) for name in names if (path := folder / f"{keys[name]}.json").is_file()
    }
    if len(found) < len(names):
        try:
            material = Material.of(
                store, task, task.windows(store, split, "train"), task.windows(store, split, "validation"), windows
            )
        except StoreError as error:
            why = _why(error, store)
            return [found.get(name) or BaselineAnswers(name=name, missing=why) for name in names]
    classical = Classical()
    fits: dict[str, Callable[[Material], Fitted]] = {
        MAJORITY: majority,
        BAND_POWER: band_powers,
        TANGENT: tangent_space,
        FILTER_BANK: filter_bank,
        CLASSICAL: classical.logistic,
        FOREST: classical.forest,
        CONVNET: shallow_conv_net,
        PROBE: lambda material: linear_probe(material, tokenizer, device),
    }
    for name in names:
        if name in found:
            continue
        if progress:
            progress(f"{task.name}: {name}")
        found[name] = _fit(name, fits[name], material, windows)
        if found[name].missing:
            continue  # what is missing, such as an optional package, may be there the next time
        try:
            write_text(folder / f"{keys[name]}.json", to_json(found[name]))
        except WriteError:
            continue  # a cache that cannot be written costs time, nothing else
    return [found[name] for name in names]


def _fit(
    name: str, fit: Callable[[Material], Fitted], material: Material, windows: Sequence[Window]
) -> BaselineAnswers:
    began = time.perf_counter()
    try:
        fitted = fit(material)
        probabilities = fitted.answer(windows)
    except NeuroLMError as error:
        return BaselineAnswers(name=name, missing=_why(error, material.store))
    return BaselineAnswers(
        name=name,
        probabilities=tuple(tuple(float(p) for p in row) for row in probabilities),
        fitted_on=fitted.fitted_on,
        chosen=fitted.chosen,
        seconds=round(time.perf_counter() - began, 2),
    )


def _why(error: NeuroLMError, store: Store) -> str:
    """The message without the store's path: results may be published."""
    return str(error).removeprefix(f"{store.path}: ")


def _key(
    name: str, store: Store, task: Task, split: Split, windows: Sequence[Window], tokenizer: NeuralTokenizer
) -> str:
    import sklearn

    parts = [name, store.fingerprint, repr(task), asdict(split), repr(list(windows)), _sources(), sklearn.__version__]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
    if name == PROBE:
        for key, value in sorted(tokenizer.encoder.state_dict().items()):
            digest.update(key.encode())
            digest.update(value.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]


@once
def _sources() -> str:
    """Digest of the baselines' own code: another version fits again."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
