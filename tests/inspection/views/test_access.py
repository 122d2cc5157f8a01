"""Every page of the lines × every role and none."""

import pytest
from django.urls import reverse

from tests.inspection.factories import make_line, make_operating_point, make_parts

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("folders", "told")]

EVERYBODY = {"operator", "quality", "engineer", "admin"}
ENGINEERS = {"engineer", "admin"}

PAGES = [
    ("get", "overview", [], EVERYBODY),
    ("get", "overview_cards", [], EVERYBODY),
    ("get", "lines", [], EVERYBODY),
    ("get", "line_new", [], ENGINEERS),
    ("get", "line", ["demo"], EVERYBODY),
    ("get", "line_panel", ["demo"], EVERYBODY),
    ("get", "line_settings", ["demo"], ENGINEERS),
    ("get", "parts", [], EVERYBODY),
    ("get", "part", ["demo", 1], EVERYBODY),
    ("post", "part_disposition", ["demo", 1], EVERYBODY),
    ("post", "deploy", [1], ENGINEERS),
]


@pytest.fixture
def world(people):
    line = make_line()
    make_parts(line, 1)
    make_operating_point()


@pytest.mark.parametrize(("method", "name", "args", "allowed"), PAGES)
@pytest.mark.parametrize("role", sorted(EVERYBODY))
def test_a_page_opens_for_its_roles_only(client, world, people, method, name, args, allowed, role):
    client.force_login(people[role], "django.contrib.auth.backends.ModelBackend")
    status = getattr(client, method)(reverse(name, args=args)).status_code
    assert (status != 403) == (role in allowed), status
    assert status < 500


@pytest.mark.parametrize(("method", "name", "args", "allowed"), PAGES)
def test_nobody_gets_in_without_login(client, world, method, name, args, allowed):
    response = getattr(client, method)(reverse(name, args=args))
    assert response.status_code == 302
    assert "login" in response["Location"]


@pytest.mark.parametrize("name", ["deploy", "part_disposition"])
def test_what_changes_something_can_t_be_had_by_a_link(client, world, people, name):
    client.force_login(people["admin"], "django.contrib.auth.backends.ModelBackend")
    assert client.get(reverse(name, args=[1] if name == "deploy" else ["demo", 1])).status_code == 405
