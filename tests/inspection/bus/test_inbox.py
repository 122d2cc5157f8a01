from concurrent.futures import ThreadPoolExecutor

import pytest

from inspection.bus import inbox

pytestmark = pytest.mark.usefixtures("redis_here")
MB = 1_000_000


def put(size_bytes: int, slug: str = "demo") -> bool:
    return inbox.put(slug, kind="frame", frames={"top": ("a.png", bytes(size_bytes))}) is not None


@pytest.fixture(autouse=True)
def budget(monkeypatch):
    monkeypatch.setattr(inbox, "BUDGET_BYTES", 10 * MB)


def test_images_are_taken_up_to_the_budget_and_again_once_there_is_room():
    assert [put(3 * MB) for _ in range(4)] == [True, True, True, False]
    assert inbox.take("demo") is not None
    assert put(3 * MB)


def test_each_line_has_a_budget_of_its_own():
    assert put(9 * MB)
    assert not put(9 * MB)
    assert put(9 * MB, slug="other")


def test_a_single_entry_over_the_budget_is_taken_but_nothing_beside_it():
    assert put(11 * MB)
    assert not put(1)


def test_small_images_are_taken_up_to_the_number():
    assert [put(100) for _ in range(inbox.DEPTH + 1)] == [True] * inbox.DEPTH + [False]


def test_many_who_send_at_once_do_not_pass_the_limits_together():
    with ThreadPoolExecutor(16) as pool:
        by_number = list(pool.map(put, [100] * 200))
        by_bytes = list(pool.map(lambda _: put(MB, "other"), range(40)))
    assert by_number.count(True) == inbox.DEPTH
    assert by_bytes.count(True) == 9
