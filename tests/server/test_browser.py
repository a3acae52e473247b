"""The page in a real browser: from a file to an answer that other programs read, by mouse and by keys alone."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import mne
import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

QUESTION = "question-workload"
STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
TABLET = {"viewport": {"width": 820, "height": 1180}, "has_touch": True}
LAPTOP = {"viewport": {"width": 1366, "height": 768}}
SECONDS = 62.0
"""Of the recording that is opened."""


@pytest.fixture(scope="module")
def service(chromium, evidence_run, shared, served, tmp_path_factory):
    """A service with a recording of EEGMAT and two hostile ones: its address, and its recordings' ids by name."""
    folder = tmp_path_factory.mktemp("browser")
    shutil.copy(shared / "eeg/eegmat/Subject01_2.edf", folder / "task.edf")
    for name in ("ann.edf", "ansi.edf"):
        shutil.copy(shared / "cases/hostile" / name, folder / name)
    uploads = tmp_path_factory.mktemp("browser-uploads")
    with served("--model", evidence_run, "--folder", folder, "--uploads", uploads) as running:
        listed = requests.get(f"{running.api}/recordings", timeout=60).json()
        yield SimpleNamespace(
            address=f"{running.address}/", api=running.api, ids={entry["name"]: entry["id"] for entry in listed},
            file=folder / "task.edf",
        )  # fmt: skip


@pytest.fixture
def open_traces(new_page, service) -> Callable[..., Page]:
    """The function that opens a page at the traces of a recording."""

    def show(name: str = "task.edf", **options) -> Page:
        page = new_page(**LAPTOP | options)
        page.goto(f"{service.address}#r={service.ids[name]}&t=0")
        expect(page.get_by_test_id("traces").locator("canvas").first).to_be_visible()
        return page

    return show


def at_second(page: Page, second: float) -> None:
    """The page of traces begins there, by the address."""
    expect(page).to_have_url(re.compile(rf"[#&]t={second:g}(&|$)"))


def ask(page: Page) -> None:
    page.get_by_test_id(QUESTION).click()
    expect(page.get_by_test_id("verdict")).to_be_visible()


def dark_pixels(page: Page, where: str) -> int:
    """How many pixels of what is drawn differ from the most frequent one, of all canvases there together."""
    return page.get_by_test_id(where).evaluate(
        """place => [...place.querySelectorAll('canvas')].reduce((sum, canvas) => {
             if (!canvas.width || !canvas.height) return sum
             const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d')
             copy.drawImage(canvas, 0, 0)
             const pixels = new Uint32Array(copy.getImageData(0, 0, canvas.width, canvas.height).data.buffer)
             const counts = new Map()
             for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) ?? 0) + 1)
             return sum + pixels.length - Math.max(...counts.values())
           }, 0)"""
    )


def test_from_a_file_to_an_answer_and_its_exports(service, new_page, tmp_path):
    page = new_page(**LAPTOP)
    page.goto(service.address)
    page.get_by_test_id("file-input").set_input_files(service.file)

    inspection = page.get_by_test_id("inspection")  # before any trace is drawn
    expect(inspection).to_contain_text("Ready.")
    expect(inspection).to_contain_text("500 Hz")
    expect(inspection).to_contain_text("EEG Fp1")
    expect(page.get_by_test_id("traces")).to_have_count(0)
    page.get_by_test_id("show-traces").click()
    expect(page.get_by_test_id("traces").locator("canvas").first).to_be_visible()
    at_second(page, 0)

    page.evaluate(
        """() => {
             const real = globalThis.fetch
             globalThis.fetch = async (url, how) => {  // events one by one, however fast the service is
               const answer = await real(url, how)
               if (!String(url).endsWith("/ask")) return answer
               const events = (await answer.text()).split(/(?<=\\n\\n)/)
               const body = new ReadableStream({async pull(to) {
                 await new Promise((go) => setTimeout(go, 200))
                 events.length ? to.enqueue(new TextEncoder().encode(events.shift())) : to.close()
               }})
               return new Response(body, {status: answer.status, headers: answer.headers})
             }
             globalThis.arrived = []
             new MutationObserver(() => arrived.push(document.querySelector('.answer.running')?.textContent ?? ''))
               .observe(document.body, {subtree: true, childList: true, characterData: true})
           }"""
    )
    ask(page)
    assert any(" of 30 windows" in text for text in page.evaluate("arrived"))  # said before the answer was there
    assert dark_pixels(page, "bands") > 500

    answer = json.loads(exported(page, "json", tmp_path).read_text())
    assert answer["answer"] in page.get_by_test_id("answer").inner_text()
    rows = list(csv.DictReader(exported(page, "csv", tmp_path).read_text().splitlines()))
    assert [float(row["start"]) for row in rows] == [window["start"] for window in answer["timeline"]]
    assert [json.loads(row["probabilities"]) for row in rows] == [one["probabilities"] for one in answer["timeline"]]
    require_same(mne.read_annotations(exported(page, "edf", tmp_path)), answer)


def exported(page: Page, form: str, folder: Path) -> Path:
    """Download the open answer in a format."""
    item = page.get_by_test_id(f"export-{form}")
    if not item.is_visible():
        page.get_by_text("Export", exact=True).click()
    with page.expect_download() as coming:
        item.click()
    path = folder / coming.value.suggested_filename
    coming.value.save_as(path)
    return path


def require_same(marked: mne.Annotations, answer: dict) -> None:
    """What MNE reads of the EDF+ file is what the answer says: as a whole, and at every second."""
    summary, *stretches = zip(marked.onset, marked.duration, marked.description, strict=True)
    said = f"{answer['question']} {answer['answer']}, probability {answer['probability']:.2f}"
    assert summary[:2] == (0, 0) and said in summary[2]
    assert sum(duration for _, duration, _ in stretches) == pytest.approx(SECONDS)
    assert len(answer["timeline"]) == 30  # windows of 4 s, each 2 s after the one before
    for window in answer["timeline"]:
        middle = (window["start"] + window["stop"]) / 2
        (said,) = [text for onset, duration, text in stretches if onset <= middle < onset + duration]
        likeliest = answer["options"][window["probabilities"].index(max(window["probabilities"]))]
        assert window["decided"] and f"{answer['question']} {likeliest} (p=" in said, window


def test_keys_go_through_the_recording(open_traces):
    page = open_traces()
    at_second(page, 0)
    last = page.evaluate("document.querySelector('.position').textContent")
    assert last.startswith("0:00")
    for key, second in (("ArrowRight", 1), ("PageDown", 11), (" ", 21), ("PageUp", 11), ("ArrowLeft", 10), ("Home", 0)):
        page.keyboard.press(key)
        at_second(page, second)
    page.keyboard.press("End")
    at_second(page, SECONDS - 10)
    sensitivity = page.get_by_role("combobox", name="Sensitivity")
    before = float(sensitivity.input_value())
    page.keyboard.press("ArrowUp")
    assert float(sensitivity.input_value()) < before  # µV/mm: fewer make traces larger
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert float(sensitivity.input_value()) > before
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Page Down")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_traces_are_drawn_and_change_with_filter_and_montage(open_traces):
    page = open_traces()
    page.wait_for_timeout(300)
    assert dark_pixels(page, "traces") > 5000
    assert dark_pixels(page, "overview") > 500
    for label, value, said in (
        ("Montage", "average", "montage=average"), ("High-pass", "1", "highpass=1&"), ("Notch", "50", "notch=50"),
    ):  # fmt: skip
        with page.expect_response(lambda answer, said=said: "/traces?" in answer.url and said in answer.url) as coming:
            page.get_by_role("combobox", name=label).select_option(value)
        assert coming.value.status == 200


def test_a_click_on_a_band_goes_there_and_says_what_carried_it(open_traces):
    page = open_traces()
    ask(page)
    canvas = page.get_by_test_id("bands").get_by_role("application")
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] * 0.75, "y": box["height"] * 0.5})
    detail = page.get_by_test_id("window-detail")
    expect(detail).to_be_visible()
    start = float(re.search(r"[#&]t=([\d.]+)", wait_for_place(page))[1])
    assert 0.75 * SECONDS - 12 < start < 0.75 * SECONDS + 4
    page.get_by_test_id("explain").click()
    drawn = page.get_by_test_id("scalp-map").locator("svg")
    expect(drawn).to_be_visible()
    for electrode in ("C3", "O1"):
        expect(drawn).to_contain_text(electrode)


def wait_for_place(page: Page) -> str:
    """The address, when it says another second than the first."""
    expect(page).not_to_have_url(re.compile(r"[#&]t=0(&|$)"))
    return page.url


def test_a_reload_returns_to_the_same_place_and_answer(open_traces):
    page = open_traces()
    ask(page)
    verdict = page.get_by_test_id("verdict").inner_text()
    page.keyboard.press("PageDown")
    page.keyboard.press("PageDown")
    at_second(page, 20)
    page.reload()
    expect(page.get_by_test_id("verdict")).to_have_text(verdict)
    at_second(page, 20)
    assert page.locator(".position").inner_text().startswith("0:20")


def test_the_risk_slider_concludes_again_without_asking(open_traces, service):
    page = open_traces()
    ask(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    slider = page.get_by_test_id("risk")
    slider.focus()
    with page.expect_response(re.compile(r"/answers/[^/]+\?risk=")) as coming:
        page.keyboard.press("ArrowRight")
    assert coming.value.status == 200
    expect(page.get_by_test_id("verdict")).to_be_visible()
    assert not [url for url in asked if url.endswith("/ask")]


def tab_to(page: Page, test_id: str, most: int = 80) -> None:
    """Press Tab until a control has the focus."""
    for _ in range(most):
        if page.evaluate("document.activeElement?.dataset?.testid ?? ''") == test_id:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{test_id} is not reached by {most} Tabs")


def test_from_the_list_to_an_explained_answer_by_keys_alone(new_page, service):
    page = new_page(**LAPTOP)
    page.goto(service.address)
    expect(page.get_by_test_id("drop")).to_be_visible()
    entry = f"recording-{service.ids['task.edf']}"
    expect(page.get_by_test_id(entry)).to_be_visible()
    tab_to(page, entry)
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("show-traces")).to_be_visible()
    tab_to(page, "show-traces")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("traces").locator("canvas").first).to_be_visible()
    page.keyboard.press("PageDown")
    at_second(page, 10)
    tab_to(page, QUESTION)
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("verdict")).to_be_visible()
    page.get_by_text("Window by window").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Windows").get_by_role("button").first).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    tab_to(page, "explain", most=200)
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("scalp-map").locator("svg")).to_be_visible()


@pytest.mark.parametrize("name", ["ann.edf", "ansi.edf"])
def test_what_a_hostile_file_says_is_shown_and_nothing_more(new_page, service, name):
    page = new_page(**LAPTOP)
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    page.goto(f"{service.address}#r={service.ids[name]}")
    expect(page.get_by_test_id("show-traces")).to_be_visible()
    inert(page)
    page.get_by_test_id("show-traces").click()
    expect(page.get_by_test_id("traces").locator("canvas").or_(page.get_by_test_id("error")).first).to_be_visible()
    inert(page)


def inert(page: Page) -> None:
    """Nothing of a file became an element, and nothing in the page steers what follows it."""
    assert page.locator("script").count() == 1 and page.locator("[onerror], [onload], iframe, object").count() == 0
    assert not STEERING.search(page.locator("body").inner_text())
    assert not STEERING.search(page.title())


def test_a_service_that_is_away_is_waited_for(open_traces):
    page = open_traces()
    page.context.set_offline(True)
    page.keyboard.press("End")
    page.get_by_test_id(QUESTION).click()
    expect(page.locator("#connection")).to_contain_text("does not answer")
    page.context.set_offline(False)
    expect(page.locator("#connection")).to_be_hidden()
    at_second(page, SECONDS - 10)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_state_of_the_page_is_accessible(new_page, service, scheme, subtests):
    page = new_page(**LAPTOP, color_scheme=scheme)
    id = service.ids["task.edf"]

    def checked(state: str) -> None:
        with subtests.test(state):
            found = Axe().run(page)
            assert found.violations_count == 0, found.generate_report()

    page.goto(service.address)
    expect(page.get_by_test_id(f"recording-{id}")).to_be_visible()
    checked("start")
    page.goto(f"{service.address}#r={id}")
    expect(page.get_by_test_id("show-traces")).to_be_visible()
    checked("inspection")
    page.get_by_test_id("show-traces").click()
    expect(page.get_by_test_id("traces").locator("canvas").first).to_be_visible()
    checked("traces")
    ask(page)
    checked("answer")
    canvas = page.get_by_test_id("bands").get_by_role("application")
    canvas.click(position={"x": 200, "y": 10})
    page.get_by_test_id("explain").click()
    expect(page.get_by_test_id("scalp-map").locator("svg")).to_be_visible()
    checked("window")
    page.get_by_text("Export", exact=True).click()
    checked("export")
    page.keyboard.press("Escape")
    page.get_by_test_id("help").click()
    checked("help")
    page.keyboard.press("Escape")
    page.goto(f"{service.address}#r=none&t=0")
    expect(page.locator("main")).to_contain_text("not there")
    checked("error")


@pytest.mark.parametrize("size", [TABLET, {"viewport": {"width": 1180, "height": 820}, "has_touch": True}, LAPTOP])
def test_it_fits_tablets_and_laptops(open_traces, size):
    page = open_traces(**size)
    ask(page)
    width = size["viewport"]["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    box = page.get_by_test_id("traces").bounding_box()
    assert box["height"] > 250 and box["width"] > 0.55 * width
    assert box["x"] >= 0 and box["x"] + box["width"] <= width


def test_light_and_dark_are_switched_and_kept(new_page, service):
    page = new_page(**LAPTOP, color_scheme="light")
    page.goto(service.address)
    theme = page.get_by_test_id("theme")
    shade = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(shade)
    theme.click()
    dark = page.evaluate(shade)
    assert sum(map(int, re.findall(r"\d+", dark)[:3])) < 200 < 600 < sum(map(int, re.findall(r"\d+", light)[:3]))
    page.reload()
    expect(theme).to_be_visible()
    assert page.evaluate(shade) == dark
