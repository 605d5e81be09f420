"""The chat without a mouse, without eyes, on a phone."""

from typing import TYPE_CHECKING

import pytest

from tests.serving.browser.conftest import ask, ready, say
from tests.serving.browser.scripted import HALT, ScriptedDecoder

if TYPE_CHECKING:
    from playwright.sync_api import Page, expect
else:
    expect = pytest.importorskip("playwright.sync_api", reason="there is no playwright").expect

NAMELESS = """() => {
  const name = (one) => one.ariaLabel || one.innerText?.trim() || one.labels?.[0]?.innerText
    || (one.getAttribute("aria-labelledby") && "named");
  const wanted = "button, a, input, textarea, [role=button], [role=region], aside, nav, dialog";
  return [...document.querySelectorAll(wanted)].filter((one) => !name(one))
    .map((one) => one.outerHTML.slice(0, 100));
}"""


def press(page: "Page", *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def tab_to(page: "Page", name: str) -> None:
    """Press Tab until something of this name has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        found = page.evaluate(
            "document.activeElement.ariaLabel || document.activeElement.innerText"
        )
        if found == name:
            return
    raise AssertionError(f"{name} can't be reached with Tab")


def test_everything_can_be_done_with_the_keyboard(chat: "Page", decoder: ScriptedDecoder) -> None:
    expect(chat.locator("#question")).to_be_focused()
    chat.keyboard.type("First")
    press(chat, "Shift+Enter")
    chat.keyboard.type("line")
    press(chat, "Enter")
    expect(chat.locator(".assistant .said")).to_have_text("You said: First\nline")
    expect(chat.locator("#question")).to_be_focused()
    tab_to(chat, "New conversation")
    tab_to(chat, "Rename First line")
    press(chat, "Enter")
    chat.keyboard.type("Talk")
    press(chat, "Escape")
    expect(chat.locator(".chat-open")).to_have_text("First line")
    tab_to(chat, "Another answer")
    press(chat, "Enter")
    expect(chat.locator(".assistant")).to_contain_text("2 / 2")
    press(chat, "Shift+Escape", "ArrowUp")
    expect(chat.get_by_label("Edit your message")).to_be_focused()
    press(chat, "End", "Backspace", "Backspace", "Backspace", "Backspace", "Enter")
    expect(chat.locator(".assistant .said")).to_have_text("You said: First")
    press(chat, "Control+/")
    expect(chat.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    press(chat, "Escape")
    expect(chat.get_by_role("dialog")).to_have_count(0)
    press(chat, "Control+Shift+o")
    expect(chat.locator(".message")).to_have_count(0)
    expect(chat.locator("#question")).to_be_focused()
    tab_to(chat, "Settings")
    press(chat, "Enter")
    expect(chat.get_by_role("complementary", name="Settings")).to_be_visible()
    tab_to(chat, "Close the settings")
    press(chat, "Enter")
    expect(chat.locator("#settings-switch")).to_be_focused()


def test_the_focus_can_be_seen_and_stays_where_one_is(chat: "Page") -> None:
    chat.focus("#chats-switch")
    for _ in range(12):
        press(chat, "Tab")
        style = "getComputedStyle(document.activeElement).outlineStyle"
        around = "getComputedStyle(document.activeElement.closest('form') ?? document.body)"
        assert chat.evaluate(f"[{style}, {around}.outlineStyle].some((one) => one !== 'none')"), (
            chat.evaluate("document.activeElement.outerHTML.slice(0, 200)")
        )
    ask(chat, "One")
    chat.get_by_role("button", name="Another answer").focus()
    press(chat, "Enter")
    expect(chat.locator(".assistant")).to_contain_text("2 / 2")
    chat.get_by_role("button", name="Earlier version").focus()
    press(chat, "Enter")
    # The one it was can't go further back, so the message has the focus.
    expect(chat.locator(".assistant")).to_be_focused()
    tab_to(chat, "Delete from here on")
    press(chat, "Enter")
    assert chat.evaluate("document.activeElement.classList.contains('message')")


def test_a_screen_reader_hears_an_answer_once_and_whole(
    chat: "Page", decoder: ScriptedDecoder
) -> None:
    decoder.replies = lambda _: b"Once upon" + HALT + b" a time."
    chat.evaluate(
        """() => {
          window.heard = [];
          const place = document.getElementById("spoken");
          new MutationObserver(() => place.textContent && heard.push(place.textContent))
            .observe(place, { childList: true, characterData: true, subtree: true });
        }"""
    )
    say(chat, "Tell")
    expect(chat.locator(".assistant .said")).to_have_text("Once upon")
    expect(chat.locator("#spoken")).to_have_text("The model is answering")
    decoder.go.set()
    expect(chat.locator("#spoken")).to_have_text("The model said: Once upon a time.")
    assert chat.evaluate("heard") == ["The model is answering", "The model said: Once upon a time."]
    assert chat.locator("#spoken").get_attribute("role") == "status"
    assert chat.locator("[aria-live], [role=log]").count() == 0  # nothing else is read by itself
    headings = chat.get_by_role("heading").all_inner_texts()
    assert headings == ["Tell", "You said", "The model said"]


def test_everything_has_a_name_and_a_place(chat: "Page") -> None:
    ask(chat, "Hello")
    ask(chat, "Hello again")
    chat.get_by_role("button", name="Another answer").last.click()
    chat.locator("#send").wait_for()
    chat.click("#settings-switch")
    chat.click("#tokens-switch")
    assert chat.evaluate(NAMELESS) == []
    for role, name in (
        ("banner", None),
        ("main", None),
        ("navigation", "Pages"),
        ("complementary", "Conversations"),
        ("complementary", "Settings"),
        ("region", "Conversation"),
    ):
        found = chat.get_by_role(role, name=name, exact=True)  # type: ignore[arg-type]
        expect(found).to_have_count(1)
    assert chat.locator("html").get_attribute("lang") == "en"
    twice = (
        "(all) => all.map((one) => one.id).filter((id, place, ids) => ids.indexOf(id) !== place)"
    )
    assert chat.locator("[id]").evaluate_all(twice) == []


def test_enter_composes_before_it_sends(chat: "Page") -> None:
    """While an input method is at work, Enter chooses a word."""
    chat.fill("#question", "にほん")
    event = "new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, bubbles: true})"
    chat.evaluate(f"document.getElementById('question').dispatchEvent({event})")
    expect(chat.locator(".message")).to_have_count(0)
    press(chat, "Enter")
    expect(chat.locator(".message")).to_have_count(2)


def test_motion_is_reduced_for_who_wants_that(chat: "Page", decoder: ScriptedDecoder) -> None:
    decoder.replies = lambda _: HALT + b"x"
    chat.emulate_media(reduced_motion="reduce")
    say(chat, "Wait")
    waiting = "getComputedStyle(document.querySelector('.waiting'), '::before').animationDuration"
    chat.locator(".waiting").wait_for()
    assert float(chat.evaluate(waiting).removesuffix("s")) < 0.001


@pytest.mark.parametrize("width", [390, 320])
def test_a_phone_has_all_of_it(chat_on_phone: "Page", width: int) -> None:
    page = chat_on_phone
    page.set_viewport_size({"width": width, "height": 640})
    say(page, "Hello " + "w" * 100)
    page.locator(".assistant .tools").wait_for()
    fits = "document.documentElement.scrollWidth <= innerWidth"
    assert page.evaluate(fits)
    page.locator("#chats-switch").tap()
    drawer = page.get_by_role("complementary", name="Conversations")
    expect(drawer).to_be_visible()
    expect(page.locator("#new-chat")).to_be_focused()
    assert page.evaluate("document.getElementById('main').inert")
    assert page.evaluate(fits)
    press(page, "Escape")
    expect(drawer).to_be_hidden()
    expect(page.locator("#chats-switch")).to_be_focused()
    page.locator("#chats-switch").tap()
    page.touchscreen.tap(width - 8, 400)  # beside the drawer
    expect(drawer).to_be_hidden()
    page.locator("#settings-switch").tap()
    expect(page.get_by_label("Temperature")).to_be_visible()
    assert page.evaluate(fits)
    page.get_by_label("Close the settings").tap()
    page.locator("#chats-switch").tap()
    page.locator("#new-chat").tap()
    expect(drawer).to_be_hidden()
    expect(page.locator(".message")).to_have_count(0)


def test_fields_are_large_enough_for_fingers(chat_on_phone: "Page") -> None:
    page = chat_on_phone
    ask(page, "Hello")
    page.locator("#settings-switch").tap()
    sizes = page.locator("input, textarea").evaluate_all(
        "(all) => all.map((one) => parseFloat(getComputedStyle(one).fontSize))"
    )
    assert min(sizes) >= 16  # a phone zooms in on smaller ones
    small = page.locator("button:visible").evaluate_all(
        "(all) => all.map((one) => one.getBoundingClientRect())"
        ".filter((box) => Math.min(box.width, box.height) < 32).length"
    )
    assert small == 0


def test_enter_on_a_phone_begins_a_line(chat_on_phone: "Page") -> None:
    page = chat_on_phone
    page.fill("#question", "one")
    page.locator("#question").press("Enter")
    expect(page.locator("#question")).to_have_value("one\n")
    expect(page.locator(".message")).to_have_count(0)
    page.reload()
    ready(page)
    expect(page.locator("#question")).not_to_be_focused()  # the keyboard would hide the page
