"""A network as ONNX, checked, in the shape that `ml.serving` runs."""

import logging
import warnings
from pathlib import Path
from typing import Final

import onnx
import torch
from torch import nn

from ml.preprocessing import Preprocessing

OPSET: Final = 18


def export_onnx(network: nn.Module, preprocessing: Preprocessing, path: Path) -> None:
    """Writes "images" float32 [batch, C, H, W] → "score" [batch, …], "map" [batch, h, w]; one size.

    Args:
        network: in eval mode; gives raw output and map.
        preprocessing: tells channels, height and width.
        path: of the file.
    """
    example = torch.zeros(2, preprocessing.channels, preprocessing.height, preprocessing.width)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own parts
        program = torch.onnx.export(
            network,
            (example,),
            input_names=["images"],
            output_names=["score", "map"],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("the exporter gave nothing")
    program.save(path, external_data=False)
    onnx.checker.check_model(path)
