"""The token view: alternatives, surprise, and characters put together from bytes."""

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.serving.browser.conftest import ask, ready
from tests.serving.browser.scripted import ScriptedDecoder

if TYPE_CHECKING:
    from playwright.sync_api import Page, expect
else:
    expect = pytest.importorskip("playwright.sync_api", reason="there is no playwright").expect

CARD = "#token-card"


def rows(page: "Page") -> list[list[str]]:
    """The card's rows, as they are read."""
    found = page.locator(f"{CARD} tr").all()
    return [[cell.inner_text() for cell in row.locator("th, .number").all()] for row in found]


def test_a_token_shows_what_else_could_have_come(chat: "Page", decoder: ScriptedDecoder) -> None:
    decoder.replies = lambda _: "A z"
    ask(chat, "Hello")
    expect(chat.locator(".token")).to_have_count(0)
    expect(chat.locator("#legend")).to_be_hidden()
    chat.get_by_role("button", name="Token view").click()
    expect(chat.locator("#legend")).to_be_visible()
    tokens = chat.locator(".token")
    assert tokens.all_text_contents() == ["A", " ", "z"]
    tokens.nth(0).hover()
    expect(chat.locator(f"{CARD} .card-head")).to_have_text("A1.0 bits of surprise")
    # By definition of the script each is half as likely as the one before.
    assert rows(chat) == [
        ["A", "50.0 %"],
        ["B", "25.0 %"],
        ["C", "12.5 %"],
        ["D", "6.2 %"],
        ["E", "3.1 %"],
    ]
    expect(chat.locator(f"{CARD} .chosen th")).to_have_text("A")
    tokens.nth(1).hover()
    assert rows(chat)[0] == ["␣", "50.0 %"]
    tokens.nth(2).hover()
    # A chance of 0.001 is 9.97 bits, and it isn't among the likeliest.
    expect(chat.locator(f"{CARD} .card-head")).to_have_text("z10.0 bits of surprise")
    assert rows(chat)[-1] == ["z", "0.10 %"]
    assert len(rows(chat)) == 6
    classes = [token.get_attribute("class") or "" for token in tokens.all()]
    assert ["b1" in classes[0], "b8" in classes[2]] == [True, True]
    shades = [
        token.evaluate("(element) => getComputedStyle(element).backgroundColor")
        for token in tokens.all()
    ]
    assert shades[0] == shades[1] != shades[2]
    expect(chat.locator(".assistant .note")).to_have_text("3 tokens, 3.99 bits each.")
    chat.mouse.move(5, 5)
    expect(chat.locator(CARD)).to_be_hidden()
    chat.get_by_role("button", name="Token view").click()
    expect(chat.locator(".token")).to_have_count(0)
    expect(chat.locator(".assistant .said")).to_have_text("A z")


def test_characters_are_put_together_from_bytes(chat: "Page", decoder: ScriptedDecoder) -> None:
    decoder.replies = lambda _: b"e\xcc\x81 \xc3\xa9 \xf0\x9f\x98\x80 \xe2\x82 \xff."
    chat.click("#tokens-switch")
    ask(chat, "Hello")
    tokens = chat.locator(".token")
    shown = tokens.all_text_contents()
    assert shown == ["e", "\u0301", " ", "é", " ", "😀", " ", "\ufffd ", "\ufffd", "."]
    tokens.nth(3).hover()
    heads = chat.locator(f"{CARD} .card-head").all_inner_texts()
    assert [" ".join(head.split()) for head in heads] == [
        "\\xc3 1.0 bits of surprise, part 1 of 2",
        "\\xa9 1.0 bits of surprise, part 2 of 2",
    ]
    tokens.nth(5).hover()
    expect(chat.locator(f"{CARD} table")).to_have_count(4)
    expect(chat.locator(".assistant .note")).to_contain_text("17 tokens")


def test_the_token_view_works_from_the_keyboard(chat: "Page", decoder: ScriptedDecoder) -> None:
    decoder.replies = lambda _: "ab\ncd"
    ask(chat, "Hello")
    chat.keyboard.press("Control+Shift+l")
    expect(chat.get_by_role("button", name="Token view")).to_have_attribute("aria-pressed", "true")
    chat.locator(".token").first.focus()
    expect(chat.locator(CARD)).to_be_visible()
    seen = []
    for key in ("ArrowRight", "ArrowRight", "End", "ArrowRight", "Home", "ArrowLeft"):
        chat.keyboard.press(key)
        seen.append(chat.evaluate("document.activeElement.ariaLabel"))
    assert seen == [
        "b: 50.0 %, 1.0 bits",
        "line end: 50.0 %, 1.0 bits",
        "d: 50.0 %, 1.0 bits",
        "d: 50.0 %, 1.0 bits",
        "a: 50.0 %, 1.0 bits",
        "a: 50.0 %, 1.0 bits",
    ]
    assert rows(chat)[0] == ["a", "50.0 %"]
    assert chat.locator('.token[tabindex="0"]').count() == 1
    chat.keyboard.press("Escape")
    expect(chat.locator(CARD)).to_be_hidden()


def test_a_tap_shows_the_card_and_another_hides_it(chat_on_phone: "Page") -> None:
    page = chat_on_phone
    ask(page, "Hello")
    page.locator("#tokens-switch").tap()
    page.locator(".token").nth(4).tap()
    expect(page.locator(CARD)).to_be_visible()
    box = page.locator(CARD).bounding_box()
    assert box is not None
    assert 0 <= box["x"] <= box["x"] + box["width"] <= 390
    assert 0 <= box["y"] <= box["y"] + box["height"] <= 844
    page.locator(".user").tap()
    expect(page.locator(CARD)).to_be_hidden()


def test_probabilities_are_there_after_a_reload(chat: "Page") -> None:
    ask(chat, "Hello")
    chat.click("#tokens-switch")
    chat.reload()
    ready(chat)
    chat.locator(".token").first.hover()
    assert rows(chat)[0] == ["Y", "50.0 %"]


def evaluate(page: "Page", module: str, body: str, value: object) -> Any:
    """Run a piece of a module of ours on a value."""
    code = f"async (value) => {{ const it = await import('/static/{module}'); {body} }}"
    return page.evaluate(code, value)


def test_cells_are_whole_characters_however_tokens_cut_them(chat: "Page") -> None:
    text = "naïve – «ça» 漢字 👩‍🚀 e\u0301\r\n\ufeffend"
    data = text.encode()
    for size in (1, 2, 3, 4, 5, 7, len(data)):
        parts = [data[i : i + size].decode("latin-1") for i in range(0, len(data), size)]
        body = "return it.cells(value.map((bytes) => [bytes, -1, []])).map((cell) => cell.text);"
        cells = evaluate(chat, "tokens.js", body, parts)
        assert "".join(cells) == text
        assert not any("\ufffd" in cell for cell in cells)
    body = "return it.cells([['a', -1, []], ['\\xe2\\x82', -1, []]], {last: false}).length;"
    assert evaluate(chat, "tokens.js", body, None) == 1


def test_probabilities_are_never_rounded_to_what_they_are_not(chat: "Page") -> None:
    wanted = {
        0.0: "100.0 %",
        -0.0001: "> 99.9 %",
        -0.6931471805599453: "50.0 %",
        -5.0: "0.67 %",
        -9999.0: "< 0.01 %",
    }
    body = "return value.map(it.percent);"
    assert evaluate(chat, "tokens.js", body, list(wanted)) == list(wanted.values())


def test_events_are_read_however_they_are_cut(chat: "Page") -> None:
    stream = (
        'data: {"a": "é"}\n\n: a comment\r\n\r\ndata:one\rdata: two\r\revent: x\ndata\n\ndata: cut'
    )
    data = list(stream.encode())
    body = """
      const found = [];
      for (const size of [1, 2, 3, 5, 8, 1000]) {
        const stream = new ReadableStream({
          start(controller) {
            for (let at = 0; at < value.length; at += size) {
              controller.enqueue(Uint8Array.from(value.slice(at, at + size)));
            }
            controller.close();
          },
        });
        const seen = [];
        for await (const data of it.events(stream)) seen.push(data);
        found.push(JSON.stringify(seen));
      }
      return found;
    """
    found = evaluate(chat, "sse.js", body, data)
    assert {tuple(json.loads(one)) for one in found} == {('{"a": "é"}', "one\ntwo", "")}


PIECES: dict[str, list[tuple[bool, str]]] = {
    "plain\n\n text ": [(False, "plain\n\n text ")],
    "```py\na\n```": [(True, "a")],
    "a\n\n```\nb\n\nc\n```\n\nd": [(False, "a"), (True, "b\n\nc"), (False, "d")],
    "````\n```\n````": [(True, "```")],
    "a\n```\nopen": [(False, "a"), (True, "open")],
    "in `code` or ```this``` is none": [(False, "in `code` or ```this``` is none")],
}


def test_what_stands_in_fences_is_code(chat: "Page") -> None:
    found = evaluate(chat, "text.js", "return value.map(it.pieces);", list(PIECES))
    for pieces, wanted in zip(found, PIECES.values(), strict=True):
        assert [(piece["code"], piece["text"]) for piece in pieces] == wanted
