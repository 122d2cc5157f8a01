"""Lines and patches side by side, and what they are on OK images."""

import pytest
import torch

from ml.methods import maa
from ml.methods.declarations import MaaParameters
from ml.methods.maa_comparisons import Compared, Several
from ml.methods.maa_lines import LineResponses
from ml.methods.maa_network import FEATURES
from ml.methods.maa_patches import PatchDistances
from tests.ml.methods.builders import training_set


def both(size: int = 64) -> Several:
    return Several([LineResponses(size, size), PatchDistances(size // 8 - 1, size // 8 - 1, shrinkage=0.1)])


def compared(size: int = 64) -> Compared:
    rng = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, size, size, generator=rng) * 0.2
    features = torch.randn(2, FEATURES, size // 8 - 1, size // 8 - 1, generator=rng)
    return Compared(images, torch.zeros_like(images), features, torch.zeros_like(features))


def test_the_distances_stand_side_by_side_with_the_descriptors_last():
    several, one = both(), compared()
    lines, patches = several.each
    raw = several(one)
    torch.testing.assert_close(raw[:, :576], lines.distances(one).flatten(1))
    torch.testing.assert_close(raw[:, 576:625], patches.distances(one).flatten(1))
    torch.testing.assert_close(raw[:, 625:], one.descriptors)


def test_the_map_is_the_larger_one_in_its_own_scale_and_as_fine_as_the_finest():
    several = both()
    raw = several(compared())
    lines, patches = several.maps_of(raw)
    several.part_scales.copy_(torch.tensor([1e9, 2.0]))
    heat = several.map_of(raw)
    assert heat.shape == (2, 32, 32)
    assert heat[0].max().item() == pytest.approx(patches[0].max().item() / 2)
    several.part_scales.copy_(torch.tensor([4.0, 1e9]))
    torch.testing.assert_close(several.map_of(raw)[:, 4:-4, 4:-4], lines[:, 4:-4, 4:-4] / 4)


def test_of_ok_images_each_comparison_has_mean_nought_and_deviation_one():
    training = training_set(24, height=32, width=32)
    tiny = MaaParameters(size=32, batch=2, iterations=2, pauta_on="train", precision="float32")
    model = maa.fit(training, tiny, seed=0)
    ok = [pixels for pixels, is_ng in zip(training.images, training.is_ng, strict=True) if not is_ng]
    with torch.inference_mode():
        pixels = model.preprocessing.apply(ok)
        raw = model.network(torch.from_numpy(pixels))[0].numpy()
    start = 0
    for part in model.scoring.parts:
        deviations = part.deviations(raw[:, start : start + part.places])
        assert deviations.mean() == pytest.approx(0, abs=1e-3)
        assert deviations.std(ddof=1) == pytest.approx(1, abs=1e-3)
        start += part.places
    assert model.predict(ok).scores.mean() > 0
