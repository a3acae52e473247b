"""The verb inspect: what it prints, its exit status, its JSON and its picture."""

import json
import os
import warnings

import matplotlib
import numpy as np
import pytest
from PIL import Image

from neurolm.cli import FAILED, main
from neurolm.cli.inspect import plots
from neurolm.core.errors import ConfigError
from neurolm.recording.excerpt import excerpt
from neurolm.recording.inspect import inspect
from neurolm.report.drawings.recording import draw, write_picture


@pytest.fixture(scope="module")
def formats(shared):
    """Recordings of all formats, and broken ones."""
    return shared / "eeg" / "formats"


def test_a_usable_recording_is_told_whole(shared, capsys):
    assert main(["inspect", str(shared / "eeg/eegmat/Subject00_1.edf")]) == 0
    printed = capsys.readouterr().out
    for line in (
        r"EEG Fp1    FP1        alias     uV    500  8.79",
        "19 electrodes from 21 channels: 19 alias, 2 left out",
        "3:02 (182 s) at 500 Hz",
        "uV (the file declares uV)",
        "left out, reference: EEG A2-A1",
        "182 s × 19 electrodes (1.38 MB): 3,458 patches of 1 s, 4 windows of up to 53 s",
    ):
        assert line in printed


def test_a_refused_recording_fails_and_its_remedy_is_a_flag_that_helps(formats, capsys):
    path = str(formats / "gdf/ssvep_subject03.gdf")
    assert main(["inspect", path]) == FAILED
    captured = capsys.readouterr()
    assert "--unit mV" in captured.out and "refused, for 1 reason" in captured.out
    assert "33025 × 8" in captured.out
    assert f"{path} cannot be used as it is" in captured.err
    assert main(["inspect", path, "--unit", "mV"]) == 0
    assert "mV (the file declares uV)" in capsys.readouterr().out
    assert main(["inspect", path, "--unit", "auto"]) == 0


def test_json_has_everything_of_every_file(formats, capsys):
    given = [formats / "bdf", formats / "broken/truncated.edf", formats / "broken/empty.edf"]
    assert main(["inspect", *map(str, given), "--json"]) == FAILED
    bdf, truncated, empty = json.loads(capsys.readouterr().out)
    assert (bdf["usable"], truncated["usable"], empty["usable"]) == (True, False, False)
    assert bdf["planned"]["patches"] == len(bdf["electrodes"]) == 66
    assert {row["kind"] for row in bdf["coverage"] if row["how"] == "left out"} == {"other", "eog", "stimulus"}
    assert truncated["seconds"] == 23.0 and len(truncated["coverage"]) == 21
    assert empty["size"] == 0 and empty["planned"] is None and "0 bytes" in empty["problems"][0]


def test_brief_gives_a_line_for_each_recording_and_the_reasons(formats, capsys):
    assert main(["inspect", str(formats / "broken"), str(formats / "brainvision"), "--brief"]) == FAILED
    captured = capsys.readouterr()
    head, *rest = captured.out.splitlines()
    assert head.split()[0] == "recording" and len(rest) == 6 + 5
    assert rest[5].split()[1:] == ["yes", "26", "1000", "7.9", "s", "uV", "36.3", "50"]
    assert rest[6].endswith("empty.edf: the file is empty (0 bytes); copy or download it again")
    assert "5 of 6 recordings" in captured.err


def test_wrong_arguments_are_refused(tmp_path, capsys):
    assert main(["inspect", str(tmp_path)]) == FAILED
    assert "no recordings in this folder" in capsys.readouterr().err
    assert main(["inspect", "a.edf", "--plot", "a.jpg"]) == FAILED
    assert "PNG" in capsys.readouterr().err
    with pytest.raises(ConfigError):
        plots(tmp_path / "a", [tmp_path])


def test_every_recording_gets_a_picture_of_its_own(tmp_path, formats, capsys):
    files = [tmp_path / "a/x.edf", tmp_path / "b/x.edf", tmp_path / "y.edf"]
    names = [path.name for path in plots(tmp_path / "p.png", files)]
    assert names == ["p-1-x.edf.png", "p-2-x.edf.png", "p-y.edf.png"]
    plot = tmp_path / "deep" / "p.png"
    given = [str(formats / "broken/truncated.edf"), str(formats / "broken/empty.edf")]
    assert main(["inspect", *given, "--plot", str(plot)]) == FAILED
    assert "empty.edf.png: not drawn" in capsys.readouterr().out
    with Image.open(plot.with_name("p-truncated.edf.png")) as image:
        assert image.width == 1100
    assert len(list(plot.parent.iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "mains", "state"),
    [
        ("eegmmidb/S001/S001R03.edf", "mains 60 Hz", "usable"),
        ("formats/gdf/ssvep_subject03.gdf", "mains 50 Hz (assumed)", "refused"),
        ("formats/edf/test_uneven_samp.edf", None, "refused"),
    ],
)
def test_the_picture_shows_every_channel_mains_and_band(shared, name, mains, state):
    found = inspect(shared / "eeg" / name)
    shown = excerpt(found.recording)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = draw(found, shown)
        picture.canvas.draw()
    traces, shades, lines, _scale = picture.axes
    assert [label.get_text() for label in traces.get_yticklabels()] == list(found.electrodes)
    assert len(traces.lines) == len(found.electrodes) == len(lines.lines[: len(found.electrodes)])
    labels = [text.get_text() for text in lines.get_legend().get_texts()]
    assert f"kept: {found.band[0]:g} to {found.band[1]:g} Hz" in labels
    assert mains is None or mains in labels
    assert state in picture.get_suptitle()
    assert traces.get_ylim() == shades.get_ylim()
    gap = float(traces.get_title(loc="left").split("rows are ")[1].split()[0].replace(",", ""))
    drawn = traces.lines[0].get_ydata() * gap  # first row: at 0
    step = max(1, shown.traces.shape[1] // 4000)
    np.testing.assert_allclose(drawn[np.isfinite(drawn)], shown.traces[0, ::step][np.isfinite(drawn)], rtol=1e-9)


def test_the_same_recording_gives_the_same_picture(tmp_path, shared):
    found = inspect(shared / "eeg/formats/edf/duplicate_channel_labels.edf")
    first = write_picture(found, tmp_path / "1.png").read_bytes()
    assert first == write_picture(found, tmp_path / "2.png").read_bytes()
    assert matplotlib.rcParams["axes.grid"] is False  # the style stays within


def test_what_is_no_file_is_named_where_a_folder_is_inspected(write_edf, tmp_path, capsys):
    write_edf(tmp_path / "a.edf", seed=1)
    os.mkfifo(tmp_path / "pipe.edf")
    (tmp_path / "round.edf").symlink_to("round.edf")
    for flags in ([], ["--brief"]):
        assert main(["inspect", str(tmp_path), *flags]) == 0
        printed = capsys.readouterr().out
        assert "pipes, sockets and devices, passed over: pipe.edf" in printed
        assert "links that lead in a circle, passed over: round.edf" in printed
    (tmp_path / "a.edf").unlink()
    assert main(["inspect", str(tmp_path)]) == FAILED
    assert "pipes, sockets and devices, passed over: pipe.edf" in capsys.readouterr().err
