"""What the pages are made of: a fixed table of files, and what may not stand in them."""

import re
from html.parser import HTMLParser
from importlib.resources import files

import httpx2
import pytest

from maquette.generation.chat import Settings
from maquette.serving.limits import Limits
from maquette.serving.pages import HOMES, PAGES, STATIC, TYPES, read
from maquette.serving.wire import ChatRequest
from tests.serving.live import MODEL, Live, LiveClassifier, byte_model, http, running

FOLDER = files("maquette.serving") / "page"
HTML = (*HOMES, *PAGES.values())
TEXTS = {name: read(name).decode() for name in (*HTML, *STATIC)}
SCRIPTS = [name for name in STATIC if name.endswith(".js")]
FIELDS = {"temperature", "top_p", "min_p", "top_k", "repetition_penalty", "max_tokens", "seed"}


def test_every_file_is_served_and_no_other() -> None:
    assert {entry.name for entry in FOLDER.iterdir()} == set(TEXTS)
    assert list(STATIC) == sorted(STATIC)


@pytest.mark.parametrize("home", HOMES)
def test_files_have_their_types_and_need_the_token(
    live: Live, classifying: LiveClassifier, home: str
) -> None:
    server = live if home == "index.html" else classifying
    with http(server) as client, httpx2.Client(base_url=server.address) as stranger:
        for address, name in {"/": home, **PAGES}.items():
            answer = client.get(address)
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert answer.text == TEXTS[name].replace("{home}", HOMES[home])
            assert f">{HOMES[home]}</a>" in answer.text
            assert stranger.get(address).status_code == 401
        for name in STATIC:
            answer = client.get(f"/static/{name}")
            assert answer.status_code == 200
            assert answer.headers["content-type"] == TYPES[name[name.rindex(".") :]]
            assert answer.content == read(name)
            assert stranger.get(f"/static/{name}").status_code == 401


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "%2e%2e",
        "index.html",
        "base.css/",
        "BASE.CSS",
        "../pages.py",
        "..%2fpages.py",
        "%2e%2e/pages.py",
        "..%5cpages.py",
        "%2fetc%2fpasswd",
        "base.css%00",
        "page/base.css",
        "a" * 5000,
    ],
)
def test_no_name_leads_elsewhere(live: Live, name: str) -> None:
    with http(live) as client:
        assert client.get(f"/static/{name}").status_code == 404


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_never_read_markup(name: str) -> None:
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|setHTML|parseFromString"
        r"|createContextualFragment|srcdoc|\beval\b|new Function|setTimeout\([\"'`]|https?://(?!www\.w3\.org/2000/svg)"
    )
    assert not re.search(forbidden, TEXTS[name])
    assert TEXTS[name].count("\n") <= 400


@pytest.mark.parametrize("name", SCRIPTS)
def test_imports_name_files_that_are_there(name: str) -> None:
    for found in re.findall(r'from "([^"]*)"', TEXTS[name]):
        assert found.removeprefix("./") in STATIC


class Elements(HTMLParser):
    """Every element: its tag, its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {key: value or "" for key, value in attrs}))


@pytest.mark.parametrize("name", HTML)
def test_pages_have_nothing_inline_and_nothing_from_elsewhere(name: str) -> None:
    for tag, attributes in Elements(TEXTS[name]).found:
        assert tag != "style"
        assert tag != "script" or attributes["src"].startswith("/static/")
        for key, value in attributes.items():
            assert key != "style"
            assert not key.startswith("on")
            if key in ("src", "href"):
                assert value.startswith(("/", "#"))
                assert not value.startswith("//")
                if value.startswith("/static/"):
                    assert value.removeprefix("/static/") in STATIC


@pytest.mark.parametrize("name", HOMES)
def test_every_field_is_labelled_and_every_id_is_there_once(name: str) -> None:
    found = Elements(TEXTS[name]).found
    ids = [attributes["id"] for _, attributes in found if "id" in attributes]
    assert len(ids) == len(set(ids))
    labels = {attributes["for"] for tag, attributes in found if tag == "label"}
    for tag, attributes in found:
        if tag in ("input", "textarea"):
            assert attributes["id"] in labels or "aria-label" in attributes
        for reference in ("aria-describedby", "aria-controls", "aria-labelledby", "for"):
            assert attributes.get(reference, ids[0]) in ids


def test_fields_have_the_bounds_of_the_api_and_the_defaults_of_the_terminal() -> None:
    found = {
        attributes["name"]: attributes
        for _, attributes in Elements(TEXTS["index.html"]).found
        if "name" in attributes and "value" in attributes
    }
    assert set(found) == FIELDS
    schema = ChatRequest.model_json_schema()["properties"]
    for name, attributes in found.items():
        bounds = schema[name]["anyOf"][0]
        least = float(attributes["min"])
        assert least >= bounds["minimum"] if "minimum" in bounds else least > 0
        for end in ("min", "max"):
            if end in attributes:
                ChatRequest.model_validate(
                    {
                        "model": MODEL,
                        "messages": [{"role": "user", "content": "a"}],
                        name: float(attributes[end]),
                    }
                )
        if "maximum" in bounds and name != "seed":
            assert float(attributes["max"]) == bounds["maximum"]
    assert int(found["max_tokens"]["max"]) == Limits().tokens
    assert int(found["seed"]["max"]) == 2**53 - 1  # what JavaScript can count to
    assert int(found["max_tokens"]["value"]) == Settings().max_new_tokens


def test_colours_can_be_told_apart() -> None:
    """WCAG 2: 4.5 for text, 3 for the edges of controls."""
    pairs = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", TEXTS["base.css"])
    colours = {name: values for name, *values in pairs}
    grounds = ("ground", "surface", "raised", "sunken", "accent-soft", "danger-soft")
    for place in (0, 1):
        for ground in grounds:
            for text in ("text", "muted", "accent", "danger", "good"):
                assert contrast(colours[text][place], colours[ground][place]) >= 4.5
            assert contrast(colours["line-strong"][place], colours[ground][place]) >= 3
        assert contrast(colours["on-accent"][place], colours["accent"][place]) >= 4.5
        shares = [int(n) for n in re.findall(r"var\(--heat\) (\d+)%", TEXTS["chat.css"])]
        assert len(shares) == 8
        for share in shares:
            shade = mixed(colours["heat"][place], colours["ground"][place], share / 100)
            assert contrast(colours["text"][place], shade) >= 4.5


def channels(colour: str) -> list[float]:
    return [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]


def mixed(one: str, other: str, share: float) -> str:
    both = zip(channels(one), channels(other), strict=True)
    return "#" + "".join(f"{round(255 * (share * a + (1 - share) * b)):02x}" for a, b in both)


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels(colour)
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("reads", [True, False])
def test_the_model_says_whether_it_has_read_dialogues(reads: bool) -> None:
    with running(reads_dialogues=reads) as live, http(live) as client:
        (model,) = client.get("/v1/models").json()["data"]
        assert model["reads_dialogues"] is reads
        assert model["context_length"] == byte_model().shape.context


def test_the_oldest_messages_are_left_out_when_that_is_asked_for(live: Live) -> None:
    said = [{"role": "system", "content": "Be brief."}]
    for _ in range(5):
        said += [{"role": "user", "content": "q" * 20}, {"role": "assistant", "content": "a" * 20}]
    body: dict[str, object] = {
        "model": MODEL,
        "messages": [*said, {"role": "user", "content": "Hello"}],
    }
    body["max_tokens"] = 4
    with http(live) as client:
        refused = client.post("/v1/chat/completions", json=body)
        assert refused.json()["error"]["code"] == "context_length_exceeded"
        for stream in (False, True):
            more = {"drop_oldest": True, "stream": stream}
            answer = client.post("/v1/chat/completions", json={**body, **more})
            assert answer.status_code == 200
            # system, a question and its answer, the last message: 18 + 27 + 32 + 12 + 11 of 128
            assert answer.headers["maquette-dropped-messages"] == "8"
        usage = client.post("/v1/chat/completions", json={**body, "drop_oldest": True}).json()
        assert usage["usage"]["prompt_tokens"] == 18 + 27 + 32 + 12 + 11
        body["messages"] = [{"role": "user", "content": "x" * 200}]
        alone = client.post("/v1/chat/completions", json={**body, "drop_oldest": True})
        assert alone.json()["error"]["code"] == "context_length_exceeded"
        body["messages"] = [{"role": "user", "content": "x"}]
        short = client.post("/v1/chat/completions", json={**body, "drop_oldest": True})
        assert "maquette-dropped-messages" not in short.headers
