"""The treaty between data and model: its sentinels stay outside every range, and moving a batch loses nothing."""

from dataclasses import fields

import numpy as np
import torch

from neurolm.batches.loader import Document, build_batch, sample_from
from neurolm.core.batch import NO_PATCH, NO_TARGET, NO_TEXT, PADDING


def test_sentinels_are_no_valid_id():
    assert max(PADDING, NO_TEXT, NO_PATCH, NO_TARGET) < 0


def test_moving_a_batch_keeps_every_field():
    sample = sample_from(np.random.default_rng(0).standard_normal((400, 2)), [1, 2], source="r@0s")
    batch = build_batch([sample], [Document(sample=0, text=[1, 2, 3]), Document(text=[4, 5])])
    moved = batch.to("meta")
    assert moved.sources == ("r@0s",)
    for part in ("patches", "tokens"):
        for field in fields(getattr(batch, part)):
            here, there = getattr(getattr(batch, part), field.name), getattr(getattr(moved, part), field.name)
            assert there.device.type == "meta"
            assert (here.shape, here.dtype) == (there.shape, there.dtype)


def test_a_batch_of_one_kind_has_no_other_part():
    text = build_batch([], [Document(text=[4, 5])]).to("cpu")
    assert text.patches is None and text.tokens is not None
    eeg = build_batch([sample_from(np.zeros((200, 1)), [3])], []).to("cpu")
    assert eeg.tokens is None and eeg.patches is not None
    assert eeg.patches.samples.dtype == torch.float32
