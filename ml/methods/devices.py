"""Where and in what arithmetic a network trains."""

import torch


def training_device() -> torch.device:
    """The graphics processor where there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def computes_bf16(precision: str) -> bool:
    """Whether training computes in bf16: asked for, or left open on hardware that has the instructions.

    Args:
        precision: "auto", "float32" or "bf16".
    """
    if precision != "auto":
        return precision == "bf16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported())  # noqa: SLF001


def autocast(is_bf16: bool) -> torch.autocast:
    return torch.autocast(training_device().type, dtype=torch.bfloat16, enabled=is_bf16)
