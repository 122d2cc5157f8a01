import pytest
from django.urls import reverse
from django.utils import timezone

from annotation.models import AuditEntry, Dataset, LabelClass
from inspection.bus import liveness
from inspection.models import Alarm, Disposition, Line
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

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("folders", "told")]


def text_of(response) -> str:
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def test_an_empty_installation_is_told_what_to_do_first(as_role):
    page = text_of(as_role("operator").get("/"))
    assert "Bring images of your product" in page
    assert "No line yet" in page


def test_steps_that_are_done_are_marked_and_the_list_goes_when_all_are(as_role):
    make_deployment(make_line(), make_operating_point())
    assert "Bring images of your product" not in text_of(as_role("operator").get("/"))


def test_a_card_shows_the_line_s_last_verdict_and_that_it_does_not_run(as_role, redis_here):
    line = make_line()
    make_parts(line, 2, verdict="NG")
    page = text_of(as_role("operator").get(reverse("overview_cards")))
    assert "verdict-ng" in page
    assert "not running" in page


def test_a_running_line_is_shown_as_running(as_role, redis_here):
    line = make_line()
    liveness.announce(line.slug, liveness.LineStatus(pid=1, started_at=""))
    assert "not running" not in text_of(as_role("operator").get(reverse("overview_cards")))


def test_a_line_without_a_model_says_what_to_do(as_role):
    make_line()
    assert "No model on this line" in text_of(as_role("operator").get("/lines/demo/"))


def test_a_stopped_line_says_how_to_start_it(as_role, redis_here):
    make_line()
    page = text_of(as_role("operator").get("/lines/demo/"))
    assert "python manage.py run_line demo" in page
    assert "data-stopped hidden" not in page


def test_a_simulated_line_is_marked_and_so_are_synthetic_images(as_role):
    dataset = make_dataset(ok=1).dataset
    Dataset.objects.update(is_synthetic=True)
    line = make_line(source="replay", is_simulated=True)
    line.stations.update(source_settings={"dataset": dataset.slug})
    page = text_of(as_role("operator").get("/lines/demo/"))
    assert "SIMULATED" in page
    assert "SYNTHETIC IMAGES" in page


def test_only_an_engineer_is_offered_to_roll_back(as_role):
    line = make_line()
    make_deployment(line, make_operating_point(), state="superseded")
    assert "Roll back" not in text_of(as_role("quality").get("/lines/demo/"))
    assert "Roll back" in text_of(as_role("engineer").get("/lines/demo/"))


def test_a_deadline_that_can_t_be_met_is_said_on_the_line_s_page(as_role):
    line = make_line(deadline_ms=100)
    deployment = make_deployment(line, make_operating_point())
    make_parts(line, 3, deployment=deployment.pk, judge_ms=140.0)
    page = text_of(as_role("operator").get("/lines/demo/"))
    assert "needs 140 ms a part" in page


def test_deploying_goes_to_the_line_and_says_what_happens_next(as_role, redis_here):
    line, point = make_line(), make_operating_point()
    response = as_role("engineer").post(reverse("deploy", args=[point.pk]), {"line": "demo"}, follow=True)
    assert response.redirect_chain[-1][0] == "/lines/demo/"
    assert "the deployment waits until it starts" in response.content.decode()
    assert line.deployments.get().state == "pending"


def test_deploying_to_no_line_says_so_and_deploys_nothing(as_role):
    point = make_operating_point()
    response = as_role("engineer").post(reverse("deploy", args=[point.pk]), {"line": "gone"})
    assert response.status_code == 302
    assert not Line.objects.exists()


def test_an_alarm_is_acknowledged_by_name(as_role, people):
    alarm = Alarm.objects.create(line=make_line(), code="x", message="broken", raised_at=timezone.now())
    as_role("operator").post(reverse("alarm_acknowledge", args=[alarm.pk]))
    alarm.refresh_from_db()
    assert (alarm.acknowledged_by, alarm.cleared_at) == (people["operator"], None)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [4, 3, 2, 1]),
        ("?text=%232", [2]),
        ("?text=3", [3]),
        ("?text=s4", [4]),
        ("?text=nothing", []),
        ("?verdict=NG", [3]),
        ("?line=demo&verdict=OK", [4, 2, 1]),
        ("?day=2026-03-01", [4, 3, 2, 1]),
        ("?day=2026-03-02", []),
        ("?text=99999999999999999999999", []),
        ("?day=rubbish", [4, 3, 2, 1]),
    ],
)
def test_parts_are_searched(as_role, query, found):
    line = make_line()
    deliver_records(
        line=line, records=[part_record(n, verdict="NG" if n == 3 else "OK") for n in range(1, 5)]
    )
    response = as_role("operator").get(f"/parts/{query}")
    assert [part.sequence for part in response.context["parts"]] == found


def test_parts_are_paged_by_the_last_one_of_the_page_before(as_role):
    line = make_line()
    deliver_records(line=line, records=[part_record(number) for number in range(1, 5)])
    third = line.parts.get(sequence=3)
    response = as_role("operator").get(f"/parts/?before={third.pk}")
    assert [part.sequence for part in response.context["parts"]] == [2, 1]


def test_a_part_s_page_follows_it_to_its_model_and_its_images(as_role):
    line = make_line()
    deployment = make_deployment(line, make_operating_point())
    make_parts(line, 1, deployment=deployment.pk)
    page = text_of(as_role("operator").get("/lines/demo/parts/1/"))
    version = deployment.operating_point.model_version
    for place in (version, version.job, version.dataset):
        assert place.get_absolute_url() in page
    assert version.job.snapshot.sha256[:12] in page


def test_an_error_is_explained_on_the_part_s_page(as_role):
    make_parts(make_line(), 1, verdict="ERROR", error_code=2, error="no frame came in time")
    assert "a view did not arrive in time" in text_of(as_role("operator").get("/lines/demo/parts/1/"))


def test_a_word_on_a_part_is_kept_from_its_page(as_role):
    make_parts(make_line(), 1)
    response = as_role("operator").post(
        reverse("part_disposition", args=["demo", 1]), {"verdict": "NG", "note": "dent"}, follow=True
    )
    assert "overruled: NG" in response.content.decode()
    assert Disposition.objects.get().note == "dent"


@pytest.mark.parametrize("form", [{}, {"verdict": "MAYBE"}, {"verdict": "NG", "label_class": "999"}])
def test_a_word_that_is_none_is_refused_where_it_was_said(as_role, form):
    make_parts(make_line(), 1)
    response = as_role("operator").post(reverse("part_disposition", args=["demo", 1]), form)
    assert response.status_code == 422
    assert "invalid-feedback" in response.content.decode()
    assert not Disposition.objects.exists()


def test_only_defect_types_of_the_part_s_own_product_are_offered(as_role):
    factory, other = make_dataset(ok=1), make_dataset(name="Nuts")
    LabelClass.objects.filter(pk=other.ng.pk).update(name="foreign")
    image = factory.dataset.images.get()
    make_parts(make_line(), 1, views=[view_record(reference=str(image.pk))])
    page = text_of(as_role("operator").get("/lines/demo/parts/1/"))
    assert ">NG</option>" in page
    assert "foreign" not in page


def test_unknown_lines_and_parts_are_not_found(as_role):
    make_line()
    client = as_role("operator")
    for address in ("/lines/gone/", "/lines/demo/parts/7/", "/lines/gone/parts/1/"):
        assert client.get(address).status_code == 404


def test_acknowledging_leaves_an_audit_entry(as_role):
    alarm = Alarm.objects.create(line=make_line(), code="x", message="broken", raised_at=timezone.now())
    as_role("operator").post(reverse("alarm_acknowledge", args=[alarm.pk]))
    assert AuditEntry.objects.filter(action="alarm.acknowledged", target_id=str(alarm.pk)).exists()


def test_a_part_s_page_shows_the_closest_good_image_where_the_model_told_one(as_role, media):
    image = make_dataset(ok=1).dataset.images.get()
    told, silent = view_record(closest_ok=image.pk), view_record()
    records = [part_record(n, views=[view]) for n, view in enumerate([told, silent], start=1)]
    deliver_records(line=make_line(), records=records)
    page = text_of(as_role("operator").get("/lines/demo/parts/1/"))
    assert "The closest good one" in page
    assert reverse("image_file", args=[image.pk]) in page
    assert "The closest good one" not in text_of(as_role("operator").get("/lines/demo/parts/2/"))
