"""Raw ASGI calls, as the server makes them."""

import json
from collections.abc import Iterator

import pytest

from inspection.config.body_limit import BodyLimit

MB = 1_000_000


class Server:
    """Calls an application behind the limit; keeps how much of the body it was given."""

    def __init__(self) -> None:
        self.read_bytes = 0
        self.sent: list[dict] = []

    async def _application(self, scope, receive, send) -> None:
        """Reads to the end first, as Django does."""
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                return
            self.read_bytes += len(event["body"])
            if not event["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"fine"})

    async def post(self, path: str, *, chunks: Iterator[bytes], headers: dict[bytes, bytes]) -> int:
        async def receive() -> dict:
            body = next(chunks, None)
            return {"type": "http.request", "body": body or b"", "more_body": body is not None}

        async def send(event: dict) -> None:
            self.sent.append(event)

        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "root_path": "",
            "headers": [*headers.items()],
        }
        await BodyLimit(self._application)(scope, receive, send)
        return self.sent[0]["status"]

    async def declare(self, path: str, size_bytes: int) -> int:
        return await self.post(path, chunks=iter([]), headers={b"content-length": b"%d" % size_bytes})

    async def stream(self, path: str, size_bytes: int) -> int:
        return await self.post(path, chunks=iter([bytes(MB)] * (size_bytes // MB)), headers={})


@pytest.fixture
def server(settings) -> Server:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * MB
    settings.MAX_IMAGE_BYTES = 4 * MB
    settings.MAX_UPLOAD_BYTES = 8 * MB
    return Server()


# The image's and the archive's have a megabyte for the rest of the form.
LIMITS = [
    ("/login/", 2 * MB),
    ("/nowhere/", 2 * MB),
    ("/api/v1/datasets/", 2 * MB),
    ("/api/v1/datasets/bolts/images/", 5 * MB),
    ("/api/v1/lines/demo/stations/top/frames/", 5 * MB),
    ("/api/v1/lines/demo/inspect/", 5 * MB),
    ("/datasets/new/", 9 * MB),
    ("/datasets/bolts/import/", 9 * MB),
    ("/api/v1/datasets/bolts/imports/", 9 * MB),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("path", "limit"), LIMITS)
async def test_a_body_up_to_its_address_s_limit_is_taken(server, path, limit):
    assert await server.declare(path, limit) == 200


@pytest.mark.asyncio
@pytest.mark.parametrize(("path", "limit"), LIMITS)
async def test_a_longer_body_is_refused_before_any_of_it_is_read(server, path, limit):
    assert await server.declare(path, limit + 1) == 413
    assert server.read_bytes == 0


@pytest.mark.asyncio
@pytest.mark.parametrize(("path", "limit"), LIMITS)
async def test_a_body_of_no_declared_length_is_counted_and_cut(server, path, limit):
    assert await server.stream(path, limit + 3 * MB) == 413
    assert server.read_bytes == limit


@pytest.mark.asyncio
async def test_a_body_of_no_declared_length_within_the_limit_is_taken_whole(server):
    assert await server.stream("/api/v1/lines/demo/inspect/", 5 * MB) == 200
    assert server.read_bytes == 5 * MB


@pytest.mark.asyncio
async def test_the_api_is_answered_in_json_and_a_page_in_words(server):
    await server.declare("/api/v1/jobs/", 3 * MB)
    await server.declare("/login/", 3 * MB)
    api, page = server.sent[1]["body"], server.sent[3]["body"]
    assert json.loads(api) == {
        "detail": "The request is too long; at most 2.0 MB are taken here.",
        "code": "request_too_large",
    }
    assert page.decode() == "The request is too long; at most 2.0 MB are taken here."


@pytest.mark.asyncio
async def test_a_length_that_is_no_number_does_not_open_the_door(server):
    headers = {b"content-length": b"-1"}
    assert await server.post("/login/", chunks=iter([bytes(MB)] * 3), headers=headers) == 413


def test_the_product_s_http_is_behind_the_limit():
    from inspection.config.asgi import application

    assert isinstance(application.application_mapping["http"], BodyLimit)
