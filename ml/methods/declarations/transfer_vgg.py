"""What there is to know of `transfer_vgg` without loading it."""

from typing import Final, Literal, Self

from pydantic import Field, model_validator

from ml.methods.contract import Needs

from .base import MethodDeclaration, MethodParameters
from .memory import Workload

INCEPTION_LEAST_PX: Final = 75


class TransferVggParameters(MethodParameters):
    """VGG16 for OK or NG. Preset `paper` is the paper's fine-tuning; the defaults draw OK and NG evenly."""

    recipe: Literal["scratch", "frozen", "fine_tune"] = Field(
        default="fine_tune",
        description="What is trained. Scratch: everything, from random weights. Frozen: the classifier "
        "alone. Fine_tune: the last convolution block and the classifier.",
    )
    backbone: Literal["vgg16", "resnet18", "mobilenet_v3_small", "mobilenet_v3_large", "inception_v3"] = (
        Field(default="vgg16", description="The network. VGG16 is the paper's, and makes models of 0.5 GB.")
    )
    weights: Literal["imagenet", "none"] = Field(
        default="imagenet",
        description="What it starts from: ImageNet weights, whose file must be on this machine, or random "
        "ones. From random weights only the recipe scratch makes sense for real work.",
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
        default=50,
        ge=1,
        le=10_000,
        description="Passes over the training images. The paper: 100 from scratch.",
    )
    batch: int = Field(
        default=32, ge=2, le=512, description="Images in a step.", json_schema_extra={"unit": "images"}
    )
    rate: float = Field(default=0.0001, gt=0, le=1, description="Learning rate of Adam.")
    hidden_units: int = Field(
        default=4096,
        ge=16,
        le=4096,
        description="Width of VGG16's two hidden layers. At 4096 they start from ImageNet weights as well; "
        "fewer make a smaller model. The other networks have classifiers of their own.",
    )
    balance: Literal["draw", "none"] = Field(
        default="draw",
        description="Draw: an epoch shows OK and NG equally often, however rare NG is. None: every image "
        "once, as in the paper, whose set is half NG.",
    )
    precision: Literal["auto", "float32", "bf16"] = Field(
        default="auto",
        description="Arithmetic of training. Auto takes bf16 where this processor computes it natively.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.recipe == "scratch" and self.weights != "none":
            raise ValueError("The recipe scratch starts from random weights: choose weights none.")
        if self.backbone == "inception_v3" and min(self.height, self.width) < INCEPTION_LEAST_PX:
            raise ValueError(f"inception_v3 needs at least {INCEPTION_LEAST_PX} × {INCEPTION_LEAST_PX} px.")
        return self


TRANSFER_VGG: Final = MethodDeclaration(
    name="transfer_vgg",
    title="Transfer learning, OK or NG",
    when_to_use=(
        "You have at least ten OK and ten NG images, the defects are visible without a magnifier, and the "
        "region of interest leaves out jig and background. Learns quickly from ImageNet weights."
    ),
    needs=Needs(ok=10, ng=10),
    Parameters=TransferVggParameters,
    presets={
        "paper": TransferVggParameters(balance="none"),
        "paper-frozen": TransferVggParameters(recipe="frozen", balance="none"),
        "paper-scratch": TransferVggParameters(recipe="scratch", weights="none", epochs=100, balance="none"),
        "quick": TransferVggParameters(backbone="resnet18", epochs=15, rate=0.0003),
        "quick-scratch": TransferVggParameters(
            recipe="scratch",
            backbone="resnet18",
            weights="none",
            height=128,
            width=128,
            epochs=20,
            rate=0.001,
        ),
    },
    module="ml.methods.transfer_vgg",
    workload=lambda parameters: Workload(
        f"transfer_vgg {parameters.backbone} {'whole' if parameters.recipe == 'scratch' else 'part'}",
        parameters.batch,
        parameters.height,
        parameters.width,
    ),
    pretrained=lambda parameters: (parameters.backbone,) if parameters.weights == "imagenet" else (),
)
