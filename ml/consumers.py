"""Live training jobs over WebSocket: who may see is checked here, what is told is decided in `ml.events`."""

from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from annotation.choices import Role
from ml import events
from ml.models import TrainingJob

CLOSE_NOT_FOUND = 4404


class TrainingConsumer(AsyncJsonWebsocketConsumer):
    """One job. Sends the whole row on connecting, then what changes."""

    async def connect(self) -> None:
        self.job_id = self.scope["url_route"]["kwargs"]["job_id"]
        self.group = events.job_group(self.job_id)
        user = self.scope["user"]
        if not user.is_authenticated or not user.is_at_least(Role.OPERATOR):
            await self.close()
            return
        await self.accept()
        # Joined before the row is read, so that nothing falls between the two.
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.send_row()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def job_event(self, event: dict[str, Any]) -> None:
        await self.send_json(event["message"])

    async def send_row(self) -> None:
        row = await self._row()
        if row is None:
            await self.close(CLOSE_NOT_FOUND)
            return
        await self.send_json(row)

    @database_sync_to_async
    def _row(self) -> dict[str, Any] | None:
        job = TrainingJob.objects.filter(pk=self.job_id).first()
        return job and events.job_row(job)
