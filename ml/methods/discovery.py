"""Types of defects among images that nobody has sorted (section 4.4.2 of Grad-MobileNet's paper).

Descriptors → principal components → t-SNE to two dimensions → k-means there. The paper leaves the number of
types to experience; here it is the one with the best silhouette unless a person gives it. t-SNE has no place
for an image that it was not fitted on: a new image is of the type whose centroid is nearest in the space of
the descriptors.

NumPy, OpenCV and scikit-learn alone; any method whose models have descriptors can use it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np

LEAST_IMAGES: Final = 5
MOST_TYPES: Final = 10  # tried, where their number is not given
COMPONENTS: Final = 50  # that t-SNE is given
PERPLEXITY: Final = 30.0  # scikit-learn's; less where there are few images
STARTS: Final = 10  # of k-means
HISTOGRAM_BINS: Final = 30
PIXELS: Final = (64, 64)  # that raw pixels are compared at
DECADES: Final = 6  # below the middle image's norm that a histogram shows


class DiscoveryImpossible(Exception):
    """Images among which no types can be found. The message says why."""


@dataclass(frozen=True)
class Types:
    """What was found among N images.

    Attributes:
        places: float64 [N, 2], on the map (figure 7); its axes mean nothing.
        of_image: int64 [N], each image's type, 0 to K − 1; newly found ones are the largest first.
        centroids: float64 [K, F], of the types, in the space of the descriptors.
        silhouettes: by each number of types that was tried: how well it separates, −1 to 1.
    """

    places: np.ndarray
    of_image: np.ndarray
    centroids: np.ndarray
    silhouettes: Mapping[int, float]

    @property
    def count(self) -> int:
        return len(self.centroids)


def find_types(descriptors: np.ndarray, count: int | None = None, seed: int = 0) -> Types:
    """Groups images by what they look like to a model.

    Args:
        descriptors: [N, F], finite.
        count: of types; None for the best silhouette of 2 to `MOST_TYPES`.
        seed: of t-SNE and of k-means. Another seed gives another map, as the paper's figure 7 shows.

    Raises:
        DiscoveryImpossible: too few images, none that differ, or fewer different ones than types.
    """
    rows = np.asarray(descriptors, np.float64)
    different = len(np.unique(rows, axis=0))
    _check(len(rows), different, count)
    places = project(rows, seed)
    tried = [count] if count else range(2, min(MOST_TYPES, different - 1, len(rows) - 1) + 1)
    found = {number: group(places, number, seed) for number in tried}
    silhouettes = {number: _silhouette(places, labels) for number, labels in found.items()}
    best = max(silhouettes, key=lambda number: silhouettes[number])
    labels = _largest_first(found[best])
    centroids = np.stack([rows[labels == label].mean(axis=0) for label in range(labels.max() + 1)])
    return Types(places, labels, centroids, silhouettes)


def keep_types(descriptors: np.ndarray, centroids: np.ndarray, seed: int = 0) -> Types:
    """A map of its own, but the types are those of an earlier search: each image is of the nearest centroid.

    Args:
        descriptors: [N, F], finite.
        centroids: [K, F], of the earlier search.
        seed: of t-SNE.

    Raises:
        DiscoveryImpossible: too few images, or none that differ.
    """
    rows = np.asarray(descriptors, np.float64)
    _check(len(rows), len(np.unique(rows, axis=0)), None)
    places, labels = project(rows, seed), nearest_type(rows, centroids)
    return Types(places, labels, centroids, {len(centroids): _silhouette(places, labels)})


def project(rows: np.ndarray, seed: int) -> np.ndarray:
    """float64 [N, F] → [N, 2]: principal components, then t-SNE from them (figure 7b)."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    components = min(COMPONENTS, *rows.shape)
    reduced = PCA(components, svd_solver="full").fit_transform(rows)
    if components < 2:
        reduced = np.column_stack([reduced, np.zeros(len(rows))])
    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    return np.asarray(
        TSNE(2, perplexity=perplexity, init="pca", learning_rate="auto", random_state=seed).fit_transform(
            reduced
        ),
        np.float64,
    )


def group(rows: np.ndarray, count: int, seed: int) -> np.ndarray:
    """int64 [N]: k-means with `count` groups over rows [N, D]; fewer where fewer rows differ."""
    from sklearn.cluster import KMeans

    count = min(count, len(np.unique(rows, axis=0)))
    return np.asarray(KMeans(count, n_init=STARTS, random_state=seed).fit_predict(rows), np.int64)


def nearest_type(descriptors: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """int64 [N]: for new images [N, F], the type whose centroid [K, F] is nearest."""
    square = np.square(np.asarray(descriptors, np.float64)[:, None] - centroids[None]).sum(axis=2)
    return np.argmin(square, axis=1)


def purity(of_image: Sequence[int] | np.ndarray, classes: Sequence[str]) -> float:
    """The share of images whose class is the most frequent one of their type, 0 to 1.

    It can't fall as types are added, and is 1 with a type an image: compare it at the same number of types.
    """
    if not len(classes):
        raise ValueError("there are no classes to compare with")
    labels, names = np.asarray(of_image), np.asarray(classes)
    most = [np.unique(names[labels == label], return_counts=True)[1].max() for label in np.unique(labels)]
    return float(sum(most) / len(names))


def raw_pixels(image: np.ndarray) -> np.ndarray:
    """What the types are compared with: uint8 [H, W] or [H, W, 3] → grey float32 [P], `PIXELS` of them."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    return np.asarray(cv2.resize(grey, PIXELS, interpolation=cv2.INTER_AREA), np.float32).ravel()


def histograms(values: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Figure 5 and table 3: how a figure is spread, class by class.

    Args:
        values: [N], at least 0: the mean gradient norm of each image.
        classes: of each.

    Returns:
        "edges": of the bins, evenly spaced in the logarithm (the norms of an overfit model differ by powers
        of ten; the paper's bins are even in the norm), the first one open to below: of an image that the
        model is quite sure of, next to no gradient is left; "classes": per class its "counts" in the bins,
        and "images", "mean" and "variance" of the norm itself.
    """
    norms = np.asarray(values, np.float64)
    least = max(float(np.median(norms)) / 10**DECADES, float(np.finfo(np.float64).tiny))
    shown = np.maximum(norms, least)
    low, high = float(shown.min()), float(shown.max())
    if not low < high:
        low, high = low / 2, high * 2
    edges = np.geomspace(low, high, HISTOGRAM_BINS + 1)
    edges[0], edges[-1] = min(low, edges[0]), max(high, edges[-1])
    names = np.asarray(classes)
    rows = {
        str(name): {
            "counts": np.histogram(shown[names == name], edges)[0].tolist(),
            "images": int(np.count_nonzero(names == name)),
            "mean": float(norms[names == name].mean()),
            "variance": float(norms[names == name].var()),
        }
        for name in dict.fromkeys(classes)
    }
    return {"edges": edges.tolist(), "classes": rows}


def _check(images: int, different: int, count: int | None) -> None:
    if images < LEAST_IMAGES:
        raise DiscoveryImpossible(
            f"At least {LEAST_IMAGES} images are needed to find types among; there are {images}."
        )
    if different == 1:
        raise DiscoveryImpossible(
            f"All {images} images look the same to this model: there are no types to tell apart."
        )
    if count is not None and count < 2:
        raise DiscoveryImpossible("At least 2 types are looked for.")
    if count is not None and count > images:
        raise DiscoveryImpossible(f"There are {images} images: {count} types can't be found among them.")
    if count is not None and count > different:
        raise DiscoveryImpossible(
            f"Only {different} of the {images} images differ to this model: {count} types can't be found."
        )


def _silhouette(places: np.ndarray, labels: np.ndarray) -> float:
    from sklearn.metrics import silhouette_score

    if not 1 < len(np.unique(labels)) < len(labels):
        return 0.0  # one group, or an image a group: the silhouette's own convention
    return float(silhouette_score(places, labels))


def _largest_first(labels: np.ndarray) -> np.ndarray:
    """Numbers that say something: 0 is the largest group; of equal ones, the one that comes first."""
    names, first, counts = np.unique(labels, return_index=True, return_counts=True)
    order = np.lexsort((first, -counts))
    numbers = np.empty(len(names), np.int64)
    numbers[order] = np.arange(len(names))
    return numbers[np.searchsorted(names, labels)]
