"""Boards that BrainFlow knows, in EEG: ``brainflow:synthetic``, ``brainflow:cyton?port=/dev/ttyUSB0``

Electrodes are those of the board's own description. Time stamps are those of this machine's clock when samples arrived,
from the moment on at which the board was begun.
"""

from __future__ import annotations

import importlib.resources
import threading
import time
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from neurolm.core.errors import ConfigError, RecordingError
from neurolm.core.names import choose
from neurolm.live.source import Chunk, Layout, Notice
from neurolm.live.sources.electrodes import choose_electrodes
from neurolm.live.sources.settings import number, split_settings
from neurolm.recording.channels import Channel
from neurolm.recording.options import ReadingOptions

_POLL = 0.02  # seconds between looks at what has arrived
_SILENT = 3.0  # seconds without a sample after which a board is begun again
_SETTINGS = {
    "port": "serial_port", "mac": "mac_address", "ip": "ip_address", "ip_port": "ip_port", "serial": "serial_number",
    "file": "file", "board": "master_board", "timeout": "timeout", "other": "other_info",
}  # fmt: skip
"""Settings of ours → parameters of BrainFlow's."""
_NUMBERS = ("ip_port", "timeout")
_MARKED_BY = "marker_channel"


@cache
def brainflow() -> ModuleType:
    """Return BrainFlow's module of boards.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    try:
        from brainflow import board_shim
    except ImportError as error:
        raise ConfigError("boards need BrainFlow: pip install 'neurolm[brainflow]'") from error
    # BrainFlow 5.23 asks for the files of a module, which Python 3.11 refuses; they are its package's.
    board_shim.files = lambda _module: importlib.resources.files("brainflow")
    board_shim.BoardShim.disable_board_logger()
    return board_shim  # type: ignore[no-any-return]


class Board:
    """A board that streams. A board that falls silent is begun again.

    Raises
    ------
    RecordingError
        If the board cannot be begun, or has no EEG.
    """

    def __init__(self, number: int, name: str, parameters: Any, reading: ReadingOptions) -> None:
        self._name = f"brainflow:{name}"
        described = _described(number, self._name, parameters)
        self._rows = described["eeg_channels"]
        names = _names(described)
        rate = float(described["sampling_rate"])
        channels = [Channel(one, "eeg", "uV", rate) for one in names]
        self._electrodes = choose_electrodes(channels, self._name, reading)
        self._layout = Layout(channels=self._electrodes.names, rate=rate, name=self._name, notes=self._electrodes.notes)
        self._stamps, self._marked = described["timestamp_channel"], described.get(_MARKED_BY)
        self._closed, self._zero = threading.Event(), time.time()
        # One object for one board: BrainFlow knows sessions by board and parameters, not by object.
        self._board = brainflow().BoardShim(number, parameters)
        self._begin()

    def _begin(self) -> None:
        try:
            self._board.prepare_session()
            self._board.start_stream()
        except brainflow().BrainFlowError as error:
            self._release()
            raise RecordingError(
                f"{self._name}: BrainFlow cannot begin it: {' '.join(str(error).split())}; is it switched on, paired, "
                "and free of other programs? Boards take port=, mac=, ip=, serial= or file=, as brainflow:cyton?port=…"
            ) from error

    @property
    def layout(self) -> Layout:
        """What arrives."""
        return self._layout

    @property
    def ahead(self) -> float:
        """Seconds by which `time.monotonic` is ahead of the clock of the stamps."""
        return time.monotonic() - self._now()

    def _now(self) -> float:
        return time.time() - self._zero

    def __iter__(self) -> Iterator[Chunk | Notice]:
        """Yield what arrives until the source is closed."""
        arrived, newest = time.monotonic(), self._now()
        while not self._closed.wait(_POLL):
            try:
                numbers = self._board.get_board_data()
                silent = not numbers.shape[1] and time.monotonic() - arrived > _SILENT
            except brainflow().BrainFlowError:
                numbers, silent = np.empty((0, 0)), True
            if silent:
                yield Notice(kind="reconnecting", text=f"{self._name} has sent nothing since", time=newest)
                if not self._begin_again():
                    return
                yield Notice(kind="reconnected", text=f"{self._name} is back", time=self._now())
                arrived = time.monotonic()
            if not numbers.shape[1]:
                continue
            numbers[self._stamps] -= self._zero
            arrived, newest = time.monotonic(), float(numbers[self._stamps, -1])
            yield Chunk(
                samples=self._electrodes.of(numbers[self._rows]),
                times=numbers[self._stamps].copy(),
                received=arrived,
                markers=tuple(self._markers(numbers)),
            )

    def _markers(self, numbers: np.ndarray) -> Iterator[tuple[float, str]]:
        """What other programs inserted by BrainFlow's ``insert_marker``."""
        if self._marked is not None:
            for at in np.flatnonzero(numbers[self._marked]):
                yield float(numbers[self._stamps, at]), f"{numbers[self._marked, at]:g}"

    def _begin_again(self) -> bool:
        """Try until the board streams again; False if the source is closed before."""
        while not self._closed.wait(_POLL):
            self._release()
            try:
                self._begin()
            except RecordingError:
                self._closed.wait(1.0)
                continue
            return True
        return False

    def _release(self) -> None:
        if self._board.is_prepared():
            self._board.release_session()

    def close(self) -> None:
        """Stop the board."""
        self._closed.set()
        self._release()


def _described(number: int, name: str, parameters: Any) -> dict[str, Any]:
    """BrainFlow's description of a board; of the one that a file or another machine plays, that one's."""
    module = brainflow()
    special = (module.BoardIds.PLAYBACK_FILE_BOARD.value, module.BoardIds.STREAMING_BOARD.value)
    if number in special:
        number = parameters.master_board
    try:
        described: dict[str, Any] = module.BoardShim.get_board_descr(number)
    except module.BrainFlowError as error:
        raise RecordingError(
            f"{name}: BrainFlow does not say what is in it; for what is played back, say whose it is, as board=cyton"
        ) from error
    if not described.get("eeg_channels"):
        raise RecordingError(f"{name}: the board records no EEG, by BrainFlow's description")
    return described


def _names(described: dict[str, Any]) -> list[str]:
    """Electrodes by the board's description; boards whose electrodes are the user's to place have none."""
    names = [one.strip() for one in str(described.get("eeg_names", "")).split(",") if one.strip()]
    count = len(described["eeg_channels"])
    return names if len(names) == count else [f"ch{i + 1}" for i in range(count)]


def _id(text: str) -> int:
    """The number of a board, by its number or name."""
    known = {one.name.removesuffix("_BOARD").lower(): one.value for one in brainflow().BoardIds if one.value > -100}
    name = text.lower().replace("-", "_").removesuffix("_board")
    if name in known:
        return int(known[name])
    if text.lstrip("-").isdigit() and int(text) in known.values():
        return int(text)
    raise ValueError(f"BrainFlow has no board of this name{choose(text, sorted(known))}")


def open_board(rest: str, reading: ReadingOptions) -> Board:
    """Open the board of ``brainflow:ID[?port=…&mac=…&ip=…&serial=…&file=…&board=…]``.

    Raises
    ------
    ConfigError
        If BrainFlow is not installed, or knows no such board or setting.
    RecordingError
        If the board cannot be begun, or has no EEG.
    """
    readers = {
        key: number(0, "a whole number", most=2**31 - 1, whole=True) if key in _NUMBERS else str for key in _SETTINGS
    }
    name, given = split_settings(rest, {**readers, "board": _id}, "brainflow")
    try:
        board = _id(name)
    except ValueError as error:
        raise ConfigError(f"brainflow:{rest}: {error}") from error
    parameters = brainflow().BrainFlowInputParams()
    for key, value in given.items():
        setattr(parameters, _SETTINGS[key], value)
    return Board(board, name, parameters, reading)
