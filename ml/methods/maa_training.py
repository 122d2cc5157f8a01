"""Training of `maa` after Algorithm 1, and of its `dae` baselines by the L2 norm."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ml.methods.checkpoints import fingerprint
from ml.methods.contract import OnProgress, Progress, Stop, TrainingSet
from ml.methods.declarations import MaaParameters
from ml.methods.devices import autocast, computes_bf16, training_device
from ml.methods.maa_comparisons import Compared, FeaturePairs, Several, Standout
from ml.methods.maa_images import in_turn, ok_images, preprocessing_of
from ml.methods.maa_lines import LineResponses
from ml.methods.maa_measure import measure_map, ok_scores, scoring_of
from ml.methods.maa_network import STRIDE, Discriminator, Generator
from ml.methods.maa_patches import PatchDistances
from ml.methods.maa_served import MaaNetwork, ReconstructionNetwork
from ml.methods.prepared import PreparedImages
from ml.methods.staged import Figures, Optimisers, Stage, StagedTraining, finite
from ml.thresholds.normality import normality_of

BETA2: Final = 0.999  # of Adam; table I gives the first only
SET_A, SET_B, ALL = 0, 1, 2  # orders of images


class MaaTraining:
    """One fit on the OK images."""

    def __init__(self, training: TrainingSet, parameters: MaaParameters, seed: int) -> None:
        self.training = training
        self.parameters = parameters
        self.seed = seed
        self.ok = ok_images(training, parameters, seed)
        self.preprocessing = preprocessing_of(training, self.ok.fitted, parameters, seed)
        self.images = PreparedImages(training, self.preprocessing)
        self.device = training_device()
        self.is_bf16 = computes_bf16(parameters.precision)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            height, width = self.preprocessing.height, self.preprocessing.width
            self.network = new_network(parameters, height, width)
            self.discriminator = Discriminator()
        for module in (self.network, self.discriminator):
            module.to(self.device)
            arranged(
                module, torch.channels_last
            )  # as bf16 convolutions compute: else each reorders its input

    def train(self, on_progress: OnProgress, stop: Stop, checkpoint: Path | None) -> None:
        """All iterations, or those that a checkpoint leaves; then what is measured on OK images.

        See `StagedTraining.run`.
        """
        modules: dict[str, nn.Module] = {"network": self.network}
        if isinstance(self.network, MaaNetwork):
            stage = AdversarialTraining(self, self.network).stage()
            modules["discriminator"] = self.discriminator
        else:
            stage = self._reconstruction()
        self.network.train()
        StagedTraining(
            modules,
            [stage],
            seed=self.seed,
            checkpoint=checkpoint,
            made_for=fingerprint(self.training, self.parameters, self.seed),
            on_progress=on_progress,
            stop=stop,
            note=self._note(),
        ).run()
        arranged(self.network.eval(), torch.contiguous_format)  # as it is restored
        if isinstance(self.network, MaaNetwork):
            self._fit_comparison(self.network)
        self.scoring = scoring_of(self.network, self._measured_images, self.parameters.shrinkage)
        measure_map(self.network, self._measured_images)
        on_progress(self._last_word())

    def drawn(self, images: np.ndarray, draw: int, order: int) -> Tensor:
        """The batch of the draw-th turn, float32 [B, 3, H, W]."""
        size = self.parameters.batch
        return self.batch(in_turn(images, draw * size, size, [self.seed, order]))

    def batch(self, images: Sequence[int] | np.ndarray) -> Tensor:
        pixels = torch.from_numpy(self.images.batch([int(one) for one in images]))
        return pixels.to(self.device, memory_format=torch.channels_last)

    def adam(self, *modules: nn.Module) -> torch.optim.Optimizer:
        weights = [weight for module in modules for weight in module.parameters()]
        return torch.optim.Adam(weights, lr=self.parameters.rate, betas=(self.parameters.beta1, BETA2))

    def _reconstruction(self) -> Stage:
        def step(optimisers: Optimisers, iteration: int) -> Figures:
            images = self.drawn(self.ok.fitted, iteration, ALL)
            with autocast(self.is_bf16):
                made = self.network.generator(images)
            loss = F.mse_loss(made, images)
            descend(optimisers["generator"], loss)
            return {"Reconstruction loss": loss.detach()}

        return Stage(
            "Reconstruct",
            self.parameters.iterations,
            lambda: {"generator": self.adam(self.network.generator)},
            step,
        )

    def _fit_comparison(self, network: MaaNetwork) -> None:
        def each_ok() -> Iterator[Compared]:
            for image in self.ok.fitted_sample:
                with torch.inference_mode():
                    yield network.compared(self.batch([image]))

        if not isinstance(network.comparison, FeaturePairs):
            network.comparison.fit(each_ok)

    def _measured_images(self) -> Iterator[Tensor]:
        return (self.batch([image]) for image in self.ok.measured)

    def _last_word(self) -> Progress:
        """The normality test of section III-F, in the job's log."""
        scores = ok_scores(self.network, self.scoring, self._measured_images)
        which = "Set aside from the fit" if self.ok.are_apart else "Of the fit"
        done = self.parameters.iterations
        message = f"{which}: {normality_of(scores).sentence}"
        return Progress(1.0, "Measured", done, done, message=message)

    def _note(self) -> str:
        precision = "bf16" if self.is_bf16 else "float32"
        height, width = self.preprocessing.height, self.preprocessing.width
        measured = f"{len(self.ok.measured)} {'others' if self.ok.are_apart else 'of them'} are measured"
        return (
            f"Trains in {precision} on {self.device.type}, at {height} × {width} px, "
            f"on {len(self.ok.fitted)} OK images; {measured}."
        )


class AdversarialTraining:
    """Algorithm 1: k steps of the discriminator, then one of the generator.

    The paper's recipe splits the OK images into the halves A and B once and draws from A anew for the
    generator's step. The robust one shows all images as A and, in another order, as B, and the generator's
    step goes on with the G(x_a) of the discriminator's last, which saves a forward pass.

    Args:
        run: gives images, discriminator and parameters.
        network: G and f(·), which the score shares with the discriminator.
    """

    def __init__(self, run: MaaTraining, network: MaaNetwork) -> None:
        self.run = run
        self.generator = network.generator
        self.markov = network.markov
        self.discriminator = run.discriminator
        self.is_paper = run.parameters.recipe == "paper"
        images = run.ok.fitted
        if self.is_paper:
            shuffled = np.random.default_rng([run.seed, ALL]).permutation(images)
            self.set_a, self.set_b = np.array_split(shuffled, 2)
        else:
            self.set_a = self.set_b = images

    def stage(self) -> Stage:
        return Stage(
            "Algorithm 1",
            self.run.parameters.iterations,
            lambda: {
                "discriminator": self.run.adam(self.markov, self.discriminator),
                "generator": self.run.adam(self.generator),
            },
            self.iterate,
        )

    def iterate(self, optimisers: Optimisers, iteration: int) -> Figures:
        """One turn of Algorithm 1's outer loop."""
        steps = self.run.parameters.discriminator_steps  # k
        draws_of_a = steps + 1 if self.is_paper else steps
        figures: dict[str, Tensor] = {}
        for turn in range(steps):
            x_b = self.run.drawn(self.set_b, iteration * steps + turn, SET_B)
            goes_on = not self.is_paper and turn + 1 == steps
            x_a, made = self.made(iteration * draws_of_a + turn, with_gradient=goes_on)
            figures = self.discriminate(optimisers["discriminator"], x_b, made.detach())
        if self.is_paper:
            x_a, made = self.made(iteration * draws_of_a + steps, with_gradient=True)
        return figures | self.generate(optimisers["generator"], x_a, x_b, made)

    def made(self, draw: int, *, with_gradient: bool) -> tuple[Tensor, Tensor]:
        """x_a and G(x_a), float32 [B, 3, H, W]; the memory is written as it passes."""
        x_a = self.run.drawn(self.set_a, draw, SET_A)
        with torch.set_grad_enabled(with_gradient), autocast(self.run.is_bf16):
            return x_a, self.generator(x_a)

    def discriminate(self, optimiser: torch.optim.Optimizer, x_b: Tensor, made: Tensor) -> dict[str, Tensor]:
        """Ascends log D(x_b) + log(1 - D(G(x_a))), eq. (9).

        Both go through in one batch: normalised apart, real and made features would lose the very difference
        of their means that eqs. (7) and (8) measure.
        """
        with autocast(self.run.is_bf16):
            logits = self.discriminator(self.markov(torch.cat([x_b, made])))
        real, fake = logits.chunk(2)
        loss = F.softplus(-real).mean() + F.softplus(fake).mean()
        descend(optimiser, loss)
        return {
            "Discriminator loss": loss.detach(),
            "D(x_b)": torch.sigmoid(real.detach()).mean(),
            "D(G(x_a))": torch.sigmoid(fake.detach()).mean(),
        }

    def generate(
        self, optimiser: torch.optim.Optimizer, x_a: Tensor, x_b: Tensor, made: Tensor
    ) -> dict[str, Tensor]:
        """Descends eq. (10): |f(x_b) - f(G(x_a))|₁, as a mean over features, + λ times the adversarial term.

        Algorithm 1 prints "ascending" for a term to be descended. The robust recipe takes -log D(G(x_a)) for
        log(1 - D(G(x_a))): of the same optimum, but with a slope while the discriminator is ahead. Where
        `pixel_weight` is above 0, that times |x_a - G(x_a)|₁ is added, as in pix2pix: nothing in eq. (10)
        ties G(x_a) to x_a.
        """
        with without_gradients(self.markov, self.discriminator), autocast(self.run.is_bf16):
            features = self.markov(torch.cat([x_b, made]))
            logits = self.discriminator(features).chunk(2)[1]
        wanted, given = features.float().chunk(2)
        consistency = (given - wanted.detach()).abs().mean()  # L_con
        adversarial = -F.softplus(logits).mean() if self.is_paper else F.softplus(-logits).mean()
        loss = consistency + self.run.parameters.adversarial_weight * adversarial
        figures = {"Feature loss": consistency.detach(), "Adversarial loss": adversarial.detach()}
        if self.run.parameters.pixel_weight > 0:
            pixels = F.l1_loss(made, x_a)
            loss = loss + self.run.parameters.pixel_weight * pixels
            figures["Pixel loss"] = pixels.detach()
        descend(optimiser, loss)
        return figures


def arranged(module: nn.Module, memory_format: torch.memory_format) -> None:
    """Lays the weights of convolutions out in memory."""
    module.to(memory_format=memory_format)  # type: ignore[call-overload]


def descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """Raises:
    LossNotFinite: before a weight is moved.
    """
    finite(loss).backward()
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)


@contextmanager
def without_gradients(*modules: nn.Module) -> Iterator[None]:
    """Gradients pass through the modules, but are not computed for their weights."""
    for module in modules:
        module.requires_grad_(False)
    try:
        yield
    finally:
        for module in modules:
            module.requires_grad_(True)


def new_network(parameters: MaaParameters, height: int, width: int) -> ReconstructionNetwork:
    """The network of an architecture for images of a size, px, multiples of 8, with first weights."""
    is_maa = parameters.architecture == "maa"
    generator = Generator(height, width, has_memory=is_maa, has_skips=parameters.architecture == "dae_skip")
    if not is_maa:
        return ReconstructionNetwork(generator)
    if parameters.score == "fmd":
        return MaaNetwork(generator, FeaturePairs())
    comparisons: dict[str, Callable[[], Standout]] = {
        "lines": lambda: LineResponses(height, width),
        "patches": lambda: PatchDistances(height // STRIDE - 1, width // STRIDE - 1, parameters.shrinkage),
    }
    maps_residual = parameters.map == "residual"
    if parameters.score != "both":
        return MaaNetwork(generator, comparisons[parameters.score](), maps_residual=maps_residual)
    both = Several([made() for made in comparisons.values()])
    return MaaNetwork(generator, both, maps_residual=maps_residual)
