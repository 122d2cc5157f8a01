import pytest

from annotation.models import AuditEntry, Label, LabelClass
from inspection.models import Disposition
from inspection.services.delivery import deliver_records
from inspection.services.dispositions import DispositionRefused, dispose_part
from tests.inspection.factories import make_line, part_record, view_record
from tests.ml.factories import make_dataset

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("folders")]


@pytest.fixture
def factory():
    return make_dataset(ok=2)


@pytest.fixture
def line():
    return make_line(stations=("top", "side"))


def judged(line, *views, verdict="NG"):
    record = part_record(1, verdict=verdict, views=list(views))
    return deliver_records(line=line, records=[record])[0].part


def view_of(image, station="top", verdict="NG"):
    return view_record(station, verdict=verdict, reference=str(image.pk))


def test_a_word_is_kept_and_audited(line, people):
    part = judged(line, view_record("top"))
    dispose_part(part=part, verdict="OK", label_class=None, note="a shadow", by=people["operator"])
    said = Disposition.objects.get()
    assert (said.verdict, said.note, said.author) == ("OK", "a shadow", people["operator"])
    assert AuditEntry.objects.get().action == "part.overruled"


def test_confirming_is_audited_as_such(line, people):
    part = judged(line, view_record("top"))
    dispose_part(part=part, verdict="NG", label_class=None, note="", by=people["operator"])
    assert AuditEntry.objects.get().action == "part.confirmed"


def test_overruling_to_ok_labels_every_image_of_the_part(line, factory, people):
    first, second = factory.dataset.images.all()
    part = judged(line, view_of(first), view_of(second, "side"))
    dispose_part(part=part, verdict="OK", label_class=None, note="", by=people["operator"])
    labels = Label.objects.values_list("image", "label_class__name", "how")
    assert set(labels) == {(first.pk, "OK", "review"), (second.pk, "OK", "review")}


def test_ng_labels_only_the_views_that_were_ng(line, factory, people):
    first, second = factory.dataset.images.all()
    part = judged(line, view_of(first, verdict="OK"), view_of(second, "side"))
    dispose_part(part=part, verdict="NG", label_class=factory.ng, note="", by=people["operator"])
    assert list(Label.objects.values_list("image", "label_class__name")) == [(second.pk, "NG")]


def test_an_escape_labels_the_only_view(line, factory, people):
    image = factory.dataset.images.first()
    part = judged(line, view_of(image, verdict="OK"), verdict="OK")
    dispose_part(part=part, verdict="NG", label_class=None, note="", by=people["operator"])
    image.refresh_from_db()
    assert (image.current_class, image.labels.get().author) == (factory.ng, people["operator"])


def test_a_bare_ng_among_several_defect_types_labels_nothing(line, factory, people):
    LabelClass.objects.filter(pk=factory.ng.pk).update(name="crack")
    LabelClass.objects.create(dataset=factory.dataset, name="dent", number=2)
    part = judged(line, view_of(factory.dataset.images.first()))
    dispose_part(part=part, verdict="NG", label_class=None, note="", by=people["operator"])
    assert not Label.objects.exists()


def test_a_pushed_image_of_no_dataset_is_not_labelled(line, people):
    dispose_part(
        part=judged(line, view_record("top")), verdict="OK", label_class=None, note="", by=people["operator"]
    )
    assert not Label.objects.exists()


def test_the_latest_word_is_added_and_the_earlier_one_stays(line, people):
    part = judged(line, view_record("top"))
    for verdict in ("OK", "NG"):
        dispose_part(part=part, verdict=verdict, label_class=None, note="", by=people["operator"])
    assert [said.verdict for said in part.dispositions.all()] == ["OK", "NG"]


def test_a_verdict_that_no_person_can_give_is_refused(line, people):
    with pytest.raises(DispositionRefused):
        dispose_part(
            part=judged(line, view_record("top")),
            verdict="ERROR",
            label_class=None,
            note="",
            by=people["operator"],
        )


def test_ok_with_a_defect_type_is_refused(line, factory, people):
    part = judged(line, view_of(factory.dataset.images.first()))
    with pytest.raises(DispositionRefused, match="does not go with"):
        dispose_part(part=part, verdict="OK", label_class=factory.ng, note="", by=people["operator"])


def test_a_class_of_another_product_is_refused(line, factory, people):
    other = make_dataset(name="Nuts")
    part = judged(line, view_of(factory.dataset.images.first()))
    with pytest.raises(DispositionRefused, match="another product"):
        dispose_part(part=part, verdict="NG", label_class=other.ng, note="", by=people["operator"])
    assert not Disposition.objects.exists()
