import numpy as np
import pytest

from maquette.data.image.shapes import BLOCK, FORMS, SPLITS, Shapes, draw
from tests.data.image.making import pixels_of

TRAINED = 1536


def block(number: int, split: str = "train", seed: int = 0) -> np.ndarray:
    return draw(number, seed, split)


@pytest.fixture(scope="module")
def train() -> tuple[np.ndarray, np.ndarray]:
    pixels = np.concatenate([block(i) for i in range(TRAINED // BLOCK)])
    return pixels, np.arange(len(pixels)) % len(FORMS)


def test_they_follow_from_the_seed_and_nothing_else() -> None:
    assert np.array_equal(block(3), block(3))
    assert not np.array_equal(block(3), block(4))
    assert not np.array_equal(block(3), block(3, seed=1))
    assert not np.array_equal(block(3), block(3, split="test"))


def test_more_images_begin_with_the_fewer() -> None:
    few, more = (Shapes(images=n, seed=5) for n in (300, 700))
    first, second = few.split("train"), more.split("train")
    images = pixels_of(second)
    assert np.array_equal(pixels_of(first), images[:300])
    assert len(images) == 700 == len(second.labels)
    assert second.labels[:300].tolist() == first.labels.tolist()
    assert len(more.split("test").labels) == 70
    assert few.fingerprint() != more.fingerprint()
    assert set(more.splits()) == set(SPLITS)


def test_no_image_comes_twice() -> None:
    shapes = Shapes(images=500)
    every = [i.tobytes() for split in SPLITS for i in pixels_of(shapes.split(split))]
    assert len(set(every)) == len(every) == 600


def test_at_least_ten_classes_equally_often() -> None:
    counts = np.bincount(Shapes(images=1200).split("train").labels)
    assert len(counts) >= 10
    assert set(counts.tolist()) == {100}


def test_no_class_is_told_by_its_colours_or_its_place(
    train: tuple[np.ndarray, np.ndarray],
) -> None:
    """The mean image of a class is as that of any other, but for the noise of so many."""
    pixels, labels = train
    means = np.stack([pixels[labels == c].mean(0) for c in range(len(FORMS))])
    assert means.std(0).max() < 30
    assert abs(means.mean((1, 2, 3)) - pixels.mean()).max() < 10


def test_a_linear_model_fails(train: tuple[np.ndarray, np.ndarray]) -> None:
    """Least squares with a penalty, the best of several, judged on images that it hasn't seen."""
    pixels, labels = train
    judged = np.concatenate([block(i, "validation") for i in range(4)])
    wanted = np.arange(len(judged)) % len(FORMS)
    x, y = (p.reshape(len(p), -1).astype(np.float32) / 127.5 - 1 for p in (pixels, judged))
    targets = np.eye(len(FORMS))[labels]
    gram = x @ x.T  # the dual form: there are fewer images than values in one
    scores = []
    for penalty in (30.0, 3000.0, 300_000.0):
        weights = x.T @ np.linalg.solve(gram + penalty * np.eye(len(x)), targets)
        scores.append(((y @ weights).argmax(1) == wanted).mean())
    assert max(scores) < 0.5
    assert max(scores) < 0.2  # as it is: chance is 0.08


def test_the_forms_are_where_they_should_be() -> None:
    """Each form's area at its own scale, by counting points, against that of its geometry."""
    axis = np.linspace(-1.5, 1.5, 1201, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    areas = {name: float(form(x, y).mean() * 9) for name, form in FORMS.items()}
    expected = {
        "bar": 1.9 * 0.5,
        "circle": np.pi * 0.64,
        "cross": 2 * 1.84 * 0.54 - 0.54**2,
        "ring": np.pi * 0.54,
        "square": 1.96,
        "triangle": 3 * np.sqrt(3) * 0.56**2,
    }
    for name, area in expected.items():
        assert areas[name] == pytest.approx(area, rel=0.01), name
    assert all(0.5 < area < 2.6 for area in areas.values())


def test_edges_are_smooth() -> None:
    """Supersampling gives shades between: there are pixels that are neither shape nor ground."""
    from maquette.data.image import shapes

    inside = np.zeros((1, 96, 96), dtype=bool)
    inside[:, :, :50] = True
    cover = shapes._cover(inside)[0]
    assert cover.shape == (32, 32)
    assert cover[0, :16].tolist() == [1] * 16
    assert cover[0, 16] == pytest.approx(2 / 3)
    assert cover[0, 17:].max() == 0
