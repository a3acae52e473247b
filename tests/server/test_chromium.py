"""The browser of the tests notices what they rely on its noticing."""

import functools
import http.server
import threading
from pathlib import Path

import pytest
from playwright.sync_api import expect


@pytest.fixture
def site(tmp_path: Path):
    """A tiny site of the files in a folder, with a strict content security policy: (its address, the folder)."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            self.send_header("Content-Security-Policy", "default-src 'none'; script-src 'self'")
            super().end_headers()

        def log_message(self, *_) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=tmp_path))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", tmp_path
    server.shutdown()
    thread.join()
    server.server_close()


def test_modules_run_in_the_browser(site, new_page) -> None:
    address, folder = site
    (folder / "sum.js").write_text("export const sum = (a, b) => a + b")
    (folder / "app.js").write_text("import {sum} from './sum.js'; document.title = String(sum(40, 2))")
    (folder / "index.html").write_text("<!doctype html><script type='module' src='app.js'></script>")
    page = new_page()
    page.goto(address)
    expect(page).to_have_title("42")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<script>document.title = 'inline'</script>", "Content Security Policy"),
        ("<script src='fails.js'></script>", "it failed"),
        ("<meta http-equiv='refresh' content='0; url=http://localhost:9/'>", "asked for http://localhost:9/"),
    ],
)
def test_faults_of_a_page_are_noticed(site, watched_pages, body: str, said: str) -> None:
    address, folder = site
    (folder / "fails.js").write_text("throw new Error('it failed')")
    (folder / "index.html").write_text(f"<!doctype html>{body}")
    page = watched_pages.open()
    page.goto(address)
    for _ in range(50):
        if any(said in fault for fault in watched_pages.faults):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{said!r} is not among {watched_pages.faults}")
