"""Play with an image classifier: choose a picture, see what the model says of it."""

import asyncio
import base64
import heapq
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from rich.cells import cell_len, set_cell_size
from rich.text import Text, TextType
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.suggester import Suggester
from textual.widgets import DirectoryTree, Input, Label, Static

from maquette.runs.store import Run
from maquette.tui import figures
from maquette.tui.parts import Choice
from maquette.tui.pictures import drawn
from maquette.tui.play import PlayPage

_LISTED = 2000  # entries of a folder
_TOP = 8
_BAR = 24
ENDINGS = (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")


def picture_of(pixels: bytes, side: int, columns: int) -> Text:
    """A square of RGB pixels, at most so many columns wide."""
    from PIL import Image

    columns = max(2, min(columns, side))
    image = Image.frombytes("RGB", (side, side), pixels)
    return drawn(image.resize((columns, columns), Image.Resampling.BOX))


class Images(DirectoryTree):
    """Folders and the images in them; the first 2,000 entries of each, hidden ones left out."""

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        """Folders and images."""
        wanted = (path for path in paths if not path.name.startswith(".") and _is_wanted(path))
        return heapq.nsmallest(_LISTED, wanted, key=lambda path: path.name)

    def process_label(self, label: TextType) -> Text:
        """A name as it is: brackets in it are no markup."""
        return Text(figures.one_line(str(label)), no_wrap=True)


def _is_wanted(path: Path) -> bool:
    if path.name.lower().endswith(ENDINGS):
        return True
    try:
        return path.is_dir()
    except OSError:
        return False


class Paths(Suggester):
    """Completes the path of an image: by the first entry of its folder that begins so."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        """The path that begins like this, a folder with a slash behind it."""
        return await asyncio.to_thread(completed, value)


def completed(value: str) -> str | None:
    """A path that begins like this; None if there is none, or nothing to go by."""
    folder, slash, begin = value.rpartition("/")
    try:
        place = Path(folder + slash).expanduser() if slash else Path()
        entries = (path for path in place.iterdir() if path.name.startswith(begin))
        first = min(filter(_is_wanted, entries), key=lambda path: path.name, default=None)
        if not begin or first is None:
            return None
        return f"{folder}{slash}{first.name}{'/' * first.is_dir()}"
    except (OSError, ValueError, RuntimeError):  # no such folder, character or home
        return None


class ImageScreen(PlayPage):
    """An image classifier: what does it take a picture for?"""

    ABOUT: ClassVar[str] = "show a run's model a picture, and see what it takes it for."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "path", "Path", key_display="/", tooltip="Type the path of an image"),
        Binding("f2", "settings", "Settings", tooltip="Choose a checkpoint, a device, a mirror"),
    ]

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.flip = Choice(["as it is", "and mirrored"], id="flip")
        self._path = ""
        self._picture: tuple[bytes, int] | None = None
        self._likeliest: list[tuple[str, float]] = []

    def body(self) -> ComposeResult:
        """Where images are, beside what is said of one."""
        with Horizontal(id="play"):
            with Vertical(id="look"):
                yield Input(placeholder="the path of an image", suggester=Paths(), id="path")
                yield Images(Path.cwd(), id="images")
                for label, choice in (
                    ("checkpoint", self.checkpoint),
                    ("device", self.device),
                    ("looks at it", self.flip),
                ):
                    with Horizontal(classes="setting"):
                        yield Label(label, markup=False)
                        yield choice
            with VerticalScroll(id="answer", can_focus=False):
                yield Static(id="status")
                yield Static(id="picture")
                yield Static(id="classes")

    def on_mount(self) -> None:
        """Begin among the images."""
        super().on_mount()
        self.query_one(Images).focus()

    def on_resize(self) -> None:
        """Draw the picture as large as there is room for now."""
        super().on_resize()
        self.query_one("#play").set_class(self.size.width < 90, "narrow")
        self.call_after_refresh(self.draw)

    def leave_input(self) -> None:
        """Go back among the images."""
        self.query_one(Images).focus()

    def action_path(self) -> None:
        """Type a path."""
        self.query_one("#path").focus()

    def action_settings(self) -> None:
        """Go to what can be chosen, or back from there."""
        if isinstance(self.focused, Choice):
            self.leave_input()
        else:
            self.checkpoint.focus()

    @on(Input.Submitted, "#path")
    def _submit(self, event: Input.Submitted) -> None:
        if event.value.strip():
            self._look_at(event.value.strip())

    @on(DirectoryTree.FileSelected)
    def _select(self, event: DirectoryTree.FileSelected) -> None:
        self._look_at(str(event.path))

    @on(Choice.Changed, "#flip")
    def _look_again(self) -> None:
        if self._path:
            self._look_at(self._path)

    def model_is_there(self) -> None:
        """Another checkpoint says of the same picture what it makes of it."""
        if not self.busy and self._path:
            self._look_at(self._path)
        elif not self.busy:
            self.say("choose an image")

    def _look_at(self, path: str) -> None:
        if self.busy:
            self.stop_answer()
        self._path = path
        try:
            place = Path(path).expanduser()
        except RuntimeError:  # there is no such home
            place = Path(path)
        flip = self.flip.value != self.flip.words[0]
        if self.ask("classify", path=str(place), top=_TOP, flip=flip) and self.loaded is not None:
            self.say(f"looking at {place.name}")

    def hear(self, row: dict[str, Any]) -> None:
        """Show the picture and what it is taken for."""
        if row["kind"] != "classes":
            return
        self._picture = base64.b64decode(row["pixels"]), row["side"]
        self._likeliest = [(str(name), float(share)) for name, share in row["classes"]]
        self.say(Path(self._path).name)
        self.draw()

    def answered(self, row: dict[str, Any] | None) -> None:
        """Show nothing, since nothing was said."""
        if row is not None:
            self._picture, self._likeliest = None, []
            self.draw()

    def draw(self) -> None:
        """Draw the picture and the classes, as large as there is room for."""
        answer = self.query_one("#answer")
        room = answer.content_size
        picture = Text()
        if self._picture is not None:
            rows = room.height - len(self._likeliest) - 4
            picture = picture_of(*self._picture, min(room.width, max(8, 2 * rows)))
        self.query_one("#picture", Static).update(picture)
        self.query_one("#classes", Static).update(self._bars(room.width))

    def _bars(self, width: int) -> Text:
        """A line for each class: its probability as a number and as a bar."""
        colours = self.app.theme_variables
        text = Text(no_wrap=True)
        names = [figures.one_line(name) for name, _ in self._likeliest]
        longest = min(max(map(cell_len, names), default=0), max(8, width - 22))
        bar = max(4, min(_BAR, width - longest - 11))
        for i, (name, (_, share)) in enumerate(zip(names, self._likeliest, strict=True)):
            shown = set_cell_size(name, longest)
            full, empty = figures.bar(share, bar)
            text.append(f"{shown}  ", "bold" if i == 0 else "")
            text.append(full, colours["accent"] if i == 0 else colours["muted"])
            text.append(empty, colours["line"])
            text.append(f" {share:7.2%}\n", "bold" if i == 0 else "")
        return text
