"""Splits by group, never by image: what belongs together (one part, the same content) stays on one side."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Final

import numpy as np

HELD_OUT_SHARE: Final = 0.3  # of a single split


class SplitImpossible(ValueError):
    """Too few groups to split. The message says how many there are."""


def joined_groups(
    count: int, keys: Iterable[Sequence[Hashable | None]], pairs: Iterable[tuple[int, int]] = ()
) -> list[int]:
    """Groups of images that share any key (the part, the content's hash), or are paired (look-alikes).

    Args:
        count: N images.
        keys: of each kind, one key an image, [N]; None or "" joins nothing.
        pairs: numbers of images that belong together.

    Returns:
        [N]: for each image, the lowest number of an image of its group.
    """
    parent = list(range(count))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    def join(one: int, other: int) -> None:
        one, other = root(one), root(other)
        parent[max(one, other)] = min(one, other)

    for kind in keys:
        first: dict[Hashable, int] = {}
        for image, key in enumerate(kind):
            if key is None or key == "":
                continue
            join(first.setdefault(key, image), image)
    for one, other in pairs:
        join(one, other)
    return [root(image) for image in range(count)]


def grouped_folds(is_ng: np.ndarray, groups: Sequence[Hashable], folds: int, seed: int) -> np.ndarray:
    """K folds of whole groups, with NG and OK images spread as evenly as groups allow.

    Groups are dealt from the hardest to place (most NG images, then most images; equals in a random order) to
    the fold that has the least. Every fold gets NG images if at least `folds` groups hold some.

    Args:
        is_ng: bool [N].
        groups: one key an image, [N].
        folds: K, at least 2.
        seed: of the order among equals.

    Returns:
        int64 [N], 0 to K - 1.

    Raises:
        SplitImpossible: fewer groups than folds, or fewer than 2 folds.
    """
    ng, sizes, group_of = _group_sizes(is_ng, groups)
    if folds < 2 or len(sizes) < folds:
        raise SplitImpossible(
            f"{folds} folds need as many groups and at least 2; there are {len(sizes)} groups."
        )
    order = _hardest_first(ng, sizes, seed)
    fold_of = np.empty(len(sizes), np.int64)
    has_ng, has = np.zeros(folds, np.int64), np.zeros(folds, np.int64)
    for place, group in enumerate(order):
        empty_left = np.count_nonzero(has == 0)
        may = has == 0 if len(order) - place <= empty_left else np.ones(folds, bool)
        load = has_ng if ng[group] else has
        other = has if ng[group] else has_ng
        candidates = np.flatnonzero(may)
        fold = candidates[np.lexsort((candidates, other[candidates], load[candidates]))[0]]
        fold_of[group] = fold
        has_ng[fold] += ng[group]
        has[fold] += sizes[group]
    return fold_of[group_of]


def grouped_hold_out(is_ng: np.ndarray, groups: Sequence[Hashable], share: float, seed: int) -> np.ndarray:
    """Holds out about a share of the NG and of the OK images, in whole groups.

    Args:
        is_ng: bool [N].
        groups: one key an image, [N].
        share: to hold out, between 0 and 1.
        seed: of the order among groups.

    Returns:
        bool [N], true where held out. NG images are on both sides if at least two groups hold some; so for
        OK images.

    Raises:
        SplitImpossible: fewer than two groups.
        ValueError: share is out of range.
    """
    if not 0 < share < 1:
        raise ValueError(f"a share lies between 0 and 1, not at {share}")
    ng, sizes, group_of = _group_sizes(is_ng, groups)
    if len(sizes) < 2:
        raise SplitImpossible("There is only one group of images; nothing can be held out of it.")
    held = np.zeros(len(sizes), bool)
    with_ng = ng > 0
    for kind, weight in ((with_ng, ng), (~with_ng, sizes)):
        # OK images that came with NG groups count towards the OK images' share.
        already = int((sizes - ng)[held].sum()) if weight is sizes else 0
        total = int((sizes - ng).sum()) if weight is sizes else int(ng.sum())
        _hold_some(held, np.flatnonzero(kind), weight, share * total - already, seed)
    if held.all() or not held.any():
        held[int(np.argmin(sizes))] ^= True
    return held[group_of]


def _hold_some(held: np.ndarray, groups: np.ndarray, weight: np.ndarray, wanted: float, seed: int) -> None:
    """Holds groups out, in a random order, while that brings their weight nearer to what is wanted."""
    order = np.random.default_rng(seed).permutation(groups)
    got = 0
    for place, group in enumerate(order):
        must = place == 0 and len(order) > 1 and wanted > 0
        is_last_free = len(order) - np.count_nonzero(held[order]) <= 1
        nearer = abs(got + weight[group] - wanted) < abs(got - wanted)
        if (must or nearer) and not is_last_free:
            held[group] = True
            got += int(weight[group])


def _group_sizes(is_ng: np.ndarray, groups: Sequence[Hashable]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """NG images and images of each group, and the group of each image; groups numbered as first seen."""
    labels = np.asarray(is_ng, bool)
    if len(labels) != len(groups):
        raise ValueError(f"{len(labels)} labels for {len(groups)} groups")
    number: dict[Hashable, int] = {}
    group_of = np.array([number.setdefault(group, len(number)) for group in groups], np.int64)
    ng = np.bincount(group_of[labels], minlength=len(number))
    return ng, np.bincount(group_of, minlength=len(number)), group_of


def _hardest_first(ng: np.ndarray, sizes: np.ndarray, seed: int) -> np.ndarray:
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    return shuffled[np.lexsort((-sizes[shuffled], -ng[shuffled]))]
