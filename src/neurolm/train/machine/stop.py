"""A request to stop, honoured between two steps: SIGTERM, which schedulers send, and Ctrl-C."""

from __future__ import annotations

import signal
import threading
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Notes signals in a ``with`` block instead of dying of them; a second one acts as it does elsewhere.

    Only the main thread can do so; in another, nothing is noted.

    Parameters
    ----------
    patient
        Note later ones too. Of a job of several processes each gets Ctrl-C from the terminal and another signal from
        torchrun, which got it too: if one of them died of that, no state would be saved.
    """

    def __init__(self, *, patient: bool = False) -> None:
        self.patient = patient
        self.signal: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = self.signal or number
        if not self.patient:
            self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before = {}
