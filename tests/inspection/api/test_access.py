"""Every REST address of the lines × every role and none."""

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from tests.inspection.factories import make_deployment, make_line, make_operating_point, make_parts

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("folders", "told")]

EVERYBODY = {"operator", "quality", "engineer", "admin"}
ENGINEERS = {"engineer", "admin"}

ADDRESSES = [
    ("get", "api_lines", [], EVERYBODY),
    ("post", "api_lines", [], ENGINEERS),
    ("get", "api_line", ["demo"], EVERYBODY),
    ("patch", "api_line", ["demo"], ENGINEERS),
    ("get", "api_line_summary", ["demo"], EVERYBODY),
    ("get", "api_line_parts", ["demo"], EVERYBODY),
    ("get", "api_part", ["demo", 1], EVERYBODY),
    ("post", "api_dispositions", ["demo", 1], EVERYBODY),
    ("post", "api_frames", ["demo", "top"], ENGINEERS),
    ("post", "api_inspect", ["demo"], EVERYBODY),
    ("get", "api_deployments", [], EVERYBODY),
    ("post", "api_deployments", [], ENGINEERS),
    ("get", "api_deployment", [1], EVERYBODY),
    ("get", "api_alarms", [], EVERYBODY),
]


@pytest.fixture
def world(people):
    line = make_line()
    make_parts(line, 1)
    make_deployment(line, make_operating_point())


@pytest.mark.parametrize(("method", "name", "args", "allowed"), ADDRESSES)
@pytest.mark.parametrize("role", sorted(EVERYBODY))
def test_an_address_answers_its_roles_only(world, people, method, name, args, allowed, role):
    api = APIClient()
    api.force_authenticate(people[role])
    status = getattr(api, method)(reverse(name, args=args)).status_code
    assert (status != 403) == (role in allowed), status
    assert status < 500


@pytest.mark.parametrize(("method", "name", "args", "allowed"), ADDRESSES)
def test_nobody_is_answered_without_a_token(world, method, name, args, allowed):
    assert getattr(APIClient(), method)(reverse(name, args=args)).status_code in {401, 403, 302}
