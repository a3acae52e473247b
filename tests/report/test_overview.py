"""The overview of an archive: what deserves a look comes first, whatever files are called."""

import base64
import hashlib
import re
import time
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

import neurolm
from neurolm.ask.answer import UNDECIDED, Answer, WindowAnswer, conclude
from neurolm.ask.calibration import TaskCalibration
from neurolm.ask.risk import OperatingPoints
from neurolm.ask.rows import Outcome
from neurolm.report import overview
from neurolm.report.overview import Overview, file_and_folder, timeline
from neurolm.report.overview_page import write_overview

HOSTILE = "<script>alert(1)</script>\"'onload=x \u202efde.gpj\x1b[31m\n&amp;{{ 7*7 }}"
QUESTION = "Which stage?"


def an_answer(shares, *, options=("Wake", "Sleep"), step: float = 2.0, **changes) -> Answer:
    """An answer of windows with these probabilities of the first option; None: the window is missing."""
    first = np.array([share for share in shares if share is not None])
    others = np.repeat((1 - first[:, None]) / (len(options) - 1), len(options) - 1, axis=1)
    spans = [(step * i, step * i + step) for i, share in enumerate(shares) if share is not None]
    calibration = TaskCalibration(task="t", correlation=1.0)
    found = conclude(np.log(np.column_stack([first, others])), calibration, options=options, spans=spans)
    return replace(found, **{"question": QUESTION, "calibrated": True, "outside": 0.0, "notes": ()} | changes)


def outcome(name: str, *answers: Answer, **more) -> Outcome:
    return Outcome(recording=f"/data/{name}", answers=answers, **more)


class Page(HTMLParser):
    """Elements with their attributes, and the text of headings of rows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements, self.names, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts.append(data)
        if len(self.elements) > 1 and self.elements[-1][0] == "bdi" and self.elements[-2][1].get("scope") == "row":
            self.names.append(data)


def page_of(tmp_path, outcomes, **more) -> str:
    return write_overview(tmp_path / "o.html", outcomes, model="demo", **more).read_text(encoding="utf-8")


def test_what_deserves_a_look_comes_first(tmp_path):
    sure, unsure = [0.9] * 4, [0.6] * 4
    outcomes = [
        outcome("common_sure", an_answer(sure)),
        outcome("common_unsure", an_answer(unsure)),
        outcome("rare", an_answer([0.01] * 4)),
        outcome("dissent", an_answer([0.999999, 0.4, 0.4, 0.4])),
        outcome("unlike", an_answer([0.99] * 4, outside=0.5)),
        outcome("a_little_unlike", an_answer([0.97] * 4, outside=0.1)),
        outcome("undecided_unlike", an_answer([0.7] * 4, answer=UNDECIDED, outside=0.9)),
        outcome("undecided", an_answer([0.55] * 4, answer=UNDECIDED)),
        Outcome(recording="/data/broken", failure="/data/broken: no EEG; look at it"),
    ]
    text = page_of(tmp_path, outcomes)
    names = [name for name in Page(text).names if name not in ("demo", "/data", f"neurolm {neurolm.__version__}")]
    assert [name for name in names if name != QUESTION and "answered" not in name and "min" not in name] == [
        "undecided", "undecided_unlike", "unlike", "dissent", "rare", "common_unsure", "common_sure", "a_little_unlike",
    ]  # fmt: skip
    assert "no EEG; look at it" in text and "1 in quarantine" in text and "no medical device" in text
    assert page_of(tmp_path, reversed(outcomes)) == text


def test_a_page_of_the_first_lines_has_those_of_the_whole(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    outcomes = [
        outcome(f"{i:03}", an_answer(rng.uniform(0.01, 0.99, 3), options=("a", "b", "c"), outside=rng.uniform(0, 0.3)))
        for i in range(300)
    ]
    whole = Page(page_of(tmp_path, outcomes)).names
    monkeypatch.setattr(overview, "MOST", 40)
    monkeypatch.setattr("neurolm.report.overview_page.MOST", 40)
    text = page_of(tmp_path, outcomes)
    names = [name for name in Page(text).names if name.isdigit()]
    assert names == [name for name in whole if name.isdigit()][:40] and len(names) == 40
    assert "260 more recordings are not shown here" in text
    assert all(len(lines) < 80 for lines in Overview(outcomes).questions[QUESTION].held.values())


def test_names_stay_names(tmp_path):
    options = (HOSTILE, f"{HOSTILE}2")
    answer = an_answer([0.9, 0.2], options=options, question=HOSTILE, notes=(HOSTILE,))
    outcomes = [
        outcome(f"a/{HOSTILE}", answer, subject=HOSTILE, session=HOSTILE),
        outcome("b/c", replace(answer, notes=(HOSTILE, HOSTILE + "!"))),
        Outcome(recording=HOSTILE, failure=f"{HOSTILE}: {HOSTILE}"),
    ]
    text = write_overview(tmp_path / "o.html", outcomes, model=HOSTILE, tables=[tmp_path / "t.csv"]).read_text("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    page = Page(text)
    assert [tag for tag, _ in page.elements].count("script") == 1
    for tag, attributes in page.elements:
        assert not [
            name for name in attributes if name.startswith("on") or name in ("src", "action", "srcset", "onload")
        ]
        assert attributes.get("href", "#").startswith("#"), tag
    assert tag_names(page) <= {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "table", "thead", "tbody", "tr", "th", "td",
        "bdi", "ul", "li", "a", "b", "i", "dl", "dt", "dd", "section", "div", "small", "span", "svg", "path", "label",
        "input", "select", "option", "output", "details", "summary", "script",
    }  # fmt: skip
    assert "".join(page.texts).count("{{ 7*7 }}") > 8
    assert "url(" not in text and "@import" not in text


def tag_names(page: Page) -> set[str]:
    return {tag for tag, _ in page.elements}


def test_only_our_script_may_run_and_nothing_is_loaded(tmp_path):
    text = page_of(tmp_path, [outcome("a", an_answer([0.9]))])
    policy = next(a["content"] for tag, a in Page(text).elements if tag == "meta" and "http-equiv" in a)
    script = text.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert len(script) > 1000


@pytest.mark.parametrize(
    ("shares", "width", "line"),
    [
        ([0.9, 0.9, 0.1, 0.9], 4, "M0 1H2V3H3V1H4"),
        ([0.9], 1, "M0 1H1"),
        ([0.9, None, None, None, 0.1, 0.1, 0.1, 0.9], 8, "M0 1H1M4 3H7V1H8"),
        ([0.9] * 300 + [0.1] * 300, 60, "M0 1H30V3H60"),
        (([0.9] * 9 + [0.1]) * 60, 60, "M0 1H60"),
    ],
)
def test_a_timeline_steps_between_options(shares, width, line):
    strip = timeline(an_answer(shares))
    assert (strip.width, strip.line, strip.dotted) == (width, line, "")


def test_undecided_windows_are_dotted():
    answer = an_answer([0.9, 0.6, 0.4, 0.1])
    sure = tuple(replace(window, decided=max(window.probabilities) > 0.8) for window in answer.timeline)
    strip = timeline(replace(answer, timeline=sure))
    assert (strip.line, strip.dotted) == ("M0 1H1M3 3H4", "M1 1H2M2 3H3")
    assert timeline(replace(answer, timeline=sure, trained=False)).dotted == ""  # a guess is neither


def test_counts_are_those_of_the_answers():
    rng = np.random.default_rng(1)
    shares = rng.uniform(0.01, 0.99, 50)
    answers = [an_answer([share]) for share in shares]
    found = Overview(outcome(str(i), answer) for i, answer in enumerate(answers)).questions[QUESTION]
    wake, sleep = found.counts()
    assert (wake.number, sleep.number) == (
        (shares > 0.5).sum(),
        (shares < 0.5).sum(),
    ) and wake.share == wake.number / 50
    assert found.expected == pytest.approx(np.maximum(shares, 1 - shares).sum())
    likeliest = shares[shares > 0.5]
    assert wake.spread == f"{np.median(likeliest):.2f}, {likeliest.min():.2f} to {likeliest.max():.2f}"
    filled = {int(x) for x in re.findall(r"M(\d+) ", wake.columns)}
    assert filled == set(np.floor(likeliest * overview.COLUMNS).astype(int))


def test_recordings_whose_windows_say_otherwise_are_not_counted_as_right(tmp_path):
    """Of two that windows share (0.9 and 0.7), 1.6 are right: the third would make it 2.6."""
    divided = an_answer([0.999999, 0.4, 0.4, 0.4])
    assert max(divided.probabilities) > 0.9
    shared = [an_answer([0.9]), an_answer([0.7]), an_answer([0.6], answer=UNDECIDED)]
    outcomes = [outcome(str(i), answer) for i, answer in enumerate([*shared, divided])]
    assert Overview(outcomes).questions[QUESTION].expected == pytest.approx(1.6)
    text = page_of(tmp_path, outcomes)
    assert "about 2 of the 2 decided answers that most windows share are right" in text
    assert "Of 1 recording most windows say otherwise: it has no single right answer" in text
    outcomes.append(outcome("more", divided))
    assert "Of 2 recordings most windows say otherwise: they have no single" in page_of(tmp_path, outcomes)
    whole = page_of(tmp_path, outcomes[:2])
    assert "about 2 of the 2 decided answers are right" in whole and "no single right answer" not in whole
    assert "By their probabilities" not in page_of(tmp_path, outcomes[3:])


def test_it_says_which_model_and_version_answered(tmp_path):
    text = page_of(tmp_path, [outcome("a", an_answer([0.9]))], digest="0123456789abcdef")
    assert "demo (files 0123456789ab)" in text and f"neurolm {neurolm.__version__}" in text


def test_a_guess_has_no_number_and_a_likelihood_is_called_one(tmp_path):
    guess = page_of(tmp_path, [outcome("a", an_answer([0.83], trained=False, calibrated=False))])
    assert "A guess" in guess and "0.83" not in guess
    likelihood = page_of(tmp_path, [outcome("a", an_answer([0.83], calibrated=False))])
    assert "Not calibrated" in likelihood and '<th scope="col">likelihood</th>' in likelihood and "0.83" in likelihood
    assert "decided answers are right" not in likelihood


def test_what_is_noted_of_all_is_said_once(tmp_path):
    one, all_ = "mains 50 Hz: 4 times", "the answer rests on 4 of the 19 electrodes"
    outcomes = [outcome(f"{i}", an_answer([0.9], notes=(all_, *[one] * (i == 1)))) for i in range(3)]
    text = page_of(tmp_path, outcomes)
    assert text.count(all_) == 1 and text.count(one) == 1 and "Noted for every recording" in text
    alone = page_of(tmp_path, outcomes[:1])
    assert alone.count(all_) == 1 and "Noted for every recording" not in alone


def test_what_a_decision_takes_is_said_for_the_question(tmp_path):
    """By the words of an answer itself, for a risk with and without a threshold."""
    points = OperatingPoints(thresholds=(0.95, 0.8), coverages=(0.5, 1.0), errors=(0.0, 0.0), observations=100.0)
    spans, said = [(0.0, 2.0), (2.0, 4.0)], np.log([[0.6, 0.4]] * 2)
    for calibration, wanted, notes in (
        (TaskCalibration(task="t", pooled=points), "Answers below a probability of 0.80 are undecided.", 0),
        (TaskCalibration(task="t"), "The validation answers cannot promise that for any probability", 1),
    ):
        answer = conclude(said, calibration, options=("Yes", "No"), spans=spans, risk=0.1)
        assert answer.answer == UNDECIDED and len(answer.notes) == 1
        answer = replace(answer, question=QUESTION, calibrated=True)
        text = page_of(tmp_path, [outcome("a", answer), outcome("b", answer)])
        assert wanted in text and text.count("undecided, since") == notes and "undecided: " not in text
        assert "A risk of 0.1 was allowed" in text and ("--t:80" in text) == (notes == 0)


def test_without_an_answer_there_is_the_quarantine(tmp_path):
    failures = [Outcome(recording=f"r{i}", failure=f"r{i}: cannot be read") for i in range(2)]
    text = page_of(tmp_path, [*failures, Outcome(recording="x", failure="other")])
    assert "0 answered, 3 in quarantine" in text and "2 recordings" in text and "How to read" not in text
    assert text.count("cannot be read") == 1
    assert "0 recordings" in page_of(tmp_path, [])


@pytest.mark.parametrize(
    ("recording", "folder", "shown"),
    [
        ("/data/a/r.edf", "/data", ("r.edf", "a")),
        ("/data/r.edf", "/data", ("r.edf", "")),
        ("r.edf", "", ("r.edf", "")),
        ("a/b/r.edf", "", ("r.edf", "a/b")),
        ("/x/r.edf", "", ("r.edf", "/x")),
    ],
)
def test_the_folder_that_all_lie_in_is_said_once(recording, folder, shown):
    assert file_and_folder(recording, folder) == shown


def test_thousands_of_lines_open_at_once(tmp_path):
    """A line takes less than a kilobyte, whatever its recording's length; so 5,000 of them less than 5 MB."""
    rng = np.random.default_rng(0)
    some = [an_answer(rng.uniform(0.1, 0.9, windows), notes=(f"mains: {windows}",)) for windows in (1, 20, 60, 400)]
    outcomes = (outcome(f"sub-{i:04}/eeg/sub-{i:04}_task-rest_eeg.edf", some[i % 4]) for i in range(5000))
    begun = time.process_time()
    text = page_of(tmp_path, outcomes)
    assert len(text) < 5e6 and time.process_time() - begun < 20
    assert text.count("<details>") == 5000


def test_a_timeline_of_sleep_is_a_hypnogram():
    stages = ("Wake", "NREM-1", "NREM-2", "NREM-3", "REM")
    windows = tuple(
        WindowAnswer(
            start=30.0 * i, stop=30.0 * (i + 1), probabilities=tuple(float(place == said) for place in range(5))
        )
        for i, said in enumerate((0, 4, 1, 3))  # Wake, REM, N1, N3: the deeper, the lower
    )
    night = replace(an_answer([0.9]), options=stages, timeline=windows)
    assert timeline(night).line == "M0 1H1V3H2V5H3V9H4"
