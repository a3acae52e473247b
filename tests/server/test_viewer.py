"""The viewer by itself, in a browser: what its canvases show of EEG and answers that are known."""

import http.server
import itertools
import json
import re
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import numpy as np
import pytest
from playwright.sync_api import Page

import neurolm

VIEWER = Path(neurolm.__file__).parent / "server" / "page" / "viewer"
DEMO = Path(__file__).parent / "viewer"
CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'"
MM = 96 / 25.4


class _Files(http.server.BaseHTTPRequestHandler):
    """The demo page and the viewer's modules, under the content security policy of the service."""

    protocol_version = "HTTP/1.1"
    kinds = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}  # noqa: RUF012

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        file = VIEWER / path.removeprefix("/viewer/") if path.startswith("/viewer/") else DEMO / path.lstrip("/")
        found = file.is_file()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", self.kinds.get(file.suffix, "text/plain"))
        content = file.read_bytes() if found else b""
        self.send_header("Content-Security-Policy", CSP)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128  # a browser asks for all modules at once; with the usual five, connections get lost
    daemon_threads = True


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = _Server(("127.0.0.1", 0), _Files)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def modules(new_page: Callable[..., Page], address: str) -> Page:
    """A page without views, to call functions of the modules."""
    page = new_page()
    page.goto(f"{address}/demo.css")
    return page


@pytest.fixture
def demo(new_page: Callable[..., Page], address: str) -> Callable[..., Page]:
    """Opens the demo page; arguments as its address takes them. Ready when the first page of EEG is drawn."""

    def opened(*, how: dict | None = None, **arguments: object) -> Page:
        page = new_page(viewport={"width": 1024, "height": 768}, **(how or {}))
        page.goto(f"{address}/index.html?{urlencode(arguments)}")
        drawn(page)
        return page

    return opened


def drawn(page: Page) -> None:
    """Waits until all that is seen is drawn as it now should be."""
    page.evaluate("""() => new Promise((done) => {
        const look = ({ detail }) => { if (detail.complete) { view.removeEventListener("drawn", look); done(); } };
        view.addEventListener("drawn", look);
        view.surface.redraw();
    })""")


def until(page: Page, condition: str) -> None:
    """Waits until an expression is true; Playwright's own way to do so is not allowed by the policy of the page."""
    end = time.monotonic() + 20
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"never came true: {condition}"
        time.sleep(0.02)


def darkness(page: Page, x: float, top: float, bottom: float) -> np.ndarray:
    """How dark the pixels of a column of the traces are, 0 (white) … 255, from top to bottom."""
    ask = "([x, y, height]) => [...view.surface.context.getImageData(x, y, 1, height).data]"
    pixels = page.evaluate(ask, [round(x), round(top), round(bottom) - round(top)])
    return 255 - np.array(pixels, dtype=int).reshape(-1, 4)[:, :3].mean(axis=1)


def events(page: Page, view: str, name: str) -> None:
    """Keeps the details of a view's events in `seen`."""
    page.evaluate(f"() => {{ globalThis.seen = []; {view}.addEventListener('{name}', (e) => seen.push(e.detail)); }}")


def encode(head: dict, values: np.ndarray) -> bytes:
    text = json.dumps(head, ensure_ascii=False).encode()
    text += b" " * (-(8 + len(text)) % 4)
    return b"NLT1" + struct.pack("<I", len(text)) + text + values.astype("<i2").tobytes()


@pytest.mark.parametrize("kind", ["samples", "minmax"])
def test_a_page_is_decoded_to_the_numbers_that_were_sent(modules, kind):
    random = np.random.default_rng(3)
    values = random.integers(-32768, 32768, size=(3, 7, *((2,) if kind == "minmax" else ())))
    head = {
        "start": 2.5,
        "seconds": 3.5,
        "columns": 7,
        "kind": kind,
        "channels": ["Fp1", "é µ", "Cz"],
        "scale": [1, 2, 0.5],
    }
    got = modules.evaluate(
        """async (bytes) => { const { decodePage } = await import("/viewer/decode.js");
           const page = decodePage(new Uint8Array(bytes).buffer); return { ...page, values: [...page.values] }; }""",
        list(encode(head, values)),
    )
    assert got == {**head, "values": values.ravel().tolist()}


def test_bytes_that_are_no_page_are_refused(modules):
    head = {"start": 0, "seconds": 1, "columns": 4, "kind": "samples", "channels": ["Cz"], "scale": [1]}
    whole = encode(head, np.arange(4))
    for spoilt, why in (
        (b"XXXX" + whole[4:], "do not begin with NLT1"),
        (b"", "do not begin with NLT1"),
        (whole[:20], "breaks off in its head: 20 bytes"),
        (whole[:-2], "6 bytes of samples; its head promises 8"),
        (whole + b"\0\0", "10 bytes of samples; its head promises 8"),
    ):
        said = modules.evaluate(
            """async (bytes) => { const { decodePage } = await import("/viewer/decode.js");
               try { decodePage(new Uint8Array(bytes).buffer); } catch (error) { return error.message; } }""",
            list(spoilt),
        )
        assert why in said


def test_a_square_wave_is_drawn_as_high_as_its_microvolts_and_negative_up(demo):
    """±50 µV, a second each: at 10 µV/mm five millimetres from the baseline, first downwards since it is positive."""
    page = demo(square=1)
    page.evaluate("view.sensitivity = 10")
    drawn(page)
    for up in (True, False):
        page.evaluate(f"view.negativeUp = {str(up).lower()}")
        drawn(page)
        baseline = page.evaluate("view.rows[9].y")
        for second, value in ((4.3, 50), (7.4, -50)):
            x = page.evaluate(f"view.frame.x({second})")
            column = darkness(page, x, baseline - 40, baseline + 40)
            expected = 40 + (value if up else -value) / 10 * MM
            near = slice(round(expected) - 3, round(expected) + 4)
            assert column[near].max() > 120, (up, second)
            at = np.average(np.arange(80)[near], weights=column[near] - column[near].min() + 1e-9)
            assert abs(at - expected) < 1.2, (up, second)


def test_keys_move_by_seconds_and_pages_and_stay_in_the_recording(demo):
    page = demo()
    page.focus("#traces canvas")
    for key, start in (
        ("ArrowRight", 1), ("PageDown", 11), (" ", 21), ("Shift+ ", 11), ("ArrowLeft", 10), ("PageUp", 0),
        ("PageUp", 0), ("End", 3590), ("ArrowRight", 3590), ("Home", 0),
    ):  # fmt: skip
        page.keyboard.press(key)
        assert page.evaluate("view.start") == start, key
    page.evaluate("view.goTo(1e9)")
    assert page.evaluate("view.start") == 3590
    page.evaluate("view.pageSeconds = 30")
    assert page.evaluate("view.start") == 3570


def test_sensitivity_goes_by_the_clinical_steps(demo):
    page = demo()
    page.focus("#traces canvas")
    events(page, "view", "sensitivity")
    steps = [5, 3, 2, 1]
    for _ in range(5):
        page.keyboard.press("ArrowUp")
    assert [one["sensitivity"] for one in page.evaluate("seen")] == steps
    for _ in range(12):
        page.keyboard.press("ArrowDown")
    assert page.evaluate("view.sensitivity") == 150
    page.mouse.move(400, 200)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -120)
    page.keyboard.up("Control")
    assert page.evaluate("view.sensitivity") == 100


def test_a_recording_opens_at_a_step_at_which_its_traces_keep_apart(modules):
    first = modules.evaluate("""async (all) => {
        const { firstSensitivity } = await import("/viewer/scales.js");
        return all.map(([amplitude, row]) => firstSensitivity(amplitude, row));
    }""", [[None, 8], [0, 8], [11.5, 8], [30, 8], [31, 100], [397, 75.6], [397, 7.56], [1e6, 8]])  # fmt: skip
    assert first == [7, 7, 7, 7, 7, 50, 500, 2000]  # 397 µV within 1 mm of 7.56 pixels, which are 2 mm


def test_an_ecg_is_drawn_smaller_and_its_own_sensitivity_is_used(demo):
    """±50 µV at 50 µV/mm: a tenth of a millimetre for a channel of kind ECG, where EEG has one."""
    page = demo(square=1, ecg="F8")
    page.evaluate("view.sensitivity = 50")
    drawn(page)
    x = page.evaluate("view.frame.x(6.4)")
    for name, millimetres in (("F8", 0.1), ("T4", 1)):
        baseline = page.evaluate("(name) => view.rows.find((row) => row.name === name).y", name)
        column = darkness(page, x, baseline - 8, baseline + 8)
        at = np.average(round(baseline) - 8 + np.arange(16) + 0.5, weights=column - column.min() + 1e-9)
        assert abs(at - baseline - millimetres * MM) < 0.8, name


def test_an_ecg_has_room_to_say_its_sensitivity_however_dense_the_rows(modules):
    rows = modules.evaluate("""async () => {
      const { layRows } = await import("/viewer/frame.js");
      const names = [...Array(64).keys()].map((i) => ({ name: `E${2 * i + 1}`, kind: "eeg" }));
      return layRows([...names, { name: "ECG", kind: "ecg" }, { name: "A2-A1", kind: "misc" }], 0, 500).rows;
    }""")
    assert rows[65]["y"] - rows[64]["y"] >= 16 and rows[-1]["y"] <= 500
    assert np.ptp(np.diff([row["y"] for row in rows[:64]])) < 1e-9


@pytest.mark.parametrize(
    ("names", "apart"),
    [
        ("Fp1-F7 F7-T3 T3-T5 T5-O1 Fp1-F3 F3-C3 Fz-Cz Cz-Pz Fp2-F4 F4-C4 Fp2-F8 F8-T4", [4, 6, 8, 10]),
        ("Fp1-Fp2 F7-F3 F3-Fz Fz-F4 F4-F8 T3-C3 C3-Cz Cz-C4", [1, 5]),  # front, then central
        ("Fp1-avg F3-avg Fp2-avg F4-avg Fz-avg Cz-avg", [2, 4]),
        ("Fp1 F3 Fp2 F4 Fz Cz", [2, 4]),
    ],
)
def test_chains_of_bipolar_montages_stand_apart_and_else_the_sides(modules, names, apart):
    heights = modules.evaluate(
        """async (names) => {
          const { layRows } = await import("/viewer/frame.js");
          return layRows(names.map((name) => ({ name, kind: "eeg" })), 0, 500).rows.map((row) => row.y);
        }""",
        names.split(),
    )
    steps = np.diff(heights)
    assert [i + 1 for i in np.flatnonzero(steps > 1.2 * steps.min())] == apart


def test_the_scale_bar_hides_no_eeg(demo):
    """Below, at the right of the last row, the trace is as dark as in the middle of its page."""
    page = demo(square=1)
    page.evaluate("view.sensitivity = 10")
    drawn(page)
    baseline = page.evaluate("view.rows.at(-1).y")
    for second in (4.3, 9.3):  # the square wave is positive in even seconds
        x = page.evaluate(f"view.frame.x({second})")
        column = darkness(page, x, baseline - 40, baseline + 40)
        assert column.max() > 120, second


def test_speed_is_the_plots_width_in_millimetres_a_second(demo):
    page = demo()
    width = page.evaluate("view.frame.right - view.frame.left")
    assert page.evaluate("view.speed") == pytest.approx(width / MM / 10)
    page.evaluate("view.speed = 30")
    assert page.evaluate("view.pageSeconds") == pytest.approx(width / MM / 30)


def test_drag_and_wheel_pan(demo):
    page = demo()
    page.evaluate("view.goTo(20)")
    scale = page.evaluate("view.plotWidth / view.pageSeconds")
    page.mouse.move(500, 200)
    page.mouse.down()
    page.mouse.move(300, 210, steps=4)
    page.mouse.up()
    assert page.evaluate("view.start") == pytest.approx(20 + 200 / scale, abs=0.02)
    page.mouse.wheel(0, 100)
    until(page, f"Math.abs(view.start - {21 + 200 / scale}) < 0.05")


def test_an_annotation_is_found_under_its_name_and_by_keys(demo):
    page = demo()
    events(page, "view", "annotation")
    box = page.evaluate("view.marks.drawn.find((one) => one.mark.annotation.text === 'eyes closed')")
    page.click("#traces canvas", position={"x": box["x"] + 30, "y": box["y"] + 8})
    assert [one["annotation"]["text"] for one in page.evaluate("seen")] == ["eyes closed"]
    page.keyboard.press("Escape")
    page.keyboard.press("]")
    page.keyboard.press("]")
    page.keyboard.press("[")
    names = page.evaluate("seen.map(({ annotation }) => annotation.text)")
    assert names[1:] == ["eyes closed", "BAD movement", "eyes closed"]
    for _ in range(5):
        page.keyboard.press("]")
    assert page.evaluate("view.start <= 60 && 60 < view.start + 10")
    assert "selected: seizure? at 0:01:00" in page.get_attribute("#traces canvas", "aria-label")


def test_names_of_annotations_do_not_cover_each_other(demo):
    page = demo()
    boxes = page.evaluate("view.marks.drawn.filter((one) => !one.line).map((b) => [b.x, b.y, b.width, b.height])")
    assert len(boxes) == 5
    for (x, y, width, height), (left, top, wide, high) in itertools.combinations(boxes, 2):
        assert x >= left + wide or left >= x + width or y >= top + high or top >= y + height


def test_the_reading_says_channel_time_and_microvolts_of_the_source(demo):
    page = demo()
    read = """async ([channel, sample]) => {
        const { microvoltsAt } = await import("/synthetic.js");
        const reading = view.at(view.frame.x(sample / 200) + 0.01, view.rows[channel].y);
        return [reading.row.name, reading.value[0], microvoltsAt(channel, sample, 200), reading.text]; }"""
    for channel, sample in ((0, 333), (7, 1200), (18, 1801)):
        name, value, truth, text = page.evaluate(read, [channel, sample])
        assert value == pytest.approx(truth, abs=0.06)
        assert name in text and "µV" in text and f"0:00:0{sample / 200:.2f}" in text


def test_bad_channels_and_what_is_seen_stand_in_the_text(demo):
    label = demo().get_attribute("#traces canvas", "aria-label")
    assert label.startswith("EEG traces 0:00:00 to 0:00:10 of 1:00:00; 19 channels, 7 µV/mm, negative up; bad: C3;")
    assert "<b>not bold</b>" in label and "‮" not in label


def test_a_gap_is_hatched_and_said(demo):
    page = demo()
    page.evaluate("view.goTo(90)")
    drawn(page)
    x = page.evaluate("view.frame.x(98)")
    before, within = (darkness(page, at, 100, 400) for at in (x - 300, x))
    assert (within > 60).sum() > 0 and abs(np.diff(np.flatnonzero(within > 60))).max() < 80
    assert not np.array_equal(before, within)
    reading = page.evaluate("view.at(view.frame.x(98), 200)")
    assert reading["value"] is None and reading["text"].endswith("no data")


def test_neighbours_are_fetched_and_requests_that_nobody_wants_are_aborted(demo):
    page = demo(slow=100)
    until(page, "source.asked.some(({ start }) => start === 20)")
    page.evaluate("""async () => {
        source.aborted = 0;
        view.goTo(1000);
        for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame);
        view.goTo(2000); }""")
    drawn(page)
    assert page.evaluate("source.aborted") >= 1
    assert page.evaluate("[view.tiles.kept.has(200), view.tiles.kept.has(102)]") == [True, False]


def test_a_source_that_fails_is_said_and_asked_again(demo):
    page = demo()
    events(page, "view", "failed")
    page.evaluate("""() => { const good = view.source.traces; let fails = 5;
        view.source.traces = (request) => fails-- > 0 ? Promise.reject(new Error("busy")) : good(request);
        view.tiles.source = view.source; view.tiles.retry = 50; view.goTo(500); }""")
    until(page, "seen.length > 0")
    assert page.evaluate("seen[0].message") == "busy"
    drawn(page)


def test_another_montage_brings_its_own_rows(demo):
    page = demo()
    page.evaluate("""() => {
        const { traces } = view.source;
        const channels = Array.from({ length: 19 }, (_, i) => (i ? `X${i}-C3` : "Fp1-F7"));
        view.source.traces = async (request) => ({ ...(await traces(request)), channels });
        view.goTo(30);
        view.reload(); }""")
    drawn(page)
    until(page, "view.rows[0].name === 'Fp1-F7'")
    assert page.evaluate("view.start") == 30
    assert page.evaluate("view.rows.map(({ bad }) => Boolean(bad))") == [False] + 18 * [True]  # C3 is bad


def test_the_overview_seeks_by_pointer_and_keys(demo):
    page = demo()
    events(page, "overview", "seek")
    box = page.locator("#overview canvas").bounding_box()
    frame = page.evaluate("({ left: overview.frame.left, right: overview.frame.right })")
    page.mouse.click(box["x"] + (frame["left"] + frame["right"]) / 2, box["y"] + 20)
    assert page.evaluate("view.start") == pytest.approx(1795, abs=4)
    page.focus("#overview canvas")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    assert page.evaluate("seen.slice(1).map(({ start }) => start)") == [0, 10, 110]
    assert page.get_attribute("#overview canvas", "aria-valuetext") == "0:01:50 to 0:02:00 of 1:00:00"


def test_sleep_is_drawn_in_the_order_of_a_hypnogram(modules):
    order = modules.evaluate("""async () => {
        const { Answers } = await import("/viewer/answers.js");
        const options = ["NREM-1", "NREM-2", "NREM-3", "REM", "Wake"];
        const answers = new Answers({ options, kind: "sleep", seconds: 60, length: 30 });
        return answers.order.map((i) => options[i]); }""")
    assert order == ["Wake", "REM", "NREM-1", "NREM-2", "NREM-3"]
    labels = ["W", "Stage 2", "NREM 3", "N1", "Sleep stage R", "R", "non-REM 1", "reminder", "S4"]
    call = "async (labels) => labels.map((await import('/viewer/answers.js')).stageOf)"
    assert modules.evaluate(call, labels) == ["wake", "n2", "n3", "n1", "rem", "rem", "n1", None, "n4"]


def test_a_click_on_an_answer_seeks_and_selects_its_window(demo):
    page = demo(kind="yes_no", whole=1)
    events(page, "bands", "select")
    box = page.locator("#bands canvas[role=application]").bounding_box()
    x = page.evaluate("bands.frame.x(1201)")
    page.mouse.click(box["x"] + x, box["y"] + 30)
    chosen = page.evaluate("seen[0]")
    assert abs((chosen["window"]["start"] + chosen["window"]["stop"]) / 2 - 1201) < 5  # a pixel has 3.9 s
    assert chosen["window"] == page.evaluate(f"bands.answers.window({chosen['index']})")
    assert page.evaluate("view.highlight.start") == chosen["window"]["start"]
    assert abs(page.evaluate("view.start") - (chosen["window"]["start"] - 2.5)) < 1e-6


def test_keys_go_from_answer_to_answer(demo):
    page = demo(kind="events")
    events(page, "bands", "move")
    page.evaluate("globalThis.chosen = []; bands.addEventListener('select', (e) => chosen.push(e.detail.index))")
    page.focus("#bands canvas[role=application]")
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "End", "ArrowRight", "Home", "Enter"):
        page.keyboard.press(key)
    assert page.evaluate("seen.map(({ index }) => index)") == [0, 1, 0, 719, 719, 0]
    assert page.evaluate("chosen") == [0]
    assert "selected window 0:00:00 – 0:00:05" in page.get_attribute("#bands canvas[role=application]", "aria-label")


def test_answers_that_share_pixels_are_put_together_and_none_is_lost(modules):
    """A night of 4-s windows every 2 s on a thousand pixels: means are means, and one spike among them stays a mark."""
    found = modules.evaluate("""async () => {
        const { Answers } = await import("/viewer/answers.js");
        const answers = new Answers({ options: ["background", "spike"], kind: "events", seconds: 28800, length: 4 });
        const one = (i) => ({ start: 2 * i, stop: 2 * i + 4, probabilities: i === 7001 ? [0.1, 0.9] : [0.8, 0.2] });
        const windows = Array.from({ length: 14399 }, (_, i) => one(i));
        for (let i = 0; i < windows.length; i += 59) answers.add(windows.slice(i, i + 59));
        const began = performance.now();
        const slices = answers.slices(0, 28800, 1000 / 28800);
        const took = performance.now() - began;
        const marks = slices.filter(({ votes }) => votes[1]);
        return { took, count: slices.length, windows: slices.reduce((sum, one) => sum + one.count, 0),
            marks: marks.map((one) => [one.from <= 14004 && 14004 <= one.to, one.most[1], one.chances[1], one.count]) };
    }""")
    assert found["windows"] == 14399 and 990 <= found["count"] <= 1001
    [[there, most, mean, count]] = found["marks"]
    assert there and most == pytest.approx(0.9) and mean == pytest.approx((0.9 + 0.2 * (count - 1)) / count)
    assert found["took"] < 500


def test_windows_are_parted_halfway_and_gaps_stay_open(modules):
    parts = modules.evaluate("""async () => {
        const { Answers } = await import("/viewer/answers.js");
        const answers = new Answers({ options: ["Yes", "No"], kind: "yes_no", seconds: 60, length: 4 });
        const spans = [[0, 4], [2, 6], [4, 8], [20, 24]];
        answers.add(spans.map(([start, stop]) => ({ start, stop, probabilities: [0.6, 0.4] })));
        const found = [0.5, 3.2, 7.9, 10, 20, 24].map((second) => answers.at(second));
        return [spans.map((_, i) => [answers.from(i), answers.to(i)]), found]; }""")
    assert parts == [[[0, 3], [3, 5], [5, 8], [20, 24]], [0, 1, 2, None, 3, None]]


def test_undecided_and_unlike_are_said_in_the_legend_and_drawn_otherwise(demo):
    page = demo(kind="yes_no")
    page.evaluate("""() => {
        globalThis.one = { start: 0, stop: 5, probabilities: [0.7, 0.3], decided: true, unlike: false };
        globalThis.question = { options: ["Yes", "No"], kind: "yes_no", seconds: 3600, length: 5,
            name: "<i>Tired</i>?" };
        bands.begin(question);
        bands.setRange(0, 10);
        bands.add([one, { ...one, start: 5, stop: 10 }]);
        bands.finish(); }""")
    legend = page.locator("#bands li:visible")
    assert legend.all_inner_texts() == ["<i>Tired</i>?", "Yes · 100 %", "No · 0 %"]
    page.evaluate("""() => {
        bands.begin({ ...question, name: "" });
        bands.add([one, { ...one, start: 5, stop: 10, decided: false, unlike: true }]); bands.finish(); }""")
    assert legend.all_inner_texts() == ["Yes · 100 %", "No · 0 %", "undecided · 50 %", "unlike the training · 50 %"]
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    colours = page.evaluate("""() => [2.5, 7.4].map((second) => { const { data } = bands.surface.context.getImageData(
        Math.round(bands.frame.x(second)) - 10, 8, 20, 60); return new Set(new Uint32Array(data.buffer)).size; })""")
    assert colours[1] > colours[0]  # hatched: more shades than a plain field


def test_a_minority_of_undecided_windows_stays_visible_in_a_whole_night(modules):
    """One window of twelve that share a pixel: its share is kept, though the pixel's answer is decided."""
    shares = modules.evaluate("""async () => {
        const { Answers } = await import("/viewer/answers.js");
        const answers = new Answers({ options: ["Yes", "No"], kind: "yes_no", seconds: 60, length: 5 });
        const spoken = { probabilities: [0.6, 0.4] };
        const one = (i) => ({ ...spoken, start: 5 * i, stop: 5 * i + 5, decided: i !== 4, unlike: i > 8 });
        answers.add(Array.from({ length: 12 }, (_, i) => one(i)));
        const [slice, ...others] = answers.slices(0, 60, 1 / 60);
        return [others.length, slice.openShare, slice.undecided, slice.strangeShare, slice.unlike]; }""")
    assert shares == [0, pytest.approx(1 / 12), False, 0.25, False]


def test_light_and_dark_are_read_when_the_scheme_changes(demo):
    page = demo()
    corner = "[...view.surface.context.getImageData(3, 120, 1, 1).data].slice(0, 3)"
    assert page.evaluate(corner) == [255, 255, 255]
    page.emulate_media(color_scheme="dark")
    until(page, f"{corner}[0] < 40")
    page.evaluate("document.documentElement.style.setProperty('--plot', 'rgb(10, 60, 20)'); view.refreshColours()")
    drawn(page)
    assert page.evaluate(corner) == [10, 60, 20]


def test_text_can_be_read_and_lines_can_be_seen(modules):
    """WCAG 2: text 4.5:1, graphics 3:1 against what is behind; options have a line of text's colour around."""
    names = ["plot-text", "plot-soft", "annotation", "annotation-bad"]
    names += ["trace", "bad", "highlight", "focus", "positive", "negative"]
    for scheme in ("light", "dark"):
        modules.emulate_media(color_scheme=scheme)
        ratios = modules.evaluate(
            """async (names) => {
            const { Colours, luminance } = await import("/viewer/colours.js");
            const colours = new Colours(document.documentElement);
            const plot = luminance(colours.get("plot"));
            const ratio = (one) => (Math.max(one, plot) + 0.05) / (Math.min(one, plot) + 0.05);
            return names.map((name) => ratio(luminance(colours.get(name)))); }""",
            names,
        )
        assert min(ratios[:4]) >= 4.5 and min(ratios[4:]) >= 3, (scheme, dict(zip(names, ratios, strict=True)))


def test_options_differ_in_lightness_or_pattern(modules):
    """No two of eight options by hue alone: where their lightness is alike, the pattern is another."""
    for scheme in ("light", "dark"):
        modules.emulate_media(color_scheme=scheme)
        found = modules.evaluate("""async () => {
            const { Colours, luminance, optionPattern } = await import("/viewer/colours.js");
            const colours = new Colours(document.documentElement);
            const context = new OffscreenCanvas(24, 24).getContext("2d", { willReadFrequently: true });
            return Array.from({ length: 8 }, (_, i) => {
                const over = optionPattern(context, i, "#ffffff", 1);
                context.clearRect(0, 0, 24, 24);
                if (over) { context.fillStyle = over; context.fillRect(0, 0, 24, 24); }
                return [luminance(colours.band(i)), [...context.getImageData(0, 0, 24, 24).data].join()]; }); }""")
        for (one, lines), (other, others) in itertools.combinations(found, 2):
            apart = (max(one, other) + 0.05) / (min(one, other) + 0.05)
            assert apart >= 1.25 or lines != others


def test_a_scalp_map_says_its_values_and_its_field_passes_through_them(demo):
    page = demo(scalp=1)
    svg = page.locator("#scalp svg")
    assert svg.get_attribute("role") == "img"
    assert page.locator("#scalp svg > title").text_content() == "What carried Yes"
    described = page.locator("#scalp svg > desc").text_content()
    assert (
        described.startswith("Largest first, in nats for Yes: ")
        and "P4 +0.51 ± 0.06" in described
        and "T3 −0.48" in described
    )
    assert page.locator("#scalp svg text", has_text="−0.48").count() == 1
    worst = page.evaluate("""async () => {
        const { interpolate } = await import("/viewer/spline.js");
        const { PLACES } = await import("/synthetic.js");
        const some = Object.values(PLACES).map(([x, y]) => ({ x, y, effect: Math.sin(3 * x) - 0.5 * y }));
        const field = interpolate(some);
        return Math.max(...some.map(({ x, y, effect }) => Math.abs(field(x, y) - effect))); }""")
    assert worst < 0.1


def test_panning_32_channels_of_8_hours_keeps_frames_coming(demo, capsys):
    page = demo(how={"reduced_motion": "no-preference"}, channels=32, hours=8, kind="events")
    times = page.evaluate("""async () => {
        const next = () => new Promise(requestAnimationFrame);
        const frames = [], work = [];
        view.addEventListener("drawn", ({ detail }) => work.push(detail.milliseconds));
        await next();
        let last = await next();
        for (let i = 0; i < 180; i++) { view.pan(0.1); const now = await next(); frames.push(now - last); last = now; }
        return { frames, work }; }""")
    said = {name: [round(float(np.percentile(values, q)), 1) for q in (50, 95)] for name, values in times.items()}
    with capsys.disabled():
        print(f"\npanning 32 channels x 8 h: p50, p95 ms between frames {said['frames']}, of drawing {said['work']}")
    assert len(times["frames"]) == 180
    assert np.median(times["work"]) < 16  # on a machine without graphics hardware that does other things, too
    assert page.evaluate("view.start") == pytest.approx(18)


def test_modules_stand_alone_and_are_short():
    for path in VIEWER.glob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert text.startswith("/**\n * "), path.name
        assert len(text.splitlines()) <= 400 and max(map(len, text.splitlines())) <= 120, path.name
        assert all(source.startswith("./") for source in re.findall(r'from "([^"]+)"', text)), path.name
        assert not re.search(r"neurolm|/api/|innerHTML|eval\(|https?://(?!www\.w3\.org)", text), path.name
