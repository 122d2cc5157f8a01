"""Fréchet distances between the features of an image and of its reconstruction: FMD, eq. (7) of `maa`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np

from .base import Scores

AT_ONCE_BYTES: Final = 64_000_000  # of float64 features; bounds memory, not the result


@dataclass(frozen=True)
class FrechetMarkov:
    """FMD: features [B, 2, n, d] of input and reconstruction, at n places → their Fréchet distance.

    Descriptor: the mean of the input's features, [B, d].

    Attributes:
        shrinkage: of the covariances, 0 to 1.
    """

    kind: ClassVar[str] = "frechet_markov"
    shrinkage: float

    def __post_init__(self) -> None:
        if not 0 <= self.shrinkage <= 1:
            raise ValueError(f"a shrinkage lies between 0 and 1, not at {self.shrinkage}")

    def __call__(self, raw: np.ndarray) -> Scores:
        if raw.ndim != 4 or raw.shape[1] != 2:
            raise ValueError(f"features of input and reconstruction are expected, not {list(raw.shape)}")
        scores = frechet_distance(raw[:, 0], raw[:, 1], self.shrinkage)
        return Scores(scores, descriptors=raw[:, 0].mean(axis=1, dtype=np.float64).astype(np.float32))

    def to_json(self) -> dict[str, Any]:
        return {"shrinkage": self.shrinkage}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        return cls(float(stored["shrinkage"]))


def frechet_distance(first: np.ndarray, second: np.ndarray, shrinkage: float) -> np.ndarray:
    """|μ₁ - μ₂|² + Tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½) of the Gaussians fitted to two sets of vectors, eq. (7).

    Each covariance is (1 - s) S + s τ I, with the sample covariance S (n - 1 in its denominator), its mean
    variance τ = Tr S / d and the shrinkage s.

    No square root of a matrix is taken: with Σ = Rᵀ R (R from a QR decomposition of the centred vectors, so
    that S is never squared up), the trace of (Σ₁ Σ₂)^½ is the sum of the singular values of R₁ R₂ᵀ, which are
    the roots of the eigenvalues of a symmetric matrix: real, and exact where Σ is singular. Where the vectors
    of both sets span less than all d dimensions, it is computed within what they span; beyond it both
    covariances are multiples of I.

    Args:
        first: float [B, n, d], n vectors of d features for each of B images.
        second: float [B, n, d].
        shrinkage: s, 0 to 1.

    Returns:
        float64 [B], at least 0.

    Raises:
        ValueError: the shapes differ, or there are fewer than two vectors.
    """
    if first.ndim != 3 or first.shape != second.shape or first.shape[1] < 2:
        raise ValueError(
            f"two sets of at least two vectors an image are expected, not {list(first.shape)} and "
            f"{list(second.shape)}"
        )
    step = max(1, AT_ONCE_BYTES // (16 * first.shape[1] * first.shape[2]))
    parts = [
        _distances(
            first[start : start + step].astype(np.float64),
            second[start : start + step].astype(np.float64),
            shrinkage,
        )
        for start in range(0, len(first), step)
    ]
    return np.concatenate(parts) if parts else np.empty(0)


def _distances(first: np.ndarray, second: np.ndarray, shrinkage: float) -> np.ndarray:
    count, features = first.shape[1:]
    gap = first.mean(axis=1) - second.mean(axis=1)  # [B, d]
    first, second = (values - values.mean(axis=1, keepdims=True) for values in (first, second))
    traces = [np.einsum("bnd,bnd->b", values, values) / (count - 1) for values in (first, second)]
    floors = [shrinkage * trace / features for trace in traces]  # s τ, [B]
    beyond = np.zeros(len(first))
    if 2 * count < features:
        beyond = (features - 2 * count) * np.sqrt(floors[0] * floors[1])
        first, second = _within_their_span(first, second)
    roots = [_root(values, shrinkage, floor) for values, floor in zip((first, second), floors, strict=True)]
    joint = roots[0] @ roots[1].transpose(0, 2, 1)
    squares = np.linalg.eigvalsh(joint.transpose(0, 2, 1) @ joint)
    overlap = np.sqrt(squares.clip(min=0)).sum(axis=1) + beyond  # Tr (Σ₁ Σ₂)^½
    distance = (gap**2).sum(axis=1) + traces[0] + traces[1] - 2 * overlap
    return np.asarray(distance.clip(min=0))


def _within_their_span(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same vectors in an orthonormal basis of what both sets span: [B, n, d] → [B, n, 2n]."""
    both = np.concatenate([first, second], axis=1)
    basis = np.linalg.qr(both.transpose(0, 2, 1)).Q  # [B, d, 2n]
    return first @ basis, second @ basis


def _root(centred: np.ndarray, shrinkage: float, floor: np.ndarray) -> np.ndarray:
    """R with Rᵀ R = (1 - s) S + floor I; centred vectors [B, n, d] → [B, min(n, d) or d, d]."""
    count, features = centred.shape[1:]
    rows = centred * np.sqrt((1 - shrinkage) / (count - 1))
    if shrinkage > 0:
        diagonal = np.sqrt(floor)[:, None, None] * np.eye(features)
        rows = np.concatenate([rows, diagonal], axis=1)
    return np.asarray(np.linalg.qr(rows, mode="r"))
