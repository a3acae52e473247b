"""One variant in a process of its own: how long its steps took and what they held."""

from __future__ import annotations

import ctypes
import gc
import re
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

import torch

from official_comparison.settings import PRECISIONS, THEIRS, Settings


class Variant(Protocol):
    """What is measured."""

    settings: Settings

    def prepare(self, round_: int) -> Callable[[], object]:
        """Build the batch of a round, on the device; returns the step, which is what is timed."""

    def state(self) -> Iterable[torch.Tensor]:
        """Weights, buffers and optimizer state: what is held between steps."""

    def rest(self) -> None:
        """Give back what is not needed until the next step."""


def work(connection: Connection, variant: str, settings: Settings) -> None:
    """Serve commands, each with the precision that it is about: a round number gives its seconds, on a CPU those that
    the process computed; "memory" gives the bytes held.
    """
    try:
        torch.set_num_threads(settings.threads)
        torch.manual_seed(0)
        if variant == THEIRS:
            from official_comparison.theirs import build
        else:
            from official_comparison.ours import build
        idle = _resident()
        subject, peaks = build(variant, settings), dict.fromkeys(PRECISIONS, 0)
        connection.send("ready")
        while (received := connection.recv()) != "stop":
            precision, command = received
            if command == "memory":
                held = {t.data_ptr(): t.numel() * t.element_size() for t in subject.state()}
                connection.send({"peak": peaks[precision], "state": sum(held.values())})
                continue
            subject.settings = replace(settings, precision=precision)
            step = subject.prepare(command)
            _reset_peak(settings)
            _synchronise(settings)
            clock = time.perf_counter if settings.device == "cuda" else time.process_time
            began = clock()
            step()
            _synchronise(settings)
            seconds, peaks[precision] = clock() - began, max(peaks[precision], _peak(settings, idle))
            connection.send(seconds)
            subject.rest()
            _give_back(settings)
    except Exception:
        connection.send(RuntimeError(f"{variant}, {settings.stage}:\n{traceback.format_exc()}"))


def precision(settings: Settings) -> AbstractContextManager:
    """The context of their forward passes."""
    return torch.autocast(settings.device, torch.bfloat16) if settings.precision == "bfloat16" else nullcontext()


def _synchronise(settings: Settings) -> None:
    if settings.device == "cuda":
        torch.cuda.synchronize()


def _reset_peak(settings: Settings) -> None:
    gc.collect()
    if settings.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM counts on from here


def _give_back(settings: Settings) -> None:
    """Let the other variants have the memory that this one has freed."""
    gc.collect()
    if settings.device == "cpu":
        ctypes.CDLL(None).malloc_trim(0)


def _peak(settings: Settings, idle: int) -> int:
    if settings.device == "cuda":
        return torch.cuda.max_memory_allocated()
    return _status("VmHWM") - idle


def _resident() -> int:
    return _status("VmRSS")


def _status(field: str) -> int:
    match = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match is not None
    return int(match[1]) * 1024
