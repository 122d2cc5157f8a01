"""A WebSocket client of a consumer, in the test's own event loop.

`channels.testing` has one, but importing it needs Daphne, which this product does not run on.
"""

import json
from typing import Any

from asgiref.testing import ApplicationCommunicator

TIMEOUT_S = 5


class Socket(ApplicationCommunicator):
    """
    Args:
        application: an ASGI application, a URLRouter as a rule.
        path: e.g. "/ws/training/1/".
        user: who is logged in.
    """

    def __init__(self, application: Any, path: str, user: Any) -> None:
        scope = {"type": "websocket", "path": path, "query_string": b"", "headers": [], "subprotocols": []}
        super().__init__(application, scope | {"user": user})

    async def connect(self) -> bool:
        """Whether it was let in."""
        await self.send_input({"type": "websocket.connect"})
        return (await self.receive_output(TIMEOUT_S))["type"] == "websocket.accept"

    async def receive_json(self) -> Any:
        answer = await self.receive_output(TIMEOUT_S)
        assert answer["type"] == "websocket.send", answer
        return json.loads(answer["text"])

    async def closing_code(self) -> int:
        answer = await self.receive_output(TIMEOUT_S)
        assert answer["type"] == "websocket.close", answer
        return answer["code"]

    async def disconnect(self) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(TIMEOUT_S)
