"""Finding types of defects with a model version: asked for, run by one process, kept with its map.

The findings of a discovery:

================  ============================================================================================
types             a row a type: number, images
silhouettes       by the number of types that was tried
centroids         of the types, in the space of the model's descriptors: a new image is of the nearest one's
norms             figure 5 and table 3: see `ml.methods.discovery.histograms`; OK images are among them
purity            where labelled NG images of several classes are among them: "images", "classes", "types" (as
                  found), "pixels" (k-means on the raw pixels, as many types); else null
left_out          images beyond `MAX_IMAGES`, of which a sample was taken
================  ============================================================================================
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from annotation.errors import DomainError
from annotation.models import Dataset, Image, User
from annotation.services import audit
from ml.choices import DiscoveryAmong, JobState
from ml.errors import DiscoveryRefused
from ml.methods.contract import Prediction
from ml.methods.declarations import GRAD_MOBILENET
from ml.methods.discovery import (
    LEAST_IMAGES,
    DiscoveryImpossible,
    Types,
    find_types,
    group,
    histograms,
    keep_types,
    purity,
    raw_pixels,
)
from ml.models import Discovery, ModelVersion
from ml.preprocessing import ImageUnusable
from ml.scoring import OneClassSvm
from ml.selectors import discoveries as discovery_rows
from ml.selectors.images import views_of_images

from .snapshots import SnapshotImage
from .splitting import TRAINING_FOLD
from .training_sets import ImageMissing, read_pixels

METHODS: Final = frozenset({GRAD_MOBILENET.name})
MAX_IMAGES: Final = 2000
OK_IMAGES: Final = 100  # beside the others in figure 5 and table 3, as in the paper
MAX_TYPES: Final = 50
BATCH: Final = 8
UNLABELLED: Final = ""
DIGITS: Final = 4
STALE_AFTER: Final = timedelta(minutes=2)
ASK_AGAIN_AFTER: Final = timedelta(minutes=10)

OnProgress = Callable[[float, str], None]


@transaction.atomic
def queue_discovery(
    *,
    version: ModelVersion,
    dataset: Dataset,
    among: str = DiscoveryAmong.NOT_OK,
    types: int | None = None,
    types_of: Discovery | None = None,
    seed: int = 0,
    author: User | None = None,
) -> Discovery:
    """Queues a search for types; the caller then asks a worker to take it.

    Args:
        version: of a method whose gradients tell types apart.
        dataset: whose images are sorted; need not be the one it was trained on.
        among: which of them.
        types: their number, or None for the best silhouette.
        types_of: an earlier one of this version, whose types are kept: each image is of the type whose
            centroid is nearest. None to find them anew.
        seed: of the map and of the grouping.
        author: who asked; None for a command.

    Raises:
        DiscoveryRefused: a model of another method, too few images, fewer images than types, or types of
            another model's discovery or of one that is not done.
    """
    if version.method not in METHODS:
        raise DiscoveryRefused(
            f"Types are found with models of {GRAD_MOBILENET.title}; this one is of {version.method}."
        )
    if types is not None and not 2 <= types <= MAX_TYPES:
        raise DiscoveryRefused(f"From 2 to {MAX_TYPES} types can be looked for.")
    if types_of is not None:
        _check_kept(types_of, version, types)
    found = discovery_rows.images_to_sort(dataset, among).count()
    kind = DiscoveryAmong(among).label
    if found < LEAST_IMAGES:
        raise DiscoveryRefused(
            f"At least {LEAST_IMAGES} images are needed to find types among; “{dataset}” has {found} "
            f"({kind})."
        )
    if types is not None and types > found:
        raise DiscoveryRefused(
            f"“{dataset}” has {found} images ({kind}): {types} types can't be found among them."
        )
    discovery = Discovery.objects.create(
        model_version=version,
        dataset=dataset,
        among=among,
        types_asked=types,
        types_of=types_of,
        seed=seed,
        created_by=author,
    )
    details = {"among": among, "types": types, "types_of": types_of and types_of.pk}
    audit.record(actor=author, action="discovery.queued", target=discovery, details=details)
    return discovery


@transaction.atomic
def cancel_discovery(*, discovery: Discovery, actor: User | None) -> Discovery:
    """Ends one that waits or runs; who runs it stops within a few images.

    Raises:
        DiscoveryRefused: it has ended.
    """
    is_open = Discovery.objects.filter(pk=discovery.pk, state__in=(JobState.QUEUED, JobState.RUNNING))
    if not is_open.update(state=JobState.CANCELLED, stage_text="", finished_at=timezone.now()):
        raise DiscoveryRefused("This search has ended; there is nothing left to cancel.")
    audit.record(actor=actor, action="discovery.cancelled", target=discovery)
    discovery.refresh_from_db()
    return discovery


def claim_discovery(discovery_id: int, worker: str) -> Discovery | None:
    """Takes a discovery that waits or was lost for this process; None where it is another's, or has ended."""
    taken = Discovery.objects.filter(Q(state=JobState.QUEUED) | _stale(), pk=discovery_id).update(
        state=JobState.RUNNING, worker=worker[:120], heartbeat_at=timezone.now(), progress=0.0, error=""
    )
    if not taken:
        return None
    return Discovery.objects.select_related("model_version", "dataset", "types_of").get(pk=discovery_id)


def run_discovery(discovery: Discovery, *, on_progress: OnProgress = lambda _share, _text: None) -> Discovery:
    """Finds types, and settles the row: done, or failed with its error. For a worker and the command line.

    Args:
        discovery: claimed by this process. Where it was cancelled since, or given to another one, this ends
            and nothing is written.
        on_progress: is told the share that is done, and of what.

    Raises:
        Exception: whatever nobody foresaw, after the row was set to failed.
    """
    own = Discovery.objects.filter(pk=discovery.pk, worker=discovery.worker, state=JobState.RUNNING)

    def tell(share: float, text: str) -> None:
        if not own.update(progress=share, stage_text=text[:200], heartbeat_at=timezone.now()):
            raise _NoLongerOurs
        on_progress(share, text)

    def settle(**changes: Any) -> None:
        own.update(**changes, stage_text="", finished_at=timezone.now())

    try:
        points, findings = _found(discovery, tell)
    except _NoLongerOurs:
        pass
    except _explained() as error:
        settle(state=JobState.FAILED, error=str(error))
    except Exception as error:
        text = f"Unexpected {type(error).__name__}: {error}. The worker's log has the details."
        settle(state=JobState.FAILED, error=text)
        raise
    else:
        settle(state=JobState.DONE, points=points, findings=findings, progress=1.0)
    discovery.refresh_from_db()
    return discovery


def release_discoveries(worker: str) -> int:
    """Gives back what a worker that is shutting down runs."""
    return Discovery.objects.filter(state=JobState.RUNNING, worker__startswith=worker).update(
        state=JobState.QUEUED, worker="", heartbeat_at=None
    )


def find_lost_discoveries() -> list[int]:
    """Those that were asked for, or begun, and came to nothing."""
    is_forgotten = Q(state=JobState.QUEUED, created_at__lt=timezone.now() - ASK_AGAIN_AFTER)
    return list(Discovery.objects.filter(_stale() | is_forgotten).values_list("pk", flat=True))


class _NoLongerOurs(Exception):
    """The row was cancelled, or is another process's."""


def _check_kept(kept: Discovery, version: ModelVersion, types: int | None) -> None:
    if types is not None:
        raise DiscoveryRefused("Keep the types of an earlier search, or give a number of types; not both.")
    if kept.model_version_id != version.pk:
        raise DiscoveryRefused("Only types that this model has found can be kept.")
    if kept.state != JobState.DONE:
        raise DiscoveryRefused("Types can be kept once they are found.")


def _stale() -> Q:
    return Q(state=JobState.RUNNING, heartbeat_at__lt=timezone.now() - STALE_AFTER)


def _explained() -> tuple[type[Exception], ...]:
    """What a person can do something about; their own text says what."""
    from ml.serving.artefact import ArtefactError
    from ml.serving.engines import EngineUnavailable, InferenceFailed
    from ml.serving.parity import ParityError

    return (
        DiscoveryImpossible, DomainError, ImageMissing, ImageUnusable, ArtefactError, EngineUnavailable,
        InferenceFailed, ParityError,
    )  # fmt: skip


@dataclass(frozen=True)
class _Seen:
    """What the model says of N images, and their raw pixels.

    Attributes:
        descriptors: float32 [N, F].
        norms: float64 [N], the mean gradient norm of each.
        pixels: float32 [N, P], grey.
    """

    descriptors: np.ndarray
    norms: np.ndarray
    pixels: np.ndarray


def _found(discovery: Discovery, tell: OnProgress) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    images = list(discovery_rows.images_to_sort(discovery.dataset, discovery.among))
    sample = _sampled(images, MAX_IMAGES, discovery.seed)
    ok = _sampled(list(discovery_rows.ok_images(discovery.dataset)), OK_IMAGES, discovery.seed)
    frozen = _frozen(discovery.dataset, [*sample, *ok])
    seen = _seen(discovery.model_version, frozen, lambda share, text: tell(0.9 * share, text))
    tell(0.9, "Map and types")
    count = len(sample)
    if discovery.types_of is None:
        types = find_types(seen.descriptors[:count], discovery.types_asked, discovery.seed)
    else:
        centroids = np.array(discovery.types_of.findings["centroids"])
        types = keep_types(seen.descriptors[:count], centroids, discovery.seed)
    classes = [image.class_name for image in frozen]
    findings = {
        "types": [
            {"number": number, "images": int(images)}
            for number, images in enumerate(np.bincount(types.of_image, minlength=types.count))
        ],
        "silhouettes": {str(number): round(value, DIGITS) for number, value in types.silhouettes.items()},
        "centroids": np.round(types.centroids, DIGITS).tolist(),
        "norms": histograms(seen.norms, _shown_classes(classes, types)),
        "purity": _purity(types, classes[:count], seen.pixels[:count], discovery.seed),
        "left_out": len(images) - count,
    }
    points = [
        {
            "image": image.id,
            "x": round(float(x), DIGITS),
            "y": round(float(y), DIGITS),
            "type": int(number),
            "class": image.class_name,
            "norm": float(norm),
        }
        for image, (x, y), number, norm in zip(
            frozen[:count], types.places, types.of_image, seen.norms[:count], strict=True
        )
    ]
    return points, findings


def _sampled(images: list[Image], most: int, seed: int) -> list[Image]:
    if len(images) <= most:
        return images
    return [images[row] for row in sorted(np.random.default_rng(seed).permutation(len(images))[:most])]


def _frozen(dataset: Dataset, images: Sequence[Image]) -> list[SnapshotImage]:
    """With their class as it is now; empty for one that is unlabelled or in dispute."""
    views = views_of_images(dataset)
    return [
        SnapshotImage(
            id=image.pk,
            sha256=image.sha256,
            extension=image.extension,
            file=image.name,
            class_name=image.current_class.name
            if image.current_class and not image.is_disputed
            else UNLABELLED,
            is_ng=False,
            group="",
            view=views.get(image.pk, ""),
            fold=TRAINING_FOLD,
        )
        for image in images
    ]


def _seen(version: ModelVersion, images: Sequence[SnapshotImage], tell: OnProgress) -> _Seen:
    from ml.serving.predictor import load_predictor

    predictor = load_predictor(version.artefact_path)
    scoring = predictor.card.scoring
    if not isinstance(scoring, OneClassSvm):
        raise DiscoveryRefused("This model's card has no descriptors to find types by.")
    predictions: list[Prediction] = []
    pixels: list[np.ndarray] = []
    for start in range(0, len(images), BATCH):
        tell(start / len(images), f"Gradients of {len(images)} images")
        batch = images[start : start + BATCH]
        decoded, views = [read_pixels(image) for image in batch], [image.view for image in batch]
        predictions.append(predictor.predict(decoded, views))
        resized = [predictor.preprocessing.resized(*one) for one in zip(decoded, views, strict=True)]
        pixels += [raw_pixels(one) for one in resized]
    descriptors = np.concatenate([one.descriptors for one in predictions if one.descriptors is not None])
    is_log = predictor.card.parameters["scale"] != "linear"
    return _Seen(descriptors, _mean_norms(descriptors, scoring, is_log), np.stack(pixels))


def _mean_norms(descriptors: np.ndarray, scoring: OneClassSvm, is_log: bool) -> np.ndarray:
    """Eq. (3)'s mean over the image, float64 [N], read back from the last feature but one."""
    feature = descriptors[:, -2].astype(np.float64) * scoring.deviation[-2] + scoring.mean[-2]
    return np.exp(feature) if is_log else feature


def _shown_classes(classes: Sequence[str], types: Types) -> list[str]:
    """Names for figure 5: the class where there is one, else the type."""
    found = [f"type {number + 1}" for number in types.of_image]
    return [name or (found[row] if row < len(found) else "OK") for row, name in enumerate(classes)]


def _purity(types: Types, classes: Sequence[str], pixels: np.ndarray, seed: int) -> dict[str, Any] | None:
    """How well the types agree with known classes, beside what raw pixels give with as many types."""
    known = [row for row, name in enumerate(classes) if name]
    names = [classes[row] for row in known]
    if len(set(names)) < 2:
        return None
    from_pixels = group(pixels, types.count, seed)
    return {
        "images": len(known),
        "classes": len(set(names)),
        "types": round(purity(types.of_image[known], names), DIGITS),
        "pixels": round(purity(from_pixels[known], names), DIGITS),
    }
