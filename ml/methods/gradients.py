"""Networks whose output is a gradient with respect to their input, and their export.

No ONNX operator is called "gradient". But a gradient is computed by operations like any other: that of a
convolution with respect to its input is a transposed convolution, that of an activation a factor, that of a
pooling an expansion. `forward_only` writes them down, forward pass and backward pass, as one graph.
"""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch._decomp import get_decompositions
from torch._subclasses import FakeTensorMode
from torch.func import functional_call, grad
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext
from torch.fx.node import map_arg
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ml.methods.onnx_export import export_onnx
from ml.preprocessing import Preprocessing

EXAMPLES: Final = 2  # images of the batch that is traced; any number may follow

_ATEN: Final = torch.ops.aten
_DECOMPOSED: Final = (
    _ATEN.hardswish_backward,
    _ATEN.hardsigmoid_backward,
    _ATEN.threshold_backward,
    _ATEN.slice_backward,
    _ATEN.select_backward,
)


def input_gradient(function: Callable[[Tensor], Tensor], images: Tensor) -> tuple[Tensor, Tensor]:
    """Values of a function of each image, and the gradient of each with respect to its image.

    Args:
        function: [B, C, H, W] → [B]. An image's value must not depend on the others: a gradient is then that
            of the values' sum.
        images: float [B, C, H, W]; in `torch.inference_mode` too.

    Returns:
        The values [B] and the gradients [B, C, H, W].
    """

    def summed(batch: Tensor) -> tuple[Tensor, Tensor]:
        values = function(batch)
        return values.sum(), values

    gradient, values = grad(summed, has_aux=True)(images)
    return values, gradient


def with_folded_normalisation(network: nn.Module) -> nn.Module:
    """The same function with batch normalisations in eval mode folded into the convolutions before them.

    What is frozen is then no longer there: it can't move, and the backward pass has none to go through.

    Args:
        network: in eval mode; it is left as it is.

    Raises:
        ValueError: a batch normalisation does not follow a convolution.
    """
    folded = copy.deepcopy(network).eval()
    for module in list(folded.modules()):
        if isinstance(module, nn.Sequential):
            _fold(module)
    if any(isinstance(module, nn.BatchNorm2d) for module in folded.modules()):
        raise ValueError("there is a batch normalisation that does not follow a convolution")
    return folded


def _fold(layers: nn.Sequential) -> None:
    for index in range(len(layers) - 1):
        convolution, normalisation = layers[index], layers[index + 1]
        if isinstance(convolution, nn.Conv2d) and isinstance(normalisation, nn.BatchNorm2d):
            layers[index] = fuse_conv_bn_eval(convolution, normalisation)
            layers[index + 1] = nn.Identity()


def forward_only(network: nn.Module, preprocessing: Preprocessing) -> GraphModule:
    """What a network computes with `input_gradient`, as forward operations alone, for any number of images.

    Args:
        network: in eval mode, float32 [B, C, H, W] → raw output, map; dropout and batch normalisation only
            as eval mode has them.
        preprocessing: tells channels, height and width, which are fixed.

    Raises:
        NotImplementedError: its backward pass needs more of a convolution than `_of_convolution` writes.
    """
    named = {name: one.detach() for name, one in (*network.named_parameters(), *network.named_buffers())}

    def computed(images: Tensor, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        raw, heat_map = functional_call(network, dict(zip(named, tensors, strict=True)), (images,))
        return raw, heat_map

    example = torch.zeros(EXAMPLES, preprocessing.channels, preprocessing.height, preprocessing.width)
    mode = FakeTensorMode(shape_env=ShapeEnv())
    # Only the batch is free: a symbol for each size would tie the batch to whatever has the same length.
    free_batch: StatelessSymbolicContext[..., Any] = StatelessSymbolicContext(
        [DimDynamic.DYNAMIC] + [DimDynamic.STATIC] * 3
    )
    shapes = [mode.from_tensor(one, static_shapes=True) for one in named.values()]
    table = get_decompositions(_DECOMPOSED) | {_ATEN.convolution_backward.default: _of_convolution}
    graph = make_fx(computed, decomposition_table=table, tracing_mode="fake")(
        mode.from_tensor(example, symbolic_context=free_batch), *shapes
    )
    return _with_constants(graph, list(named.values()))


def _with_constants(module: GraphModule, tensors: Sequence[Tensor]) -> GraphModule:
    """The same graph of the images alone: the tensors and what follows from them are constants."""
    graph = module.graph
    _images, *placeholders = graph.find_nodes(op="placeholder")
    known = dict(zip(placeholders, tensors, strict=True))
    for node in graph.nodes:
        inputs = node.all_input_nodes
        if node.op == "call_function" and inputs and all(one in known for one in inputs):
            known[node] = node.target(*map_arg(node.args, known.get), **map_arg(node.kwargs, known.get))
    for number, (node, tensor) in enumerate(known.items()):
        module.register_buffer(f"constant_{number}", tensor.contiguous())
        with graph.inserting_before(node):
            node.replace_all_uses_with(graph.get_attr(f"constant_{number}"))
    for node in reversed(known):
        graph.erase_node(node)
    graph.eliminate_dead_code()
    module.delete_all_unused_submodules()
    module.recompile()
    return module.eval()


def export_with_gradients(network: nn.Module, preprocessing: Preprocessing, path: Path) -> None:
    """`export_onnx` for a network that computes a gradient."""
    export_onnx(forward_only(network, preprocessing), preprocessing, path)


def _of_convolution(
    gradient: Tensor,
    images: Tensor,
    weight: Tensor,
    bias_sizes: Sequence[int] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    is_transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    wanted: Sequence[bool],
) -> tuple[Tensor, None, None]:
    """`aten.convolution_backward` with respect to the input: the transposed convolution, same weights.

    Without a stride that is the convolution with the weights turned by 180° and with in and out exchanged,
    which engines are better at: quicker, and OpenVINO 2026 takes square 1 × 1 weights of a transposed one the
    wrong way round. A stride that does not divide leaves rows and columns that no output looked at: as many
    are added at the end (output padding), so that the gradient has the input's size.
    """
    if is_transposed or wanted[1] or wanted[2]:
        raise NotImplementedError("only the gradient of a plain convolution with respect to its input")
    rims = [
        step * (size - 1) - pad for step, size, pad in zip(dilation, weight.shape[2:], padding, strict=True)
    ]
    if set(stride) == {1} and min(rims) >= 0:
        turned = _turned(weight, groups)
        return (
            _ATEN.convolution(gradient, turned, None, stride, rims, dilation, False, [0, 0], groups),
            None,
            None,
        )
    left_over = [
        images.shape[axis + 2]
        - (
            (gradient.shape[axis + 2] - 1) * stride[axis]
            - 2 * padding[axis]
            + dilation[axis] * (weight.shape[axis + 2] - 1)
            + 1
        )
        for axis in range(len(stride))
    ]
    back = _ATEN.convolution(gradient, weight, None, stride, padding, dilation, True, left_over, groups)
    return back, None, None


def _turned(weight: Tensor, groups: int) -> Tensor:
    """[O, I / groups, h, w] → [I, O / groups, h, w], turned by 180°."""
    out, within, height, width = weight.shape
    split = weight.reshape(groups, out // groups, within, height, width).transpose(1, 2)
    return split.reshape(groups * within, out // groups, height, width).flip(2, 3)
