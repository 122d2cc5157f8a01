"""Pages cost the same number of queries however many rows there are."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.inspection.factories import make_deployment, make_line, make_operating_point, make_parts

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("folders", "told")]


@pytest.fixture
def point():
    return make_operating_point()


def fill(point, number: int) -> None:
    line = make_line(name=f"Line {number}", slug=f"line-{number}")
    make_parts(line, 8, deployment=make_deployment(line, point).pk)


@pytest.mark.parametrize("address", ["/", "/overview/cards/", "/lines/", "/parts/", "/lines/line-0/"])
def test_more_rows_cost_no_more_queries(as_role, point, address):
    client = as_role("engineer")
    fill(point, 0)
    client.get(address)
    with CaptureQueriesContext(connection) as few:
        assert client.get(address).status_code == 200
    for number in range(1, 4):
        fill(point, number)
    with CaptureQueriesContext(connection) as many:
        client.get(address)
    assert len(many) == len(few)
    assert len(few) <= 25, [query["sql"] for query in few]
