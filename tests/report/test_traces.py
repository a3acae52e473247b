"""Pictures of traces and of an answer over time: what is drawn is what was recorded and answered, in its place."""

import mne
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from neurolm.ask.answer import Answer, WindowAnswer
from neurolm.core.montage import template_positions
from neurolm.recording.recording import open_recording
from neurolm.report.drawings.course import draw_course
from neurolm.report.drawings.traces import by_custom, draw_traces, read_page

STAGES = ("Wake", "NREM-1", "NREM-2", "NREM-3", "REM")


def recording(seconds=30.0, rate=200, names=("Fp1", "Fp2", "O1", "Cz"), annotations=None):
    """A 10 Hz sine of 30 µV that grows in O1 from 10 s on, above a slow drift."""
    time = np.arange(round(seconds * rate)) / rate
    signal = np.tile(30 * np.sin(2 * np.pi * 10 * time), (len(names), 1)) + 200 * np.sin(2 * np.pi * 0.02 * time)
    signal[2, time >= 10] *= 2
    raw = mne.io.RawArray(signal * 1e-6, mne.create_info(list(names), rate, "eeg"), verbose="error")
    if annotations:
        raw.set_annotations(annotations)
    return open_recording(raw, check=False)


def test_a_page_is_the_signal_of_its_seconds_without_drift():
    page = read_page(recording(), 9.0, 4.0)
    assert page.signal.shape == (4, 800) and page.electrodes == ("FP1", "O1", "FP2", "CZ")
    time = 9 + np.arange(800) / 200
    expected = 30 * np.sin(2 * np.pi * 10 * time)
    np.testing.assert_allclose(page.signal[0], expected, atol=1.0)
    np.testing.assert_allclose(page.signal[1][600:], 2 * expected[600:], atol=2.0)


def test_electrodes_stand_left_right_middle_from_front_to_back():
    names = list(template_positions())[:40]
    order = [names[i] for i in by_custom(names)]
    sides = ["odd" if n[-1] in "13579" else "even" if n[-1].isdigit() else "middle" for n in order]
    assert sides == sorted(sides, key=["odd", "even", "middle"].index)
    where = template_positions()
    for side in ("odd", "even", "middle"):
        forward = [where[name][1] for name, own in zip(order, sides, strict=True) if own == side]
        assert forward == sorted(forward, reverse=True)


def test_negative_is_up_and_annotations_are_in_their_place():
    marks = mne.Annotations([12.0, 2.0], [1.0, 0.5], ["spike & <b>", "BAD_x"])
    page = read_page(recording(annotations=marks), 10.0, 5.0)
    axes = draw_traces(page, "x").axes[0]
    trace = axes.lines[0].get_ydata()
    assert np.corrcoef(trace, page.signal[0])[0, 1] == pytest.approx(-1.0)
    texts = {text.get_text(): text for text in axes.texts}
    assert texts["spike & <b>"].xy[0] == 12.0 and "BAD_x" not in texts
    assert axes.get_xlim() == (10.0, 15.0) and any("µV" in text for text in texts)


def test_what_was_not_recorded_is_not_drawn():
    found = recording()
    with pytest.raises(ValueError, match="not inside"):
        read_page(found, 31.0, 2.0)
    assert read_page(found, 28.0, 10.0).signal.shape[1] == 400


def answer(likeliest, options=STAGES, undecided=(), unlike=()):
    windows = []
    for number, best in enumerate(likeliest):
        probabilities = tuple(0.8 if o == best else 0.2 / (len(options) - 1) for o in options)
        windows.append(
            WindowAnswer(
                start=30.0 * number, stop=30.0 * number + 30, probabilities=probabilities,
                decided=number not in undecided, unlike=number in unlike,
            )
        )  # fmt: skip
    return Answer(
        recording="x.edf", question="Which?", options=options, answer=likeliest[0], probability=0.8,
        probabilities=windows[0].probabilities, timeline=tuple(windows), electrodes=("CZ",), trained=True, notes=(),
        calibrated=True,
    )  # fmt: skip


def test_a_night_has_its_stages_at_their_levels_and_hatches_where_undecided():
    figure = draw_course(
        answer(["Wake", "NREM-2", "REM", "REM", "NREM-3"], undecided=[3], unlike=[1]), "A verdict.", "x"
    )
    hypnogram, marks, bands = figure.axes
    levels = {
        tick.get_text(): place for tick, place in zip(hypnogram.get_yticklabels(), hypnogram.get_yticks(), strict=True)
    }
    drawn = [
        (segment[0][0], segment[1][0], segment[0][1])
        for lines in hypnogram.collections
        for segment in lines.get_segments()
        if segment[0][1] == segment[1][1]
    ]
    assert drawn == [(0, 30, levels["W"]), (30, 60, levels["N2"]), (60, 90, levels["R"]), (120, 150, levels["N3"])]
    assert [patch.get_hatch() for patch in hypnogram.patches] == ["///"]
    assert [line.get_xdata()[0] for line in marks.lines] == [45.0]  # unlike the training data
    assert "undecided" in [text.get_text() for text in bands.get_legend().get_texts()]
    assert "A verdict." in [text.get_text() for text in figure.texts]


def test_other_answers_have_bands_in_the_colours_of_the_legend():
    figure = draw_course(answer(["Yes", "No"], options=("Yes", "No")), "A verdict.", "x")
    marks, bands = figure.axes
    legend = {
        t.get_text(): p.get_facecolor()[:3]
        for t, p in zip(bands.get_legend().get_texts(), bands.get_legend().get_patches(), strict=True)
    }
    strip = [tuple(lines.get_facecolor()[0][:3]) for lines in marks.collections]
    assert strip == [legend["Yes"], legend["No"]] and to_rgb(strip[0]) != to_rgb(strip[1])
