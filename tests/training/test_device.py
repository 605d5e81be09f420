import shutil

import pytest
import torch

from maquette.errors import DeviceError
from maquette.training import device as module
from maquette.training.device import (
    autocast,
    choose_device,
    choose_precision,
    measure_rates,
    why_no_cuda,
)

CPU = torch.device("cpu")
CUDA = torch.device("cuda")


def cuda(monkeypatch: pytest.MonkeyPatch, count: int, capability: tuple[int, int] = (8, 0)) -> None:
    """As many CUDA devices as told, or none."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Old GPU")


def mps(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: there)


def test_auto_takes_cuda_then_mps_then_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for count, apple, expected in ((1, True, "cuda"), (0, True, "mps"), (0, False, "cpu")):
        cuda(monkeypatch, count)
        mps(monkeypatch, apple)
        assert choose_device("auto") == torch.device(expected)


@pytest.mark.parametrize("name", ["cpu", "cuda", "cuda:1", "mps"])
def test_a_device_that_is_there_is_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda(monkeypatch, 2)
    mps(monkeypatch, True)
    assert choose_device(name) == torch.device(name)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("cuda", ["cuda", "no CUDA device"]),
        ("cuda:0", ["cuda:0", "no CUDA device"]),
        ("mps", ["mps", "no Apple GPU"]),
        ("toaster", ["toaster", "use auto, cpu"]),
        ("cuda:x", ["cuda:x"]),
        ("meta", ["meta", "not supported"]),
        ("", ["''"]),
    ],
)
def test_a_device_that_is_not_there_is_an_error_and_no_fallback(
    name: str, parts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda(monkeypatch, 0)
    mps(monkeypatch, False)
    with pytest.raises(DeviceError) as caught:
        choose_device(name)
    assert all(part in str(caught.value) for part in parts)
    assert caught.value.exit_code == 2


def test_the_second_device_of_one_is_an_error_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda(monkeypatch, 1)
    with pytest.raises(DeviceError, match=r"cuda:1 .* 1 CUDA device\b"):
        choose_device("cuda:1")


def test_why_there_is_no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "no CUDA in it" in why_no_cuda()
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert "driver" in why_no_cuda()
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    assert "version" in why_no_cuda()


@pytest.mark.parametrize(
    ("float32", "bf16", "expected"),
    [(200e9, 870e9, "bf16"), (200e9, 210e9, "float32"), (200e9, 2e9, "float32")],
)
def test_a_cpu_takes_bf16_only_where_it_is_faster(
    float32: float, bf16: float, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = {"float32": float32, "bf16": bf16, "fp16": 1e9}
    monkeypatch.setattr(module, "measure_rates", lambda *_, **__: rates)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    assert choose_precision("auto", CPU) == expected


def test_a_cpu_without_bf16_products_is_not_even_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    monkeypatch.setattr(module, "measure_rates", lambda *_, **__: pytest.fail("measured"))
    assert choose_precision("auto", CPU) == "float32"


@pytest.mark.parametrize(("capability", "expected"), [((9, 0), "bf16"), ((7, 5), "fp16")])
def test_a_gpu_takes_bf16_where_it_has_it(
    capability: tuple[int, int], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda(monkeypatch, 1, capability)
    assert choose_precision("auto", CUDA) == expected


def test_what_was_asked_for_is_taken_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for precision in ("float32", "bf16", "fp16"):
        assert choose_precision(precision, CPU) == precision
    cuda(monkeypatch, 1, (7, 5))
    assert choose_precision("fp16", CUDA) == "fp16"
    with pytest.raises(DeviceError, match="Old GPU"):
        choose_precision("bf16", CUDA)


def test_apple_gpus_compute_float32() -> None:
    assert choose_precision("auto", torch.device("mps")) == "float32"


def test_rates_are_measured_in_every_precision() -> None:
    rates = measure_rates(CPU, budget_seconds=0.03)
    assert set(rates) == {"float32", "bf16", "fp16"}
    assert rates["float32"] > 0


def test_measuring_draws_nothing_from_the_generator_that_dropout_uses() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    measure_rates(CPU, budget_seconds=0.031)
    assert torch.equal(torch.get_rng_state(), before)


def test_autocast_computes_products_in_the_precision() -> None:
    a = torch.ones(2, 2)
    for precision, dtype in (("float32", torch.float32), ("bf16", torch.bfloat16)):
        with autocast(CPU, precision):  # type: ignore[arg-type]
            assert (a @ a).dtype == dtype
