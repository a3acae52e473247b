"""What the tests of the service share: a browser."""

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

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

    At the end, the test fails where a page met an error of its own, was refused something by its content security
    policy, or asked another machine for anything.
    """
    yield watched_pages.open
    assert not watched_pages.faults, "\n".join(watched_pages.faults)
