"""ShallowConvNet (Schirrmeister et al. 2017), trained here from random weights.

Human Brain Mapping 38:5391-5420.

braindecode has it too, but needs torchaudio, whose published wheels do not load beside a CPU build of torch; forty
lines are lighter than the thirty packages that come with it. Temporal and spatial convolution, between which the
original has no activation, are multiplied into one, which gives the same numbers in a third of the time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurolm.batches.windows import Window
from neurolm.core.physics import RATE
from neurolm.evaluation.baselines.material import Fitted, Material, balanced_accuracy

DOWN = 2
"""Signals are taken at 100 Hz: the original's kernels look for rhythms below 40 Hz."""
FILTERS, KERNEL, POOL, STRIDE, DROPOUT = 40, 10, 30, 6, 0.5
"""The original's at 250 Hz are 25, 75 and 15 samples."""
EPOCHS, BATCH, LEARNING_RATE, WEIGHT_DECAY = 20, 64, 1e-3, 1e-2
MOST_WINDOWS = 4000
"""Most training windows; of more, so many are drawn."""


class ShallowConvNet(nn.Module):
    """Band-pass filters, spatial filters, power, logarithm, linear."""

    def __init__(self, channels: int, samples: int, options: int) -> None:
        super().__init__()
        self.temporal = nn.Parameter(torch.randn(FILTERS, KERNEL) / KERNEL**0.5)
        self.spatial = nn.Parameter(torch.randn(FILTERS, FILTERS, channels) / (FILTERS * channels) ** 0.5)
        self.norm = nn.BatchNorm1d(FILTERS)
        pooled = (samples - KERNEL + 1 - POOL) // STRIDE + 1
        self.out = nn.Linear(FILTERS * pooled, options)

    def forward(self, x: Tensor) -> Tensor:
        """(windows, channels, samples) to logits, (windows, options)."""
        kernel = torch.einsum("ofc,fk->ock", self.spatial, self.temporal)
        power = F.avg_pool1d(self.norm(F.conv1d(x, kernel)) ** 2, POOL, STRIDE)
        return self.out(F.dropout(power.clamp(min=1e-6).log().flatten(1), DROPOUT, self.training))


def shallow_conv_net(material: Material) -> Fitted:
    """Train it, and take the epoch that is best on the validation subjects."""
    train = material.drawn(MOST_WINDOWS)
    x = _signals(material, train)
    scale = x.std(dim=(0, 2), keepdim=True).clamp(min=1e-3)
    x, y = x / scale, torch.from_numpy(material.labels(train))
    truth = material.labels(material.validation)
    validation = _signals(material, material.validation) / scale
    options = len(material.task.options)
    counts = torch.bincount(y, minlength=options)
    weight = torch.where(counts > 0, len(y) / (options * counts.clamp(min=1)), 0.0)
    best: tuple[float, int, dict[str, Tensor]] = (-1.0, 0, {})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(material.seed)
        net = ShallowConvNet(x.shape[1], x.shape[2], options)
        optimizer = torch.optim.AdamW(net.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        for epoch in range(1, EPOCHS + 1):
            net.train()
            for batch in torch.randperm(len(x)).split(BATCH):
                if len(batch) < 2:  # nothing to normalise over
                    continue
                optimizer.zero_grad()
                F.cross_entropy(net(x[batch]), y[batch], weight).backward()
                optimizer.step()
            reached = balanced_accuracy(truth, _answers(net, validation))
            if reached > best[0]:
                best = (reached, epoch, {name: value.clone() for name, value in net.state_dict().items()})
    net.load_state_dict(best[2])
    return Fitted(
        answer=lambda windows: _answers(net, _signals(material, windows) / scale),
        chosen=f"epoch {best[1]} of {EPOCHS}, by validation balanced accuracy",
        fitted_on=material.fitted_on(MOST_WINDOWS),
    )


def _signals(material: Material, windows: Sequence[Window]) -> Tensor:
    from scipy.signal import resample_poly

    found = np.stack([resample_poly(s, 1, DOWN, axis=0).T.astype(np.float32) for s in material.signals(windows)])
    assert found.shape[2] >= RATE // DOWN
    return torch.from_numpy(found)


def _answers(net: ShallowConvNet, x: Tensor) -> np.ndarray:
    net.eval()
    with torch.no_grad():
        return torch.cat([net(part).double().softmax(-1) for part in x.split(256)]).numpy()
