import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from torch import nn

from ml.methods.weak_network import (
    DNET,
    LNET,
    LSE_SHARPNESS,
    SHARED,
    WeakNetwork,
    collaborative_factor,
    loss_ng,
    loss_ok,
    mean_heat,
    place_loss,
    top_logit,
)


def network(normalisation="instance", pooling="lse", initial_q=0.1, seed=0):
    torch.manual_seed(seed)
    return WeakNetwork(normalisation, pooling, initial_q).eval()


def images(count, height=64, width=64, seed=1):
    return torch.randn(count, 1, height, width, generator=torch.Generator().manual_seed(seed))


def test_the_tables_are_the_papers():
    assert [(r.filters, r.kernel) for r in SHARED if r.layer == "conv"] == [
        (32, 3), (32, 3), (64, 3), (64, 3), (128, 3), (128, 3), (128, 3)
    ]  # fmt: skip
    assert [(r.filters, r.kernel) for r in LNET] == [(64, 5), (64, 5), (512, 15)]
    assert [(r.filters, r.kernel) for r in DNET if r.layer == "conv"] == [
        (64, 3),
        (64, 3),
        (128, 3),
        (256, 3),
    ]
    assert sum(r.layer == "max_pool" for r in SHARED) == sum(r.layer == "max_pool" for r in DNET) == 3
    assert [layer.out_features for layer in network().dense if isinstance(layer, nn.Linear)] == [266, 1]


@pytest.mark.parametrize(
    ("height", "width", "map_size"),
    [(64, 64, (8, 8)), (72, 120, (9, 15)), (67, 93, (9, 12)), (65, 64, (9, 8))],
)
def test_any_size_gives_a_map_of_an_eighth(height, width, map_size):
    logit, heat_map = network()(images(2, height, width))
    assert logit.shape == (2,)
    assert heat_map.shape == (2, *map_size)


def test_the_joined_score_is_the_mean_log_odds_of_decision_and_hottest_cells():
    batch, decision, joined = images(3), network(), network()
    joined.joins_map = True
    (alone, heat_map), (together, same_map) = decision(batch), joined(batch)
    hottest = torch.logit(heat_map.flatten(1).amax(dim=1))  # one of 64 cells
    torch.testing.assert_close(together, (alone + hottest) / 2, rtol=1e-5, atol=1e-5)
    assert torch.equal(heat_map, same_map)


def test_a_size_that_is_padded_gives_what_padding_by_reflection_beforehand_gives():
    net, image = network(), images(1, 67, 93)
    padded = nn.functional.pad(image, (0, 3, 0, 5), mode="reflect")
    with torch.no_grad():
        assert torch.equal(net(image)[1], net(padded)[1])


@pytest.mark.parametrize("normalisation", ["group", "instance"])
@pytest.mark.parametrize("is_map_normalised", [True, False])
def test_training_and_inference_are_the_same_function(normalisation, is_map_normalised):
    net, image = WeakNetwork(normalisation, "lse", 0.1, is_map_normalised=is_map_normalised).eval(), images(2)
    with torch.no_grad():
        inferred = net(image)
        trained = net.train()(image)
    assert torch.equal(inferred[0], trained[0])
    assert torch.equal(inferred[1], trained[1])


@pytest.mark.parametrize("normalisation", ["group", "instance"])
@pytest.mark.parametrize("pooling", ["lse", "average"])
def test_a_score_does_not_depend_on_its_neighbours(normalisation, pooling):
    net, batch = network(normalisation, pooling), images(4)
    with torch.no_grad():
        together = net(batch)
        for index in range(4):
            alone = net(batch[index : index + 1])
            torch.testing.assert_close(alone[0][0], together[0][index], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(alone[1][0], together[1][index], atol=1e-5, rtol=1e-5)


def test_an_even_image_has_an_even_map_up_to_its_borders():
    with torch.no_grad():
        _, heat_map = network()(torch.full((1, 1, 96, 96), 0.7))
    assert float(heat_map.max() - heat_map.min()) < 1e-5


def test_the_map_begins_near_its_initial_value():
    with torch.no_grad():
        _, heat_map = network(initial_q=0.02)(images(4))
    assert 0.002 < float(heat_map.mean()) < 0.2


def test_the_papers_head_gives_every_image_one_spread_and_the_other_does_not():
    faint, strong = images(1), images(1, seed=2) * 5
    strong[0, 0, 30:34, 10:50] += 40
    spreads = []
    for is_map_normalised in (True, False):
        torch.manual_seed(0)
        net = WeakNetwork("group", "lse", 0.5, is_map_normalised=is_map_normalised).eval()
        with torch.no_grad():
            spreads.append([float(torch.logit(net(image)[1]).std()) for image in (faint, strong)])
    assert spreads[0] == pytest.approx([1.0, 1.0], abs=0.01)
    assert abs(spreads[1][1] / spreads[1][0] - 1) > 0.05


def test_a_cold_map_leaves_the_features_and_a_hot_one_doubles_them():
    net, seen = network(), []
    net.decide.register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
    features = torch.rand(1, 128, 8, 8)
    with torch.no_grad():
        net.decision(features, torch.zeros(1, 1, 8, 8))
        net.decision(features, torch.ones(1, 1, 8, 8))
    torch.testing.assert_close(seen[0], features)
    torch.testing.assert_close(seen[1], 2 * features)


def test_log_sum_exp_pooling_is_scipys_and_lies_between_mean_and_maximum():
    values = torch.randn(2, 3, 5, 7)
    pooled = network()._pooled(values).numpy()
    flat = values.flatten(2).numpy()
    expected = (logsumexp(LSE_SHARPNESS * flat, axis=2) - math.log(35)) / LSE_SHARPNESS
    np.testing.assert_allclose(pooled, expected, rtol=1e-5)
    assert (flat.mean(axis=2) <= pooled).all()
    assert (pooled <= flat.max(axis=2)).all()


def test_average_pooling_is_the_mean():
    values = torch.randn(2, 3, 5, 7)
    torch.testing.assert_close(network(pooling="average")._pooled(values), values.mean(dim=(2, 3)))


def test_losses_worked_out_by_hand():
    q = torch.tensor([0.5, 0.1])
    torch.testing.assert_close(
        loss_ng(q), torch.tensor([-math.log(2), 0.1 * math.log(0.1) + 0.9 * math.log(0.9)])
    )
    torch.testing.assert_close(loss_ok(q), torch.tensor([math.log(2), -math.log(0.9)]))


def test_the_ng_loss_is_least_where_half_of_the_image_is_hot():
    q = torch.linspace(0.01, 0.99, 99)
    assert float(q[loss_ng(q).argmin()]) == pytest.approx(0.5)
    assert loss_ok(q).argmin() == 0


def test_gradients_of_the_losses_are_those_of_finite_differences():
    maps = torch.rand(2, 1, 3, 4, dtype=torch.float64) * 0.8 + 0.1
    maps.requires_grad_()
    assert torch.autograd.gradcheck(lambda m: loss_ng(mean_heat(m)), maps)
    assert torch.autograd.gradcheck(lambda m: loss_ok(mean_heat(m)), maps)
    assert torch.autograd.gradcheck(lambda m: top_logit(m, 0.3), maps)
    masks = torch.zeros(2, 1, 24, 32, dtype=torch.bool)
    masks[0, 0, 5, 9] = True
    assert torch.autograd.gradcheck(lambda m: place_loss(m, masks), maps)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_map_at_its_end_still_has_finite_losses(value):
    q = mean_heat(torch.full((1, 1, 4, 4), value))
    assert torch.isfinite(loss_ng(q)).all()
    assert torch.isfinite(loss_ok(q)).all()


def test_the_top_is_the_mean_of_the_hottest_cells_of_each_image():
    logits = torch.stack([torch.arange(100.0) - 200, torch.zeros(100)]).reshape(2, 1, 10, 10)
    logits[1, 0, 3, 3] = 8
    assert top_logit(logits, 0.02).tolist() == pytest.approx([-101.5, 4.0])
    assert top_logit(logits, 0.0001)[1] == pytest.approx(8)


def test_a_map_that_is_cold_to_the_last_bit_still_learns_from_an_ng_image():
    logits = torch.full((1, 1, 4, 4), -200.0, requires_grad=True)
    nn.functional.binary_cross_entropy_with_logits(top_logit(logits, 0.1), torch.ones(1)).backward()
    assert torch.sigmoid(logits).max() == 0
    assert logits.grad.sum() == pytest.approx(-1)


class TestPlaceLoss:
    """A defect of one pixel in the cell at row 3, column 5, of 8 × 8 cells."""

    masks = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    masks[0, 0, 29, 43] = True

    def loss(self, **hot: tuple[int, int]) -> float:
        logits = torch.full((1, 1, 8, 8), -8.0)
        for row, column in hot.values():
            logits[0, 0, row, column] = 8
        return float(place_loss(logits, self.masks))

    def test_it_is_least_where_the_defect_alone_is_hot(self):
        assert self.loss(defect=(3, 5)) < 0.01 < 8 < self.loss()

    def test_a_hot_cell_beside_the_defect_costs_nothing(self):
        assert self.loss(defect=(3, 5), beside=(4, 6)) == self.loss(defect=(3, 5))

    def test_a_hot_cell_elsewhere_costs_its_logit(self):
        assert self.loss(defect=(3, 5), elsewhere=(6, 1)) == pytest.approx(8 + 8 / 54, abs=0.01)

    def test_a_defect_that_fills_the_image_leaves_nothing_to_be_cold(self):
        everywhere = torch.ones(1, 1, 16, 16, dtype=torch.bool)
        assert float(place_loss(torch.zeros(1, 1, 2, 2), everywhere)) == pytest.approx(math.log(2))


def test_the_factor_begins_and_ends_at_its_first_value_and_is_half_of_it_midway():
    factors = [collaborative_factor(step, 750, 30, 8.0) for step in range(1, 751)]
    assert factors[0] == factors[-1] == pytest.approx(8.0)
    assert min(factors) == pytest.approx(4.0, abs=0.05)
    assert factors[28] == factors[0] != factors[29]
    assert len(set(np.round(factors, 9))) == 13  # 25 updates, alike on the way down and up


def test_a_stage_shorter_than_an_update_has_a_factor():
    assert collaborative_factor(3, 5, 30, 8.0) == 8.0
