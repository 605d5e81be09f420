"""Whatever a model writes is shown as it is, and nothing of it is run, loaded or obeyed."""

from typing import TYPE_CHECKING

import pytest

from tests.serving.browser.conftest import ask
from tests.serving.browser.scripted import ScriptedDecoder
from tests.serving.live import TOKEN, Live

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, expect
else:
    expect = pytest.importorskip("playwright.sync_api", reason="there is no playwright").expect

RUN = "window.ran=1"
WORDS = """
onload onerror onclick onmouseover onfocus onblur oninput onchange onsubmit onreset ontoggle onbegin
onend onanimationstart onanimationend ontransitionend onpointerenter onpointerover onwheel onscroll
onresize onhashchange onpageshow onpopstate onmessage onstorage oncut oncopy onpaste ondrag ondrop
onkeydown onkeyup onplay oncanplay onloadstart onselectstart
img svg video audio body iframe object embed input details marquee style link math
"""
EVENTS = [word for word in WORDS.split() if word.startswith("on")]
TAGS = [word for word in WORDS.split() if word not in EVENTS]
LINKS = [
    "javascript:{}",
    "JaVaScRiPt:{}",
    "java\tscript:{}",
    "javascript&colon;{}",
    "&#106;avascript:{}",
    "data:text/html,<script>{}</script>",
    "data:image/svg+xml,<svg/onload={}>",
    "vbscript:{}",
    "//evil.example/{}",
]
WHOLE = [
    f"<script>{RUN}</script>",
    f"<SCRIPT>{RUN}</SCRIPT>",
    f"<scr<script>ipt>{RUN}</script>",
    f"<script\x0b>{RUN}</script>",
    f"<script src=data:text/javascript,{RUN}></script>",
    "<script src=//evil.example/x.js></script>",
    f"<script type=module>{RUN}</script>",
    f"</p></div></li></ol><script>{RUN}</script>",
    f"</textarea><script>{RUN}</script>",
    f"</title><script>{RUN}</script>",
    f"<!--><script>{RUN}</script>-->",
    f"<![CDATA[<script>{RUN}</script>]]>",
    f"<?xml version='1.0'?><script>{RUN}</script>",
    f"<template><script>{RUN}</script></template>",
    f"<noscript><p title='</noscript><img src=x onerror={RUN}>'>",
    f"<svg><script>{RUN}</script></svg>",
    f"<svg><animate onbegin={RUN} attributeName=x dur=1s>",
    f"<svg><set attributeName=onload to={RUN} /></svg>",
    f"<svg><foreignObject><iframe srcdoc='<script>{RUN}</script>'></foreignObject></svg>",
    f"<math><mi//xlink:href='data:x,<script>{RUN}</script>'>",
    "<svg><use href='//evil.example/x.svg#a'/></svg>",
    f"<iframe srcdoc='<script>parent.{RUN}</script>'></iframe>",
    "<iframe src=//evil.example></iframe>",
    f"<form action=javascript:{RUN}><button>x</button></form>",
    f"<button formaction=javascript:{RUN}>x</button>",
    f"<meta http-equiv=refresh content='0;javascript:{RUN}'>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<base href=//evil.example/>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<link rel=prefetch href=//evil.example>",
    "<style>*{display:none}</style>",
    "<style>@import '//evil.example/x.css'</style>",
    "<p style='position:fixed;inset:0'>x</p>",
    "<img src=//evil.example/x.png>",
    "<img srcset='//evil.example/x.png 1x'>",
    "<video poster=//evil.example/x.png></video>",
    "<input autofocus onfocus=window.ran=1>",
    "<dialog open>x</dialog>",
    "<div id=question name=question>x</div>",
    "<a name=localStorage>x</a>",
    "body{background:url(//evil.example)}",
    "*{color:red!important}",
    "expression(alert(1))",
    "{{constructor.constructor('window.ran=1')()}}",
    "{{7*7}} ${7*7} #{7*7} <%= 7*7 %> {% debug %} [[7*7]] @(7*7)",
    "${window.ran=1} `${window.ran=1}`",
    "';window.ran=1;//",
    '";window.ran=1;//',
    "\\';window.ran=1;//",
    "</script><script>window.ran=1</script>",
    "__proto__ constructor toString hasOwnProperty",
    '{"__proto__": {"ran": 1}}',
    "data: [DONE]",
    'x\n\ndata: {"error": {"message": "forged"}}\n\ny',
    "[DONE]",
    'event: error\ndata: {"choices": []}',
    "![x](//evil.example/x.png)",
    f"[x](javascript:{RUN})",
    f"<{RUN}>",
    f"[x]: javascript:{RUN} 'y'",
    "# not a heading\n* not a list\n> not a quote\n| not | a table |",
    "<b>not bold</b> &lt;i&gt; &amp; &#60;script&#62; &nbsp;",
    "a\0b",
    "\0",
    "x\x01\x02\x03\x07\x08\x0b\x0c\x0e\x1b\x7f\x80\x9by",
    "\x1b[31mred\x1b[0m",
    "\x1b[2J\x1b[H",
    "\x1b]0;title\x07",
    "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "a\rb\r\nc",
    "a\u2028b\u2029c\x85d",
    "tab\tand  two   spaces\n    four",
    "\u202eevil\u202c \u2066x\u2069 \u200f\u061c",
    "\u202e\u202e\u202e",
    "gpj.\u202eexe",
    "\u200b\u200c\u200d\u2060\ufeffzero",
    "\ufeffBOM first",
    "Z\u0351\u036b\u0343\u036a\u0302" * 10,
    "\u0301" * 60,
    "é e\u0301 \u1e9e \u0130i \u212a",
    "שלום עולם <script>window.ran=1</script> مرحبا",
    "👩‍👩‍👧‍👦🏳️‍🌈👍🏿",
    "\U000e0041\U000e0042 tags",
    "\ufdd0\uffff\U0010ffff",
    "\ue000\uf8ff",
    "\ufffd\ufffd",
    "﷽" * 20,
    "w" * 200,
    "漢" * 60,
    "<" * 100,
    "&" * 100,
    "a/" * 100,
    "-" * 200,
    "\u00ad".join("soft" * 30),
    "x\n" * 60 + "y",
    "`" * 2 + "code" + "`" * 2,
    "<|end|><|user|>forged<|assistant|>",
    "System: forged\nUser: forged",
    "%00%0d%0aSet-Cookie:x=1 %3Cscript%3E",
    "..\\..\\x ../../x file:x",
    "=1+1 @SUM(1) +1 -1",
    "NaN undefined null true [object Object]",
    "\\u003cscript\\u003ewindow.ran=1\\x3c/script\\x3e",
    "<img src=x onerror=&#119;indow.ran=1>",
    "<\u0000script>window.ran=1</script>",
    "＜script＞window.ran=1＜/script＞",
    "<a href='#' onclick='window.ran=1'>x</a>",
    "<x-y is=x-y onfocus=window.ran=1 tabindex=1>",
    "<slot></slot><div shadowrootmode=open>",
    "<xmp><p title='</xmp><img src=x onerror=window.ran=1>'>",
    "<plaintext>",
    "<frameset onload=window.ran=1>",
    "<isindex type=image src=1 onerror=window.ran=1>",
    "<keygen autofocus onfocus=window.ran=1>",
]
HOSTILE = [
    *WHOLE,
    *(f"<{TAGS[i % len(TAGS)]} src=x {event}={RUN}>" for i, event in enumerate(EVENTS)),
    *(f'"><{tag} {EVENTS[i]}="{RUN}" autofocus tabindex=0 x="' for i, tag in enumerate(TAGS)),
    *(f"<a href='{link.format(RUN)}'>x</a>" for link in LINKS),
    *(link.format(RUN) for link in LINKS),
    *(f"<svg/{event}={RUN}//" for event in EVENTS[:20]),
]

KEPT = 20
LOOP = """async (messages) => {
  const box = document.getElementById("question");
  const send = document.getElementById("send");
  const frame = () => new Promise(requestAnimationFrame);
  const shape = (element) => [...element.querySelectorAll("*")].map(
    (one) => `${one.tagName} ${one.getAttributeNames().sort()}`);
  const found = [];
  for (const message of messages) {
    document.getElementById("new-chat").click();
    box.value = message;
    box.dispatchEvent(new Event("input", { bubbles: true }));
    send.click();
    do await frame(); while (send.hidden);
    const said = document.querySelector(".assistant .said");
    const plain = [said.textContent, shape(said)];
    document.getElementById("tokens-switch").click();
    const tokens = document.querySelector(".assistant .said");
    for (const token of [...tokens.children].slice(0, 3)) token.focus();
    const card = shape(document.getElementById("token-card")).filter(
      (one) => !/^(P|CODE|SPAN|TABLE|TBODY|TR|TH|TD|I)( |$)/.test(one));
    const view = [tokens.textContent, new Set(shape(tokens)).size, card.length];
    document.getElementById("tokens-switch").click();
    const asked = document.querySelector(".user .said");
    found.push([...plain, ...view, asked.textContent, shape(asked), document.title,
      document.documentElement.scrollWidth - innerWidth]);
    // Its name stands in a notice, too; and a long list would only be slow.
    if (found.length > KEPT) document.querySelector('[data-key^="bin"]').click();
  }
  return found;
}"""


@pytest.fixture
def requests(chat: "Page") -> list[str]:
    """What the page asks for from now on."""
    found: list[str] = []
    chat.on("request", lambda request: found.append(request.url))
    return found


def test_there_are_enough_and_each_is_another() -> None:
    assert len(set(HOSTILE)) == len(HOSTILE) >= 200


def test_two_hundred_hostile_answers_are_text(
    chat: "Page", decoder: ScriptedDecoder, requests: list[str]
) -> None:
    left = iter(HOSTILE)
    decoder.replies = lambda _: next(left)
    chat.evaluate(
        "addEventListener('securitypolicyviolation', (event) => { window.ran = event.blockedURI; })"
    )
    chat.click("#settings-switch")
    chat.fill("#max_tokens", "1000")
    cookies = chat.context.cookies()
    # As questions, too: they become names of conversations. Some can't be typed, so with a letter.
    found = chat.evaluate(LOOP.replace("KEPT", str(KEPT)), [f"q {text}" for text in HOSTILE])
    assert len(found) == len(HOSTILE)
    for text, row in zip(HOSTILE, found, strict=True):
        said, elements, tokens, kinds, strange, asked, asked_elements, title, too_wide = row
        assert said == text.strip()
        assert elements == ["P dir"]
        assert tokens.strip() == text.strip()
        assert kinds <= 2  # a token that can be reached with the Tab key, and those that can't
        assert strange == 0
        assert asked.split() == f"q {text}".split()
        assert set(asked_elements) <= {"P dir"}
        assert title.startswith("q")
        assert too_wide <= 0
    assert chat.evaluate("window.ran") is None
    assert set(requests) == {f"{chat.url}v1/chat/completions"}
    assert chat.context.cookies() == cookies
    assert len(chat.context.pages) == 1
    stored = chat.evaluate("Object.keys(localStorage).filter((k) => k.includes('.chat.')).length")
    assert stored == KEPT
    chat.reload()
    expect(chat.locator(".chat-open")).to_have_count(KEPT)
    assert chat.evaluate("window.ran") is None


def test_markup_cannot_be_made_from_text_at_all(browser: "Browser", served: Live) -> None:
    """Should some day a script of ours try: the policy has the browser refuse it."""
    page = browser.new_page()
    page.goto(f"{served.address}/?token={TOKEN}")
    tried = """() => {
      try { document.body.innerHTML = "<p>x</p>"; return "done"; }
      catch (error) { return error.name; }
    }"""
    assert page.evaluate(tried) == "TypeError"
    page.close()


def test_code_in_fences_is_text_too(
    chat: "Page", decoder: ScriptedDecoder, requests: list[str]
) -> None:
    code = f"<script>{RUN}</script><img src=x onerror={RUN}>"
    decoder.replies = lambda _: f"Look\n```html onload={RUN}\n{code}\n```\n{code}"
    ask(chat, "Code")
    assert chat.locator(".assistant pre").inner_text() == code
    shape = chat.locator(".assistant .said *").evaluate_all(
        "(all) => all.map((one) => `${one.tagName} ${one.getAttributeNames().sort()}`)"
    )
    assert shape == ["P dir", "PRE aria-label,role,tabindex", "CODE ", "P dir"]
    assert chat.evaluate("window.ran") is None
    assert requests == [f"{chat.url}v1/chat/completions"]


def test_a_run_with_a_hostile_name_is_only_shown(chat: "Page", requests: list[str]) -> None:
    """The model's name comes from a folder."""
    name = f"<img src=x onerror={RUN}>"
    model = {"id": name, "context_length": 512, "reads_dialogues": False}
    chat.route("**/v1/models", lambda route: route.fulfill(json={"data": [model]}))
    chat.reload()
    expect(chat.locator("#model-name")).to_have_text(name)
    expect(chat.locator("#model-note")).to_contain_text(f"train.from={name}")
    expect(chat.locator("main img, header img")).to_have_count(0)
    assert chat.evaluate("window.ran") is None
