import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotation.models import AuditEntry
from inspection.bus import liveness
from inspection.models import Deployment, Line
from tests.inspection.factories import make_deployment, make_line, make_operating_point, make_parts
from tests.ml.factories import make_dataset

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("folders", "told")]

LINE = {
    "name": "Press 4", "trigger_mode": "frame", "plc_profile": "none",
    "stations": [{"name": "top", "position": 0, "source": "push"}],
}  # fmt: skip


def test_a_line_is_made_with_its_stations(api_as):
    response = api_as("engineer").post("/api/v1/lines/", LINE)
    assert response.status_code == 201, response.json()
    assert (response.json()["slug"], response.json()["is_running"]) == ("press-4", False)
    assert [station.name for station in Line.objects.get().stations.all()] == ["top"]
    assert AuditEntry.objects.get().action == "line.created"


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"stations": []}, 400, "at least one station"),
        ({"stations": [{"name": "a", "position": 0}, {"name": "a", "position": 1}]}, 400, "same name"),
        ({"stations": [{"name": "a", "position": 0}, {"name": "b", "position": 0}]}, 400, "same position"),
        ({"name": "new"}, 400, "other than"),
        ({"deadline_ms": 0}, 400, "greater than or equal to 1"),
        ({"deadline_ms": 10**9}, 400, "less than or equal to 600000"),
        ({"plc_port": 99999}, 400, "65535"),
        ({"trigger_mode": "plc"}, 409, "handshake"),
        ({"stations": [{"name": "a", "position": 0, "source": "folder"}]}, 409, "none is given"),
        (
            {"stations": [{"name": "a", "source": "folder", "source_settings": {"path": "/"}}]},
            409,
            "keeps its own files there",
        ),
    ],
)
def test_what_makes_no_line_is_refused_in_words_and_nothing_is_kept(api_as, change, status, words):
    response = api_as("engineer").post("/api/v1/lines/", {**LINE, **change})
    assert response.status_code == status, response.json()
    assert words in response.content.decode()
    assert not Line.objects.exists()


def test_a_change_of_one_setting_leaves_the_rest(api_as):
    line = make_line(stations=("top", "side"))
    assert api_as("engineer").patch("/api/v1/lines/demo/", {"deadline_ms": 750}).status_code == 200
    line.refresh_from_db()
    assert (line.deadline_ms, line.stations.count()) == (750, 2)
    assert AuditEntry.objects.get().details == {"deadline_ms": 750}


def test_stations_can_change_places(api_as):
    line = make_line(stations=("top", "side"))
    stations = [
        {"name": "side", "position": 0},
        {"name": "top", "position": 1},
        {"name": "end", "position": 2},
    ]
    response = api_as("engineer").patch("/api/v1/lines/demo/", {"stations": stations})
    assert response.status_code == 200, response.json()
    assert [station.name for station in line.stations.all()] == ["side", "top", "end"]


def test_a_station_that_judged_parts_is_not_removed(api_as):
    line = make_line(stations=("top", "side"))
    make_parts(line, 1)
    response = api_as("engineer").patch(
        "/api/v1/lines/demo/", {"stations": [{"name": "side", "position": 0}]}
    )
    assert (response.status_code, response.json()["code"]) == (409, "station_in_use")
    assert line.stations.count() == 2


def test_a_running_line_says_so(api_as, redis_here):
    make_line()
    status = liveness.LineStatus(
        pid=1, started_at="2026-03-01T08:00:00+00:00", state="running", model_version=3
    )
    liveness.announce("demo", status)
    shown = api_as("operator").get("/api/v1/lines/demo/").json()
    assert shown["is_running"]
    assert (shown["status"]["state"], shown["status"]["model_version"]) == ("running", 3)


def test_the_list_of_lines_costs_no_more_for_more_lines(api_as):
    api = api_as("operator")
    make_line(name="a")
    with CaptureQueriesContext(connection) as few:
        api.get("/api/v1/lines/")
    for name in "bcde":
        make_line(name=name)
    with CaptureQueriesContext(connection) as many:
        assert len(api.get("/api/v1/lines/").json()["results"]) == 5
    assert len(many) == len(few)


def test_a_deployment_is_made_and_says_what_happens_next(api_as, redis_here):
    make_line()
    point = make_operating_point()
    response = api_as("engineer").post("/api/v1/deployments/", {"line": "demo", "operating_point": point.pk})
    assert response.status_code == 201, response.json()
    assert (response.json()["state"], response.json()["model_version"]) == ("pending", point.model_version_id)
    assert "run_line demo" in response.json()["outlook"]


@pytest.mark.parametrize(
    "body", [{}, {"line": "gone", "operating_point": 1}, {"line": "demo", "operating_point": 99}]
)
def test_a_deployment_of_nothing_or_to_nowhere_is_refused(api_as, body):
    make_line()
    make_operating_point()
    assert api_as("engineer").post("/api/v1/deployments/", body).status_code == 400
    assert not Deployment.objects.exists()


def test_a_model_without_its_files_is_refused_in_words(api_as):
    make_line()
    point = make_operating_point(has_artefact=False)
    response = api_as("engineer").post("/api/v1/deployments/", {"line": "demo", "operating_point": point.pk})
    assert (response.status_code, response.json()["code"]) == (409, "deployment_refused")


def test_deployments_are_filtered_by_line_and_state(api_as):
    point = make_operating_point(factory=make_dataset(ok=1))
    first, second = make_line(name="a"), make_line(name="b")
    make_deployment(first, point, state="superseded")
    wanted = make_deployment(first, point)
    make_deployment(second, point)
    found = api_as("operator").get("/api/v1/deployments/?line=a&state=live").json()["results"]
    assert [one["id"] for one in found] == [wanted.pk]


def test_a_summary_counts_today_only(api_as):
    line = make_line()
    make_parts(line, 3)
    shown = api_as("operator").get("/api/v1/lines/demo/summary/").json()
    assert shown["today"]["ok"] == 0
    assert shown["latencies_ms"] == [40.0, 40.0, 40.0]
