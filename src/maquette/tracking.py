"""Sends a run's curves to trackers besides its own files: TensorBoard, trackio, Weights & Biases.

The run's files stay what counts. A tracker that isn't there, or fails, is said once and left out;
the training goes on.
"""

import contextlib
import io
import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from maquette.errors import MaquetteError, UsageError
from maquette.events import Evaluated, Event, Sampled, StepDone
from maquette.runs.store import Run

if TYPE_CHECKING:
    from PIL import Image

PROJECT = "maquette"
_LIBRARIES = {"tensorboard": "tensorboardX", "trackio": "trackio", "wandb": "wandb"}
_INSTALL = {"tensorboard": "pip install 'maquette[track]'"}
_FLUSH_SECONDS = 10
_INIT_SECONDS = 30.0
_CLOSE_SECONDS = 60.0


class Tracker(Protocol):
    """Where curves go: begun for a run that trains on after a step, and closed at its end.

    After a kill or a resume the same steps come again; a tracker shows each once.
    """

    note: str | None  # what there is to say at its beginning

    def numbers(self, step: int, values: dict[str, float]) -> None:
        """Take in values by their names."""
        ...

    def text(self, step: int, name: str, text: str) -> None:
        """Take in a text."""
        ...

    def picture(self, step: int, name: str, picture: "Image.Image") -> None:
        """Take in a picture."""
        ...

    def close(self) -> None:
        """Get everything to where it belongs."""
        ...


class TensorBoard:
    """Event files in the run's folder: `tensorboard --logdir runs` shows them."""

    def __init__(self, run: Run, *, after_step: int, reached: int) -> None:  # noqa: ARG002
        from tensorboardX import SummaryWriter

        folder = run.path / "tensorboard"
        number = len(list(folder.glob("*tfevents*")))
        self.note: str | None = None
        self._writer = SummaryWriter(
            str(folder),
            # What is there of later steps is hidden: they come again.
            purge_step=(after_step + 1 if after_step else 0) if number else None,
            flush_secs=_FLUSH_SECONDS,
            filename_suffix=f".{number:04d}",  # two of one second have names of their own
        )

    def numbers(self, step: int, values: dict[str, float]) -> None:
        """Take in values by their names."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def text(self, step: int, name: str, text: str) -> None:
        """Take in a text; it is shown as Markdown, where an indented one is kept as it is."""
        indented = "\n".join(f"    {line}" for line in text.splitlines())
        self._writer.add_text(name, indented, step)

    def picture(self, step: int, name: str, picture: "Image.Image") -> None:
        """Take in a picture."""
        import numpy as np

        self._writer.add_image(name, np.asarray(picture.convert("RGB")), step, dataformats="HWC")

    def close(self) -> None:
        """Write what is still to be written."""
        self._writer.close()


class Trackio:
    """A run of the same name in trackio's local project `maquette`."""

    def __init__(self, run: Run, *, after_step: int, reached: int) -> None:
        import trackio

        self._library: Any = trackio
        with _quiet():
            self._run: Any = trackio.init(
                project=PROJECT, name=run.id, config=run.meta.spec, resume="allow", embed=False
            )
        # It tells nobody else which step it takes to be the next.
        known = getattr(self._run, "_next_step", 0) - 1
        self._reached = max(known, reached)
        self.note = _kept("trackio", self._reached, after_step)

    def numbers(self, step: int, values: dict[str, float]) -> None:
        """Take in values by their names."""
        if step > self._reached:
            self._run.log(values, step=step)

    def text(self, step: int, name: str, text: str) -> None:
        """Take in a text."""
        if step > self._reached:
            self._run.log({name: self._library.Markdown(f"```\n{text}\n```")}, step=step)

    def picture(self, step: int, name: str, picture: "Image.Image") -> None:
        """Take in a picture."""
        if step > self._reached:
            self._run.log({name: self._library.Image(picture)}, step=step)

    def close(self) -> None:
        """Wait until it has everything."""
        with _quiet():
            self._run.finish()


class WeightsAndBiases:
    """A run of the same id in the project `maquette`; without an account, in files to be synced."""

    def __init__(self, run: Run, *, after_step: int, reached: int) -> None:
        import wandb

        self._library: Any = wandb
        with _quiet():
            known = wandb.login(prompt=False)  # nobody is asked in the middle of a training
            self._run: Any = wandb.init(
                project=os.environ.get("WANDB_PROJECT") or PROJECT,
                id=run.id,
                name=run.id,
                dir=str(run.path),
                config=run.meta.spec,
                resume="allow",
                mode=None if known else "offline",
                settings=wandb.Settings(silent=True, console="off", init_timeout=_INIT_SECONDS),
            )
        self._reached = max(self._run.step - 1, reached)
        away = f"wandb: nobody is logged in; it is kept in {run.path / 'wandb'}, for `wandb sync`"
        notes = [_kept("wandb", self._reached, after_step), None if known else away]
        self.note = "; ".join(note for note in notes if note) or None

    def numbers(self, step: int, values: dict[str, float]) -> None:
        """Take in values by their names."""
        if step > self._reached:
            self._run.log(values, step=step)

    def text(self, step: int, name: str, text: str) -> None:
        """Take in a text."""
        if step > self._reached:
            import html

            shown = self._library.Html(f"<pre>{html.escape(text)}</pre>")
            self._run.log({name: shown}, step=step)

    def picture(self, step: int, name: str, picture: "Image.Image") -> None:
        """Take in a picture."""
        if step > self._reached:
            self._run.log({name: self._library.Image(picture)}, step=step)

    def close(self) -> None:
        """Wait until it has everything."""
        with _quiet():
            self._run.finish()


TRACKERS: dict[str, Callable[..., Tracker]] = {
    "tensorboard": TensorBoard,
    "trackio": Trackio,
    "wandb": WeightsAndBiases,
}


def require(track: str | Sequence[str]) -> None:
    """Raise UsageError where a tracker that a spec asks for isn't installed."""
    for name in named(track):
        library = _LIBRARIES[name]
        if find_spec(library) is None:
            raise UsageError(
                f"the spec asks for track: {name}, and {library} isn't installed",
                hint=f"`{_INSTALL.get(name, f'pip install {library}')}`, or --set track=[]",
            )


def named(track: str | Sequence[str]) -> list[str]:
    """The trackers that a spec asks for, each once."""
    return list(dict.fromkeys([track] if isinstance(track, str) else track))


class Tracking:
    """Some trackers of one run. Whatever goes wrong in one ends it, and is told in words."""

    def __init__(
        self, run: Run, track: str | Sequence[str], *, after_step: int, reached: int
    ) -> None:
        """The run trains on after `after_step`; it had `reached` a step before."""
        self._run, self._names = run, named(track)
        self._after_step, self._reached = after_step, reached
        self._trackers: dict[str, Tracker] = {}
        self._told: list[str] = []

    def begin(self) -> list[str]:
        """Open them all; what there is to say."""
        for name in self._names:
            with self._surviving(name):
                tracker = TRACKERS[name](
                    self._run, after_step=self._after_step, reached=self._reached
                )
                self._trackers[name] = tracker
                self._told += [tracker.note] if tracker.note is not None else []
        return self._tell()

    def take(self, event: Event) -> list[str]:
        """Send what an event says; what there is to say."""
        if isinstance(event, Sampled):
            text = f"{event.prompt}{event.text}"
            self._each(lambda tracker: tracker.text(event.step, "sample", text))
        elif values := numbers_of(event, self._run.meta.unit):
            self._each(lambda tracker: tracker.numbers(event.step, values))
        return self._tell()

    def picture(self, step: int, name: str, make: Callable[[], "Image.Image"]) -> list[str]:
        """Send a picture, which is made if there is anybody to send it to."""
        if self._trackers:
            try:
                picture = make()
            except (MaquetteError, OSError, ValueError) as error:
                return [f"there is no picture of {name} to track: {error}"]
            self._each(lambda tracker: tracker.picture(step, name, picture))
        return self._tell()

    def close(self) -> list[str]:
        """Let all of them end, and wait for each, but not for ever; what there is to say."""
        for name, tracker in self._trackers.items():
            thread = threading.Thread(target=self._close, args=(name, tracker), daemon=True)
            thread.start()
            thread.join(_CLOSE_SECONDS)
            if thread.is_alive():
                self._told.append(f"tracking by {name} didn't end in {_CLOSE_SECONDS:.0f} seconds")
        self._trackers = {}
        return self._tell()

    def _close(self, name: str, tracker: Tracker) -> None:
        try:
            tracker.close()
        except Exception as error:  # as in _surviving
            self._told.append(f"the end of tracking by {name} was lost: {_first_line(error)}")

    def _each(self, do: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            with self._surviving(name):
                do(tracker)

    @contextlib.contextmanager
    def _surviving(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # other people's libraries raise anything
            self._trackers.pop(name, None)
            told = f"tracking by {name} has ended: {_first_line(error)}; the training goes on"
            self._told.append(told)

    def _tell(self) -> list[str]:
        told, self._told = self._told, []
        return told


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def numbers_of(event: Event, unit: str) -> dict[str, float]:
    """What is to be drawn of an event, by name; a number that isn't finite is left out."""
    found: dict[str, float | None] = {}
    if isinstance(event, StepDone):
        a_step = event.tokens / event.step if event.step else 0.0
        found = {
            "loss/training": event.loss,
            "learning_rate": event.learning_rate,
            "gradient_norm": event.gradient_norm,
            f"{unit}_per_second": a_step / event.step_seconds if event.step_seconds > 0 else None,
        }
    elif isinstance(event, Evaluated):
        found = {
            f"loss/{event.split}": event.loss,
            f"bits_per_byte/{event.split}": event.bits_per_byte,
            f"accuracy/{event.split}": event.accuracy,
            f"top5/{event.split}": event.top5,
            **{f"loss/{event.split}/{name}": loss for name, loss in event.sources.items()},
        }
    return {name: v for name, v in found.items() if v is not None and math.isfinite(v)}


def _kept(name: str, reached: int, after_step: int) -> str | None:
    if reached <= after_step:
        return None
    return f"{name} has the steps up to {reached} already: they stay as they are there"


def _quiet() -> contextlib.AbstractContextManager[object]:
    """stdout is for data: what libraries have to say at their beginning and end isn't shown."""
    return contextlib.redirect_stdout(io.StringIO())
