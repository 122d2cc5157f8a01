"""What several rooms of these tests need and what is dear to make."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def gradient_artefact(tmp_path_factory) -> Path:
    """The artefact of a small Grad-MobileNet that was fitted to the OK images of the factories' texture."""
    from ml.methods.declarations import GradMobileNetParameters
    from ml.methods.grad_mobilenet import fit
    from tests.ml.factories import SIZE, make_pixels
    from tests.ml.methods.builders import training_set

    images = [make_pixels(1000 + number, is_ng=False) for number in range(40)]
    training = training_set(40, height=SIZE, width=SIZE, images=images)
    parameters = GradMobileNetParameters(weights="none", height=32, width=32, epochs=4, loss_limit=0.1)
    folder = tmp_path_factory.mktemp("artefacts") / "gradients"
    fit(training, parameters, seed=0).export(folder, {}, images[:4])
    return folder
