"""Spec and facts of an image classifier to its blueprint. Pure, as all of the blueprint."""

from maquette.augmentation import Augmentation
from maquette.blueprint import costs_image
from maquette.blueprint.blueprint import ImageBlueprint, ImagePlan, SchedulePlan
from maquette.blueprint.plans import plan_optimizer, plan_schedule, plan_steps
from maquette.errors import SpecError
from maquette.facts import ImageFacts
from maquette.shapes import CONVNEXT_VARIANTS, ConvNeXtShape
from maquette.spec import checks
from maquette.spec.budget import budget
from maquette.spec.image import ConvNeXtModel, ImageSpec, ImageTrain


def resolve_images(spec: ImageSpec, facts: ImageFacts) -> ImageBlueprint:
    """Every number of a run. Raises SpecError where spec and data don't fit together."""
    assert not budget(spec), "settle it first"
    problems = checks.problems(spec)
    if problems:
        raise SpecError("\n".join(problem.text for problem in problems))
    return _blueprint(spec, facts, _train(spec.train, facts))


def resolve_imported(spec: ImageSpec, facts: ImageFacts) -> ImageBlueprint:
    """The blueprint of weights that others trained: the plan has no steps. Raises SpecError."""
    plan = ImagePlan(
        steps=0,
        epochs=0.0,
        batch_size=1,
        accumulation=1,
        windows_per_epoch=0,
        tokens_per_step=0,
        tokens=0,
        schedule=SchedulePlan("constant", 0, warmup_steps=0, decay_steps=0, final_fraction=1.0),
        extensions=(),
        optimizer=plan_optimizer(spec.train.optimizer, 0.0),
        gradient_clip=None,
        evaluate_every=1,
        evaluate_windows=0,
        patience=None,
        checkpoint_every=None,
        checkpoint_keep=1,
        average=0.0,
        precision="float32",
        compile=False,
        augmentation=Augmentation(),
        evaluate_flip=False,
        layer_decay=1.0,
    )
    return _blueprint(spec, facts, plan)


def _blueprint(spec: ImageSpec, facts: ImageFacts, plan: ImagePlan) -> ImageBlueprint:
    shape = resolve_convnext(spec.model, classes=len(facts.classes), image_size=facts.image_size)
    return ImageBlueprint(
        name=spec.name,
        seed=spec.seed,
        task=spec.task,
        shape=shape,
        facts=facts,
        parameters=costs_image.parameters(shape),
        train=plan,
        costs=costs_image.costs(shape, plan),
    )


def resolve_convnext(model: ConvNeXtModel, *, classes: int, image_size: int) -> ConvNeXtShape:
    """Every dimension of a model. Raises SpecError for images too small for its stem."""
    stride = model.stem_stride or _stem_stride(image_size)
    depths, widths = CONVNEXT_VARIANTS[model.variant]
    shape = ConvNeXtShape(
        classes=classes,
        image_size=image_size,
        depths=depths,
        widths=widths,
        stem_stride=stride,
        drop_path=float(model.drop_path),
        layer_scale=float(model.layer_scale),
        norm_epsilon=1e-6,
    )
    if image_size < shape.smallest_image:
        raise SpecError(
            f"images of {image_size} pixels are too small for model.stem_stride={stride}, which "
            f"takes {shape.smallest_image} or more; try "
            + (f"model.stem_stride={stride // 2}" if stride > 1 else "model.image_size=32")
        )
    return shape


def _stem_stride(image_size: int) -> int:
    """As published for photographs; of small images the last stage should see 4 pixels a side."""
    return 4 if image_size >= 128 else 2 if image_size >= 64 else 1


def _train(train: ImageTrain, facts: ImageFacts) -> ImagePlan:
    images = facts.splits["train"].images
    held_out = facts.splits["validation"].images
    steps = plan_steps(train, images)
    return ImagePlan(
        steps=steps,
        epochs=steps * train.batch_size / images,
        batch_size=train.batch_size,
        accumulation=train.accumulation,
        windows_per_epoch=images,
        tokens_per_step=train.batch_size,
        tokens=steps * train.batch_size,
        schedule=plan_schedule(train.schedule, steps),
        extensions=(),
        optimizer=plan_optimizer(train.optimizer, train.learning_rate),
        gradient_clip=train.gradient_clip,
        evaluate_every=train.evaluate.every or max(1, steps // 20),
        evaluate_windows=min(train.evaluate.images or held_out, held_out),
        patience=train.evaluate.patience,
        checkpoint_every=train.checkpoint.every,
        checkpoint_keep=train.checkpoint.keep,
        average=float(train.average),
        precision=train.precision,
        compile=train.compile,
        augmentation=Augmentation(
            **train.augment.model_dump(), label_smoothing=float(train.label_smoothing)
        ),
        evaluate_flip=train.evaluate.flip,
        layer_decay=float(train.layer_decay),
    )
