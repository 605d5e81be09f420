"""The API of a classifier: what an image shows, and what is no image."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
import torch
from PIL import Image

from maquette.data.image.decoding import decode
from maquette.serving.limits import IMAGE_LIMITS, Limits
from tests.data.image.making import file_bytes, picture
from tests.models.small_images import small_convnext
from tests.serving.live import (
    CLASSES,
    MODEL,
    TOKEN,
    Live,
    LiveClassifier,
    eventually,
    http,
    running_classifier,
)

PNG = file_bytes(picture(1, 48, 40))
SIDE = 32


def shares(live: LiveClassifier, data: bytes) -> list[float]:
    """What the model says of an image file, worked out by hand."""
    pixels = torch.from_numpy(decode(data, SIDE).copy()).double() / 255
    inputs = ((pixels - 0.5) / 0.25).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        return live.model(inputs)[0].softmax(-1)[0].tolist()  # type: ignore[no-any-return]


def ask(live: LiveClassifier, data: bytes, **query: int) -> httpx2.Response:
    with http(live) as client:
        return client.post("/v1/classify", content=data, params=query)


def post(live: LiveClassifier, data: bytes = PNG) -> socket.socket:
    """A request on a bare socket, of which nothing is read."""
    head = (
        f"POST /v1/classify HTTP/1.1\r\nHost: 127.0.0.1:{live.port}\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    sock = socket.create_connection(("127.0.0.1", live.port), timeout=20)
    sock.sendall(head.encode() + data)
    return sock


class Held:
    """Holds the classifier before each image, until a test lets it go on."""

    def __init__(self, live: LiveClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        self.begun = 0
        look = live.classifier._look

        def held(image: bytes, top: int) -> Any:
            self.begun += 1
            self.go.wait(20)
            return look(image, top)

        monkeypatch.setattr(live.classifier, "_look", held)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "gif", "bmp", "tiff"])
def test_an_image_gets_the_models_probabilities(classifying: LiveClassifier, kind: str) -> None:
    data = file_bytes(picture(2, 70, 50), kind)
    answer = ask(classifying, data, top=10)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["model"], body["image"]) == (MODEL, {"width": 70, "height": 50})
    found = {one["name"]: one["probability"] for one in body["classes"]}
    expected = dict(zip(CLASSES, shares(classifying, data), strict=True))
    assert found == pytest.approx(expected, abs=1e-5)
    assert list(found) == sorted(expected, key=lambda name: -expected[name])


def test_as_many_classes_as_asked_for(classifying: LiveClassifier) -> None:
    everything = ask(classifying, PNG).json()["classes"]
    assert len(everything) == 5
    assert ask(classifying, PNG, top=2).json()["classes"] == everything[:2]
    for wrong in (0, -1):
        answer = ask(classifying, PNG, top=wrong)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "top")


def test_a_photo_on_its_side_is_measured_as_it_is_seen(classifying: LiveClassifier) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("jpeg", "png"):
        data = file_bytes(picture(3, 60, 30), kind, exif=exif)
        assert ask(classifying, data).json()["image"] == {"width": 30, "height": 60}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "the body is empty: send an image file"),
        (b"hello, world", "the file is no image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "the file is no image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "no image"),
        (PNG[:200], "the file can't be read: "),
        (b"\x89PNG\r\n\x1a\n\xff\xd8", "the file "),
    ],
)
def test_what_is_no_image_is_told(classifying: LiveClassifier, data: bytes, why: str) -> None:
    answer = ask(classifying, data)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_image")
    assert why in error["message"]


def test_a_bomb_is_not_unpacked(classifying: LiveClassifier) -> None:
    pixels = Image.new("1", (12_000, 12_000))
    bomb = file_bytes(pixels)
    assert len(bomb) < 100_000
    error = ask(classifying, bomb).json()["error"]
    assert error["message"] == "the file has more than 89,478,485 pixels"


def test_a_form_is_refused_by_name(classifying: LiveClassifier) -> None:
    with http(classifying) as client:
        answer = client.post("/v1/classify", files={"image": PNG})
    assert answer.status_code == 415
    assert "as the body" in answer.json()["error"]["message"]


def test_the_type_of_the_body_does_not_matter(classifying: LiveClassifier) -> None:
    with http(classifying) as client:
        for kind in ("image/png", "image/jpeg", "application/x-www-form-urlencoded", "x"):
            headers = {"content-type": kind}
            assert client.post("/v1/classify", content=PNG, headers=headers).status_code == 200


def test_bodies_are_bounded() -> None:
    limits = Limits(body_bytes=1000)
    assert len(PNG) > 1000
    with running_classifier(limits=limits) as live:
        answer = ask(live, PNG)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")
        with http(live) as client:
            (model,) = client.get("/v1/models").json()["data"]
        assert model["max_image_bytes"] == 1000


def test_the_model_says_what_it_is(classifying: LiveClassifier, live: Live) -> None:
    with http(classifying) as client:
        (model,) = client.get("/v1/models").json()["data"]
        assert client.get(f"/v1/models/{MODEL}").json() == model
        assert client.get("/v1/models/other").status_code == 404
        assert client.get("/health").json() == {"status": "ok"}
    assert (model["id"], model["task"]) == (MODEL, "image-classification")
    assert (model["image_size"], tuple(model["classes"])) == (SIDE, CLASSES)
    assert model["max_image_bytes"] == IMAGE_LIMITS.body_bytes == 20 * 2**20
    with http(live) as client:
        (model,) = client.get("/v1/models").json()["data"]
        assert model["task"] == "language"


def test_each_task_says_that_the_other_is_not_here(classifying: LiveClassifier, live: Live) -> None:
    for server, paths, why in (
        (classifying, ("/v1/chat/completions", "/v1/completions"), "POST /v1/classify"),
        (live, ("/v1/classify",), "looks at no images"),
    ):
        with http(server) as client:
            for path in paths:
                answer = client.post(path, content=b"whatever")
                assert (answer.status_code, answer.json()["error"]["code"]) == (404, "wrong_task")
                assert why in answer.json()["error"]["message"]


def test_many_at_once_each_get_their_own(classifying: LiveClassifier) -> None:
    files = [file_bytes(picture(seed, 40, 40)) for seed in range(8)]
    with http(classifying) as client, ThreadPoolExecutor(8) as threads:

        def look(data: bytes) -> Any:
            return client.post("/v1/classify", content=data).json()

        alone = [look(data) for data in files]
        assert len({str(one) for one in alone}) == 8
        assert list(threads.map(look, files)) == alone


def test_a_full_queue_says_so_and_takes_more_later(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_classifier(limits=Limits(queue=1)) as live:
        held = Held(live, monkeypatch)
        socks = [post(live) for _ in range(2)]
        assert eventually(lambda: live.classifier.unfinished == 2)
        answer = ask(live, PNG)
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "1"
        assert answer.json()["error"]["code"] == "rate_limit_exceeded"
        held.go.set()
        for sock in socks:
            assert b" 200 " in sock.recv(100)
            sock.close()
        assert ask(live, PNG).status_code == 200
        assert (live.classifier.counts.refused, live.classifier.counts.seen) == (1, 3)


def test_who_hangs_up_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_classifier() as live:
        held = Held(live, monkeypatch)
        first = post(live)
        assert eventually(lambda: held.begun == 1)
        socks = [post(live) for _ in range(5)]
        assert eventually(lambda: live.classifier.unfinished == 6)
        for sock in socks:
            sock.close()
        assert eventually(lambda: live.classifier.unfinished == 1)
        held.go.set()
        assert b" 200 " in first.recv(100)
        first.close()
        assert live.wait_idle()
        assert held.begun == 1  # the others were never looked at
        assert (live.classifier.counts.cancelled, live.classifier.counts.seen) == (5, 1)


def test_a_time_limit_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_classifier(limits=Limits(answer_seconds=0.1)) as live:
        held = Held(live, monkeypatch)
        answer = ask(live, PNG)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "timeout")
        held.go.set()
        assert live.wait_idle()


def test_ending_lets_what_was_asked_be_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_classifier() as live:
        held = Held(live, monkeypatch)
        socks = [post(live) for _ in range(3)]
        assert eventually(lambda: live.classifier.unfinished == 3)
        live.server.should_exit = True
        held.go.set()
        for sock in socks:
            assert b" 200 " in sock.recv(100)
            sock.close()
        assert eventually(lambda: not live.classifier.alive)


def test_ending_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_classifier(limits=Limits(drain_seconds=1)) as live:
        held = Held(live, monkeypatch)
        socks = [post(live) for _ in range(3)]
        assert eventually(lambda: live.classifier.unfinished == 3)
        live.server.should_exit = True
        assert eventually(lambda: not live.classifier.alive)
        held.go.set()
        for sock in socks:
            sock.close()
        assert live.wait_idle()
        assert held.begun == 1


def test_broken_weights_are_told() -> None:
    model = small_convnext()
    with torch.no_grad():
        model.head.fc.bias.fill_(torch.nan)
    with running_classifier(model=model) as live:
        answer = ask(live, PNG)
        assert answer.status_code == 500
        assert "weights are broken" in answer.json()["error"]["message"]
        assert live.classifier.counts.failed == 1


def test_a_failure_is_told_without_its_words_and_survived(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("out of memory")

    with running_classifier() as live:
        with monkeypatch.context() as patch:
            patch.setattr(live.classifier, "_look", fail)
            answer = ask(live, PNG)
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "model_error")
        assert "memory" not in answer.text
        assert "out of memory" in caplog.text
        assert ask(live, PNG).status_code == 200


def test_metrics_tell_what_happens() -> None:
    with running_classifier() as live, http(live) as client:
        ask(live, PNG)
        ask(live, b"no image")
        text = client.get("/metrics").text
        assert "\nmaquette_classified_total 1\n" in text
        assert "\nmaquette_broken_images_total 1\n" in text
        assert "\nmaquette_unfinished_images 0\n" in text
        label = 'method="POST",path="/v1/classify",status="200"'
        assert f"\nmaquette_requests_total{{{label}}} 1\n" in text


def test_names_of_classes_come_as_they_are() -> None:
    names = ("</script>", "\u202egnp", "naïve 🦊", "", '"\\')
    with running_classifier(classes=names) as live:
        found = ask(live, PNG).json()["classes"]
        assert {one["name"] for one in found} == set(names)
