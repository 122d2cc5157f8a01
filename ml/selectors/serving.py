"""How quick a model version is, and what may serve it, as its page shows it."""

from collections.abc import Sequence
from dataclasses import dataclass

from annotation.models import Image
from ml.choices import JobState
from ml.models import ModelVersion, OperatingPoint, ServingMeasurement
from ml.serving.machine import machine_key
from ml.serving.measured import Choice, Measured, MeasuredVariant, State, choices

WORST: int = 6


@dataclass(frozen=True)
class DifferingImage:
    """A held-out image by both paths, side by side."""

    image: Image
    is_ng: bool
    trained: float
    served: float
    has_flipped: bool


@dataclass(frozen=True)
class VariantRow:
    """One engine at one precision.

    Attributes:
        one: as it was measured.
        is_chosen: what a line on that machine judges by.
        refusal: why it may not judge; empty where it may.
        is_tried: whether it gave scores at all.
        single: percentiles of one image's time, ms.
        views_ms: the median time of a part with several views, for each view.
        times_faster: than eager PyTorch float32 on the same machine; None where either was not timed.
        share: of the scores' spread, by which it differs from the training at most.
        worst: the images that differ most, where it does not compute at the training's precision.
    """

    one: MeasuredVariant
    is_chosen: bool
    refusal: str
    is_tried: bool
    single: dict[str, float] | None
    views_ms: float | None
    times_faster: float | None
    share: float | None
    worst: Sequence[DifferingImage]


@dataclass(frozen=True)
class MachineFigures:
    """One machine's rows, quickest first.

    Attributes:
        row: the record.
        measured: what was found out.
        views: how many images of a part were judged at once.
        variants: every variant.
        chosen: what a line there judges by; None where nothing may.
    """

    row: ServingMeasurement
    measured: Measured
    views: int
    variants: Sequence[VariantRow]
    chosen: VariantRow | None


@dataclass(frozen=True)
class ServingSection:
    """Attributes:
    here: this machine's record, whatever its state.
    is_under_way: it waits or is measured now.
    machines: those with figures, this one first.
    """

    here: ServingMeasurement | None
    is_under_way: bool
    machines: Sequence[MachineFigures]

    @property
    def figures_here(self) -> MachineFigures | None:
        return next((machine for machine in self.machines if machine.row is self.here), None)


def serving_section(version: ModelVersion, point: OperatingPoint | None) -> ServingSection:
    """Figures of every machine that has measured a version, at an operating point."""
    rows = list(version.serving_measurements.order_by("-id"))
    here = next((row for row in rows if row.machine == machine_key()), None)
    rows.sort(key=lambda row: row is not here)
    return ServingSection(
        here=here,
        is_under_way=here is not None and here.state in {JobState.QUEUED, JobState.RUNNING},
        machines=[_machine(row, point) for row in rows if row.measured],
    )


def _machine(row: ServingMeasurement, point: OperatingPoint | None) -> MachineFigures:
    measured = Measured.from_json(row.measured)
    # Without an operating point nothing is judged: then no score can flip a verdict.
    ng_at, review_from = (point.ng_at, point.review_from) if point else (float("inf"), None)
    found = choices(measured, ng_at=ng_at, review_from=review_from)
    worst = {number for choice in found for number in _worst_ids(measured, choice)}
    images = Image.objects.in_bulk(worst)
    batches = [int(batch) for one in measured.variants for batch in one.latency_ms]
    views = max(batches, default=1)
    variants = [
        _variant(measured, choice, views, images, is_chosen=place == 0 and not choice.refusal)
        for place, choice in enumerate(found)
    ]
    return MachineFigures(row, measured, views, variants, next((v for v in variants if v.is_chosen), None))


def _variant(
    measured: Measured, choice: Choice, views: int, images: dict[int, Image], *, is_chosen: bool
) -> VariantRow:
    one = choice.one
    several = one.latency_ms.get(str(views))
    eager = next((other for other in measured.variants if other.variant.key == "torch"), None)
    return VariantRow(
        one=one,
        is_chosen=is_chosen,
        refusal=choice.refusal,
        is_tried=one.state not in {State.ABSENT, State.BROKEN},
        single=dict(one.latency_ms["1"]) if "1" in one.latency_ms else None,
        views_ms=several["p50"] / views if several else None,
        times_faster=eager.relative / one.relative if eager and eager.relative and one.relative else None,
        share=one.max_difference / one.spread if one.spread and one.max_difference is not None else None,
        worst=_worst(measured, choice, images),
    )


def _worst_places(measured: Measured, choice: Choice) -> list[int]:
    """Those whose verdict flips first, then those that differ most."""
    if len(choice.one.scores) != len(measured.expected):
        return []
    flipped = set(choice.gate.flipped) if choice.gate else set()
    apart = [abs(given - known) for given, known in zip(choice.one.scores, measured.expected, strict=True)]
    return sorted(range(len(apart)), key=lambda place: (place not in flipped, -apart[place]))[:WORST]


def _worst_ids(measured: Measured, choice: Choice) -> list[int]:
    return [measured.ids[place] for place in _worst_places(measured, choice)]


def _worst(measured: Measured, choice: Choice, images: dict[int, Image]) -> list[DifferingImage]:
    flipped = set(choice.gate.flipped) if choice.gate else set()
    return [
        DifferingImage(
            image=images[measured.ids[place]],
            is_ng=measured.is_ng[place],
            trained=measured.expected[place],
            served=choice.one.scores[place],
            has_flipped=place in flipped,
        )
        for place in _worst_places(measured, choice)
        if measured.ids[place] in images
    ]
