"""The page in a real browser: it shows what the command shows, and Ctrl-C ends it."""

import contextlib
import re
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from maquette.serving.listening import listen
from maquette.simulation.paint import plain
from maquette.simulation.terminal import AGAIN, STOPPED, perform
from maquette.web.server import Server
from tests.serving.browser.conftest import DESKTOP, PHONE, until, watched

pytest.importorskip("playwright.sync_api", reason="playwright isn't installed")

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

ABOUT = "fine-tuning of a language model on conversations, seed 3"
HEAR = """
window.heard = "";
const Worker = window.Worker;
window.Worker = class extends Worker {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", ({ data: { kind, text } }) => {
      if (kind === "text") window.heard += text;
    });
  }
};
"""
"""What the worker sends is kept, since the terminal lets go of the lines that scroll away."""


@contextlib.contextmanager
def serving(files: dict[str, bytes]) -> Iterator[str]:
    with listen("127.0.0.1", 0) as bound:
        server = Server(files, bound)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def address(files: dict[str, bytes]) -> Iterator[str]:
    """Below a path of another server, as on pages of a project."""
    place = "some/where/"
    with serving(
        {"index.html": b"another page"} | {place + n: c for n, c in files.items()}
    ) as root:
        yield f"{root}/{place}index.html"


class Watched:
    """A page, and what it asks for and complains of."""

    def __init__(self, context: "BrowserContext") -> None:
        self.asked: list[str] = []
        self.complaints: list[str] = []
        context.add_init_script(HEAR)
        context.on("request", lambda request: self.asked.append(request.url))
        context.on("console", lambda said: self.complaints.append(said.text))
        self.page = context.new_page()

    def open(self, address: str) -> "Page":
        self.page.goto(address)
        return self.page


@pytest.fixture
def watched_page(browser: "Browser") -> Iterator[Watched]:
    for context in watched(browser.new_context(**DESKTOP)):
        seen = Watched(context)
        yield seen
        assert seen.complaints == []
        assert {urlsplit(url).hostname for url in seen.asked} == {"127.0.0.1"}


@pytest.fixture
def page_on_phone(browser: "Browser") -> Iterator[Watched]:
    for context in watched(browser.new_context(**PHONE)):
        yield Watched(context)


def rows(page: "Page") -> list[str]:
    """What can be seen of the terminal, without the empty rows at its end."""
    texts = page.locator(".xterm-rows > div").all_inner_texts()
    shown = [text.replace("\xa0", " ").rstrip() for text in texts]
    while shown and not shown[-1]:
        shown.pop()
    return shown


def heard(page: "Page") -> str:
    return str(page.evaluate("heard"))


def wait_for(page: "Page", text: str) -> None:
    page.locator(".xterm-rows", has_text=text).wait_for()


def columns(page: "Page") -> int:
    """As wide as the headings, which go from one side to the other."""
    titles = re.findall(r"^.* ─+$", plain(heard(page)), re.MULTILINE)
    return max(map(len, titles))


def final(text: str) -> list[str]:
    """The lines that stand when all is shown."""
    return [line.rpartition("\r\x1b[2K")[2].rstrip() for line in text.split("\n")]


def test_it_shows_the_command_s_bytes_to_the_end(watched_page: Watched, address: str) -> None:
    query = "module=image_training&speed-factor=1000&seed=3&exit-after-modules=1"
    page = watched_page.open(f"{address}?{query}")
    wait_for(page, AGAIN)
    shown = heard(page)
    width = columns(page)
    assert width > 100
    assert shown == "".join(text for text, _ in perform(query, lambda: width))
    lines = [plain(line) for line in final(shown)]
    seen = rows(page)
    assert seen == lines[:-1][-len(seen) :]
    assert len(seen) > 20
    assert page.locator("#module").input_value() == "image_training"
    assert page.locator("#speed").input_value() == "1000"


def test_ctrl_c_copies_what_is_selected_else_it_ends_the_show(
    watched_page: Watched, address: str
) -> None:
    watched_page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = watched_page.open(f"{address}?module=chat_tuning&seed=3&speed-factor=5")
    wait_for(page, ABOUT)
    box = page.locator(".xterm-rows > div", has_text=ABOUT).bounding_box()
    assert box is not None
    page.mouse.dblclick(box["x"] + 40, box["y"] + 8)
    page.keyboard.press("Control+c")
    until(page, lambda: page.evaluate("navigator.clipboard.readText()") == "fine-tuning")
    assert STOPPED not in heard(page)

    page.keyboard.press("Control+c")  # nothing is selected any more
    wait_for(page, AGAIN)
    assert rows(page)[-2:] == [STOPPED, AGAIN]
    length = len(heard(page))
    page.wait_for_timeout(300)
    assert len(heard(page)) == length

    page.keyboard.press("Enter")
    until(page, lambda: heard(page).count(ABOUT) == 2)
    page.locator("#toggle", has_text="Stop").click()
    until(page, lambda: heard(page).count(STOPPED) == 2)
    page.locator("#toggle", has_text="Begin").wait_for()


def test_on_a_phone_what_is_wrong_with_the_address_is_told_and_the_controls_mend_it(
    page_on_phone: Watched, address: str
) -> None:
    page = page_on_phone.open(f"{address}?module=image&seed=3&speed-factor=7")
    wait_for(page, "there is no such module")
    error, hint = "".join(rows(page)).split("  ")
    assert error == "error: --module image: there is no such module"
    assert hint.startswith("did you mean image_training? there are llm_training")
    assert page.locator("#speed").input_value() == "7"

    page.locator("#module").select_option("chat_tuning")
    wait_for(page, ABOUT)
    assert "error" not in " ".join(rows(page))
    assert page.url == f"{address}?seed=3&speed-factor=7&module=chat_tuning"
    assert columns(page) >= 60
    assert page.evaluate("document.documentElement.scrollWidth") == 390

    page.locator("#speed").select_option("1000")
    assert page.url == f"{address}?seed=3&speed-factor=1000&module=chat_tuning"
    until(page, lambda: "summary" in heard(page))
    page.locator("#toggle").tap()
    until(page, lambda: STOPPED in heard(page))


def test_where_python_cannot_be_loaded_it_says_so(
    browser: "Browser", files: dict[str, bytes]
) -> None:
    broken = {name: content for name, content in files.items() if not name.endswith(".wasm")}
    with serving(broken) as address:
        context = browser.new_context(**DESKTOP)
        page = context.new_page()
        page.goto(address)
        wait_for(page, "error:")
        page.locator("#toggle[disabled]").wait_for()
        context.close()
