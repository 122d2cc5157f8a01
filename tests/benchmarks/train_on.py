"""A `weak` training that goes on until it is ended; says so once it is at work."""

import json
import sys

from ml.methods.contract import Progress
from ml.methods.declarations import WEAK, load_method

from .made import made_training_set


def main() -> None:
    parameters = WEAK.Parameters.model_validate(json.loads(sys.argv[1]))
    assert WEAK.workload is not None
    training = made_training_set(WEAK, WEAK.workload(parameters))
    is_told = False

    def tell(event: Progress) -> None:
        nonlocal is_told
        if not is_told and event.iteration:
            is_told = True
            print("at work", flush=True)  # noqa: T201

    load_method("weak").fit(training, parameters, seed=0, on_progress=tell)


if __name__ == "__main__":
    main()
