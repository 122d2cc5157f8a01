"""What can run a network: an engine at a precision. Which are quick is measured, never believed."""

import importlib.util
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from ml.serving.machine import has_nvidia

Precision = Literal["float32", "bf16", "int8"]
TRAINING_PRECISION: Final = "float32"  # what every method's `predict` computes in, however it was trained

ENGINE_TITLES: Final = {
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "torch": "PyTorch",
    "onnxruntime_cuda": "ONNX Runtime, CUDA",
    "torch_cuda": "PyTorch, CUDA",
}
_PACKAGES: Final = {"onnxruntime_cuda": "onnxruntime", "torch_cuda": "torch"}


@dataclass(frozen=True)
class Variant:
    """An engine at a precision."""

    engine: str
    precision: Precision = "float32"

    @property
    def key(self) -> str:
        """Its name in records and commands: the engine alone stands for float32."""
        return self.engine if self.is_exact else f"{self.engine}-{self.precision}"

    @property
    def title(self) -> str:
        return f"{ENGINE_TITLES[self.engine]} {self.precision}"

    @property
    def is_exact(self) -> bool:
        """Whether it computes at the training's precision, so that its scores must be the training's."""
        return self.precision == TRAINING_PRECISION

    @property
    def absence(self) -> str:
        """Why it can't run here, as far as that shows without loading it; empty where nothing does."""
        package = _PACKAGES.get(self.engine, self.engine)
        if importlib.util.find_spec(package) is None:
            return f"the package {package} is not installed"
        if self.engine.endswith("_cuda") and not has_nvidia():
            return "there is no NVIDIA graphics processor"
        return ""

    @classmethod
    def of_key(cls, key: str) -> Self:
        """Raises:
        KeyError: there is no such variant.
        """
        return _BY_KEY[key]


# In the order in which they are tried where nothing has been measured yet: float32 first.
VARIANTS: Final = (
    Variant("onnxruntime"),
    Variant("openvino"),
    Variant("torch"),
    Variant("torch_cuda"),
    Variant("onnxruntime_cuda"),
    Variant("openvino", "bf16"),
    Variant("torch", "bf16"),
    Variant("torch_cuda", "bf16"),
    Variant("openvino", "int8"),
    Variant("onnxruntime", "int8"),
)
_BY_KEY: Final[dict[str, Any]] = {variant.key: variant for variant in VARIANTS}
DEFAULT: Final = VARIANTS[0]
EXACT: Final = tuple(variant for variant in VARIANTS if variant.is_exact)


def available_variants() -> tuple[Variant, ...]:
    """Those that nothing is known to be in the way of."""
    return tuple(variant for variant in VARIANTS if not variant.absence)
