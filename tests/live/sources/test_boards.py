"""BrainFlow's boards: its synthetic board, and one that is played back from a file, need no device."""

import time

import numpy as np
import pytest

from neurolm.core.errors import ConfigError, RecordingError
from neurolm.live.source import Chunk, Notice
from neurolm.live.sources import boards
from neurolm.live.sources.open_source import open_source
from neurolm.recording.options import ReadingOptions

pytest.importorskip("brainflow")
SYNTHETIC = ("FZ", "C3", "CZ", "C4", "PZ", "PO7", "OZ", "PO8", "F5", "F7", "F3", "F1", "F2", "F4", "F6", "F8")


def gathered(source, seconds):
    """What a source gives within some seconds."""
    until, arrived = time.monotonic() + seconds, []
    for one in source:
        arrived.append(one)
        if time.monotonic() > until:
            source.close()
    return arrived


def test_the_synthetic_board_streams_the_electrodes_of_its_description():
    source = open_source("brainflow:synthetic")
    assert source.layout.channels == SYNTHETIC and source.layout.rate == 250
    chunks = [one for one in gathered(source, 1.5) if isinstance(one, Chunk)]
    samples = np.concatenate([chunk.samples for chunk in chunks], axis=1)
    assert samples.shape[0] == 16 and 150 < samples.shape[1] < 1000
    times = np.concatenate([chunk.times for chunk in chunks])
    assert (np.diff(times) > 0).all() and 0 < times[-1] < 20
    # BrainFlow's own sines: 5 Hz and higher from channel to channel, with noise, tens of microvolts.
    assert 1 < samples.std(axis=1).min() < samples.std(axis=1).max() < 1000
    source.close()


def test_some_electrodes_are_taken_and_markers_of_other_programs_come_along(monkeypatch):
    source = open_source("brainflow:-1", reading=ReadingOptions(channels=["C4", "Oz"]))
    board, sent = source._source._board, False
    found = []
    until = time.monotonic() + 10
    for one in source:
        if isinstance(one, Chunk):
            assert one.samples.shape[0] == 2
            found += one.markers
            if not sent:
                board.insert_marker(7.0)
                sent = True
        if found or time.monotonic() > until:
            source.close()
    assert [text for _, text in found] == ["7"]


def test_what_a_file_plays_back_are_the_numbers_of_the_file(tmp_path):
    """Rows of a board's description, as BrainFlow writes them: tabs between, a sample in each line."""
    described = boards.brainflow().BoardShim.get_board_descr(-1)
    numbers = np.zeros((described["num_rows"], 600))
    numbers[described["eeg_channels"]] = np.random.default_rng(0).normal(0, 20, (16, 600)).round(3)
    numbers[described["timestamp_channel"]] = 1.7e9 + np.arange(600) / 250
    np.savetxt(tmp_path / "session.csv", numbers.T, delimiter="\t", fmt="%.6f")
    source = open_source(f"brainflow:playback_file?file={tmp_path / 'session.csv'}&board=synthetic")
    assert source.layout.channels == SYNTHETIC
    chunks = [one for one in gathered(source, 1.2) if isinstance(one, Chunk)]
    samples = np.concatenate([chunk.samples for chunk in chunks], axis=1)
    many = samples.shape[1]
    assert many > 100
    np.testing.assert_allclose(samples, numbers[described["eeg_channels"], :many], atol=1e-3)


def test_a_board_that_falls_silent_is_begun_again(monkeypatch):
    monkeypatch.setattr(boards, "_SILENT", 0.3)
    source = open_source("brainflow:synthetic")
    kinds, chunks, until = [], 0, time.monotonic() + 20
    for one in source:
        if isinstance(one, Notice):
            kinds.append(one.kind)
        elif not kinds:
            source._source._board.stop_stream()
        chunks = chunks + 1 if kinds and isinstance(one, Chunk) else chunks
        if chunks > 2 or time.monotonic() > until:
            source.close()
    assert kinds[:2] == ["reconnecting", "reconnected"] and chunks > 2


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("brainflow:cytn", ConfigError, "no board of this name: did you mean cyton"),
        ("brainflow:4711", ConfigError, "no board of this name"),
        ("brainflow:cyton?prot=x", ConfigError, "there is no setting 'prot': did you mean port"),
        ("brainflow:cyton?port=/dev/nothing", RecordingError, r"brainflow:cyton: BrainFlow cannot begin it.*port="),
        ("brainflow:ganglion?port=/dev/nothing", RecordingError, "no known electrodes: ch1, ch2, ch3, ch4; say what"),
        ("brainflow:emotibit", RecordingError, "records no EEG"),
        ("brainflow:playback_file?file=x", RecordingError, "say whose it is, as board=cyton"),
    ],
)
def test_what_cannot_be_begun_says_why(name, error, said):
    with pytest.raises(error, match=said):
        open_source(name)


def test_boards_whose_electrodes_are_placed_by_hand_need_their_names():
    described = boards.brainflow().BoardShim.get_board_descr(1)
    assert boards._names(described) == ["ch1", "ch2", "ch3", "ch4"]
