"""A search from where it stands to its end: trials one after another, each an ordinary run."""

import contextlib
import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from maquette.blueprint.blueprint import AnyBlueprint, Blueprint
from maquette.errors import MaquetteError, RunError, UsageError
from maquette.events import Evaluated
from maquette.preparation import prepare_data, resolve_any
from maquette.runs import durable
from maquette.runs.control import ask_to_stop, start_worker, why_lost
from maquette.runs.label import Label, write_label
from maquette.runs.recorder import failure_of
from maquette.runs.state import ACTIVE
from maquette.runs.store import Run, Store
from maquette.search import space
from maquette.search.record import ENDED, Search, Status, Trial
from maquette.search.report import told
from maquette.search.specs import short_spec
from maquette.search.speed import relative_seconds, same_work, step_seconds
from maquette.search.strategy import Proposal, propose, units
from maquette.spec.dump import to_yaml
from maquette.spec.task import validate

FEWEST_STEPS = 10
_OVERHEAD_SECONDS = 10.0  # of a trial: measuring, starting, evaluating
_LOOK_SECONDS = 0.1
_MOST_LOSSES = 2  # of a trial's worker, before it isn't tried again
if TYPE_CHECKING:
    from maquette.preparation import AnyPrepared

Say = Callable[[str], None]


def carry_on(search: Search, store: Store, say: Say, command: tuple[str, ...] = ()) -> None:
    """Do what is left of a search. Raises MaquetteError, and KeyboardInterrupt with all kept.

    A trial that fails is noted and passed over; only that of the spec itself must not fail.
    """
    with search.lock():
        try:
            _Carrier(search, store, say, command).run()
        except UsageError:
            if all(trial.status == "planned" for trial in search.trials):
                durable.remove_folder(search.path)  # nothing was begun
            raise


class _Carrier:
    """One process's work on a search."""

    def __init__(self, search: Search, store: Store, say: Say, command: tuple[str, ...]) -> None:
        self.search, self.store, self.say, self.command = search, store, say, command
        spec = validate(search.spec)
        self.prepared = prepare_data(spec)
        self.base = resolve_any(spec, self.prepared.facts)

    def run(self) -> None:
        for trial in list(self.search.trials):
            if trial.status not in ENDED:
                self._go_through(trial)
        while proposal := propose(self.search, self._draw):
            if self._over() and not proposal.confirms and self.search.trials:
                count = len(self.search.trials)
                self.search.ended = (
                    f"the minutes were over after {count} of {self.search.options.trials} trials"
                )
                self.search.write()
                continue
            self._go_through(self._planned(proposal))
        self.search.ended = self.search.ended or "all trials were done"
        self.search.finished = True
        self.search.write()

    def _over(self) -> bool:
        options = self.search.options
        return options.steps is None and self.search.seconds > 60 * options.minutes

    def _draw(self, spec: dict[str, Any], dice: Any, most: int) -> dict[str, Any] | None:
        text = isinstance(self.base, Blueprint)
        return space.draw(
            spec,
            dice,
            vocabulary=self.base.shape.vocabulary if isinstance(self.base, Blueprint) else None,
            parameters=self.base.parameters["total"] if text else 0,
            keep=self.search.options.keep,
            most=most,
        )

    def _planned(self, proposal: Proposal) -> Trial:
        number = len(self.search.trials)
        spec = dict(proposal.spec)
        if proposal.confirms:
            spec["seed"] = (spec["seed"] + 1) % 2**63
        return self.search.put(
            Trial(
                number=number,
                candidate=number if proposal.candidate is None else proposal.candidate,
                changes=space.difference(proposal.spec, self.search.spec),
                spec=spec,
                share=proposal.share,
                confirms=proposal.confirms,
            )
        )

    def _go_through(self, trial: Trial) -> None:
        """Bring a trial to its end, whichever it is."""
        self.say(f"trial {trial.number + 1}: {_about(trial)}")
        with self._timed():
            try:
                trial = self._measured(trial)
                trial = self._trained(trial)
            except (MaquetteError, RuntimeError, MemoryError, OSError) as error:
                if isinstance(error, UsageError) and trial.number == 0:
                    raise
                known = self.search.trials[trial.number]  # its run, if it has got that far
                cause = failure_of(error).message
                trial = dataclasses.replace(known, status="failed", cause=cause)
        self.search.put(trial)
        self.say(f"  {told(trial, self.search)}")
        if trial.number == 0 and trial.status == "failed":
            self.search.ended, self.search.finished = "the spec itself can't be trained", True
            self.search.write()
            raise RunError(
                f"the spec itself can't be trained: {trial.cause}",
                hint="a search compares with it; mend it first",
            )

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        """What is done inside counts as time of the search, however it ends."""
        begin, before = time.monotonic(), self.search.seconds
        try:
            yield
        finally:
            self.search.seconds = before + time.monotonic() - begin
            self.search.write()

    def _measured(self, trial: Trial) -> Trial:
        """With the number of its steps: as many as take the time that is its share."""
        if trial.status != "planned":
            return trial
        spec = validate(trial.spec)
        prepared = prepare_data(spec)
        blueprint = resolve_any(spec, prepared.facts)
        # Noted before: if it kills this process, the next one doesn't try again.
        self.search.put(dataclasses.replace(trial, status="failed", cause=_KILLED))
        try:
            seconds, steps = self._speed(trial, blueprint, prepared)
        finally:
            self.search.put(trial)
        return self.search.put(
            dataclasses.replace(
                trial,
                status="measured",
                step_seconds=seconds,
                steps=steps,
                parameters=blueprint.parameters["total"],
                tokens_per_second=blueprint.train.tokens_per_step / seconds,
            )
        )

    def _speed(
        self, trial: Trial, blueprint: AnyBlueprint, prepared: "AnyPrepared"
    ) -> tuple[float, int]:
        """Seconds of a step at best, and the number of steps that take the trial's time."""
        first, device = self.search.trials[0], self.search.options.device
        if trial.number == 0:
            found = step_seconds((blueprint, prepared), device=device)
            return found.shortest, self._first_steps(found.median)
        assert first.steps is not None
        assert first.step_seconds is not None
        seconds = self._known_seconds(blueprint)
        if seconds is None:
            base = self.base, self.prepared
            relative = relative_seconds((blueprint, prepared), base, device=device)
            seconds = first.step_seconds * relative
        return seconds, max(2, round(first.steps * trial.share * first.step_seconds / seconds))

    def _known_seconds(self, blueprint: AnyBlueprint) -> float | None:
        """Those of an earlier trial whose steps are the same work: noise is to tell none apart."""
        for trial in self.search.trials:
            if trial.step_seconds is not None:
                spec = validate(trial.spec)
                other = resolve_any(spec, prepare_data(spec).facts)
                if same_work(blueprint, other):
                    return trial.step_seconds
        return None

    def _first_steps(self, seconds: float) -> int:
        """Steps of the spec's own trial, one of which takes so long now."""
        options = self.search.options
        available = 60 * options.minutes / units(options) - _OVERHEAD_SECONDS
        steps = options.steps or int(available / seconds)
        if steps < FEWEST_STEPS and options.steps is None:
            raise UsageError(
                f"{options.trials} trials in {options.minutes:g} minutes leave {max(0, steps)} "
                "steps for each; that tells nothing",
                hint="give more minutes, or fewer trials",
            )
        return max(2, min(steps, self.search.whole_steps))

    def _trained(self, trial: Trial) -> Trial:
        """With its run's score, once that has ended."""
        trial, run = self._run_of(trial)
        self.say(f"  {trial.steps} steps: `maquette watch {run.name}` shows them")
        early = False
        try:
            early = self._watch(trial, run)
        except KeyboardInterrupt:
            with contextlib.suppress(RunError):
                ask_to_stop(run).wait()
            raise
        points, state = curve(run, self.search), run.state()
        if early or state.status == "completed":
            score = _best(points, self.search)
            status: Status = "early" if early else "done"
            return dataclasses.replace(trial, status=status, curve=points, score=score)
        if state.status == "lost":
            return self._lost(trial, run)
        cause = state.error.message if state.error else f"it was {state.status}"
        return dataclasses.replace(trial, status="failed", curve=points, cause=cause)

    def _watch(self, trial: Trial, run: Run) -> bool:
        """Wait for the end of a run; whether that was made to come early."""
        seen = None
        while (state := run.state()).status in ACTIVE:
            if state.validation_loss != seen:
                seen = state.validation_loss
                if self._hopeless(trial, curve(run, self.search)):
                    with contextlib.suppress(RunError):  # it has just ended by itself
                        return ask_to_stop(run).wait().status == "stopped"
            time.sleep(_LOOK_SECONDS)
        return False

    def _lost(self, trial: Trial, run: Run) -> Trial:
        """A worker that is gone without a word has another try, and no more."""
        state = run.state()
        if state.kills + 1 < _MOST_LOSSES:
            self.say(f"  its worker is gone: {why_lost(state)}; once more")
            start_worker(run, "--checkpoint", "latest")
            return self._trained(trial)
        return dataclasses.replace(trial, status="failed", cause=why_lost(state))

    def _run_of(self, trial: Trial) -> tuple[Trial, Run]:
        """The trial's run, with a worker on it: a new one, or that of an interrupted search."""
        if trial.run is not None:
            run = self.store.get(trial.run)
            if run is None:
                raise RunError(f"its run {trial.run} was removed")
            if run.state().status in ("stopped", "lost", "queued"):
                start_worker(run, "--checkpoint", "latest")
            return trial, run
        spec = short_spec(trial, self.search.whole_steps)
        from maquette.worker.training import create_run

        run = create_run(
            spec,
            self.store,
            spec_text=to_yaml(spec, about=[_title(self.search, trial)]),
            device=self.search.options.device,
            command=self.command,
        )
        with contextlib.suppress(RunError):
            write_label(run.path, Label(name=_title(self.search, trial)))
        trial = self.search.put(dataclasses.replace(trial, run=run.id, status="running"))
        start_worker(run)
        return trial, run

    def _hopeless(self, trial: Trial, points: tuple[tuple[int, float], ...]) -> bool:
        """Whether half of its training has shown it worse than most at that point.

        The median rule (Golovin et al. 2017, Google Vizier). Never the spec itself.
        """
        if trial.is_default or trial.confirms or not points:
            return False
        share = points[-1][0] / (trial.steps or 1)
        others = [
            score
            for other in self.search.trials
            if other.status == "done" and other.share == trial.share and not other.confirms
            if (score := _score_at(other, share)) is not None
        ]
        if share < 0.5 or len(others) < 3:
            return False
        best = _best(points, self.search)
        return best is not None and self.search.better(statistics.median(others), best)


_KILLED = "the search was killed while it measured this one, perhaps for lack of memory"


def curve(run: Run, search: Search) -> tuple[tuple[int, float], ...]:
    """Steps and scores of a run's evaluations so far."""
    found = []
    for _, event in run.events():
        if isinstance(event, Evaluated) and event.split == "validation":
            score = event.accuracy if search.higher_is_better else event.bits_per_byte
            if score is not None and event.step > 0:
                found.append((event.step, score))
    return tuple(found)


def _best(points: tuple[tuple[int, float], ...], search: Search) -> float | None:
    scores = [score for _, score in points]
    choose = max if search.higher_is_better else min
    return choose(scores, default=None)


def _score_at(trial: Trial, share: float) -> float | None:
    """What a trial had shown when so much of it was done; a little of the next point is fine."""
    near = [score for step, score in trial.curve if step / (trial.steps or 1) <= share + 0.02]
    return near[-1] if near else None


def _about(trial: Trial) -> str:
    words = "with another seed: " if trial.confirms else ""
    share = f", {trial.share} times as long" if trial.share > 1 else ""
    return f"{words}{trial.changes}{share}"


def _title(search: Search, trial: Trial) -> str:
    return f"trial {trial.number + 1} of the search {search.name}"[:80]
