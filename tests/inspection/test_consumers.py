"""Sockets: who may listen, and that a slow browser gets the newest."""

import asyncio
import json

import pytest
import redis
from asgiref.testing import ApplicationCommunicator
from django.test import Client

from inspection import events
from inspection.bus import liveness
from inspection.config.asgi import application
from inspection.consumers import NOT_ALLOWED, NOT_FOUND, NOT_LOGGED_IN, LatestConsumer
from tests.inspection.factories import make_line

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_here")]


def cookie_of(user) -> str:
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return f"sessionid={client.cookies['sessionid'].value}"


class Socket(ApplicationCommunicator):
    """A browser's socket. (Channels' own stand-in needs a server that the product has no use for.)"""

    def __init__(self, path: str, cookie: str = "", origin: str = "http://localhost") -> None:
        headers = [(b"origin", origin.encode()), (b"host", b"localhost"), (b"cookie", cookie.encode())]
        scope = {
            "type": "websocket",
            "path": path,
            "query_string": b"",
            "headers": headers,
            "subprotocols": [],
        }
        super().__init__(application, scope)

    async def connect(self) -> bool:
        await self.send_input({"type": "websocket.connect"})
        return (await self.receive_output(3))["type"] == "websocket.accept"

    async def receive(self) -> dict:
        return json.loads((await self.receive_output(3))["text"])

    async def disconnect(self) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(3)


@pytest.fixture
def line(transactional_db):
    return make_line()


@pytest.fixture
def operator(people, line):
    return cookie_of(people["operator"])


def alarm(number: int, line: str = "demo") -> events.AlarmRaised:
    return events.AlarmRaised(line=line, id=number, code=f"c{number}", message="m", raised_at="")


async def next_of(socket: Socket, kind: str) -> dict:
    while (event := await socket.receive())["type"] != kind:
        pass
    return event


@pytest.mark.parametrize("path", ["/ws/lines/demo/", "/ws/overview/"])
async def test_nobody_listens_without_login(line, path):
    socket = Socket(path)
    await socket.connect()
    assert (await socket.receive_output())["code"] == NOT_LOGGED_IN


async def test_an_unknown_line_is_said_to_be_so(operator):
    socket = Socket("/ws/lines/nowhere/", operator)
    await socket.connect()
    assert (await socket.receive_output())["code"] == NOT_FOUND


@pytest.fixture
def former_operator(operator, people) -> str:
    """The cookie of somebody who was deactivated since."""
    people["operator"].is_active = False
    people["operator"].save()
    return operator


async def test_a_person_who_was_deactivated_hears_nothing(former_operator):
    socket = Socket("/ws/lines/demo/", former_operator)
    await socket.connect()
    assert (await socket.receive_output())["code"] in {NOT_LOGGED_IN, NOT_ALLOWED}


async def test_a_page_of_another_site_can_t_connect(operator):
    assert not await Socket("/ws/lines/demo/", operator, origin="http://evil.example").connect()


@pytest.mark.parametrize("path", ["/ws/lines/demo/", "/ws/overview/"])
async def test_an_operator_hears_what_happens(operator, path):
    socket = Socket(path, operator)
    assert await socket.connect()
    await events.publish_async(alarm(7))
    assert (await next_of(socket, "alarm_raised"))["id"] == 7
    await socket.disconnect()


async def test_another_line_s_events_stay_there(operator):
    socket = Socket("/ws/lines/demo/", operator)
    await socket.connect()
    await events.publish_async(alarm(1, line="other"))
    await events.publish_async(alarm(2))
    assert (await next_of(socket, "alarm_raised"))["id"] == 2
    await socket.disconnect()


async def test_a_line_that_starts_and_dies_is_noticed(operator, redis_here):
    socket = Socket("/ws/lines/demo/", operator)
    await socket.connect()
    assert (await next_of(socket, "line_changed"))["is_running"] is False
    await asyncio.to_thread(liveness.announce, "demo", liveness.LineStatus(pid=1, started_at=""))
    assert (await next_of(socket, "line_changed"))["is_running"] is True
    await asyncio.to_thread(liveness.withdraw, "demo")
    assert (await next_of(socket, "line_changed"))["is_running"] is False
    await socket.disconnect()


class Gate(LatestConsumer):
    """A browser whose connection lets nothing through until it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.opened, self.sent = asyncio.Event(), []
        self.waiting, self.has_news = {}, asyncio.Event()

    async def send(self, text_data: str = "", **_) -> None:
        await self.opened.wait()
        self.sent.append(json.loads(text_data))


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_slow_browser_gets_the_newest_part_and_no_backlog():
    slow = Gate()
    sending = asyncio.create_task(slow.send_news())
    for sequence in range(1, 201):
        slow.offer({"type": "part_judged", "line": "demo", "sequence": sequence})
        await settle()
    assert len(slow.waiting) == 1
    slow.opened.set()
    await settle()
    sending.cancel()
    assert [event["sequence"] for event in slow.sent] == [1, 200]


async def test_alarms_are_not_lost_among_parts():
    slow = Gate()
    sending = asyncio.create_task(slow.send_news())
    for number in range(3):
        slow.offer({"type": "part_judged", "line": "demo", "sequence": number})
        slow.offer(alarm(number).to_json())
        await settle()
    slow.opened.set()
    await settle()
    sending.cancel()
    assert [event["id"] for event in slow.sent if event["type"] == "alarm_raised"] == [0, 1, 2]


def test_without_redis_an_event_is_dropped_quietly(monkeypatch, caplog):
    async def away(event: events.Event) -> None:
        raise redis.ConnectionError("gone")

    monkeypatch.setattr(events, "publish_async", away)
    events.publish(alarm(1))
    assert "Redis is away" in caplog.text
