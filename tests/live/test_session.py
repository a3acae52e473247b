"""Streamed answers are the offline ones, whatever happens between the samples."""

import numpy as np
import pytest

from neurolm import ReadingOptions
from neurolm.core.errors import QuestionError, RecordingError
from neurolm.core.physics import RATE as MODEL_RATE
from neurolm.live.session import Policy
from neurolm.live.source import Chunk, Layout, Notice

QUESTION = "Is this EEG segment of high workload?"
RATE = 250.0
LAYOUT = Layout(channels=("C3", "O1"), rate=RATE, name="memory")
MAINS = ReadingOptions(mains=50)
ALL = Policy(context=1e6)


@pytest.mark.parametrize("kind", ["causal_model", "full_model"])
def test_streamed_answers_are_the_offline_ones(kind, request, lab):
    model = request.getfixturevalue(kind)
    signal = lab.eeg(15)
    states = lab.live(model, lab.chunks(signal))
    answer = lab.offline(model, [signal])
    assert len(answer.timeline) == 6 and len({w.probabilities for w in answer.timeline}) == 6
    lab.assert_same(states, answer)
    usual = "answer" if kind == "causal_model" else "unlike the training"
    assert [s.status for s in states[:5]] == ["warming up"] * 3 + [usual] * 2
    assert states[-1].status == "ended" and len(states) == 16
    assert 0 < states[0].delay < 0.05 and states[3].window == states[3].finished[0]


def test_a_window_costs_each_second_once(causal_model, monkeypatch, lab):
    # 12 s make 5 windows of 4 s that begin every 2 s: 20 seconds of tokens, and none is read twice
    seen = []
    features = causal_model.module.features
    monkeypatch.setattr(
        causal_model.module, "features", lambda p, c=None: seen.append(p.samples.shape) or features(p, c)
    )
    states = lab.live(causal_model, lab.chunks(lab.eeg(12)))
    assert len(lab.finished(states)) == 5
    assert all(shape == (1, 2, MODEL_RATE) for shape in seen) and len(seen) == 20 + 2  # the sixth window has two


def test_how_samples_are_cut_changes_nothing(causal_model, lab):
    signal = lab.eeg(9)
    one, other = (
        lab.live(causal_model, lab.chunks(signal, seed=seed, most=most)) for seed, most in ((1, 20), (2, 2000))
    )
    for window, same in zip(lab.finished(one), lab.finished(other), strict=True):
        assert window.probabilities == pytest.approx(same.probabilities, abs=1e-6)


def test_windows_begin_anew_after_a_gap(causal_model, lab):
    before, after = lab.eeg(7.3), lab.eeg(8.2, hertz=10.0, seed=1)
    gap = Notice(kind="gap", text="2.7 s are missing", time=7.3)
    states = lab.live(causal_model, [*lab.chunks(before), gap, *lab.chunks(after, start=10.0)])
    lab.assert_same(states, lab.offline(causal_model, [before, after], starts=(0.0, 10.0)))
    at = next(i for i, state in enumerate(states) if state.status == "gap")
    assert states[at].notes == ("2.7 s are missing",) and states[at].window is None
    assert [s.status for s in states[at + 1 : at + 5]] == ["warming up"] * 3 + ["answer"]
    assert states[at + 1].probabilities is not None  # of what the context still holds


def test_missing_samples_are_cut_out(causal_model, lab):
    signal = lab.eeg(14)
    signal[1, 1800:1900] = np.nan
    states = lab.live(causal_model, lab.chunks(signal))
    parts = [signal[:, :1800], signal[:, 1900:]]
    lab.assert_same(states, lab.offline(causal_model, parts, starts=(0.0, 1900 / RATE)))
    assert sum("missing samples" in note for state in states for note in state.notes) >= 1


def test_another_clock_forgets_what_was_said(causal_model, lab):
    jump = Notice(kind="clock-jump", text="the clock went back by 100 s", time=6.0)
    states = lab.live(causal_model, [*lab.chunks(lab.eeg(6), start=106.0), jump, *lab.chunks(lab.eeg(3), start=6.0)])
    at = [state.status for state in states].index("clock jump")
    assert states[at - 1].probabilities is not None
    assert all(state.probabilities is None for state in states[at:])


def test_other_channels_are_other_electrodes(causal_model, lab):
    other = Layout(channels=("C4", "O1", "C3"), rate=200.0, name="memory")
    changed = Notice(kind="channels-changed", text="C4 came", time=5.0, layout=other)
    signal = lab.eeg(6, channels=3, rate=200.0)
    states = lab.live(causal_model, [*lab.chunks(lab.eeg(5)), changed, *lab.chunks(signal, start=5.0, rate=200.0)])
    at = [state.status for state in states].index("channels changed")
    assert states[at - 1].electrodes == ("C3", "O1") and states[at].electrodes == ("C4", "O1", "C3")
    assert len(lab.finished(states[at:])) == 2 and lab.finished(states[at:])[0].start == pytest.approx(5.0)


def test_reconnecting_is_a_state(causal_model, lab):
    lost = Notice(kind="reconnecting", text="nothing has come for 2 s", time=5.0)
    back = Notice(kind="reconnected", text="back after 3 s", time=8.0)
    late = Notice(kind="late", text="3 samples came too late", time=8.5)
    states = lab.live(
        causal_model,
        [
            *lab.chunks(lab.eeg(5)),
            lost,
            back,
            *lab.chunks(lab.eeg(1), start=8.0),
            late,
            *lab.chunks(lab.eeg(1), start=9.0),
        ],
    )
    assert [state.status for state in states[5:]] == ["reconnecting", "gap", "warming up", "warming up", "ended"]
    assert late.text in states[-2].notes


def test_a_flat_electrode_is_silenced_until_it_is_back(causal_model, lab):
    signal = lab.eeg(30)
    signal[1, round(8 * RATE) : round(18 * RATE)] = 7.0
    states = lab.live(causal_model, lab.chunks(signal, most=20))
    faulty = [state for state in states if state.faults]
    assert {state.status for state in faulty} == {"bad contact"} and faulty[3].faults == {"O1": "flat"}
    assert faulty[0].time == pytest.approx(10.5, abs=0.6) and faulty[-1].time == pytest.approx(20.0, abs=1.2)
    assert faulty[0].electrodes == ("C3",)
    assert faulty[0].notes[0].startswith("bad contact: O1, saturated (")
    assert any("contact is back: O1" in state.notes for state in states)
    assert states[-2].electrodes == ("C3", "O1") and states[-2].status in ("answer", "unlike the training")


def test_hum_is_said_and_the_electrode_stays(causal_model, lab):
    signal = lab.eeg(8)
    signal[0] += 400 * np.sin(2 * np.pi * 50 * np.arange(signal.shape[1]) / RATE)
    states = lab.live(causal_model, lab.chunks(signal))
    assert {state.status for state in states[:-1]} == {"bad contact"}
    assert set(states[3].faults) == {"C3"} and "% of its power is mains hum" in states[3].faults["C3"]
    assert states[-1].electrodes == ("C3", "O1") and states[-1].answer is not None


def test_nothing_but_flat_electrodes(causal_model, lab):
    states = lab.live(causal_model, lab.chunks(np.zeros((2, 2000))))
    assert {state.status for state in states[:-1]} == {"bad contact"}
    assert states[-1].answer is None and states[0].electrodes == ()


def test_windows_that_overlap_more_make_no_answer_surer(causal_model, lab):
    signal = lab.eeg(20)
    usual, closer = (
        lab.live(causal_model, lab.chunks(signal)),
        lab.live(causal_model, lab.chunks(signal), policy=Policy(stride=1.0)),
    )
    assert len(lab.finished(closer)) == 17 and len(lab.finished(usual)) == 9
    assert closer[-1].windows == 9  # every second one of them, as in training
    assert closer[-1].probabilities == pytest.approx(usual[-1].probabilities, abs=1e-6)


def test_the_answer_is_about_the_context(causal_model, lab):
    parts = [*lab.chunks(lab.eeg(20, hertz=22.0)), *lab.chunks(lab.eeg(20, hertz=10.0, seed=3), start=20.0)]
    states = lab.live(causal_model, parts, policy=Policy(context=8.0))
    last = states[-2]
    assert last.since == pytest.approx(32.0) and last.windows == 3
    inside = [window for window in lab.finished(states) if window.start >= 32.0]
    assert len(inside) == 3


def test_it_ends_after_so_many_seconds(causal_model, lab):
    source = lab.Memory(LAYOUT, lab.chunks(lab.eeg(20)))
    states = list(causal_model.live(source, QUESTION, policy=Policy(seconds=6.5), reading=MAINS))
    assert states[-1].time == pytest.approx(6.5, abs=0.005) and source.closed


@pytest.mark.parametrize("seconds", [0.3, 1.1, 2.7])
def test_it_ends_at_the_sample_whatever_fractions_add_up_to(causal_model, lab, seconds):
    source = lab.Memory(LAYOUT, lab.chunks(lab.eeg(4), most=2))
    session = causal_model.live(source, QUESTION, policy=Policy(seconds=seconds), reading=MAINS)
    list(session)
    assert session.received == pytest.approx(seconds, abs=1e-6)


def test_the_mains_are_found_in_what_came_first(causal_model, lab):
    signal = lab.eeg(16)
    time = np.arange(signal.shape[1]) / RATE
    signal = signal + 20 * np.sin(2 * np.pi * 60 * time)
    states = list(causal_model.live(lab.Memory(LAYOUT, lab.chunks(signal)), QUESTION, policy=ALL))
    given = ReadingOptions(mains=60)
    expected = list(causal_model.live(lab.Memory(LAYOUT, lab.chunks(signal)), QUESTION, policy=ALL, reading=given))
    assert any("mains 60 Hz" in note for state in states for note in state.notes)
    assert [w.probabilities for w in lab.finished(states)] == [w.probabilities for w in lab.finished(expected)]
    assert {state.status for state in states[:8]} == {"warming up"}


def test_sources_that_end_early_are_heard_to_the_end(causal_model, lab):
    states = list(causal_model.live(lab.Memory(LAYOUT, lab.chunks(lab.eeg(6))), QUESTION, policy=ALL))
    assert len(lab.finished(states)) == 2  # although the mains could not be told


@pytest.mark.parametrize(
    ("how", "said"),
    [({"stride": 0}, "stride"), ({"context": -1}, "context"), ({"risk": 2.0}, "risk"), ({"seconds": 0.0}, "seconds")],
)
def test_policies_that_cannot_be_are_refused(how, said):
    with pytest.raises(QuestionError, match=said):
        Policy(**how)


def test_what_is_unlike_the_training_is_no_answer(full_model, lab):
    states = lab.live(full_model, lab.chunks(4 * lab.eeg(9)))
    assert {state.status for state in states[4:-1]} == {"unlike the training"}
    assert states[-1].outside == 1 and states[-1].probabilities is not None


def test_a_guess_is_no_answer(causal_model, lab):
    states = list(
        causal_model.live(
            lab.Memory(LAYOUT, lab.chunks(lab.eeg(9))), "Is the moon full?", options=["yes", "no"], reading=MAINS
        )
    )
    assert {state.status for state in states[4:-1]} <= {"undecided", "unlike the training"}


def test_markers_are_taken_along(causal_model, lab):
    one, *others = lab.chunks(lab.eeg(5), most=200)
    marked = Chunk(samples=one.samples, times=one.times, received=one.received, markers=((0.1, "tone"),))
    states = lab.live(causal_model, [marked, *others])
    assert states[0].markers == ((0.1, "tone"),) and not any(state.markers for state in states[1:])


@pytest.mark.parametrize("rate", [100.0, 128.0, 160.0, 256.0, 300.0, 512.0, 1000.0])
def test_any_rate_gives_a_second_for_a_second(causal_model, lab, rate):
    layout = Layout(channels=("C3", "O1"), rate=rate, name="memory")
    states = lab.live(causal_model, lab.chunks(lab.eeg(6, rate=rate), rate=rate), layout=layout)
    assert len(states) == 7 and [w.start for w in lab.finished(states)] == pytest.approx([0, 2])
    for second, state in enumerate(states[:6], start=1):  # the last sample of a second at 200 Hz is due 5 ms before it
        assert second - 0.005 - 1 / rate < state.time < second
    assert any("band limited" in note for note in states[0].notes) == (rate < 160)


def test_what_is_too_slow_is_refused_and_its_source_closed(causal_model, lab, tmp_path):
    source = lab.Memory(Layout(channels=("C3", "O1"), rate=64.0, name="a board"), [])
    with pytest.raises(RecordingError, match="a board: 64 samples per second"):
        causal_model.live(source, QUESTION, record=tmp_path / "r.vhdr")
    assert source.closed and list(tmp_path.iterdir()) == []
