"""Raw ASGI calls, as the server makes them."""

import json
from collections.abc import Iterator

import pytest
from django.test import Client
from knox.models import AuthToken

from inspection.config.body_limit import ANONYMOUS_BYTES, BodyLimit, is_known

MB = 1_000_000


class Server:
    """Calls an application behind the limit; keeps how much of the body it was given."""

    def __init__(self, is_known=is_known) -> None:
        self.read_bytes = 0
        self.sent: list[dict] = []
        self._behind_limit = BodyLimit(self._application, is_known)

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
        await self._behind_limit(scope, receive, send)
        return self.sent[0]["status"]

    async def declare(self, path: str, size_bytes: int, **headers: str) -> int:
        sent = raw(headers) | {b"content-length": b"%d" % size_bytes}
        return await self.post(path, chunks=iter([]), headers=sent)

    async def stream(self, path: str, size_bytes: int, **headers: str) -> int:
        return await self.post(path, chunks=iter([bytes(MB)] * (size_bytes // MB)), headers=raw(headers))


def raw(headers: dict[str, str]) -> dict[bytes, bytes]:
    return {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}


async def everybody(scope) -> bool:
    return True


@pytest.fixture
def server(settings) -> Server:
    """One to which everybody is logged in."""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * MB
    settings.MAX_IMAGE_BYTES = 4 * MB
    settings.MAX_UPLOAD_BYTES = 8 * MB
    return Server(everybody)


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


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("content_type", "limit"), [("multipart/form-data; boundary=x", 65 * MB), ("image/png", 5 * MB)]
)
async def test_a_form_may_bring_an_image_of_every_station(server, content_type, limit):
    assert await server.declare("/api/v1/lines/demo/inspect/", limit, content_type=content_type) == 200
    longer = Server(everybody)
    assert await longer.declare("/api/v1/lines/demo/inspect/", limit + 1, content_type=content_type) == 413


@pytest.mark.asyncio
@pytest.mark.parametrize("path", [path for path, _ in LIMITS])
async def test_a_stranger_s_long_body_is_refused_before_any_of_it_is_read(transactional_db, path):
    server = Server()
    assert await server.declare(path, MB) == 401
    assert server.read_bytes == 0


@pytest.mark.asyncio
async def test_a_stranger_s_body_of_no_declared_length_is_cut_at_its_first_piece(transactional_db):
    server = Server()
    assert await server.stream("/api/v1/datasets/bolts/imports/", 5 * MB) == 401
    assert server.read_bytes == 0
    assert json.loads(server.sent[1]["body"])["code"] == "not_authenticated"


@pytest.mark.asyncio
async def test_a_stranger_may_log_in():
    server = Server()
    assert await server.declare("/login/", ANONYMOUS_BYTES) == 200


@pytest.fixture
def session(people) -> str:
    client = Client()
    client.force_login(people["quality"])
    return f"sessionid={client.cookies['sessionid'].value}"


@pytest.fixture
def token(people) -> str:
    return "Token " + AuthToken.objects.create(people["quality"])[1]


@pytest.mark.asyncio
async def test_who_is_logged_in_may_send_what_is_long(transactional_db, session, token):
    assert await Server().stream("/datasets/new/", 5 * MB, cookie=session) == 200
    assert await Server().stream("/api/v1/datasets/bolts/imports/", 5 * MB, authorization=token) == 200


@pytest.mark.asyncio
async def test_a_cookie_or_a_token_that_is_merely_there_proves_nothing(transactional_db, session, token):
    for headers in (
        {"cookie": "sessionid=0123456789abcdef"},
        {"cookie": session[:-1]},
        {"authorization": "Token 0123456789abcdef"},
        {"authorization": token[:-1]},
        {"authorization": "Token"},
        {"authorization": "Basic YTpi"},
    ):
        assert await Server().declare("/datasets/new/", MB, **headers) == 401, headers


@pytest.fixture
def dismissed(people, session, token) -> None:
    people["quality"].is_active = False
    people["quality"].save()


@pytest.mark.asyncio
async def test_who_was_deactivated_is_a_stranger(transactional_db, session, token, dismissed):
    assert await Server().declare("/datasets/new/", MB, cookie=session) == 401
    assert await Server().declare("/datasets/new/", MB, authorization=token) == 401


def test_the_product_s_http_is_behind_the_limit():
    from inspection.config.asgi import application

    assert isinstance(application.application_mapping["http"], BodyLimit)
