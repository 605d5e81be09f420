"""Requests made up from the OpenAPI document: none is a failure of ours."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from maquette.runs.store import Store
from maquette.serving.limits import Limits
from tests.serving.live import Live, LiveClassifier, http, running, running_classifier
from tests.serving.test_runs_api import make_run

schemathesis = pytest.importorskip("schemathesis")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_nothing_made_up_from_the_document_breaks_the_server(tmp_path: Path) -> None:
    store = Store(tmp_path)
    make_run(store)
    limits = Limits(answer_seconds=2, tokens=20)
    with running(limits=limits, store=store) as live:
        assert attack(live) > 100


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_nothing_made_up_from_the_document_breaks_a_classifier() -> None:
    with running_classifier() as live:
        assert attack(live) > 100
        assert live.classifier.counts.broken > 10  # bodies came as far as that
        assert live.classifier.counts.failed == 0


def attack(live: Live | LiveClassifier) -> int:
    """Try every operation of the document; returns how many requests that were."""
    with http(live) as client:
        schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
        headers = dict(client.headers)
        tried = 0
        for result in schema.get_all_operations():
            operation = result.ok()

            @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
            def try_one(case: object) -> None:
                nonlocal tried
                tried += 1
                answer = case.call(  # type: ignore[attr-defined]
                    base_url=live.address, headers={"authorization": headers["authorization"]}
                )
                assert answer.status_code < 500 or "timeout" in answer.text

            given(case=operation.as_strategy())(try_one)()
    return tried


def test_the_document_has_every_route(live: Live) -> None:
    with http(live) as client:
        document = client.get("/openapi.json").json()
    assert {"/v1/models", "/v1/completions", "/v1/chat/completions"} <= set(document["paths"])
    runs = {"/api/runs", "/api/runs/{run_id}", "/api/runs/{run_id}/metrics"}
    assert runs <= set(document["paths"])
    fields = document["components"]["schemas"]["ChatRequest"]["properties"]
    assert {"messages", "max_completion_tokens", "seed", "stop", "top_logprobs"} <= set(fields)


def test_the_document_of_a_classifier_takes_images(classifying: LiveClassifier) -> None:
    with http(classifying) as client:
        paths = client.get("/openapi.json").json()["paths"]
    assert {"/v1/models", "/v1/classify"} <= set(paths)
    assert not {"/v1/completions", "/v1/chat/completions"} & set(paths)
    operation = paths["/v1/classify"]["post"]
    assert "image/*" in operation["requestBody"]["content"]
    assert [one["name"] for one in operation["parameters"]] == ["top"]
