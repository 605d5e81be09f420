"""What one show is about: a model, its data, a cluster, and what goes wrong. All from one seed."""

import dataclasses
import math
import random
from dataclasses import dataclass
from typing import Any, Literal

from maquette.errors import UsageError
from maquette.quantities import format_count
from maquette.shapes import CONVNEXT_VARIANTS, ConvNeXtShape, GPTShape, Variant
from maquette.simulation.hardware import parse_cluster, read_data
from maquette.simulation.loss import CHINCHILLA
from maquette.simulation.rehearsal import Rehearsal, Work, rehearse
from maquette.simulation.workload import Workload, convnext_workload, gpt_workload

Module = Literal["llm_training", "image_training", "chat_tuning"]
MODULES: dict[Module, str] = {
    "llm_training": "pretraining of a language model on a large cluster",
    "image_training": "training of an image classifier",
    "chat_tuning": "fine-tuning of a language model on conversations",
}
_SHARD_BYTES = 5 * 10**9
_REPORTS = 200
_LONGEST_SECONDS = 60 * 86400.0
_APART = 8  # reports between two incidents
_MOST_FAILURES = 5  # that a show has room for

Kind = Literal["straggler", "failure", "spike"]


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that goes wrong after a step: a slow device, a lost server, a jump of the loss."""

    kind: Kind
    step: int
    rank: int
    words: str
    size: float  # a straggler's slowness, a spike's height


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that a show tells, before its first line. Steps are optimizer steps."""

    module: Module
    seed: int
    about: str
    model: str
    shape: GPTShape | ConvNeXtShape
    rehearsal: Rehearsal
    data: str
    data_files: int
    data_bytes: int  # 0 where nothing is known of the files
    host: str
    folder: str
    library: str  # that devices talk to each other with, and its version
    topology: str
    epochs: float  # whole, but in rehearsals
    warmup_steps: int
    learning_rate: float
    first_loss: float
    final_loss: float
    overfits: float  # share of the run after which the validation loss rises; 1 is never
    patience: int
    report_every: int
    evaluate_every: int
    checkpoint_every: int
    incidents: tuple[Incident, ...]

    @property
    def steps(self) -> int:
        """Of the whole run."""
        return self.rehearsal.work.steps

    @property
    def tokens_per_step(self) -> int:
        """Tokens, or images."""
        return self.rehearsal.step.tokens

    @property
    def parameters(self) -> int:
        """Of the model."""
        return self.rehearsal.work.workload.parameters

    @property
    def unit(self) -> str:
        """What speed is counted in."""
        return "images" if self.module == "image_training" else "tokens"

    @property
    def export_bytes(self) -> int:
        """Of the weights in bf16."""
        return 2 * self.parameters

    @property
    def shards(self) -> tuple[int, ...]:
        """Bytes of each file of the exported weights."""
        count = max(1, math.ceil(self.export_bytes / _SHARD_BYTES))
        even, rest = divmod(self.export_bytes, count)
        return tuple(even + (i < rest) for i in range(count))

    def host_of(self, rank: int) -> str:
        """The server that a device is in."""
        return f"{self.host}-{rank // self.rehearsal.cluster.device.per_node:04d}"

    def calm(self) -> "Story":
        """The same without anything that takes it back to an earlier step."""
        kept = tuple(i for i in self.incidents if i.kind == "straggler")
        return dataclasses.replace(self, incidents=kept)


def tell(module: Module, seed: int) -> Story:
    """The story of a seed: the same one always, on every machine."""
    rng = random.Random(f"{module} {seed}")
    words = read_data("show")
    maker = {"llm_training": _text, "image_training": _images, "chat_tuning": _chat}[module]
    while True:
        parts = maker(rng, words)
        if parts is not None:
            return _story(module, seed, rng, words, kinds=None, **parts)


def retell(
    rehearsal: Rehearsal,
    *,
    name: str,
    shape: GPTShape | ConvNeXtShape,
    epochs: float,
    learning_rate: float,
    warmup_steps: int,
    final_loss: float | None,
    seed: int,
) -> Story:
    """The story of a rehearsed run: what goes wrong does so as often as the rehearsal expects.

    Without a `final_loss` the losses are made up, which `about` says.
    """
    module: Module = "llm_training" if isinstance(shape, GPTShape) else "image_training"
    rng, words = random.Random(f"{name} {seed}"), read_data("show")
    first = _first_loss(shape)
    story = _story(
        module,
        seed,
        rng,
        words,
        kinds=_as_expected(rng, rehearsal),
        shape=shape,
        rehearsal=rehearsal,
        data="the spec's own",
        data_bytes=0,
        epochs=epochs,
        learning_rate=learning_rate,
        first_loss=first,
        final_loss=0.4 * first if final_loss is None else min(final_loss, 0.95 * first),
        overfits=1.0,
        suffix="",
    )
    made_up = ", losses made up" if final_loss is None else ""
    about = f"rehearsed on {rehearsal.cluster.name}{made_up}"
    return dataclasses.replace(story, about=about, model=name, warmup_steps=warmup_steps)


def _text(rng: random.Random, words: dict[str, Any]) -> dict[str, Any] | None:
    shape = _gpt(rng.choice(words["gpt"]))
    workload = gpt_workload(shape)
    tokens = workload.parameters * rng.choice((20, 40, 80, 160))
    epochs = rng.choice((1, 1, 2, 3))
    rehearsal = _rehearse(rng, words["text_clusters"], workload, tokens, 2**22)
    if rehearsal is None:
        return None
    return {
        "shape": shape,
        "rehearsal": rehearsal,
        "data": rng.choice(words["text_data"]),
        "data_bytes": round(rehearsal.work.tokens / epochs * rng.uniform(3.9, 4.6)),
        "epochs": epochs,
        "learning_rate": _rounded(3e-4 * (1e9 / workload.parameters) ** 0.25),
        "first_loss": math.log(shape.vocabulary),
        "final_loss": CHINCHILLA.loss(workload.parameters, rehearsal.work.tokens),
        "overfits": 1.0,
        "suffix": "base",
    }


def _chat(rng: random.Random, words: dict[str, Any]) -> dict[str, Any] | None:
    shape = _gpt(rng.choice(words["gpt"][1:5]))
    workload = gpt_workload(shape)
    epochs = rng.choice((2, 3, 4))
    tokens = rng.randrange(200, 1500) * 10**6 * epochs
    rehearsal = _rehearse(rng, words["chat_clusters"], workload, tokens, 2**20)
    if rehearsal is None:
        return None
    before = CHINCHILLA.loss(workload.parameters, 100 * workload.parameters)
    return {
        "shape": shape,
        "rehearsal": rehearsal,
        "data": rng.choice(words["chat_data"]),
        "data_bytes": round(rehearsal.work.tokens / epochs * rng.uniform(4.0, 4.8)),
        "epochs": epochs,
        "learning_rate": rng.choice((1e-5, 2e-5, 3e-5)),
        "first_loss": before * rng.uniform(0.8, 0.95),
        "final_loss": before * rng.uniform(0.45, 0.6),
        "overfits": rng.choice((1.0, 1.0, 0.75)),
        "suffix": "chat",
    }


def _images(rng: random.Random, words: dict[str, Any]) -> dict[str, Any] | None:
    variants: tuple[Variant, ...] = ("tiny", "small", "base", "large", "xlarge")
    variant = rng.choice(variants)
    depths, widths = CONVNEXT_VARIANTS[variant]
    classes = rng.choice((200, 365, 1000, 10450, 21841))
    shape = ConvNeXtShape(classes, rng.choice((224, 288, 384)), depths, widths, 4, 0.1, 1e-6, 1e-6)
    images = rng.randrange(12, 120) * 10**6
    epochs = rng.choice((10, 20, 30))
    rehearsal = _rehearse(
        rng, words["image_clusters"], convnext_workload(shape), images * epochs, 4096
    )
    if rehearsal is None:
        return None
    first = math.log(classes)
    return {
        "shape": shape,
        "rehearsal": rehearsal,
        "data": rng.choice(words["image_data"]),
        "data_bytes": round(rehearsal.work.tokens / epochs * rng.uniform(9e4, 1.4e5)),
        "epochs": epochs,
        "learning_rate": 4e-3,
        "first_loss": first,
        "final_loss": first * rng.uniform(0.1, 0.2),
        "overfits": 1.0,
        "suffix": variant,
    }


def _rehearse(
    rng: random.Random, clusters: list[str], workload: Workload, tokens: int, a_step: int
) -> Rehearsal | None:
    """On a cluster that is enough; None where chance chose one that isn't."""
    cluster = parse_cluster(rng.choice(clusters))
    windows = max(cluster.count, 2 ** round(math.log2(a_step / workload.context)))
    steps = _REPORTS * max(1, round(tokens / (windows * workload.context * _REPORTS)))
    try:
        told = rehearse(Work(workload, windows, steps), cluster)
    except UsageError:
        return None
    return told if told.seconds < _LONGEST_SECONDS else None


def _gpt(row: dict[str, int]) -> GPTShape:
    return GPTShape(
        **row,
        head_dim=row["width"] // row["heads"],
        position="rope",
        norm="rms",
        mlp="swiglu",
        qk_norm=False,
        bias=False,
        tie_embeddings=False,
        dropout=0.0,
        rope_base=500000.0,
        norm_epsilon=1e-5,
    )


def _story(
    module: Module,
    seed: int,
    rng: random.Random,
    words: dict[str, Any],
    *,
    kinds: list[Kind] | None,
    rehearsal: Rehearsal,
    suffix: str,
    data_bytes: int,
    **parts: Any,
) -> Story:
    steps = rehearsal.work.steps
    report = max(1, steps // _REPORTS)
    evaluate = report * max(1, steps // report // rng.choice((8, 10, 12)))
    checkpoint = report * max(1, evaluate // report // rng.choice((1, 2)))
    name = rng.choice(words["names"])
    size = format_count(rehearsal.work.workload.parameters)
    maker = words["makers"]["amd" if "AMD" in rehearsal.cluster.device.name else "nvidia"]
    return Story(
        module=module,
        seed=seed,
        about=f"{MODULES[module]}, seed {seed}",
        model=f"{name}-{size}-{suffix}",
        rehearsal=rehearsal,
        data_files=max(8, round(data_bytes / rng.choice((1, 2, 4)) / 1e9)),
        data_bytes=data_bytes,
        host=rng.choice(words["hosts"]),
        folder=f"{rng.choice(words['stores'])}/{name.lower()}-{seed % 10000:04d}",
        library=f"{maker['library']} {rng.choice(maker['versions'])}",
        topology=rng.choice(words["topologies"]),
        warmup_steps=max(1, min(2000, steps // 40)),
        patience=rng.choice((2, 3)) if module == "chat_tuning" else 5,
        report_every=report,
        evaluate_every=evaluate,
        checkpoint_every=checkpoint,
        incidents=_incidents(
            rng,
            {"straggler": words["slow"], "failure": maker["failures"], "spike": words["spikes"]},
            rehearsal,
            _by_chance(rng) if kinds is None else kinds,
            report=report,
            first=max(steps // report // 10, checkpoint // report),
        ),
        **parts,
    )


def _by_chance(rng: random.Random) -> list[Kind]:
    """Something to see in every other show, however short and small the training."""
    kinds: list[Kind] = ["straggler"] * rng.choice((0, 1, 1, 2))
    kinds += ["failure"] * rng.choice((0, 0, 1, 1, 2))
    kinds += ["spike"] * rng.choice((0, 1, 1))
    return kinds


def _as_expected(rng: random.Random, rehearsal: Rehearsal) -> list[Kind]:
    """Failures as many as a Poisson process has; slow devices and spikes as often as those."""
    kinds: list[Kind] = []
    of: tuple[Kind, ...] = ("failure", "straggler", "spike")
    for kind in of if rehearsal.layout.devices > 1 else ("failure", "spike"):
        left = min(rehearsal.failures, _MOST_FAILURES) - rng.expovariate(1)
        while left > 0:
            kinds.append(kind)
            left -= rng.expovariate(1)
    return kinds


def _incidents(
    rng: random.Random,
    texts: dict[Kind, list[str]],
    rehearsal: Rehearsal,
    kinds: list[Kind],
    *,
    report: int,
    first: int,
) -> tuple[Incident, ...]:
    """As many as there is room for between the `first` report and the last tenth.

    The first checkpoint is there by then, for those that go back to one.
    """
    rng.shuffle(kinds)
    room = range(first, rehearsal.work.steps // report * 9 // 10, _APART)
    del kinds[len(room) :]
    places = sorted(rng.sample(room, len(kinds)))
    sizes = {"straggler": (1.15, 1.6), "failure": (1.0, 1.0), "spike": (1.3, 2.2)}
    return tuple(
        Incident(
            kind=kind,
            step=place * report,
            rank=rng.randrange(rehearsal.layout.devices),
            words=rng.choice(texts[kind]),
            size=rng.uniform(*sizes[kind]),
        )
        for kind, place in zip(kinds, places, strict=True)
    )


def _first_loss(shape: GPTShape | ConvNeXtShape) -> float:
    return math.log(shape.vocabulary if isinstance(shape, GPTShape) else shape.classes)


def _rounded(value: float) -> float:
    return float(f"{value:.1e}")
