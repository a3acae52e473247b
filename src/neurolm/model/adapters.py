"""Adapters: few trained weights beside a language model that stays as it is, through PEFT:

>>> adapt(module, LoraConfig(rank=16), new_rows=False)  # module is a NeuroLM
>>> trained, all_weights = count(module)
>>> merge(module)  # a NeuroLM without adapters again, with the same answers

Every linear layer of the language model gets an adapter (LoRA: Hu et al. 2021, arXiv:2106.09685). Beside them is
trained what a language model that knows no EEG lacks, and little of it: the bridge from the encoder, the channel
embedding, the embedding of the separator and, where they are new (pretraining), the output rows of EEG codes. Word and
position embeddings, normalisations and output rows of text stay as they are.
"""

from __future__ import annotations

import copy
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from neurolm.core.config import LoraConfig
from neurolm.core.errors import ConfigError
from neurolm.model.neurolm import LastRows, NeuroLM

_NAME = ".default"
"""What PEFT puts into the names of an adapter's weights, of which a module may have several; ours has one."""


def adapt(module: NeuroLM, config: LoraConfig, *, new_rows: bool) -> None:
    """Freeze a model, and put adapters and the other parts that are trained into it.

    Parameters
    ----------
    new_rows
        Whether the output rows of EEG codes are trained too, because nobody has trained them yet.

    Raises
    ------
    ConfigError
        If PEFT is not installed.
    """
    peft = _peft()
    module.requires_grad_(False)
    layers = [name for name, part in module.language.named_modules() if isinstance(part, nn.Linear)]
    peft.inject_adapter_in_model(_settings(peft, config, layers), module.language)
    for p in (*module.bridge.parameters(), *module.channel_embedding.parameters()):
        p.data = p.data.clone()  # the base may share its memory
        p.requires_grad_(True)
    first = module.vocabulary.separator
    words = module.language.WORDS.removesuffix(".weight")
    table = module.language.get_submodule(words)
    assert isinstance(table, nn.Embedding)
    module.language.set_submodule(words, LastRows(table, first, scale=module.language.input_scale))
    if new_rows:
        assert isinstance(module.head, nn.Linear)
        module.head = LastRows(module.head, first)


def own_names(module: NeuroLM, *, new_rows: bool) -> dict[str, str]:
    """Return the names of what a model with adapters has of its own: in its file, and in the module.

    Parameters
    ----------
    new_rows
        As in ``adapt``: then the scaling of the features is its own, too. All else is its base's.
    """
    names = [name for name, p in module.named_parameters() if p.requires_grad]
    names += module.scaling.state_dict(prefix="scaling.") if new_rows else []
    return {name.replace(_NAME, ""): name for name in names}


def own(module: NeuroLM, *, new_rows: bool) -> dict[str, Tensor]:
    """Return the tensors of these names in the file."""
    state = module.state_dict()
    return {short: state[name] for short, name in own_names(module, new_rows=new_rows).items()}


def merge(module: NeuroLM) -> None:
    """Put adapters into the weights that they change: from then on it is a model without any."""
    from peft.tuners.tuners_utils import BaseTunerLayer  # which neurolm[lora] brought, or there would be no adapter

    with torch.no_grad():
        for name, part in list(module.named_modules()):
            if isinstance(part, BaseTunerLayer):
                assert isinstance(part, nn.Module)
                part.merge()
                module.set_submodule(name, part.get_base_layer())
        del module.language.peft_config  # else PEFT warns of a second adapter
        for name, part in list(module.named_modules()):
            if isinstance(part, LastRows):
                module.set_submodule(name, part.whole())


def sharing(module: NeuroLM) -> NeuroLM:
    """Return another module with the same weights in the same memory: adapters of its own do not touch these."""
    known: dict[int, Any] = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in module.parameters()}
    known |= {id(buffer): buffer for buffer in module.tokenizer.buffers()}
    return copy.deepcopy(module, known)


def count(module: nn.Module) -> tuple[int, int]:
    """Count the weights of a module that are trained, and all that it has."""
    sizes = [(p.requires_grad, p.numel()) for p in module.parameters()]
    return sum(size for trained, size in sizes if trained), sum(size for _, size in sizes)


def _settings(peft: ModuleType, config: LoraConfig, layers: list[str]) -> Any:
    alpha = config.alpha or 2 * config.rank
    if config.kind in ("loha", "lokr"):
        kind = {"loha": peft.LoHaConfig, "lokr": peft.LoKrConfig}[config.kind]
        return kind(r=config.rank, alpha=alpha, target_modules=layers)
    return peft.LoraConfig(
        r=config.rank, lora_alpha=alpha, lora_dropout=config.dropout, target_modules=layers,
        use_rslora=config.kind == "rslora", use_dora=config.kind == "dora",
    )  # fmt: skip


def _peft() -> ModuleType:
    try:
        import peft
    except ImportError as error:
        raise ConfigError("adapters need PEFT: pip install 'neurolm[lora]'") from error
    return peft
