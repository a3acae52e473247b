"""`neurolm live`: states as JSON and as lines, a recording, an end."""

import json
import signal
import subprocess
import sys
from math import inf, nan

import pytest

from neurolm import ReadingOptions
from neurolm.cli import INTERRUPTED, main
from neurolm.cli.live import looking
from neurolm.core.errors import QuestionError
from neurolm.live.session import Policy
from neurolm.recording.recording import open_recording

QUESTION = "Is this EEG segment of high workload?"


@pytest.fixture
def file(tmp_path, write_edf):
    write_edf(tmp_path / "r.edf", seed=0, names=("C3", "O1", "Cz"))
    return tmp_path / "r.edf"


def live(file, run, *words):
    return main(["live", f"file:{file}?speed=max", QUESTION, "--model", str(run), "--mains", "50", *words])


def test_every_state_is_a_line_of_json(file, evidence_run, capsys):
    assert live(file, evidence_run, "--json") == 0
    out, err = capsys.readouterr()
    states = [json.loads(line) for line in out.splitlines()]
    assert [state["status"] for state in states[:3]] == ["warming up"] * 3 and states[-1]["status"] == "ended"
    assert len(states) == 13 and states[-1]["options"] == ["Yes", "No"]
    assert sum(states[-1]["probabilities"]) == pytest.approx(1) and states[-1]["windows"] == 5
    assert err.startswith("0:12 of EEG; unlike the training 9 ×")
    assert err.splitlines()[-1] == "no answer: all of it was unlike the training"


def test_without_a_terminal_states_are_lines(file, evidence_run, capsys, tmp_path):
    assert live(file, evidence_run, "--for", "6", "--record", str(tmp_path / "live.vhdr")) == 0
    lines = capsys.readouterr().out.splitlines()
    states = [line for line in lines if line.startswith("    0:0")]
    assert [line.split()[0] for line in states] == ["0:01", "0:02", "0:03", "0:04", "0:05", "0:06", "0:06"]
    assert " warming up" in states[0] and "Yes 0." in states[-2] and states[-1].endswith("ended")
    assert any("full attention" in line for line in lines) and lines[-3].startswith("0:06 of EEG; ")
    assert lines[-1] == f"{tmp_path / 'live.vhdr'}: recorded; `neurolm ask` answers it again"
    assert main(["ask", str(tmp_path / "live.vhdr"), QUESTION, "--model", str(evidence_run)]) == 0


def test_a_session_without_an_answer_to_act_on_says_so(file, evidence_run, capsys, monkeypatch):
    monkeypatch.setattr("neurolm.live.session.ALLOWED", 1.0)  # nothing is further outside
    assert live(file, evidence_run) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("last answer: ") and lines[-1].endswith("5 windows up to 0:12")
    assert live(file, evidence_run, "--for", "2") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "no answer: no window was whole"


def test_while_a_stream_is_looked_for_it_is_said(capsys):
    for source in ("lsl:Amp@left", "lsl:", "synthetic:"):
        looking(source, error=True)
    assert capsys.readouterr().err.splitlines() == ["looking for Amp@left …", "looking for a stream of type EEG …"]


def test_markers_are_lines(evidence_run, capsys):
    source = "synthetic:?task=workload&speed=max&seconds=9&every=4&channels=C3,O1"
    assert main(["live", source, QUESTION, "--model", str(evidence_run), "--mains", "50"]) == 0
    assert sum(line.startswith("marker: ") for line in capsys.readouterr().out.splitlines()) == 3


def test_waiting_for_the_mains_frequency_is_explained(file, evidence_run, capsys):
    assert main(["live", f"file:{file}?speed=max", QUESTION, "--model", str(evidence_run), "--for", "2"]) == 0
    said = "note: waiting up to 10 s to find the mains frequency; --mains 50 avoids it"
    assert capsys.readouterr().out.splitlines().count(said) == 1
    assert live(file, evidence_run, "--for", "2") == 0
    assert said not in capsys.readouterr().out


def test_what_cannot_be_is_said_before_anything_begins(file, evidence_run, capsys, tmp_path):
    assert live(file, evidence_run, "--context", "0") == 2
    assert "--context 0" in capsys.readouterr().err
    for flag, value, said in (
        ("--stride", "1e300", "--stride 1e+300: give 0.005 to 3,600 s"),
        ("--for", "0", "--for 0: give the seconds after which to end"),
    ):
        assert live(file, evidence_run, flag, value) == 2
        assert said in capsys.readouterr().err
    for values in ({"seconds": 0}, {"seconds": inf}, {"stride": inf}, {"stride": nan}, {"context": inf}):
        with pytest.raises(QuestionError, match=f"{next(iter(values))}={next(iter(values.values()))}: give"):
            Policy(**values)
    assert live(file, evidence_run, "--record", str(tmp_path / "r.edf")) == 2
    assert "NAME.vhdr" in capsys.readouterr().err
    assert live(file, evidence_run, "--markers", "tones") == 2
    assert "--markers tones names LSL streams" in capsys.readouterr().err
    assert main(["live", str(file), QUESTION, "--model", str(evidence_run)]) == 2
    assert f"write file:{file}" in capsys.readouterr().err


def test_an_interrupt_while_the_model_loads_promises_nothing(file, evidence_run, capsys, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("neurolm.cli.live.load_model", interrupted)
    assert live(file, evidence_run) == INTERRUPTED
    assert capsys.readouterr().err.split() == ["interrupted"]


def test_an_interrupt_ends_it_with_a_summary_and_a_kill_costs_nothing_recorded(evidence_run, tmp_path):
    # in real time, in processes of their own
    command = [sys.executable, "-m", "neurolm", "live", "synthetic:", QUESTION, "--model", str(evidence_run)]
    paths = [tmp_path / "interrupted.vhdr", tmp_path / "killed.vhdr"]
    processes = [
        subprocess.Popen(
            [*command, "--mains", "50", "--record", str(path)],
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(
                signal.SIGINT, signal.SIG_DFL
            ),  # a shell's jobs in the background ignore it
        )
        for path in paths
    ]
    for process in processes:
        assert any("0:02  " in line for line in iter(process.stdout.readline, ""))
    processes[0].send_signal(signal.SIGINT)
    processes[1].kill()
    out, _ = (process.communicate(timeout=60)[0] for process in processes)
    assert processes[0].returncode == 0
    assert out.splitlines()[-1] == f"{paths[0]}: recorded; `neurolm ask` answers it again"
    for path in paths:
        found = open_recording(path, reading=ReadingOptions(truncated="accept"))
        assert found.seconds > 1.9 and len(found.channels) > 1
