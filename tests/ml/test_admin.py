import pytest
from django.urls import reverse

from tests.ml.factories import make_dataset, make_point, make_version

pytestmark = pytest.mark.django_db

MODELS = ["snapshot", "trainingjob", "modelversion", "operatingpoint"]


@pytest.fixture
def admin(client, people):
    people["admin"].is_staff = people["admin"].is_superuser = True
    people["admin"].save()
    client.force_login(people["admin"])
    return client


@pytest.fixture
def rows(media) -> dict:
    version = make_version(make_dataset(ok=6, ng=6))
    return {
        "snapshot": version.job.snapshot, "trainingjob": version.job, "modelversion": version,
        "operatingpoint": make_point(version),
    }  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_each_can_be_listed_and_looked_at(admin, rows, name):
    assert admin.get(reverse(f"admin:ml_{name}_changelist")).status_code == 200
    assert admin.get(reverse(f"admin:ml_{name}_change", args=[rows[name].pk])).status_code == 200


@pytest.mark.parametrize("name", MODELS)
def test_none_can_be_added_changed_or_deleted(admin, rows, name):
    change = reverse(f"admin:ml_{name}_change", args=[rows[name].pk])
    assert admin.get(reverse(f"admin:ml_{name}_add")).status_code == 403
    assert admin.post(change, {"reason": "other"}).status_code == 403
    assert (
        admin.post(reverse(f"admin:ml_{name}_delete", args=[rows[name].pk]), {"post": "yes"}).status_code
        == 403
    )


def test_the_list_of_models_costs_the_same_with_one_as_with_many(admin, rows, django_assert_max_num_queries):
    for number in range(10):
        make_version(make_dataset(ok=3, ng=3, name=f"More {number}"))
    with django_assert_max_num_queries(9):
        admin.get(reverse("admin:ml_modelversion_changelist"))
