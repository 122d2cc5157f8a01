"""What a person sees where there is no page to see: the product's own words, and a way back."""

import pytest
from django.test import Client
from django.urls import reverse
from django.views.defaults import server_error

from tests.inspection.factories import make_line

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("folders", "told")]


@pytest.mark.parametrize("address", ["/nowhere/", "/lines/demo/parts/7/", "/models/99/"])
def test_what_is_not_there_is_told_with_a_way_back(as_role, address):
    make_line()
    response = as_role("operator").get(address)
    assert response.status_code == 404
    assert "There is nothing here" in response.content.decode()
    assert f'href="{reverse("overview")}"' in response.content.decode()


def test_a_page_of_another_role_says_which_and_who_gives_it(as_role):
    response = as_role("operator").get(reverse("line_new"))
    page = response.content.decode()
    assert response.status_code == 403
    assert "This needs the role “Line engineer” or above." in page
    assert "Yours is “Operator”" in page


def test_a_form_without_its_token_is_refused_in_words(people):
    client = Client(enforce_csrf_checks=True)
    client.force_login(people["engineer"], "django.contrib.auth.backends.ModelBackend")
    response = client.post(reverse("line_new"), {})
    assert response.status_code == 403
    assert "Nothing was changed" in response.content.decode()


def test_an_error_of_the_server_says_where_its_cause_is_written(rf):
    page = server_error(rf.get("/")).content.decode()
    assert "Something went wrong here" in page
    assert "log/web.log" in page
