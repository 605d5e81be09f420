"""A real browser: Debian's chromium, driven by Playwright. Skipped, and said, where it isn't."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.serving.browser.scripted import ScriptedDecoder
from tests.serving.live import TOKEN, Live, LiveClassifier, byte_model, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page

CONTEXT = 512
SECONDS = 60
"""To wait at most; long, since a machine may be busy with other tests."""
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "is_mobile": True,
    "has_touch": True,
}


# Not for the session: while Playwright runs, this thread has an event loop, and others need one.
@pytest.fixture(scope="package")
def browser() -> Iterator["Browser"]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium isn't installed")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed")
    playwright.expect.set_options(timeout=SECONDS * 1000)
    with playwright.sync_playwright() as driver:
        # Root can't have chromium's sandbox, and only our own pages are opened.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def served() -> Iterator[Live]:
    with running(model=byte_model(CONTEXT)) as live:
        yield live


@pytest.fixture
def decoder(served: Live) -> Iterator[ScriptedDecoder]:
    """What answers; it repeats what it is told until a test sets other `replies`."""
    assert served.wait_idle()
    scripted = ScriptedDecoder(lambda question: f"You said: {question}", context=CONTEXT)
    before, served.engine._decoder = served.engine._decoder, scripted  # type: ignore[assignment]
    yield scripted
    scripted.go.set()
    assert served.wait_idle()
    served.engine._decoder = before


@pytest.fixture(scope="package")
def shared(browser: "Browser") -> Iterator[tuple["BrowserContext", list[str]]]:
    """Where `desktop` is, and what its pages do wrong."""
    context = browser.new_context(**DESKTOP)
    yield context, listen(context)
    context.close()


@pytest.fixture
def desktop(shared: tuple["BrowserContext", list[str]]) -> Iterator["Page"]:
    """A page without a past, on a computer: the last test's, which costs a fourth of a new one."""
    context, wrong = shared
    wrong.clear()
    page = context.pages[0] if context.pages else context.new_page()
    yield page
    forget(page)
    assert wrong == []


def forget(page: "Page") -> None:
    """Take away all that a test may have left in a page and its context."""
    context = page.context
    for other in context.pages:
        if other != page:
            other.close()
    for place in (page, context):
        place.unroute_all()
    context.set_offline(False)
    page.goto("about:blank")
    context.clear_cookies()
    context.clear_permissions()
    session = context.new_cdp_session(page)
    session.send("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "all"})
    session.detach()
    page.emulate_media(color_scheme=DESKTOP["color_scheme"], reduced_motion="null")
    page.set_viewport_size(DESKTOP["viewport"])
    page.mouse.move(0, 0)


@pytest.fixture
def context(browser: "Browser") -> Iterator["BrowserContext"]:
    """A browser without a past, on a computer."""
    yield from watched(browser.new_context(**DESKTOP))


@pytest.fixture
def phone(browser: "Browser") -> Iterator["BrowserContext"]:
    """The same, on a phone."""
    yield from watched(browser.new_context(**PHONE))


def watched(context: "BrowserContext") -> Iterator["BrowserContext"]:
    """What its pages do wrong fails the test."""
    wrong = listen(context)
    yield context
    context.close()
    assert wrong == []


def listen(context: "BrowserContext") -> list[str]:
    """Note what its pages do wrong: errors, dialogs, what the policy has to refuse."""
    context.set_default_timeout(SECONDS * 1000)
    wrong: list[str] = []

    def dismiss(dialog: "Dialog") -> None:
        wrong.append(dialog.message)
        dialog.dismiss()

    def hear(said: "ConsoleMessage") -> None:
        if "Content Security Policy" in said.text or "Trusted" in said.text:
            wrong.append(said.text)

    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on("dialog", dismiss)
    context.on("console", hear)
    return wrong


def opened(
    context: "BrowserContext", live: Live | LiveClassifier, path: str = "/"
) -> Iterator["Page"]:
    """A new page, where `enter` leads."""
    page = context.new_page()
    enter(page, live, path)
    yield page
    page.close()


def enter(page: "Page", live: Live | LiveClassifier, path: str = "/") -> None:
    """Open a page of ours, by the printed link first."""
    page.goto(f"{live.address}/?token={TOKEN}")
    if path != "/":
        page.goto(live.address + path)


@pytest.fixture
def chat(served: Live, decoder: ScriptedDecoder, desktop: "Page") -> "Page":
    """The page of the chat, ready."""
    enter(desktop, served)
    ready(desktop)
    return desktop


@pytest.fixture
def chat_on_phone(
    served: Live, decoder: ScriptedDecoder, phone: "BrowserContext"
) -> Iterator["Page"]:
    for page in opened(phone, served):
        ready(page)
        yield page


def ready(page: "Page") -> None:
    """Wait until the page knows its model."""
    page.locator("#starters button").first.wait_for(state="attached")


def until(page: "Page", condition: Callable[[], bool]) -> None:
    """Let the browser go on, and what is told of it come in, until something holds."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        page.wait_for_timeout(10)


def say(page: "Page", text: str) -> None:
    """Send a message, and don't wait for the answer."""
    page.fill("#question", text)
    page.click("#send")


def ask(page: "Page", text: str) -> str:
    """Send a message; returns what was answered."""
    say(page, text)
    page.locator("#send").wait_for()
    return page.locator(".assistant .said").last.inner_text()
