"""The methods by name: what each is for, what it needs, its parameters. Imports no torch."""

import importlib
from collections.abc import Mapping
from typing import Final, cast

from ml.methods.contract import Method

from .base import MethodDeclaration, MethodParameters
from .grad_mobilenet import GRAD_MOBILENET, GradMobileNetParameters
from .maa import MAA, MaaParameters
from .multipath_vgg import MULTIPATH_VGG, MultipathVggParameters
from .transfer_vgg import TRANSFER_VGG, TransferVggParameters
from .weak import WEAK, WeakParameters

__all__ = [
    "GRAD_MOBILENET",
    "MAA",
    "METHODS",
    "MULTIPATH_VGG",
    "TRANSFER_VGG",
    "WEAK",
    "GradMobileNetParameters",
    "MaaParameters",
    "MethodDeclaration",
    "MethodParameters",
    "MultipathVggParameters",
    "TransferVggParameters",
    "WeakParameters",
    "load_method",
]

METHODS: Final[Mapping[str, MethodDeclaration]] = {
    declared.name: declared for declared in (WEAK, MAA, MULTIPATH_VGG, TRANSFER_VGG, GRAD_MOBILENET)
}


def load_method(name: str) -> Method:
    """Imports the method's module, and torch with it.

    Raises:
        KeyError: no method of this name.
    """
    return cast("Method", importlib.import_module(METHODS[name].module))
