"""The methods by name: what each is for, what it needs, its parameters. Imports no torch."""

import importlib
from collections.abc import Mapping
from typing import Final, cast

from ml.methods.contract import Method

from .base import MethodDeclaration, MethodParameters
from .weak import WEAK, WeakParameters

__all__ = ["METHODS", "WEAK", "MethodDeclaration", "MethodParameters", "WeakParameters", "load_method"]

METHODS: Final[Mapping[str, MethodDeclaration]] = {declared.name: declared for declared in (WEAK,)}


def load_method(name: str) -> Method:
    """Imports the method's module, and torch with it.

    Raises:
        KeyError: no method of this name.
    """
    return cast("Method", importlib.import_module(METHODS[name].module))
