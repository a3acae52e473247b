"""Optimizer and schedule: AdamW with decay on matrices only, warm-up and cosine.

The rate is a pure function of the step.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from neurolm.core.config import StageConfig


def learning_rate(config: StageConfig, step: int, steps: int) -> float:
    """Learning rate of a step: linear warm-up over a share of the steps, then a cosine to the final rate."""
    warmup = int(config.warmup * steps)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    through = (step - warmup) / max(1, steps - warmup)
    span = config.learning_rate - config.final_learning_rate
    return config.final_learning_rate + 0.5 * (1 + math.cos(math.pi * through)) * span


def make_optimizer(module: nn.Module, config: StageConfig, device: torch.device) -> torch.optim.AdamW:
    """AdamW over the trainable parameters; biases and norms (fewer than two dimensions) do not decay.

    In one pass over the weights where the device has that, CPUs included (see ``benchmarks/adamw.py``).
    """
    trainable = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=device.type in ("cpu", "cuda"))
