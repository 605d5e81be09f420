from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from maquette.augmentation import Augmentation, Crop, Policy
from maquette.data.image import augment
from maquette.data.image.augment import (
    apply_policy,
    change_pixels,
    draw_crops,
    erase,
    flip_and_move,
    generator,
    mix,
    paste,
)
from maquette.data.image.operations import SPACE
from maquette.data.image.pixels import cut
from tests.data.image.making import picture


def batch(count: int = 8, side: int = 16) -> Tensor:
    pixels = np.stack([picture(i, side, side) for i in range(count)])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def rng(seed: int = 0) -> np.random.Generator:
    return generator(seed, 0, 2)


def test_nothing_on_nothing_changes() -> None:
    images = batch()
    assert change_pixels(images, Augmentation(), 0, 0) is images
    floats, labels = images.float(), torch.arange(8)
    found, targets = mix(floats, labels, Augmentation(), 8, 0, 0)
    assert found is floats
    assert targets is labels
    assert draw_crops(Augmentation(), 8, 0, 0) is None


def test_flipped_ones_are_mirrored_and_about_half_are() -> None:
    images = batch(200, 6)
    found = flip_and_move(images, rng(), flip=True, most=0)
    same = (found == images).all((1, 2, 3))
    mirrored = (found == images.flip(3)).all((1, 2, 3))
    assert bool((same | mirrored).all())
    assert 70 < int(mirrored.sum()) < 130


def test_moved_ones_are_windows_of_the_padded_image() -> None:
    """Against PyTorch's own reflection padding: each is one of its (2 most + 1) squared windows."""
    images = batch(40, 10)
    found = flip_and_move(images, rng(), flip=False, most=3)
    padded = torch.nn.functional.pad(images.float(), (3, 3, 3, 3), mode="reflect").to(torch.uint8)
    places: Counter[tuple[int, int]] = Counter()
    for image, wide in zip(found, padded, strict=True):
        windows = [
            (y, x) for y in range(7) for x in range(7)
            if torch.equal(image, wide[:, y : y + 10, x : x + 10])
        ]  # fmt: skip
        assert len(windows) == 1
        places.update(windows)
    assert len(places) > 15
    assert {y for y, _ in places} == set(range(7)) == {x for _, x in places}


def test_a_move_may_be_longer_than_the_image() -> None:
    assert flip_and_move(batch(4, 5), rng(), flip=True, most=40).shape == (4, 3, 5, 5)


@pytest.mark.parametrize("wide", [True, False])
def test_a_policy_changes_each_image_by_one_operation(
    wide: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = batch(1).expand(280, -1, -1, -1)
    seen: Counter[str] = Counter()
    for name, (operation, *rest) in SPACE.items():

        def noted(
            part: Tensor, amounts: Tensor, name: str = name, op: object = operation
        ) -> Tensor:
            seen[name] += len(part)
            assert len(amounts) == len(part)
            return op(part, amounts)  # type: ignore[operator, no-any-return]

        monkeypatch.setitem(SPACE, name, (noted, *rest))
    found = apply_policy(images, rng(), wide=wide)
    assert found.shape == images.shape
    assert set(seen) == set(SPACE)
    assert all(5 < count < 45 for count in seen.values())
    assert sum(seen.values()) == 280
    levels = 31 if wide else 2
    assert len(torch.unique(found.flatten(1), dim=0)) > levels


def test_a_policy_leaves_each_image_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, (_, *rest) in SPACE.items():
        monkeypatch.setitem(SPACE, name, (SPACE["identity"][0], *rest))
    images = batch(40)
    assert torch.equal(apply_policy(images, rng(), wide=True), images)


@pytest.mark.parametrize("policy", ["trivial", "rand"])
def test_policies_depend_on_seed_and_step_alone(policy: Policy) -> None:
    images, rule = batch(), Augmentation(policy=policy)
    first = change_pixels(images, rule, 3, 7)
    torch.rand(3)
    assert torch.equal(change_pixels(images, rule, 3, 7), first)
    assert not torch.equal(change_pixels(images, rule, 3, 8), first)
    assert not torch.equal(change_pixels(images, rule, 4, 7), first)
    assert torch.equal(images, batch())  # the images themselves stay


def test_crops_have_the_areas_asked_for() -> None:
    crops = draw_crops(Augmentation(crop_scale=0.25), 2000, 0, 0)
    assert crops is not None
    areas = np.array([crop.area for crop in crops])
    ratios = np.log([crop.ratio for crop in crops])
    assert 0.25 <= areas.min() < 0.27
    assert 0.98 < areas.max() <= 1
    assert abs(ratios).max() <= np.log(4 / 3)
    assert abs(ratios.mean()) < 0.02
    assert abs(areas.mean() - 0.625) < 0.02


def test_a_cut_out_part_is_what_pillow_cuts_out() -> None:
    from PIL import Image

    images = batch(5, 40)
    crops = [Crop(0.3, 1.2, 0.1 * i, 1 - 0.2 * i) for i in range(5)]
    found = cut(images, crops).permute(0, 2, 3, 1).numpy()
    for i, crop in enumerate(crops):
        whole = Image.fromarray(picture(i, 40, 40))
        part = whole.resize((40, 40), Image.Resampling.BILINEAR, box=crop.box(40, 40))
        assert np.abs(found[i].astype(int) - np.asarray(part)).max() <= 2
    whole_again = cut(images, [Crop(1.0, 1.0, 0.0, 0.0)] * 5)
    assert torch.equal(whole_again, images)


def test_erased_rectangles_have_the_papers_areas() -> None:
    images = torch.ones(400, 3, 20, 20)
    erase(images, rng(), 0.25)
    gone = (images == 0).all(1)
    erased = gone.flatten(1).any(1)
    assert 70 < int(erased.sum()) < 130
    areas = gone[erased].float().mean((1, 2))
    assert areas.min() > 0.005
    assert areas.max() < 0.4
    assert abs(float(areas.mean()) - sum(augment.ERASED_AREA) / 2) < 0.04
    for one in gone[erased]:
        rows, columns = one.any(1), one.any(0)
        assert torch.equal(one, rows[:, None] & columns)  # a rectangle, in one piece
        assert int(rows.long().diff().abs().sum()) <= 2
        assert int(columns.long().diff().abs().sum()) <= 2


def test_smoothing_spreads_a_share_over_all_classes() -> None:
    """Against PyTorch's own label smoothing."""
    labels, logits = torch.tensor([0, 2, 1]), torch.randn(3, 4)
    rule = Augmentation(label_smoothing=0.2)
    _, targets = mix(torch.zeros(3, 3, 4, 4), labels, rule, 4, 0, 0)
    found = torch.nn.functional.cross_entropy(logits, targets)
    expected = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.2)
    assert torch.allclose(found, expected)


def test_mixup_blends_images_and_targets_alike() -> None:
    labels = torch.arange(6)
    images = torch.arange(6.0)[:, None, None, None].expand(6, 3, 4, 4).clone()
    shares = set()
    for step in range(20):
        found, targets = mix(images.clone(), labels, Augmentation(mixup=0.5), 6, 0, step)
        share = float(targets[0, 0])
        assert torch.allclose(found[:, 0, 0, 0], targets @ torch.arange(6.0), atol=1e-5)
        assert targets[0, 5] == pytest.approx(1 - share, abs=1e-6)
        shares.add(round(share, 4))
    assert len(shares) == 20
    assert max(shares) > 0.8
    assert min(shares) < 0.2


def test_cutmix_pastes_a_rectangle_and_counts_its_share() -> None:
    images = torch.arange(6.0)[:, None, None, None].expand(6, 3, 20, 20).clone()
    shares = []
    for step in range(30):
        found, targets = mix(images.clone(), torch.arange(6), Augmentation(cutmix=1.0), 6, 0, step)
        pasted = found[0, 0] == 5
        assert bool((pasted | (found[0, 0] == 0)).all())
        assert float(targets[0, 5]) == pytest.approx(float(pasted.float().mean()), abs=1e-6)
        assert torch.equal(found[0] == 5, found[5] == 0)
        rows, columns = pasted.any(1), pasted.any(0)
        assert torch.equal(pasted, rows[:, None] & columns)
        shares.append(float(targets[0, 5]))
    assert min(shares) < 0.1
    assert max(shares) > 0.5
    assert paste(images.clone(), rng(), 1.0) <= 1


def test_with_both_each_is_used_for_half_of_the_batches() -> None:
    images = torch.arange(2.0)[:, None, None, None].expand(2, 3, 20, 20)
    blended = 0
    for step in range(100):
        both = Augmentation(mixup=1.0, cutmix=1.0)
        found, _ = mix(images.clone(), torch.arange(2), both, 2, 0, step)
        blended += bool(((found > 0) & (found < 1)).any())
    assert 30 < blended < 70


def test_an_odd_batch_has_an_image_in_the_middle_that_is_its_own_partner() -> None:
    images = torch.randn(3, 3, 4, 4)
    found, targets = mix(images.clone(), torch.arange(3), Augmentation(mixup=1.0), 3, 0, 0)
    assert torch.allclose(found[1], images[1], atol=1e-6)
    assert targets[1].tolist() == pytest.approx([0, 1, 0])
