"""From a spec's source of images to the images themselves."""

from collections.abc import Callable

from maquette.data.image.cifar import cifar10, cifar100
from maquette.data.image.folder import ImageFolder
from maquette.data.image.hub import HubImages
from maquette.data.image.parquet import ParquetImages
from maquette.data.image.shapes import Shapes
from maquette.data.image.source import ImageSource
from maquette.data.source import naming
from maquette.spec.image import ImageSource as SourcePart

SOURCES: dict[str, Callable[..., ImageSource]] = {
    "shapes": Shapes,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "imagefolder": ImageFolder,
    "parquet": ParquetImages,
    "hub": HubImages,
}


def open_images_source(name: str, source: SourcePart) -> ImageSource:
    """The images of one source of the spec. Raises DataError, which begins with its name."""
    with naming(name):
        return SOURCES[source.kind](**source.model_dump(exclude={"kind"}))
