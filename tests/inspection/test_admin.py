"""Lines and stations change on their own pages, which validate and keep the audit."""

import pytest
from django.urls import reverse

from inspection.models import Line
from tests.inspection.factories import make_line

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client, people):
    client.force_login(people["admin"])
    return client


@pytest.mark.parametrize("model", ["line", "station"])
def test_the_administration_shows_but_does_not_change(admin, model):
    line = make_line()
    row = line if model == "line" else line.stations.first()
    page = reverse(f"admin:inspection_{model}_change", args=[row.pk])
    assert admin.get(page).status_code == 200
    assert admin.post(page, {"name": "changed"}).status_code == 403
    assert admin.post(reverse(f"admin:inspection_{model}_add")).status_code == 403
    assert admin.post(reverse(f"admin:inspection_{model}_delete", args=[row.pk])).status_code == 403
    assert Line.objects.get().name == line.name
