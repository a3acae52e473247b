"""Frame times while 32 channels of eight hours are panned in the page, and the CPU time of every frame.

    python benchmarks/panning.py --model runs/demo                    # makes the recording; needs Chromium
    python benchmarks/panning.py --model runs/demo --seconds 20 --nice -12

A frame's time is from one animation frame to the next, as requestAnimationFrame has them: 16.7 ms are 60 frames a
second. In every frame the wheel moves the page on by a twelfth of a second of EEG, half a page in a second, and what
comes into sight must come from the service. Beside it stands the floor: a canvas as large as the traces' onto which one
picture of that size is drawn at another place in every frame, and nothing else.

The clock says what people see, on this machine at that time; CPU times are the kernel's for threads and processes of
the browser, which other work on the machine hardly changes. Chromium draws without a GPU here: what it shows is put
together by the CPU, which a machine with a GPU does not have to do.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import edfio
import numpy as np
import requests
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from neurolm.core.montage import ELECTRODES, template_positions

RATE = 256
SIZES = ((1440, 900), (1920, 1080))
STEP = 100 / 12
"""Pixels of the wheel in a frame; a notch of 100 moves a second."""


def write_recording(path: Path, channels: int, hours: float) -> None:
    """Write EEG-like noise as EDF: a minute of it, over and over."""
    names = [name for name in ELECTRODES if name in template_positions() and "-" not in name][:channels]
    rng = np.random.default_rng(0)
    minute = rng.normal(0, 1, (channels, 60 * RATE))
    minute = np.fft.irfft(np.fft.rfft(minute) / np.sqrt(np.maximum(np.arange(60 * RATE // 2 + 1), 30)))
    minute *= 20 / minute.std(axis=1, keepdims=True)
    signals = [
        edfio.EdfSignal(one, RATE, label=f"EEG {name}", physical_dimension="uV")
        for name, one in zip(names, minute, strict=True)
    ]
    edfio.Edf(signals).write(path)
    whole, header = path.read_bytes(), 256 * (channels + 1)
    repeats = round(60 * hours)
    records = int(whole[236:244]) * repeats
    with path.open("wb") as file:
        file.write(whole[:236] + f"{records:<8}".encode() + whole[244:header])
        for _ in range(repeats):
            file.write(whole[header:])


@contextmanager
def served(model: Path, folder: Path, nice: int | None) -> Iterator[str]:
    """The address of a service of this model and folder."""
    words = [sys.executable, "-u", "-m", "neurolm", "serve", "--model", str(model), "--folder", str(folder)]
    process = subprocess.Popen(
        [*words, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    assert process.stdout is not None
    try:
        prefer(process.pid, nice)
        for line in process.stdout:
            if found := re.search(r"https?://[^\s#/]+", line):
                yield found[0]
                return
        raise SystemExit("the service did not start")
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def prefer(process: int, nice: int | None) -> None:
    """Put a process's session before other work of the machine."""
    if nice is not None:
        Path(f"/proc/{process}/autogroup").write_text(str(nice))


class Usage:
    """CPU times of a page's browser by thread and process."""

    def __init__(self, browser: CDPSession) -> None:
        found = browser.send("SystemInfo.getProcessInfo")["processInfo"]
        self.processes = {one["id"]: one["type"].lower() for one in found}

    def now(self) -> dict[str, float]:
        """Milliseconds on a CPU so far: of the page's thread, the thread of tiles, and all that shows pictures."""
        spent = {"page": 0.0, "tiles": 0.0, "show": 0.0}
        for process, kind in self.processes.items():
            for task in Path(f"/proc/{process}/task").glob("*"):
                try:
                    name = (task / "comm").read_text().strip()
                    spent[part(kind, name, int(task.name) == process)] += (
                        int((task / "schedstat").read_text().split()[0]) / 1e6
                    )
                except FileNotFoundError:
                    continue  # a thread that has ended meanwhile
        return spent


def part(kind: str, thread: str, first: bool) -> str:
    if kind == "renderer" and first:
        return "page"
    return "tiles" if kind == "renderer" and thread.startswith("DedicatedWorker") else "show"


PAN = """async ([seconds, pixels]) => {
  const canvas = document.querySelector('[data-testid=traces] canvas')
  const times = []
  const end = performance.now() + seconds * 1000
  canvas.focus()
  await new Promise((done) => {
    let last = null
    const frame = (now) => {
      if (last !== null) times.push(now - last)
      last = now
      if (now > end) return done()
      canvas.dispatchEvent(new WheelEvent('wheel', {deltaX: pixels, deltaY: 0, bubbles: true, cancelable: true}))
      requestAnimationFrame(frame)
    }
    requestAnimationFrame(frame)
  })
  return times
}"""

FLOOR = """async ([seconds, pixels, width, height]) => {
  document.body.style.margin = 0
  const canvas = document.body.appendChild(document.createElement('canvas'))
  const picture = new OffscreenCanvas(width, height)
  for (const one of [canvas, picture]) Object.assign(one, {width, height})
  const brush = picture.getContext('2d')
  for (let y = 0; y < height; y += 3) brush.strokeRect(0.5, y + 0.5, width, 20)
  const bitmap = picture.transferToImageBitmap()
  const context = canvas.getContext('2d', {alpha: false})
  const times = []
  const end = performance.now() + seconds * 1000
  await new Promise((done) => {
    let last = null
    let x = 0
    const frame = (now) => {
      if (last !== null) times.push(now - last)
      last = now
      if (now > end) return done()
      x = (x + pixels) % width
      context.drawImage(bitmap, -Math.round(x), 0)
      requestAnimationFrame(frame)
    }
    requestAnimationFrame(frame)
  })
  return times
}"""


@dataclass(frozen=True)
class Measured:
    frames: list[float]
    """Milliseconds."""
    spent: dict[str, float]
    """Milliseconds of CPU by part."""


class Bench:
    """A browser that pans."""

    def __init__(self, browser: Browser, seconds: float, nice: int | None) -> None:
        self.browser, self.seconds = browser, seconds
        self.session = browser.new_browser_cdp_session()
        self.nice = nice

    def page(self, size: tuple[int, int], address: str = "about:blank") -> Page:
        page = self.browser.new_page(viewport={"width": size[0], "height": size[1]})
        page.set_default_timeout(60_000)
        page.goto(address)
        return page

    def measure(self, page: Page, script: str, *more: float) -> Measured:
        usage = Usage(self.session)
        for process in usage.processes:
            prefer(process, self.nice)
        before = usage.now()
        frames = page.evaluate(script, [self.seconds, STEP, *more])
        after = usage.now()
        return Measured(frames, {name: after[name] - before[name] for name in after})


def position(page: Page) -> float:
    """Second at which the page of traces begins."""
    start = page.locator(".position").inner_text().split(" ")[0]
    second = 0.0
    for word in start.split(":"):
        second = 60 * second + float(word)
    return second


def row(what: str, size: tuple[int, int], found: Measured, tiles: float) -> str:
    cuts = statistics.quantiles(found.frames, n=100)
    count = len(found.frames)
    each = f"{found.spent['tiles'] / tiles:.0f}" if tiles else "–"
    return (
        f"| {what} | {size[0]} × {size[1]} | {count} | {cuts[49]:.1f} | {cuts[94]:.1f} | {cuts[98]:.1f} | "
        f"{found.spent['page'] / count:.2f} | {found.spent['show'] / count:.2f} | {each} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--hours", type=float, default=8)
    parser.add_argument("--seconds", type=float, default=10, help="of panning")
    parser.add_argument("--nice", type=int, help="of browser and service, as in /proc/PID/autogroup")
    given = parser.parse_args()
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        write_recording(folder / "long.edf", given.channels, given.hours)
        browser = playwright.chromium.launch(executable_path=path)
        bench = Bench(browser, given.seconds, given.nice)
        with served(given.model, folder, given.nice) as address:
            (entry,) = requests.get(f"{address}/api/v1/recordings", timeout=60).json()
            while requests.get(f"{address}/api/v1/recordings/{entry['id']}/view", timeout=600).status_code == 202:
                time.sleep(0.2)
            print("| | window | frames | ms p50 | p95 | p99 | CPU ms a frame: page | showing | CPU ms a tile |")
            print("|---|---|---|---|---|---|---|---|---|")
            for size in SIZES:
                page = bench.page(size, f"{address}/#r={entry['id']}&t=3600")
                canvas = page.get_by_test_id("traces").locator("canvas").first
                canvas.wait_for()
                page.wait_for_load_state("networkidle")
                page.wait_for_timeout(1000)
                before = position(page)
                found = bench.measure(page, PAN)
                print(row("panning", size, found, (position(page) - before) / 10), flush=True)
                box = canvas.bounding_box()
                assert box is not None
                page.close()
                blank = bench.page(size)
                print(row("the floor", size, bench.measure(blank, FLOOR, box["width"], box["height"]), 0), flush=True)
                blank.close()
        browser.close()


if __name__ == "__main__":
    main()
