"""What there is to know of `weak` without loading it."""

from typing import Final, Literal

from pydantic import Field

from ml.methods.contract import Needs

from .base import MethodDeclaration, MethodParameters
from .memory import Workload

SPECTRA_FROM_PX: Final = 96_000  # of the input: maps of 1,500 cells of 8 × 8


class WeakParameters(MethodParameters):
    """LNet and DNet. The preset `paper` is the paper's; the defaults are what trains dependably."""

    recipe: Literal["robust", "paper"] = Field(
        default="robust",
        description="Paper: plain SGD, a step after each image, its loss alone; whether stage 1 finds the "
        "defects is a matter of luck. Robust: Adam, a step after each pair, a term for the hottest cells.",
    )
    pairs: int = Field(
        default=2,
        ge=1,
        le=64,
        description="NG and OK images in an iteration, so many of each.",
    )
    artificial: int = Field(
        default=0,
        ge=0,
        le=64,
        description="OK images in an iteration that defects are drawn into: their places are known, so the "
        "heat map learns where a defect is. For inputs of few pixels, whose map else lights up beside it; "
        "where good surfaces have specks of their own, fewer are told from defects.",
        json_schema_extra={"unit": "images"},
    )
    flips: bool = Field(
        default=True,
        description="Half of the training images are mirrored, each way. Switch it off where a mirrored good "
        "part would be a defective one.",
    )
    height: int = Field(
        default=1408,
        ge=64,
        le=4096,
        description="Rows of the network's input.",
        json_schema_extra={"unit": "px"},
    )
    width: int = Field(
        default=512,
        ge=64,
        le=4096,
        description="Columns of the network's input.",
        json_schema_extra={"unit": "px"},
    )
    stage1_iterations: int = Field(
        default=750,
        ge=1,
        le=100_000,
        description="Stage 1, shared layers and LNet.",
    )
    stage1_rate: float = Field(default=0.001, gt=0, le=1, description="Learning rate of stage 1.")
    stage2_iterations: int = Field(
        default=1200,
        ge=2,
        le=100_000,
        description="Stage 2, DNet on frozen features; its rate falls to a tenth half-way.",
    )
    stage2_rate: float = Field(
        default=0.001, gt=0, le=1, description="Learning rate of stage 2's first half."
    )
    stage3_iterations: int = Field(default=300, ge=0, le=100_000, description="Stage 3, the whole network.")
    stage3_rate: float = Field(default=0.0001, gt=0, le=1, description="Learning rate of stage 3.")
    alpha_init: float = Field(
        default=8.0,
        gt=0,
        le=100,
        description="Collaborative factor: how much an OK image weighs against an NG one, eq. (6).",
    )
    alpha_every: int = Field(
        default=30,
        ge=1,
        le=10_000,
        description="The factor is updated each so many iterations.",
        json_schema_extra={"unit": "iterations"},
    )
    initial_heat: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="Value of the heat map everywhere before training. The paper does not give one.",
    )
    pooling: Literal["lse", "average"] = Field(
        default="lse",
        description="DNet's last pooling. Log-sum-exp keeps small defects; average is the other reading.",
    )
    score: Literal["joined", "decision"] = Field(
        default="joined",
        description="Decision: DNet's probability, as in the paper. Joined: the mean of its log-odds and of "
        "those of the map's hottest cells; what one of them misses, the other may see.",
    )
    normalisation: Literal["group", "instance"] = Field(
        default="instance",
        description="Both are the same function in training and on the line. Instance is batch "
        "normalisation at batch 1 as it trains.",
    )
    precision: Literal["auto", "float32", "bf16"] = Field(
        default="auto",
        description="Arithmetic of training. Auto takes bf16 where this processor computes it natively.",
    )


def _workload(parameters: WeakParameters) -> Workload:
    """Maps of few cells are convolved as they stand; others by spectra of the kernels, which take memory."""
    height, width = parameters.height, parameters.width
    network = "weak" if height * width >= SPECTRA_FROM_PX else "weak small"
    at_once = max(2 * parameters.pairs, parameters.artificial)
    return Workload(network, at_once, height, width, copies=4 if parameters.flips else 1)


WEAK: Final = MethodDeclaration(
    name="weak",
    title="LNet and DNet",
    when_to_use=(
        "You have OK images and at least five NG images, labelled as whole images. Learns from scratch where "
        "the defect is and whether there is one; good at small, faint defects on a regular surface."
    ),
    needs=Needs(ok=5, ng=5),
    Parameters=WeakParameters,
    presets={
        "paper": WeakParameters(
            recipe="paper",
            pairs=1,
            flips=False,
            score="decision",
            normalisation="instance",
            stage1_rate=0.1,
            stage2_rate=0.01,
            stage3_rate=0.001,
            initial_heat=0.5,
        ),
        "quick": WeakParameters(
            height=352,
            width=128,
            stage1_iterations=600,
            stage2_iterations=300,
            stage3_iterations=100,
        ),
        "demo": WeakParameters(
            pairs=3,
            artificial=2,
            flips=False,
            height=96,
            width=96,
            stage1_iterations=60,
            stage2_iterations=80,
            stage3_iterations=10,
        ),
    },
    module="ml.methods.weak",
    workload=_workload,
)
