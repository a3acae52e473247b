"""The report: pictures that show what they are given, one page that needs nothing else."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from itertools import combinations

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image
from rich.console import Console
from safetensors.numpy import save_file

from neurolm.ask.answer import Answer, WindowAnswer
from neurolm.batches.loader import sample_from
from neurolm.batches.text import TextTokenizer, shipped_text
from neurolm.checkpoint import Card, save_checkpoint
from neurolm.core.config import TokenizerConfig, TransformerConfig, to_json
from neurolm.core.errors import CheckpointError
from neurolm.core.montage import channel_id
from neurolm.core.recipes import recipe
from neurolm.core.table import Table, columns
from neurolm.evaluation.joined import Joined
from neurolm.evaluation.results import (
    BaselineResult,
    CurvePoint,
    Evaluation,
    Predictions,
    RobustnessCurve,
    TaskResult,
)
from neurolm.model.encoder import RealPatches
from neurolm.model.tokenizer import NeuralTokenizer, Reconstruction, targets
from neurolm.report import results_table, robustness_table, write_report
from neurolm.report.drawings import answers, style, tokenizer, training
from neurolm.report.page import render
from neurolm.report.reconstruction import code_counts, held_out
from neurolm.report.run_page import corpora, parameters
from neurolm.signals.decoded import Decoded, decode
from neurolm.store.encoding import encode
from neurolm.store.shards import write_store as write_rows
from neurolm.store.store import Label, Row, Store
from neurolm.tasks.metrics import Interval, score

SMALL = TokenizerConfig(
    encoder=TransformerConfig(layers=1, heads=2, width=16),
    decoder=TransformerConfig(layers=1, heads=2, width=16),
    codes=24,
    code_width=8,
    classifier_width=8,
)
ELECTRODES = ("C3", "C4")


def eeg(seconds: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 20, (200 * seconds, len(ELECTRODES))).cumsum(0) / 20


def write_store(folder, *, seconds: int = 40) -> Store:
    rows = []
    for number in range(3):
        counts, signal = encode(eeg(seconds, number))
        labels = (Label("workload", "Yes", 0.0, 20.0), Label("workload", "No", 20.0, 40.0))
        row = Row(
            recording=f"c/r{number}.edf", corpus="c", source=f"r{number}.edf", sha256="", subject=f"c/s{number}",
            channels=ELECTRODES, samples=200 * seconds, scale=signal.scale, clipped=0, mains=50.0, band=(0.1, 75.0),
            unit="uV", version="0", licence="CC0", labels=labels, notes=(), shard="", offset=0,
        )  # fmt: skip
        rows.append((row, counts))
    write_rows(folder, rows)
    return Store(folder)


def an_evaluation(seed: int = 0, *, options: tuple[str, ...] = ("Yes", "No"), subjects: int = 2) -> Evaluation:
    rng = np.random.default_rng(seed)
    labels = np.arange(60) % len(options)
    logits = rng.normal(size=(60, len(options)))
    logits[np.arange(60), labels] += 1.0
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    chance = np.full_like(probabilities, 1 / len(options))
    result = TaskResult(
        task="workload",
        question="Is <this> EEG of high workload?",
        options=options,
        subjects=subjects,
        scores=score(labels, probabilities, options=len(options)),
        interval=Interval(low=0.61, high=0.87),
        baseline=score(labels, chance, options=len(options)),
        baselines=(BaselineResult(name="band power", scores=score(labels, chance, options=len(options))),),
        chance=1 / len(options),
        predictions=Predictions(
            labels=tuple(int(v) for v in labels),
            probabilities=tuple(tuple(float(p) for p in row) for row in probabilities),
            subjects=("c/s1", "c/s2") * 30,
            recordings=("c/r1.edf", "c/r2.edf") * 30,
            starts=tuple(float(i) for i in range(60)),
        ),
    )
    return Evaluation(split="test", recipe="tiny", seed=seed, results=(result,))


ANSWER = Answer(
    recording="data/r2.edf",
    question="Is <this> EEG of high workload?",
    options=("Yes", "No"),
    answer="Yes",
    probability=0.7,
    probabilities=(0.7, 0.3),
    timeline=tuple(WindowAnswer(start=4.0 * i, stop=4.0 * i + 4, probabilities=(0.7, 0.3)) for i in range(10)),
    electrodes=ELECTRODES,
    trained=True,
    notes=("mains taken as 50 Hz",),
)


@pytest.fixture(scope="module")
def small_tokenizer() -> NeuralTokenizer:
    torch.manual_seed(0)
    tokenizer = NeuralTokenizer(SMALL).eval()
    tokenizer.quantizer.initialise(torch.randn(200, SMALL.code_width))
    return tokenizer


@pytest.fixture
def run(tmp_path, small_tokenizer):
    """A run that has its tokenizer and an evaluation, but no language model on disk."""
    folder = tmp_path / "mine"
    config = recipe("tiny")
    config = replace(config, model=replace(config.model, tokenizer=SMALL))
    text = TextTokenizer.train(shipped_text()[:1], 300)
    card = Card(version="9.9", stage="tokenizer", steps=4, run=config)
    save_checkpoint(folder / "tokenizer", card, small_tokenizer.state_dict(), text)
    rows = [{"step": s, "kind": "training", "raw": 1.0 / (s + 1), "loss": 2.0, "codes_used": 9.0} for s in range(4)]
    rows.append({"step": 4, "kind": "validation", "raw": 0.3, "codes_used": 11.0, "code_perplexity": 6.0})
    log = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "tokenizer" / "log.jsonl").write_text(log + '{"step": 5, "ki')  # cut off by a kill
    write_store(folder / "store")
    (folder / "evaluation.json").write_text(to_json(an_evaluation()))
    (folder / "answer.json").write_text(to_json(ANSWER))
    return folder


def pixels(figure) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(style.png(figure))).convert("RGB"))


def test_the_page_is_whole_and_needs_nothing_else(run, tmp_path):
    page = write_report(run, out=tmp_path / "report.html", generated="Answer: <b>Yes</b>").read_text(encoding="utf-8")
    for title in (
        "Answers on held-out",
        "A question about",
        "Free text",
        "Which answers",
        "Training",
        "Neural tokenizer",
    ):
        assert f"<h2>{title}" in page
    sources = re.findall(r"(?:src|href)='?\"?([^'\" >]+)", page)
    assert len(sources) == 7
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "http" not in re.sub(r"base64,[^']*", "", page)
    assert page.count("<figcaption>") == page.count("<img alt='") == 7
    assert "neurolm 9.9" in page and "c: 3 recordings of 3 subjects, 0.0 h; licence: CC0" in page
    assert "&lt;this&gt;" in page and "<this>" not in page and "&lt;b&gt;" in page


class Tags(HTMLParser):
    """The tags of a page, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


def test_what_a_run_says_of_itself_is_shown_as_text(run, tmp_path):
    """Splits, tasks, options, answers and file names of a run are anybody's text."""
    harmless = Tags(write_report(run, out=tmp_path / "a.html", generated="x").read_text(encoding="utf-8"))
    evil = "</title></p><script>alert(1)</script>'\"&amp;{{ 7 * 7 }}"
    evaluation, answer = an_evaluation(), replace(ANSWER, question=evil, answer=evil, notes=(evil,), recording=evil)
    result = replace(evaluation.results[0], task=evil)
    (run / "evaluation.json").write_text(to_json(replace(evaluation, split=evil, results=(result,))))
    (run / "answer.json").write_text(to_json(answer))
    page = write_report(run, out=tmp_path / "b.html", generated=evil).read_text(encoding="utf-8")
    found = Tags(page)
    assert found.tags == harmless.tags and "script" not in found.tags
    assert found.text.count(evil) >= 7


def test_the_same_run_gives_the_same_page(run, tmp_path):
    first = write_report(run, out=tmp_path / "a.html").read_bytes()
    assert write_report(run, out=tmp_path / "b.html").read_bytes() == first


def test_what_a_run_has_not_reached_is_left_out(run, tmp_path):
    for name in ("evaluation.json", "answer.json"):
        (run / name).unlink()
    page = write_report(run, out=tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<h2>Training" in page
    assert "<h2>Answers" not in page and "<h2>Which" not in page and "<h2>A question" not in page


def test_further_seeds_give_mean_and_deviation(run, tmp_path):
    (run / "seed-1").mkdir()
    (run / "seed-1" / "evaluation.json").write_text(to_json(an_evaluation(1)))
    accuracy = [an_evaluation(seed).results[0].scores.balanced_accuracy for seed in (0, 1)]
    page = write_report(run, out=tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"{np.mean(accuracy):.3f} ± {np.std(accuracy, ddof=1):.3f}" in page


def curves(worst: float) -> tuple[RobustnessCurve, ...]:
    points = tuple(
        CurvePoint(severity=text, balanced_accuracy=value, ece=0.1)
        for text, value in (("none", 0.9), ("common average", 0.7), ("-10", worst))
    )
    return tuple(
        RobustnessCurve(disturbance=name, unit=unit, windows=60, points=points)
        for name, unit in (("unknown electrodes", "% of the channels"), ("other reference", ""))
    )


def test_what_disturbances_do_is_drawn_and_tabled(run, tmp_path):
    first = an_evaluation().results[0]
    disturbed = replace(an_evaluation(), results=(replace(first, robustness=curves(0.345)),))
    (run / "evaluation.json").write_text(to_json(disturbed))
    page = write_report(run, out=tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<h2>Disturbed windows" in page and page.count("<img alt='") == 8 and "(workload 60)" in page
    drawn = [pixels(answers.robustness([replace(first, robustness=curves(worst))])) for worst in (0.3, 0.3, 0.6)]
    assert (drawn[0] == drawn[1]).all() and (drawn[0] != drawn[2]).any()
    console = Console(width=80, file=None, record=True, force_terminal=False)
    with console.capture() as captured:
        console.print(robustness_table(disturbed))
    shown = captured.get()
    assert "…" not in shown and shown.split().count("0.345") == 2
    assert "common" in shown and "% of the channels" in shown


def test_risk_against_coverage_shows_every_baseline_that_is_surer_of_some(run, tmp_path):
    first = an_evaluation().results[0]
    names = ("majority", "band power", "tangent space")
    beside = tuple(BaselineResult(name=name, scores=first.scores) for name in names)
    result = replace(first, baselines=(*beside, BaselineResult(name="linear probe", missing="no channels")))
    figure = answers.risk_coverage([result, replace(first, baselines=beside[:2])])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["neurolm", *names[1:]]
    drawn, fewer = (axes.get_lines() for axes in figure.axes)
    assert (len(drawn), len(fewer)) == (3, 2)
    assert all(tuple(line.get_ydata()) == first.scores.selective_risk for line in drawn)
    assert drawn[0].get_color() == fewer[0].get_color()


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no run here"):
        write_report(tmp_path, out=tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_table_shows_ours_beside_baseline_and_guessing():
    console = Console(width=80, file=None, record=True, force_terminal=False)
    with console.capture() as captured:
        console.print(results_table(an_evaluation()))
    scores = an_evaluation().results[0].scores
    lines = [line.split() for line in captured.get().splitlines()]
    ours, baseline, guess = (next(line for line in lines if name in line) for name in ("neurolm", "band", "guessing"))
    assert ours[3:] == [
        "0.61–0.87",
        *(f"{v:.3f}" for v in (scores.auroc, scores.kappa, scores.weighted_f1, scores.ece)),
    ]
    assert baseline[:5] == ["60", "windows", "band", "power", "0.500"]  # the worse of the two
    assert guess == ["2", "subjects", "guessing", "0.500", "0.500", "0.000", "–", "–"]
    assert max(len(line.rstrip()) for line in captured.get().splitlines()) <= 80
    assert "…" not in captured.get()


def test_of_several_options_auroc_is_the_mean_over_classes():
    console = Console(width=80)
    with console.capture() as captured:
        console.print(results_table(an_evaluation(options=("a", "b", "c"))))
    ours = next(line.split() for line in captured.get().splitlines() if "neurolm" in line)
    assert ours[4] == f"{an_evaluation(options=('a', 'b', 'c')).results[0].scores.auroc:.3f}"


def test_html_tables_escape_and_mark_numbers():
    shown = Table(
        columns=columns("<task>") + columns("n", form="d"), groups=[[("<a>", 1), ("b", 2)]], notes=["<n>"], lead="<a>"
    )
    joined = Joined(split="test", recipe="tiny", wording="own", runs=("<run>",), tasks=())
    tasks = [{"answers": replace(shown, title="<title>"), "differences": None, "folds": None}]
    figure = training.loss_curves({"language": []})
    text = render(
        "joined.html", joined=joined, tasks=tasks, others=None, sources=(), confusion=figure, reliability=figure
    )
    assert "<td>&lt;a&gt;</td><td class=number>1</td>" in text
    assert text.count("class=first") == 1
    for name in ("a", "n", "run", "task"):
        assert f"&lt;{name}&gt;" in text and f"<{name}>" not in text
    assert "<h2>&lt;title&gt;</h2>" in text


def test_reliability_bins_are_those_of_the_calibration_error():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet((1, 1, 1), 500)
    labels = rng.integers(0, 3, 500)
    right = probabilities.argmax(1) == labels
    confidence, accuracy, count = answers.reliability_bins(probabilities.max(1), right)
    error = (np.abs(confidence - accuracy) * count).sum() / 500
    assert error == pytest.approx(score(labels, probabilities, options=3).ece)
    assert count.sum() == 500


def test_smoothing_keeps_length_level_and_reduces_noise():
    noisy = 3 + np.random.default_rng(0).normal(size=500)
    smoothed = training.smooth(noisy)
    assert len(smoothed) == 500
    assert smoothed.std() < 0.5 * noisy.std()
    assert np.allclose(training.smooth(np.full(100, 2.0)), 2.0)


def test_pictures_have_the_width_of_the_page_and_stable_bytes():
    logs = {"pretrain": [{"step": s, "kind": "training", "eeg": 1.0, "loss": 1.0} for s in range(3)]}
    first, second = (training.loss_curves(logs) for _ in range(2))
    assert style.png(first) == style.png(second)
    assert pixels(first).shape[1] == round(style.WIDTH * style.DPI)


def test_loss_curves_draw_losses_only():
    rows = [
        {"step": 0, "kind": "training", "loss": 3.0, "answer": 2.0, "lr": 1e-3, "gradient_norm": 1.0},
        {"step": 1, "kind": "training", "loss": 2.0, "answer": 1.0, "lr": 1e-3, "gradient_norm": 1.0},
        {"step": 2, "kind": "validation", "sleep/nll": 0.5, "sleep/balanced_accuracy": 0.9, "text": float("nan")},
    ]
    (axes,) = training.loss_curves({"instruct": rows}).axes
    drawn = {line.get_label(): line.get_ydata().tolist() for line in axes.get_lines()}
    assert drawn == {"answer": [2.0, 1.0], "sleep": [0.5]}


def test_codebook_shows_shares_from_the_most_frequent_on():
    figure = tokenizer.codebook([{"step": 1, "kind": "validation", "codes_used": 2.0}], np.array([1, 0, 3]))
    heights = [bar.get_height() for bar in figure.axes[1].patches]
    assert heights == pytest.approx([75, 25, 0])


def test_confusion_matrix_shows_shares_of_the_label():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.1, 0.9]])
    task = answers.Answers(title="t", options=("a", "b"), labels=np.zeros(4, int), probabilities=probabilities)
    figure = answers.confusion_matrices([task])
    assert [text.get_text() for text in figure.axes[0].texts] == ["75 %\n3", "25 %\n1", "0 %\n0", "0 %\n0"]


def test_answers_of_several_runs_are_counted_together_as_the_scores_count_them():
    results = [an_evaluation(seed, options=("a", "b", "c")).results[0] for seed in (0, 1)]
    counts = [np.array(result.scores.confusion) for result in results]
    alone, both = answers.Answers.of(results[:1]), answers.Answers.of(results)
    assert np.array_equal(alone.counts, counts[0]) and np.array_equal(both.counts, counts[0] + counts[1])
    assert (alone.error, both.error) == (results[0].scores.ece, None)


def test_long_names_of_tasks_and_options_do_not_overlap():
    options = ("Wake of the evening", "Light sleep N1", "Light sleep N2", "Deep sleep N3", "REM sleep")
    result = replace(an_evaluation(options=options).results[0], task="sleep_stages_of_a_very_long_night " * 2)
    found = [answers.Answers.of([result])] * 3
    for figure in (answers.confusion_matrices(found), answers.reliability_diagrams(found)):
        FigureCanvasAgg(figure).draw()
        titles = [text for axes in figure.axes for text in axes.get_children() if isinstance(text, Text)]
        labels = [label for axes in figure.axes for label in axes.get_yticklabels()]
        boxes = [text.get_window_extent() for text in (*titles, *labels) if text.get_text()]
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
        assert all(figure.bbox.fully_containsy(box.y1) and figure.bbox.fully_containsx(box.x0) for box in boxes)


def test_names_with_dollars_are_drawn_as_they_are():
    result = replace(an_evaluation(options=(r"$\frac{b$", "c", "d")).results[0], task=r"$\frac{a$")
    figure = answers.confusion_matrices([answers.Answers.of([result])])
    assert pixels(figure).std() > 0
    assert figure.axes[0].get_title(loc="left") == result.task


def test_timeline_stacks_probabilities_to_one_and_shows_the_truth():
    starts = np.arange(0, 20, 2.0)
    probabilities = np.column_stack((np.linspace(0.9, 0.1, 10), np.linspace(0.1, 0.9, 10)))
    windows = tuple(
        WindowAnswer(start=start, stop=start + 4, probabilities=tuple(row))
        for start, row in zip(starts, probabilities, strict=True)
    )
    truth = (Label("workload", "Yes", 0, 10), Label("workload", "No", 10, 22))
    figure = answers.timeline(replace(ANSWER, timeline=windows), truth)
    label, main = figure.axes
    assert [patch.get_width() for patch in label.patches] == [10, 12]
    lower, upper = (collection.get_datalim(main.transData) for collection in main.collections)
    assert (lower.y0, lower.y1) == pytest.approx((0, 0.9))
    assert (upper.y0, upper.y1) == pytest.approx((0.1, 1))
    assert main.get_xlim() == (0, 22)
    parted = answers.timeline(replace(ANSWER, timeline=windows[:4] + windows[7:])).axes[0].collections
    assert [collection.get_datalim(main.transData).x1 for collection in parted] == pytest.approx([10, 10, 22, 22])
    single = answers.timeline(replace(ANSWER, timeline=windows[:1]))
    assert len(single.axes) == 1 and pixels(single).std() > 0


def test_traces_keep_the_shape_of_the_eeg():
    raw = eeg(6, 0)
    spectrum = np.linspace(10, 1, 100)
    decoded = Decoded(raw=raw, waveform=0.5 * raw, spectrum=spectrum, decoded_spectrum=0.5 * spectrum)
    figure = tokenizer.reconstruction(decoded, ELECTRODES)
    lines = figure.axes[0].get_lines()
    assert len(lines) == 4 and len(lines[0].get_xdata()) == 5 * 200
    assert np.corrcoef(lines[0].get_ydata(), raw[:1000, 0])[0, 1] == pytest.approx(1)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == list(ELECTRODES)


@pytest.mark.parametrize("kind", ["amplitude", "log"])
def test_decoding_exact_targets_gives_the_eeg_back(small_tokenizer, monkeypatch, kind):
    monkeypatch.setattr(small_tokenizer, "config", replace(small_tokenizer.config, spectrum=kind))
    signal = eeg(5, 3)
    sample = sample_from(signal, [channel_id(name) for name in ELECTRODES])

    def exact(quantized, patches):
        real = RealPatches.of(patches)
        spectrum, waveform = targets(real.take(patches.samples), real, log=kind == "log")
        return Reconstruction(spectrum=spectrum[None], waveform=waveform[None])

    monkeypatch.setattr(small_tokenizer, "decode", exact)
    decoded = decode(small_tokenizer, sample)
    assert np.allclose(decoded.raw, signal, atol=1e-4)
    assert np.allclose(decoded.waveform, signal, atol=1e-3)
    assert np.allclose(decoded.decoded_spectrum, decoded.spectrum, atol=1e-3)
    sine = np.sin(2 * np.pi * 10 * np.arange(400) / 200)[:, None] * 30
    monkeypatch.undo()
    assert decode(small_tokenizer, sample_from(sine, [channel_id("C3")])).spectrum[10] == pytest.approx(30, rel=1e-4)


def test_codes_are_counted_once_per_patch(small_tokenizer, tmp_path):
    store = write_store(tmp_path / "store")
    samples = held_out(store, {"c/r1.edf", "c/r2.edf"}, (12, 64), most=5)
    expected = [("c/r1.edf", 6), ("c/r1.edf", 24), ("c/r2.edf", 0), ("c/r2.edf", 12), ("c/r2.edf", 30)]
    assert [s.source for s in samples] == [f"{name}@{start}s" for name, start in expected]
    counts = code_counts(small_tokenizer, samples, batch=2)
    assert counts.shape == (SMALL.codes,)
    assert counts.sum() == sum(len(s.second) for s in samples)
    assert np.array_equal(counts, sum(code_counts(small_tokenizer, [s]) for s in samples))


def test_parameters_are_counted_from_the_file(tmp_path):
    weights = {"tokenizer.a": np.zeros((2, 3), np.float32), "head": np.zeros((1000, 4), np.float32)}
    save_file(weights, tmp_path / "model.safetensors")
    assert parameters(tmp_path / "model.safetensors") == "4,006, of which 6 in the frozen neural tokenizer"


def test_corpora_are_described_by_their_rows(tmp_path):
    assert corpora(write_store(tmp_path, seconds=1200)) == ["c: 3 recordings of 3 subjects, 1.0 h; licence: CC0"]
