"""What there is to know of `maa` without loading it."""

from typing import Any, Final, Literal

from pydantic import Field, model_validator

from ml.methods.contract import Needs

from .base import MethodDeclaration, MethodParameters
from .memory import Workload


class MaaParameters(MethodParameters):
    """The preset `paper` is the paper's; the defaults are what measured best."""

    architecture: Literal["maa", "dae", "dae_skip"] = Field(
        default="maa",
        description="maa: memory, adversarial loss, distance of features. The paper's baselines: dae is "
        "encoder and decoder alone, trained and scored by the mean squared error; dae_skip adds skips.",
    )
    recipe: Literal["robust", "paper"] = Field(
        default="robust",
        description="Paper: Algorithm 1 to the letter, two fixed halves of the OK images. Robust: every "
        "image takes both parts, the generator is given a slope while the discriminator is ahead, and a "
        "forward pass is saved.",
    )
    size: int = Field(
        default=256,
        ge=32,
        le=1024,
        multiple_of=8,
        description="Side of the network's input; where proportions are kept, of a square of as many pixels.",
        json_schema_extra={"unit": "px"},
    )
    shape: Literal["kept", "square"] = Field(
        default="kept",
        description="Kept: the input has the proportions of the OK images (their median), so that fine lines "
        "are not squeezed away. Square is the paper's.",
    )
    batch: int = Field(
        default=16,
        ge=2,
        le=256,
        description="Images of A, and as many of B, in a step. The paper takes 32.",
        json_schema_extra={"unit": "images"},
    )
    iterations: int = Field(
        default=1500,
        ge=1,
        le=1_000_000,
        description="Of Algorithm 1's outer loop, or of a dae's training. The paper gives no number.",
    )
    rate: float = Field(
        default=0.0001, gt=0, le=1, description="Learning rate of Adam, α. The paper prints 10e-5."
    )
    beta1: float = Field(default=0.5, ge=0, lt=1, description="β₁ of Adam.")
    adversarial_weight: float = Field(
        default=0.1,
        gt=0,
        le=100,
        description="λ of eq. (10). The paper gives no value.",
    )
    pixel_weight: float = Field(
        default=10.0,
        ge=0,
        le=1000,
        description="Of |x_a - G(x_a)|, which is added to eq. (10) so that each image is rebuilt as itself. "
        "The paper has no such term.",
    )
    discriminator_steps: int = Field(
        default=1, ge=1, le=20, description="k: the discriminator's steps before one of the generator."
    )
    score: Literal["both", "lines", "patches", "fmd"] = Field(
        default="both",
        description="Lines: the strongest thin lines, cracks and scratches; no network takes part. "
        "Patches: the worst patches of the features against the rebuilt image's; stains and wear count too. "
        "Both: whichever stands out more. All against what the same place is on OK images, over the image's "
        "median place, so that small defects on uneven texture count. Fmd: the paper's Fréchet Markov "
        "distance of all patches at once, eq. (7). A dae has its own score, the mean squared error.",
    )
    map: Literal["score", "residual"] = Field(
        default="score",
        description="Score: what the score is made of, a value for 2 × 2 pixels (lines) or 8 × 8 (patches). "
        "Residual: the paper's local variance of |x - G(x)| for each pixel; it is the map of fmd and of a "
        "dae too.",
    )
    shrinkage: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="Of the features' covariance towards its mean variance: an image has fewer or hardly "
        "more patches than features. The paper gives no value.",
    )
    pauta_on: Literal["held_out", "train"] = Field(
        default="held_out",
        description="OK images that the map's scale and the normality test in the log are measured on. Held "
        "out: a tenth of the groups is set aside from the fit. Train: the images of the fit, as in the "
        "paper; their scores are too low. The threshold's own images are the Pauta rule's “μ and σ of”.",
    )
    precision: Literal["auto", "float32", "bf16"] = Field(
        default="auto",
        description="Arithmetic of training. Auto takes bf16 where this processor computes it natively.",
    )

    @model_validator(mode="before")
    @classmethod
    def of_an_older_card(cls, given: Any) -> Any:
        """Models of before the score by lines: their map was called after the only score that had one."""
        if isinstance(given, dict) and given.get("map") == "patches":
            return {"score": "patches", "pixel_weight": 0.0} | given | {"map": "score"}
        return given


MAA: Final = MethodDeclaration(
    name="maa",
    title="Memory-augmented adversarial autoencoder",
    when_to_use=(
        "You have OK images alone, fifty or more of them, of a surface that looks much the same each time. "
        "Learns to rebuild good parts and calls NG what it can't; finds defects that nobody has seen yet."
    ),
    needs=Needs(ok=10),
    Parameters=MaaParameters,
    presets={
        "paper": MaaParameters(
            recipe="paper",
            shape="square",
            batch=32,
            iterations=5000,
            score="fmd",
            map="residual",
            pixel_weight=0.0,
            pauta_on="train",
        ),
        "quick": MaaParameters(size=128, iterations=300),
    },
    module="ml.methods.maa",
    workload=lambda parameters: Workload(
        "maa", parameters.batch, parameters.size, parameters.size, sizes=("size",)
    ),
    threshold_rule="pauta",
)
