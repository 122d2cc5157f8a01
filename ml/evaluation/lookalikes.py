"""Which images are near-identical: the same picture again, or the same part under another light.

A perceptual hash [pHash, 256 bits] of each image is given; how far apart two hashes may be is read from the
images themselves, since OK parts that lie in a jig are alike without being the same. Measured: KolektorSDD's
closest unlike images are 82 bits apart, its near-identical ones (`kos38` is `kos39`, eight surfaces) at most
12; the magnetic tiles' six exposures of one tile are up to 60 apart and unlike tiles from about 70 on.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ml.evaluation.splits import joined_groups

BITS: Final = 256
MOST_BITS_APART: Final = 60  # beyond, unlike images of one product begin to meet
DEVIATIONS: Final = 6  # below the median distance: in 100,000 images chance makes about five such pairs
LARGE: Final = 20
LARGE_SHARE: Final = 0.1
SAMPLED_PAIRS: Final = 200_000
ORDERS: Final = 192  # random bit orders; a near-identical pair must be neighbours in one of them
NEIGHBOURS: Final = 4  # compared in each order
KEPT_APART: Final = 16  # orders whose pairs are held before repeated ones go; bounds memory


@dataclass(frozen=True)
class Lookalikes:
    """What was found among N images.

    Attributes:
        limit: bits that two hashes may be apart; None where the images are too much alike to say.
        pairs: int64 [P, 2], numbers of near-identical images, the lower first. They connect what belongs
            together; of three alike images two pairs may be all that is listed.
    """

    limit: int | None
    pairs: np.ndarray


def find_lookalikes(hashes: Sequence[str]) -> Lookalikes:
    """Near-identical images, in time that grows with N log N: no all-against-all comparison.

    Where images that are each like the next would make a group of more than `LARGE` images and `LARGE_SHARE`
    of all, the limit is halved until none does: such a chain is a product's likeness, not one part's.

    Args:
        hashes: [N], 64 hexadecimal digits each; "" joins nothing.

    Raises:
        ValueError: a hash is not of 256 bits.
    """
    known = np.array([index for index, one in enumerate(hashes) if one], np.int64)
    packed = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8)
    if packed.size != len(known) * BITS // 8:
        raise ValueError(f"a hash is not of {BITS} bits")
    packed = packed.reshape(len(known), BITS // 8)
    limit = limit_of(packed)
    if limit is None:
        return Lookalikes(None, np.empty((0, 2), np.int64))
    pairs = near_pairs(packed, limit)
    while limit > 0 and _largest_group(len(packed), pairs) > max(LARGE, len(packed) * LARGE_SHARE):
        limit //= 2
        pairs = near_pairs(packed, limit)
    return Lookalikes(limit, known[pairs])


def _largest_group(count: int, pairs: np.ndarray) -> int:
    roots = joined_groups(count, [], pairs.tolist())
    return int(np.bincount(roots, minlength=1).max())


def count_alike(hashes: Sequence[str], others: Sequence[str]) -> int:
    """How many images are near-identical to one of the others; 0 where they are too much alike to say."""
    if not hashes or not others:
        return 0
    pairs = find_lookalikes([*hashes, *others]).pairs
    roots = np.array(joined_groups(len(hashes) + len(others), [], pairs.tolist()))
    return int(np.isin(roots[: len(hashes)], roots[len(hashes) :]).sum())


def limit_of(packed: np.ndarray) -> int | None:
    """How many bits near-identical images of this dataset may be apart.

    The median distance m of pairs drawn at random, nearly all of them unlike, less `DEVIATIONS` of its spread
    s; at most `MOST_BITS_APART`. s is (m - 10% quantile) / 1.2816, but no less than √(m/2), that of 2m
    independent bits.

    Args:
        packed: uint8 [N, 32].

    Returns:
        None where that is below 0: a fixture fills the picture, or several products are in the dataset.
    """
    if len(packed) < 2:
        return None
    rng = np.random.default_rng(0)
    first = rng.integers(0, len(packed), SAMPLED_PAIRS)
    second = (first + rng.integers(1, len(packed), SAMPLED_PAIRS)) % len(packed)
    distances = _distances(packed.view(np.uint64), first, second)
    median, low = np.quantile(distances, [0.5, 0.1])
    spread = max((median - low) / 1.2816, math.sqrt(median / 2))
    limit = math.floor(median - DEVIATIONS * spread)
    return min(limit, MOST_BITS_APART) if limit >= 0 else None


def near_pairs(packed: np.ndarray, limit: int) -> np.ndarray:
    """Pairs at most `limit` bits apart, by sorted neighbourhoods.

    The hashes are sorted by several random orders of their bits, and each is compared with those that follow
    it. A pair that differs in few bits shares a long beginning in some order, and meets there.

    Args:
        packed: uint8 [N, 32].
        limit: bits apart at most.

    Returns:
        int64 [P, 2], the lower number first, sorted.
    """
    count = len(packed)
    if count < 2:
        return np.empty((0, 2), np.int64)
    words, bits = packed.view(np.uint64), np.unpackbits(packed, axis=1).T.copy()  # [N, 4]; [256, N]
    rng = np.random.default_rng(0)
    found: list[np.ndarray] = []
    for _ in range(ORDERS):
        beginning = np.packbits(bits[rng.permutation(BITS)[:64]], axis=0)  # uint8 [8, N]
        order = np.argsort(np.ascontiguousarray(beginning.T).view(">u8").ravel().astype(np.uint64))
        found.append(_near_neighbours(words[order], order, limit, count))
        if len(found) == KEPT_APART:
            found = [np.unique(np.concatenate(found))]
    pairs = np.unique(np.concatenate(found))
    return np.stack([pairs // count, pairs % count], axis=1)


def _near_neighbours(words: np.ndarray, order: np.ndarray, limit: int, count: int) -> np.ndarray:
    """Pairs among neighbours of one order, each as one number: lower · N + higher."""
    found = []
    for step in range(1, min(NEIGHBOURS, count - 1) + 1):
        apart = np.bitwise_count(words[:-step] ^ words[step:]).sum(axis=1, dtype=np.uint16)
        near = np.flatnonzero(apart <= limit)
        one, other = order[near], order[near + step]
        found.append(np.minimum(one, other) * count + np.maximum(one, other))
    return np.concatenate(found)


def _distances(words: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.bitwise_count(words[first] ^ words[second]).sum(axis=1, dtype=np.int64)
