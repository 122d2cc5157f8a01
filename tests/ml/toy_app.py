"""The product's Celery application on workers that know the toy method beside the real ones."""

from celery.signals import worker_process_init

from inspection.config.celery import app

__all__ = ["app"]


@worker_process_init.connect
def know_the_toy(**_kwargs: object) -> None:
    from ml.methods.declarations import METHODS
    from tests.ml.toy import TOY

    METHODS["toy"] = TOY
