"""Play: asking a model that is in a process of its own, and what becomes of the answers."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from maquette.runs.store import Run, Store
from maquette.tui import play as screens
from maquette.tui.parts import Prompt, Setting, Settings, visible
from maquette.tui.play import PlayPage, play_screen
from maquette.tui.play_images import ImageScreen
from maquette.tui.play_text import SETTINGS, TextScreen
from tests.tui.pilots import hides, screen, shows, until, widths
from tests.tui.pilots import play as start
from tests.tui.scenes import make_run
from tests.tui.typing import PRINTABLE, typed


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(screens.PlayPage, "MODULE", "tests.tui.fake_model")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path / "runs")
    make_run(store, "talk-calm-otter", step=20, steps=20)
    return store


async def opened(pilot: Pilot[None], store: Store, run: str = "talk-calm-otter") -> PlayPage:
    page = play_screen(Run(store.root / run))
    await pilot.app.push_screen(page)
    await until(pilot, lambda: page.query("#status"), "the screen")
    return page


async def send(pilot: Pilot[None], text: str) -> None:
    prompt = pilot.app.screen.query_one(Prompt)
    prompt.text = text
    prompt.focus()
    await pilot.press("enter")


async def chat(page: PlayPage, pilot: Pilot[None]) -> None:
    assert isinstance(page, TextScreen)
    await until(pilot, lambda: page.loaded, "the model")
    page.mode.value = "chat"
    await shows(pilot, "/retry")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_text_goes_on_and_another_time_otherwise(store: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot, store)
        await send(pilot, "Once [b]upon[/b] 🙂")  # while the model is still being loaded
        await shows(pilot, "Once [b]upon[/b] 🙂 and so on", "10 characters in 0.5s, 20 a second")
        await shows(pilot, "step 7 on cpu")
        assert page.query_one(Prompt).text == ""
        await pilot.press("ctrl+r")
        await until(pilot, lambda: not page.busy)
        assert screen(pilot).count("Once [b]upon") == 1, "in its place, not below it"
        assert page.model is not None
        pid = page.model.pid
        await pilot.press("escape", "q")
        await until(pilot, lambda: not alive(pid), "the end of the model's process")

    start(store, script)


def test_all_that_is_set_reaches_the_model(store: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot, store)
        for key, value in {"temperature": "0", "top_k": "5", "seed": "3", "stop": "END"}.items():
            page.query_one(f"#set-{key}", Input).value = value
        await send(pilot, "options")
        await shows(pilot, "'seed': 3", "'stop': ['END']")
        text = screen(pilot).replace("\n", "")
        assert "'temperature': 0.0" in text
        assert "'top_k': 5" in text

    start(store, script, size=(300, 30))


def test_what_is_set_wrongly_is_told_and_nothing_is_asked(store: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot, store)
        await pilot.press("f2")
        line = page.query_one("#set-top_p", Input)
        line.focus()
        line.value = "7"
        await shows(pilot, "top p: above 0, 1 at most")
        await send(pilot, "hello")
        assert not page.busy
        assert page.query_one(Prompt).text == "hello"

    start(store, script)


def test_a_conversation_with_its_commands(store: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot, store)
        await chat(page, pilot)
        page.query_one("#set-system", Input).value = "be brief"
        await send(pilot, "one")
        await shows(pilot, "[system: be brief] heard one")
        await send(pilot, "two")
        await shows(pilot, "[user: one][assistant: [system: be brief] heard one] heard two")
        await send(pilot, "/undo")
        await hides(pilot, "heard two")
        await send(pilot, "/retry")
        await until(pilot, lambda: not page.busy)
        assert "model  [system: be brief] heard one" in screen(pilot)
        await send(pilot, "/nonsense")
        await shows(pilot, "// sends a text that begins with /")
        await send(pilot, "//nonsense")
        await shows(pilot, "you    /nonsense")
        await until(pilot, lambda: not page.busy)
        await send(pilot, "/reset")
        await shows(pilot, "Say something, and the model answers")

    start(store, script, size=(160, 30))


def test_escape_stops_an_answer_and_what_there_was_stays(store: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot, store)
        await chat(page, pilot)
        await send(pilot, "slow")
        await shows(pilot, "heard slow", "writing; Esc stops it")
        await send(pilot, "too soon")
        await shows(pilot, "Esc stops this answer")
        await pilot.press("escape")
        await shows(pilot, "(stopped)")
        await send(pilot, "and")
        await shows(pilot, "[user: slow][assistant:  heard slow] heard and")

    start(store, script)


def test_a_model_that_doesnt_listen_is_ended_and_loaded_again(store: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot, store)
        await until(pilot, lambda: page.loaded)
        assert page.model is not None
        pid = page.model.pid
        await send(pilot, "deaf")
        await shows(pilot, "deaf and so on")
        await pilot.press("escape")
        await shows(pilot, "Esc again ends")
        await pilot.press("escape")
        await shows(pilot, "cancelled", "no model loaded")
        await until(pilot, lambda: not alive(pid))
        await send(pilot, "again")
        await shows(pilot, "again and so on", "step 7 on cpu")

    start(store, script)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("crash", "ended with exit code 3: boom at 0x0"),
        ("kill", "this machine may have run out of memory"),
        ("memory", "out of memory; another device may have more"),
    ],
)
def test_whatever_happens_to_the_model_is_told_and_the_next_question_is_answered(
    store: Store, asked: str, told: str
) -> None:
    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot, store)
        await until(pilot, lambda: page.loaded)
        await send(pilot, asked)
        await until(pilot, lambda: told in screen(pilot).replace("\n", " ").replace("  ", " "))
        await shows(pilot, "(failed)")
        await send(pilot, "again")
        await shows(pilot, "again and so on")

    start(store, script, size=(160, 30))


def test_another_checkpoint_and_one_that_isnt_there_any_more(store: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot, store)
        await until(pilot, lambda: len(page.checkpoint.words) > 2, "the steps")
        assert page.checkpoint.words[:4] == ["best", "latest", "20", "16"]
        page.checkpoint.value = "16"
        await shows(pilot, "step 16 on cpu")
        await send(pilot, "Once")
        await shows(pilot, "Once and so on")
        shutil.rmtree(store.root / "talk-calm-otter")
        await shows(pilot, "deleted meanwhile")
        await send(pilot, "more")
        await shows(pilot, "more and so on")  # the model is in memory
        page.checkpoint.value = "12"
        await shows(pilot, "has no checkpoint; it hasn't saved any", "no model loaded")

    make_run(store, "other-calm-otter", step=1, steps=20)  # a folder without runs says less
    start(store, script)


def test_loading_can_be_cancelled(store: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot, store)
        await until(pilot, lambda: page.loaded)
        page.checkpoint.value = "latest"  # takes for ever
        await shows(pilot, "loading the model, latest")
        await pilot.press("escape")
        await shows(pilot, "cancelled")
        page.checkpoint.value = "best"
        await shows(pilot, "step 7 on cpu")

    start(store, script)


def test_every_printable_key_arrives_in_every_input(store: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot, store)
        await until(pilot, lambda: page.loaded)
        prompt = page.query_one(Prompt)
        await typed(pilot, PRINTABLE)
        await until(pilot, lambda: prompt.text == PRINTABLE, "the text in the prompt")
        await pilot.press("ctrl+j")
        assert prompt.text == PRINTABLE + "\n"
        for setting in {setting.kind: setting for setting in SETTINGS}.values():  # one a kind
            page.query_one(Settings).show(setting.key, True)
            line = page.query_one(f"#set-{setting.key}", Input)
            line.value = ""
            line.focus()
            await typed(pilot, PRINTABLE)
            await until(pilot, lambda line=line: line.value == PRINTABLE, setting.key)  # type: ignore[misc]
        assert pilot.app.screen is page

    start(store, script)


@pytest.mark.parametrize(("size", "dark"), [((60, 20), True), ((200, 60), False)])
def test_any_size_and_any_text(store: Store, size: tuple[int, int], dark: bool) -> None:
    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot, store)
        await until(pilot, lambda: page.loaded)
        long = "word " * 1500
        for text in (long, "[/x] [bold]", "\x1b[31m\x07é", "🙂" * 300):
            await send(pilot, text)
            await until(pilot, lambda: not page.busy)
        assert widths(pilot) == {size[0]}
        assert "\x1b" not in screen(pilot)
        await pilot.press("f2")
        await shows(pilot, "temperature", "checkpoint")
        await pilot.press("escape")
        await until(pilot, lambda: page.query_one(Prompt).has_focus)
        await pilot.resize_terminal(61, 21)
        await until(pilot, lambda: widths(pilot) == {61})

    start(store, script, size=size, dark=dark)


def test_no_colours(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def script(pilot: Pilot[None]) -> None:
        await opened(pilot, store)
        await send(pilot, "Once")
        await shows(pilot, "Once and so on")

    start(store, script)


@pytest.mark.parametrize("setting", SETTINGS[:5], ids=lambda setting: setting.key)
def test_settings_have_the_bounds_of_the_sampler(setting: Setting) -> None:
    from maquette.generation.sampling import SamplingOptions

    for text in ("0", "1", "-1", "1.5", "2", "inf", "nan", "1e-9", "-0.1"):
        value: Any = float(text)
        if setting.kind is int and not value.is_integer():
            continue
        try:
            SamplingOptions(**{setting.key: value})
        except ValueError:
            with pytest.raises(ValueError, match=setting.label):
                setting.read(text)
        else:
            assert setting.read(text) == value


def test_what_could_steer_a_terminal_is_made_visible() -> None:
    assert visible("a\x1b[2Jb\tc\nd\x9be\x7f\u2028🙂é") == "a␛[2Jb\tc\nd\ufffde\ufffd 🙂é"


# Images


@pytest.fixture
def pictures(store: Store, tmp_path: Path) -> Store:
    make_run(store, "images-calm-otter", step=20, steps=20, images=True)
    meta = store.root / "images-calm-otter" / "meta.json"
    assert "image-classification" in meta.read_text()
    for name in ("a [red].png", "broken.png", "notes.txt", ".hidden.png"):
        (tmp_path / name).write_text("nothing")
    (tmp_path / "folder [b]").mkdir()
    return store


def test_a_picture_from_the_tree(pictures: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot, pictures, "images-calm-otter")
        assert isinstance(page, ImageScreen)
        await shows(pilot, "folder [b]", "a [red].png", "choose an image")
        assert "notes.txt" not in screen(pilot)
        assert "hidden" not in screen(pilot)
        await pilot.press("down", "down", "down", "enter")
        await shows(pilot, "[red] cat\ufffd", "75.00%", "dog 🐶", "12.50%", "▀▀▀▀▀▀▀▀")
        await pilot.press("down", "enter")
        await shows(pilot, "is no image")
        assert "75.00%" not in screen(pilot)
        page.flip.action_move(1)
        await pilot.press("up", "enter")
        await shows(pilot, "25.00%")

    start(pictures, script)


def test_a_path_is_completed_and_every_key_arrives_in_it(pictures: Store) -> None:
    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot, pictures, "images-calm-otter")
        await until(pilot, lambda: page.loaded)
        await pilot.press("slash")
        line = page.query_one("#path", Input)
        await until(pilot, lambda: line.has_focus)
        await typed(pilot, PRINTABLE)
        await until(pilot, lambda: line.value == PRINTABLE)
        line.value = ""
        await pilot.press("a")
        await shows(pilot, "a [red].png")
        await until(pilot, lambda: line._suggestion == "a [red].png")
        await pilot.press("right", "enter")
        await shows(pilot, "75.00%")
        line.value = "~nobody-of-this-name/broken\x00"
        line.focus()
        await pilot.press("enter")
        await shows(pilot, "is no image")

    start(pictures, script)


@pytest.mark.parametrize("size", [(60, 20), (200, 60)])
def test_pictures_at_any_size(pictures: Store, size: tuple[int, int]) -> None:
    async def script(pilot: Pilot[None]) -> None:
        await opened(pilot, pictures, "images-calm-otter")
        await shows(pilot, "a [red].png")
        await pilot.press("down", "down", "down", "enter")
        await shows(pilot, "75.00%")
        assert widths(pilot) == {size[0]}

    start(pictures, script, size=size)


# Real models


def test_a_real_language_model(tmp_path: Path) -> None:
    from tests.trained import trained_run

    run = trained_run(tmp_path)

    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot, Store(run.path.parent), run.id)
        page.query_one("#set-max_new_tokens", Input).value = "9"
        page.query_one("#set-seed", Input).value = "1"
        await send(pilot, "the cat")
        await until(pilot, lambda: page.loaded, "the model")
        await shows(pilot, "characters in", "step 2 on cpu")
        written = page.turns[-1].answer  # type: ignore[attr-defined]
        assert written == "".join(expected)

    from maquette.api import load_run

    expected = load_run(run.id, runs_dir=run.path.parent).generate(
        "the cat", max_new_tokens=9, seed=1, temperature=0.8
    )
    start(Store(run.path.parent), script)


@pytest.mark.slow
def test_a_real_classifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    from tests.trained_images import trained_classifier

    run = trained_classifier(tmp_path)
    Image.new("RGB", (30, 20), (200, 30, 30)).save(tmp_path / "red.png")
    monkeypatch.chdir(tmp_path)

    async def script(pilot: Pilot[None]) -> None:
        page = await opened(pilot, Store(run.path.parent), run.id)
        page.query_one("#path", Input).value = "red.png"
        page.query_one("#path").focus()
        await pilot.press("enter")
        await until(pilot, lambda: "%" in screen(pilot), "an answer")
        from maquette.api import load_run

        label, share = load_run(run.id, runs_dir=run.path.parent).classify("red.png")[0]
        await shows(pilot, label, f"{share:.2%}")

    start(Store(run.path.parent), script)
