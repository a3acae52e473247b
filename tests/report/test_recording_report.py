"""The report of a recording: what it says is what was answered, in HTML and in print, and it says no more than that."""

import base64
import datetime
import io
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import edfio
import numpy as np
import pytest
from PIL import Image

import neurolm
from neurolm.ask.answer import UNDECIDED, WindowAnswer
from neurolm.ask.verdict import verdict
from neurolm.cli import main
from neurolm.cli.report import _files
from neurolm.core.errors import ConfigError, QuestionError, RecordingError
from neurolm.report.recording import kind_of, write_recording_report
from neurolm.report.recording.answered import shares
from neurolm.report.recording.build import asked, build, warnings
from neurolm.report.recording.gather import gather
from neurolm.report.recording.html import as_html
from neurolm.report.recording.pdf import as_pdf
from neurolm.report.recording.timelines import over_time, strip

sys.path.insert(0, str(Path(__file__).parent))
from pdf_text import pages

NAMES = ("C3", "O1", "Fz", "C4", "O2")
PATIENT = ("Hildegard", "Rosenzweig", "MRN-7719-X", "1961", "Dr_Weissmueller", "ADM-4242", "headbox-99")
HOSTILE = "<img src=x onerror=alert(1)>\u202eevil & 'quoted'"
READING = neurolm.ReadingOptions(unknown="nearest")


def write_edf(path: Path, *, seconds: int = 40, hertz: float = 10.0, annotations=()) -> Path:
    """An EDF+ file that says all that one can say of a person, with a rhythm over the back of the head."""
    rng, time = np.random.default_rng(7), np.arange(seconds * 200) / 200
    noise = rng.standard_normal((len(NAMES), seconds * 200))
    signal = 6 * noise + np.array([3, 25, 2, 3, 25])[:, None] * np.sin(2 * np.pi * hertz * time)
    edfio.Edf(
        [edfio.EdfSignal(one, 200, label=f"EEG {name}", physical_dimension="uV", transducer_type="headbox-99")
         for name, one in zip(NAMES, signal, strict=True)],
        patient=edfio.Patient(code="MRN-7719-X", sex="F", birthdate=datetime.date(1961, 7, 13),
                              name="Hildegard_Rosenzweig"),
        recording=edfio.Recording(startdate=datetime.date(2020, 3, 2), hospital_administration_code="ADM-4242",
                                  investigator_technician_code="Dr_Weissmueller", equipment_code="headbox-99"),
        annotations=[edfio.EdfAnnotation(*one) for one in annotations],
    ).write(path)  # fmt: skip
    return path


@pytest.fixture(scope="module")
def model(evidence_run):
    return neurolm.load(evidence_run, device="cpu")


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    marks = [(3.0, None, HOSTILE), (5.0, 2.0, "eyes closed"), (9.0, 2.5, "eyes closed")]
    return write_edf(tmp_path_factory.mktemp("ward") / "x & <b>y.edf", annotations=marks)


@pytest.fixture(scope="module")
def found(model, file):
    return gather(
        model, file, questions=None, reading=READING, unseen="nearest", risk=0.4, command="neurolm report x --model y"
    )


@pytest.fixture(scope="module")
def document(found):
    return build(found)


@pytest.fixture(scope="module")
def contents(document) -> dict[str, str]:
    """The text of both files, one piece of text after the other."""
    page, printed = as_html(document).decode(), as_pdf(document)
    return {"html": Seen.of(page).text, "pdf": " ".join(pages(printed)), "source": page, "file": printed}


class Seen(HTMLParser):
    """What a browser makes of a page."""

    VOID = ("meta", "img", "br", "hr", "link")

    @classmethod
    def of(cls, page: str) -> "Seen":
        seen = cls()
        seen.tags, seen.open, seen.pieces, seen.images = [], [], [], []
        seen.feed(page)
        return seen

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.pieces).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.pieces.append(data)


def squeezed(text: str) -> str:
    """Without white space, since lines break elsewhere in print."""
    return "".join(text.split())


def test_page_and_print_state_the_same_answers(found, contents, model, file):
    answers = model.ask_all(file, reading=READING, risk=0.4)
    assert len(answers) == len(model.questions) == 2
    for answer in answers:
        for kind in ("html", "pdf"):
            assert squeezed(answer.question) in squeezed(contents[kind])
            assert squeezed(verdict(answer)) in squeezed(contents[kind])
            for note in answer.notes:
                assert squeezed(note) in squeezed(contents[kind])
    assert [replace(a, recording="") for a in answers] == [replace(a, recording="") for a in found.answers]


def test_every_text_of_the_page_is_in_print(document, contents):
    printed = squeezed(contents["pdf"])

    def texts(section):
        yield section.title
        for block in section.blocks:
            yield from getattr(block, "lines", ())
            yield getattr(block, "caption", "")
            if hasattr(block, "pairs"):
                yield from (text for pair in block.pairs for text in pair)
        for part in section.parts:
            yield from texts(part)

    for section in document.sections:
        for text in texts(section):
            shown = squeezed(text.replace("\u202e", "\ufffd"))
            assert shown in printed or len(shown) > 200, text  # a long one goes on behind the page's foot


def test_the_page_parses_loads_nothing_and_runs_nothing(contents):
    seen = Seen.of(contents["source"])
    assert not seen.open
    names = {tag for tag, _ in seen.tags}
    assert not names & {"script", "link", "iframe", "object", "form", "svg"}
    assert not any(name.startswith("on") for _, attributes in seen.tags for name in attributes)
    (policy,) = [a["content"] for tag, a in seen.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script" not in policy
    images = [attributes for tag, attributes in seen.tags if tag == "img"]
    assert len(images) >= 8 and all(image["alt"] for image in images)
    for image in images:
        kind, _, content = image["src"].partition(",")
        assert kind == "data:image/png;base64"
        assert Image.open(io.BytesIO(base64.b64decode(content))).width > 700
    assert all(a["href"].startswith("#") for _, a in seen.tags if "href" in a)
    assert "url(" not in contents["source"] and "@import" not in contents["source"]
    levels = [int(tag[1]) for tag, _ in seen.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1 and all(after - before <= 1 for before, after in pairwise(levels))


def test_nobody_is_named_and_hostile_names_are_shown_as_text(contents):
    for kind in ("html", "pdf", "source"):
        assert not [name for name in PATIENT if name in contents[kind]]
        assert "\u202e" not in contents[kind]
    assert not [name for name in PATIENT if name.encode() in contents["file"]]
    assert "<img src=x onerror" not in contents["source"] and "<b>y" not in contents["source"]
    for kind in ("html", "pdf"):
        assert squeezed("<img src=x onerror=alert(1)>") in squeezed(contents[kind])
        assert "x & <b>y.edf" in contents[kind]


def test_annotations_are_counted(contents):
    assert "eyes closed 2 0:05 4 s" in contents["html"]


def test_the_rhythm_and_the_facts_are_those_of_the_recording(contents):
    for kind in ("html", "pdf"):
        assert "10.0 Hz" in contents[kind] and "40 s, without a gap" in contents[kind]
        assert "200 samples per second" in contents[kind]
        assert "neurolm report x --model y" in contents[kind] and "no medical device" in contents[kind]


def test_the_print_is_a_file_with_title_language_and_bookmarks(contents, found):
    file = contents["file"]
    assert file.startswith(b"%PDF-1.") and len(file) < 5 << 20
    assert b"/Lang (en)" in file and b"/Outlines" in file and file.count(b"/Alt ") >= 8
    printed = pages(file)
    assert all(f"{number} / \n{len(printed)}" in page for number, page in enumerate(printed, start=1))
    assert all("x & <b>y.edf" in page.splitlines()[0] for page in printed[1:])
    assert all(letter in contents["pdf"] for letter in "µ–·²")


def test_time_is_counted_once_though_windows_overlap(found):
    answer = replace(
        found.answers[0], options=("a", "b"),
        timeline=tuple(
            WindowAnswer(start=2.0 * i, stop=2.0 * i + 4, probabilities=(0.9, 0.1) if i < 4 else (0.2, 0.8))
            for i in range(10)
        ),
    )  # fmt: skip
    first, second = shares(answer)
    # Windows begin every 2 s from 0 to 18 and last 4: the border between the fourth and the fifth is at 9 s of 22.
    assert (first.windows, second.windows) == (4, 6)
    assert first.seconds == pytest.approx(9) and second.seconds == pytest.approx(13)
    assert first.mean == pytest.approx((4 * 0.9 + 6 * 0.2) / 10)


def test_what_limits_answers_comes_first_the_worst_at_the_top(found):
    own = ("states change", "unlike the training data: all of it", "undecided: for a risk of 0.4")
    answers = tuple(replace(one, notes=(*own, "mains 50 Hz")) for one in found.answers)
    few = "the answer rests on 2 of the 4 electrodes"
    lines = warnings(replace(found, answers=answers, notes=("mains 50 Hz", few)))
    assert lines == (own[1], own[2], few, own[0])
    other = (replace(answers[0], notes=("unlike the training data: half",)), replace(answers[1], notes=()))
    assert warnings(replace(found, answers=other, notes=()))[0].endswith(": unlike the training data: half")


def test_undecided_guessed_and_uncalibrated_answers_are_seen_as_such(found):
    answer = found.answers[0]
    undecided = replace(answer, answer=UNDECIDED, calibrated=True, interval=(0.4, 0.6))
    assert asked(undecided, 40.0).verdict.startswith("undecided (likeliest: ")
    leading = [bar for bar in asked(undecided, 40.0).bars if bar.leading]
    assert [bar.interval for bar in leading] == [(0.4, 0.6)]
    assert all(bar.text.startswith("likelihood") for bar in asked(replace(answer, calibrated=False), 40.0).bars)
    guess = asked(replace(answer, trained=False), 40.0)
    assert guess.bars == () and "a guess" in guess.verdict


def test_lanes_hatch_what_is_undecided(found):
    answer = found.answers[0]
    sure = strip(replace(answer, timeline=tuple(replace(w, decided=True) for w in answer.timeline)), 40.0)
    unsure = strip(replace(answer, timeline=tuple(replace(w, decided=False) for w in answer.timeline)), 40.0)
    assert {c.get_hatch() for c in sure.axes[0].collections} == {None}
    assert None not in {c.get_hatch() for c in unsure.axes[0].collections}


def test_sleep_is_drawn_as_a_hypnogram_with_rem_above_n1(found):
    stages = ("Wake", "NREM-1", "NREM-2", "NREM-3", "REM")
    timeline = tuple(
        WindowAnswer(start=30.0 * i, stop=30.0 * i + 30, probabilities=tuple(np.eye(5)[i % 5] * 0.6 + 0.08))
        for i in range(20)
    )
    figure = over_time(replace(found.answers[0], options=stages, timeline=timeline), 600.0)
    top, bottom = figure.axes
    lanes = {label.get_text(): tick for label, tick in zip(top.get_yticklabels(), top.get_yticks(), strict=True)}
    assert sorted(lanes, key=lanes.get, reverse=True) == ["Wake", "REM", "NREM-1", "NREM-2", "NREM-3"]
    assert bottom.get_ylim() == (0, 1)


def test_a_file_is_what_its_suffix_says(model, file, tmp_path):
    assert (kind_of(Path("a.b.HTML")), kind_of(Path("b.PDF"))) == ("html", "pdf")
    with pytest.raises(ConfigError, match=r"\.html or \.pdf"):
        write_recording_report(model, file, tmp_path / "a.docx")
    with pytest.raises(QuestionError, match="not tuned"):
        write_recording_report(model, file, tmp_path / "c.html", questions=["Is it raining?"])
    with pytest.raises(RecordingError):
        write_recording_report(model, tmp_path / "none.edf", tmp_path / "c.html")
    assert not (tmp_path / "c.html").exists()


def test_the_command_writes_both_files_and_can_hide_annotations(evidence_run, file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [str(file), "--model", str(evidence_run), "--questions", "workload", "--risk", "0.3"]
    assert main(["report", *words, "--annotations", "hide"]) == 0
    names = ["x & <b>y.report.html", "x & <b>y.report.pdf"]
    assert capsys.readouterr().out.split("\n")[:2] == names
    assert Path(names[1]).read_bytes().startswith(b"%PDF")
    page = Seen.of(Path(names[0]).read_text()).text
    again = re.search(r"this report again (neurolm report .*?--risk 0\.3 --annotations hide)", page)[1]
    assert "--questions workload" in again and "x & <b>y.edf" in again and str(file.parent) not in page
    assert "eyes closed" not in page and "onerror" not in page
    assert _files(file, tmp_path) == [tmp_path / name for name in names]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["RUN", "--risk", "0.3"], "--risk: for the report of a recording"),
        (["RUN", "--unit", "mV"], "how recordings are read: for the report of a recording"),
        (["FILE", "--model", "RUN", "--store", "s"], "--store s: for the report of a run"),
        (["none.edf", "--model", "RUN"], "none.edf: no such file"),
        (["nowhere"], "nowhere: no such folder"),
        (["FILE", "--model", "RUN", "--out", "a.txt"], "a report is .html or .pdf"),
        ([], "RUN is missing"),
    ],
)
def test_what_cannot_be_reported_is_said_before_the_work(words, said, evidence_run, file, capsys):
    meant = {"RUN": str(evidence_run), "FILE": str(file)}
    assert main(["report", *(meant.get(word, word) for word in words)]) == 2
    assert said in capsys.readouterr().err
