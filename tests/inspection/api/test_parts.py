import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotation.models import Label
from inspection import events, selectors
from inspection.services.delivery import deliver_records
from tests.inspection.factories import (
    make_deployment,
    make_line,
    make_operating_point,
    make_parts,
    part_record,
    view_record,
)
from tests.ml.factories import make_dataset

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("folders")]
PARTS = "/api/v1/lines/demo/parts/"


def sequences(response) -> list[int]:
    assert response.status_code == 200, response.json()
    return [part["sequence"] for part in response.json()["results"]]


def test_parts_come_newest_first_a_page_at_a_time(api_as):
    make_parts(make_line(), 5)
    api = api_as("operator")
    first = api.get(f"{PARTS}?page_size=3")
    assert sequences(first) == [5, 4, 3]
    assert sequences(api.get(first.json()["next"])) == [2, 1]


def test_what_was_missed_is_asked_for_by_number(api_as):
    make_parts(make_line(), 5)
    assert sequences(api_as("operator").get(f"{PARTS}?after=3")) == [5, 4]
    assert sequences(api_as("operator").get(f"{PARTS}?after=5")) == []


def test_parts_are_filtered_by_verdict_and_serial(api_as):
    line = make_line()
    verdicts = ["OK", "NG", "ERROR", "OK"]
    deliver_records(
        line=line, records=[part_record(n, verdict=verdict) for n, verdict in enumerate(verdicts, start=1)]
    )
    api = api_as("operator")
    assert sequences(api.get(f"{PARTS}?verdict=NG&verdict=ERROR")) == [3, 2]
    assert sequences(api.get(f"{PARTS}?serial=S4")) == [4]
    assert api.get(f"{PARTS}?verdict=MAYBE").status_code == 400
    assert api.get(f"{PARTS}?after=rubbish").status_code == 400


def test_parts_of_an_unknown_line_are_not_found(api_as):
    assert api_as("operator").get("/api/v1/lines/gone/parts/").status_code == 404


def test_rest_and_the_live_event_say_the_same(api_as):
    line = make_line()
    view = view_record(map_path="evidence/m.png", map_box=[0, 0, 64, 64], map_max=0.7)
    make_parts(line, 1, deployment=make_deployment(line, make_operating_point()).pk, views=[view])
    part = selectors.parts_with_views().get()
    event = events.PartJudged.of(part, part.views.all()).to_json()
    assert event.pop("type") == "part_judged"
    assert api_as("operator").get(PARTS).json()["results"] == [event]


def test_the_list_costs_no_more_queries_for_more_parts(api_as):
    line = make_line()
    deployment = make_deployment(line, make_operating_point()).pk
    api = api_as("operator")
    make_parts(line, 2, deployment=deployment)
    with CaptureQueriesContext(connection) as few:
        api.get(PARTS)
    make_parts(line, 40, first=3, deployment=deployment)
    with CaptureQueriesContext(connection) as many:
        assert len(sequences(api.get(PARTS))) == 42
    assert len(many) == len(few)


def test_one_part_has_its_place_in_the_chain_and_what_was_said_of_it(api_as):
    make_parts(make_line(), 1)
    api = api_as("operator")
    api.post(f"{PARTS}1/dispositions/", {"verdict": "NG", "note": "dent"})
    shown = api.get(f"{PARTS}1/").json()
    assert shown["hash"] == f"{1:064d}"
    assert [(said["verdict"], said["note"], said["author"]) for said in shown["dispositions"]] == [
        ("NG", "dent", "operator")
    ]


def test_a_word_by_rest_labels_the_image(api_as):
    factory = make_dataset(ok=1)
    image = factory.dataset.images.get()
    make_parts(make_line(), 1, views=[view_record(reference=str(image.pk))])
    response = api_as("operator").post(f"{PARTS}1/dispositions/", {"verdict": "NG", "label_class": "NG"})
    assert response.status_code == 201, response.json()
    assert Label.objects.get().label_class == factory.ng


@pytest.mark.parametrize(
    "body",
    [{}, {"verdict": "REVIEW"}, {"verdict": "NG", "label_class": "x"}, {"verdict": "NG", "note": "n" * 401}],
)
def test_a_word_that_is_none_is_refused(api_as, body):
    make_parts(make_line(), 1)
    assert api_as("operator").post(f"{PARTS}1/dispositions/", body).status_code == 400
