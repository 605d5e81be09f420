from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from maquette.data.batches import MIXED, Batches, counter_random, fixed_windows, permute, quotas

IGNORE = -100


def source(first: int, count: int) -> np.ndarray:
    """Tokens that are all different: a token says where it stood."""
    return np.arange(first, first + count, dtype=np.uint16)


def epoch(batches: Batches, number: int, batch_size: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets of an epoch whose windows fill whole batches."""
    assert batches.windows % batch_size == 0
    count = batches.windows // batch_size
    parts = [batches.batch(k) for k in range(number * count, (number + 1) * count)]
    inputs, targets = zip(*parts, strict=True)
    return torch.cat(inputs), torch.cat(targets)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 1000, 4097])
@pytest.mark.parametrize("key", [0, 1, 2**64 - 1])
def test_permute_is_a_bijection(size: int, key: int) -> None:
    result = permute(np.arange(size, dtype=np.uint64), size, key)
    assert sorted(result.tolist()) == list(range(size))


@given(st.integers(1, 3000), st.integers(0, 2**64 - 1))
def test_permute_is_a_bijection_of_any_size(size: int, key: int) -> None:
    assert len(set(permute(np.arange(size, dtype=np.uint64), size, key).tolist())) == size


def test_permute_depends_on_the_key_and_looks_random() -> None:
    index = np.arange(1000, dtype=np.uint64)
    one, two = permute(index, 1000, 1).astype(float), permute(index, 1000, 2).astype(float)
    assert abs(np.corrcoef(index, one)[0, 1]) < 0.1
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.1
    # One index at a time gives what all at once give.
    assert int(permute(index[7:8], 1000, 1)[0]) == int(one[7])


def test_counter_random_depends_on_every_number() -> None:
    drawn = {counter_random(s, a, b) for s in range(5) for a in range(5) for b in range(5)}
    assert len(drawn) == 125
    assert all(0 <= n < 2**64 for n in drawn)
    assert counter_random(1, 2) != counter_random(1, 2, 0)


def test_the_first_values_stay_what_they_are() -> None:
    """A resumed run reads on where it stopped, whatever version of this file it began with."""
    assert counter_random(42, 7) == FIRST_RANDOM
    assert permute(np.arange(8, dtype=np.uint64), 8, 42).tolist() == FIRST_PERMUTATION


FIRST_RANDOM = 8466325494921658831
FIRST_PERMUTATION = [0, 2, 7, 4, 1, 6, 5, 3]


@pytest.mark.parametrize("count", [48, 50])  # a whole number of windows, and not
def test_an_epoch_reads_every_window_once_and_all_of_the_ring(count: int) -> None:
    batches = Batches([source(0, count)], context=4, batch_size=3, seed=1)
    assert batches.windows == 12
    for number in range(3):
        inputs, targets = epoch(batches, number, 3)
        assert torch.equal((inputs + 1) % count, targets)
        seen = Counter(targets.flatten().tolist())
        assert max(seen.values()) == 1
        assert len(seen) == 48  # all targets, or all but the rest that fills no window


def test_every_token_is_reached_in_some_epoch() -> None:
    batches = Batches([source(0, 51)], context=4, batch_size=3, seed=1)
    seen = {int(t) for n in range(40) for t in epoch(batches, n, 3)[1].flatten()}
    assert seen == set(range(51))


def test_order_and_cuts_differ_each_epoch_and_each_seed() -> None:
    tokens = [source(0, 50)]
    batches = Batches(tokens, context=4, batch_size=3, seed=1)
    first, second = (epoch(batches, n, 3)[0][:, 0].tolist() for n in (0, 1))
    assert first != second
    assert sorted(first) != sorted(second)  # other windows, not only another order
    other = Batches(tokens, context=4, batch_size=3, seed=2)
    assert epoch(other, 0, 3)[0][:, 0].tolist() != first


def test_a_batch_depends_on_its_number_alone() -> None:
    tokens = [source(0, 50), source(100, 33)]
    batches = Batches(tokens, context=4, batch_size=5, seed=9)
    forward = [batches.batch(k) for k in range(12)]
    again = Batches(tokens, context=4, batch_size=5, seed=9)
    for k in reversed(range(12)):
        for a, b in zip(again.batch(k), forward[k], strict=True):
            assert torch.equal(a, b)


def test_windows_do_not_depend_on_the_batch_size() -> None:
    """Two small batches are one large one: processes may share a batch as they like."""
    tokens = [source(0, 50)]
    small = Batches(tokens, context=4, batch_size=2, seed=9)
    large = Batches(tokens, context=4, batch_size=6, seed=9)
    for part in (0, 1):
        joined = torch.cat([small.batch(k)[part] for k in range(6)])
        assert torch.equal(joined, torch.cat([large.batch(k)[part] for k in range(2)]))


def test_several_sources_share_an_epoch_by_their_length() -> None:
    sources = [source(0, 40), source(1000, 20), source(2000, 9)]
    batches = Batches(sources, context=4, batch_size=1, seed=3)
    assert batches.windows == 10 + 5 + 2
    inputs, targets = epoch(batches, 2, 1)
    assert Counter((inputs[:, 0] // 1000).tolist()) == {0: 10, 1: 5, 2: 2}
    assert torch.equal(inputs // 1000, targets // 1000)  # no window crosses sources
    assert len(set(targets.flatten().tolist())) == 17 * 4


def test_tensors_are_int64_also_from_mapped_files(tmp_path: object) -> None:
    path = f"{tmp_path}/tokens"
    source(0, 50).tofile(path)
    mapped = np.memmap(path, dtype=np.uint16, mode="r")
    inputs, targets = Batches([mapped], context=4, batch_size=3, seed=1).batch(0)
    assert inputs.dtype == targets.dtype == torch.int64
    assert inputs.shape == targets.shape == (3, 4)
    expected, _ = Batches([source(0, 50)], context=4, batch_size=3, seed=1).batch(0)
    assert torch.equal(inputs, expected)


def fixed(sources: list[np.ndarray], **how: Any) -> list[tuple[list[int], list[int]]]:
    """Rows of inputs and targets."""
    windows = fixed_windows(sources, context=4, batch_size=2, start_token=999, ignore=IGNORE, **how)
    return [
        (a, b)
        for inputs, targets in windows
        for a, b in zip(inputs.tolist(), targets.tolist(), strict=True)
    ]


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 9, 23])
def test_every_token_is_a_target_once_after_the_token_before_it(count: int, stride: int) -> None:
    first = fixed([source(1, count), source(500, 6)], stride=stride)
    counted: Counter[int] = Counter()
    for inputs, targets in first:
        for before, target in zip(inputs, targets, strict=True):
            if target != IGNORE:
                counted[target] += 1
                assert before == (999 if target in (1, 500) else target - 1)
    assert counted == Counter([*range(1, count + 1), *range(500, 506)])


def test_a_stride_leaves_context() -> None:
    """Every target but the first few has context - stride + 1 inputs up to itself at least."""
    for inputs, targets in fixed([source(1, 30)], stride=2):
        for place, target in enumerate(targets):
            if target > 4:
                assert place >= 4 - 2
                assert inputs[: place + 1] == list(range(target - place - 1, target))


def test_without_a_stride_windows_stand_end_to_end_and_the_last_one_looks_back() -> None:
    assert fixed([source(1, 6)]) == [
        ([999, 1, 2, 3], [1, 2, 3, 4]),
        ([2, 3, 4, 5], [IGNORE, IGNORE, 5, 6]),
    ]


def test_a_few_windows_are_spread_evenly_whole_and_the_same_every_time() -> None:
    rows = fixed([source(1, 41)], windows=3)
    assert rows == fixed([source(1, 41)], windows=3)
    assert [targets[0] for _, targets in rows] == [1, 17, 37]  # not the last, of one token
    assert all(IGNORE not in targets for _, targets in rows)
    assert len(fixed([source(1, 41)], windows=1000)) == 11


class TestMixture:
    WEIGHTS = (0.784, 0.196, 0.020)

    def make(self, *lengths: int, seed: int = 5) -> Batches:
        sources = [source(1000 * i, n) for i, n in enumerate(lengths)]
        return Batches(sources, context=4, batch_size=10, seed=seed, weights=self.WEIGHTS)

    def starts(self, batches: Batches, count: int) -> list[int]:
        return [int(row[0]) for k in range(count) for row in batches.batch(k)[0]]

    def test_shares_are_exact_in_a_thousand_windows(self) -> None:
        starts = self.starts(self.make(400, 100, 21), 200)
        for thousand in (starts[:1000], starts[1000:]):
            assert Counter(start // 1000 for start in thousand) == {0: 784, 1: 196, 2: 20}

    def test_every_window_of_a_source_is_read_equally_often(self) -> None:
        batches = self.make(400, 100, 21)
        blocks = 25  # 196 x 25 windows are 196 whole epochs of the second source
        sources, epochs, windows = batches._places(np.arange(blocks * MIXED))
        mine = Counter(zip(epochs[sources == 1], windows[sources == 1], strict=True))
        assert set(mine.values()) == {1}
        assert len(mine) == 196 * 25

    def test_the_order_is_mixed_and_seeded(self) -> None:
        sources = [s // 1000 for s in self.starts(self.make(400, 100, 21), 50)]
        assert 60 < sources[:400].count(1) < 100
        assert self.starts(self.make(400, 100, 21), 5) == self.starts(self.make(400, 100, 21), 5)
        assert self.starts(self.make(400, 100, 21, seed=6), 5) != self.starts(
            self.make(400, 100, 21), 5
        )

    @pytest.mark.parametrize("count", [0, 1, 37, 100, 123])
    @pytest.mark.parametrize("mixed", [True, False])
    def test_counts_what_was_seen(self, count: int, mixed: bool) -> None:
        sources = [source(0, 400), source(1000, 100), source(2000, 21)]
        batches = Batches(
            sources, context=4, batch_size=10, seed=5, weights=self.WEIGHTS if mixed else None
        )
        counted = Counter(start // 1000 for start in self.starts(batches, count))
        assert batches.seen(count) == [counted[i] for i in range(3)]

    def test_quotas_add_up_and_follow_the_weights(self) -> None:
        assert quotas(self.WEIGHTS).tolist() == [784, 196, 20]
        assert quotas([1, 1, 1]).tolist() == [334, 333, 333]
        assert quotas([3, 1]).tolist() == [750, 250]


def test_masks_leave_out_what_does_not_count() -> None:
    streams = [source(0, 33), source(1, 21)]
    masks = [(stream % 3 == 0).astype(np.uint8) for stream in streams]
    plain, marked = (
        Batches(streams, context=4, batch_size=3, seed=2, masks=m, ignore=IGNORE)
        for m in (None, masks)
    )
    for k in range(9):  # into the second epoch
        (inputs, targets), (same, counted) = plain.batch(k), marked.batch(k)
        assert torch.equal(inputs, same)
        assert torch.equal(counted, torch.where(targets % 3 == 0, targets, IGNORE))


def test_fixed_windows_in_which_nothing_counts_are_left_out() -> None:
    stream = np.arange(100, 118)
    mask = np.zeros(18, dtype=np.uint8)
    mask[[1, 12, 13, 17]] = 1
    rows = fixed([stream], masks=[mask])
    assert [[t for t in targets if t != IGNORE] for _, targets in rows] == [
        [101],
        [112, 113],
        [117],
    ]
    assert rows[1][0] == [111, 112, 113, 114]
    assert len(fixed([stream], masks=[mask], windows=2)) == 2
