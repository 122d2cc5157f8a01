"""How long a request may be. Django keeps the whole body before it asks who sent it; this looks first."""

import io
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Final

from asgiref.typing import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    HTTPScope,
    Scope,
)
from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.core.handlers.asgi import ASGIRequest
from django.urls import Resolver404, resolve
from knox.auth import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed

from inspection.line.config import MAX_STATIONS

_ARCHIVE_ROUTES: Final = frozenset({"dataset_new", "imports", "api_imports"})
_IMAGE_ROUTES: Final = frozenset({"api_dataset_images", "api_frames", "api_inspect"})
# A form's other fields and the parts' borders.
_FORM_BYTES: Final = 1_000_000
# Nobody who isn't logged in has more to say: a login, a token.
ANONYMOUS_BYTES: Final = 100_000


@database_sync_to_async
def is_known(scope: HTTPScope) -> bool:
    """Whether a request's session or token is that of a person who may log in.

    The same judgement as the views': a cookie or header that is merely there proves nothing.
    """
    request = ASGIRequest(scope, io.BytesIO())
    sessions = import_module(settings.SESSION_ENGINE)
    request.session = sessions.SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    if get_user(request).is_authenticated:
        return True
    try:
        return TokenAuthentication().authenticate(request) is not None
    except (AuthenticationFailed, UnicodeDecodeError):
        return False


class BodyLimit:
    """An ASGI application behind which no request is longer than its address and its sender may make it.

    Args:
        application: what is behind.
        is_known: whether a request comes from somebody who is logged in; asked once, and of long ones alone.
    """

    def __init__(
        self, application: ASGI3Application, is_known: Callable[[HTTPScope], Awaitable[bool]] = is_known
    ) -> None:
        self._application = application
        self._is_known = is_known

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        body = _CountedBody(scope, receive, self._is_known)
        await body.look(_declared_bytes(scope))
        if body.refusal is None:
            await self._application(scope, body.receive, send)
        # The application took it for a client that went away, and has answered nothing.
        if body.refusal is not None:
            await _answer(body.refusal, scope, send)


@dataclass(frozen=True, kw_only=True)
class _Refusal:
    status: int
    code: str
    text: str


class _CountedBody:
    """A request's body; where it gets too long, the client seems gone."""

    def __init__(
        self,
        scope: HTTPScope,
        receive: ASGIReceiveCallable,
        is_known: Callable[[HTTPScope], Awaitable[bool]],
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._is_known = is_known
        self._size_bytes = 0
        # Most requests are short: only long ones cost a look at their address and their sender.
        self._looked_up_to_bytes = ANONYMOUS_BYTES
        self.refusal: _Refusal | None = None

    async def receive(self) -> ASGIReceiveEvent:
        event = await self._receive()
        if event["type"] != "http.request":
            return event
        self._size_bytes += len(event.get("body", b""))
        await self.look(self._size_bytes)
        return {"type": "http.disconnect"} if self.refusal else event

    async def look(self, size_bytes: int) -> None:
        """Whether so long a body is taken; `refusal` says why not."""
        if self.refusal or size_bytes <= self._looked_up_to_bytes:
            return
        limit = _limit(self._scope)
        if size_bytes > limit:
            text = f"The request is too long; at most {limit / 1e6:,.1f} MB are taken here."
            self.refusal = _Refusal(status=413, code="request_too_large", text=text)
        elif not await self._is_known(self._scope):
            text = "Log in first: a request of this length is taken from people who are logged in."
            self.refusal = _Refusal(status=401, code="not_authenticated", text=text)
        else:
            self._looked_up_to_bytes = limit


def _path(scope: HTTPScope) -> str:
    return scope["path"].removeprefix(scope.get("root_path", ""))


def _header(scope: HTTPScope, name: bytes) -> bytes:
    return dict(scope["headers"]).get(name, b"")


def _declared_bytes(scope: HTTPScope) -> int:
    declared = _header(scope, b"content-length")
    return int(declared) if declared.isdigit() else 0


def _limit(scope: HTTPScope) -> int:
    try:
        route = resolve(_path(scope)).url_name
    except Resolver404:
        route = None
    limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if route in _ARCHIVE_ROUTES:
        limit = settings.MAX_UPLOAD_BYTES + _FORM_BYTES
    elif route in _IMAGE_ROUTES:
        # A form of an inspection may bring an image of each station; every one is held to its limit there.
        is_form = _header(scope, b"content-type").startswith(b"multipart/")
        images = MAX_STATIONS if route == "api_inspect" and is_form else 1
        limit = images * settings.MAX_IMAGE_BYTES + _FORM_BYTES
    return limit


async def _answer(refusal: _Refusal, scope: HTTPScope, send: ASGISendCallable) -> None:
    is_api = _path(scope).startswith("/api/")
    answer = json.dumps({"detail": refusal.text, "code": refusal.code}) if is_api else refusal.text
    content_type = b"application/json" if is_api else b"text/plain; charset=utf-8"
    headers = [
        (b"content-type", content_type),
        (b"content-length", str(len(answer.encode())).encode()),
        (b"connection", b"close"),  # the rest of the body is not read
    ]
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Token"))
    await send(
        {"type": "http.response.start", "status": refusal.status, "headers": headers, "trailers": False}
    )
    await send({"type": "http.response.body", "body": answer.encode(), "more_body": False})
