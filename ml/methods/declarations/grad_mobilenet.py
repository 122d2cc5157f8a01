"""What there is to know of `grad_mobilenet` without loading it."""

from typing import Final, Literal

from pydantic import Field, model_validator

from ml.methods.contract import Needs

from .base import MethodDeclaration, MethodParameters
from .memory import Workload


class GradMobileNetParameters(MethodParameters):
    """Grad-MobileNet. The preset `paper` is the paper's; the defaults are what measured best."""

    backbone: Literal["small", "large"] = Field(
        default="small", description="MobileNetV3's size. The paper does not say which it took."
    )
    weights: Literal["imagenet", "none"] = Field(
        default="imagenet",
        description="What it starts from: ImageNet weights, whose file must be on this machine, or random "
        "ones.",
    )
    height: int = Field(
        default=256,
        ge=32,
        le=2048,
        description="Rows of the network's input.",
        json_schema_extra={"unit": "px"},
    )
    width: int = Field(
        default=256,
        ge=32,
        le=2048,
        description="Columns of the network's input.",
        json_schema_extra={"unit": "px"},
    )
    loss_limit: float = Field(
        default=0.001,
        gt=0,
        lt=1,
        description="Training ends once the loss of the OK images, as the model will judge them, is below.",
    )
    epochs: int = Field(
        default=100, ge=1, le=10_000, description="Training ends after so many passes at the latest."
    )
    batch: int = Field(
        default=16, ge=2, le=512, description="Images in a step.", json_schema_extra={"unit": "images"}
    )
    rate: float = Field(default=0.001, gt=0, le=1, description="Learning rate of Adam.")
    scale: Literal["relative", "log", "linear"] = Field(
        default="relative",
        description="Of the gradient's features. An overfit model's gradients differ by powers of ten from "
        "image to image. Relative: logarithms, each cell's against the whole image's. Log: logarithms. "
        "Linear: as they are.",
    )
    weighting: Literal["blocks", "features"] = Field(
        default="blocks",
        description="Blocks: the cells together count as much as the mean norm, and as the landmark. "
        "Features: each cell does, so that the landmark is one of 258.",
    )
    landmark: Literal["proposed", "fixed"] = Field(
        default="proposed",
        description="Artificial landmark: the share of dark pixels. Proposed: up to the grey value that one "
        "in ten thousand pixels of the OK images is below. Fixed: the range given here.",
    )
    landmark_from: int = Field(
        default=0,
        ge=0,
        le=255,
        description="Least grey value of a fixed landmark.",
        json_schema_extra={"unit": "grey value"},
    )
    landmark_to: int = Field(
        default=50,
        ge=0,
        le=255,
        description="Greatest grey value of a fixed landmark.",
        json_schema_extra={"unit": "grey value"},
    )
    nu: float = Field(
        default=0.1,
        gt=0,
        le=0.5,
        description="One-class SVM: the share of the OK images that it may leave outside.",
    )

    @model_validator(mode="after")
    def _range_is_not_empty(self) -> "GradMobileNetParameters":
        if self.landmark_from > self.landmark_to:
            raise ValueError("landmark_from must not be above landmark_to")
        return self


GRAD_MOBILENET: Final = MethodDeclaration(
    name="grad_mobilenet",
    title="Grad-MobileNet, finds defect types",
    when_to_use=(
        "You have about fifty OK images and a heap of NG images that nobody has sorted. It trains on the OK "
        "images in minutes and proposes which NG images are of the same type. As a judge of OK and NG the "
        "other methods are stronger."
    ),
    needs=Needs(ok=20),
    Parameters=GradMobileNetParameters,
    presets={
        "paper": GradMobileNetParameters(
            scale="linear", weighting="features", landmark="fixed", landmark_from=0, landmark_to=50
        ),
        "quick": GradMobileNetParameters(height=128, width=128, epochs=30),
        "quick-scratch": GradMobileNetParameters(weights="none", height=128, width=128, epochs=30),
    },
    module="ml.methods.grad_mobilenet",
    workload=lambda parameters: Workload(
        f"grad_mobilenet {parameters.backbone}", parameters.batch, parameters.height, parameters.width
    ),
    pretrained=lambda parameters: (
        (f"mobilenet_v3_{parameters.backbone}",) if parameters.weights == "imagenet" else ()
    ),
    threshold_rule="quantile",
)
