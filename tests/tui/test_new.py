"""New: a draft in its form, what it comes to, and how it ends."""

import string
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from maquette.runs.store import Run, Store
from maquette.tui import acting
from maquette.tui.acting import Outcome
from maquette.tui.begin import Begin, draft_of
from maquette.tui.form import Form
from maquette.tui.new import NewScreen
from maquette.tui.results import PlanPane
from maquette.tui.run import RunScreen
from maquette.tui.runs import RunsScreen
from tests.tui.pilots import hides, play, screen, shows, until, widths
from tests.tui.scenes import make_run
from tests.tui.typing import PRINTABLE, typed

SPEC = """\
name: small  # [b]mine[/b]
model: {depth: 2, width: 64, heads: 2}
train: {steps: 10}
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(PlanPane, "MODULE", "tests.tui.fake_planner")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SPEC)
    return Store(tmp_path / "runs")


async def opened(pilot: Pilot[None], name: str = "small.yaml") -> NewScreen:
    page = NewScreen(draft_of(name))
    await pilot.app.push_screen(page)
    await until(pilot, lambda: page.lines, "the form")
    return page


async def changed(pilot: Pilot[None], page: NewScreen, path: str, value: str) -> None:
    page.query_one(Form).choose(path)
    await pilot.press("enter")
    edit = page.query_one("#edit", Input)
    await until(pilot, lambda: edit.has_focus)
    edit.value = value
    await pilot.press("enter")


def test_a_preset_from_the_list_of_runs(store: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, "No runs yet")
        await pilot.press("n")
        await shows(pilot, "What shall the new run begin with?", "tinyshakespeare")
        await pilot.press(*"stor")
        await hides(pilot, "tinyshakespeare")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, NewScreen))
        await shows(pilot, "learning_rate", "5.0e-3", "name: stories", "sound")

    play(store, script, size=(120, 50))


def test_a_file_and_one_that_is_none(store: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("n")
        await until(pilot, lambda: isinstance(pilot.app.screen, Begin))
        which = pilot.app.screen.query_one("#which", Input)
        which.value = "nothing.yaml"
        await pilot.press("enter")
        await shows(pilot, "there is no such file")
        which.value = "small.yaml"
        await pilot.press("enter")
        await shows(pilot, "New  small.yaml", "# [b]mine[/b]")

    play(store, script, size=(120, 40))


def test_a_value_is_checked_while_it_is_typed_and_planned_when_it_is_right(store: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot)
        await shows(pilot, "planned", "sound")
        page.query_one(Form).choose("model.heads")
        await pilot.press("enter", "backspace", "5")
        await shows(pilot, "model.heads=5 does not divide model.width=64")
        assert page.draft.text == SPEC, "it isn't taken yet"
        await pilot.press("backspace", "4")
        await shows(pilot, "right: a whole number")
        await pilot.press("enter")
        await shows(pilot, "model: {depth: 2, width: 64, heads: 4}", "changed")
        await until(pilot, lambda: screen(pilot).count("heads: 4}") == 2, "text and plan")
        await changed(pilot, page, "train.steps", "0")
        await shows(pilot, "line 3: train.steps=0 must be at least 1", "1 problem")
        await shows(pilot, "a plan comes when nothing is wrong")
        await pilot.press("u")
        await shows(pilot, "sound")
        await pilot.press("u")
        await until(pilot, lambda: page.draft.text == SPEC)

    play(store, script, size=(120, 50))


def test_what_is_no_value_at_all_isnt_taken(store: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot)
        await changed(pilot, page, "model.depth", "[1, ")
        await shows(pilot, "not valid YAML")
        assert page.query_one("#edit").has_focus
        await pilot.press("escape")
        await until(pilot, lambda: page.query_one(Form).has_focus)
        assert page.draft.text == SPEC

    play(store, script, size=(110, 30))


def test_choices_defaults_and_sources(store: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot)
        form = page.query_one(Form)
        form.choose("model.norm")
        await pilot.press("right")
        await shows(pilot, "norm: layer")
        await pilot.press("backspace")
        await until(pilot, lambda: page.draft.text == SPEC)
        form.choose("train.optimizer")
        await pilot.press("space")
        await shows(pilot, "optimizer: {kind: muon}", "adamw if nothing is given")
        assert "train.optimizer.muon_learning_rate" in [line.path for line in page.lines]
        await pilot.press("u", "plus")
        await shows(pilot, "What is the new source of data?")
        ask = pilot.app.screen.query_one(Input)
        ask.value = "mine nonsense"
        await shows(pilot, "its kind: stories, files")
        ask.value = "mine notes"
        await pilot.press("enter")
        await shows(pilot, "data.sources.mine.path is missing")
        assert "kind: stories" in page.draft.text, "the one by default stays"
        form.choose("data.sources.mine")
        await pilot.press("delete")
        await until(pilot, lambda: "mine:" not in page.draft.text)
        await shows(pilot, "sound")

    play(store, script, size=(120, 50))


def test_keys_are_found_by_their_names_and_by_what_they_are_about(store: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot)
        await pilot.press("slash", *"rotary")
        await until(pilot, lambda: len(page.query_one(Form).lines) == 2)
        await shows(pilot, "position", "rope_base")
        await pilot.press("enter", "end")
        await shows(pilot, "Base of the rotary")
        await pilot.press("escape")
        await shows(pilot, "model")
        await pilot.press("slash", *"[nothing")
        await shows(pilot, "no key has this text in it")

    play(store, script)


def test_every_printable_key_arrives_in_every_input(store: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot)
        page.query_one(Form).choose("train.from")
        await pilot.press("enter")
        edit, find = page.query_one("#edit", Input), page.query_one("#find", Input)
        await until(pilot, lambda: edit.has_focus)
        await typed(pilot, PRINTABLE)
        await until(pilot, lambda: edit.value == PRINTABLE, "the text in the value")
        await pilot.press("escape", "slash")
        await until(pilot, lambda: find.has_focus)
        await typed(pilot, PRINTABLE)
        await until(pilot, lambda: find.value == PRINTABLE, "the text in the search")
        await pilot.press("escape", "q", "n")
        await until(pilot, lambda: isinstance(pilot.app.screen, Begin))
        which = pilot.app.screen.query_one("#which", Input)
        await typed(pilot, PRINTABLE)
        await until(pilot, lambda: which.value == PRINTABLE, "the text in the question")

    assert set(string.printable.strip()) <= set(PRINTABLE)
    play(store, script)


def test_data_is_prepared_when_it_is_asked_for_and_that_can_be_cancelled(store: Store) -> None:
    Path("small.yaml").write_text(SPEC + "# to be prepared, endless\n")

    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot)
        await shows(pilot, "The data isn't prepared yet", "l Prepare data")
        await pilot.press("l")
        await shows(pilot, "preparing data: 1 of 9; Esc cancels")
        planner = page.query_one(PlanPane)._planner
        assert planner is not None
        await pilot.press("escape")
        await shows(pilot, "cancelled. The data isn't prepared yet")

    play(store, script, size=(110, 30))


def test_a_planner_that_crashes_is_told_and_another_plans_the_next_change(store: Store) -> None:
    Path("small.yaml").write_text(SPEC + "# crash\n")

    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot)
        await shows(pilot, "no plan: its process ended with exit code 4")
        page.take(draft_of("demo"))
        await shows(pilot, "planned")

    play(store, script, size=(110, 30))


def test_it_is_saved_started_and_shown(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = []

    def run_command(arguments: list[str]) -> Outcome:
        commands.append(arguments)
        make_run(store, "small-calm-otter", step=1, steps=9)
        return Outcome(tuple(arguments), True, "training in the background", "small-calm-otter")

    monkeypatch.setattr(acting, "run_command", run_command)

    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot, "demo")
        await shows(pilot, "sound")
        await pilot.press("g")
        await shows(pilot, "Which file shall the spec be written to?")
        ask = pilot.app.screen.query_one(Input)
        assert ask.value == "demo.yaml"
        ask.value = "small.yaml"
        await shows(pilot, "there is such a file already")
        ask.value = "no/such/folder.yaml"
        await shows(pilot, "there is no folder")
        ask.value = "mine.yaml"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen), "the run")
        await shows(pilot, "small-calm-otter")
        assert page.file == Path("mine.yaml")
        await pilot.press("q")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))

    play(store, script, size=(110, 30))
    root = str(store.root)
    assert commands == [["train", "mine.yaml", "-d", "--runs-dir", root]]
    assert Path("mine.yaml").read_text() == draft_of("demo").text


def test_what_isnt_saved_is_asked_about(store: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot)
        await changed(pilot, page, "model.depth", "3")
        await shows(pilot, "depth: 3")
        await pilot.press("q")
        await shows(pilot, "Leave without saving?")
        await pilot.press("n", "w")
        await shows(pilot, "saved")
        assert "depth: 3" in Path("small.yaml").read_text()
        await pilot.press("q")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))

    play(store, script, size=(110, 30))


def test_a_start_that_fails_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = Outcome((), False, "error: no [red]room[/red] left")
    monkeypatch.setattr(acting, "run_command", lambda _: failed)

    async def script(pilot: Pilot[None]) -> None:
        await opened(pilot)
        await shows(pilot, "sound")
        await pilot.press("g")
        await shows(pilot, "no [red]room[/red] left")
        assert isinstance(pilot.app.screen, NewScreen)

    play(store, script, size=(110, 30))


def test_the_spec_of_a_run_is_a_beginning(store: Store) -> None:
    import json

    from maquette.spec.load import parse_spec

    run = make_run(store, "old-calm-otter", step=20, steps=20)
    damaged = make_run(store, "bad-calm-otter", step=20, steps=20)
    given = parse_spec(SPEC, origin="x").model_dump(mode="json", exclude_unset=True)
    for path, spec in ((run.path, given), (damaged.path, {})):
        meta = json.loads((path / "meta.json").read_text())
        (path / "meta.json").write_text(json.dumps({**meta, "spec": spec}))

    async def script(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(RunScreen(Run(damaged.path)))
        await shows(pilot, "completed")
        await pilot.press("n")
        notes = pilot.app._notifications
        await until(pilot, lambda: any("holds no spec" in note.message for note in notes))
        await pilot.press("q")
        await pilot.app.push_screen(RunScreen(Run(run.path)))
        await shows(pilot, "old-calm-otter")
        await pilot.press("n")
        await shows(pilot, "New  old-calm-otter", "sound")

    play(store, script, size=(110, 30))


@pytest.mark.parametrize(("size", "dark"), [((60, 20), True), ((200, 60), False)])
def test_any_size(store: Store, size: tuple[int, int], dark: bool) -> None:
    prompt = "[/x] 🙂 " + "long " * 300

    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot)
        await changed(pilot, page, "train.sample.prompt", prompt)
        await until(pilot, lambda: "🙂" in page.draft.text)
        for _ in range(3):
            await pilot.press("v", "end", "tab", "home")
            assert widths(pilot) == {size[0]}
        await pilot.resize_terminal(70, 22)
        await until(pilot, lambda: widths(pilot) == {70})

    play(store, script, size=size, dark=dark)


def test_no_colours_and_a_file_that_isnt_yaml_any_more(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot)
        page.take(page.draft.__class__("a: [", "x", Path.cwd()))
        await shows(pilot, "not valid YAML", "1 problem")
        await pilot.press("right", "enter", "delete", "plus", "g", "u")
        await shows(pilot, "not valid YAML")

    play(store, script, size=(120, 40))


@pytest.mark.slow
def test_a_real_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from maquette.preparation import prepare_data, resolve_any
    from tests.training.tiny import tiny_spec

    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    spec = tiny_spec(tmp_path)
    (tmp_path / "tiny.yaml").write_text(spec.model_dump_json(exclude_unset=True))

    async def script(pilot: Pilot[None]) -> None:
        await opened(pilot, "tiny.yaml")
        await shows(pilot, "The data isn't prepared yet")
        await pilot.press("l")
        await until(pilot, lambda: "GFLOP/s" in screen(pilot), "the plan")
        blueprint = resolve_any(spec, prepare_data(spec).facts)
        assert f"{blueprint.parameters['total']:,}" in screen(pilot)

    play(Store(tmp_path / "runs"), script, size=(220, 100))
