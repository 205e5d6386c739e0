"""Pages in a headless Chromium: what their readers see, and what the browser complains of."""

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

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass
class Opened:
    """A page that a browser has loaded.

    Attributes:
        page: Playwright's handle on it.
        errors: What has gone to the console as an error or a warning, and exceptions of its scripts, so far.
        requests: Addresses it has asked for, but for itself and what it holds as ``data:``.
    """

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @property
    def sections(self) -> list[str]:
        """The keys of its sections."""
        return self.page.locator("main section").evaluate_all("found => found.map(section => section.id)")

    @property
    def overflow(self) -> int:
        """By how many pixels it is wider than the screen."""
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


Open = Callable[[Path, tuple[int, int]], Opened]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless Chromium; the test is skipped where there is none on the PATH."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip(f"no Chromium on the PATH (looked for {', '.join(_NAMES)})")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Open]:
    """Opens an HTML file on a screen of some size; it is closed after the test."""
    contexts = []

    def open_file(path: Path, screen: tuple[int, int]) -> Opened:
        context = chromium.new_context(viewport={"width": screen[0], "height": screen[1]})
        contexts.append(context)
        opened, address = Opened(context.new_page()), path.resolve().as_uri()
        opened.page.on("pageerror", lambda error: opened.errors.append(str(error)))
        opened.page.on(
            "console",
            lambda message: opened.errors.append(message.text) if message.type in ("error", "warning") else None,
        )
        opened.page.on(
            "request",
            lambda request: (
                None
                if request.url == address or request.url.startswith("data:")
                else opened.requests.append(request.url)
            ),
        )
        opened.page.goto(address)
        return opened

    yield open_file
    for context in contexts:
        context.close()
