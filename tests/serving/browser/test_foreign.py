"""Pages elsewhere: what they make the browser ask is refused, or they can't read the answer."""

from typing import TYPE_CHECKING

import pytest

from tests.serving.browser.conftest import opened, ready
from tests.serving.browser.scripted import ScriptedDecoder
from tests.serving.live import MODEL, Live

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Response
else:
    pytest.importorskip("playwright.sync_api", reason="there is no playwright")

# Another site; and another port of this machine, to which the browser sends our cookies.
ELSEWHERE = ["http://evil.example", "http://127.0.0.1:9"]

FETCH = """async ([address, body]) => {
  const found = [];
  for (const [path, options] of [
    ["/v1/models", {}],
    ["/v1/models", { credentials: "include" }],
    ["/v1/models", { credentials: "include", mode: "no-cors" }],
    ["/v1/chat/completions", { method: "POST", body, credentials: "include" }],
    ["/v1/chat/completions", { method: "POST", body, credentials: "include", mode: "no-cors" }],
    ["/v1/chat/completions", { method: "POST", body, credentials: "include",
                               headers: { "content-type": "application/json" } }],
  ]) {
    try { found.push(await (await fetch(address + path, options)).text()); }
    catch (error) { found.push(error.name); }
  }
  return found;
}"""

EMBED = """(address) => Promise.all([
  ["script", "/static/theme.js"], ["img", "/static/icon.svg"], ["link", "/static/base.css"],
].map(([tag, path]) => new Promise((done) => {
  const element = document.createElement(tag);
  if (tag === "link") Object.assign(element, { rel: "stylesheet", href: address + path });
  else element.src = address + path;
  element.onload = () => done("loaded");
  element.onerror = () => done("refused");
  document.head.append(element);
})))"""

POST = """([address, body]) => {
  const form = Object.assign(document.createElement("form"),
    { method: "POST", action: address + "/v1/chat/completions", enctype: "text/plain" });
  form.append(Object.assign(document.createElement("input"), { name: body, value: "" }));
  document.body.append(form);
  form.submit();
}"""


@pytest.mark.parametrize("origin", ELSEWHERE)
def test_a_page_elsewhere_gets_nothing_and_starts_nothing(
    browser: "Browser", served: Live, decoder: ScriptedDecoder, origin: str
) -> None:
    context = browser.new_context()
    html = {"content_type": "text/html", "body": "<title>elsewhere</title><p>x"}
    context.route(f"{origin}/**", lambda route: route.fulfill(**html))
    for page in opened(context, served):  # so that there is a cookie
        ready(page)
    answers: list[tuple[str, int]] = []

    def note(response: "Response") -> None:
        if response.url.startswith(served.address):
            answers.append((response.request.method, response.status))

    page = context.new_page()
    page.goto(f"{origin}/page")
    context.on("response", note)
    said = [{"role": "user", "content": "Hello"}]
    body = f'{{"model": "{MODEL}", "max_tokens": 1, "messages": {said}}}'.replace("'", '"')
    for found in page.evaluate(FETCH, [served.address, body]):
        assert found in ("TypeError", "")  # refused, or not to be read
    assert page.evaluate(EMBED, served.address) == ["refused"] * 3
    with page.expect_navigation():
        page.evaluate(POST, [served.address, body])
    assert "error" in page.content()
    assert decoder.prompts == []
    assert all(status in (401, 403) for method, status in answers if method != "GET")
    context.close()


def framed(page: "Page", address: str) -> bool:
    """Whether a page elsewhere can show ours inside of itself, to steal clicks."""
    page.evaluate(
        """(address) => new Promise((done) => {
          const frame = Object.assign(document.createElement("iframe"), { src: address });
          frame.onload = done;
          document.body.append(frame);
        })""",
        address,
    )
    inner = page.frames[-1]
    return inner.locator("#question").count() > 0


@pytest.mark.parametrize("origin", ELSEWHERE)
def test_the_page_cannot_be_framed(browser: "Browser", served: Live, origin: str) -> None:
    context = browser.new_context()
    html = {"content_type": "text/html", "body": "<p>x"}
    context.route(f"{origin}/**", lambda route: route.fulfill(**html))
    for page in opened(context, served):
        ready(page)
    page = context.new_page()
    page.goto(f"{origin}/page")
    assert not framed(page, served.address)
    context.close()
