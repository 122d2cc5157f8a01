import pytest
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from django.contrib.auth.models import AnonymousUser

from annotation.choices import Role
from annotation.models import User
from ml import events
from ml.choices import JobState
from ml.models import TrainingJob
from ml.routing import websocket_urlpatterns
from tests.ml.factories import make_dataset, make_job
from tests.sockets import Socket

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def job(media, redis_server) -> TrainingJob:
    return make_job(make_dataset(ok=6, ng=6), curves={"loss": [[1, 0.5]]}, log="queued\n")


def connection_to(job_id: int, user) -> Socket:
    return Socket(URLRouter(websocket_urlpatterns), f"/ws/training/{job_id}/", user)


@database_sync_to_async
def person(role: Role = Role.OPERATOR, *, is_active: bool = True) -> User:
    return User.objects.create_user(
        username=f"{role}{is_active}", password="x", role=role, is_active=is_active
    )


async def test_a_stranger_is_not_let_in(job):
    assert not await connection_to(job.pk, AnonymousUser()).connect()


async def test_a_person_who_was_deactivated_is_not_let_in(job):
    assert not await connection_to(job.pk, await person(is_active=False)).connect()


@pytest.mark.parametrize("role", list(Role))
async def test_every_role_is_told_the_whole_row_first(job, role):
    socket = connection_to(job.pk, await person(role))
    assert await socket.connect()
    row = await socket.receive_json()
    assert row["kind"] == "row"
    assert (row["job"]["state"], row["curves"], row["log"]) == ("queued", {"loss": [[1, 0.5]]}, "queued\n")
    await socket.disconnect()


async def test_progress_reaches_those_who_watch_this_job_and_no_others(job):
    @database_sync_to_async
    def progress() -> None:
        job.state, job.progress = JobState.RUNNING, 0.5
        events.job_progressed(job, points={"loss": [[2, 0.4]]}, log="half\n")

    other = await database_sync_to_async(lambda: TrainingJob.objects.create(
        dataset=job.dataset, snapshot=job.snapshot, method="weak"
    ))()  # fmt: skip
    user = await person()
    watching, elsewhere = connection_to(job.pk, user), connection_to(other.pk, user)
    for socket in (watching, elsewhere):
        await socket.connect()
        await socket.receive_json()
    await progress()
    event = await watching.receive_json()
    assert (event["kind"], event["job"]["progress"], event["points"]) == (
        "progress",
        0.5,
        {"loss": [[2, 0.4]]},
    )
    assert event["log"] == "half\n"
    assert await elsewhere.receive_nothing(0.2)
    for socket in (watching, elsewhere):
        await socket.disconnect()


async def test_a_job_that_is_not_there_closes_the_socket(job):
    socket = connection_to(99_999, await person())
    await socket.connect()
    assert await socket.closing_code() == 4404


async def test_redis_away_does_not_stop_a_training(job, monkeypatch, caplog):
    async def refuse(*_args):
        raise ConnectionRefusedError("no Redis")

    monkeypatch.setattr(get_channel_layer().__class__, "group_send", refuse, raising=False)
    await database_sync_to_async(events.job_progressed)(job)
    assert "no Redis" in caplog.text
