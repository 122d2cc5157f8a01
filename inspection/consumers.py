import asyncio
import contextlib
import json
from typing import Any

import redis
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from annotation.choices import Role
from inspection import events
from inspection.bus import liveness
from inspection.models import Line

NOT_LOGGED_IN = 4401
NOT_ALLOWED = 4403
NOT_FOUND = 4404


class LatestConsumer(AsyncWebsocketConsumer):
    """Sends events to one browser; while a send is under way, a newer event of a kind replaces the older one.

    So a slow browser gets the newest and no backlog grows. It sees the gap in the sequence and asks REST for
    what it missed.
    """

    role = Role.OPERATOR

    async def connect(self) -> None:
        self.waiting: dict[str, dict[str, Any]] = {}
        self.has_news = asyncio.Event()
        self.tasks: list[asyncio.Task] = []
        self.groups_joined: list[str] = []
        refusal = await self.refusal()
        await self.accept()
        if refusal:
            await self.close(code=refusal)
            return
        for group in self.groups_to_join():
            await self.channel_layer.group_add(group, self.channel_name)
            self.groups_joined.append(group)
        self.tasks = [asyncio.create_task(work) for work in self.background()]

    async def disconnect(self, code: int) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        with contextlib.suppress(redis.RedisError, OSError):
            for group in self.groups_joined:
                await self.channel_layer.group_discard(group, self.channel_name)

    async def refusal(self) -> int | None:
        """The code to close with, or None. Accepted first, as a browser is told no code otherwise."""
        user = self.scope["user"]
        if not user.is_authenticated:
            return NOT_LOGGED_IN
        return None if user.is_at_least(self.role) else NOT_ALLOWED

    def groups_to_join(self) -> list[str]:
        raise NotImplementedError

    def background(self) -> list:
        return [self.send_news()]

    def slot(self, event: dict[str, Any]) -> str:
        """Events of one slot replace each other. Alarms and deployments each matter."""
        return f"{event['type']}:{event.get('id', '')}"

    async def line_event(self, message: dict[str, Any]) -> None:
        """A message of the channel layer: an event of `inspection.events`."""
        self.offer(message["event"])

    def offer(self, event: dict[str, Any]) -> None:
        slot = self.slot(event)
        self.waiting.pop(slot, None)
        self.waiting[slot] = event
        self.has_news.set()

    async def send_news(self) -> None:
        while True:
            await self.has_news.wait()
            self.has_news.clear()
            while self.waiting:
                event = self.waiting.pop(next(iter(self.waiting)))
                await self.send(text_data=json.dumps(event))


class LineConsumer(LatestConsumer):
    """`/ws/lines/<slug>/`: what happens on one line."""

    @property
    def slug(self) -> str:
        return self.scope["url_route"]["kwargs"]["slug"]

    async def refusal(self) -> int | None:
        if (code := await super().refusal()) is not None:
            return code
        is_there = await database_sync_to_async(Line.objects.filter(slug=self.slug).exists)()
        return None if is_there else NOT_FOUND

    def groups_to_join(self) -> list[str]:
        return [events.group(self.slug)]

    def background(self) -> list:
        return [self.send_news(), self.watch_line()]

    async def watch_line(self) -> None:
        """A process that died says nothing, so its sign of life is looked for here."""
        before: events.LineChanged | None = None
        while True:
            status = await asyncio.to_thread(liveness.line_status, self.slug)
            now = events.LineChanged.of(self.slug, status)
            if now != before:
                before = now
                self.offer(now.to_json())
            await asyncio.sleep(liveness.ANNOUNCE_EVERY_S)


class OverviewConsumer(LatestConsumer):
    """`/ws/overview/`: what happens on every line."""

    def groups_to_join(self) -> list[str]:
        return [events.EVERY_LINE]

    def slot(self, event: dict[str, Any]) -> str:
        return f"{event['line']}:{super().slot(event)}"
