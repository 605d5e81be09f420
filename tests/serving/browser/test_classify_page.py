"""The page of a classifier in a real browser: pictures come in by every way, hostile ones too."""

import base64
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.data.image.making import file_bytes, picture
from tests.serving.browser.conftest import enter, opened, until
from tests.serving.browser.test_access import NAMELESS, press, tab_to
from tests.serving.live import CLASSES, MODEL, TOKEN, LiveClassifier, http, running_classifier

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Locator, Page, Route, expect
else:
    expect = pytest.importorskip("playwright.sync_api", reason="there is no playwright").expect

API = "**/v1/classify"
PNG = file_bytes(picture(1, 64, 48))
HOSTILE = "<img src=x onerror=window.ran=1><script>window.ran=1</script>"

TAKE = """([how, files]) => {
  const transfer = new DataTransfer();
  for (const [name, data] of files) {
    const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
    transfer.items.add(new File([bytes], name));
  }
  const set = { bubbles: true, cancelable: true };
  const event = how === "paste"
    ? new ClipboardEvent("paste", { ...set, clipboardData: transfer })
    : new DragEvent("drop", { ...set, dataTransfer: transfer });
  const refused = !document.body.dispatchEvent(event);
  return refused;  // whether the browser leaves it to the page
}"""


@pytest.fixture(scope="module")
def live() -> Iterator[LiveClassifier]:
    with running_classifier() as live:
        yield live


@pytest.fixture
def page(live: LiveClassifier, desktop: "Page") -> "Page":
    enter(desktop, live)
    desktop.locator("#known").wait_for()
    return desktop


@pytest.fixture
def page_on_phone(live: LiveClassifier, phone: "BrowserContext") -> Iterator["Page"]:
    for page in opened(phone, live):
        page.locator("#known").wait_for()
        yield page


def files(*names: str, data: bytes = PNG) -> list[Any]:
    return [{"name": name, "mimeType": "image/png", "buffer": data} for name in names]


def choose(page: "Page", *names: str, data: bytes = PNG) -> None:
    page.set_input_files("#files", files(*names, data=data))


def take(page: "Page", how: str, *names: str, data: bytes = PNG) -> bool:
    """Drop or paste files."""
    text = base64.b64encode(data).decode()
    return bool(page.evaluate(TAKE, [how, [[name, text] for name in names]]))


def card(page: "Page", name: str) -> "Locator":
    return page.locator(".picture").filter(has=page.get_by_role("heading", name=name, exact=True))


def expected(live: LiveClassifier, data: bytes = PNG) -> list[str]:
    """What stands beside a picture, by the API."""
    with http(live) as client:
        found = client.post("/v1/classify", content=data).json()["classes"]
    return [f"{one['name']}{100 * one['probability']:.1f}%" for one in found]


def rows(picture: "Locator") -> list[str]:
    picture.locator(".likely").wait_for()
    return [text.replace("\n", "") for text in picture.locator(".likely li").all_inner_texts()]


@pytest.mark.parametrize("how", ["choose", "drop", "paste"])
def test_a_picture_comes_in_and_is_named(page: "Page", live: LiveClassifier, how: str) -> None:
    expect(page.locator("#about")).to_have_text(f"{MODEL} tells 5 classes apart.")
    expect(page.locator("#seen")).to_be_hidden()
    if how == "choose":
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Choose pictures").click()
        assert chooser.value.is_multiple()
        chooser.value.set_files(files("cat.png"))
    else:
        taken = take(page, how, "cat.png")
        assert taken or how == "paste"  # else the browser would open the file
    assert rows(card(page, "cat.png")) == expected(live)
    expect(card(page, "cat.png").locator("canvas")).to_have_count(1)
    widths = page.locator(".bar-of i").evaluate_all(
        "(all) => all.map((one) => one.offsetWidth / one.parentElement.offsetWidth)"
    )
    shares = [float(re.findall(r"([\d.]+)%", row)[-1]) / 100 for row in expected(live)]
    assert widths == pytest.approx(shares, abs=0.01)
    expect(page.locator("#seen-title")).to_have_text("1 picture")


def test_several_stay_in_order_with_the_newest_on_top(page: "Page") -> None:
    choose(page, "one.png", "two.png")
    take(page, "drop", "three.png", "four.png")
    expect(page.locator(".likely")).to_have_count(4)
    names = page.locator(".picture h3").all_inner_texts()
    assert names == ["three.png", "four.png", "one.png", "two.png"]
    below = """(name) => {
      const text = document.createRange();
      text.selectNodeContents(name);
      return text.getBoundingClientRect().bottom - name.getBoundingClientRect().bottom;
    }"""
    assert page.locator(".picture h3").first.evaluate(below) <= 0, "letters keep their tails"
    choose(page, "one.png")  # the same once more
    expect(page.locator("#seen-title")).to_have_text("5 pictures")
    card(page, "four.png").get_by_role("button", name="Remove four.png").click()
    expect(page.locator(".picture")).to_have_count(4)
    page.get_by_role("button", name="Remove all").click()
    expect(page.locator(".picture")).to_have_count(0)
    expect(page.locator("#seen")).to_be_hidden()
    expect(page.locator("#choose")).to_be_focused()


def test_the_thumbnail_is_what_the_model_looks_at(page: "Page") -> None:
    """The middle square: of a wide picture of three colours, the one between."""
    wide = picture(1, 90, 30).copy()
    wide[:, :30], wide[:, 30:60], wide[:, 60:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    choose(page, "wide.png", data=file_bytes(wide))
    page.locator("canvas").wait_for()
    corners = """(canvas) => [[2, 2], [-3, -3]].map(([x, y]) => [...canvas.getContext("2d")
      .getImageData((x + canvas.width) % canvas.width, (y + canvas.height) % canvas.height, 1, 1)
      .data])"""
    assert page.locator("canvas").evaluate(corners) == [[0, 255, 0, 255]] * 2


def test_what_is_no_picture_is_told_in_words(page: "Page") -> None:
    choose(page, "words.png", data=b"hello, world")
    expect(card(page, "words.png").locator(".wrong")).to_have_text("The file is no image.")
    choose(page, "half.png", data=PNG[: len(PNG) // 2])
    expect(card(page, "half.png").locator(".wrong")).to_contain_text("The file can't be read: ")
    choose(page, "empty.png", data=b"")
    expect(card(page, "empty.png").locator(".wrong")).to_contain_text("is empty")
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)
    choose(page, "cat.png")
    assert len(rows(card(page, "cat.png"))) == 5
    expect(page.locator("#notices")).to_be_empty()


def test_a_file_the_browser_cannot_show_is_looked_at_all_the_same(page: "Page") -> None:
    tiff = file_bytes(picture(2, 64, 64), "tiff")
    choose(page, "scan.tiff", data=tiff)
    assert len(rows(card(page, "scan.tiff"))) == 5
    expect(card(page, "scan.tiff").locator(".square svg")).to_be_visible()


def test_what_is_too_large_is_not_sent(page: "Page") -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.evaluate(
        """() => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(20 * 2 ** 20 + 1)], "huge.png"));
          const set = { bubbles: true, cancelable: true, dataTransfer: transfer };
          document.body.dispatchEvent(new DragEvent("drop", set));
        }"""
    )
    wrong = card(page, "huge.png").locator(".wrong")
    expect(wrong).to_have_text("The file is larger than 20 MiB.")
    assert sent == []


def test_of_very_many_the_first_are_taken_and_the_newest_kept(page: "Page") -> None:
    page.route(API, lambda _: None)  # no answer: what is counted here is what is shown
    take(page, "drop", *(f"{i}.png" for i in range(120)))
    expect(page.get_by_role("alert")).to_have_text("Only the first 100 of 120 files were taken.")
    expect(page.locator("#seen-title")).to_have_text("100 pictures")
    choose(page, "late.png")
    expect(page.locator("#seen-title")).to_have_text("100 pictures")
    names = page.locator(".picture h3").all_inner_texts()
    assert names == ["late.png", *(f"{i}.png" for i in range(99))]


@pytest.mark.parametrize("how", ["drop", "paste"])
def test_what_holds_no_file_is_told(page: "Page", how: str) -> None:
    take(page, how)
    expect(page.get_by_role("alert")).to_contain_text("file" if how == "drop" else "clipboard")
    choose(page, "cat.png")
    expect(page.get_by_role("alert")).to_be_empty()


def test_a_server_that_is_gone_or_busy_can_be_asked_again(page: "Page") -> None:
    page.route(API, lambda route: route.abort())
    choose(page, "cat.png")
    wrong = card(page, "cat.png").locator(".wrong")
    expect(wrong).to_contain_text("The server can't be reached")
    page.unroute(API)
    busy = {"error": {"message": "x", "code": "rate_limit_exceeded"}}
    page.route(API, lambda route: route.fulfill(status=429, json=busy))
    page.get_by_role("button", name="Try again").click()
    expect(wrong).to_contain_text("The server is busy")
    page.unroute(API)
    page.route(API, lambda route: route.fulfill(body='{"classes": ['))
    page.get_by_role("button", name="Try again").click()
    expect(wrong).to_contain_text("The server can't be reached")
    page.unroute(API)
    page.get_by_role("button", name="Try again").click()
    assert len(rows(card(page, "cat.png"))) == 5
    page.context.clear_cookies()
    choose(page, "dog.png")
    wrong = card(page, "dog.png").locator(".wrong")
    expect(wrong).to_contain_text("Open the link that maquette serve printed again")


def test_a_page_without_its_model_finds_it_later(
    live: LiveClassifier, context: "BrowserContext"
) -> None:
    context.route("**/v1/models", lambda route: route.abort())
    for page in opened(context, live):
        expect(page.get_by_role("alert")).to_contain_text("The server can't be reached")
        context.unroute("**/v1/models")
        page.get_by_role("button", name="Try again").click()
        expect(page.locator("#about")).to_contain_text(MODEL)
        expect(page.get_by_role("alert")).to_be_empty()


def test_who_is_removed_is_not_waited_for(page: "Page") -> None:
    held: list[Route] = []

    def hold(route: "Route") -> None:
        held.append(route)

    page.route(API, hold)
    with page.expect_request(API):
        choose(page, "one.png", "two.png", "three.png")
    card(page, "two.png").get_by_role("button", name="Remove two.png").click()
    with page.expect_request(API):
        card(page, "one.png").get_by_role("button", name="Remove one.png").click()
    card(page, "three.png").get_by_text("Looking").wait_for()
    until(page, lambda: len(held) == 2)
    held[-1].continue_()
    assert len(rows(card(page, "three.png"))) == 5
    assert len(held) == 2
    expect(page.locator(".picture")).to_have_count(1)


def test_names_of_files_are_only_shown(page: "Page") -> None:
    names = [
        HOSTILE,
        "\u202egnp.exe",
        "a\nb\t" + "c" * 300,
        "__proto__",
        "שלום.png",
        "🏳️‍🌈 " + "x " * 500,
        "javascript:window.ran=1",
    ]
    take(page, "drop", *names)
    expect(page.locator(".likely")).to_have_count(len(names))
    shown = page.locator(".picture h3").evaluate_all("(all) => all.map((one) => one.textContent)")
    assert shown == names
    assert page.evaluate("window.ran") is None
    assert page.locator(".picture :is(img, script, a)").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_names_of_classes_are_only_shown(context: "BrowserContext") -> None:
    names = (HOSTILE, "\u202eevil", "y" * 400, "", "__proto__")
    with running_classifier(classes=names) as live:
        for page in opened(context, live):
            page.locator("#known summary").click()
            listed = page.locator("#classes li").evaluate_all(
                "(all) => all.map((one) => one.textContent)"
            )
            assert tuple(listed) == names
            choose(page, "cat.png")
            rows(page.locator(".picture"))
            found = page.locator(".likely .name").evaluate_all(
                "(all) => all.map((one) => one.textContent)"
            )
            assert set(found) == set(names)
            assert page.evaluate("window.ran") is None
            assert page.locator("main :is(img, script, b)").count() == 0
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_everything_can_be_done_with_the_keyboard(page: "Page") -> None:
    press(page, "Tab")
    expect(page.get_by_text("Skip to choosing pictures")).to_be_focused()
    with page.expect_file_chooser() as chooser:  # some steps early: it takes a moment to listen
        tab_to(page, "Choose pictures")
        press(page, "Enter")
    chooser.value.set_files(files("one.png", "two.png"))
    expect(page.locator(".likely")).to_have_count(2)
    tab_to(page, "Remove one.png")
    press(page, "Enter")
    expect(page.get_by_role("listitem", name="two.png")).to_be_focused()
    tab_to(page, "Remove two.png")
    press(page, "Enter")
    expect(page.locator("#choose")).to_be_focused()
    tab_to(page, "The 5 classes")
    press(page, "Enter")
    expect(page.locator("#classes li").first).to_be_visible()
    assert page.evaluate(NAMELESS) == []


def test_a_screen_reader_hears_what_was_seen(page: "Page", live: LiveClassifier) -> None:
    choose(page, "cat.png")
    first = expected(live)[0].replace(CLASSES[0], f"{CLASSES[0]} ")
    spoken = page.get_by_role("status")
    expect(spoken).to_contain_text(f"cat.png: {first}, ")
    choose(page, *(f"{i}.png" for i in range(5)))
    expect(spoken).to_have_text("5 pictures were looked at.")
    choose(page, "broken.png", data=b"x")
    expect(spoken).to_have_text("broken.png: The file is no image.")
    assert page.locator("[aria-live]").count() == 0


def test_the_theme_and_the_other_page(page: "Page", live: LiveClassifier) -> None:
    ground = "getComputedStyle(document.body.parentElement).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Theme").click()
    page.get_by_role("button", name="Theme: light").click()
    assert page.evaluate(ground) != light
    page.get_by_role("link", name="Runs").click()
    page.get_by_role("link", name="Pictures").click()
    expect(page.locator("h1")).to_have_text("What is in the picture?")
    assert page.evaluate(ground) != light
    assert TOKEN not in page.url


def test_a_phone_has_all_of_it(page_on_phone: "Page") -> None:
    page = page_on_phone
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose pictures").tap()
    chooser.value.set_files(files("IMG_" + "0" * 100 + ".png"))
    rows(page.locator(".picture"))
    for width in (390, 320):
        page.set_viewport_size({"width": width, "height": 640})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    small = page.locator("button:visible").evaluate_all(
        "(all) => all.map((one) => one.getBoundingClientRect())"
        ".filter((box) => Math.min(box.width, box.height) < 32).length"
    )
    assert small == 0
    kinds = page.locator("#files").get_attribute("accept") or ""
    assert kinds.startswith("image/")  # a phone offers its camera
