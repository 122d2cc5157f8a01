import dataclasses
import threading

import pytest

from inspection.edge import feed as feed_module
from inspection.edge.feed import LiveFeed
from inspection.events import JudgedView, PartJudged, PlcChanged

TIMEOUT_S = 3


def part(sequence: int, *, has_files: bool = True) -> PartJudged:
    view = JudgedView(
        station="top", verdict="OK", score=0.1, error_code=0, error="", defect_class="", frame_name="",
        frame_url="/f" if has_files else "", map_url="", map_max=1.0, map_box=[],
            closest_ok_url="",
    )  # fmt: skip
    fields = dict.fromkeys((field.name for field in dataclasses.fields(PartJudged)), None)
    return PartJudged(**fields | {"line": "demo", "sequence": sequence, "views": [view]})


@pytest.fixture
def heard(monkeypatch) -> list:
    """What was sent, with a semaphore that counts it."""
    sent: list = []
    sent_one = threading.Semaphore(0)

    async def remember(event) -> None:
        sent.append(event)
        sent_one.release()

    monkeypatch.setattr(feed_module, "publish_async", remember)
    remember.sent, remember.one = sent, sent_one
    return remember


@pytest.fixture
def feed(heard):
    live = LiveFeed()
    live.start()
    yield live
    live.stop()


def test_a_part_is_told_when_delivered_and_its_images_are_there(feed, heard):
    feed.part_delivered(part(1))
    assert not feed.wait_for(1, 0.2)
    feed.evidence_stored(1)
    assert feed.wait_for(1, TIMEOUT_S)


def test_images_may_be_there_before_the_delivery(feed):
    feed.evidence_stored(1)
    feed.part_delivered(part(1))
    assert feed.wait_for(1, TIMEOUT_S)


def test_a_part_without_images_waits_for_none(feed):
    feed.part_delivered(part(1, has_files=False))
    assert feed.wait_for(1, 0.5)


def test_images_that_never_come_hold_nobody_up(feed, monkeypatch):
    monkeypatch.setattr(feed_module, "_PATIENCE_S", 0.05)
    feed.part_delivered(part(1))
    assert feed.wait_for(1, TIMEOUT_S)


def test_parts_are_told_in_order(feed, heard):
    for sequence in (1, 2, 3):
        feed.part_delivered(part(sequence))
    for sequence in (3, 2, 1):
        feed.evidence_stored(sequence)
    assert feed.wait_for(3, TIMEOUT_S)
    feed.stop()
    assert [event.sequence for event in heard.sent] == [1, 2, 3]


def test_other_events_do_not_wait_for_parts(feed, heard):
    feed.part_delivered(part(1))
    feed.tell(PlcChanged(line="demo", plc=None))
    assert heard.one.acquire(timeout=0.5)
    assert heard.sent[0].type == "plc_changed"


def test_redis_away_ends_nothing(heard, monkeypatch, caplog):
    async def away(event) -> None:
        raise ConnectionError("gone")

    live = LiveFeed()
    monkeypatch.setattr(feed_module, "publish_async", away)
    live.start()
    live.part_delivered(part(1, has_files=False))
    assert live.wait_for(1, TIMEOUT_S)
    live.stop()
    assert "live events are not sent" in caplog.text
