"""torchvision, wherever it was built: whoever uses it imports it from here.

The package index carries torchvision built against PyTorch for graphics processors. Beside a PyTorch for the
processor alone, its compiled operators can't be loaded, and importing it fails because it then describes
operators that nobody declared. None of ours uses them: they are declared, without an implementation.
"""

import torch

_UNUSED = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_libraries = []  # an operator is declared as long as its library lives

try:
    import torchvision
except RuntimeError as error:
    if "torchvision::" not in str(error):
        raise
    for _schema in _UNUSED:
        _library = torch.library.Library("torchvision", "FRAGMENT")
        _library.define(_schema)
        _libraries.append(_library)
    import torchvision

models = torchvision.models

__all__ = ["models", "torchvision"]
