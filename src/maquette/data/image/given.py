"""Images that are given by a word: a folder, or the built-in shapes."""

from maquette.data.image.folder import ImageFolder
from maquette.data.image.shapes import Shapes
from maquette.data.image.source import ImageSource


def given_images(word: str) -> ImageSource:
    """`shapes`, or the images of a folder that has a folder for each class. Raises DataError."""
    return Shapes() if word == "shapes" else ImageFolder(word)
