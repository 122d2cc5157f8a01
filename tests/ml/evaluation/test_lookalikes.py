import zlib

import numpy as np
import pytest

from ml.evaluation.lookalikes import MOST_BITS_APART, count_alike, find_lookalikes, limit_of, near_pairs


def hashes_of(bits: np.ndarray) -> list[str]:
    return [row.tobytes().hex() for row in np.packbits(bits, axis=1)]


def unlike(count: int, seed: int = 0) -> np.ndarray:
    """Hashes of images that have nothing to do with each other, bool [count, 256]."""
    return np.random.default_rng(seed).random((count, 256)) < 0.5


def changed(bits: np.ndarray, by: int, seed: int = 0) -> np.ndarray:
    """A hash with so many of its bits turned."""
    turned = bits.copy()
    turned[np.random.default_rng(seed).permutation(256)[:by]] ^= True
    return turned


def pairs_of(bits: np.ndarray) -> list[tuple[int, int]]:
    return [tuple(pair) for pair in find_lookalikes(hashes_of(bits)).pairs.tolist()]


@pytest.mark.parametrize("by", [0, 1, 12, 40, MOST_BITS_APART])
def test_a_picture_that_comes_again_a_little_changed_is_found(by):
    bits = unlike(300)
    assert pairs_of(np.vstack([bits, changed(bits[17], by)])) == [(17, 300)]


def test_images_that_are_merely_of_the_same_product_are_not_joined():
    assert pairs_of(unlike(1000)) == []


def test_where_a_fixture_fills_the_picture_the_limit_follows():
    """Every image has the fixture's bits but for 60 of its own: unlike ones are about 30 apart."""
    bits = np.tile(unlike(1, seed=9), (300, 1))
    bits[:, :60] = unlike(300)[:, :60]
    limit = find_lookalikes(hashes_of(bits)).limit
    assert limit < 30 - 3 * np.sqrt(15)
    assert pairs_of(np.vstack([bits, changed(bits[5], limit)])) == [(5, 300)]


def test_images_too_much_alike_to_tell_are_left_apart_and_that_is_said():
    bits = np.tile(unlike(1), (300, 1))
    bits[:, :8] = unlike(300)[:, :8]
    found = find_lookalikes(hashes_of(bits))
    assert found.limit is None
    assert not len(found.pairs)


def test_two_products_in_one_dataset_are_not_two_near_identical_groups():
    products = np.repeat(unlike(2), 150, axis=0)
    bits = products ^ (np.random.default_rng(1).random(products.shape) < 0.08)
    assert not len(find_lookalikes(hashes_of(bits)).pairs)


def test_a_chain_of_images_each_like_the_next_does_not_make_one_group_of_all():
    rng = np.random.default_rng(0)
    chain = [rng.random(256) < 0.5]
    for _ in range(99):
        chain.append(changed(chain[-1], 40, seed=len(chain)))
    found = find_lookalikes(hashes_of(np.vstack([chain, unlike(200, seed=5)])))
    assert found.limit < 40
    assert not len(found.pairs)


@pytest.mark.parametrize("limit", [0, 8, 30, 60])
def test_the_pairs_are_those_of_comparing_all_with_all(limit):
    originals = unlike(300)
    again = np.stack([changed(bits, by=index % 70, seed=index) for index, bits in enumerate(originals)])
    packed = np.packbits(np.vstack([originals, again]), axis=1)
    apart = np.bitwise_count(packed[:, None] ^ packed[None]).sum(axis=2)
    expected = np.argwhere(np.triu(apart <= limit, 1))
    assert near_pairs(packed, limit).tolist() == expected.tolist()


def test_fifty_copies_of_one_picture_are_connected():
    packed = np.packbits(np.repeat(unlike(1), 50, axis=0), axis=1)
    pairs = near_pairs(packed, 0)
    assert set(pairs.ravel()) == set(range(50))
    assert len(pairs) >= 49


def test_among_ten_thousand_images_hardly_a_pair_is_missed_and_none_invented():
    tiles = np.repeat(unlike(2500), 4, axis=0)
    bits = tiles ^ (np.random.default_rng(1).random(tiles.shape) < 0.08)  # about 38 bits apart
    pairs = near_pairs(np.packbits(bits, axis=1), 60)
    same_tile = pairs[:, 0] // 4 == pairs[:, 1] // 4
    assert same_tile.all()
    assert len(pairs) >= 0.999 * 2500 * 6


def test_images_like_one_of_another_set_are_counted_once_each():
    others = unlike(100)
    new = np.vstack([unlike(50, seed=7), changed(others[3], 10), changed(others[3], 12, seed=1)])
    assert count_alike(hashes_of(new), hashes_of(others)) == 2
    assert count_alike(hashes_of(new[:50]), hashes_of(others)) == 0
    assert count_alike([], hashes_of(others)) == count_alike(hashes_of(new), []) == 0


def test_a_missing_hash_joins_nothing_and_keeps_the_numbers():
    bits = unlike(40)
    hashes = hashes_of(np.vstack([bits, bits[3]]))
    hashes[0] = ""
    assert find_lookalikes(hashes).pairs.tolist() == [[3, 40]]


@pytest.mark.parametrize("hashes", [[], [""], ["0" * 64], ["", "f" * 64]])
def test_fewer_than_two_images_have_nothing_to_be_like(hashes):
    assert not len(find_lookalikes(hashes).pairs)


def test_a_hash_of_another_length_is_refused():
    with pytest.raises(ValueError, match="256 bits"):
        find_lookalikes(["00ff", "0" * 64])


def test_the_answer_is_the_same_each_time():
    bits = np.vstack([unlike(200), unlike(200) ^ (np.random.default_rng(2).random((200, 256)) < 0.1)])
    first, second = (find_lookalikes(hashes_of(bits)) for _ in range(2))
    assert first.limit == second.limit
    assert zlib.crc32(first.pairs.tobytes()) == zlib.crc32(second.pairs.tobytes())
    assert limit_of(np.packbits(bits, axis=1)) == first.limit
