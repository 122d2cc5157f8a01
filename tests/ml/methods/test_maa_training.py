import numpy as np
import pytest
import torch
from safetensors.torch import save

from ml.methods import maa, staged
from ml.methods.contract import NotEnoughImages, TrainingDiverged, TrainingStopped
from ml.methods.declarations import MaaParameters
from ml.methods.maa_training import AdversarialTraining, MaaTraining, without_gradients
from tests.ml.methods.builders import training_set


def tiny(**fields) -> MaaParameters:
    """As small as the network goes: a fit of a second or two on one core."""
    values = {"size": 32, "batch": 2, "iterations": 4, "precision": "float32"}
    return MaaParameters(**(values | fields))


def images(**fields):
    return training_set(24, height=32, width=32, **fields)


def weights_of(model) -> torch.Tensor:
    return torch.cat([weight.flatten().double() for weight in model.network.state_dict().values()])


def weights_as_file(model) -> bytes:
    return save({name: one.contiguous() for name, one in model.network.state_dict().items()})


class StopAt:
    """A stop signal that comes at its n-th asking."""

    def __init__(self, asked: int) -> None:
        self.left = asked

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize(
    "variant",
    [{"recipe": "robust"}, {"recipe": "paper", "discriminator_steps": 2}, {"architecture": "dae_skip"}],
    ids=lambda one: "-".join(map(str, one.values())),
)
def test_a_stopped_fit_goes_on_to_the_very_same_model(tmp_path, variant):
    parameters = tiny(**variant)
    uninterrupted = maa.fit(images(), parameters, seed=3)
    with pytest.raises(TrainingStopped):
        maa.fit(images(), parameters, seed=3, checkpoint=tmp_path, stop=StopAt(2))
    seen = []
    resumed = maa.fit(images(), parameters, seed=3, checkpoint=tmp_path, on_progress=seen.append)
    assert "from iteration 2" in seen[0].message
    assert torch.equal(weights_of(resumed), weights_of(uninterrupted))


def test_a_fit_that_is_killed_goes_on_from_its_last_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(staged, "CHECKPOINT_EVERY", 2)

    def killed(event):
        if event.iteration == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        maa.fit(images(), tiny(), seed=3, checkpoint=tmp_path, on_progress=killed)
    seen = []
    maa.fit(images(), tiny(), seed=3, checkpoint=tmp_path, on_progress=seen.append)
    assert "from iteration 2" in seen[0].message


def test_ng_images_are_never_looked_at():
    training = images()
    ok_alone = [pixels if index % 2 == 0 else None for index, pixels in enumerate(training.images)]
    model = maa.fit(images(images=ok_alone), tiny(iterations=2), seed=0)
    assert torch.equal(weights_of(model), weights_of(maa.fit(training, tiny(iterations=2), seed=0)))


def test_too_few_ok_images_are_refused_before_anything_is_read():
    with pytest.raises(NotEnoughImages, match="10 OK images are needed; there are 9"):
        maa.fit(training_set(18, images=[None] * 18), tiny(), seed=0)


def test_progress_ends_at_one_and_tells_both_players():
    seen = []
    maa.fit(images(), tiny(iterations=2), seed=0, on_progress=seen.append)
    assert seen[-1].fraction == 1
    assert seen[-2].series.keys() == {
        "Discriminator loss", "D(x_b)", "D(G(x_a))", "Feature loss", "Adversarial loss", "Pixel loss"
    }  # fmt: skip
    assert "at 32 × 32 px, on 11 OK images; 1 others are measured" in seen[0].message
    assert seen[-1].message.startswith("Set aside from the fit: One OK score")


def test_dae_is_told_by_its_one_loss():
    seen = []
    maa.fit(images(), tiny(architecture="dae", iterations=2), seed=0, on_progress=seen.append)
    assert seen[-2].series.keys() == {"Reconstruction loss"}


def test_the_papers_halves_share_no_image_and_the_robust_recipe_shows_all_as_both():
    for recipe, is_paper in (("paper", True), ("robust", False)):
        run = MaaTraining(images(), tiny(recipe=recipe, pauta_on="train"), 0)
        game = AdversarialTraining(run, run.network)
        assert (not set(game.set_a) & set(game.set_b)) == is_paper
        assert set(game.set_a) | set(game.set_b) == set(range(0, 24, 2))


@pytest.mark.parametrize(("recipe", "passes"), [("paper", 3), ("robust", 2)])
def test_the_paper_draws_anew_for_the_generator_and_the_robust_recipe_goes_on(monkeypatch, recipe, passes):
    drawn = []
    real = AdversarialTraining.made
    monkeypatch.setattr(
        AdversarialTraining,
        "made",
        lambda self, draw, *, with_gradient: (
            drawn.append((draw, with_gradient)) or real(self, draw, with_gradient=with_gradient)
        ),
    )
    maa.fit(images(), tiny(recipe=recipe, discriminator_steps=2, iterations=2), seed=0)
    assert [draw for draw, _ in drawn] == list(range(2 * passes))
    assert [with_gradient for _, with_gradient in drawn] == ([False] * (passes - 1) + [True]) * 2


def losses_of_a_step(recipe: str, part: str, pixel_weight: float = 0.0):
    """x_b, G(x_a) and the gradient that one player's step leaves, before its optimiser forgets it."""
    run = MaaTraining(images(), tiny(recipe=recipe, adversarial_weight=0.5, pixel_weight=pixel_weight), 0)
    run.network.train()
    game = AdversarialTraining(run, run.network)
    x_b, (x_a, made) = run.batch([0, 2]), game.made(0, with_gradient=True)
    module = run.network.generator if part == "generate" else run.network.markov
    optimiser = torch.optim.SGD(module.parameters(), lr=1.0)
    before = [weight.detach().clone() for weight in module.parameters()]
    if part == "generate":
        game.generate(optimiser, x_a, x_b, made)
    else:
        game.discriminate(optimiser, x_b, made.detach())
    return x_b, made, [old - new.detach() for old, new in zip(before, module.parameters(), strict=True)]


@pytest.mark.parametrize(("recipe", "pixel_weight"), [("paper", 0), ("robust", 0), ("robust", 3)])
def test_the_generator_descends_equation_ten_and_rebuilds_its_own_image(recipe, pixel_weight):
    x_b, _, moved = losses_of_a_step(recipe, "generate", pixel_weight)
    again = MaaTraining(images(), tiny(recipe=recipe), 0)
    again.network.train()
    x_a = again.drawn(AdversarialTraining(again, again.network).set_a, 0, 0)
    made = again.network.generator(x_a)
    features = again.network.markov(torch.cat([x_b, made]))
    d = torch.sigmoid(again.discriminator(features))[2:]
    adversarial = torch.log(1 - d).mean() if recipe == "paper" else -torch.log(d).mean()
    loss = (features[:2].detach() - features[2:]).abs().mean() + 0.5 * adversarial
    loss = loss + pixel_weight * (made - x_a).abs().mean()
    expected = torch.autograd.grad(loss, list(again.network.generator.parameters()))
    for given, wanted in zip(moved, expected, strict=True):
        torch.testing.assert_close(given, wanted, rtol=1e-3, atol=1e-5)


def test_the_discriminator_ascends_equation_nine():
    x_b, made, moved = losses_of_a_step("paper", "discriminate")
    again = MaaTraining(images(), tiny(recipe="paper"), 0)
    markov, discriminator = again.network.markov.train(), again.discriminator
    real, fake = torch.sigmoid(discriminator(markov(torch.cat([x_b, made.detach()])))).chunk(2)
    reward = torch.log(real).mean() + torch.log(1 - fake).mean()
    expected = torch.autograd.grad(reward, list(markov.parameters()))
    for given, wanted in zip(moved, expected, strict=True):
        torch.testing.assert_close(given, -wanted, rtol=1e-3, atol=1e-5)


def test_the_generators_step_leaves_the_discriminators_weights_alone():
    run = MaaTraining(images(), tiny(), 0)
    run.network.train()
    game = AdversarialTraining(run, run.network)
    before = [weight.detach().clone() for weight in run.network.markov.parameters()]
    x_a, made = game.made(0, with_gradient=True)
    game.generate(run.adam(run.network.generator), x_a, run.batch([0, 2]), made)
    for weight, old in zip(run.network.markov.parameters(), before, strict=True):
        assert torch.equal(weight, old)
        assert weight.requires_grad
        assert weight.grad is None


def test_weights_learn_again_after_an_error():
    layer = torch.nn.Linear(1, 1)
    with pytest.raises(ZeroDivisionError), without_gradients(layer):
        1 / int(layer.weight.requires_grad)
    assert layer.weight.requires_grad


def test_a_loss_that_is_no_number_ends_the_fit_with_its_step_and_the_last_good_checkpoint(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(staged, "CHECKPOINT_EVERY", 1)
    real = AdversarialTraining.made

    def poisoned(self, draw, *, with_gradient):
        x_a, made = real(self, draw, with_gradient=with_gradient)
        return x_a, made * float("nan") if draw == 2 else made

    monkeypatch.setattr(AdversarialTraining, "made", poisoned)
    with pytest.raises(TrainingDiverged, match="Algorithm 1 was not finite at step 3") as diverged:
        maa.fit(images(), tiny(), seed=3, checkpoint=tmp_path)
    assert diverged.value.checkpoint == tmp_path


def test_more_images_in_a_batch_than_there_are_come_round_again():
    model = maa.fit(images(), tiny(batch=40, iterations=1, architecture="dae"), seed=0)
    assert np.isfinite(model.predict(images().images).scores).all()


@pytest.mark.parametrize(
    ("score", "kind", "shape"),
    [
        ("patches", "score", (3, 3)),
        ("lines", "score", (16, 16)),
        ("both", "score", (16, 16)),
        ("lines", "residual", (32, 32)),
    ],
)
def test_the_map_is_of_the_places_that_are_scored_or_of_the_pixels(score, kind, shape):
    model = maa.fit(images(), tiny(score=score, map=kind, iterations=1), seed=0)
    assert model.predict(images().images[:2]).maps.shape == (2, *shape)


@pytest.mark.parametrize(
    "variant", [{"score": "both"}, {"score": "lines"}, {"score": "patches"}, {"architecture": "dae"}]
)
def test_constant_and_identical_images_give_finite_scores_and_maps(variant):
    grey = [np.full((8, 8), 90, np.uint8)] * 24
    model = maa.fit(images(images=grey), tiny(**variant, iterations=2), seed=0)
    prediction = model.predict([*grey[:2], np.full((8, 8, 3), 255, np.uint8)])
    assert np.isfinite(prediction.scores).all()
    assert np.isfinite(prediction.maps).all()
    assert prediction.scores[0] == pytest.approx(prediction.scores[1], abs=1e-9)


def test_the_map_is_one_where_one_in_a_thousand_ok_pixels_is():
    training = images()
    model = maa.fit(training, tiny(pauta_on="train", map="residual"), seed=0)
    maps = model.predict(training.images[::2]).maps
    assert np.quantile(maps, 0.999) == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("architecture", ["maa", "dae", "dae_skip"])
def test_a_score_is_the_same_after_a_hundred_others(architecture):
    training = images()
    model = maa.fit(training, tiny(architecture=architecture), seed=0)
    first = model.predict(training.images[:1]).scores
    model.predict(training.images * 5)
    assert model.predict(training.images[:1]).scores == pytest.approx(first, abs=1e-5)


def test_the_weights_of_another_architecture_are_refused():
    model = maa.fit(images(), tiny(architecture="dae", iterations=1), seed=0)
    weights = weights_as_file(model)
    restored = maa.restore(tiny(architecture="dae"), ("OK", "NG"), weights)
    assert not restored.training
    with pytest.raises(ValueError, match="no memory among the weights"):
        maa.restore(tiny(), ("OK", "NG"), weights)
    with pytest.raises(ValueError, match=r"Missing key|Unexpected key"):
        maa.restore(
            tiny(), ("OK", "NG"), weights_as_file(maa.fit(images(), tiny(score="fmd", iterations=1), seed=0))
        )


def test_parameters_of_before_the_lines_mean_what_they_meant():
    assert MaaParameters(map="patches") == MaaParameters(score="patches", map="score", pixel_weight=0)
    assert MaaParameters(map="patches", score="fmd").score == "fmd"
