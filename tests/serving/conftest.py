from collections.abc import Iterator

import openai
import pytest

from tests.serving.live import TOKEN, Live, LiveClassifier, running, running_classifier


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with running() as live:
        yield live


@pytest.fixture(scope="module")
def classifying() -> Iterator[LiveClassifier]:
    with running_classifier() as live:
        yield live


@pytest.fixture
def client(live: Live) -> Iterator[openai.OpenAI]:
    base = f"{live.address}/v1"
    with openai.OpenAI(base_url=base, api_key=TOKEN, max_retries=0, timeout=20) as client:
        yield client
