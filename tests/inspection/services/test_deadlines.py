import pytest

from inspection.services.deadlines import deadline_warning, measured_part_ms
from tests.inspection.factories import make_deployment, make_line, make_operating_point, make_parts

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("folders")]


@pytest.fixture
def line():
    return make_line(deadline_ms=100)


def test_nothing_is_said_of_a_model_that_was_never_measured(line):
    assert deadline_warning(line, make_operating_point().model_version) == ""


def test_a_model_slower_than_the_deadline_is_told_with_both_figures(line):
    deployment = make_deployment(line, make_operating_point())
    make_parts(line, 5, deployment=deployment.pk, judge_ms=140.0)
    warning = deadline_warning(line, deployment.operating_point.model_version)
    assert "140 ms" in warning
    assert "100 ms" in warning


def test_one_slow_part_is_no_slow_model(line):
    deployment = make_deployment(line, make_operating_point())
    make_parts(line, 5, deployment=deployment.pk, judge_ms=20.0)
    make_parts(line, 1, first=6, deployment=deployment.pk, judge_ms=900.0)
    assert measured_part_ms(line, deployment.operating_point.model_version) == 20.0
    assert deadline_warning(line, deployment.operating_point.model_version) == ""


def test_without_a_model_nothing_is_said(line):
    assert deadline_warning(line, None) == ""
