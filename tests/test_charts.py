"""The picture of a comparison: that its curves are where the values say, in the runs' colours."""

from pathlib import Path

import numpy as np
import pytest

from maquette.charts import COLOURS, draw_comparison, log_ticks, ticks
from maquette.comparison import compare
from maquette.data.image.paper import PAPER
from maquette.runs.store import Store
from tests.test_comparison import make_run


def test_a_run_that_does_better_lies_lower(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    worse = make_run(store, losses=(5, 4, 3.5, 3.4))
    better = make_run(store, losses=(5, 3, 2, 1.5))
    picture = draw_comparison(compare([worse, better]), "step")
    pixels = np.asarray(picture)
    assert tuple(pixels[0, 0]) == PAPER
    half = pixels[150:500]  # the first plot, below the legend
    right = half[:, 900:1020]
    rows = [np.nonzero((right == colour).all(-1).any(1))[0] for colour in COLOURS[:2]]
    assert all(len(found) for found in rows)
    assert rows[0].max() < rows[1].min()


@pytest.mark.parametrize("axis", ["step", "seconds"])
def test_images_and_runs_without_metrics(tmp_path: Path, axis: str) -> None:
    store = Store(tmp_path / "runs")
    runs = [make_run(store, "task: image-classification", losses=(2, 1)) for _ in range(2)]
    three = draw_comparison(compare(runs), "seconds" if axis == "seconds" else "step")
    for run in runs:
        run.metrics_path.unlink()
    none = draw_comparison(compare(runs), "step")
    assert three.size == none.size  # accuracy, loss, training loss
    pixels = np.asarray(three)[150:]
    shown = [(pixels == colour).all(-1).any() for colour in COLOURS[:2]]
    assert shown[1]  # it lies on the other


def test_round_ticks() -> None:
    assert ticks(0, 1200) == [0, 200, 400, 600, 800, 1000, 1200]
    assert ticks(3, 3) == [3]
    assert ticks(0.1, 0.32, 5) == pytest.approx([0.1, 0.15, 0.2, 0.25, 0.3])
    assert log_ticks(0.9, 1100) == [1, 10, 100, 1000]
    assert log_ticks(1.6, 5.2) == [2, 3, 4, 5]
    assert log_ticks(1.80, 1.91) == pytest.approx([1.8, 1.85, 1.9])
