"""What the feed does to batches on their way to a GPU."""

import torch

from neurolm.batches.loader import Document, build_batch
from neurolm.core.batch import Batch
from neurolm.train.feed import Feed, pinned
from neurolm.train.tokenizer import TokenizerBatch


def tensors(value) -> list[torch.Tensor]:
    """All tensors of a batch."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [t for part in value for t in tensors(part)]
    return [t for part in vars(value).values() for t in tensors(part)] if hasattr(value, "__dict__") else []


def text_batch() -> Batch:
    return build_batch([], [Document(text=[1, 2, 3])])


def test_every_tensor_of_a_batch_is_pinned_and_nothing_else_changes(monkeypatch):
    """There may be no GPU here, so what is page-locked is counted instead."""
    locked: list[int] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        locked.append(id(tensor))
        return tensor.clone()

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    tokenizer = TokenizerBatch(
        patches=[], sources=[("a@0s",)], orders=[torch.arange(3)], sizes=torch.tensor([3]), words=torch.arange(4)
    )
    for batch in ({"eeg": [text_batch(), text_batch()], "text": []}, tokenizer):
        locked.clear()
        again = pinned(batch)
        assert sorted(locked) == sorted(map(id, tensors(batch))) and locked
        assert type(again) is type(batch)
        assert all(map(torch.equal, tensors(again), tensors(batch)))
    assert again.sources == tokenizer.sources
    locked.clear()
    feed = Feed(lambda step: torch.tensor(step), first=3, steps=6, workers=2, pin=True)
    assert list(map(int, feed)) == [3, 4, 5] and len(locked) == 3
