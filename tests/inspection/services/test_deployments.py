import pytest
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from annotation.models import AuditEntry
from inspection.bus import liveness
from inspection.choices import DeploymentState
from inspection.models import Deployment, Line
from inspection.services.deployments import DeploymentRefused, deploy, mark_failed, mark_live, outlook
from ml.choices import ModelStage
from ml.models import OperatingPoint
from tests.inspection.factories import make_deployment, make_line, make_operating_point

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("folders")]


@pytest.fixture
def line():
    return make_line()


@pytest.fixture
def point():
    return make_operating_point()


def states(line) -> list[tuple[int, str]]:
    return list(line.deployments.order_by("pk").values_list("pk", "state"))


def test_a_deployment_waits_until_the_line_has_swapped(line, point, people, told):
    deployment = deploy(operating_point=point, line=line, by=people["engineer"])
    assert deployment.state == DeploymentState.PENDING
    assert AuditEntry.objects.get().action == "deployment.created"


def test_pages_are_told_once_it_is_committed(line, point, told, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        deployment = deploy(operating_point=point, line=line, by=None)
        assert told == []
    assert [(event.type, event.id, event.state) for event in told] == [
        ("deployment_changed", deployment.pk, "pending")
    ]


def test_a_newer_deployment_supersedes_one_that_still_waits(line, point, told):
    first = deploy(operating_point=point, line=line, by=None)
    second = deploy(operating_point=point, line=line, by=None)
    assert states(line) == [(first.pk, "superseded"), (second.pk, "pending")]


def test_going_live_supersedes_the_one_before(line, point, told):
    old = make_deployment(line, point)
    new = deploy(operating_point=point, line=line, by=None)
    assert mark_live(deployment_id=new.pk, engine="onnx float32")
    assert states(line) == [(old.pk, "superseded"), (new.pk, "live")]
    assert Deployment.objects.get(pk=new.pk).engine == "onnx float32"


def test_saying_twice_that_it_is_live_changes_nothing(line, point, told):
    new = deploy(operating_point=point, line=line, by=None)
    mark_live(deployment_id=new.pk, engine="a")
    before = Deployment.objects.get(pk=new.pk).live_at
    assert not mark_live(deployment_id=new.pk, engine="b")
    assert Deployment.objects.get(pk=new.pk).live_at == before


def test_a_failed_one_leaves_the_old_one_live(line, point, told):
    old = make_deployment(line, point)
    new = deploy(operating_point=point, line=line, by=None)
    assert mark_failed(deployment_id=new.pk, error="parity: 0.3 apart")
    assert states(line) == [(old.pk, "live"), (new.pk, "failed")]
    assert Deployment.objects.get(pk=new.pk).error == "parity: 0.3 apart"


def test_rolling_back_is_deploying_an_old_point_again(line, point, told):
    first = deploy(operating_point=point, line=line, by=None)
    mark_live(deployment_id=first.pk, engine="")
    stricter = OperatingPoint.objects.create(model_version=point.model_version, ng_at=0.5, reason="stricter")
    second = deploy(operating_point=stricter, line=line, by=None)
    mark_live(deployment_id=second.pk, engine="")
    third = deploy(operating_point=first.operating_point, line=line, by=None)
    mark_live(deployment_id=third.pk, engine="")
    assert [state for _, state in states(line)] == ["superseded", "superseded", "live"]
    assert line.deployments.get(state="live").operating_point == point


def test_a_retired_model_is_refused(line, point):
    point.model_version.stage = ModelStage.RETIRED
    point.model_version.save()
    with pytest.raises(DeploymentRefused, match="retired"):
        deploy(operating_point=point, line=line, by=None)


def test_a_model_without_its_files_is_refused(line):
    point = make_operating_point(has_artefact=False)
    with pytest.raises(DeploymentRefused, match="files"):
        deploy(operating_point=point, line=line, by=None)
    assert not Deployment.objects.exists()


def test_a_line_that_does_not_run_is_told_with_the_command_that_starts_it(line, point, told):
    assert "python manage.py run_line demo" in outlook(deploy(operating_point=point, line=line, by=None))


def test_a_line_that_runs_is_told_as_such(line, point, told, redis_here):
    liveness.announce(line.slug, liveness.LineStatus(pid=1, started_at=""))
    assert "swaps between two parts" in outlook(deploy(operating_point=point, line=line, by=None))


def test_an_older_one_never_takes_the_place_of_a_newer_one_that_is_live(line, point, told):
    older = deploy(operating_point=point, line=line, by=None)
    newer = make_deployment(line, point)
    assert not mark_live(deployment_id=older.pk, engine="")
    assert states(line) == [(older.pk, "superseded"), (newer.pk, "live")]


def test_a_newer_one_still_waits_when_the_line_says_that_the_one_before_is_live(line, point, told):
    first = deploy(operating_point=point, line=line, by=None)
    second = deploy(operating_point=point, line=line, by=None)
    assert mark_live(deployment_id=first.pk, engine="")
    assert states(line) == [(first.pk, "live"), (second.pk, "pending")]


def test_two_cannot_wait_for_the_same_line(line, point):
    make_deployment(line, point, state=DeploymentState.PENDING)
    with pytest.raises(IntegrityError), transaction.atomic():
        make_deployment(line, point, state=DeploymentState.PENDING)


def test_deploying_and_going_live_first_lock_the_line(line, point, told, monkeypatch):
    """SQLite has no row locks, so what PostgreSQL would be asked for is looked at."""
    asked: list[type] = []
    real = QuerySet.select_for_update

    def note(rows: QuerySet, **options) -> QuerySet:
        asked.append(rows.model)
        return real(rows, **options)

    monkeypatch.setattr(QuerySet, "select_for_update", note)
    deployment = deploy(operating_point=point, line=line, by=None)
    assert asked == [Line]
    mark_live(deployment_id=deployment.pk, engine="")
    assert asked == [Line, Line]
