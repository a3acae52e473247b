"""Checkpoints to and from folders and the Hugging Face hub, with a model card written from the run.

No pickle is written or read: a repository holds JSON, safetensors and Markdown.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from neurolm.ask.calibration import Calibration
from neurolm.ask.evidence import ARRAYS, EvidenceFile
from neurolm.ask.novelty import Ranges
from neurolm.batches.hub_text import SETTINGS_FILE
from neurolm.batches.text import TOKENIZER_FILE, TextTokenizer
from neurolm.checkpoint import (
    ADAPTER,
    CONFIG,
    WEIGHTS,
    AdapterFile,
    Card,
    keys_of,
    load_neurolm,
    save_checkpoint,
    without_ids,
)
from neurolm.core.config import STAGES, to_json
from neurolm.core.errors import CheckpointError
from neurolm.core.files import write_text
from neurolm.core.hub_files import HUB_ID, first_line, hub_folder, near_folder
from neurolm.core.small_files import require_regular
from neurolm.evaluation.results import RESULTS, Evaluation, load_evaluation, without_people
from neurolm.hub.model_card import FILE, model_card
from neurolm.model.neurolm import NeuroLM

BESIDE = (Calibration.FILE, Ranges.FILE, EvidenceFile.FILE, ARRAYS)
"""Files that a checkpoint may have or not: how its answers are read."""
_FILES = [CONFIG, WEIGHTS, ADAPTER, AdapterFile.FILE, TOKENIZER_FILE, SETTINGS_FILE, FILE, RESULTS, *BESIDE]


def find_checkpoint(source: str | Path, *, revision: str | None = None) -> Path:
    """Return the folder of an instruction-tuned checkpoint.

    Parameters
    ----------
    source
        That folder, that of its run, or the id of a repository on the Hugging Face hub (``organisation/name``), which
        is downloaded.
    revision
        Commit, tag or branch of that repository; by default the newest.

    Raises
    ------
    CheckpointError
        If there is none.
    """
    give = "give the folder of a run (`neurolm demo` makes runs/demo)"
    if "/" not in str(source) and not Path(source).is_dir():  # nobody's on the hub
        raise CheckpointError(f"{source}: no such folder{near_folder(source)}; {give}")
    path = hub_folder(source, _FILES, give=give, revision=revision)
    for folder in (path, path / "instruct"):
        if (folder / CONFIG).exists():
            _require_file(folder / CONFIG)
    if (path / CONFIG).is_file():
        return path
    if not (path / "instruct" / CONFIG).is_file():
        stages = [stage for stage in STAGES if (path / stage / CONFIG).is_file()]
        raise CheckpointError(
            f"{path}: no instruction-tuned model here (finished stages: {', '.join(stages) or 'none'}); "
            "finish the run with `neurolm train instruct`"
        )
    return path / "instruct"


def _require_file(path: Path) -> None:
    try:
        require_regular(path)
    except OSError as error:
        raise CheckpointError(f"{path}: {error}; download the model again") from error


def find_evaluation(folder: Path | None, card: Card) -> Evaluation | None:
    """Return the figures of a checkpoint on the test subjects, if it was evaluated.

    They lie beside its files, or in the folder of its run.
    """
    if folder is None:
        return None
    places = [folder, folder.parent] if folder.name == "instruct" else [folder]
    for place in places:
        if (place / RESULTS).is_file():
            found = load_evaluation(place / RESULTS)
            same = (found.recipe, found.seed) == (card.run.recipe, card.run.instruct.seed)
            return found if same else None
    return None


def read_with(folder: Path) -> tuple[str, ...]:
    """Say how a checkpoint's answers are read: its evidence and its calibration, a line for each task."""
    evidence, calibration = EvidenceFile.load(folder), Calibration.load(folder)
    return (*(evidence.described if evidence else ()), *(calibration.described if calibration else ()))


def digest(folder: Path) -> str:
    """Digest of what a checkpoint answers with: of its files' contents."""
    found = hashlib.sha256()
    names = (CONFIG, WEIGHTS, ADAPTER, AdapterFile.FILE, TOKENIZER_FILE, SETTINGS_FILE, *BESIDE)
    for path in (folder / name for name in names):
        if path.is_file():
            with path.open("rb") as file:
                found.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return found.hexdigest()


def save(
    folder: Path,
    module: NeuroLM,
    card: Card,
    text: TextTokenizer,
    evaluation: Evaluation | None = None,
    *,
    beside: Path | None = None,
) -> Path:
    """Write a checkpoint folder with its model card and, where it was evaluated, its figures without the answers.

    Nobody's id is in it: an older checkpoint's ids are hashed.

    Parameters
    ----------
    beside
        Folder whose calibration, training range and evidence belong to the weights; copied where they are there.
    """
    folder, card = Path(folder), without_ids(card, keys_of(beside))
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"{folder}: a file, not a folder; choose another")

    reading = () if beside is None else read_with(beside)
    kept = {} if beside is None else {n: (beside / n).read_bytes() for n in BESIDE if (beside / n).is_file()}

    def extra(temporary: Path) -> None:
        for name, content in kept.items():
            (temporary / name).write_bytes(content)
        write_text(temporary / FILE, model_card(card, evaluation=evaluation, reading=reading))
        if evaluation is not None:
            write_text(temporary / RESULTS, to_json(without_people(evaluation)))

    save_checkpoint(folder, card, module.state_dict(), text, extra=extra, without=_FILES)
    return folder


def merged(source: str | Path, folder: Path, *, base: Path | None = None) -> Path:
    """Write a checkpoint with adapters as one without, which needs no base any more and answers the same.

    Parameters
    ----------
    source
        Folder of the checkpoint, or of its run.
    folder
        Folder to write.
    base
        As in ``load_neurolm``.

    Raises
    ------
    CheckpointError
        If it has no adapters, or its base is not there.
    """
    path = Path(source) if (Path(source) / CONFIG).is_file() else find_checkpoint(source)
    if AdapterFile.load(path) is None:
        raise CheckpointError(f"{path}: has no adapters to merge: use it as it is")
    module, card, text = load_neurolm(path, base=base)
    return save(folder, module, card, text, find_evaluation(path, card), beside=path)


def push(
    repository: str,
    module: NeuroLM,
    card: Card,
    text: TextTokenizer,
    evaluation: Evaluation | None = None,
    *,
    private: bool = True,
    beside: Path | None = None,
) -> str:
    """Upload a checkpoint with its model card to the Hugging Face hub, and return the address.

    Raises
    ------
    CheckpointError
        If the id is no id, or the hub does not take it.
    """
    if "/" not in repository or not HUB_ID.fullmatch(repository):
        raise CheckpointError(f"{repository}: not an id on the Hugging Face hub; give organisation/name")
    from huggingface_hub import HfApi

    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder), module, card, text, evaluation, beside=beside)
        try:
            hub = HfApi()
            hub.create_repo(repository, private=private, exist_ok=True)
            done = hub.upload_folder(
                repo_id=repository, folder_path=folder, commit_message=f"neurolm {card.version}, {card.stage}"
            )
        except Exception as error:  # the hub's client raises errors of several libraries, depending on its version
            raise CheckpointError(
                f"{repository}: the Hugging Face hub did not take it ({type(error).__name__}: {first_line(error)}); "
                "log in with `hf auth login`, and check that you may write there"
            ) from error
    return str(done)
