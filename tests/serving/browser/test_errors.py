"""What can go wrong around the chat: it is said on the page, and nothing is lost."""

import json
from typing import TYPE_CHECKING

import pytest

from maquette.serving.limits import Limits
from tests.serving.browser.conftest import CONTEXT, ask, opened, ready, say
from tests.serving.browser.scripted import HALT, ScriptedDecoder
from tests.serving.live import TOKEN, Live, byte_model, running

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page, Route, expect
else:
    expect = pytest.importorskip("playwright.sync_api", reason="there is no playwright").expect

API = "**/v1/chat/completions"
SSE = {"content-type": "text/event-stream"}


def notice(page: "Page", *parts: str) -> None:
    for part in parts:
        expect(page.locator("#notices")).to_contain_text(part)


def again(page: "Page") -> None:
    page.get_by_role("button", name="Try again").click()


def chunk(text: str) -> str:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return f"data: {json.dumps({'choices': [choice]})}\n\n"


def test_who_has_lost_the_cookie_is_told_to_open_the_link_again(chat: "Page", served: Live) -> None:
    ask(chat, "Before")
    chat.context.clear_cookies()
    say(chat, "After")
    notice(chat, "Open the link that maquette serve printed again", "The conversations stay here")
    other = chat.context.new_page()
    other.goto(f"{served.address}/?token={TOKEN}")
    again(chat)
    expect(chat.locator(".assistant .said").last).to_have_text("You said: After")
    expect(chat.locator(".message")).to_have_count(4)
    expect(chat.locator(".notice")).to_have_count(0)


def test_a_server_that_is_gone_is_told(chat: "Page") -> None:
    chat.route(API, lambda route: route.abort())
    say(chat, "Hello")
    notice(chat, "The server can't be reached", "maquette serve")
    chat.unroute(API)
    chat.reload()
    ready(chat)
    chat.locator(".user").hover()
    chat.get_by_role("button", name="Ask again").click()
    expect(chat.locator(".assistant .said")).to_have_text("You said: Hello")


def test_a_page_without_its_model_finds_it_later(
    served: Live, decoder: ScriptedDecoder, context: "BrowserContext"
) -> None:
    context.route("**/v1/models", lambda route: route.abort())
    for page in opened(context, served):
        notice(page, "The server can't be reached")
        page.fill("#question", "Hello")
        expect(page.locator("#send")).to_be_disabled()
        context.unroute("**/v1/models")
        again(page)
        page.click("#send")
        expect(page.locator(".assistant .said")).to_have_text("You said: Hello")


@pytest.mark.parametrize("how", ["broken off", "torn event", "no event"])
def test_an_answer_that_breaks_off_is_kept(chat: "Page", how: str) -> None:
    ends = {"broken off": "", "torn event": 'data: {"choices": [', "no event": "data: {\n\n"}

    def answer(route: "Route") -> None:
        route.fulfill(headers=SSE, body=chunk("Once upon") + chunk(" a time") + ends[how])

    chat.route(API, answer)
    say(chat, "Hello")
    notice(chat, "The connection broke in the middle of the answer")
    expect(chat.locator(".assistant .said")).to_have_text("Once upon a time")
    expect(chat.locator(".assistant .note")).to_have_text("It broke off here.")
    chat.unroute(API)
    again(chat)
    expect(chat.locator(".assistant .said")).to_have_text("You said: Hello")
    expect(chat.locator(".assistant")).to_contain_text("2 / 2")


def test_a_busy_server_is_told(context: "BrowserContext") -> None:
    limits = Limits(slots=1, queue=0)
    with running(limits=limits, model=byte_model(CONTEXT)) as live:
        decoder = ScriptedDecoder(lambda _: b"Slow" + HALT, context=CONTEXT, slots=1)
        live.engine._decoder = decoder  # type: ignore[assignment]
        for page in opened(context, live):
            ready(page)
            say(page, "One")
            expect(page.locator(".assistant .said")).to_have_text("Slow")
            page.click("#new-chat")
            say(page, "Two")
            notice(page, "The server is busy")
            decoder.go.set()
            expect(page.locator(".chat-open.busy")).to_have_count(0)
            assert live.wait_idle()
            again(page)
            expect(page.locator(".assistant .said")).to_have_text("Slow")


def test_a_model_that_fails_or_says_nothing_is_told(chat: "Page", decoder: ScriptedDecoder) -> None:
    decoder.replies = lambda _: RuntimeError("out of memory")
    say(chat, "Hello")
    notice(chat, "The server says: the model failed.")
    decoder.replies = lambda _: ""
    again(chat)
    notice(chat, "The model wrote nothing.")
    decoder.replies = lambda _: "There."
    again(chat)
    expect(chat.locator(".assistant .said")).to_have_text("There.")


def test_a_question_without_an_answer_is_not_read(chat: "Page", decoder: ScriptedDecoder) -> None:
    decoder.replies = lambda _: RuntimeError("out of memory")
    say(chat, "Lost")
    notice(chat, "failed")
    decoder.replies = lambda _: "There."
    ask(chat, "Found")
    assert decoder.prompts[-1] == "user: Found\nassistant: "


def test_the_oldest_turns_are_left_out_only_when_that_is_wanted(
    chat: "Page", decoder: ScriptedDecoder
) -> None:
    chat.click("#settings-switch")
    chat.get_by_label("System prompt").fill("Be brief.")
    decoder.replies = lambda _: "A" * 180
    ask(chat, "First")
    ask(chat, "Second")
    say(chat, "Third " + "x" * 150)
    notice(chat, "no longer fits", "512 tokens", "system prompt and your last message stay")
    assert len(decoder.prompts) == 2
    chat.get_by_role("button", name="Leave out the oldest").click()
    expect(chat.locator(".assistant .said")).to_have_count(3)
    expect(chat.locator(".assistant").last).to_contain_text("did not read the 4 oldest messages")
    assert decoder.prompts[-1].startswith("system: Be brief.\nuser: Third")
    expect(chat.locator(".message")).to_have_count(6)
    ask(chat, "Fourth")
    expect(chat.locator(".assistant").last).to_contain_text("oldest messages")
    say(chat, "x" * 600)
    notice(chat, "Your message doesn't fit", "Say it in fewer words")


def test_a_first_message_that_is_too_long_is_told(chat: "Page") -> None:
    say(chat, "x" * 600)
    notice(chat, "Your message doesn't fit", "the prompt has 618")
    expect(chat.get_by_role("button", name="Leave out the oldest")).to_have_count(0)


FILL = """(free) => {
  let text = "x".repeat(1 << 20);
  let key = 0;
  while (text.length) {
    try { localStorage.setItem(`filler${key}`, text); key += 1; }
    catch { text = text.slice(text.length / 2 + 1); }
  }
  localStorage.setItem("filler0", "x".repeat((1 << 20) - free));
}"""


def test_a_full_storage_is_told_and_the_page_goes_on(
    chat: "Page", decoder: ScriptedDecoder
) -> None:
    chat.evaluate(FILL, 0)
    assert ask(chat, "After") == "You said: After"
    notice(chat, "storage is full", "lasts until this page is closed", "Export")
    chat.click("#new-chat")
    assert ask(chat, "Small") == "You said: Small"
    expect(chat.locator(".notice")).to_have_count(1)
    chat.evaluate("localStorage.removeItem('filler0')")
    # As soon as there is room all of them are kept, not only the one that made it.
    chat.locator("#chat-list li").first.hover()
    chat.get_by_role("button", name="Delete Small").click()
    expect(chat.get_by_text("storage is full")).to_have_count(0)
    chat.get_by_role("button", name="After", exact=True).click()
    ask(chat, "Later")
    chat.reload()
    expect(chat.locator(".message")).to_have_count(4)


def test_a_nearly_full_storage_keeps_the_words(chat: "Page", decoder: ScriptedDecoder) -> None:
    chat.evaluate(FILL, 4000)
    decoder.replies = lambda _: "A" * 199
    ask(chat, "Much")
    notice(chat, "To make room", "every message is kept")
    chat.reload()
    ready(chat)
    chat.click("#tokens-switch")
    expect(chat.locator(".assistant .said")).to_have_text("A" * 199)
    expect(chat.locator(".assistant .note")).to_have_text("Its probabilities weren't kept.")


def test_without_a_storage_the_page_works_and_says_so(
    served: Live, decoder: ScriptedDecoder, context: "BrowserContext"
) -> None:
    context.add_init_script(
        "Object.defineProperty(window, 'localStorage',"
        " {get() { throw new DOMException('refused', 'SecurityError') }})"
    )
    for page in opened(context, served):
        ready(page)
        notice(page, "refuses to store anything", "lasts until this page is closed")
        assert ask(page, "Hello") == "You said: Hello"
        page.get_by_role("button", name="Theme: as the system's").click()
        expect(page.get_by_role("button", name="Theme: light")).to_be_visible()


def broken_chats() -> list[str]:
    """What no page of ours would have stored under the key of the conversation `x`."""
    node = {"id": 1, "parent": None, "role": "user", "content": "a"}
    chat = {
        "id": "x",
        "title": "",
        "named": False,
        "system": "",
        "dropOldest": False,
        "asked": 0,
        "created": 0,
        "updated": 0,
        "leaf": 1,
        "nodes": [node],
    }
    changes: list[dict[str, object]] = [
        {"id": "y"},
        {"title": None},
        {"leaf": 2},
        {"nodes": {}},
        {"nodes": [{**node, "parent": 1}]},
        {"nodes": [node, node]},
        {"nodes": [{**node, "role": "system"}]},
        {"nodes": [{**node, "content": ["a"]}]},
        {"nodes": [{**node, "end": "x"}]},
        {"nodes": [{**node, "tokens": [[1, 2, 3]]}]},
        {"nodes": [{**node, "tokens": [["a", None, []]]}]},
    ]
    return ["", "{", "null", "[]", "1", *(json.dumps({**chat, **change}) for change in changes)]


def test_broken_conversations_in_the_storage_are_left_alone(chat: "Page") -> None:
    broken = broken_chats()
    ask(chat, "Sound")
    unread = chat.evaluate(
        """async (rows) => {
          const { loadChats } = await import("/static/store.js");
          return rows.filter((row) => {
            localStorage.setItem("maquette.chat.x", row);
            const { chats, broken } = loadChats();
            return broken === 1 && chats.length === 1;
          }).length;
        }""",
        broken,
    )
    assert unread == len(broken)
    chat.reload()
    ready(chat)
    notice(chat, "1 of the stored conversations can't be read")
    expect(chat.locator(".message")).to_have_count(2)
    assert chat.evaluate("localStorage.getItem('maquette.chat.x')") == broken[-1]
