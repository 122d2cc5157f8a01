"""The product's Celery application, which knows the toy method beside the real ones."""

from inspection.config.celery import app
from ml.methods.declarations import METHODS
from tests.ml.toy_declaration import TOY

__all__ = ["app"]

METHODS["toy"] = TOY
