"""The loader against what it promises: order of patches, targets, packing, and steps that are pure functions."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from neurolm.batches.loader import (
    Document,
    TextSampler,
    WindowSampler,
    build_batch,
    build_tokens,
    in_batches,
    pack,
    read_sample,
    sample_from,
)
from neurolm.batches.windows import Window
from neurolm.core.batch import NO_PATCH, NO_TARGET, NO_TEXT, PADDING
from neurolm.core.errors import ConfigError
from neurolm.core.montage import PAD, channel_id
from neurolm.core.physics import SCALE
from neurolm.store.store import Store


def indexed_sample(seconds: int, channels: list[int]):
    """A window whose every value tells its own place: sample index + 10,000 · column, in µV."""
    time = np.arange(seconds * 200, dtype=np.float32)[:, None]
    return sample_from((time + 10_000 * np.arange(len(channels), dtype=np.float32)) * SCALE, channels)


def test_patches_stand_second_by_second_and_channel_by_channel():
    sample = indexed_sample(3, [7, 19])
    assert sample.patches.shape == (6, 200)
    np.testing.assert_allclose(sample.patches[:, 0], [0, 10_000, 200, 10_200, 400, 10_400])
    np.testing.assert_allclose(sample.patches[3], 10_200 + np.arange(200))
    assert sample.channel.tolist() == [7, 19] * 3
    assert sample.second.tolist() == [0, 0, 1, 1, 2, 2]


def test_what_is_left_over_a_second_is_not_used():
    assert sample_from(np.zeros((450, 2), np.float32), [0, 1]).patches.shape == (4, 200)


def test_a_window_read_is_the_counts_scaled_and_cut_one_by_one_to_the_bit(tmp_path, write_store):
    """Against a plain loop over patches, with scales that differ between channels."""
    signal = np.random.default_rng(0).normal(0, 20, (2100, 3)) * [1, 300, 1]
    names = ("C3", "O1", "T4")
    store = Store(write_store(tmp_path / "s", {"a": ("s", names, (), signal)}))
    assert len(set(store.rows[0].scale)) == 2
    sample = read_sample(store, Window(0, 150, 7, None, "s", (0, 2100)))
    counts, scale = store.read(0, 150, 1400), np.array(store.rows[0].scale, np.float32)
    for place in range(7 * 3):
        second, column = divmod(place, 3)
        cut = counts[second * 200 : (second + 1) * 200, column].astype(np.float32)
        np.testing.assert_array_equal(sample.patches[place], cut * scale[column] / np.float32(100))
        assert (sample.second[place], sample.channel[place]) == (second, channel_id(names[column]))
    microvolts = sample_from(store.microvolts(0, 150, 1400), sample.channel[:3])
    assert np.array_equal(microvolts.patches, sample.patches)


def test_padding_is_silent_whatever_was_in_memory_before():
    junk = np.full((64, 200), np.nan, np.float32)  # freed memory that an array without values might get
    del junk
    samples = [indexed_sample(seconds, list(range(channels))) for seconds, channels in ((5, 3), (2, 2), (3, 3), (1, 1))]
    patches = build_batch(samples, []).patches
    padding = patches.document == PADDING
    assert padding.any()
    assert (patches.samples[padding] == 0).all() and (patches.channel[padding] == PAD).all()
    assert torch.isfinite(patches.samples).all()


def test_packing_loses_nothing_and_never_overfills():
    lengths = [5, 3, 8, 2, 2, 7, 1]
    rows = pack(lengths, 8)
    assert sorted(i for row in rows for i in row) == list(range(7))
    assert all(sum(lengths[i] for i in row) <= 8 for row in rows)
    assert len(rows) == 4  # 28 places in rows of 8 cannot be fewer


@pytest.mark.parametrize("packed", [True, False])
def test_every_patch_predicts_the_next_second_of_its_channel(packed):
    samples = [indexed_sample(3, [7, 19]), indexed_sample(1, [3]), indexed_sample(2, [3, 4, 5])]
    batch = build_batch(samples, [Document(sample=i, predict_eeg=True) for i in range(3)], packed=packed)
    flat = batch.patches.samples.flatten(0, 1)
    channel, second = batch.patches.channel.flatten(), batch.patches.second.flatten()
    tokens = batch.tokens
    has_target = tokens.target_patch != NO_PATCH
    assert int(has_target.sum()) == 4 + 0 + 3
    here, there = tokens.patch[has_target], tokens.target_patch[has_target]
    assert torch.equal(channel[here], channel[there])
    assert torch.equal(second[here] + 1, second[there])
    torch.testing.assert_close(flat[there][:, 0] - flat[here][:, 0], torch.full((7,), 200.0))
    assert (tokens.target == NO_TARGET).all()


@pytest.mark.parametrize("packed", [True, False])
def test_the_last_second_may_be_left_out_of_what_the_language_model_reads(packed):
    samples = [indexed_sample(3, [7, 19]), indexed_sample(2, [3, 4, 5])]
    whole, less = (
        build_batch(samples, [Document(sample=i, predict_eeg=True, last_second=x) for i in range(2)], packed=packed)
        for x in (True, False)
    )
    assert torch.equal(whole.patches.samples, less.patches.samples)
    read = [tokens.patch[tokens.patch != NO_PATCH].tolist() for tokens in (whole.tokens, less.tokens)]
    last = {2 * 2, 2 * 2 + 1, *(6 + 3 + i for i in range(3))}
    assert sorted(read[0]) == list(range(12)) and sorted(read[1]) == sorted(set(range(12)) - last)

    def targets(tokens):
        """Where each patch is, and what it predicts: the same, wherever they stand in the rows."""
        wanted = tokens.target_patch != NO_PATCH
        names = ("patch", "target_patch", "step", "position")
        return sorted(zip(*(getattr(tokens, name)[wanted].tolist() for name in names), strict=True))

    assert targets(whole.tokens) == targets(less.tokens) and len(targets(less.tokens)) == 7
    assert (less.tokens.target_patch[less.tokens.document != PADDING] != NO_PATCH).all()


def test_text_counts_on_from_the_eeg_and_predicts_only_the_answer():
    batch = build_batch([indexed_sample(2, [7, 19])], [Document(sample=0, text=[50, 51, 52, 53, 54], predict_from=3)])
    tokens = batch.tokens
    assert tokens.position[0].tolist() == [0, 0, 1, 1, 2, 3, 4, 5, 6]
    assert torch.equal(tokens.step, tokens.position)
    assert tokens.text[0].tolist() == [NO_TEXT] * 4 + [50, 51, 52, 53, 54]
    assert tokens.target[0].tolist() == [NO_TARGET] * 4 + [NO_TARGET, NO_TARGET, 53, 54, NO_TARGET]
    assert tokens.patch[0].tolist() == [0, 1, 2, 3] + [NO_PATCH] * 5


def test_text_alone_predicts_every_next_token_and_padding_is_its_own_document():
    tokens = build_tokens([Document(text=[1, 2, 3, 4]), Document(text=[5, 6, 7])])
    assert tokens.target.tolist() == [[2, 3, 4, NO_TARGET], [6, 7, NO_TARGET, NO_TARGET]]
    assert tokens.document.tolist() == [[0, 0, 0, 0], [0, 0, 0, PADDING]]


def test_sampler_visits_every_window_once_an_epoch_and_differs_between_epochs():
    sampler = WindowSampler([[range(10)]], batch=4, seed=3)
    drawn = np.concatenate([sampler.step(s) for s in range(5)])
    assert sorted(drawn[:10]) == list(range(10))
    assert sorted(drawn[10:20]) == list(range(10))
    assert drawn[:10].tolist() != drawn[10:].tolist()
    assert sampler.step(3).tolist() == drawn[12:16].tolist()


def test_sampler_gives_a_step_the_same_windows_however_it_is_asked():
    """What is kept between steps must not matter: in order, backwards, over epoch borders, and in threads."""
    windows = np.arange(100, 117)
    orders = [np.random.default_rng([3, 0, epoch]).permutation(windows) for epoch in range(60)]
    endless = np.concatenate(orders)
    for batch in (1, 5, 17, 40):
        steps = list(range(20))
        wanted = [endless[step * batch : (step + 1) * batch].tolist() for step in steps]
        sampler = WindowSampler([[windows]], batch=batch, seed=3)
        assert [sampler.step(step).tolist() for step in steps] == wanted
        assert [sampler.step(step).tolist() for step in reversed(steps)] == wanted[::-1]
        with ThreadPoolExecutor(4) as pool:
            assert [drawn.tolist() for drawn in pool.map(sampler.step, steps)] == wanted


def test_balanced_sampler_draws_tasks_equally_and_labels_equally_within_a_task():
    two, three = [range(100), range(100, 103)], [range(200, 210), range(210, 300), range(300, 301)]
    sampler = WindowSampler([two, three], batch=7, seed=0, balance=True)
    drawn = np.concatenate([sampler.step(s) for s in range(400)])
    assert (drawn < 200).sum() == 1400
    shares = [(drawn < 100).sum(), ((drawn >= 100) & (drawn < 200)).sum(), (drawn >= 300).sum()]
    np.testing.assert_allclose(shares, [700, 700, 1400 / 3], rtol=0.1)


def test_text_sampler_crops_the_stream():
    sampler = TextSampler(np.arange(100), batch=3, length=10, seed=0)
    rows = sampler.step(7)
    assert rows.shape == (3, 10)
    assert (np.diff(rows) == 1).all()
    assert not np.array_equal(rows, sampler.step(8))


def test_too_little_is_refused():
    with pytest.raises(ConfigError, match="no training window"):
        WindowSampler([[[]]], batch=4, seed=0)
    with pytest.raises(ConfigError, match="text_length 10"):
        TextSampler(np.arange(10), batch=3, length=10, seed=0)


@pytest.mark.parametrize("text", [0, 7])
def test_batches_hold_so_many_places(text):
    rng = np.random.default_rng(0)
    lengths = [int(n) for n in rng.integers(1, 30, 60)] + [200, 3]
    samples = [sample_from(np.zeros((n * 200, 2), np.float32), [0, 1]) for n in lengths]
    batches = list(in_batches(iter(samples), places=120, text=text))
    assert all(one is other for one, other in zip(itertools.chain(*batches), samples, strict=True))

    def places(batch):
        return len(batch) * (max(len(one.second) for one in batch) + text)

    assert all(places(batch) <= 120 or len(batch) == 1 for batch in batches)
    for batch, following in itertools.pairwise(batches):  # each as full as the order allows
        assert places([*batch, following[0]]) > 120
    assert list(in_batches(iter(()), places=120)) == []
