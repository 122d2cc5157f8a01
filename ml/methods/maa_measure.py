"""What a fitted `maa` gives on OK images: the scale of its map, and what its scoring takes for usual."""

from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
import torch
from torch import Tensor

from ml.methods.maa_comparisons import FeaturePairs, Several
from ml.methods.maa_served import MaaNetwork, ReconstructionNetwork
from ml.scoring import FrechetMarkov, Identity, Scoring, UsualWorst, WorstOfSeveral, WorstPatches

MAP_SHARE: Final = 0.999  # of the OK images' maps that lies below 1
LEAST_DEVIATION: Final = 0.01  # of a logarithm, where OK images are all alike

EachBatch = Callable[[], Iterable[Tensor]]  # OK images, [1, 3, H, W] each, as often as it is called


def scoring_of(network: ReconstructionNetwork, each: EachBatch, shrinkage: float) -> Scoring:
    """From raw output to scores. The mean squared error of a dae is its score as it is.

    Args:
        network: of several comparisons, each one's scale on the map is set too.
        each: OK images that several comparisons are put into proportion by.
        shrinkage: of the covariances of eq. (7).
    """
    if not isinstance(network, MaaNetwork):
        return Identity()
    comparison = network.comparison
    if isinstance(comparison, FeaturePairs):
        return FrechetMarkov(shrinkage)
    if not isinstance(comparison, Several):
        return WorstPatches(comparison.scale.numel(), comparison.top_share)
    with torch.inference_mode():
        raw = torch.cat([network(batch)[0].cpu() for batch in each()])
        maps = comparison.maps_of(raw)
    parts, start = [], 0
    for number, part in enumerate(comparison.each):
        comparison.part_scales[number] = _usual_most([maps[number].numpy()], least=1.0)
        places = part.scale.numel()
        alone = WorstPatches(places, part.top_share)
        usual = alone(raw[:, start : start + places].numpy()).scores
        deviation = max(float(usual.std(ddof=min(1, len(usual) - 1))), LEAST_DEVIATION)
        parts.append(UsualWorst(places, alone.share, float(usual.mean()), deviation))
        start += places
    return WorstOfSeveral(tuple(parts))


def measure_map(network: ReconstructionNetwork, each: EachBatch) -> None:
    """Sets the scale of the map: 1 is what one value in a thousand of these OK images reaches."""
    with torch.inference_mode():
        maps = [network(batch)[1].cpu().numpy() for batch in each()]
    network.map_scale.fill_(_usual_most(maps, network.least_scale))


def ok_scores(network: ReconstructionNetwork, scoring: Scoring, each: EachBatch) -> np.ndarray:
    """float64 [N]."""
    with torch.inference_mode():
        return np.concatenate([scoring(network(batch)[0].cpu().numpy()).scores for batch in each()])


def _usual_most(maps: list[np.ndarray], least: float) -> float:
    return max(float(np.quantile(np.concatenate(maps), MAP_SHARE)), least)
