"""How long a request may be. Django keeps the whole body before it asks who sent it; this looks first."""

import json
from typing import Final

from asgiref.typing import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    HTTPScope,
    Scope,
)
from django.conf import settings
from django.urls import Resolver404, resolve

_ARCHIVE_ROUTES: Final = frozenset({"dataset_new", "imports", "api_imports"})
_IMAGE_ROUTES: Final = frozenset({"api_dataset_images", "api_frames", "api_inspect"})
# A form's other fields and the parts' borders.
_FORM_BYTES: Final = 1_000_000


class BodyLimit:
    """An ASGI application behind which no request is longer than its address takes: 413 otherwise."""

    def __init__(self, application: ASGI3Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        body = _CountedBody(scope, receive)
        if not body.is_too_long:
            await self._application(scope, body.receive, send)
        # The application took it for a client that went away, and has answered nothing.
        if body.is_too_long:
            await _refuse(scope, send)


class _CountedBody:
    """A request's body; where it gets too long, the client seems gone."""

    def __init__(self, scope: HTTPScope, receive: ASGIReceiveCallable) -> None:
        self._scope = scope
        self._receive = receive
        self._size_bytes = 0
        self.is_too_long = _is_too_long(scope, _declared_bytes(scope))

    async def receive(self) -> ASGIReceiveEvent:
        event = await self._receive()
        if event["type"] != "http.request":
            return event
        self._size_bytes += len(event.get("body", b""))
        self.is_too_long = self.is_too_long or _is_too_long(self._scope, self._size_bytes)
        return {"type": "http.disconnect"} if self.is_too_long else event


def _declared_bytes(scope: HTTPScope) -> int:
    declared = dict(scope["headers"]).get(b"content-length", b"")
    return int(declared) if declared.isdigit() else 0


def _is_too_long(scope: HTTPScope, size_bytes: int) -> bool:
    # Most requests are short: only long ones cost a look at their address.
    return size_bytes > settings.DATA_UPLOAD_MAX_MEMORY_SIZE and size_bytes > _limit(scope)


def _limit(scope: HTTPScope) -> int:
    try:
        route = resolve(scope["path"].removeprefix(scope.get("root_path", ""))).url_name
    except Resolver404:
        route = None
    limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if route in _ARCHIVE_ROUTES:
        limit = settings.MAX_UPLOAD_BYTES + _FORM_BYTES
    elif route in _IMAGE_ROUTES:
        limit = settings.MAX_IMAGE_BYTES + _FORM_BYTES
    return limit


async def _refuse(scope: HTTPScope, send: ASGISendCallable) -> None:
    text = f"The request is too long; at most {_limit(scope) / 1e6:,.1f} MB are taken here."
    is_api = scope["path"].removeprefix(scope.get("root_path", "")).startswith("/api/")
    answer = json.dumps({"detail": text, "code": "request_too_large"}) if is_api else text
    content_type = b"application/json" if is_api else b"text/plain; charset=utf-8"
    headers = [
        (b"content-type", content_type),
        (b"content-length", str(len(answer.encode())).encode()),
        (b"connection", b"close"),  # the rest of the body is not read
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers, "trailers": False})
    await send({"type": "http.response.body", "body": answer.encode(), "more_body": False})
