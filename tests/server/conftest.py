"""What the tests of the service share: an app in this process, the command in one of its own, and a browser."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

from neurolm.server.settings import ServerSettings

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the system's Chromium, which `make test` installs where it can; needed in CI, optional elsewhere."""
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium is installed, and CI must run every test: apt-get install chromium")
        pytest.skip("no Chromium is installed, so the page is not tested: apt-get install chromium")
    return found


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """A headless Chromium; one for each module, as no other asyncio loop can run in a thread that Playwright holds."""
    expect.set_options(timeout=20_000)  # of a machine that does other work
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--disable-gpu"])
        yield browser
        browser.close()


class WatchedPages:
    """Opens pages, each in a context of its own, and notes what goes wrong in them: `faults`."""

    def __init__(self, browser: Browser) -> None:
        self.faults: list[str] = []
        self._browser = browser
        self._contexts: list[BrowserContext] = []

    def open(self, **options) -> Page:
        """A page; `options` as of Playwright's `new_context`."""
        context = self._browser.new_context(**{"reduced_motion": "reduce", "locale": "en-GB"} | options)
        context.set_default_timeout(20_000)
        self._contexts.append(context)
        page = context.new_page()
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error.stack or error.message}"))
        page.on("request", self._on_request)
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    def _on_console(self, message: ConsoleMessage) -> None:
        # "Failed to load resource" is how a browser notes every status of 400 and more: the page's own to handle.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.faults.append(f"console: {message.text}")

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            self.faults.append(f"asked for {request.url}")


@pytest.fixture
def watched_pages(browser: Browser) -> Iterator[WatchedPages]:
    """Pages whose faults are noted, for tests that look at these themselves; most want `new_page`."""
    pages = WatchedPages(browser)
    yield pages
    pages.close()


@pytest.fixture
def new_page(watched_pages: WatchedPages) -> Iterator[Callable[..., Page]]:
    """The function that opens a page (arguments as of Playwright's `new_context`).

    Wait by Playwright's `expect`, not by `wait_for_function`, which the content security policy of the page forbids.

    At the end, the test fails where a page met an error of its own, was refused something by its content security
    policy, or asked another machine for anything.
    """
    yield watched_pages.open
    assert not watched_pages.faults, "\n".join(watched_pages.faults)


@pytest.fixture(scope="session")
def eeg_folder(tmp_path_factory, write_edf) -> Path:
    """A folder of two recordings, with electrodes that the micro run knows."""
    folder = tmp_path_factory.mktemp("recordings")
    write_edf(folder / "anna.edf", seed=1, names=("C3", "O1", "Fz", "C4"), seconds=30)
    write_edf(folder / "night" / "bert.edf", seed=2, names=("C3", "O1", "Fz", "C4"), seconds=30)
    return folder


@pytest.fixture
def server_settings(evidence_run, eeg_folder, tmp_path) -> ServerSettings:
    """What a service of the micro run is made with; uploads in a folder of the test's own."""
    return ServerSettings(models=(evidence_run,), folder=eeg_folder, uploads=tmp_path / "uploads", device="cpu")


@pytest.fixture
def make_client() -> Iterator[Callable]:
    """The function that makes a client of an app with given settings."""
    from fastapi.testclient import TestClient

    from neurolm.server.app import create_app

    opened = []

    def make(settings: ServerSettings, **how) -> TestClient:
        client = TestClient(create_app(settings), base_url=f"http://127.0.0.1:{settings.port}", **how)
        client.__enter__()
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def client(make_client, server_settings):
    """A client of a service in this process, of the micro run and the folder of two recordings."""
    return make_client(server_settings)


@dataclass
class ServiceProcess:
    """A running `neurolm serve`."""

    process: subprocess.Popen
    address: str
    said: list[str] = field(default_factory=list)

    @property
    def api(self) -> str:
        """The address of the API."""
        return f"{self.address}/api/v1"

    def end(self, number: int = signal.SIGTERM, seconds: float = 30) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(seconds)


@contextmanager
def _served(*flags: object, **environment: str) -> Iterator[ServiceProcess]:
    """Run `neurolm serve` on a free port, until the end of the context."""
    process = subprocess.Popen(
        [sys.executable, "-m", "neurolm", "serve", "--port", "0", "--device", "cpu", *map(str, flags)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )  # fmt: skip
    said: list[str] = []
    there = threading.Event()

    def listen() -> None:
        for line in process.stdout:
            said.append(line.rstrip("\n"))
            if re.search(r"https?://\S+", line):
                there.set()
        there.set()

    listening = threading.Thread(target=listen, daemon=True)
    listening.start()
    try:
        assert there.wait(120), said
        found = re.search(r"https?://[^\s#/]+", "\n".join(said))
        assert found, said
        yield ServiceProcess(process, found[0], said)
    finally:
        process.kill()
        process.wait()
        listening.join(10)
        process.stdout.close()


@pytest.fixture(scope="session")
def served() -> Callable[..., AbstractContextManager[ServiceProcess]]:
    """The context in which `neurolm serve` runs with given flags and variables of the environment."""
    return _served


@pytest.fixture
def service_process(evidence_run, eeg_folder, tmp_path) -> Iterator[Callable[..., ServiceProcess]]:
    """The function that starts `neurolm serve` on a free port, of the micro run and the folder of two recordings.

    Further flags may be given, and variables of the environment by name; what it takes ends with the test.
    """
    with ExitStack() as running:

        def start(*flags: object, **environment: str) -> ServiceProcess:
            words = ["--model", evidence_run, "--folder", eeg_folder, *flags]
            if "--uploads" not in flags:
                words += ["--uploads", tmp_path / "uploads"]
            return running.enter_context(_served(*words, **environment))

        yield start


@pytest.fixture
def running(service_process) -> ServiceProcess:
    """A running service, as most tests want it."""
    found = service_process()
    assert requests.get(f"{found.api}/health", timeout=10).json()["status"] == "ok"
    return found
