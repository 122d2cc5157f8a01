"""What there is to know of `multipath_vgg` without loading it."""

from typing import Final, Literal

from pydantic import Field

from ml.methods.contract import Needs

from .base import MethodDeclaration, MethodParameters
from .memory import Workload


class MultipathVggParameters(MethodParameters):
    """Multipath VGG19. Preset `paper` is the paper's, `vgg19` its baseline; defaults draw classes evenly."""

    branches: bool = Field(
        default=True,
        description="Take features from the middle of the network as well. Without, it is the plain VGG19 "
        "that the paper compares with.",
    )
    weights: Literal["imagenet", "none"] = Field(
        default="imagenet",
        description="What it starts from: ImageNet weights, whose file must be on this machine, or random "
        "ones.",
    )
    train_layers: Literal["last_conv", "all"] = Field(
        default="last_conv",
        description="Convolutions that are trained, with the branches and the classifier: the last one, as "
        "in the paper, or all, which takes many times as long.",
    )
    height: int = Field(
        default=224,
        ge=32,
        le=1024,
        description="Rows of the network's input.",
        json_schema_extra={"unit": "px"},
    )
    width: int = Field(
        default=224,
        ge=32,
        le=1024,
        description="Columns of the network's input.",
        json_schema_extra={"unit": "px"},
    )
    epochs: int = Field(
        default=30,
        ge=1,
        le=10_000,
        description="Passes over the training images. The paper chose them for each dataset, and tells none.",
    )
    batch: int = Field(
        default=32, ge=2, le=512, description="Images in a step.", json_schema_extra={"unit": "images"}
    )
    rate: float = Field(default=0.001, gt=0, le=1, description="Learning rate of Adam; the paper's default.")
    hidden_units: int = Field(default=2500, ge=16, le=8192, description="Neurons of the dense layer.")
    dropout: float = Field(
        default=0.5, ge=0, lt=1, description="After the dense layer, as in the paper, and in the branches."
    )
    rotation: float = Field(
        default=15.0,
        ge=0,
        le=180,
        description="Training images are turned by up to so much, either way.",
        json_schema_extra={"unit": "°"},
    )
    shift: float = Field(
        default=0.1,
        ge=0,
        le=0.5,
        description="Training images are shifted by up to so much of their height and width.",
    )
    flips: bool = Field(default=True, description="Half of the training images are mirrored, each way.")
    noise: float = Field(
        default=0.02,
        ge=0,
        le=0.5,
        description="Gaussian noise on training images: its standard deviation, of black to white.",
    )
    copies: int = Field(
        default=8,
        ge=0,
        le=1000,
        description="Augmented copies of an image that the epochs go round; what the frozen layers make of a "
        "copy is computed once. 0: a new copy at each epoch, as in the paper, at the full price.",
    )
    balance: Literal["draw", "none"] = Field(
        default="draw",
        description="Draw: an epoch shows every class equally often, however rare it is. None: every image "
        "once, as in the paper.",
    )
    precision: Literal["auto", "float32", "bf16"] = Field(
        default="auto",
        description="Arithmetic of training. Auto takes bf16 where this processor computes it natively.",
    )


PAPER: Final = MultipathVggParameters(copies=0, balance="none")

MULTIPATH_VGG: Final = MethodDeclaration(
    name="multipath_vgg",
    title="Multipath VGG19, defect types",
    when_to_use=(
        "You have labelled images of each defect type and want to know which type a part has, not only that "
        "it is NG. Looks at fine texture and coarse shape at once."
    ),
    needs=Needs(ok=2, ng=2, per_class=2),
    Parameters=MultipathVggParameters,
    presets={
        "paper": PAPER,
        "vgg19": PAPER.model_copy(update={"branches": False}),
        "quick": MultipathVggParameters(height=160, width=160, epochs=15, copies=3),
        "quick-scratch": MultipathVggParameters(weights="none", height=160, width=160, epochs=15, copies=3),
    },
    module="ml.methods.multipath_vgg",
    workload=lambda parameters: Workload(
        "multipath_vgg", parameters.batch, parameters.height, parameters.width, copies=parameters.copies
    ),
    pretrained=lambda parameters: ("vgg19",) if parameters.weights == "imagenet" else (),
)
