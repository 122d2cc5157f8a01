"""The machine's own rate of matrix products, by precision: the yardstick of a network's arithmetic."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch

SIDE: Final = 2048
ROUNDS: Final = 7


def matrix_peak(*, side: int = SIDE, rounds: int = ROUNDS) -> dict[str, float]:
    """GFLOP/s (for int8 GOP/s) of a square product, the best of some rounds; native precisions alone."""
    rng = torch.Generator().manual_seed(0)
    numbers = torch.randn(side, side, generator=rng)
    small = numbers.mul(20).clamp(-100, 100).to(torch.int8)
    products: dict[str, Callable[[], object]] = {"float32": lambda: numbers @ numbers}
    if torch.cpu._is_avx512_bf16_supported():
        halves = numbers.bfloat16()
        products["bf16"] = lambda: halves @ halves
    if "avx512_vnni" in Path("/proc/cpuinfo").read_text(encoding="utf-8"):
        products["int8"] = lambda: torch._int_mm(small, small)
    return {name: round(_rate(product, side, rounds), 1) for name, product in products.items()}


def _rate(product: Callable[[], object], side: int, rounds: int) -> float:
    product()
    best = min(_seconds(product) for _ in range(rounds))
    return 2 * side**3 / best / 1e9


def _seconds(product: Callable[[], object]) -> float:
    began = time.perf_counter()
    product()
    return time.perf_counter() - began
