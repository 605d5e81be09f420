"""The run directory: its layout, and how runs are made, listed and found.

Standard library only, so that `ps` and `status` answer at once.
"""

import contextlib
import dataclasses
import errno
import os
import random
import re
import shlex
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maquette.errors import CheckpointError, DamagedError, RunError
from maquette.runs import durable
from maquette.runs.manifest import MANIFEST, digest, look_of, read_manifest, verify_folder
from maquette.runs.meta import Meta, damage_of, describe_this_moment, is_run, read_meta
from maquette.runs.process import WorkerLock, describe, is_held, read_holder, this_process
from maquette.runs.state import ACTIVE, Change, State, rebuild, state_from
from maquette.runs.tail import TimedEvent, cut_events, timed_event
from maquette.runs.words import two_words

_FAR_SECONDS = 60.0  # how long another machine's word is good, where one can't look
_STEP_FOLDER = re.compile(r"step-(\d{8,})")
_AFTER_NAME = re.compile(r"-[a-z]+-[a-z]+(-\d+)?")  # two words, as `Store.create` adds them


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A committed checkpoint. `best` says that no earlier evaluation had a lower loss."""

    step: int
    path: Path
    best: bool
    bytes: int
    passed_over: tuple[str, ...] = ()  # newer ones that turned out damaged, and how


class Run:
    """One run directory. Reading is for anyone; changing it is for whoever holds `lock()`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.name
        self.spec_path = path / "spec.yaml"
        self.blueprint_path = path / "blueprint.json"
        self.tokenizer_path = path / "tokenizer.json"
        self.state_path = path / "state.json"
        self.metrics_path = path / "metrics.jsonl"
        self.log_path = path / "worker.log"
        self.lock_path = path / "worker.lock"
        self.samples_path = path / "samples"
        self.checkpoints_path = path / "checkpoints"
        self._meta: Meta | None = None
        self._verified: dict[int, object] = {}  # step -> what its files looked like then

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def meta(self) -> Meta:
        """What was fixed at its start; what can't be read any more has its default."""
        if self._meta is None:
            self._meta = read_meta(self.path)
        return self._meta

    @property
    def damage(self) -> str | None:
        """What is wrong with its meta.json, in words; None if nothing is."""
        return damage_of(self.path)

    @property
    def name(self) -> str:
        """What a person types here to name it: its id, or its path if it is in another folder."""
        return self.id if self.path.parent == Store().root else shlex.quote(str(self.path))

    def lock(self, inherited: int = -1) -> WorkerLock:
        """The lock that the run's one worker holds for life; see WorkerLock for `inherited`."""
        return WorkerLock(self.lock_path, inherited)

    def gone(self, lock: WorkerLock | None = None) -> RunError:
        """What to tell of a run whose folder isn't there any more; its `lock` may know more."""
        place = lock.folder() if lock is not None else None
        if place is not None:
            return RunError(
                f"the folder of {self.id} was moved to {place}, and so its worker has ended",
                hint=f"`maquette resume {Run(place).name}` goes on with it there",
            )
        return RunError(f"{self.id} is gone: its folder was deleted or moved", hint=str(self.path))

    def state(self, events: Iterable[TimedEvent] | None = None) -> State:
        """The state as of now; `lost` for an active run whose worker is gone. Never fails.

        `events` stand in for those in the file where it has to be rebuilt from them.
        """
        state = self.stored_state(events)
        if state.status in ACTIVE and not self._alive(state):
            state = self.stored_state(events)  # it may have ended while we looked
            if state.status in ACTIVE and not self._alive(state):
                return dataclasses.replace(state, status="lost", eta_seconds=None)
        return state

    def stored_state(self, events: Iterable[TimedEvent] | None = None) -> State:
        """The state as its worker wrote it last, or rebuilt from the events if it is unreadable."""
        try:
            return state_from(self.state_path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            held = is_held(self.lock_path)
            events = self.events() if events is None else events
            return rebuild(events, created_at=self.meta.created_at, alive=held)

    def _alive(self, state: State) -> bool:
        if state.process is None:  # it had no worker yet, or the state is rebuilt
            return is_held(self.lock_path) or (state.status == "queued" and self._awaits_worker())
        if state.process.elsewhere():  # a shared folder: its word is all there is
            return time.time() - (state.heartbeat_at or 0.0) < _FAR_SECONDS
        return state.process.lives() and is_held(self.lock_path)

    def _awaits_worker(self) -> bool:
        """Whether the process that made the run is still there to begin on it."""
        maker = read_holder(self.lock_path)
        if maker is not None and maker.elsewhere():
            return abs(time.time() - self.meta.created_at) < _FAR_SECONDS
        return maker is not None and maker.lives()

    def events(self) -> Iterator[TimedEvent]:
        """Every event with its time (Unix seconds), oldest first, those that were not cut off."""
        with contextlib.suppress(RunError):
            for row in durable.read_rows(self.metrics_path):
                event = timed_event(row)
                if event is not None:
                    yield event

    def log_tail(self, lines: int = 20) -> list[str]:
        """The last lines of worker.log; none if there is no log."""
        try:
            with self.log_path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - 400 * lines - 4096))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return []
        return text.splitlines()[-lines:]

    def write_blueprint(self, text: str) -> None:
        """Put blueprint.json in its place."""
        durable.write_text(self.blueprint_path, text)

    def write_tokenizer(self, write: Callable[[Path], object]) -> None:
        """Put tokenizer.json in its place; `write` writes it to the path that it is given."""
        durable.write_file(self.tokenizer_path, write)

    def commit_checkpoint(
        self, step: int, fill: Callable[[Path], None], *, best: bool
    ) -> Checkpoint:
        """Save a checkpoint: `fill` writes its files; it counts once its manifest is on disk.

        Its manifest knows the run's tokenizer too. An older one of the same step (a damaged one,
        from before a resume) is replaced. Raises RunError.
        """
        return self.begin_checkpoint(step, fill, best=best)()

    def begin_checkpoint(
        self,
        step: int,
        fill: Callable[[Path], None],
        *,
        best: bool,
        lasting: bool = True,
        measure_now: bool = False,
    ) -> Callable[[], Checkpoint]:
        """The first half of `commit_checkpoint`, after which what was saved may change.

        Returns the second half, for which any thread may wait. No other one may begin meanwhile.
        One that isn't `lasting` outlives its worker, but perhaps not a power cut. With
        `measure_now` the second half leaves the processor alone.
        """
        folder = self.checkpoints_path / f"step-{step:08d}"
        if folder.exists():
            durable.remove_folder(folder)
        extra: dict[str, Any] = {"step": step, "best": best, "lasting": lasting}
        with contextlib.suppress(OSError):  # a run need not have one
            extra["tokenizer"] = digest(self.tokenizer_path)
        commit_folder = durable.begin_folder(
            folder, fill, extra=extra, measure_now=measure_now, sync=lasting
        )

        def commit() -> Checkpoint:
            written = commit_folder()
            self._verified[step] = look_of(folder)
            hint = self.checkpoints_path / "latest"
            durable.write_text(hint, f"{folder.name}\n", sync=lasting)
            if best:
                durable.write_text(self.checkpoints_path / "best", f"{folder.name}\n")
            return Checkpoint(step, folder, best, written)

        return commit

    def checkpoints(self) -> list[Checkpoint]:
        """Committed checkpoints, oldest first: manifest and sizes are looked at, not the bytes."""
        found = []
        with contextlib.suppress(RunError):
            for _, folder in self._checkpoint_folders():
                with contextlib.suppress(DamagedError):
                    found.append(_checkpoint(folder, read_manifest(folder)))
        return found

    def checkpoint(self, which: int | str = "latest") -> Checkpoint:
        """`latest`, `best` or a step, after reading every byte of it against its checksum.

        A damaged latest or best one gives way to the newest one before it, which then says so in
        `passed_over`. A run without evaluations has no best one: its latest is taken.
        Raises CheckpointError when there is none, or the step asked for is missing or damaged.
        """
        folders = self._checkpoint_folders()
        steps = ", ".join(str(step) for step, _ in folders)
        hint = f"it has checkpoints of step {steps}" if folders else "it hasn't saved any"
        if which not in ("latest", "best"):
            wanted = str(which).lstrip("0") or "0"  # as the folder's name has it is fine too
            folders = [(step, folder) for step, folder in folders if str(step) == wanted]
            if not folders:
                raise CheckpointError(f"{self.id} has no checkpoint of step {which}", hint=hint)
        damaged: list[str] = []
        fallback: Checkpoint | None = None
        for _, folder in reversed(folders):
            try:
                found = _checkpoint(folder, verify_folder(folder), tuple(damaged))
            except DamagedError as error:
                damaged.append(error.message)
                continue
            if which != "best" or found.best:
                return found
            fallback = fallback or found
        if fallback is not None:
            return fallback
        if damaged:
            hint = "no sound checkpoint is left"
            if which not in ("latest", "best"):
                hint = "`latest` in its place is the newest one that is sound"
            raise CheckpointError("; ".join(damaged), hint=hint)
        raise CheckpointError(f"{self.id} has no checkpoint", hint=hint)

    def prune(self, keep: int) -> list[int]:
        """Remove all but the newest `keep` checkpoints; returns the steps removed.

        Stays: the best one, and the newest two whose every byte has been read and found right
        (in this process, and no file has changed since), so that there is always one to go back to;
        and of those that outlast a power cut the newest two.
        """
        steps: list[int] = []
        sound = lasting = 0
        best_kept = False
        folders = self._checkpoint_folders()
        for rank, (step, folder) in enumerate(reversed(folders)):
            try:
                manifest = read_manifest(folder)
                checkpoint, lasts = _checkpoint(folder, manifest), manifest.get("lasting", True)
                look = look_of(folder)
                counts = sound < 2 or (lasts and lasting < 2)
                if counts and self._verified.get(step) != look:
                    verify_folder(folder)
                    self._verified[step] = look
            except DamagedError:
                continue  # it may be all that somebody has; it is not ours to throw away
            needed = rank < keep or counts or (checkpoint.best and not best_kept)
            sound += 1
            lasting += lasts
            best_kept = best_kept or checkpoint.best
            if not needed:
                durable.remove_folder(folder)
                steps.append(step)
        return steps

    def rewind(self, step: int) -> None:
        """Make the run end after `step`, for its worker to go on from there.

        Events and checkpoints of later steps are kept aside: `metrics-aside.jsonl` and
        `checkpoints/aside/`. Raises RunError.
        """
        # That of step 0 is there where a run begins with weights that aren't drawn by its seed.
        later = [folder for at, folder in self._checkpoint_folders() if at > max(0, step)]
        if later:
            aside = self.checkpoints_path / "aside"
            durable.make_folder(aside)
            with durable.os_errors("rename", later[0]):
                # The newest first, and all before the events: wherever a kill falls in between,
                # the events reach as far as the newest checkpoint that is left.
                for folder in reversed(later):
                    shutil.rmtree(aside / folder.name, ignore_errors=True)
                    folder.rename(aside / folder.name)
                    durable.sync_folder(aside)
                    durable.sync_folder(self.checkpoints_path)
        cut_events(self.metrics_path, self.path / "metrics-aside.jsonl", step)

    def remove(self) -> None:
        """Delete the run. Raises RunError if somebody works on it, or a part of it may not go."""
        with self.lock():
            for folder, _, _ in os.walk(self.path):
                if not os.access(folder, os.W_OK | os.X_OK):
                    what = f"can't remove {folder}: permission denied"
                    raise RunError(what, hint=durable.HINTS[errno.EACCES])
            durable.remove_folder(self.path)

    def _checkpoint_folders(self) -> list[tuple[int, Path]]:
        names: list[str] = []
        with (
            durable.os_errors("read", self.checkpoints_path),
            contextlib.suppress(FileNotFoundError),
        ):
            names = os.listdir(self.checkpoints_path)  # noqa: PTH208 - names, not paths
        steps = ((match, name) for name in names if (match := _STEP_FOLDER.fullmatch(name)))
        return sorted((int(match[1]), self.checkpoints_path / name) for match, name in steps)


class Store:
    """A folder of runs: `--runs-dir`, else $MAQUETTE_RUNS, else ./runs."""

    def __init__(self, root: Path | str | None = None) -> None:
        chosen = root if root is not None else os.environ.get("MAQUETTE_RUNS") or "runs"
        self.root = Path(chosen).expanduser().absolute()

    @property
    def option(self) -> str:
        """What a person adds here to a command to mean this store; nothing for the usual one."""
        here = self.root == Store().root
        return "" if here else f" --runs-dir {shlex.quote(str(self.root))}"

    def create(
        self,
        name: str,
        *,
        spec_text: str,
        spec: dict[str, Any] | None = None,
        blueprint_text: str | None = None,
        command: Sequence[str] = (),
        device: str = "auto",
        kind: str = "training",
    ) -> Run:
        """Make a run directory, `queued`, with an id of its own. Raises RunError."""
        assert re.fullmatch(r"[a-z][a-z0-9-]{0,63}", name), f"{name!r} can't begin a path"
        generator = random.SystemRandom()  # the seeded generator belongs to the training
        for attempt in range(1000):
            number = "" if attempt < 100 else f"-{generator.randrange(10**6)}"
            run = Run(self.root / f"{name}-{two_words(generator)}{number}")
            meta = describe_this_moment(
                run.id, command=command, device=device, kind=kind, spec=spec or {}
            )

            def fill(folder: Path, run: Run = run, meta: Meta = meta) -> None:
                (folder / "spec.yaml").write_text(spec_text, encoding="utf-8")
                if blueprint_text is not None:
                    (folder / "blueprint.json").write_text(blueprint_text, encoding="utf-8")
                durable.write_json(folder / "meta.json", meta.to_json())
                state = State("queued", (Change("queued", meta.created_at),))
                durable.write_json(folder / "state.json", state.to_json())
                maker = describe(this_process())
                (folder / run.lock_path.name).write_text(maker, encoding="utf-8")
                (folder / "samples").mkdir()
                (folder / "checkpoints").mkdir()

            if durable.create_folder(run.path, fill):
                return run
        raise RunError(f"can't find a free name for a run in {self.root}")

    def list(self) -> list[Run]:
        """Every run, newest first."""
        return sorted(map(Run, self.paths()), key=lambda run: (-run.meta.created_at, run.id))

    def paths(self) -> Iterator[Path]:
        """Every run's folder, in no order. Raises RunError."""
        try:
            with os.scandir(self.root) as entries:
                names = [entry.name for entry in entries if not entry.name.startswith(".")]
        except FileNotFoundError:
            return
        except OSError as error:
            raise RunError(f"can't read {self.root}: {(error.strerror or '').lower()}") from error
        paths = (self.root / name for name in names)
        yield from filter(is_run, paths)

    def get(self, name: str) -> Run | None:
        """The run of this very id; None if there is none, or it is no name of a folder here."""
        run = Run(self.root / name)
        plain = name == run.id and run.path.parent == self.root and not name.startswith(".")
        return run if plain and is_run(run.path) else None

    def find(self, name: str) -> Run:
        """The run of this id, its spec's name, a unique beginning, `latest`, or at this path.

        Raises RunError, which lists the candidates or suggests what is near.
        """
        if os.sep in name and is_run(Path(name).expanduser()):
            return Run(Path(name).expanduser().absolute())
        exact = self.get(name)
        if exact is not None:
            return exact
        runs = self.list()
        if not runs:
            raise RunError(
                f"there are no runs in {self.root}",
                hint=f"start one with `maquette train SPEC{self.option}`",
            )
        if name == "latest":
            return runs[0]
        matches = [run for run in runs if name and run.id.startswith(name)]
        named = [run for run in matches if _AFTER_NAME.fullmatch(run.id.removeprefix(name))]
        if len(named) == 1 or len(matches) == 1:
            return (named or matches)[0]
        if matches:
            candidates = ", ".join(run.id for run in matches[:8])
            more = f" and {len(matches) - 8} more" if len(matches) > 8 else ""
            raise RunError(f"{name!r} could be {candidates}{more}", hint="write a few letters more")
        raise RunError(f"there is no run {name!r} in {self.root}", hint=self._near(name, runs))

    def _near(self, name: str, runs: Sequence[Run]) -> str:
        import difflib

        near = difflib.get_close_matches(name, [run.id for run in runs], n=3, cutoff=0.4)
        if near:
            return f"did you mean {' or '.join(near)}?"
        return f"the newest is {runs[0].id}; `maquette ps -a{self.option}` lists them all"


def _checkpoint(
    folder: Path, manifest: dict[str, Any], passed_over: tuple[str, ...] = ()
) -> Checkpoint:
    size = sum(file["size"] for file in manifest["files"].values())
    try:
        size += (folder / MANIFEST).stat().st_size
    except OSError:  # its worker has removed it since the manifest was read
        raise DamagedError(f"{folder} is missing") from None
    best = manifest.get("best") is True
    return Checkpoint(int(folder.name.removeprefix("step-")), folder, best, size, passed_over)
