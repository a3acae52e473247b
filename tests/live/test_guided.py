"""A person led through labelled blocks, live: what is recorded has the labels that were asked for, and teaches."""

import json
import shlex
import time
from itertools import pairwise

import mne
import numpy as np
import pytest

from neurolm.cli import FAILED, main
from neurolm.cli.values import as_flags, names_or_pairs
from neurolm.core.errors import ConfigError, QuestionError, RecordingError
from neurolm.corpora.table import read_table
from neurolm.live.guided import SETTLED, guide, schedule
from neurolm.live.session import Policy
from neurolm.live.source import Chunk, Layout, Notice
from neurolm.recording.options import ReadingOptions

QUESTION = "Is this EEG segment of high workload?"
RATE = 250
LAYOUT = Layout(channels=("C3", "O1"), rate=RATE, name="memory")
RHYTHMS = {"Yes": 22.0, "No": 10.0, None: 5.0}


class Obedient:
    """A person who does what they are told, half a second late; their EEG in chunks of a fifth of a second."""

    def __init__(self, seconds, *, notices=()):
        self.layout, self.seconds, self.notices, self.said, self.closed = LAYOUT, seconds, dict(notices), [], False
        self.doing = [(0.0, None)]

    def hear(self, text):
        self.said.append(text)
        for option in RHYTHMS:
            if f"now '{option}'" in text:
                self.doing.append((self.now + 0.5, option))
        if "get ready" in text:
            self.doing.append((self.now + 0.5, None))

    def __iter__(self):
        rng, lost, self.now = np.random.default_rng(0), 0.0, 0.0
        for number in range(round(5 * self.seconds)):
            if number in self.notices:
                lost += 3.0
                yield self.notices[number]
            self.now = number / 5
            times = self.now + np.arange(RATE // 5) / RATE
            doing = [next(what for since, what in reversed(self.doing) if since <= t) for t in times]
            hertz = np.array([RHYTHMS[what] for what in doing])
            samples = 30 * np.sin(2 * np.pi * hertz * times) + 5 * rng.standard_normal((2, len(times)))
            yield Chunk(samples=samples, times=times + lost, received=time.monotonic())
        yield Notice(kind="ended", text="over", time=self.seconds)

    def close(self):
        self.closed = True


def test_each_option_has_its_turns_and_none_comes_twice_in_a_row():
    firsts = set()
    for seed in range(20):
        blocks = schedule(("a", "b", "c"), seconds=10, rounds=4, ready=3, seed=seed)
        order = [block.label for block in blocks]
        assert all(sorted(order[at : at + 3]) == ["a", "b", "c"] for at in range(0, 12, 3))
        assert all(one != other for one, other in pairwise(order))
        assert all(one.stop == other.ready and one.start == one.ready + 3 for one, other in pairwise(blocks))
        assert blocks[-1].stop == 12 * 13
        firsts.add(order[0])
    assert firsts == {"a", "b", "c"}
    assert schedule(("a", "b"), seed=1) == schedule(("a", "b"), seed=1)
    with pytest.raises(QuestionError, match=r"rounds=0 for the options a, b: two options, one round"):
        schedule(("a", "b"), rounds=0)


@pytest.mark.parametrize("gap", [False, True])
def test_what_is_labelled_is_what_was_done(gap, tmp_path):
    blocks = schedule(("Yes", "No"), seconds=6, rounds=2, ready=2, seed=3)
    lost = Notice(kind="gap", text="3 s are missing", time=13.0)
    person = Obedient(40, notices={65: lost} if gap else {})
    table = guide(person, blocks, tmp_path / "ada", task="workload", prompt=person.hear)
    assert person.closed and person.said[-1] == "done, thank you" and ("note: 3 s are missing" in person.said) == gap
    lines = read_table(table)
    assert [line.label for line in lines] == [block.label for block in blocks]
    assert {(line.subject, line.task) for line in lines} == {("ada", "workload")}
    raw = mne.io.read_raw_brainvision(table.parent / lines[0].file, preload=True, verbose="error")
    for line in lines:
        assert line.stop - line.start == pytest.approx(6 - SETTLED)
        part = raw.get_data(tmin=line.start, tmax=line.stop)[0]
        part = part[part != 0]  # a gap was filled up
        power = np.abs(np.fft.rfft(part * np.hanning(len(part)))) ** 2
        hertz = np.fft.rfftfreq(len(part), 1 / RATE)
        assert hertz[power.argmax()] == pytest.approx(RHYTHMS[line.label], abs=0.5)


def test_what_breaks_off_is_no_calibration(tmp_path):
    blocks = schedule(("Yes", "No"), seconds=6, rounds=1, ready=0, seed=3)
    person = Obedient(8)
    with pytest.raises(RecordingError, match="memory: ended after 8 s, and the blocks last 12 s; begin anew"):
        guide(person, blocks, tmp_path / "ada", task="workload", prompt=person.hear)
    assert person.closed and not (tmp_path / "ada" / "labels.csv").exists()
    with pytest.raises(ConfigError, match="is there already"):
        guide(Obedient(20), blocks, tmp_path / "ada", task="workload", prompt=print)
    other = Layout(channels=("C3",), rate=RATE)
    person = Obedient(20, notices={9: Notice(kind="channels-changed", text="O1 is gone", time=1.8, layout=other)})
    with pytest.raises(RecordingError, match="O1 is gone; begin anew, with another folder"):
        guide(person, blocks, tmp_path / "eve", task="workload", prompt=person.hear)


def test_labels_and_calibrations_that_are_there_are_kept(evidence_run, tmp_path, capsys):
    table = tmp_path / "labels.csv"
    table.write_text("mine")
    with pytest.raises(ConfigError, match=r"labels\.csv: is there already; begin with a new folder"):
        guide(Obedient(20), schedule(("Yes", "No")), tmp_path, task="workload", prompt=print)
    table.rename(tmp_path / "person.json")
    words = ["--model", str(evidence_run), "--calibrate", str(tmp_path)]
    assert main(["live", "synthetic:?speed=max", "Is this EEG segment of high workload?", *words]) == FAILED
    assert "person.json: is there already; give --calibrate a new folder" in capsys.readouterr().err
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("person.json", "mine")]


def test_live_answers_for_a_person_are_those_of_a_recording(causal_model, lab, tmp_path):
    blocks = schedule(("Yes", "No"), seconds=10, rounds=2, ready=1, seed=3)
    person = Obedient(60)
    table = guide(person, blocks, tmp_path / "ada", task="workload", prompt=person.hear)
    ada = causal_model.calibrate(table)
    signal = lab.eeg(15)
    states = lab.live(causal_model, lab.chunks(signal), person=ada)
    answer = lab.offline(causal_model, [signal], person=ada)
    lab.assert_same(states, answer)
    assert answer.probabilities != lab.offline(causal_model, [signal]).probabilities
    assert any("calibrated for ada" in note for state in states for note in state.notes)
    with pytest.raises(QuestionError, match="leave out the risk or the person"):
        lab.live(causal_model, [], person=ada, policy=Policy(risk=0.1))


def test_flags_are_written_as_they_are_read():
    reading = ReadingOptions(mains=60.0, channels={"a,b": "C3", "ch 2": "C4"}, cap=None, unknown="drop")
    words = as_flags(reading, ReadingOptions())
    assert words[:4] == ["--unknown", "drop", "--mains", "60"] and len(words) == 6
    assert names_or_pairs(words[5]) == reading.channels
    assert as_flags(ReadingOptions(channels=["C3", "C4"]), ReadingOptions()) == ["--channels", "C3,C4"]


def test_the_command_leads_records_and_fits(evidence_run, tmp_path, capsys):
    source, out = "synthetic:?task=workload&speed=max&channels=C3,O1", tmp_path / "ada"
    how = ["live", source, QUESTION, "--model", str(evidence_run), "--mains", "50", "--calibrate", str(out)]
    assert main(how) == 0
    said = capsys.readouterr().out
    assert "4 blocks, 1 min 36 s in all" in said and said.count("get ready for") == 4
    assert said.count("    5 s more\n    stop\n") == 4
    assert "calibrated for ada on 32 windows (Yes 16, No 16) of 1 min 12 s" in said
    assert "note: nobody follows the words in synthetic:" in said and "temperature" not in said
    assert "workload: left out in turn, its 4 blocks are answered with balanced accuracy 0." in said
    (following,) = [line for line in said.splitlines() if line.startswith("next: ")]
    words = shlex.split(following.removeprefix("next: "))
    assert words == ["neurolm", *how[:5], "--mains", "50", "--person", str(out)]
    assert main([*words[1:], "--for", "3"]) == 0
    assert "calibrated for ada" in capsys.readouterr().out
    ask = ["ask", str(out / "calibration.vhdr"), QUESTION, "--model", str(evidence_run), "--mains", "50", "--json"]
    assert main([*ask, "--person", str(out)]) == 0
    assert json.loads(capsys.readouterr().out)["person"] == "ada"
    assert main([*how, "--json"]) == FAILED
    assert "--calibrate takes no --options" in capsys.readouterr().err
