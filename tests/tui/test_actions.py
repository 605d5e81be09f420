"""What the keys do to runs: what the command line does, told in a note."""

from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from maquette.runs.label import Label, read_label
from maquette.runs.store import Run, Store
from maquette.tui import acting
from maquette.tui.acting import Outcome
from maquette.tui.page import _amount
from maquette.tui.themes import DARK, LIGHT
from tests.tui.pilots import files_of, hides, play, screen, shows, until
from tests.tui.scenes import hold, make_run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


@pytest.fixture
def run(store: Store) -> Run:
    return make_run(store, "tiny-calm-otter", step=20, steps=20)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would be run."""
    found: list[list[str]] = []

    def run_command(arguments: tuple[str, ...]) -> Outcome:
        found.append([Path(word).name if "/" in word else word for word in arguments])
        return Outcome(tuple(arguments), True, "it is done")

    monkeypatch.setattr(acting, "run_command", run_command)
    return found


def test_rename_and_archive_are_the_commands(store: Store, run: Run) -> None:
    before = files_of(run.path)

    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, run.id)
        await pilot.press("e")
        await shows(pilot, f"What shall {run.id} be called?")
        await pilot.press(*"best [yet]", "enter")
        await shows(pilot, f"{run.id} is called 'best [yet]' now", "maquette rename")
        await shows(pilot, f"best [yet]  {run.id[:5]}")
        await pilot.press("a")
        await shows(pilot, "All 1 runs are put away")

    play(store, script)
    assert read_label(run.path) == Label("best [yet]", archived=True)
    assert {**before, "label.json": b""} == {**files_of(run.path), "label.json": b""}


def test_deletion_is_asked_for_and_done(store: Store, run: Run) -> None:
    other = make_run(store, "other-calm-otter", step=5, steps=5, seconds_ago=9000)

    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, run.id)
        await pilot.press("d")
        await shows(pilot, f"Delete {run.id} with all checkpoints?")
        await pilot.press("enter")  # on Cancel
        await hides(pilot, "Delete")
        await pilot.press("delete", "n", "delete", "escape")
        assert run.path.is_dir()
        await pilot.press("delete", "y")
        await until(pilot, lambda: not run.path.exists(), "its end")
        await shows(pilot, f"removed {run.id}", "1 run")
        assert other.path.is_dir()

    play(store, script)


def test_a_command_that_fails_is_told_with_its_hint(store: Store, run: Run) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, run.id)
        await pilot.press("x")
        await shows(pilot, "timm")
        await pilot.press("enter")
        await shows(pilot, "error:", "maquette export")

    run.blueprint_path.write_text("[")
    play(store, script)


def test_what_is_asked_of_the_command_line(
    store: Store, run: Run, commands: list[list[str]]
) -> None:
    second = make_run(store, "second-calm-otter", "stopped", step=5, steps=9, seconds_ago=9e3)

    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, run.id, second.id)
        await pilot.press("r")
        await shows(pilot, "How much longer shall it train?")
        line = pilot.app.focused
        assert isinstance(line, Input)
        line.value = "-1 epochs"
        await pilot.press("enter")
        await shows(pilot, "a number, and `epochs` or `steps`")
        line.value = "500 steps"
        await pilot.press("enter")
        await until(pilot, lambda: len(commands) == 1)
        await pilot.press("down", "r")
        await until(pilot, lambda: len(commands) == 2)
        await pilot.press("E", "enter")
        await until(pilot, lambda: len(commands) == 3)
        await pilot.press("home", "space", "space", "a")
        await until(pilot, lambda: len(commands) == 4)
        await shows(pilot, "it is done")

    play(store, script)
    assert commands == [
        ["resume", run.id, "--detach", "--more-steps", "500"],
        ["resume", second.id, "--detach"],
        ["eject", second.id, "-o", f"{second.id}-project"],
        ["archive", run.id, second.id],
    ]


def test_keys_that_can_do_nothing_now_are_not_offered(
    store: Store, run: Run, commands: list[list[str]]
) -> None:
    live = make_run(store, "live-calm-otter", "running", step=5, steps=9, seconds_ago=50)

    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, live.id)
        await pilot.press("home")
        await shows(pilot, "s Stop")
        assert "Resume" not in screen(pilot)
        await pilot.press("d", "r")
        await pilot.pause()
        assert "checkpoints?" not in screen(pilot)
        await pilot.press("s")
        await until(pilot, lambda: commands == [["stop", live.id]])
        await pilot.press("down")
        await hides(pilot, "s Stop")
        await shows(pilot, "r Resume")
        await pilot.press("s")
        await pilot.pause()
        assert len(commands) == 1

    with hold(live):
        play(store, script)


def test_ids_and_folders_are_copied(store: Store, run: Run) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, run.id)
        await pilot.press("y")
        await shows(pilot, "copied")
        assert pilot.app.clipboard == run.id
        await pilot.press("enter")
        await shows(pilot, "1 Curves")
        await pilot.press("f")
        await shows(pilot, "its folder, copied")
        assert pilot.app.clipboard == str(run.path)

    play(store, script)


def test_help_tells_every_key_of_ours_and_none_of_textual(store: Store, run: Run) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, run.id)
        await pilot.press("question_mark")
        await shows(pilot, "Runs: all runs of this folder", "Show those with this text")
        for words in ("End it after its step", "Delete it with all it holds", "Save this screen"):
            assert words in screen(pilot)
        assert "Focus Next" not in screen(pilot)
        await pilot.press("escape")
        await hides(pilot, "Show those with this text")

    play(store, script, size=(100, 60))


def test_the_palette_finds_what_the_keys_do(store: Store, run: Run) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, run.id)
        await pilot.press("ctrl+p")
        await shows(pilot, "Search for commands")
        await pilot.press(*"rename")
        await shows(pilot, "Give it a name; its id stays")
        await pilot.press("enter")
        await shows(pilot, f"What shall {run.id} be called?")

    play(store, script)


def test_light_and_dark(store: Store, run: Run) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, run.id)
        assert pilot.app.theme == LIGHT
        await pilot.press("t")
        assert pilot.app.theme == DARK

    play(store, script, dark=False)


def test_a_picture_of_the_screen(
    store: Store, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, run.id)
        await pilot.press("P")
        await shows(pilot, "a picture of this screen")
        (file,) = tmp_path.glob("maquette-*.svg")
        assert "tiny-calm-otter" in file.read_text().replace("&#160;", " ")

    play(store, script)


def test_no_colour_is_none(store: Store, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def script(pilot: Pilot[None]) -> None:
        await shows(pilot, run.id, "✓ completed")
        colours = {
            colour.triplet
            for strip in pilot.app.screen._compositor.render_strips()
            for segment in strip.apply_filter(pilot.app._filters[0], pilot.app.styles.background)
            for colour in (segment.style.color, segment.style.bgcolor)  # type: ignore[union-attr]
            if colour is not None and colour.triplet is not None
        }
        assert colours
        assert all(c.red == c.green == c.blue for c in colours)

    play(store, script)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2 epochs", ("2", "epochs")),
        ("0.5", ("0.5", "epochs")),
        ("1 epoch", ("1", "epochs")),
        ("500 steps", ("500", "steps")),
        ("1.5 steps", None),
        ("-1", None),
        ("nan", None),
        ("2 weeks", None),
        ("", None),
        ("1 2 3", None),
    ],
)
def test_how_much_longer(text: str, found: tuple[str, str] | None) -> None:
    assert _amount(text) == found
