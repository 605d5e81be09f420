import torch

from maquette.models.rotary import rotary_table, rotate


def test_it_is_a_product_with_unit_complex_numbers() -> None:
    T, D, base = 50, 16, 10_000.0  # noqa: N806
    x = torch.randn(2, 3, T, D, generator=torch.Generator().manual_seed(0))
    cosines, sines = rotary_table(T, D, base)
    turned = rotate(x, cosines, sines)

    pairs = torch.complex(x[..., : D // 2].double(), x[..., D // 2 :].double())
    frequency = torch.tensor([base ** (-2 * i / D) for i in range(D // 2)], dtype=torch.float64)
    angle = torch.arange(T, dtype=torch.float64)[:, None] * frequency
    expected = pairs * torch.polar(torch.ones_like(angle), angle)
    assert torch.allclose(turned[..., : D // 2], expected.real.float(), atol=1e-5)
    assert torch.allclose(turned[..., D // 2 :], expected.imag.float(), atol=1e-5)


def test_scores_depend_on_the_distance_alone() -> None:
    cosines, sines = rotary_table(100, 8, 100.0)
    q, k = torch.randn(2, 1, 1, 1, 8, generator=torch.Generator().manual_seed(0))

    def score(at: int, to: int) -> float:
        row = slice(at, at + 1), slice(to, to + 1)
        turned = rotate(q, cosines[row[0]], sines[row[0]])
        return float((turned * rotate(k, cosines[row[1]], sines[row[1]])).sum())

    assert abs(score(5, 2) - score(95, 92)) < 1e-4
    assert abs(score(5, 2) - score(5, 4)) > 1e-3


def test_the_first_position_stays_and_the_type_too() -> None:
    cosines, sines = rotary_table(1, 8, 10_000.0)
    x = torch.randn(1, 1, 1, 8).to(torch.bfloat16)
    assert torch.equal(rotate(x, cosines, sines), x)
