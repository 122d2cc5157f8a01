"""Images over a real Redis into a real runtime."""

from collections.abc import Iterator

import pytest

from inspection.bus import inbox
from inspection.edge.feed import LiveFeed
from inspection.edge.intake import Intake
from inspection.line.events import PartJudged
from inspection.line.runtime import LineRuntime
from inspection.plc.registers import ErrorCode
from tests.inspection.line.factories import ShadeJudge, line_config, picture, png
from tests.inspection.plc.bench import wait_until

pytestmark = pytest.mark.usefixtures("redis_here")
IMAGE = png(picture())


class Line:
    """A line that takes pushed frames; its intake's steps happen when the test says so."""

    def __init__(self, folder) -> None:
        self.runtime = LineRuntime(line_config(folder, deadline_s=1.0), lambda _: ShadeJudge())
        self.intake = Intake("demo", self.runtime, LiveFeed())
        self.seen = []
        self.runtime.subscribe(self.seen.append)

    def judged(self) -> dict:
        """The record of the next part."""
        self.intake.step()
        return wait_until(self._records, "a part")[0]

    def _records(self) -> list[dict]:
        return [event.record for event in list(self.seen) if isinstance(event, PartJudged)]


@pytest.fixture
def line(tmp_path) -> Iterator[Line]:
    one = Line(tmp_path)
    inbox.forget("demo")
    one.intake._is_begun = True
    one.runtime.start()
    wait_until(lambda: one.runtime.deployment, "the model")
    yield one
    one.intake.stop()
    one.runtime.stop()


def send(monkeypatch, *, ago_s: float = 0.0) -> None:
    with monkeypatch.context() as patched:
        sent_s = inbox._now_s() - ago_s
        patched.setattr(inbox, "_now_s", lambda: sent_s)
        assert inbox.put("demo", kind="frame", frames={"top": ("a.png", IMAGE)}) is not None


def test_a_frame_that_comes_at_once_is_judged(line, monkeypatch):
    send(monkeypatch)
    assert line.judged()["verdict"] == "OK"


def test_a_part_s_time_runs_from_when_its_frame_was_sent(line, monkeypatch):
    send(monkeypatch, ago_s=5)
    record = line.judged()
    assert (record["verdict"], record["error_code"]) == ("ERROR", ErrorCode.LATE)
    assert record["judged_verdict"] == "OK"


def test_a_frame_that_was_on_its_way_for_too_long_is_an_error_and_not_silence(line, monkeypatch):
    send(monkeypatch, ago_s=3600)
    record = line.judged()
    assert record["verdict"] == "ERROR"
    assert record["views"][0]["error"] == "on its way for 3600 s"
    assert "after they were sent" in line.runtime.alarms.standing["push"]


def test_images_that_a_full_list_refused_are_an_alarm_of_the_line(line, monkeypatch):
    monkeypatch.setattr(inbox, "DEPTH", 1)
    send(monkeypatch)
    for _ in range(2):
        assert inbox.put("demo", kind="frame", frames={"top": ("a.png", IMAGE)}) is None
    line.judged()
    assert "2 times images were refused" in line.runtime.alarms.standing["push"]
    assert inbox.take_refused("demo") == 0
