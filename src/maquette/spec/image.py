"""The schema of an image classifier's spec: what a person may write, every default and bound."""

from typing import Annotated, Literal

from pydantic import Field

from maquette.shapes import Variant
from maquette.spec.parts import Bytes, Count, Fraction, HubPart, Name, Part, Paths, TrainPart
from maquette.spec.track import Track


class ConvNeXtModel(Part):
    """A ConvNeXt: convolutions of 7x7 pixels a channel, and linear layers between channels."""

    family: Literal["convnext"] = "convnext"
    """The model family."""
    variant: Variant = "atto"
    """Depths and widths as published; smallest first."""
    image_size: int | None = Field(default=None, ge=8, le=4096)
    """Pixels a side that images are brought to; the data's own, if all have one, and at most 64;
    else 224."""
    stem_stride: Literal[1, 2, 4] | None = None
    """Pixels a side of the patches that the stem cuts; null: 4 as published for images of 128
    pixels or more, 2 from 64 on, 1 for smaller ones."""
    drop_path: Fraction = 0.1
    """Chance that the last block is skipped for an image in training; it rises to that linearly."""
    layer_scale: float = Field(default=1e-6, gt=0, le=10)
    """First gain of each block's branch."""
    parameters: Count | None = Field(default=None, ge=1000, le=10**12)
    """Takes the variant nearest to a number of parameters, such as 5M."""
    memory: Bytes | None = Field(default=None, ge=2**20)
    """The most that training may take at its peak, such as 2GiB: the largest variant that fits."""
    minutes: float | None = Field(default=None, gt=0, le=10**7)
    """How long to train on this device, by its measured rate of matrix products."""


class ShapesSource(Part):
    """Drawn shapes of 32x32 pixels, made by a built-in generator."""

    kind: Literal["shapes"]
    """The source."""
    images: int = Field(default=20_000, ge=1000, le=5_000_000)
    """Training images; validation and test get a tenth of it each."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Another seed, other images."""


class CifarPart(Part):
    """What CIFAR-10 and CIFAR-100 share."""

    path: str | None = None
    """A folder with parquet files as on the hub, or the published batches (python or binary);
    null: the hub."""
    validation_fraction: float = Field(default=0.1, gt=0, lt=0.9)
    """Share of each class's training images held out, seeded."""


class Cifar10Source(CifarPart):
    """CIFAR-10: 32x32 photographs of ten kinds of things (Krizhevsky 2009)."""

    kind: Literal["cifar10"]
    """The source."""


class Cifar100Source(CifarPart):
    """CIFAR-100: 32x32 photographs of a hundred kinds of things (Krizhevsky 2009)."""

    kind: Literal["cifar100"]
    """The source."""


class ImageFolderSource(Part):
    """A folder of images with a folder for each class, in train and val folders or not."""

    kind: Literal["imagefolder"]
    """The source."""
    path: str = Field(min_length=1)
    """The folder."""
    validation_fraction: float = Field(default=0.1, gt=0, lt=0.9)
    """Share of each class held out, seeded, where there is no val folder."""


class ParquetSource(Part):
    """Parquet files with a column of images and one of labels."""

    kind: Literal["parquet"]
    """The source."""
    path: Paths
    """A file, a glob or a list of them."""
    validation_path: Paths | None = None
    """Files held out for validation; without it, `validation_fraction` is held out."""
    test_path: Paths | None = None
    """Files of the test split, if there is one."""
    image: str = Field(default="image", max_length=100)
    """The column that holds the images, as bytes or {bytes, path}."""
    label: str = Field(default="label", max_length=100)
    """The column that holds the class, as a number or a name."""
    validation_fraction: float = Field(default=0.1, gt=0, lt=0.9)
    """Share of each class held out, seeded."""


class HubImagesSource(HubPart):
    """Any set of images with labels of the Hugging Face hub."""

    kind: Literal["hub"]
    """The source."""
    image: str = Field(default="image", max_length=100)
    """The column that holds the images."""
    label: str = Field(default="label", max_length=100)
    """The column that holds the class."""
    validation_fraction: float = Field(default=0.1, gt=0, lt=0.9)
    """Share of each class held out, seeded, where there is no validation split."""


ImageSource = Annotated[
    ShapesSource
    | Cifar10Source
    | Cifar100Source
    | ImageFolderSource
    | ParquetSource
    | HubImagesSource,
    Field(discriminator="kind"),
]


def _shapes() -> dict[str, ImageSource]:
    return {"shapes": ShapesSource(kind="shapes")}


class ImageData(Part):
    """What the classifier looks at."""

    sources: dict[Name, ImageSource] = Field(default_factory=_shapes, min_length=1, max_length=1)
    """One named source: its classes are those that the model tells apart."""


class Augment(Part):
    """How images are changed while training, each time in another way."""

    crop_scale: float = Field(default=1.0, gt=0, le=1)
    """Least share of an image's area that a random crop keeps, scaled up to the whole size, such as
    0.25 for large photographs; 1: no such crop."""
    flip: bool = True
    """Mirror every other image, left to right."""
    pad_crop: int = Field(default=4, ge=0, le=512)
    """Pixels that an image may move up, down, left and right; 0: it stays."""
    policy: Literal["none", "trivial", "rand"] = "none"
    """TrivialAugment (one random change of random strength) or RandAugment (two)."""
    erase: float = Field(default=0.0, ge=0, le=1)
    """Chance that a rectangle of the image is erased."""
    mixup: float = Field(default=0.0, ge=0, le=10)
    """Alpha of Mixup, which blends pairs of images and their labels; 0: none."""
    cutmix: float = Field(default=0.0, ge=0, le=10)
    """Alpha of CutMix, which puts a rectangle of one image into another; 0: none."""


class ImageEvaluation(Part):
    """Validation during training, on the same images every time."""

    every: int | None = Field(default=None, ge=1)
    """Steps between evaluations; a twentieth of the run."""
    images: int | None = Field(default=None, ge=1)
    """Images of the validation split, the first of it in a seeded order; null: all of them."""
    flip: bool = False
    """Judge by the mean over an image and its mirror image: twice the time, a little better."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after so many evaluations in a row without a better loss."""


class ImageTrain(TrainPart):
    """How the classifier learns."""

    batch_size: int = Field(default=128, ge=1, le=1_048_576)
    """Images in one optimizer step."""
    augment: Augment = Augment()
    """How images are changed."""
    label_smoothing: Fraction = 0.1
    """Share of each target that is spread evenly over all classes."""
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """Learning rate of a layer as a share of that of the layer above; below 1 for fine-tuning."""
    evaluate: ImageEvaluation = ImageEvaluation()
    """Validation during training."""


class ImageSpec(Part):
    """A whole spec of an image classifier."""

    name: Name = "untitled"
    """Begins the run's id: lower case letters, digits, hyphens."""
    task: Literal["image-classification"] = "image-classification"
    """What the model does."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Fixes weights, order of data, augmentation and skipped blocks."""
    model: ConvNeXtModel = ConvNeXtModel()
    """The model."""
    data: ImageData = ImageData()
    """What the model looks at."""
    train: ImageTrain = ImageTrain()
    """How it learns."""
    track: Track = Field(default_factory=list)
    """Where its curves go besides its own files: tensorboard, trackio, wandb, or a list of them."""
