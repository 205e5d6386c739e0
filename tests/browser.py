"""Pages in a headless Chromium: their sections and layout, and the errors of the browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PHONE, DESKTOP = (390, 844), (1280, 800)
"""Width and height of a screen in CSS pixels."""

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass
class Opened:
    """A page that a browser has loaded.

    Attributes:
        page: Playwright's page.
        errors: Errors and warnings on the console, and exceptions of scripts, so far.
        requests: URLs that the page requested, except itself and ``data:`` URLs.
    """

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @property
    def sections(self) -> list[str]:
        """The keys of the sections."""
        return self.page.locator("main section").evaluate_all("sections => sections.map(section => section.id)")

    @property
    def overflow(self) -> int:
        """The number of pixels by which the page is wider than the screen."""
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


Open = Callable[[Path, tuple[int, int]], Opened]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Start a headless Chromium, or skip the test if there is none on the PATH."""
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        pytest.skip(f"no Chromium on the PATH (tried {', '.join(_PROGRAMS)})")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Open]:
    """Return a function that opens an HTML file on a screen of a given size until the test ends."""
    contexts = []

    def open_file(path: Path, screen: tuple[int, int]) -> Opened:
        context = chromium.new_context(viewport={"width": screen[0], "height": screen[1]})
        contexts.append(context)
        opened, url = Opened(context.new_page()), path.resolve().as_uri()
        opened.page.on("pageerror", lambda error: opened.errors.append(str(error)))
        opened.page.on(
            "console",
            lambda message: opened.errors.append(message.text) if message.type in ("error", "warning") else None,
        )
        opened.page.on(
            "request",
            lambda request: (
                None if request.url == url or request.url.startswith("data:") else opened.requests.append(request.url)
            ),
        )
        opened.page.goto(url)
        return opened

    yield open_file
    for context in contexts:
        context.close()
