import pytest

from annotation.models import AuditEntry
from inspection.bus import liveness
from inspection.bus.liveness import LineStatus
from inspection.models import Line
from inspection.services.lines import settings_revision
from tests.inspection.factories import make_deployment, make_line, make_operating_point, make_parts
from tests.ml.factories import make_dataset

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("folders", "told")]

LINE = {
    "name": "Press 4", "trigger_mode": "frame", "part_rule": "any", "deadline_ms": 500, "queue_depth": 2,
    "keep_evidence_parts": 1000, "plc_profile": "none", "plc_host": "127.0.0.1", "plc_port": 502, "plc_unit": 1,
    "plc_base_to": 0, "plc_base_from": 32, "plc_is_high_word_first": "on", "plc_poll_ms": 10,
    "plc_timeout_ms": 500, "plc_heartbeat_ms": 250, "plc_watch_ms": 500, "plc_output": "coil",
    "plc_output_address": 0, "plc_pulse_ms": "",
}  # fmt: skip
STATION = {"name": "top", "position": 0, "source": "push", "dataset": "", "parts_per_second": 1, "folder": ""}


def form_of(*stations: dict, kept: int = 0, **line) -> dict:
    form = {**LINE, **line, "stations-TOTAL_FORMS": len(stations), "stations-INITIAL_FORMS": kept}
    for number, station in enumerate(stations):
        form |= {f"stations-{number}-{name}": value for name, value in (STATION | station).items()}
    return form


def words_of(response) -> str:
    assert response.status_code == 422, response.status_code
    return response.content.decode()


def test_a_line_is_made_with_its_station(as_role):
    response = as_role("engineer").post("/lines/new/", form_of({}))
    assert (response.status_code, response["Location"]) == (302, "/lines/press-4/")
    assert [station.name for station in Line.objects.get().stations.all()] == ["top"]
    assert AuditEntry.objects.get().action == "line.created"


def test_the_form_shows_what_is_set_and_keeps_it(as_role):
    dataset = make_dataset(ok=1).dataset
    engineer = as_role("engineer")
    station = {"source": "replay", "dataset": dataset.slug, "parts_per_second": 4}
    engineer.post("/lines/new/", form_of(station))
    line = Line.objects.get()
    page = engineer.get("/lines/press-4/settings/").content.decode()
    assert f'<option value="{dataset.slug}" selected>' in page
    again = {**station, "id": line.stations.get().pk, "line": line.pk}
    assert (
        engineer.post("/lines/press-4/settings/", form_of(again, kept=1, deadline_ms=700)).status_code == 302
    )
    line.refresh_from_db()
    assert line.deadline_ms == 700
    assert line.stations.get().source_settings == {"dataset": dataset.slug, "parts_per_second": 4.0}


@pytest.mark.parametrize(
    ("station", "line", "words"),
    [
        ({"source": "replay"}, {}, "Choose the dataset"),
        ({"source": "folder", "folder": "/"}, {}, "keeps its own files there"),
        ({"source": "folder"}, {}, "which folder"),
        ({"name": "no spaces here"}, {}, "valid"),
        ({}, {"trigger_mode": "plc"}, "handshake profile gives triggers"),
        ({}, {"plc_profile": "handshake"}, "answers the PLC"),
        ({}, {"deadline_ms": 0}, "between 1 ms and 10 minutes"),
        ({}, {"plc_port": 70000}, "65535"),
        ({}, {"plc_heartbeat_ms": 900}, "500"),
        ({}, {"name": "new"}, "other than"),
        ({}, {"name": "???"}, "letters or digits"),
        ({}, {"queue_depth": 0}, "Between 1 and 1000"),
    ],
)
def test_what_makes_no_line_is_told_beside_its_field_and_nothing_is_saved(as_role, station, line, words):
    assert words in words_of(as_role("engineer").post("/lines/new/", form_of(station, **line)))
    assert not Line.objects.exists()


def test_a_line_needs_a_station(as_role):
    assert "at least one station" in words_of(as_role("engineer").post("/lines/new/", form_of()))


def test_two_stations_can_t_share_a_name(as_role):
    response = as_role("engineer").post("/lines/new/", form_of({}, {"position": 1}))
    assert "name" in words_of(response)
    assert not Line.objects.exists()


def test_a_replay_of_an_empty_dataset_is_refused_in_words(as_role):
    make_dataset(name="Empty")
    response = as_role("engineer").post("/lines/new/", form_of({"source": "replay", "dataset": "empty"}))
    assert "no images yet" in words_of(response)
    assert not Line.objects.exists()


def test_a_name_that_is_taken_is_told(as_role):
    make_line(name="Press 4")
    assert "exists already" in words_of(as_role("engineer").post("/lines/new/", form_of({})))


def test_a_station_that_judged_parts_is_neither_renamed_nor_removed(as_role):
    line = make_line(stations=("top", "side"))
    make_parts(line, 1)
    top, side = line.stations.all()
    kept = [{"id": top.pk, "line": line.pk}, {"id": side.pk, "line": line.pk, "name": "side", "position": 1}]
    renamed = [{**kept[0], "name": "above"}, kept[1]]
    removed = [{**kept[0], "DELETE": "on"}, kept[1]]
    engineer = as_role("engineer")
    address = "/lines/demo/settings/"
    assert "it stays" in words_of(engineer.post(address, form_of(*renamed, kept=2, name="Demo")))
    assert "can&#x27;t be removed" in words_of(engineer.post(address, form_of(*removed, kept=2, name="Demo")))
    assert engineer.post(address, form_of(*kept, kept=2, name="Demo")).status_code == 302


def test_a_deadline_below_the_model_s_measured_time_is_told_on_saving(as_role):
    line = make_line()
    deployment = make_deployment(line, make_operating_point())
    make_parts(line, 3, deployment=deployment.pk, judge_ms=140.0)
    kept = {"id": line.stations.get().pk, "line": line.pk}
    response = as_role("engineer").post(
        "/lines/demo/settings/", form_of(kept, kept=1, name="Demo", deadline_ms=90), follow=True
    )
    assert "needs 140 ms a part on this line, but the deadline is 90 ms" in response.content.decode()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"deadline_ms": 700}, "stops between two parts and starts with its new settings"),
        ({"name": "Press 5"}, "goes on as it was"),
    ],
)
def test_what_a_change_means_to_a_running_line_is_said(as_role, redis_here, change, words):
    engineer = as_role("engineer")
    engineer.post("/lines/new/", form_of({}))
    line = Line.objects.get()
    liveness.announce(line.slug, LineStatus(pid=1, started_at="", revision=settings_revision(line)))
    kept = {"id": line.stations.get().pk, "line": line.pk}
    page = engineer.post("/lines/press-4/settings/", form_of(kept, kept=1, **change), follow=True)
    assert words in page.content.decode()
