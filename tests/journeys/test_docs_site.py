"""Does the site open in a browser? Every page, every link within it, the search, and a silent console.

Slow, and of a site that is there: `make docs` first.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

import pytest

SITE = Path(__file__).parents[2] / "docs" / "_build" / "html"
PAGES = sorted(str(page.relative_to(SITE)) for page in SITE.rglob("*.html") if "_static" not in page.parts)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not PAGES, reason="no site: run `make docs`")]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Browser:
    """Headless Chromium through chromedriver, by the WebDriver protocol."""

    def __init__(self, driver: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen([driver, f"--port={port}"], stdout=quiet, stderr=quiet)
        self.at = f"http://127.0.0.1:{port}/session"
        switches = ["headless", "no-sandbox", "disable-gpu", "disable-background-networking", "disable-sync"]
        options = {"args": [f"--{switch}" for switch in switches]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        for _ in range(100):
            try:
                session = self.ask("", {"capabilities": {"alwaysMatch": wanted}})
                break
            except OSError:
                time.sleep(0.3)
        self.at += f"/{session['sessionId']}"

    def ask(self, what: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.at + what, data), timeout=120) as answer:
            return json.load(answer)["value"]

    def open(self, url: str) -> None:
        self.ask("/url", {"url": url})

    def run(self, script: str) -> Any:
        return self.ask("/execute/sync", {"script": script, "args": []})

    def complaints(self) -> list[str]:
        """What the console said since it was last asked."""
        found = self.ask("/se/log", {"type": "browser"})
        return [entry["message"] for entry in found if entry["level"] in ("SEVERE", "WARNING")]

    def close(self) -> None:
        urllib.request.urlopen(urllib.request.Request(self.at, method="DELETE"), timeout=30)
        self.process.terminate()


@pytest.fixture(scope="module")
def home() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(SITE)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    driver = shutil.which("chromedriver")
    if driver is None:
        pytest.skip("no chromedriver on this machine")
    browser = Browser(driver)
    yield browser
    browser.close()


class Links(HTMLParser):
    """The links and the anchors of a page, and what it loads."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            if name in ("href", "src") and value and not value.startswith(("http", "data:", "mailto:", "//")):
                self.links.append(value)


def test_no_link_within_the_site_is_dead() -> None:
    read = {page: Links(SITE / page) for page in PAGES}
    dead = []
    for page, found in read.items():
        for link in found.links:
            where, anchor = urldefrag(unquote(urljoin(page, link)))
            where = where.partition("?")[0]
            if not (SITE / where).is_file() and not (SITE / where / "index.html").is_file():
                dead.append(f"{page}: {link}")
            elif anchor and where in read and anchor not in read[where].anchors:
                dead.append(f"{page}: {link}, no such anchor")
    assert not dead


def test_nothing_is_loaded_from_elsewhere() -> None:
    for page in PAGES:
        text = (SITE / page).read_text(encoding="utf-8")
        assert 'src="http' not in text, page


def test_every_page_opens_in_a_narrow_window_and_the_console_is_silent(home: str, browser: Browser) -> None:
    browser.ask("/window/rect", {"width": 500, "height": 900})
    bad = []
    for page in PAGES:
        browser.open(home + page)
        bad += [f"{page}: {said}" for said in browser.complaints()]
        if page not in ("index.html", "search.html") and not browser.run(
            "return document.querySelector('h1, h2') !== null"
        ):
            bad.append(f"{page}: no heading")
        if browser.run("return document.documentElement.scrollWidth > window.innerWidth + 1"):
            bad.append(f"{page}: wider than the window")
    assert not bad


def test_the_console_would_be_heard(home: str, browser: Browser) -> None:
    browser.open(home + PAGES[0])
    browser.run("console.error('canary')")
    assert any("canary" in said for said in browser.complaints())


@pytest.mark.parametrize(("words", "page"), [("missing modality", "missing"), ("FusionModel", "reference/models")])
def test_search_finds_the_page(home: str, browser: Browser, words: str, page: str) -> None:
    browser.open(f"{home}search.html?q={words.replace(' ', '+')}")
    links: list[str] = []
    for _ in range(100):
        links = browser.run("return [...document.querySelectorAll('ul.search a')].map(a => a.getAttribute('href'))")
        if any(page in link for link in links):
            break
        time.sleep(0.2)
    assert any(page in link for link in links), links
