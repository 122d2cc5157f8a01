"""What there is to know of the toy method without loading it; imports no torch."""

from pydantic import Field

from ml.methods.contract import Needs
from ml.methods.declarations import MethodDeclaration, MethodParameters


class ToyParameters(MethodParameters):
    iterations: int = Field(default=20, ge=1, le=100_000)
    hold: str = Field(
        default="",
        description="Folder: while a file with the name of a fit lies in it, that fit waits half-way.",
    )


TOY = MethodDeclaration(
    name="toy",
    title="Toy",
    when_to_use="In tests.",
    needs=Needs(ok=5, ng=5),
    Parameters=ToyParameters,
    presets={},
    module="tests.ml.toy",
)
