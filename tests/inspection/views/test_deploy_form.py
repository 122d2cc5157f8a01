"""The deploy form that the model's page includes."""

import pytest
from django.urls import reverse

from tests.inspection.factories import make_deployment, make_line, make_operating_point

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("folders", "told")]


@pytest.fixture
def point():
    return make_operating_point()


def page_of(client, point) -> str:
    response = client.get(point.get_absolute_url())
    assert response.status_code == 200
    return response.content.decode()


def test_an_engineer_chooses_the_line_on_the_model_s_page(as_role, point):
    make_line()
    page = page_of(as_role("engineer"), point)
    assert reverse("deploy", args=[point.pk]) in page
    assert '<option value="demo">Demo</option>' in page


def test_where_it_is_live_is_said(as_role, point):
    make_deployment(make_line(), point)
    assert "live on Demo" in page_of(as_role("engineer"), point)


def test_without_a_line_the_way_to_make_one_is_shown(as_role, point):
    assert reverse("line_new") in page_of(as_role("engineer"), point)


def test_nobody_else_is_offered_to_deploy(as_role, point):
    make_line()
    assert reverse("deploy", args=[point.pk]) not in page_of(as_role("quality"), point)


def test_only_engineers_are_offered_to_make_and_change_lines(as_role):
    make_line()
    for role, is_offered in (("quality", False), ("engineer", True)):
        page = as_role(role).get(reverse("lines")).content.decode()
        assert (reverse("line_new") in page) == is_offered
        assert (reverse("line_settings", args=["demo"]) in page) == is_offered
