"""NiceGUI and plain ES modules beside each other: a page with traces, a table and a button by each

    python -m venv other && other/bin/pip install nicegui numpy
    python benchmarks/page_frameworks.py --nicegui other/bin/python

Both show the same canvas of 32 traces by the same function. Times are the median of the rounds in headless Chromium
with an empty cache, on a machine that may do other work; a round trip is from asking for the traces of a page until
they are drawn. Memory is what the server's resident memory grows by for each further page that is open.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Error, Page, sync_playwright

PAGES = Path(__file__).parent / "page_frameworks_pages"
OPEN = 20
"""Pages that are open at once for what one takes of memory."""
SECONDS = 5
"""Of drawing one page after another."""


class Server:
    """A page of the comparison, served by a process of its own."""

    def __init__(self, python: Path | str, script: str, *flags: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.words = [str(python), str(PAGES / script), str(self.port), *flags]
        self.address = f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        self.process = subprocess.Popen(self.words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        for _ in range(300):
            try:
                urllib.request.urlopen(self.address, timeout=5).close()
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit(f"{' '.join(self.words)} does not answer")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def mebibytes(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop()


@contextmanager
def opened(browser: Browser):
    context = browser.new_context()
    yield context.new_page()
    context.close()


def drawn(page: Page, seconds: float = 60) -> bool:
    """Wait until the traces are there; Playwright's own waiting evaluates text, which the strict policy forbids."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if page.evaluate("globalThis.measured?.ready"):
            return True
        time.sleep(0.01)
    return False


def load(browser: Browser, server: Server) -> tuple[int, int, float]:
    """(requests, kilobytes, seconds) until the traces are drawn."""
    with opened(browser) as page:
        sizes = []
        page.on("requestfinished", lambda request: sizes.append(request.sizes()))
        began = time.perf_counter()
        page.goto(server.address, wait_until="commit")
        drawn(page)
        seconds = time.perf_counter() - began
        page.wait_for_timeout(500)
        sent = sum(one["responseBodySize"] + one["responseHeadersSize"] for one in sizes)
        return len(sizes), sent // 1000, seconds


def memory(browser: Browser, server: Server) -> float:
    """MiB of the server for each page that is open."""
    contexts = []

    def more(pages: int) -> float:
        for _ in range(pages):
            contexts.append(browser.new_context())
            page = contexts[-1].new_page()
            page.goto(server.address)
            drawn(page)
        return server.mebibytes()

    before = more(2)
    grown = (more(OPEN) - before) / OPEN
    for context in contexts:
        context.close()
    return grown


def violations(browser: Browser, server: Server) -> tuple[int, bool]:
    """(What the strict content security policy of the service refuses, whether the page works all the same)."""
    with opened(browser) as page:
        refused = []
        page.on("console", lambda said: refused.append(said) if "Content Security Policy" in said.text else None)
        page.goto(server.address)
        shown = drawn(page, seconds=5)
        return len(refused), shown


def updates(browser: Browser, server: Server) -> tuple[float, float, float]:
    """(Updates drawn in a second, median and 95th percentile of a round trip in ms)."""
    with opened(browser) as page:
        page.goto(server.address)
        drawn(page)
        page.evaluate(f"start({SECONDS})")
        page.wait_for_timeout(1000 * SECONDS + 500)
        times = page.evaluate("measured.times")
        return len(times) / SECONDS, statistics.median(times), statistics.quantiles(times, n=20)[-1]


def restart(browser: Browser, server: Server) -> tuple[bool, bool]:
    """(Whether what was typed is still there after the server has restarted, whether the button works again)."""
    with opened(browser) as page:
        page.goto(server.address)
        drawn(page)
        page.locator("input").first.fill("Is this sleep?")
        server.stop()
        page.wait_for_timeout(3000)
        server.start()
        page.wait_for_timeout(8000)
        kept = page.locator("input").first.input_value() == "Is this sleep?"
        return kept, works(page)


def works(page: Page) -> bool:
    page.get_by_role("button", name="Ask").click()
    try:
        page.get_by_text("asked 1").wait_for(timeout=5000)
    except Error:
        return False
    return True


def measure(browser: Browser, python: Path | str, script: str, rounds: int) -> list[str]:
    """The column of a page in the table."""
    with Server(python, script) as server:
        idle = server.mebibytes()
        loads = [load(browser, server) for _ in range(rounds)]
        each = memory(browser, server)
        rate, middle, late = updates(browser, server)
        kept, again = restart(browser, server)
    with Server(python, script, "--csp") as server:
        refused, shown = violations(browser, server)
    return [
        f"{loads[0][0]}",
        f"{loads[0][1]}",
        f"{statistics.median(one[2] for one in loads):.2f}",
        f"{idle:.0f}",
        f"{each:.2f}",
        f"{rate:.0f}",
        f"{middle:.1f} ({late:.1f})",
        f"{'works' if shown else 'does not work'}, {refused} refusals",
        f"{'kept' if kept else 'lost'}, the button {'works' if again else 'does not work'}",
    ]


ROWS = (
    "requests until drawn",
    "kB until drawn",
    "seconds until drawn",
    "server, MiB",
    "and for each open page, MiB",
    "updates drawn per second",
    "round trip ms, median (95 %)",
    "strict content security policy",
    "what was typed, after a restart of the server",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nicegui", required=True, type=Path, help="a Python with NiceGUI")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        ours = measure(browser, sys.executable, "plain.py", given.rounds)
        theirs = measure(browser, given.nicegui, "nice.py", given.rounds)
        browser.close()
    version = "import nicegui; print(nicegui.__version__)"
    named = subprocess.run([given.nicegui, "-c", version], capture_output=True, text=True, check=True).stdout.strip()
    print(f"| | plain modules | NiceGUI {named} |\n|---|---|---|")
    for row in zip(ROWS, ours, theirs, strict=True):
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
