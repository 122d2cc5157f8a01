import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inspection.models import Part, Station, Tally, View
from inspection.services.delivery import deliver_records, last_sequence
from tests.inspection.factories import answer_record, make_line, part_record, view_record
from tests.ml.factories import make_dataset

pytestmark = pytest.mark.django_db


@pytest.fixture
def line():
    return make_line()


def test_a_part_is_stored_with_its_views(line):
    delivered = deliver_records(line=line, records=[part_record(1, score=0.25)])
    part = Part.objects.get(line=line, sequence=1)
    assert (part.verdict, part.score, part.serial) == ("OK", 0.25, "S1")
    assert [view.station.name for view in part.views.all()] == ["top"]
    assert [stored.part for stored in delivered] == [part]


def test_a_record_that_comes_again_changes_nothing(line):
    deliver_records(line=line, records=[part_record(1)])
    again = deliver_records(line=line, records=[part_record(1, verdict="NG"), part_record(2)])
    assert [stored.part.sequence for stored in again] == [2]
    assert list(line.parts.order_by("sequence").values_list("sequence", "verdict")) == [(1, "OK"), (2, "OK")]
    assert View.objects.count() == 2


def test_another_part_under_a_known_number_is_told_and_stored_over_nothing(line, caplog):
    told = []
    deliver_records(line=line, records=[part_record(1), part_record(2)])
    other = part_record(2, verdict="NG", hash="f" * 64)
    records = [part_record(1), other, part_record(3)]
    again = deliver_records(line=line, records=records, on_conflict=told.append)
    assert told == [[2]]
    assert "other parts have the numbers [2]" in caplog.text
    assert [stored.part.sequence for stored in again] == [3]
    assert line.parts.get(sequence=2).verdict == "OK"


def test_a_record_that_comes_again_is_no_conflict(line):
    told = []
    deliver_records(line=line, records=[part_record(1)])
    deliver_records(line=line, records=[part_record(1)], on_conflict=told.append)
    assert told == []


def test_a_record_twice_in_one_delivery_is_one_part(line):
    deliver_records(line=line, records=[part_record(1), part_record(1)])
    assert line.parts.count() == 1


def test_parts_out_of_order_are_all_stored_and_told_in_order(line):
    deliver_records(line=line, records=[part_record(5)])
    delivered = deliver_records(line=line, records=[part_record(4), part_record(2), part_record(3)])
    assert [stored.part.sequence for stored in delivered] == [2, 3, 4]
    assert last_sequence(line) == 5


def test_the_same_sequence_on_another_line_is_another_part(line):
    other = make_line(name="Other")
    deliver_records(line=line, records=[part_record(1)])
    deliver_records(line=other, records=[part_record(1, line="other")])
    assert Part.objects.count() == 2


def test_what_the_plc_was_given_is_what_the_part_counts_as(line):
    late = answer_record(1, "ERROR", error_code=5, late=True, reason="late", total_ms=1210.0)
    deliver_records(line=line, records=[part_record(1, verdict="OK", answer=late)])
    part = line.parts.get()
    assert (part.verdict, part.judged_verdict, part.given, part.error_code) == ("ERROR", "OK", "ERROR", 5)
    assert part.total_ms == 1210.0
    assert part.durations_ms["answer"] == pytest.approx(1170.0)


def test_a_part_whose_answer_reached_nobody_keeps_its_verdict_and_says_so(line):
    lost = answer_record(1, None, reason="the connection was lost", total_ms=None)
    deliver_records(line=line, records=[part_record(1, verdict="NG", answer=lost)])
    part = line.parts.get()
    assert (part.verdict, part.given, part.error) == ("NG", "", "the connection was lost")
    assert part.total_ms == pytest.approx(40.0)


def test_minutes_are_tallied_once_however_often_parts_come(line):
    records = [part_record(n, verdict="NG" if n % 3 == 0 else "OK") for n in range(50, 70)]
    deliver_records(line=line, records=records[:12])
    deliver_records(line=line, records=records)
    tallies = list(Tally.objects.order_by("minute").values_list("ok", "ng"))
    assert tallies == [(7, 3), (6, 4)]


def test_bench_inspections_are_kept_but_are_no_production(line):
    deliver_records(line=line, records=[part_record(1, origin="api"), part_record(2)])
    assert line.parts.count() == 2
    assert Tally.objects.get().ok == 1


def test_a_replayed_image_is_linked_by_its_reference(line, media):
    image = make_dataset(ok=1).dataset.images.get()
    known, gone, foreign = (
        view_record(reference=reference) for reference in (str(image.pk), "999999", "../x")
    )
    records = [part_record(n, views=[view]) for n, view in enumerate([known, gone, foreign], start=1)]
    deliver_records(line=line, records=records)
    linked = View.objects.order_by("part__sequence").values_list("image", flat=True)
    assert list(linked) == [image.pk, None, None]


def test_a_deployment_that_the_database_does_not_know_loses_no_part(line):
    deliver_records(line=line, records=[part_record(1, deployment=4711)])
    assert line.parts.get().deployment is None


def test_a_station_that_was_removed_meanwhile_comes_back(line):
    Station.objects.all().delete()
    deliver_records(line=line, records=[part_record(1)])
    assert [view.station.name for view in View.objects.all()] == ["top"]


def test_a_view_without_a_frame_is_stored_as_such(line):
    missing = view_record(verdict="ERROR", score=None, error_code=2, error="no frame", captured_at=None)
    deliver_records(line=line, records=[part_record(1, verdict="ERROR", score=None, views=[missing])])
    view = View.objects.get()
    assert (view.score, view.captured_at, view.error) == (None, None, "no frame")


def test_a_long_text_from_the_line_is_cut_not_refused(line):
    deliver_records(line=line, records=[part_record(1, error="e" * 1000, serial="s" * 90)])
    part = line.parts.get()
    assert len(part.error) == 400
    assert len(part.serial) == 40


def test_the_queries_of_a_delivery_do_not_grow_with_its_parts(line):
    with CaptureQueriesContext(connection) as of_one:
        deliver_records(line=line, records=[part_record(1)])
    with CaptureQueriesContext(connection) as of_thirty:
        deliver_records(line=line, records=[part_record(n) for n in range(60, 90)])
    assert len(of_thirty) == len(of_one)


def test_the_closest_good_image_is_linked_while_it_is_there(line, media):
    image = make_dataset(ok=1).dataset.images.get()
    views = [view_record(closest_ok=known) for known in (image.pk, 999999, None)]
    earlier = view_record()
    del earlier["closest_ok"]  # of a journal that was written before there was such a thing
    records = [part_record(n, views=[view]) for n, view in enumerate([*views, earlier], start=1)]
    deliver_records(line=line, records=records)
    linked = View.objects.order_by("part__sequence").values_list("closest_ok", flat=True)
    assert list(linked) == [image.pk, None, None, None]
