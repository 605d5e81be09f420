"""The chat in a real browser: what a person does, and what the page keeps of it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.serving.browser.conftest import ask, ready, say
from tests.serving.browser.scripted import HALT, ScriptedDecoder
from tests.serving.live import TOKEN, Live, byte_model, eventually, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, expect
else:
    expect = pytest.importorskip("playwright.sync_api", reason="there is no playwright").expect


def tool(page: "Page", role: str, name: str) -> None:
    """Press a button of the last message of a role."""
    message = page.locator(f".message.{role}").last
    message.hover()
    message.get_by_role("button", name=name, exact=True).click()


def texts(page: "Page") -> list[str]:
    return page.locator(".message .said").all_inner_texts()


def test_a_question_is_answered_and_both_are_there_after_a_reload(chat: "Page") -> None:
    assert ask(chat, "Hello there") == "You said: Hello there"
    expect(chat).to_have_title("Hello there · maquette")
    assert ask(chat, "And  two\nlines") == "You said: And  two\nlines"
    before = texts(chat)
    chat.reload()
    ready(chat)
    assert texts(chat) == before
    expect(chat.locator("#chat-list li")).to_have_count(1)
    chat.click("#new-chat")
    expect(chat.locator(".message")).to_have_count(0)
    expect(chat.get_by_text("What shall we talk about?")).to_be_visible()
    chat.get_by_role("button", name="Hello there", exact=True).click()
    assert texts(chat) == before


def test_a_real_model_answers(browser: "Browser") -> None:
    with running(model=byte_model(256)) as live:
        page = browser.new_page()
        page.goto(f"{live.address}/?token={TOKEN}")
        ready(page)
        page.click("#settings-switch")
        page.fill("#max_tokens", "30")
        answer = ask(page, "Hello")
        assert 20 < len(answer) <= 30
        expect(page.locator(".assistant .note")).to_have_text(
            "The answer reached the limit of max tokens."
        )
        page.click("#tokens-switch")
        assert page.locator(".token").count() == 30
        page.close()


def test_the_header_names_the_model_and_leads_to_the_runs(chat: "Page") -> None:
    expect(chat.locator(".model")).to_have_text("Model: tiny-model reads 512 tokens")
    assert chat.get_by_role("link", name="Runs").get_attribute("href") == "/runs"
    assert chat.get_by_role("link", name="Chat").get_attribute("aria-current") == "page"
    assert chat.url.endswith("/")  # the token has left the address
    expect(chat.get_by_text("never read a dialogue")).to_have_count(0)


def test_a_model_without_dialogues_says_so(browser: "Browser") -> None:
    with running(reads_dialogues=False) as live:
        page = browser.new_page()
        page.goto(f"{live.address}/?token={TOKEN}")
        expect(page.locator("#model-note")).to_contain_text("never read a dialogue")
        expect(page.locator("#model-note")).to_contain_text("--set train.from=tiny-model")
        page.close()


@pytest.mark.parametrize("how", ["button", "escape"])
def test_an_answer_is_shown_as_it_comes_and_stops(
    chat: "Page", decoder: ScriptedDecoder, served: Live, how: str
) -> None:
    decoder.replies = lambda _: b"The beginning." + HALT + b" The end."
    cancelled = served.engine.counts.cancelled
    say(chat, "Tell me")
    expect(chat.locator(".assistant .said")).to_have_text("The beginning.")
    expect(chat.locator("#send")).to_be_hidden()
    if how == "button":
        chat.get_by_role("button", name="Stop the answer").click()
    else:
        chat.keyboard.press("Escape")
    expect(chat.locator(".assistant .note")).to_have_text("You stopped it here.")
    expect(chat.locator("#question")).to_be_focused()
    # The server hears of it by and by, and the model mustn't be done before.
    assert eventually(lambda: all(job.cancelled for job in served.engine._active.values()))
    decoder.go.set()
    assert served.wait_idle()
    assert served.engine.counts.cancelled == cancelled + 1
    chat.reload()
    ready(chat)
    assert texts(chat) == ["Tell me", "The beginning."]
    expect(chat.locator(".assistant .note")).to_have_text("You stopped it here.")


def test_a_reload_in_the_middle_of_an_answer_keeps_what_there_is(
    chat: "Page", decoder: ScriptedDecoder
) -> None:
    decoder.replies = lambda _: b"The beginning." + HALT + b" The end."
    say(chat, "Tell me")
    expect(chat.locator(".assistant .said")).to_have_text("The beginning.")
    chat.reload()
    ready(chat)
    assert texts(chat) == ["Tell me", "The beginning."]
    expect(chat.locator(".assistant .note")).to_have_text("It broke off here.")


def test_another_answer_stands_beside_the_first(chat: "Page", decoder: ScriptedDecoder) -> None:
    numbers = iter("12345")
    decoder.replies = lambda _: f"Answer {next(numbers)}"
    ask(chat, "Which?")
    tool(chat, "assistant", "Another answer")
    expect(chat.locator(".assistant .said")).to_have_text("Answer 2")
    assert decoder.prompts[0] == decoder.prompts[1]
    expect(chat.locator(".assistant")).to_contain_text("2 / 2")
    tool(chat, "assistant", "Earlier version")
    expect(chat.locator(".assistant .said")).to_have_text("Answer 1")
    ask(chat, "Go on")
    assert "Answer 1" in decoder.prompts[-1]
    assert "Answer 2" not in decoder.prompts[-1]


def test_an_edited_question_is_a_branch_and_the_old_one_stays(
    chat: "Page", decoder: ScriptedDecoder
) -> None:
    ask(chat, "First")
    ask(chat, "Second")
    first = chat.locator(".user").first
    first.hover()
    first.get_by_role("button", name="Edit").click()
    box = chat.get_by_label("Edit your message")
    expect(box).to_be_focused()
    box.fill("Changed")
    box.press("Enter")
    expect(chat.locator(".assistant .said")).to_have_text("You said: Changed")
    assert decoder.prompts[-1] == "user: Changed\nassistant: "
    assert texts(chat) == ["Changed", "You said: Changed"]
    tool(chat, "user", "Earlier version")
    assert texts(chat) == ["First", "You said: First", "Second", "You said: Second"]
    chat.reload()
    ready(chat)
    assert len(texts(chat)) == 4
    chat.keyboard.press("ArrowUp")  # in the empty box: the last message
    expect(chat.get_by_label("Edit your message")).to_have_value("Second")
    chat.keyboard.press("Escape")
    assert len(texts(chat)) == 4


def test_messages_are_deleted_with_what_follows_and_come_back(chat: "Page") -> None:
    for text in ("One", "Two", "Three"):
        ask(chat, text)
    second = chat.locator(".user").nth(1)
    second.hover()
    second.get_by_role("button", name="Delete from here on").click()
    assert texts(chat) == ["One", "You said: One"]
    chat.get_by_role("button", name="Undo").click()
    assert len(texts(chat)) == 6
    tool(chat, "assistant", "Delete from here on")
    assert len(texts(chat)) == 5
    tool(chat, "user", "Ask again")
    expect(chat.locator(".assistant .said").last).to_have_text("You said: Three")


def test_conversations_are_renamed_and_deleted(chat: "Page") -> None:
    ask(chat, "First talk")
    chat.click("#new-chat")
    ask(chat, "Second talk")
    assert chat.locator(".chat-open").all_inner_texts() == ["Second talk", "First talk"]
    chat.locator("#chat-list li").nth(1).hover()
    chat.get_by_role("button", name="Rename First talk").click()
    chat.keyboard.type("Of the sea")
    chat.keyboard.press("Enter")
    expect(chat.get_by_role("button", name="Rename Of the sea")).to_be_focused()
    chat.locator("#chat-list li").nth(0).hover()
    chat.get_by_role("button", name="Delete Second talk").click()
    expect(chat.locator("#chat-list li")).to_have_count(1)
    expect(chat.locator(".message")).to_have_count(0)
    chat.get_by_role("button", name="Undo").click()
    expect(chat.locator(".message")).to_have_count(2)
    chat.reload()
    expect(chat.locator(".chat-open")).to_have_text(["Second talk", "Of the sea"])


def test_a_message_is_copied_as_it_is(chat: "Page", decoder: ScriptedDecoder) -> None:
    chat.context.grant_permissions(["clipboard-read", "clipboard-write"])
    decoder.replies = lambda _: "Look:\n\n```\na  = 1\n```\nThere."
    ask(chat, "Code")
    assert chat.locator(".assistant pre").inner_text() == "a  = 1"
    tool(chat, "assistant", "Copy")
    expect(chat.locator("#spoken")).to_have_text("Copied")
    copied = chat.evaluate("navigator.clipboard.readText()")
    assert copied == "Look:\n\n```\na  = 1\n```\nThere."


def test_without_the_clipboard_api_copying_works_too(chat: "Page") -> None:
    chat.context.grant_permissions(["clipboard-read"])
    ask(chat, "Copy me")
    chat.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    tool(chat, "assistant", "Copy")
    expect(chat.locator("#spoken")).to_have_text("Copied")
    chat.focus("#question")
    chat.keyboard.press("Control+v")
    expect(chat.locator("#question")).to_have_value("You said: Copy me")


def background(page: "Page") -> str:
    return str(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))


def test_the_theme_follows_the_system_until_another_is_chosen(chat: "Page") -> None:
    light = background(chat)
    chat.emulate_media(color_scheme="dark")
    dark = background(chat)
    assert light != dark
    chat.get_by_role("button", name="Theme: as the system's").click()
    assert background(chat) == light
    chat.reload()
    assert background(chat) == light
    chat.get_by_role("button", name="Theme: light").click()
    chat.emulate_media(color_scheme="light")
    chat.reload()
    assert background(chat) == dark
    chat.get_by_role("button", name="Theme: dark").click()
    assert background(chat) == light


def sent(page: "Page", text: str) -> dict[str, object]:
    """What the page asks the API when a message is sent."""
    with page.expect_request("**/v1/chat/completions") as request:
        ask(page, text)
    found = request.value.post_data_json
    assert isinstance(found, dict)
    return found


def test_settings_are_sent_bounded_and_kept(chat: "Page", decoder: ScriptedDecoder) -> None:
    plain = sent(chat, "One")
    assert plain["stream"] is True
    assert {"temperature": 0.8, "top_p": 1, "min_p": 0, "max_tokens": 200}.items() <= plain.items()
    assert "top_k" not in plain
    assert "seed" not in plain
    chat.click("#settings-switch")
    chat.get_by_label("System prompt").fill("Be brief.")
    chat.get_by_label("Temperature").fill("0.35")
    for label, value in (("Top-k", "40"), ("Repetition penalty", "1.2"), ("Seed", "7")):
        chat.get_by_label(label).fill(value)
    tokens = chat.get_by_label("Max tokens")
    tokens.fill("30")
    tokens.fill("99999")
    expect(chat.get_by_text("A whole number, 1 to 8192; 30 holds.")).to_be_visible()
    assert tokens.get_attribute("aria-invalid") == "true"
    changed = sent(chat, "Two")
    wanted = {"temperature": 0.35, "top_k": 40, "repetition_penalty": 1.2, "max_tokens": 30}
    assert {**wanted, "seed": 7}.items() <= changed.items()
    assert decoder.prompts[-1].startswith("system: Be brief.\nuser: One\n")
    assert sent(chat, "Three")["seed"] == 8
    chat.reload()
    ready(chat)
    expect(chat.get_by_label("System prompt")).to_have_value("Be brief.")
    assert {**wanted, "seed": 9}.items() <= sent(chat, "Four").items()
    chat.get_by_role("button", name="Reset these").click()
    again = sent(chat, "Five")
    assert {key: again[key] for key in plain if key not in ("messages", "model")} == {
        key: plain[key] for key in plain if key not in ("messages", "model")
    }
    chat.click("#new-chat")
    expect(chat.get_by_label("System prompt")).to_have_value("Be brief.")


def test_what_is_exported_can_be_imported_elsewhere(
    chat: "Page", browser: "Browser", served: Live, tmp_path: Path
) -> None:
    ask(chat, "One")
    ask(chat, "Two")
    tool(chat, "assistant", "Another answer")
    chat.locator("#send").wait_for()
    chat.click("#new-chat")
    ask(chat, "Other")
    with chat.expect_download() as download:
        chat.click("#export-all")
    assert download.value.suggested_filename == "maquette-conversations.jsonl"
    path = tmp_path / "all.jsonl"
    download.value.save_as(path)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [row["title"] for row in rows] == ["Other", "One"]
    assert rows[1]["messages"][0] == {"role": "user", "content": "One"}
    assert len(rows[1]["branches"]) == 1
    other = browser.new_page()
    other.goto(f"{served.address}/?token={TOKEN}")
    other.set_input_files("#import-file", path)
    expect(other.get_by_text("Imported 2 conversations.")).to_be_visible()
    expect(other.locator(".chat-open")).to_have_text(["Other", "One"])
    other.get_by_role("button", name="One", exact=True).click()
    assert texts(other) == ["One", "You said: One", "Two", "You said: Two"]
    assert ask(other, "Three") == "You said: Three"
    other.close()


def test_an_exported_conversation_is_what_a_dialogues_source_reads(
    chat: "Page", tmp_path: Path
) -> None:
    from maquette.data.text.dialogues import read_dialogues

    chat.click("#settings-switch")
    chat.get_by_label("System prompt").fill("Be brief.")
    ask(chat, "Hello")
    chat.locator("#chat-list li").hover()
    with chat.expect_download() as download:
        chat.get_by_role("button", name="Export Hello").click()
    assert download.value.suggested_filename == "hello.json"
    path = tmp_path / "hello.jsonl"
    download.value.save_as(path)
    (turns,) = read_dialogues(path)
    assert [(turn.role, turn.content) for turn in turns] == [
        ("system", "Be brief."),
        ("user", "Hello"),
        ("assistant", "You said: Hello"),
    ]


ONE = {"role": "user", "content": "a"}
FILES = {
    "nothing": ("", "there is no conversation"),
    "no JSON": ("{", "line 1 isn't JSON"),
    "a picture": ("\x89PNG\r\n", "line 1 isn't JSON"),
    "a number": ("1", "no list of messages"),
    "null": ("null", "no list of messages"),
    "no messages": ("{}", "no list of messages"),
    "said nothing": ('{"messages": []}', "nothing was said"),
    "a role": (json.dumps({"messages": [{"role": "root", "content": ""}]}), "no role among"),
    "a prototype": ('{"messages": [{"__proto__": {"role": "user", "content": "a"}}]}', "no role"),
    "no text": (json.dumps({"messages": [{"role": "user", "content": {}}]}), "has no text"),
    "a title": (json.dumps({"messages": [ONE], "title": 1}), "title isn't text"),
    "a late system": (
        json.dumps({"messages": [ONE, {"role": "system", "content": ""}]}),
        "elsewhere than first",
    ),
    "branches": (json.dumps({"messages": [ONE], "branches": {}}), "branches aren't a list"),
    "a branch": (json.dumps({"messages": [ONE], "branches": [3]}), "branch isn't a list"),
    "many": (json.dumps({"messages": [ONE] * 2001}), "more than 2000 messages"),
    "long": (json.dumps({"messages": [{**ONE, "content": "a" * 200_001}]}), "is too long"),
    "deep": ("[" * 200_000 + "]" * 200_000, ""),
    "large": (" " * (4 << 20) + "{}", "larger than 4 MiB"),
}


def test_hostile_files_are_refused_with_a_reason(chat: "Page") -> None:
    ask(chat, "Mine")
    for name, (content, reason) in FILES.items():
        file = {"name": f"{name}.json", "mimeType": "application/json", "buffer": content.encode()}
        chat.set_input_files("#import-file", file)  # type: ignore[arg-type]
        expect(chat.locator(".notice")).to_contain_text(f"“{name}.json” can't be imported")
        expect(chat.locator(".notice")).to_contain_text(reason)
    assert texts(chat) == ["Mine", "You said: Mine"]
    assert (
        chat.evaluate("Object.keys(localStorage).filter((k) => k.includes('.chat.')).length") == 1
    )


def test_another_tab_sees_what_is_said_here(chat: "Page", served: Live) -> None:
    ask(chat, "Here")
    other = chat.context.new_page()
    other.goto(served.address)
    ready(other)
    assert texts(other) == ["Here", "You said: Here"]
    ask(chat, "More")
    expect(other.locator(".message")).to_have_count(4)


def test_an_unsent_message_survives_a_reload(chat: "Page") -> None:
    chat.fill("#question", "Half a thou")
    chat.reload()
    expect(chat.locator("#question")).to_have_value("Half a thou")


def test_two_conversations_are_answered_at_once(chat: "Page", decoder: ScriptedDecoder) -> None:
    decoder.replies = lambda question: b"Slow" + HALT + b" one" if question == "slow" else "Quick"
    say(chat, "slow")
    expect(chat.locator(".assistant .said")).to_have_text("Slow")
    chat.click("#new-chat")
    say(chat, "quick")
    expect(chat.locator(".chat-open.busy")).to_have_count(2)
    decoder.go.set()
    expect(chat.locator(".assistant .said")).to_have_text("Quick")
    expect(chat.locator(".chat-open.busy")).to_have_count(0)
    chat.get_by_role("button", name="slow", exact=True).click()
    expect(chat.locator(".assistant .said")).to_have_text("Slow one")
