"""The page of runs in a real browser: a training is watched, and hostile folders are only shown."""

import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from maquette.events import Evaluated, Event, Finished, Sampled, Started, StepDone
from maquette.forecast import Forecast
from maquette.runs.label import Label, write_label
from maquette.runs.recorder import Recorder
from maquette.runs.state import Failure
from maquette.runs.store import Run, Store
from maquette.serving import runs_board
from maquette.worker import work
from maquette.worker.training import create_run
from tests.serving.browser.conftest import enter, opened
from tests.serving.live import Live, running
from tests.training.tiny import tiny_spec

pytest.importorskip("playwright.sync_api", reason="playwright isn't installed")

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

HOSTILE = "<img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script>"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    store = Store(tmp_path_factory.mktemp("page") / "runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs_board, "FRESH_SECONDS", 0.1)
        with running(store=store) as live:
            yield live


@pytest.fixture
def store(live: Live) -> Iterator[Store]:
    store = live.store
    yield store
    shutil.rmtree(store.root, ignore_errors=True)


@pytest.fixture
def page(live: Live, store: Store, desktop: "Page") -> "Page":
    enter(desktop, live, "/runs")
    return desktop


@pytest.fixture
def page_on_phone(live: Live, store: Store, phone: "BrowserContext") -> Iterator["Page"]:
    yield from opened(phone, live, "/runs")


def make_run(store: Store, steps: int = 30, *, name: str = "tiny", text: str = "Once") -> Run:
    run = store.create(name, spec_text="", blueprint_text="{}", command=["maquette", "train"])
    with Recorder(run) as recorder:
        recorder.begin(steps=30, tokens_per_step=64)
        recorder.record(Started(0, 30, 1234, "cpu", "float32", False))
        for step in range(1, steps + 1):
            loss = 5 - step / 10
            recorder.record(StepDone(step, step / 10, step * 64, loss, 1e-3, 0.5, 0.25))
            if step % 10 == 0:
                sources = {text: loss, "__proto__": loss + 1}
                recorder.record(
                    Evaluated(step, "validation", loss, 9.0, 1.0, None, True, 0.1, sources)
                )
                recorder.record(Sampled(step, text, " upon a time"))
        if steps == 30:
            recorder.record(Finished(steps, "completed"))
    return run


def show(page: "Page", run: Run) -> None:
    """Open a run from the list."""
    page.get_by_role("link", name=run.id, exact=True).click()
    page.locator("#run:not(.unread)").wait_for()


def number(page: "Page", name: str) -> str:
    """A figure among those on top of a run."""
    return page.locator("#tiles > div", has=page.get_by_text(name, exact=True)).inner_text()


def fits(page: "Page") -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_a_real_training_is_watched(
    page: "Page", store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))
    page.get_by_text("maquette train demo").wait_for()  # there is none yet
    spec = tiny_spec(tmp_path, steps=60, evaluate={"every": 20, "windows": 4})
    run = create_run(spec, store, spec_text="name: tiny\n", device="cpu")
    row = page.get_by_role("row").filter(has_text=run.id)
    row.get_by_text("queued").wait_for()

    events = work(run)
    advance(events, 25)
    row.get_by_text("running").wait_for()
    show(page, run)
    first = page.locator("#run-way")
    first.get_by_text(re.compile(r"of 60 steps")).wait_for()
    chart = page.get_by_role("slider", name=re.compile("^Loss:"))
    wait_for_value(chart, "aria-valuemax", "25")
    page.locator("#run-state").get_by_text("running").wait_for()
    assert page.locator("#facts").get_by_text("GPU", exact=True).count() == 1
    path = page.locator("figure.tall path.line.c1:not(.faint)")
    assert (path.get_attribute("d") or "").count("L") == 24
    assert page.locator("figure.tall circle.dot.c2").count() == 2  # evaluated at 0 and 20

    advance(events, 45)
    wait_for_value(chart, "aria-valuemax", "45")
    assert (path.get_attribute("d") or "").count("L") == 44
    assert page.locator("figure.tall circle.dot.c2").count() == 3
    with monkeypatch.context() as patch:
        told = Forecast(40, 60, 1.5, 1.25, 1.75)
        patch.setattr(runs_board, "forecast_run", lambda *_: told)
        page.locator("#tiles").get_by_text("Expected at the end").wait_for()
        assert "1.500\n1.250 to 1.750" in number(page, "Expected at the end")

    for _ in events:
        pass
    page.locator("#run-state").get_by_text("completed").wait_for()
    page.locator("#spoken").get_by_text("completed").wait_for(state="attached")
    page.get_by_text("60 of 60 steps").wait_for()
    state = run.state()
    assert f"{state.train_loss:.3f}" in number(page, "Training loss")
    assert f"{state.validation_loss:.3f}" in number(page, "Validation loss")
    assert f"best {state.best_loss:.3f} at step" in number(page, "Validation loss")
    facts = dict(pair.split("\n")[:2] for pair in page.locator("#facts > div").all_inner_texts())
    assert facts["Begun"] == time.strftime("%Y-%m-%d %H:%M", time.localtime(run.meta.created_at))
    assert "GPU" not in facts
    kept = facts["Checkpoints"]
    assert re.findall(r"(\d+) \(best\)", kept) == [str(state.best_step)]
    page.locator("#log").get_by_text("completed").wait_for()
    text = sorted(run.samples_path.glob("*.txt"))[-1].read_text(errors="replace")
    assert page.locator("#samples pre").first.text_content() == text
    page.get_by_role("link", name="All runs").click()
    row.get_by_text("completed").wait_for()


def advance(events: Iterator[Event], step: int) -> None:
    for event in events:
        if isinstance(event, StepDone) and event.step == step:
            return


def wait_for_value(element: Any, name: str, value: str) -> None:
    element.and_(element.page.locator(f"[{name}='{value}']")).wait_for(state="attached")


def many(store: Store, count: int) -> None:
    """Many runs that differ in age, loss and status."""
    first = make_run(store)
    meta = json.loads((first.path / "meta.json").read_text())
    state = json.loads(first.state_path.read_text())
    for i in range(1, count):
        folder = store.root / f"copy-{i:03d}"
        folder.mkdir()
        age = {"created_at": meta["created_at"] - 60.0 * i}
        status = {"status": "failed" if i % 10 == 0 else "completed", "train_loss": float(i)}
        (folder / "meta.json").write_text(json.dumps({**meta, **age}))
        (folder / "state.json").write_text(json.dumps({**state, **status}))
        shutil.copy(first.metrics_path, folder)


def names(page: "Page") -> list[str]:
    return page.locator("#rows .name").all_inner_texts()


def test_five_hundred_runs(page: "Page", store: Store) -> None:
    many(store, 500)
    live = store.root / "copy-499"
    page.get_by_text("500", exact=True).wait_for()
    found = names(page)
    assert len(found) == 200
    assert found[0].startswith("tiny-")
    assert found[1:4] == ["copy-001", "copy-002", "copy-003"]
    assert page.locator("#rows .spark path").count() == 200
    with Recorder(Run(live)):
        page.get_by_text("500, 1 live").wait_for()
        assert names(page)[0] == "copy-499"  # the oldest, but it lives
    page.get_by_role("button", name="Show all 500 runs").click()
    assert len(names(page)) == 500

    heading = page.get_by_role("columnheader", name="Loss")
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert names(page)[:3] == ["copy-001", "copy-002", found[0]]  # 1, 2 and 2
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert names(page)[0] == "copy-499"

    page.get_by_role("searchbox").fill("COPY-01")
    assert names(page) == [f"copy-01{i}" for i in reversed(range(10))]
    page.get_by_role("combobox").select_option("Failed or lost")
    assert names(page) == ["copy-010"]
    page.get_by_role("searchbox").fill("nothing")
    assert page.get_by_text("No run fits the filter.").is_visible()


def test_by_keyboard_alone(page: "Page", store: Store) -> None:
    run = make_run(store)
    page.get_by_role("link", name=run.id).focus()
    page.keyboard.press("Enter")
    page.locator("#run:not(.unread)").wait_for()
    assert page.evaluate("document.activeElement.id") == "run-name"
    chart = page.get_by_role("slider", name=re.compile("^Loss:"))
    chart.focus()
    said = [chart.get_attribute("aria-valuetext")]
    for key in ("ArrowLeft", "Home", "End"):
        page.keyboard.press(key)
        said.append(chart.get_attribute("aria-valuetext"))
    assert [str(text).split(":")[0] for text in said] == ["step 30", "step 29", "step 1", "step 30"]
    assert "training 2." in str(said[-1])
    assert "validation 2.000" in str(said[-1])
    page.go_back()
    link = page.get_by_role("link", name=run.id)
    link.wait_for()
    assert link.evaluate("node => node === document.activeElement")


def test_curves_by_time_in_logarithms_and_smoothed(page: "Page", store: Store) -> None:
    show(page, make_run(store))
    path = page.locator("figure.tall path.line.c1:not(.faint)")
    drawn = [path.get_attribute("d")]
    page.get_by_role("radio", name="Log").check()
    drawn.append(path.get_attribute("d"))
    page.get_by_role("slider", name="Smoothing").fill("90")
    drawn.append(path.get_attribute("d"))
    page.get_by_role("radio", name="Time").check()
    page.locator("figure.tall .axes text", has_text=re.compile(r"\ds$")).first.wait_for()
    drawn.append(path.get_attribute("d"))
    assert len(set(drawn)) == 4
    summary = "Training loss 4.900 at step 1, 2.000 at step 30. Lowest validation loss 2.000"
    assert summary in page.locator("figure.tall .summary").inner_text()
    page.reload()
    assert page.get_by_role("radio", name="Log").is_checked()
    assert page.get_by_role("radio", name="Time").is_checked()
    assert page.get_by_role("slider", name="Smoothing").input_value() == "90"


def test_values_under_the_pointer(page: "Page", store: Store) -> None:
    show(page, make_run(store))
    page.get_by_role("slider", name="Smoothing").fill("0")
    plot = page.locator("figure.tall .plot")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 52, box["y"] + 100)
    legend = page.locator("figure.tall .legend")
    assert "4.900" in legend.inner_text()  # at the first step
    assert "step 1" in legend.inner_text()
    page.mouse.move(5, 5)
    assert "2.000" in legend.inner_text()
    assert "step" not in legend.inner_text()


def test_damaged_runs_are_shown_and_do_no_harm(page: "Page", store: Store) -> None:
    sound, torn, lost = make_run(store), make_run(store), make_run(store, 5)
    torn.metrics_path.write_bytes(torn.metrics_path.read_bytes()[:-9] + b'\xff{"event": "st')
    torn.state_path.write_text("{")
    state = json.loads(lost.state_path.read_text())
    state["process"]["started"] = "long ago"
    lost.state_path.write_text(json.dumps({**state, "status": "running"}))
    empty = store.create("empty", spec_text="")
    (empty.path / "meta.json").write_text("")
    empty.state_path.unlink()
    shown = ((torn, "30 of 30"), (lost, "lost"), (sound, "completed"), (empty, "queued"))
    for run, text in shown:
        row = page.get_by_role("row").filter(has_text=run.id)
        row.get_by_text(text, exact=True).first.wait_for()
        show(page, run)
        if run is lost:
            page.locator("#run-error").get_by_text(f"maquette resume {run.id}").wait_for()
        page.get_by_role("link", name="All runs").click()


def test_losses_that_are_no_numbers(page: "Page", store: Store) -> None:
    run = store.create("diverged", spec_text="", blueprint_text="{}")
    with Recorder(run) as recorder:
        recorder.begin(steps=9, tokens_per_step=64)
        recorder.record(Started(0, 9, 1234, "cpu", "float32", False))
        for step in range(1, 10):
            loss = 3.0 if step < 6 else float("nan")
            recorder.record(StepDone(step, step / 10, step * 64, loss, 1e-3, 0.5, 0.25))
        recorder.record(Finished(9, "completed"))
    row = page.get_by_role("row").filter(has_text=run.id)
    row.get_by_text("NaN", exact=True).wait_for()
    show(page, run)
    assert "NaN" in number(page, "Training loss")
    path = page.locator("figure.tall path.line.c1:not(.faint)")
    assert (path.get_attribute("d") or "").count("L") == 4
    assert "no number" in page.locator("figure.tall .summary").inner_text()


def test_hostile_names_and_texts_are_text(page: "Page", store: Store) -> None:
    run = make_run(store, text=HOSTILE + "\u202e" + "W" * 3000)
    state = json.loads(run.state_path.read_text())
    error = {"message": HOSTILE, "hint": HOSTILE}
    change = {"status": "failed", "error": error, "device": HOSTILE, "precision": HOSTILE}
    run.state_path.write_text(json.dumps({**state, **change}))
    assert Failure(**error)
    with run.log_path.open("a") as log:
        log.write(HOSTILE)
    name = HOSTILE.replace("/", "\u2215")
    run.path.rename(store.root / name)
    show(page, Run(store.root / name))
    assert page.locator("#run-name").inner_text() == name
    assert HOSTILE in page.locator("#samples pre").first.inner_text()
    assert HOSTILE in page.locator("#log").inner_text()
    assert HOSTILE in page.locator("#run-error").inner_text()
    assert HOSTILE in page.locator("#source-rows").inner_text()
    assert "__proto__" in page.locator("#source-rows").inner_text()
    assert page.locator("main img, main script, body script").count() == 0
    assert page.title() != "pwned"
    assert fits(page)
    page.get_by_role("link", name="All runs").click()
    page.locator("#rows").get_by_text(name).wait_for()
    assert page.locator("main img, body script").count() == 0
    assert page.title() != "pwned"
    assert fits(page)


def test_a_run_is_called_what_people_call_it(page: "Page", store: Store) -> None:
    run, other = make_run(store), make_run(store)
    name = f"the one with {HOSTILE[:20]}"
    write_label(run.path, Label(name))
    link = page.get_by_role("link", name=name, exact=True)
    link.wait_for()
    assert link.get_attribute("title") == run.id
    page.locator("#filter").fill("the one")
    page.get_by_role("link", name=other.id).wait_for(state="detached")
    link.click()
    page.get_by_role("heading", name=name).wait_for()
    page.locator("#run-what").get_by_text(run.id).wait_for()
    assert page.title() == f"{name} - maquette"
    write_label(run.path, Label(None))
    page.get_by_role("heading", name=run.id).wait_for()


def test_a_run_that_is_deleted_while_it_is_shown(page: "Page", store: Store) -> None:
    run, other = make_run(store), make_run(store)
    page.get_by_role("link", name=other.id).wait_for()
    show(page, run)
    run.remove()
    page.get_by_role("alert").get_by_text("This run is gone").wait_for()
    page.route("**/api/runs", lambda route: route.abort())  # it needs no other reading for that
    page.get_by_role("link", name="All runs").click()
    page.get_by_role("link", name=other.id).wait_for()
    assert names(page) == [other.id]
    assert page.evaluate("document.activeElement.id") == "list-title"
    page.goto(page.url.split("#")[0] + "#run=" + run.id)
    page.get_by_role("alert").get_by_text("This run is gone").wait_for()


def test_a_server_that_is_gone_is_told_and_found_again(page: "Page", store: Store) -> None:
    run = make_run(store)
    page.get_by_role("link", name=run.id).wait_for()
    page.context.set_offline(True)
    page.get_by_role("alert").get_by_text("can't be reached").wait_for()
    assert names(page) == [run.id]
    page.context.set_offline(False)
    page.get_by_text("can't be reached").wait_for(state="detached")


def test_who_has_no_cookie_is_told(page: "Page", store: Store) -> None:
    page.context.clear_cookies()
    page.get_by_role("alert").get_by_text("Open the link").wait_for()


def test_dark_and_light(page: "Page", store: Store) -> None:
    show(page, make_run(store))
    colours = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        style = "getComputedStyle(document.querySelector('{}')).{}"
        colours.append(
            [
                page.evaluate(style.format("html", "backgroundColor")),
                page.evaluate(style.format("figure.tall .line", "stroke")),
                page.evaluate(style.format(".axes text", "fill")),
            ]
        )
    assert all(a != b for a, b in zip(*colours, strict=True))
    page.locator("#theme").click()  # from the system's to light
    assert page.evaluate(style.format("html", "backgroundColor")) == colours[0][0]


@pytest.mark.parametrize("width", [390, 320])
def test_on_a_phone(page_on_phone: "Page", store: Store, width: int) -> None:
    page = page_on_phone
    page.set_viewport_size({"width": width, "height": 640})
    run = make_run(store, name="a-rather-long-name-for-a-run")
    link = page.get_by_role("link", name=run.id)
    link.wait_for()
    assert fits(page)
    assert page.get_by_role("columnheader").all_inner_texts() == ["Run", "Curve", "Loss"]
    link.tap()
    page.locator("#run:not(.unread)").wait_for()
    assert page.locator("figure.tall path.line.c1").first.is_visible()
    assert fits(page)
    page.locator("figure.tall .plot").tap()
    assert "step" in page.locator("figure.tall .legend").inner_text()
