"""Memory stays flat however large the text is: measured from outside, in a process of its own."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

TEXT_BYTES = 500_000_000
MOST_BYTES = 600 * 2**20

PROGRAM = """
import json, sys
from pathlib import Path
from maquette.data.prepare import prepare
from maquette.spec.schema import Spec

text, cache, tokenizer = sys.argv[1:]
source = {"kind": "files", "path": text}
data = {"sources": {"a": source}}
spec = Spec.model_validate({"tokenizer": json.loads(tokenizer), "data": data})
facts = prepare(spec, cache=Path(cache)).facts.sources["a"]
status = Path("/proc/self/status").read_text()  # ru_maxrss would begin at the parent's memory
peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
print(json.dumps({"bytes": sum(f.bytes for f in facts.values()), "peak": peak}))
"""


@pytest.fixture(scope="module")
def large_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lines of made-up words, some common and most rare, a few with letters beyond ASCII."""
    rng = random.Random(0)
    letters = "etaoinshrdlucmfwypvbgé"
    words = ["".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(200_000)]
    path = tmp_path_factory.mktemp("large") / "large.txt"
    with path.open("w", encoding="utf-8") as file:
        written = 0
        while written < TEXT_BYTES:
            chosen = (words[int(rng.random() ** 4 * len(words))] for _ in range(100_000))
            text = " ".join(w + ".\n" if rng.random() < 0.08 else w for w in chosen)
            written += file.write(text)
    return path


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize(
    "tokenizer", [{"kind": "bytes"}, {"kind": "bpe", "vocabulary": 8192}], ids=["bytes", "bpe"]
)
def test_500_megabytes_take_under_600(
    tmp_path: Path, large_text: Path, tokenizer: dict[str, object]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, large_text, tmp_path, json.dumps(tokenizer)],
        capture_output=True,
        check=True,
    )
    result = json.loads(done.stdout)
    print(f"{tokenizer}: {result['peak'] / 2**20:.0f} MiB")
    assert result["bytes"] == large_text.stat().st_size >= TEXT_BYTES
    assert result["peak"] < MOST_BYTES
