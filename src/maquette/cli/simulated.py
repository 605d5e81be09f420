"""A show as a run directory, which the readers of runs show like any other."""

import dataclasses
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

from maquette.events import Event, to_row
from maquette.shapes import GPTShape

if TYPE_CHECKING:
    from maquette.blueprint.blueprint import AnyBlueprint
    from maquette.runs.state import State, Telemetry
    from maquette.runs.store import Run, Store
    from maquette.simulation.story import Story
    from maquette.spec.task import AnySpec

_ROWS = 2000  # steps that a finished run has rows of, at most
_SOURCE = "made-up"


def finished_run(story: "Story", store: "Store", command: Sequence[str]) -> "Run":
    """A run that has just ended, written at once: its events have the times they would have had.

    Nothing is left of one that can't be written to its end.
    """
    run = _create(story, store, command)
    try:
        _write_all(run, story)
    except BaseException:
        run.remove()
        raise
    return type(run)(run.path)  # what was read of meta.json is of before


def _write_all(run: "Run", story: "Story") -> None:
    from maquette.runs import durable
    from maquette.runs.state import Change, State

    every = max(1, story.steps // _ROWS)
    events = list(_events(story, every))
    begin = time.time() - events[-1][0]
    with run.lock():
        meta = dataclasses.replace(run.meta, created_at=begin)
        durable.write_json(run.path / "meta.json", meta.to_json())
        state = State("queued", (Change("queued", begin),)).changed("running", begin)
        rows = durable.Appender(run.metrics_path)
        try:
            for at, event in events:
                rows.append({"at": round(begin + at, 3), **to_row(event)})
                state = state.after(event)
            rows.flush(sync=True)
        finally:
            rows.close()
        end = dataclasses.replace(
            state.changed("completed", begin + events[-1][0]),
            tokens_per_second=story.rehearsal.step.tokens_per_second,
            telemetry=_telemetry(story),
        )
        durable.write_json(run.state_path, end.to_json())


def live_run(
    story: "Story",
    store: "Store",
    command: Sequence[str],
    *,
    speed: float,
    begun: "Callable[[Run], None]",
) -> "State":
    """A run that goes on as long as it would, `speed` times as fast; Ctrl-C or SIGTERM stops it.

    `begun` is told of the run. Returns the state it ends in.
    """
    from maquette.runs.recorder import Recorder

    run = _create(story, store, command)
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        with Recorder(run) as recorder:
            recorder.begin(
                steps=story.steps,
                tokens_per_step=story.tokens_per_step,
                telemetry=lambda: _telemetry(story),
            )
            begun(run)
            _record(recorder.record, _events(story, 1), speed)
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
    return run.state()


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _record(
    record: Callable[[Event], None], events: Iterator[tuple[float, Event]], speed: float
) -> None:
    """Each event when its time has come."""
    begin = time.monotonic()
    for at, event in events:
        if (left := begin + at / speed - time.monotonic()) > 0:
            time.sleep(left)
        record(event)


def _events(story: "Story", every: int) -> Iterator[tuple[float, Event]]:
    """A run's events: nothing takes it back, as only a new worker could."""
    from maquette.simulation.simulate import simulate

    return simulate(story.calm(), report_every=every)


def _telemetry(story: "Story") -> "Telemetry":
    from maquette.runs.state import Telemetry

    told = story.rehearsal
    return Telemetry(
        gpu_percent=round(100 * min(0.99, 0.9 + 0.1 * told.step.mfu)),
        gpu_memory_bytes=round(told.memory.total),
        gpu_total_bytes=told.cluster.device.memory_bytes,
        gpu_note=f"one of {told.cluster.count}, simulated",
    )


def _create(story: "Story", store: "Store", command: Sequence[str]) -> "Run":
    from maquette.blueprint import serial
    from maquette.spec.dump import to_yaml

    spec = spec_of(story)
    return store.create(
        spec.name,
        spec_text=to_yaml(spec, about=("A simulation: there is no such data, and no weights.",)),
        spec=spec.model_dump(mode="json"),
        blueprint_text=serial.to_json(blueprint_of(story, spec)),
        command=command,
        device=story.rehearsal.cluster.name,
        kind="simulation",
    )


def spec_of(story: "Story") -> "AnySpec":
    """The spec that would train such a model, if there were such data."""
    from maquette.spec.task import validate

    text = isinstance(story.shape, GPTShape)
    return validate(
        {
            "name": re.sub(r"[^a-z0-9]+", "-", story.model.lower()).strip("-")[:64],
            "task": "language" if text else "image-classification",
            "seed": story.seed,
            **(_text_part(story) if text else _image_part(story)),
            "train": {
                "steps": story.steps,
                "batch_size": story.rehearsal.work.windows,
                "learning_rate": story.learning_rate,
                "schedule": {
                    "kind": "cosine",
                    "warmup_steps": story.warmup_steps,
                    "final_fraction": 0.1,
                },
                "evaluate": {"every": story.evaluate_every, "patience": story.patience},
                "checkpoint": {"every": story.checkpoint_every},
            },
        }
    )


def _text_part(story: "Story") -> dict[str, Any]:
    s = story.shape
    assert isinstance(s, GPTShape)
    same = ("depth", "width", "heads", "kv_heads", "hidden", "context", "position", "norm", "mlp")
    more = ("qk_norm", "bias", "tie_embeddings", "dropout", "rope_base", "norm_epsilon")
    return {
        "model": {"family": "gpt", **{name: getattr(s, name) for name in same + more}},
        "tokenizer": {"kind": "bpe", "vocabulary": s.vocabulary},
        "data": {"sources": {_SOURCE: {"kind": "files", "path": f"{story.folder}/data/*.txt"}}},
    }


def _image_part(story: "Story") -> dict[str, Any]:
    from maquette.shapes import CONVNEXT_VARIANTS

    s = story.shape
    assert not isinstance(s, GPTShape)
    variant = next(v for v, sizes in CONVNEXT_VARIANTS.items() if sizes == (s.depths, s.widths))
    model = {"family": "convnext", "variant": variant, "stem_stride": s.stem_stride}
    return {
        "model": {**model, "drop_path": s.drop_path, "layer_scale": s.layer_scale},
        "data": {"sources": {_SOURCE: {"kind": "imagefolder", "path": f"{story.folder}/data"}}},
    }


def blueprint_of(story: "Story", spec: "AnySpec") -> "AnyBlueprint":
    """Every number of the run, from what its data would say."""
    from maquette.facts import (
        DataFacts,
        ImageFacts,
        ImageSplitFacts,
        SplitFacts,
        unnamed_classes,
    )
    from maquette.preparation import resolve_any

    epoch = int(story.rehearsal.work.tokens // story.epochs)
    if isinstance(story.shape, GPTShape):
        train = SplitFacts(story.data_files, epoch, story.data_bytes)
        held_out = SplitFacts(1, max(epoch // 1000, 2 * story.shape.context), 0)
        splits = {"train": train, "validation": held_out}
        return resolve_any(spec, DataFacts(story.shape.vocabulary, {_SOURCE: splits}))
    classes = story.shape.classes
    return resolve_any(
        spec,
        ImageFacts(
            classes=unnamed_classes(classes),
            image_size=story.shape.image_size,
            mean=(0.5, 0.5, 0.5),
            std=(0.25, 0.25, 0.25),
            splits={
                name: ImageSplitFacts(images, (images // classes,) * classes, 0)
                for name, images in (("train", epoch), ("validation", 50 * classes))
            },
        ),
    )
