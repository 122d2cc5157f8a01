"""The machine's own rate of matrix products, by precision: the yardstick of a network's arithmetic.

Libraries differ by a factor of two on one machine (MKL is slow on AMD's processors): what counts is the quickest.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

SIDE: Final = 2048
ROUNDS: Final = 7

Product = Callable[[], object]


def matrix_peak(*, side: int = SIDE, rounds: int = ROUNDS) -> dict[str, float]:
    """GFLOP/s (for int8 GOP/s) of a square product, the best of some rounds; native precisions alone."""
    rng = torch.Generator().manual_seed(0)
    numbers = torch.randn(side, side, generator=rng)
    small = numbers.mul(20).clamp(-100, 100).to(torch.int8)
    plain = numbers.numpy()
    products: dict[str, Sequence[Product]] = {
        "float32": (lambda: numbers @ numbers, lambda: plain @ plain, _as_convolution(numbers))
    }
    if torch.cpu._is_avx512_bf16_supported():
        halves = numbers.bfloat16()
        products["bf16"] = (lambda: halves @ halves, _as_convolution(halves))
    if "avx512_vnni" in Path("/proc/cpuinfo").read_text(encoding="utf-8"):
        products["int8"] = (lambda: torch._int_mm(small, small),)
    with torch.inference_mode():
        return {
            name: round(max(_rate(product, side, rounds) for product in ways), 1)
            for name, ways in products.items()
        }


def _as_convolution(numbers: Tensor) -> Product:
    """The product as a 1 × 1 convolution, which PyTorch gives to oneDNN."""
    side = len(numbers)
    images = numbers.t().reshape(1, side, 1, side).to(memory_format=torch.channels_last)
    weights = numbers.reshape(side, side, 1, 1).to(memory_format=torch.channels_last)
    return lambda: nn.functional.conv2d(images, weights)


def _rate(product: Product, side: int, rounds: int) -> float:
    product()
    best = min(_seconds(product) for _ in range(rounds))
    return 2 * side**3 / best / 1e9


def _seconds(product: Product) -> float:
    began = time.perf_counter()
    product()
    return time.perf_counter() - began
