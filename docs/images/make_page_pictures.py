"""Take the pictures of the page, of a real service in a real browser.

    python docs/images/make_page_pictures.py --model runs/folds/fold-1-seed-0 --folder EEGMAT \\
        --recording Subject01_2.edf --begin 12 --window 0.4 --sensitivity 10
    python docs/images/make_page_pictures.py --model runs/demo --folder runs/demo/corpus \\
        --recording S030_sleep.edf --question sleep --begin 150 --pictures sleep

The service is started with the run and the folder, and the system's Chromium opens the recording in it: traces with an
answer in light, in dark and on a tablet, and a window of it with what carried it (`light`, `dark`, `tablet`,
`window`); or an answer about sleep (`sleep`). Every picture is saved as `page_NAME.png`.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

HERE = Path(__file__).parent
MOST = 250_000
"""Bytes of a picture."""
LAPTOP, TABLET = {"width": 1440, "height": 900}, {"width": 1024, "height": 768}
VIEWS: dict[str, dict] = {
    "light": {"viewport": LAPTOP},
    "dark": {"viewport": LAPTOP, "color_scheme": "dark"},
    "tablet": {"viewport": TABLET, "has_touch": True},
    "window": {"viewport": LAPTOP},
    "sleep": {"viewport": LAPTOP},
}
PATIENCE = 60
"""Seconds until something must be there, on a busy machine too."""


@contextmanager
def served(model: Path, folder: Path) -> Iterator[str]:
    """The address of a service of this model and folder."""
    words = [sys.executable, "-m", "neurolm", "serve", "--model", str(model), "--folder", str(folder), "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    assert process.stdout is not None
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"https?://[^\s#/]+", line):
                yield found[0]
                return
        raise SystemExit(f"the service did not start: {''.join(said)}")
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def recording_id(address: str, name: str | None) -> str:
    """Id of the recording of that name, or of the first."""
    entries = requests.get(f"{address}/api/v1/recordings", timeout=PATIENCE).json()
    for entry in entries:
        if name is None or entry["name"].endswith(name):
            print(f"recording: {entry['name']}", flush=True)
            return entry["id"]
    raise SystemExit(f"{name} is not in the folder, which has {', '.join(entry['name'] for entry in entries[:9])} …")


def task_name(address: str, name: str | None) -> str:
    """The task of that name, or the model's first."""
    tasks = [task["name"] for task in requests.get(f"{address}/api/v1/models", timeout=PATIENCE).json()[0]["tasks"]]
    if name is None or name in tasks:
        return name or tasks[0]
    raise SystemExit(f"the model has no question {name}; it has {', '.join(tasks)}")


def answered(browser: Browser, address: str, given: argparse.Namespace, task: str, how: dict) -> Page:
    """A page of traces with an answer whose windows have all come."""
    context = browser.new_context(reduced_motion="reduce", locale="en-GB", **how)
    context.set_default_timeout(1000 * PATIENCE)
    page = context.new_page()
    page.goto(f"{address}&t={given.begin:g}")
    page.get_by_test_id("traces").locator("canvas").first.wait_for()
    if given.sensitivity:
        page.get_by_label("Sensitivity").select_option(label=f"{given.sensitivity:g} µV/mm")
    page.get_by_test_id(f"question-{task}").click()
    page.get_by_test_id("verdict").wait_for()
    print(f"  {page.get_by_test_id('verdict').inner_text()}", flush=True)
    return page


def show_window(page: Page, share: float) -> None:
    """Open the window at a share of the recording, and what carried it."""
    bands = page.get_by_test_id("bands").locator("canvas[role=application]").first
    box = bands.bounding_box()
    assert box is not None
    bands.click(position={"x": box["width"] * share, "y": box["height"] * 0.4})
    page.get_by_test_id("explain").click()
    page.get_by_test_id("scalp-map").locator("svg").wait_for()
    page.get_by_test_id("window-detail").evaluate("(detail) => detail.scrollIntoView({block: 'start'})")


def settle(page: Page) -> None:
    """Wait until the pointer is over nothing, no tile of the traces is on its way, and the page stays as it is."""
    page.mouse.move(1, 1)
    page.wait_for_load_state("networkidle")
    before = None
    for _ in range(PATIENCE):
        now = page.screenshot()
        if now == before:
            return
        before = now
        page.wait_for_timeout(1500)
    raise SystemExit("the page goes on changing")


def save(page: Page, path: Path) -> None:
    """Save what is seen: in all its colours where that is small enough, else with the 256 that are nearest to them."""
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    image.save(path, optimize=True)
    if path.stat().st_size > MOST:
        image.quantize(256, kmeans=2, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    print(f"  {path}: {size / 1000:.0f} kB", flush=True)
    if size > MOST:
        raise SystemExit(f"{path} has {size:,} bytes, more than {MOST:,}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--folder", required=True, type=Path)
    parser.add_argument("--recording", help="its file's name; else the first of the folder")
    parser.add_argument("--question", help="a task of the model; else its first")
    parser.add_argument("--begin", type=float, default=0, help="second at which the traces begin")
    parser.add_argument("--sensitivity", type=float, help="µV/mm; else the page's own")
    parser.add_argument("--window", type=float, default=0.5, help="which window is opened, as a share of the recording")
    parser.add_argument("--pictures", default="light,dark,tablet,window")
    parser.add_argument("--out", type=Path, default=HERE)
    given = parser.parse_args()
    began = time.perf_counter()
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with served(given.model, given.folder) as address, sync_playwright() as playwright:
        print(f"the service answers after {time.perf_counter() - began:.0f} s", flush=True)
        browser = playwright.chromium.launch(executable_path=path)
        there = f"{address}/#r={recording_id(address, given.recording)}"
        task = task_name(address, given.question)
        for name in given.pictures.split(","):
            print(f"{name}, after {time.perf_counter() - began:.0f} s", flush=True)
            page = answered(browser, there, given, task, VIEWS[name])
            if name == "window":
                show_window(page, given.window)
            settle(page)
            save(page, given.out / f"page_{name}.png")
            page.context.close()
        browser.close()
    print(f"done after {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
