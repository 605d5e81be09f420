"""Runs over HTTP: compared with what the recorder wrote, and whatever is in the folder."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from maquette.events import Evaluated, Finished, Sampled, Started, StepDone, to_row
from maquette.runs.recorder import Recorder
from maquette.runs.state import Change, State
from maquette.runs.store import Run, Store
from maquette.serving import runs_board
from maquette.serving.runs_curves import POINTS, curves, running_clock
from tests.serving.live import http, running


def make_run(store: Store, *, steps: int = 30, finish: bool = True, name: str = "tiny") -> Run:
    run = store.create(name, spec_text="", blueprint_text="{}", command=["maquette", "train"])
    with Recorder(run) as recorder:
        recorder.begin(steps=30, tokens_per_step=64)
        recorder.record(Started(0, 30, 1234, "cpu", "float32", False))
        for step in range(1, steps + 1):
            recorder.record(step_done(step))
            if step % 10 == 0:
                recorder.record(evaluated(step))
                recorder.record(Sampled(step, "Once", " upon a time"))
        if finish:
            recorder.record(Finished(steps, "completed"))
    return run


def step_done(step: int, loss: float | None = None) -> StepDone:
    loss = 5 - step / 10 if loss is None else loss
    return StepDone(step, step / 10, step * 64, loss, 1e-3, 0.5, 0.25)


def evaluated(step: int, *, best: bool = True) -> Evaluated:
    sources = {"wiki": 2.5, "notes": 3.5}
    seen = {"wiki": 50 * step, "notes": 14 * step}
    return Evaluated(step, "validation", 3.0, 20.0, 4.3, None, best, 0.01, sources, seen)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx2.Client, Store]]:
    """A server of a folder that isn't there yet."""
    store = Store(tmp_path_factory.mktemp("served") / "runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs_board, "FRESH_SECONDS", 0.0)  # what a test changes, it sees
        with running(store=store) as live, http(live) as client:
            yield client, store


@pytest.fixture
def client(whole: tuple[httpx2.Client, Store]) -> httpx2.Client:
    return whole[0]


@pytest.fixture
def store(whole: tuple[httpx2.Client, Store]) -> Iterator[Store]:
    store = whole[1]
    yield store
    for path in store.root.parent.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def get(client: httpx2.Client, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(answer.content, parse_constant=refuse)


def rows(client: httpx2.Client) -> dict[str, Any]:
    return {row["id"]: row for row in get(client, "/api/runs")["runs"]}


def test_all_runs_the_newest_first(client: httpx2.Client, store: Store) -> None:
    assert get(client, "/api/runs") == {"folder": str(store.root), "runs": []}
    first, second = make_run(store, name="first"), make_run(store, name="second")
    found = get(client, "/api/runs")["runs"]
    assert [row["id"] for row in found] == [second.id, first.id]
    row = found[1]
    assert (row["status"], row["step"], row["steps"]) == ("completed", 30, 30)
    assert (row["train_loss"], row["validation_loss"]) == (2.0, 3.0)
    assert (row["device"], row["kind"]) == ("cpu", "training")
    assert row["curve"] == pytest.approx([5 - step / 10 for step in range(1, 31)])
    assert row["created_at"] == pytest.approx(first.meta.created_at)
    first.remove()
    assert list(rows(client)) == [second.id]


def test_a_listing_is_shared_for_a_moment(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs_board, "FRESH_SECONDS", 1000.0)
    board = runs_board.Board(store)
    empty = board.listing()
    make_run(store)
    assert board.listing() is empty


def test_nothing_is_read_anew_of_a_run_that_rests(
    client: httpx2.Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    resting, live = make_run(store), make_run(store, steps=5)
    read: list[str] = []
    real = runs_board.state_of

    def counted(run: Run) -> State:
        read.append(run.id)
        return real(run)

    monkeypatch.setattr(runs_board, "state_of", counted)
    rows(client)
    assert sorted(read) == sorted([resting.id, live.id])
    read.clear()
    with Recorder(live):
        assert rows(client)[live.id]["status"] == "running"
        assert rows(client)[live.id]["status"] == "running"
    assert read == [live.id, live.id]


def test_what_has_not_changed_is_not_sent_again(client: httpx2.Client, store: Store) -> None:
    run = make_run(store)
    for path in ("/api/runs", f"/api/runs/{run.id}"):
        tag = client.get(path).headers["etag"]
        again = client.get(path, headers={"if-none-match": tag})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        (run.path / "samples" / "step-00000099.txt").write_text(path)
        with run.metrics_path.open("a") as file:
            file.write(json.dumps({"at": 1.0, **to_row(step_done(31))}) + "\n")
        changed = client.get(path, headers={"if-none-match": tag})
        assert changed.status_code == 200
        assert changed.headers["etag"] != tag


def test_everything_about_a_run(client: httpx2.Client, store: Store) -> None:
    run = make_run(store)
    found = get(client, f"/api/runs/{run.id}")
    assert found["id"] == run.id
    assert found["parameters"] == 1234
    assert (found["best_loss"], found["best_step"]) == (3.0, 30)
    assert found["command"] == "maquette train"
    assert found["path"] == str(run.path)
    assert found["sources"] == [
        {"name": "wiki", "loss": 2.5, "tokens_seen": 1500},
        {"name": "notes", "loss": 3.5, "tokens_seen": 420},
    ]
    assert [(s["step"], s["text"]) for s in found["samples"]] == [
        (step, "Once upon a time\n") for step in (30, 20, 10)
    ]
    assert found["log"][-1].endswith("completed")


def test_curves_are_what_was_recorded_and_then_what_is_new(
    client: httpx2.Client, store: Store
) -> None:
    run = make_run(store, steps=12, finish=False)
    first = get(client, f"/api/runs/{run.id}/metrics")
    assert first["anew"]
    steps = first["steps"]
    assert steps["step"] == list(range(1, 13))
    assert steps["loss"] == steps["low"] == steps["high"]
    assert steps["loss"] == pytest.approx([5 - step / 10 for step in range(1, 13)])
    assert steps["learning_rate"] == [1e-3] * 12
    assert steps["tokens_per_second"] == [256.0] * 12
    assert [(e["step"], e["loss"], e["best"]) for e in first["evaluations"]] == [(10, 3.0, True)]
    assert first["evaluations"][0]["sources"] == {"wiki": 2.5, "notes": 3.5}
    assert all(0 <= seconds < 20 for seconds in steps["seconds"])

    with run.metrics_path.open("a") as file:
        file.write(json.dumps({"at": 1.0, **to_row(step_done(13))}) + "\n")
        file.write('{"at": 1.0, "event": "st')  # being written
    second = get(client, f"/api/runs/{run.id}/metrics?after={first['cursor']}")
    assert (second["anew"], second["steps"]["step"], second["evaluations"]) == (False, [13], [])
    third = get(client, f"/api/runs/{run.id}/metrics?after={second['cursor']}")
    assert (third["anew"], third["steps"]["step"]) == (False, [])
    run.rewind(5)  # it goes on from an earlier step
    fourth = get(client, f"/api/runs/{run.id}/metrics?after={third['cursor']}")
    assert (fourth["anew"], fourth["steps"]["step"]) == (True, [1, 2, 3, 4, 5])


def test_a_long_run_is_thinned_and_loses_no_spike(client: httpx2.Client, store: Store) -> None:
    run = make_run(store, steps=1, finish=False)
    with run.metrics_path.open("w") as file:
        for step in range(1, 9001):
            loss = 50.0 if step == 4321 else 2.0 if step % 2 else 4.0
            file.write(json.dumps({"at": 1.0, **to_row(step_done(step, loss))}) + "\n")
            if step % 4 == 0:
                best = step == 2228
                row = to_row(evaluated(step, best=best))
                file.write(json.dumps({"at": 1.0, **row}) + "\n")
    assert run.metrics_path.stat().st_size > 2 << 20  # more than is read whole
    found = get(client, f"/api/runs/{run.id}/metrics")
    steps = found["steps"]
    assert 300 < len(steps["step"]) <= POINTS
    assert steps["step"] == sorted(set(steps["step"]))
    assert steps["step"][0] < 20
    assert steps["step"][-1] > 8980
    assert len({len(column) for column in steps.values()}) == 1
    assert len(found["evaluations"]) <= POINTS
    assert found["evaluations"][-1]["step"] == 9000

    events = [(1.0, step_done(step, 50.0 if step == 4321 else 2.0)) for step in range(1, 9001)]
    whole = curves(events, lambda _: None)["steps"]
    assert len(whole["step"]) == POINTS
    assert whole["step"] == [5 + 9 * i for i in range(POINTS)]
    assert [high for high in whole["high"] if high != 2.0] == [50.0]
    assert max(whole["loss"]) == pytest.approx(2 + 48 / 9, rel=1e-5)
    rated = [(1.0, evaluated(step, best=step == 2228)) for step in range(1, 5001)]
    kept = curves(rated, lambda _: None)["evaluations"]
    assert len(kept) <= POINTS
    assert {2228, 5000} <= {e["step"] for e in kept}


def test_time_is_that_of_running() -> None:
    history = [("queued", 0.0), ("running", 10.0), ("stopped", 30.0), ("running", 100.0)]
    changes = tuple(Change(status, at) for status, at in history)  # type: ignore[arg-type]
    clock = running_clock(State("running", changes))
    assert [clock(at) for at in (5.0, 15.0, 30.0, 99.0, 100.0, 104.0)] == [0, 5, 20, 20, 20, 24]
    assert clock(0.0) is None  # it wasn't written down


def test_losses_that_are_no_numbers_are_gaps(client: httpx2.Client, store: Store) -> None:
    run = store.create("nan", spec_text="")
    with Recorder(run) as recorder:
        recorder.begin(steps=3, tokens_per_step=64)
        for step, loss in ((1, 5.0), (2, float("nan")), (3, float("inf"))):
            recorder.record(step_done(step, loss))
        recorder.record(
            Evaluated(3, "validation", float("nan"), float("inf"), 1.0, None, False, 0.1)
        )
    found = get(client, f"/api/runs/{run.id}/metrics")
    assert found["steps"]["loss"] == [5.0, None, None]
    assert found["evaluations"][0]["loss"] is None
    assert rows(client)[run.id]["train_loss"] is None
    assert rows(client)[run.id]["curve"][0] == 5.0
    assert get(client, f"/api/runs/{run.id}")["step"] == 3


def lose(run: Run) -> None:
    state = json.loads(run.state_path.read_text())
    state["process"]["started"] = "long ago"
    run.state_path.write_text(json.dumps({**state, "status": "running"}))


def test_a_lost_run_is_told_and_a_resumed_one_too(client: httpx2.Client, store: Store) -> None:
    run = make_run(store, steps=5)
    lose(run)
    assert rows(client)[run.id]["status"] == "lost"
    assert get(client, f"/api/runs/{run.id}")["status"] == "lost"
    with Recorder(run):
        assert rows(client)[run.id]["status"] == "running"
    assert rows(client)[run.id]["status"] == "stopped"


def by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def by_file(path: Path) -> None:
    shutil.rmtree(path)
    path.touch()


def tear_checkpoint(run: Run) -> None:
    folder = run.checkpoints_path / "step-00000009"
    folder.mkdir()
    (folder / "manifest.json").write_text("{")


def leave_meta_only(run: Run) -> None:
    for path in run.path.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "meta.json":
            path.unlink()


DAMAGE: dict[str, Callable[[Run], object]] = {
    "state-torn": lambda run: run.state_path.write_text('{"status": "runn'),
    "state-strange": lambda run: run.state_path.write_text('{"status": ["running"], "step": 1e99}'),
    "state-huge": lambda run: edit(run.state_path, step=10**30, heartbeat_at=10**400),
    "state-surrogates": lambda run: edit(run.state_path, device="\ud800", precision="\udfff"),
    "state-infinite": lambda run: run.state_path.write_text(
        run.state_path.read_text().replace('"epoch": 3.0', '"epoch": 1e999')
    ),
    "state-folder": lambda run: by_folder(run.state_path),
    "state-gone": lambda run: run.state_path.unlink(),
    "meta-empty": lambda run: (run.path / "meta.json").write_text(""),
    "meta-strange": lambda run: edit(
        run.path / "meta.json", git=[1], created_at=float("nan"), command="x", kind=None
    ),
    "metrics-random": lambda run: run.metrics_path.write_bytes(os.urandom(30_000)),
    "metrics-strange": lambda run: run.metrics_path.write_text(
        '{"event": "step", "step": 9223372036854775807, "epoch": 1e999, "tokens": 1, "loss": null,'
        ' "learning_rate": -1e308, "gradient_norm": 1e308, "step_seconds": 1e-320}\n'
        '{"event": "step", "step": -5, "epoch": 0.0, "tokens": -1, "loss": -3.0,'
        ' "learning_rate": 0.0, "gradient_norm": 0.0, "step_seconds": 0.0, "at": 1e999}\n'
        '{"event": "evaluated", "step": 0, "split": "validation", "loss": 1e308,'
        ' "perplexity": 1e999, "bits_per_byte": 0.0, "word_perplexity": null, "best": true,'
        ' "seconds": 0.0, "sources": {"__proto__": 1.0, "\\ud800": null}}\n'
    ),
    "metrics-folder": lambda run: by_folder(run.metrics_path),
    "samples-file": lambda run: by_file(run.samples_path),
    "samples-bytes": lambda run: (run.samples_path / "step-9.txt").write_bytes(b"\xff" * 99_999),
    "samples-folder": lambda run: (run.samples_path / "step-00000009.txt").mkdir(),
    "log-bytes": lambda run: run.log_path.write_bytes(b"\xff\x00" * 99_999),
    "checkpoint-torn": tear_checkpoint,
    "nothing-but-meta": leave_meta_only,
}


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_run_breaks_nothing(client: httpx2.Client, store: Store, how: str) -> None:
    run, sound = make_run(store), make_run(store)
    DAMAGE[how](run)
    found = rows(client)
    assert found[sound.id]["train_loss"] == 2.0
    assert found[run.id]["status"] in ("queued", "running", "completed", "stopped", "lost")
    assert get(client, f"/api/runs/{run.id}")["id"] == run.id
    curves_ = client.get(f"/api/runs/{run.id}/metrics")
    assert curves_.status_code == (503 if how == "metrics-folder" else 200)
    json.loads(curves_.content)
    if how.startswith("state-") and how not in ("state-surrogates", "state-infinite"):
        assert found[run.id]["step"] == 30  # worked out from the metrics


@pytest.mark.parametrize("name", ["<img src=x>", "a b?c#d%2Fe", "\u202eevil", "L" * 250, "é\n"])
def test_strange_names_are_runs_like_others(client: httpx2.Client, store: Store, name: str) -> None:
    make_run(store).path.rename(store.root / name)
    assert rows(client)[name]["step"] == 30
    quoted = httpx2.URL("http://x/").join(f"/api/runs/{percent(name)}").raw_path.decode()
    assert get(client, quoted)["id"] == name


def percent(name: str) -> str:
    return "".join(f"%{byte:02X}" for byte in name.encode())


def test_a_name_of_any_bytes(client: httpx2.Client, store: Store) -> None:
    run = make_run(store)
    try:
        os.rename(run.path, os.fsencode(store.root) + b"/\xff\xfe")  # noqa: PTH104 - no text
    except OSError:
        pytest.skip("names are text here")
    assert [row["step"] for row in get(client, "/api/runs")["runs"]] == [30]


@pytest.mark.parametrize(
    "name",
    ["nothing", "..", "%2e%2e", "%2e%2e%2fruns", ".hidden", "%00", "a" * 5000, "latest"],
)
def test_what_is_no_run_is_not_found(client: httpx2.Client, store: Store, name: str) -> None:
    run = make_run(store)
    shutil.copytree(run.path, store.root / ".hidden")
    shutil.copytree(run.path, store.root.parent / "outside")
    for path in (name, f"{name}/metrics", run.id[:-1], f"{run.id}%2f..%2f..%2foutside"):
        answer = client.get(f"/api/runs/{path}")
        assert answer.status_code == 404, path
        assert answer.json()["error"]["code"] in ("run_not_found", "not_found")


@pytest.mark.parametrize("after", ["x", "1", "-1-0-00000000", "0-0-0", "9" * 30, "%00"])
def test_what_is_no_cursor_is_refused(client: httpx2.Client, store: Store, after: str) -> None:
    answer = client.get(f"/api/runs/{make_run(store).id}/metrics?after={after}")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "after"


def test_a_folder_that_cannot_be_read_is_told(client: httpx2.Client, store: Store) -> None:
    store.root.write_text("no folder")
    answer = client.get("/api/runs")
    assert answer.status_code == 503
    assert "can't read" in answer.json()["error"]["message"]


def test_a_large_run_with_a_damaged_state_is_not_read_whole(store: Store) -> None:
    run = make_run(store)
    rest = b"".join(
        json.dumps({"at": 1.0, **to_row(step_done(step))}).encode() + b"\n"
        for step in range(31, 20_000)
    )
    with run.metrics_path.open("ab") as file:
        file.write(rest)
    run.state_path.write_text("{")
    read = sum(1 for _ in runs_board._Events(run))
    assert 1000 < read < 6000
    assert runs_board.state_of(run).step == 19_999


def test_ids_are_no_labels_of_metrics(client: httpx2.Client, store: Store) -> None:
    run = make_run(store)
    for path in (run.id, f"{run.id}/metrics", "nothing"):
        client.get(f"/api/runs/{path}")
    text = client.get("/metrics").text
    assert 'path="/api/runs/{run_id}",status="200"' in text
    assert 'path="/api/runs/{run_id}/metrics",status="200"' in text
    assert run.id not in text
    assert "nothing" not in text
